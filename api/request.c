#include "api/request.h"

#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Octets of the well-formed UTF-8 character at s (RFC 3629 4), 0 if there is none. */
static size_t utf8_len(const uint8_t *s, size_t left)
{
    static const struct {
        uint8_t first_low, first_high, second_low, second_high, len;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (s[0] < 0x80)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (s[0] < rows[i].first_low || s[0] > rows[i].first_high)
            continue;
        if (left < rows[i].len || s[1] < rows[i].second_low || s[1] > rows[i].second_high)
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if (s[k] < 0x80 || s[k] > 0xbf)
                return 0;
        return rows[i].len;
    }
    return 0;
}

bool text_is_plain(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_len(s + i, len - i);
        bool is_control = s[i] < 0x20 || s[i] == 0x7f || (n == 2 && s[i] == 0xc2 && s[i + 1] < 0xa0);
        if (n == 0 || is_control)
            return false;
        i += n;
    }
    return true;
}

/* Decodes from *in up to one of the stop characters or the end, to *out with a NUL behind; *in is left at the
 * stop. */
static err_t decode_part(const char **in, const char *stops, char **out)
{
    char *start = *out;
    const char *p = *in;
    while (*p != '\0' && strchr(stops, *p) == NULL) {
        if (*p != '%') {
            *(*out)++ = *p++;
            continue;
        }
        int high = hex_digit(p[1]);
        int low = high < 0 ? -1 : hex_digit(p[2]);
        if (low < 0)
            return E_RANGE;
        *(*out)++ = (char)(high * 16 + low);
        p += 3;
    }
    size_t len = (size_t)(*out - start);
    *(*out)++ = '\0';
    *in = p;
    return text_is_plain(start, len) ? E_OK : E_RANGE; /* a decoded NUL is a control character */
}

static err_t parse_path(struct request *out, const char **in, char **text)
{
    if (**in != '/')
        return E_RANGE;
    if ((*in)[1] == '\0' || (*in)[1] == '?') { /* the root has no parts */
        (*in)++;
        return E_OK;
    }
    while (**in == '/') {
        if (out->segment_count == SEGMENT_MAX)
            return E_LIMIT;
        (*in)++;
        const char *segment = *text;
        err_t err = decode_part(in, "/?", text);
        if (err != E_OK)
            return err;
        if (*segment == '\0')
            return E_RANGE;
        out->segments[out->segment_count++] = segment;
    }
    return E_OK;
}

static err_t parse_query(struct request *out, const char **in, char **text)
{
    while (**in == '?' || **in == '&') {
        (*in)++;
        if (**in == '\0' && out->query_count == 0)
            return E_OK; /* "/path?" */
        if (out->query_count == QUERY_MAX)
            return E_LIMIT;
        struct parameter p = {*text, ""};
        err_t err = decode_part(in, "=&", text);
        if (err == E_OK && **in == '=') {
            (*in)++;
            p.value = *text;
            err = decode_part(in, "&", text);
        }
        if (err != E_OK)
            return err;
        if (*p.name == '\0')
            return E_RANGE;
        if (request_parameter(out, p.name) != NULL)
            return E_DUPLICATE;
        out->query[out->query_count++] = p;
    }
    return E_OK;
}

err_t request_parse(struct request *out, const char *target)
{
    out->segment_count = 0;
    out->query_count = 0;
    if (strnlen(target, TARGET_MAX + 1) > TARGET_MAX)
        return E_LIMIT;
    if (strncasecmp(target, "http://", 7) == 0) {
        target += 7;
        target += strcspn(target, "/?");
    }
    char *text = out->text;
    err_t err = parse_path(out, &target, &text);
    if (err == E_OK)
        err = parse_query(out, &target, &text);
    if (err == E_OK && *target != '\0')
        err = E_RANGE;
    return err;
}

const char *request_parameter(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    return NULL;
}

err_t request_only(const struct request *request, const char *const *names, const char **name)
{
    for (size_t i = 0; i < request->query_count; i++) {
        size_t k = 0;
        while (names[k] != NULL && strcmp(names[k], request->query[i].name) != 0)
            k++;
        *name = request->query[i].name;
        if (names[k] == NULL)
            return E_UNEXPECTED;
    }
    return E_OK;
}

/* Decimal digits alone. */
static err_t parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0')
        return E_RANGE;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return E_RANGE;
        uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return E_RANGE;
        value = value * 10 + digit;
    }
    *out = value;
    return E_OK;
}

err_t request_number(const struct request *request, const char *name, uint64_t min, uint64_t max,
                     uint64_t *out)
{
    const char *text = request_parameter(request, name);
    uint64_t value;
    if (text == NULL)
        return E_OK;
    if (parse_u64(text, &value) != E_OK || value < min || value > max)
        return E_RANGE;
    *out = value;
    return E_OK;
}

err_t content_length_parse(const char *text, uint64_t *out)
{
    return parse_u64(text, out);
}

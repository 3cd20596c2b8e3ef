/* Request line and headers as anybody may send them: first line the target, second Host, third Origin, fourth
 * If-None-Match, fifth Content-Length, sixth Content-Type. What parses must be plain text and must parse to
 * the same again after being written back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 6, TEXT_MAX = 8 * TARGET_MAX };

static void must(int condition)
{
    if (!condition)
        abort();
}

static size_t encode(char *out, size_t len, char lead, const char *text)
{
    out[len++] = lead;
    for (; *text != '\0'; text++)
        len += (size_t)snprintf(out + len, 4, "%%%02X", (unsigned char)*text);
    out[len] = '\0';
    return len;
}

static void same_again(const struct request *r)
{
    static struct request again;
    static char text[TEXT_MAX];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < r->segment_count; i++) {
        must(r->segments[i][0] != '\0' && text_is_plain(r->segments[i], strlen(r->segments[i])));
        len = encode(text, len, '/', r->segments[i]);
    }
    if (len == 0)
        len = (size_t)snprintf(text, sizeof(text), "/");
    for (size_t i = 0; i < r->query_count; i++) {
        must(text_is_plain(r->query[i].value, strlen(r->query[i].value)));
        must(request_parameter(r, r->query[i].name) == r->query[i].value);
        len = encode(text, len, i == 0 ? '?' : '&', r->query[i].name);
        len = encode(text, len, '=', r->query[i].value);
    }
    if (len > TARGET_MAX)
        return;
    must(request_parse(&again, text) == E_OK);
    must(again.segment_count == r->segment_count && again.query_count == r->query_count);
    for (size_t i = 0; i < r->segment_count; i++)
        must(strcmp(again.segments[i], r->segments[i]) == 0);
    for (size_t i = 0; i < r->query_count; i++)
        must(strcmp(again.query[i].value, r->query[i].value) == 0);
}

static void check(char *lines[LINES])
{
    static struct request r;
    uint64_t number = 7;
    if (request_parse(&r, lines[0]) == E_OK) {
        static const char *const names[] = {"limit", "cursor", NULL};
        const char *name;
        same_again(&r);
        if (request_only(&r, names, &name) != E_OK)
            must(strcmp(name, "limit") != 0 && strcmp(name, "cursor") != 0);
        if (request_number(&r, "limit", 1, 1000, &number) == E_OK)
            must(number >= 1 && number <= 1000);
        else
            must(number == 7);
    }
    if (host_is_ours(lines[1], false))
        must(host_is_ours(lines[1], true));
    origin_is_ours(lines[2], lines[1]);
    if (tag_matches(lines[3], "\"a-1\""))
        must(tag_matches(lines[3], "W/\"a-1\""));
    if (content_length_parse(lines[4], &number) == E_OK)
        must(lines[4][strspn(lines[4], "0123456789")] == '\0');
    media_is_json(lines[5]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *lines[LINES];
    must(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    char *rest = text;
    for (size_t i = 0; i < LINES; i++) {
        lines[i] = rest;
        rest += strcspn(rest, "\n");
        if (*rest == '\n')
            *rest++ = '\0';
    }
    check(lines);
    free(text);
    return 0;
}

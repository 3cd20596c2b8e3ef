/* request_header.c - verdicts over single header values. */
#include <string.h>
#include <strings.h>

#include "api/request.h"

enum { HOST_MAX = 256, PORT_DIGITS_MAX = 5 };

/* ":8480" or nothing. A forwarded port may differ from ours, so its value does not matter. */
static bool is_port(const char *text)
{
    if (*text == '\0')
        return true;
    size_t digits = strspn(text + 1, "0123456789");
    return *text == ':' && digits >= 1 && digits <= PORT_DIGITS_MAX && text[1 + digits] == '\0';
}

/* Letters, digits, '-' and '.', as RFC 1123 2.1 has host names. */
static bool is_name(const char *text)
{
    return *text != '\0' &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.")] == '\0';
}

bool host_is_ours(const char *host, bool any_name)
{
    char name[HOST_MAX];
    struct addr addr;
    bool bracketed = host[0] == '[';
    const char *start = bracketed ? host + 1 : host;
    size_t len = strcspn(start, bracketed ? "]" : ":");
    if (len >= sizeof(name) || (bracketed && start[len] != ']'))
        return false;
    memcpy(name, start, len);
    name[len] = '\0';
    if (!is_port(start + len + (bracketed ? 1 : 0)))
        return false;
    if (addr_parse(&addr, name) == E_OK)
        return addr.family == (bracketed ? AF_INET6 : AF_INET);
    if (bracketed)
        return false;
    return strcasecmp(name, "localhost") == 0 || (any_name && is_name(name));
}

bool origin_is_ours(const char *origin, const char *host)
{
    static const char scheme[] = "http://";
    return strncasecmp(origin, scheme, sizeof(scheme) - 1) == 0 &&
           strcasecmp(origin + sizeof(scheme) - 1, host) == 0;
}

/* "W/"x"" and ""x"" are the same to a weak comparison. */
static const char *opaque_tag(const char *tag)
{
    return tag[0] == 'W' && tag[1] == '/' ? tag + 2 : tag;
}

bool tag_matches(const char *if_none_match, const char *tag)
{
    const char *p = if_none_match;
    const char *wanted = opaque_tag(tag);
    p += strspn(p, " \t");
    if (*p == '*')
        return p[1 + strspn(p + 1, " \t")] == '\0';
    while (*p != '\0') {
        const char *start = opaque_tag(p);
        if (*start != '"')
            return false;
        const char *end = strchr(start + 1, '"');
        if (end == NULL)
            return false;
        size_t len = (size_t)(end - start) + 1;
        if (len == strlen(wanted) && memcmp(start, wanted, len) == 0)
            return true;
        p = end + 1;
        p += strspn(p, " \t,");
    }
    return false;
}

bool media_is_json(const char *content_type)
{
    static const char json[] = "application/json";
    if (strncasecmp(content_type, json, sizeof(json) - 1) != 0)
        return false;
    const char *rest = content_type + sizeof(json) - 1;
    rest += strspn(rest, " \t");
    return *rest == '\0' || *rest == ';';
}

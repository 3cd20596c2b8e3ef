/* request.h - what a client's request line and headers say, taken apart. Pure: bytes in, views and verdicts
 * out. All of it comes from anybody who can reach the port: every length is bounded, nothing is trusted. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
    TARGET_MAX = 2048, /* octets of a request target; E_LIMIT beyond */
    SEGMENT_MAX = 8,   /* parts of a path */
    QUERY_MAX = 8,     /* parameters of a query */
};

struct parameter {
    const char *name;
    const char *value; /* "" when there is no '=' */
};

/* Decoded; all strings are UTF-8 without control characters and point into text. */
struct request {
    char text[TARGET_MAX + 2]; /* each string ends in NUL */
    const char *segments[SEGMENT_MAX];
    size_t segment_count;
    struct parameter query[QUERY_MAX];
    size_t query_count;
};

/* target: "/v1/groups/G1/members?limit=2" (RFC 9112 3.2.1, also the absolute form, 3.2.2, whose authority is
 * left to the Host header). "/a%2Fb" is one part. E_RANGE: malformed, bad percent-encoding, control
 * characters, not UTF-8, an empty part; E_LIMIT: too long, too many parts; E_DUPLICATE: a parameter twice.
 * Pointers go into *out: do not copy it. */
err_t request_parse(struct request *out, const char *target) MUST_USE;
/* Value of a parameter; NULL if it is absent. */
const char *request_parameter(const struct request *request, const char *name);
/* Refuses parameters that are not in the NULL-ended list: E_UNEXPECTED, *name is the first one. */
err_t request_only(const struct request *request, const char *const *names, const char **name) MUST_USE;
/* A decimal parameter within min..max; *out keeps its value if it is absent. E_RANGE. */
err_t request_number(const struct request *request, const char *name, uint64_t min, uint64_t max,
                     uint64_t *out) MUST_USE;

/* UTF-8 without control characters: may stand in JSON, a log line or a terminal. */
bool text_is_plain(const char *text, size_t len);

/* May a request with this Host header be served (against DNS rebinding)? Addresses may be named as such,
 * since a page that came by a rebound name carries that name; "localhost" too. Other names only if any_name.
 */
bool host_is_ours(const char *host, bool any_name);
/* Does an Origin header name the same host and port as the Host header? */
bool origin_is_ours(const char *origin, const char *host);
/* If-None-Match against one tag, weak comparison (RFC 9110 13.1.2, 8.8.3.2). Garbage does not match. */
bool tag_matches(const char *if_none_match, const char *tag);
/* Is this Content-Type application/json, whatever its parameters? */
bool media_is_json(const char *content_type);
/* Content-Length: digits alone, within uint64_t. E_RANGE. */
err_t content_length_parse(const char *text, uint64_t *out) MUST_USE;

#endif

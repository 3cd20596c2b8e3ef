/* reply.h - the answer to a request, before it meets the HTTP library. A zeroed struct is an empty one; the
 * caller owns it and closes it. Errors are problem details (RFC 9457) from problem.def. */
#ifndef API_REPLY_H
#define API_REPLY_H

#include <jansson.h>
#include <stdbool.h>

#include "api/mailbox.h"

enum {
    REPLY_TAG_MAX = 64,    /* bytes with NUL of an entity tag */
    REPLY_ALLOW_MAX = 64,  /* bytes with NUL of an Allow header */
    REPLY_DETAIL_MAX = 512 /* bytes with NUL of a problem's detail; longer ones are cut */
};

enum problem {
#define PROBLEM(name, status, slug, title) PROBLEM_##name,
#include "api/problem.def"
#undef PROBLEM
    PROBLEM_COUNT
};

struct reply {
    unsigned status;
    json_t *body; /* owned; NULL: none, or memory ran out */
    bool is_problem;
    struct bytes octets; /* not empty: sent instead of the body, as it is; borrowed until the reply is sent */
    bool is_text;   /* body is a JSON string, sent as plain text */
    bool has_index; /* read from the store: applied_index and tag are set */
    uint64_t applied_index;
    char tag[REPLY_TAG_MAX];     /* entity tag with its quotes; empty: none */
    char allow[REPLY_ALLOW_MAX]; /* of a 405; empty: none */
    unsigned retry_after_s;      /* 0: not said */
    bool deferred;               /* the answer comes by mail; status is 0 until then */
    struct mail mail;
};

/* Takes body over. NULL means that memory ran out while it was built: the reply is a problem then. */
void reply_json(struct reply *reply, unsigned status, json_t *body);
/* text/plain, as Prometheus reads it. NULL means that memory ran out. */
void reply_text(struct reply *reply, const char *text);
void reply_problem(struct reply *reply, enum problem problem, const char *format, ...) PRINTF_LIKE(3, 4);
/* More members for a problem's or an answer's body; takes value over. */
void reply_add(struct reply *reply, const char *name, json_t *value);
/* The problem that fits an error of the floors below; what: what was tried, for the detail. */
void reply_error(struct reply *reply, err_t err, const char *what);
void reply_close(struct reply *reply);

unsigned problem_status(enum problem problem);

#endif

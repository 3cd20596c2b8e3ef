/* route.h - which handler a request goes to. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/http_server.h"
#include "api/reply.h"
#include "api/request.h"

enum { ROUTE_PARAM_MAX = 2 };

enum method { METHOD_GET, METHOD_POST, METHOD_OTHER };

/* One request on its way through a handler. */
struct call {
    const struct api_options *options;
    enum method method; /* HEAD counts as GET */
    const struct request *request;
    const char *if_none_match; /* NULL: none */
    struct bytes body;
    const char *params[ROUTE_PARAM_MAX]; /* what stood in the place of {g}, {identity} */
    struct store_txn *txn;               /* set by call_read */
};

/* Opens the call's read transaction and sets the reply's index and tag. */
err_t call_read(struct call *call, struct reply *reply) MUST_USE;

/* Finds the route and runs its handler: reply is complete afterwards, or deferred. */
void route_run(struct call *call, struct reply *reply);
/* The answer to a deferred reply's mail came. */
void route_answered(struct reply *reply, const struct mail_answer *answer);

#endif

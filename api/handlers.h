/* handlers.h - what answers each row of routes.def. A handler fills the reply; route_run owns the transaction
 * and the tag. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/route.h"

#define ROUTE(name, method, path, command, summary, role)                                                    \
    void handle_##name(struct call *call, struct reply *reply);
#include "api/routes.def"
#undef ROUTE

#endif

/* handlers.h - what answers each row of routes.def. A handler fills the reply; route_run owns the transaction
 * and the tag. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "api/route.h"

#define ROUTE(name, method, path, command, summary, role)                                                    \
    void handle_##name(struct call *call, struct reply *reply);
#include "api/routes.def"
#undef ROUTE

/* What handlers share (handlers.c). */
/* Refuses parameters outside the NULL-ended list (NULL: none at all) with 400; true if it did. */
bool handler_refuses_query(const struct call *call, struct reply *reply, const char *const *names);
/* Begins to read and finds the group {g}; the caller frees it. On an error the reply is complete. */
err_t handler_group(struct call *call, struct reply *reply, struct group_record **out) MUST_USE;
/* The loop is to answer. */
void handler_defer(struct reply *reply, enum mailbox_kind kind);
/* The body as JSON object with no other member than this one; an empty one where there is no body. NULL:
 * refused. */
json_t *handler_body(struct call *call, struct reply *reply, const char *name);
/* Of this server. */
void handler_node_id(const struct call *call, uint8_t out[NODE_ID_LEN]);

#endif

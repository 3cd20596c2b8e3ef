#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/lookup.h"

bool handler_refuses_query(const struct call *call, struct reply *reply, const char *const *names)
{
    static const char *const none[] = {NULL};
    const char *name;
    if (request_only(call->request, names != NULL ? names : none, &name) == E_OK)
        return false;
    reply_problem(reply, PROBLEM_BAD_REQUEST, "Unknown parameter %s", name);
    return true;
}

err_t handler_group(struct call *call, struct reply *reply, struct group_record **out)
{
    *out = NULL;
    struct group_record *group = malloc(sizeof(*group));
    err_t err = group == NULL ? E_NO_MEMORY : call_read(call, reply);
    if (err == E_OK)
        err = lookup_group(call->txn, call->params[0], group);
    if (err == E_OK) {
        *out = group;
        return E_OK;
    }
    free(group);
    struct api_health health = {0};
    call->options->health(call->options->context, &health);
    /* Until the log is applied the store may be empty: nobody can say that a group is not there. */
    if (err == E_NOT_FOUND && !health.ready)
        reply_problem(reply, PROBLEM_NOT_READY, "%s", health.reason);
    else if (err == E_NOT_FOUND)
        reply_problem(reply, PROBLEM_NO_SUCH_GROUP, "%s", call->params[0]);
    else
        reply_error(reply, err, "Reading the group");
    return err;
}

void handler_node_id(const struct call *call, uint8_t out[NODE_ID_LEN])
{
    struct api_health health = {0};
    call->options->health(call->options->context, &health);
    memcpy(out, health.node_id, NODE_ID_LEN);
}

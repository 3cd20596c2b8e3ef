/* handlers_health.c - for probes: /livez says whether to restart the server, /readyz whether to send members
 * to it. */
#include <stdlib.h>

#include "api/handlers.h"
#include "api/view.h"

static json_t *raft_json(const struct api_health *health)
{
    json_t *raft = json_pack("{s:s, s:I, s:I, s:I}", "role", health->raft_role, "term",
                             (json_int_t)health->term, "commit_index", (json_int_t)health->commit_index,
                             "applied_index", (json_int_t)health->applied_index);
    if (raft != NULL && health->voters > 0 &&
        json_object_set_new(raft, "voters", json_integer(health->voters)) != 0) {
        json_decref(raft);
        return NULL;
    }
    return raft;
}

static json_t *health_json(const struct api_health *health)
{
    return json_pack("{s:b, s:b, s:o, s:o, s:o, s:s, s:o, s:o, s:I, s:b, s:b, s:o}", "live", health->live, "ready",
                     health->ready, "reason", view_text(health->reason), "node_id",
                     view_hex(health->node_id, NODE_ID_LEN, ""), "listen",
                     health->listen.addr.family != 0 ? view_endpoint(&health->listen) : json_null(),
                     "version", QUORATE_VERSION, "started", view_time(health->started_ms), "raft",
                     raft_json(health), "coop_epoch", (json_int_t)health->coop_epoch, "primary",
                     health->primary, "witness", health->witness, "minority", view_minority(health->minority_ms));
}

static void reply_health(struct call *call, struct reply *reply, bool for_ready)
{
    struct api_health health = {0};
    if (handler_refuses_query(call, reply, NULL))
        return;
    call->options->health(call->options->context, &health);
    json_t *body = health_json(&health);
    if (for_ready ? health.ready : health.live) {
        reply_json(reply, 200, body);
        return;
    }
    reply_problem(reply, PROBLEM_NOT_READY, "%s",
                  !for_ready                 ? "The server's loop does not run"
                  : health.reason[0] != '\0' ? health.reason
                                             : "No reason is known");
    if (body != NULL && reply->body != NULL)
        json_object_update_missing(reply->body, body);
    json_decref(body);
}

void handle_livez(struct call *call, struct reply *reply)
{
    reply_health(call, reply, false);
}

void handle_readyz(struct call *call, struct reply *reply)
{
    reply_health(call, reply, true);
}

void handle_metrics(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    char *text = call->options->metrics(call->options->context);
    reply_text(reply, text);
    free(text);
}

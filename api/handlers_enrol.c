/* handlers_enrol.c - members that get their pre-shared key by a token. */
#include <string.h>

#include "api/handlers.h"

/* An address into the mail. */
static void take_member(struct reply *reply, const char *text)
{
    if (text != NULL && addr_parse(&reply->mail.member, text) == E_OK)
        return;
    reply->deferred = false;
    reply_problem(reply, PROBLEM_BAD_REQUEST, "member: expected the address of a member");
}

void handle_enrol_token(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    json_t *body = handler_body(call, reply, "member");
    if (body == NULL)
        return;
    size_t len = strlen(call->params[0]);
    if (len >= GROUP_NAME_MAX) {
        reply_problem(reply, PROBLEM_NO_SUCH_GROUP, "%s", call->params[0]);
    } else {
        handler_defer(reply, MAIL_ENROL_TOKEN);
        memcpy(reply->mail.group, call->params[0], len + 1);
        take_member(reply, json_string_value(json_object_get(body, "member")));
    }
    json_decref(body);
}

void handle_enrol_revoke(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    handler_defer(reply, MAIL_ENROL_REVOKE);
    take_member(reply, call->params[0]);
}

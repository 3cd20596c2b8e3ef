/* handlers_group.c - groups, their policy, their rekeys. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/lookup.h"

static err_t group_json(struct call *call, const struct group_record *group,
                        const uint8_t node_id[NODE_ID_LEN], json_t **out)
{
    struct member_count count;
    struct rekey_record rekey;
    *out = NULL;
    err_t err = lookup_member_count(call->txn, group->id, node_id, &count);
    if (err != E_OK)
        return err;
    err = lookup_last_rekey(call->txn, group->id, &rekey);
    if (err != E_OK && err != E_NOT_FOUND)
        return err;
    *out =
        view_group(group, &count, err == E_OK ? &rekey : NULL, call->options->now_ms(call->options->context));
    return *out != NULL ? E_OK : E_NO_MEMORY;
}

void handle_group(struct call *call, struct reply *reply)
{
    struct group_record *group;
    uint8_t node_id[NODE_ID_LEN];
    json_t *body;
    if (handler_refuses_query(call, reply, NULL) || handler_group(call, reply, &group) != E_OK)
        return;
    handler_node_id(call, node_id);
    err_t err = group_json(call, group, node_id, &body);
    if (err == E_OK)
        reply_json(reply, 200, body);
    else
        reply_error(reply, err, "Reading the group");
    free(group);
}

struct group_list {
    struct call *call;
    struct group_record *group;
    uint8_t node_id[NODE_ID_LEN];
    json_t *array;
    err_t err;
};

static bool list_group(void *context, struct bytes key, struct bytes value)
{
    struct group_list *list = context;
    json_t *json = NULL;
    (void)key;
    list->err = group_record_decode(list->group, value) == E_OK ? E_OK : E_CORRUPT;
    if (list->err == E_OK)
        list->err = group_json(list->call, list->group, list->node_id, &json);
    if (list->err == E_OK && json_array_append_new(list->array, json) != 0)
        list->err = E_NO_MEMORY;
    return list->err == E_OK;
}

void handle_groups(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    struct group_list list = {.call = call, .group = malloc(sizeof(*list.group)), .array = json_array()};
    handler_node_id(call, list.node_id);
    err_t err = list.group != NULL && list.array != NULL ? call_read(call, reply) : E_NO_MEMORY;
    if (err == E_OK)
        err = store_each(call->txn, TABLE_GROUP, (struct bytes){0}, list_group, &list);
    if (err == E_OK)
        err = list.err;
    if (err == E_OK)
        reply_json(reply, 200, json_pack("{s:O}", "groups", list.array));
    else
        reply_error(reply, err, "Reading the groups");
    json_decref(list.array);
    free(list.group);
}

void handle_policy(struct call *call, struct reply *reply)
{
    struct group_record *group;
    struct signing_record *signing = NULL;
    if (handler_refuses_query(call, reply, NULL) || handler_group(call, reply, &group) != E_OK)
        return;
    signing = malloc(sizeof(*signing));
    err_t err = signing == NULL
                    ? E_NO_MEMORY
                    : lookup_signing(call->txn, group->has_kek ? group->kek.signing_version : 0, signing);
    uint64_t now_ms = call->options->now_ms(call->options->context);
    if (err == E_OK || err == E_NOT_FOUND)
        reply_json(reply, 200, view_policy(group, err == E_OK ? signing : NULL, now_ms));
    else
        reply_error(reply, err, "Reading the signing key's description");
    free(signing);
    free(group);
}

struct rekey_list {
    json_t *array;
    err_t err;
};

static bool list_rekey(void *context, struct bytes key, struct bytes value)
{
    struct rekey_list *list = context;
    struct rekey_record rekey;
    (void)key;
    if (rekey_record_decode(&rekey, value) != E_OK)
        list->err = E_CORRUPT;
    else if (json_array_insert_new(list->array, 0, view_rekey(&rekey)) != 0)
        list->err = E_NO_MEMORY;
    return list->err == E_OK;
}

void handle_rekeys(struct call *call, struct reply *reply)
{
    struct group_record *group;
    if (handler_refuses_query(call, reply, NULL) || handler_group(call, reply, &group) != E_OK)
        return;
    struct rekey_list list = {json_array(), E_OK};
    err_t err = list.array == NULL ? E_NO_MEMORY
                                   : lookup_rows(call->txn, TABLE_REKEY, group->id, NULL, list_rekey, &list);
    if (err == E_OK)
        err = list.err;
    if (err == E_OK)
        reply_json(reply, 200, json_pack("{s:s, s:O}", "group", call->params[0], "rekeys", list.array));
    else
        reply_error(reply, err, "Reading the rekeys");
    json_decref(list.array);
    free(group);
}

/* No body, or an object without members: there is nothing to say yet beyond the path. */
static bool body_is_empty(const struct call *call, struct reply *reply)
{
    json_error_t error;
    if (call->body.len == 0)
        return true;
    json_t *json = json_loadb((const char *)call->body.data, call->body.len, JSON_REJECT_DUPLICATES, &error);
    bool empty = json_is_object(json) && json_object_size(json) == 0;
    if (json == NULL)
        reply_problem(reply, PROBLEM_BAD_REQUEST, "The body is no JSON: %s", error.text);
    else if (!empty)
        reply_problem(reply, PROBLEM_BAD_REQUEST, "The body may be {} or absent");
    json_decref(json);
    return empty;
}

void handle_rekey(struct call *call, struct reply *reply)
{
    struct group_record *group;
    if (handler_refuses_query(call, reply, NULL) || !body_is_empty(call, reply) ||
        handler_group(call, reply, &group) != E_OK)
        return;
    reply->mail = (struct mail){.kind = MAIL_REKEY};
    memcpy(reply->mail.group, group->config.name, sizeof(reply->mail.group));
    reply->has_index = false; /* the answer has its own */
    reply->tag[0] = '\0';
    reply->deferred = true;
    free(group);
}

void handle_signing_rotate(struct call *call, struct reply *reply)
{
    if (!handler_refuses_query(call, reply, NULL) && body_is_empty(call, reply))
        handler_defer(reply, MAIL_SIGNING_ROTATE);
}

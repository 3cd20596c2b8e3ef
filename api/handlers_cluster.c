/* handlers_cluster.c - the key servers among themselves. */
#include <string.h>

#include "api/handlers.h"
#include "api/view.h"
#include "base/hex.h"

static const char *role_word(enum node_role role)
{
    return role == NODE_WITNESS ? "witness" : role == NODE_STANDBY ? "standby" : "voter";
}

static json_t *node_json(const struct api_node *n)
{
    bool heard = n->heard_ms != UINT64_MAX;
    return json_pack("{s:o, s:s, s:i, s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:I, s:o}", "node_id",
                     view_hex(n->node.id, NODE_ID_LEN, ""), "role", role_word(n->node.role), "priority",
                     (int)n->node.priority, "address", view_addr(&n->node.address), "cluster_endpoint",
                     view_endpoint(&n->node.cluster), "self", n->self, "primary", n->primary, "leader",
                     n->leader, "connected", n->connected, "heard_ms",
                     heard ? json_integer((json_int_t)n->heard_ms) : json_null(), "applied_index",
                     (json_int_t)n->applied_index, "level",
                     n->level != 0 ? json_integer((json_int_t)n->level) : json_null());
}

/* A hash that was taken at no index yet is none. */
static json_t *hash_json(const uint8_t hash[32], uint64_t index)
{
    char text[65];
    return index != 0 ? json_string(hex_text(text, hash, 32)) : json_null();
}

/* Takes nodes over. */
static json_t *cluster_json(const struct api_cluster *c, json_t *nodes)
{
    json_t *marked = json_pack("{s:o, s:I, s:b, s:I}", "hash", hash_json(c->mark_hash, c->mark_index),
                               "index", (json_int_t)c->mark_index, "diverged", (int)c->diverged,
                               "differences", (json_int_t)c->divergences);
    return json_pack("{s:o, s:I, s:I, s:I, s:o, s:I, s:o, s:b, s:I, s:I, s:o, s:o}", "cluster_id",
                     view_hex(c->cluster_id, CLUSTER_ID_LEN, ""), "coop_epoch", (json_int_t)c->coop_epoch,
                     "term", (json_int_t)c->term, "voters", (json_int_t)c->voters, "state_hash",
                     hash_json(c->state_hash, c->hash_index), "hash_index", (json_int_t)c->hash_index, "mark",
                     marked, "disk_slow", (int)c->disk_slow, "join_refused", (json_int_t)c->join_refused,
                     "level", (json_int_t)c->level, "minority", view_minority(c->minority_ms), "nodes",
                     nodes);
}

/* The cluster now, and what 'one' says of each of its nodes. NULL: it was refused. */
static json_t *list_nodes(struct call *call, struct reply *reply, json_t *(*one)(const struct api_node *n),
                          struct api_cluster *cluster)
{
    *cluster = (struct api_cluster){0};
    if (handler_refuses_query(call, reply, NULL))
        return NULL;
    if (call->options->cluster != NULL)
        call->options->cluster(call->options->context, cluster);
    json_t *list = json_array();
    for (size_t i = 0; i < cluster->node_count && list != NULL; i++) {
        if (json_array_append_new(list, one(&cluster->nodes[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    if (list == NULL)
        reply_error(reply, E_NO_MEMORY, "The cluster");
    return list;
}

void handle_cluster(struct call *call, struct reply *reply)
{
    struct api_cluster cluster;
    json_t *nodes = list_nodes(call, reply, node_json, &cluster);
    if (nodes != NULL)
        reply_json(reply, 200, cluster_json(&cluster, nodes));
}

void handler_defer(struct reply *reply, enum mailbox_kind kind)
{
    reply->mail = (struct mail){.kind = kind};
    reply->deferred = true;
}

json_t *handler_body(struct call *call, struct reply *reply, const char *name)
{
    const char *key;
    json_t *value;
    json_t *body = call->body.len == 0 ? json_object()
                                       : json_loadb((const char *)call->body.data, call->body.len,
                                                    JSON_REJECT_DUPLICATES, NULL);
    json_object_foreach(body, key, value)
    {
        if (strcmp(key, name) == 0)
            continue;
        reply_problem(reply, PROBLEM_BAD_REQUEST, "The body has no member but %s", name);
        json_decref(body);
        return NULL;
    }
    if (json_is_object(body))
        return body;
    reply_problem(reply, PROBLEM_BAD_REQUEST, "The body must be a JSON object");
    json_decref(body);
    return NULL;
}

void handle_cluster_token(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    json_t *body = handler_body(call, reply, "role");
    if (body == NULL)
        return;
    const json_t *role = json_object_get(body, "role");
    uint32_t number = role == NULL ? NODE_VOTER : 0;
    for (uint32_t i = NODE_VOTER; i <= NODE_STANDBY && json_is_string(role); i++) {
        if (strcmp(json_string_value(role), role_word((enum node_role)i)) == 0)
            number = i;
    }
    json_decref(body);
    if (number == 0) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "role: expected \"voter\", \"witness\" or \"standby\"");
        return;
    }
    handler_defer(reply, MAIL_JOIN_TOKEN);
    reply->mail.number = number;
}

/* A node's id in hex, into the mail. */
static bool take_node(struct reply *reply, const char *id)
{
    size_t len = strlen(id);
    if (len != 2 * NODE_ID_LEN || strspn(id, "0123456789abcdefABCDEF") != len) {
        reply->deferred = false;
        reply_problem(reply, PROBLEM_BAD_REQUEST, "A node is named by the 32 hex digits of its id");
        return false;
    }
    for (size_t i = 0; i < len; i++)
        reply->mail.group[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] - 'A' + 'a' : id[i]);
    return true;
}

void handle_cluster_remove(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    handler_defer(reply, MAIL_NODE_REMOVE);
    (void)take_node(reply, call->params[0]);
}

void handle_cluster_transfer(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    json_t *body = handler_body(call, reply, "node");
    if (body == NULL)
        return;
    const json_t *node = json_object_get(body, "node");
    handler_defer(reply, MAIL_TRANSFER);
    if (node != NULL)
        (void)take_node(reply, json_is_string(node) ? json_string_value(node) : "");
    json_decref(body);
}

void handle_cluster_step_down(struct call *call, struct reply *reply)
{
    if (!handler_refuses_query(call, reply, NULL))
        handler_defer(reply, MAIL_STEP_DOWN);
}

void handle_cluster_hash(struct call *call, struct reply *reply)
{
    if (!handler_refuses_query(call, reply, NULL))
        handler_defer(reply, MAIL_STATE_MARK);
}

void handle_cluster_backup(struct call *call, struct reply *reply)
{
    if (!handler_refuses_query(call, reply, NULL))
        handler_defer(reply, MAIL_BACKUP);
}

void handle_cluster_priority(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    json_t *body = handler_body(call, reply, "priority");
    if (body == NULL)
        return;
    const json_t *priority = json_object_get(body, "priority");
    json_int_t number = json_is_integer(priority) ? json_integer_value(priority) : -1;
    json_decref(body);
    if (number < 0 || number > 255) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "priority: expected a number from 0 to 255");
        return;
    }
    handler_defer(reply, MAIL_PRIORITY);
    reply->mail.number = (uint32_t)number;
    (void)take_node(reply, call->params[0]);
}

static json_t *cert_json(const struct api_node *n)
{
    const struct node_cert *cert = &n->node.cert;
    char fingerprint[65];
    bool known = cert->not_after_s != 0;
    return json_pack("{s:o, s:o, s:b, s:o, s:s, s:o, s:o}", "node_id", view_hex(n->node.id, NODE_ID_LEN, ""),
                     "address", view_addr(&n->node.address), "self", n->self, "serial",
                     known ? view_hex(cert->serial, NODE_SERIAL_LEN, "") : json_null(), "fingerprint",
                     known ? hex_text(fingerprint, cert->fingerprint, 32) : "", "not_before",
                     view_time(cert->not_before_s * 1000), "not_after", view_time(cert->not_after_s * 1000));
}

void handle_cluster_certs(struct call *call, struct reply *reply)
{
    struct api_cluster cluster;
    json_t *certs = list_nodes(call, reply, cert_json, &cluster);
    if (certs != NULL)
        reply_json(reply, 200, json_pack("{s:o}", "certs", certs));
}

void handle_cluster_renew(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    handler_defer(reply, MAIL_CERT_RENEW);
    (void)take_node(reply, call->params[0]);
}

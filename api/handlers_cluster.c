/* handlers_cluster.c - the key servers among themselves. */
#include <string.h>

#include "api/handlers.h"
#include "api/view.h"

static const char *role_word(enum node_role role)
{
    return role == NODE_WITNESS ? "witness" : role == NODE_STANDBY ? "standby" : "voter";
}

static json_t *node_json(const struct api_node *n)
{
    bool heard = n->heard_ms != UINT64_MAX;
    return json_pack("{s:o, s:s, s:i, s:o, s:o, s:b, s:b, s:b, s:b, s:o, s:I}", "node_id",
                     view_hex(n->node.id, NODE_ID_LEN, ""), "role", role_word(n->node.role), "priority",
                     (int)n->node.priority, "address", view_addr(&n->node.address), "cluster_endpoint",
                     view_endpoint(&n->node.cluster), "self", n->self, "primary", n->primary, "leader",
                     n->leader, "connected", n->connected, "heard_ms",
                     heard ? json_integer((json_int_t)n->heard_ms) : json_null(), "applied_index",
                     (json_int_t)n->applied_index);
}

void handle_cluster(struct call *call, struct reply *reply)
{
    struct api_cluster cluster = {0};
    if (handler_refuses_query(call, reply, NULL))
        return;
    if (call->options->cluster != NULL)
        call->options->cluster(call->options->context, &cluster);
    json_t *nodes = json_array();
    for (size_t i = 0; i < cluster.node_count && nodes != NULL; i++) {
        if (json_array_append_new(nodes, node_json(&cluster.nodes[i])) != 0) {
            json_decref(nodes);
            nodes = NULL;
        }
    }
    if (nodes == NULL) {
        reply_error(reply, E_NO_MEMORY, "The cluster");
        return;
    }
    char hash[65] = "";
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(cluster.state_hash); i++) {
        hash[2 * i] = digits[cluster.state_hash[i] >> 4];
        hash[2 * i + 1] = digits[cluster.state_hash[i] & 15];
    }
    reply_json(reply, 200,
               json_pack("{s:o, s:I, s:I, s:I, s:s, s:I, s:o}", "cluster_id",
                         view_hex(cluster.cluster_id, CLUSTER_ID_LEN, ""), "coop_epoch",
                         (json_int_t)cluster.coop_epoch, "term", (json_int_t)cluster.term, "voters",
                         (json_int_t)cluster.voters, "state_hash", hash, "hash_index",
                         (json_int_t)cluster.hash_index, "nodes", nodes));
}

static void defer(struct reply *reply, enum mailbox_kind kind)
{
    reply->mail = (struct mail){.kind = kind};
    reply->deferred = true;
}

void handle_cluster_token(struct call *call, struct reply *reply)
{
    if (handler_refuses_query(call, reply, NULL))
        return;
    defer(reply, MAIL_JOIN_TOKEN);
}

void handle_cluster_remove(struct call *call, struct reply *reply)
{
    const char *id = call->params[0];
    size_t len = strlen(id);
    if (handler_refuses_query(call, reply, NULL))
        return;
    if (len != 2 * NODE_ID_LEN || strspn(id, "0123456789abcdefABCDEF") != len) {
        reply_problem(reply, PROBLEM_BAD_REQUEST, "A node is named by the 32 hex digits of its id");
        return;
    }
    defer(reply, MAIL_NODE_REMOVE);
    for (size_t i = 0; i < len; i++)
        reply->mail.group[i] = (char)(id[i] >= 'A' && id[i] <= 'F' ? id[i] - 'A' + 'a' : id[i]);
}

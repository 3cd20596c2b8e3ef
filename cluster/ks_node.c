/* ks_node.c - the key servers of the cluster, its certificate authority and its join tokens, as replicated
 * state. Token ids and node ids have the same length and lie in their arrays in ascending order. */
#include <string.h>

#include "cluster/ks_internal.h"

_Static_assert((int)JOIN_ID_LEN == (int)NODE_ID_LEN, "node_row_key serves both tables");

/* Where the id is, or would be. */
static size_t node_place(const struct ks_state *state, const uint8_t id[NODE_ID_LEN], bool *found)
{
    size_t at = 0;
    while (at < state->node_count && memcmp(state->nodes[at].id, id, NODE_ID_LEN) < 0)
        at++;
    *found = at < state->node_count && memcmp(state->nodes[at].id, id, NODE_ID_LEN) == 0;
    return at;
}

static size_t token_place(const struct ks_state *state, const uint8_t id[JOIN_ID_LEN], bool *found)
{
    size_t at = 0;
    while (at < state->token_count && memcmp(state->tokens[at].id, id, JOIN_ID_LEN) < 0)
        at++;
    *found = at < state->token_count && memcmp(state->tokens[at].id, id, JOIN_ID_LEN) == 0;
    return at;
}

const struct node_record *ks_state_node(const struct ks_state *state, const uint8_t id[NODE_ID_LEN])
{
    bool found;
    size_t at = node_place(state, id, &found);
    return found ? &state->nodes[at] : NULL;
}

const struct node_record *ks_state_node_by_raft(const struct ks_state *state, uint64_t raft_id)
{
    for (size_t i = 0; i < state->node_count; i++) {
        if (node_raft_id(state->nodes[i].id) == raft_id)
            return &state->nodes[i];
    }
    return NULL;
}

const struct join_record *ks_state_token(const struct ks_state *state, const uint8_t id[JOIN_ID_LEN])
{
    bool found;
    size_t at = token_place(state, id, &found);
    return found ? &state->tokens[at] : NULL;
}

bool ks_state_take_request(struct ks_state *state, struct store_txn *txn, const uint8_t node_id[NODE_ID_LEN],
                           uint64_t request)
{
    bool found;
    size_t at = node_place(state, node_id, &found);
    if (!found)
        return true;
    struct ks_apply a = {.state = state, .txn = txn};
    if (request <= state->nodes[at].request)
        return false;
    state->nodes[at].request = request;
    ks_put_node(&a, &state->nodes[at]);
    return true;
}

static err_t set_node(struct ks_apply *a, const struct node_record *node)
{
    struct ks_state *state = a->state;
    bool found;
    size_t at = node_place(state, node->id, &found);
    const struct node_record *twin = ks_state_node_by_raft(state, node_raft_id(node->id));
    if (node->priority == 0 || node->role < NODE_VOTER || node->role > NODE_STANDBY)
        return E_RANGE;
    if (!found && twin != NULL)
        return E_EXISTS; /* Raft could not tell them apart */
    if (!found && state->node_count == KS_NODE_MAX)
        return E_FULL;
    struct node_record before = found ? state->nodes[at] : (struct node_record){0};
    if (!found) {
        memmove(&state->nodes[at + 1], &state->nodes[at], (state->node_count - at) * sizeof(state->nodes[0]));
        state->node_count++;
    }
    state->nodes[at] = *node;
    state->nodes[at].request = before.request;
    state->nodes[at].cert = before.cert;
    state->nodes[at].priority_set = before.priority_set;
    if (before.priority_set)
        state->nodes[at].priority = before.priority;
    state->nodes[at].changed_ms = a->now_ms;
    a->result->created = !found;
    a->result->changed = true;
    ks_put_node(a, &state->nodes[at]);
    return E_OK;
}

err_t ks_apply_node_set(struct ks_apply *a, const struct cmd_node_set *c)
{
    return set_node(a, &c->node);
}

static struct node_record *node_of(struct ks_state *state, const uint8_t id[NODE_ID_LEN])
{
    bool found;
    size_t at = node_place(state, id, &found);
    return found ? &state->nodes[at] : NULL;
}

err_t ks_apply_node_priority(struct ks_apply *a, const struct cmd_node_priority *c)
{
    struct node_record *node = node_of(a->state, c->id);
    if (node == NULL)
        return E_NOT_FOUND;
    node->priority_set = c->priority != 0;
    if (c->priority != 0)
        node->priority = c->priority;
    node->changed_ms = a->now_ms;
    a->result->changed = true;
    ks_put_node(a, node);
    return E_OK;
}

err_t ks_apply_node_cert(struct ks_apply *a, const struct cmd_node_cert *c)
{
    struct node_record *node = node_of(a->state, c->id);
    if (node == NULL)
        return E_NOT_FOUND;
    node->cert = c->cert;
    ks_put_node(a, node);
    return E_OK;
}

err_t ks_apply_node_remove(struct ks_apply *a, const struct cmd_node_remove *c)
{
    struct ks_state *state = a->state;
    bool found;
    size_t at = node_place(state, c->id, &found);
    if (!found)
        return E_NOT_FOUND;
    if (memcmp(state->cluster.primary_id, c->id, NODE_ID_LEN) == 0)
        return E_STATE; /* another one must be primary first */
    struct row_key key = node_row_key(c->id);
    ks_drop(a, TABLE_NODE, &key);
    state->node_count--;
    memmove(&state->nodes[at], &state->nodes[at + 1], (state->node_count - at) * sizeof(state->nodes[0]));
    state->nodes[state->node_count] = (struct node_record){0};
    return E_OK;
}

err_t ks_apply_ca_set(struct ks_apply *a, const struct cmd_ca_set *c)
{
    if (a->state->ca.cert_len != 0)
        return E_EXISTS;
    if (c->ca.cert_len == 0)
        return E_RANGE;
    a->state->ca = c->ca;
    ks_put_ca(a);
    return E_OK;
}

static void drop_token(struct ks_apply *a, size_t at)
{
    struct ks_state *state = a->state;
    struct row_key key = node_row_key(state->tokens[at].id);
    ks_drop(a, TABLE_TOKEN, &key);
    state->token_count--;
    memmove(&state->tokens[at], &state->tokens[at + 1], (state->token_count - at) * sizeof(state->tokens[0]));
    state->tokens[state->token_count] = (struct join_record){0};
}

err_t ks_apply_token_set(struct ks_apply *a, const struct cmd_join_token_set *c)
{
    struct ks_state *state = a->state;
    bool found, full = state->token_count == JOIN_TOKEN_MAX;
    for (size_t i = state->token_count; full && i-- > 0;) {
        if (state->tokens[i].expires_ms <= a->now_ms)
            drop_token(a, i);
    }
    size_t at = token_place(state, c->token.id, &found);
    if (found)
        return E_EXISTS;
    if (state->token_count == JOIN_TOKEN_MAX)
        return E_FULL;
    memmove(&state->tokens[at + 1], &state->tokens[at], (state->token_count - at) * sizeof(state->tokens[0]));
    state->token_count++;
    state->tokens[at] = c->token;
    ks_put_token(a, &state->tokens[at]);
    return E_OK;
}

err_t ks_apply_token_used(struct ks_apply *a, const struct cmd_join_token_used *c)
{
    bool found;
    size_t at = token_place(a->state, c->token_id, &found);
    if (!found)
        return E_AUTH;
    struct join_record used = a->state->tokens[at];
    bool again = used.used;
    err_t err = join_record_use(&used, c->request_mac, a->now_ms);
    if (err == E_OK && !again)
        err = ks_state_node(a->state, c->node.id) != NULL ? E_EXISTS : set_node(a, &c->node);
    if (err != E_OK)
        return err;
    a->state->tokens[at] = used;
    ks_put_token(a, &a->state->tokens[at]);
    return E_OK;
}

err_t ks_load_node(struct ks_state *state, const struct node_record *node)
{
    if (state->node_count == KS_NODE_MAX)
        return E_CORRUPT;
    state->nodes[state->node_count++] = *node;
    return E_OK;
}

err_t ks_load_token(struct ks_state *state, const struct join_record *token)
{
    if (state->token_count == JOIN_TOKEN_MAX)
        return E_CORRUPT;
    state->tokens[state->token_count++] = *token;
    return E_OK;
}

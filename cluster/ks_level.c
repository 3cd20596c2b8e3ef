/* ks_level.c - the cluster's level as replicated state: CLUSTER_LEVEL_SET and its row. */
#include <string.h>

#include "cluster/ks_internal.h"

static bool was_asked(const struct cmd_cluster_level_set *c, const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < c->asked_count; i++) {
        if (memcmp(c->asked[i], id, NODE_ID_LEN) == 0)
            return true;
    }
    return false;
}

/* Somebody may have joined since the leader asked: then it asks again. */
err_t ks_apply_level_set(struct ks_apply *a, const struct cmd_cluster_level_set *c)
{
    struct ks_state *state = a->state;
    bool all = true;
    for (size_t i = 0; i < state->node_count; i++)
        all &= was_asked(c, state->nodes[i].id);
    if (c->level <= state->level || !all) {
        a->result->err = E_STALE;
        return E_OK;
    }
    state->level = c->level;
    a->result->changed = true;
    ks_put_level(a);
    return state->level <= state->build->level ? E_OK : E_OLD_BUILD;
}

err_t ks_load_level(struct ks_state *state, struct store_txn *txn)
{
    struct row_key key = level_row_key();
    struct bytes row;
    err_t err = store_get(txn, TABLE_META, row_key_bytes(&key), &row);
    if (err == E_NOT_FOUND)
        return E_OK;
    if (err == E_OK)
        err = level_record_decode(&state->level, row) == E_OK ? E_OK : E_CORRUPT;
    if (err == E_OK && state->level > state->build->level)
        return E_OLD_BUILD;
    return err;
}

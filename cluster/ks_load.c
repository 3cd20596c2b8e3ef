#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"

struct load {
    struct ks_state *state;
    err_t err;
};

static bool stop(struct load *l, err_t err)
{
    l->err = err == E_NO_MEMORY ? err : E_CORRUPT;
    return false;
}

/* A row's key is made of its content: one that lies elsewhere was not written by us. */
static bool key_fits(struct row_key wanted, struct bytes key)
{
    return bytes_equal(row_key_bytes(&wanted), key);
}

static bool load_group(void *context, struct bytes key, struct bytes value)
{
    struct load *l = context;
    struct ks_group *group;
    struct group_record record;
    err_t err = group_record_decode(&record, value);
    if (err != E_OK || !key_fits(group_row_key(record.id), key))
        return stop(l, E_CORRUPT);
    err = ks_group_add(l->state, record.id, &group);
    if (err != E_OK)
        return stop(l, err);
    group->record = record;
    return true;
}

static bool load_member(void *context, struct bytes key, struct bytes value)
{
    struct load *l = context;
    struct member_record record;
    err_t err = member_record_decode(&record, value);
    struct ks_group *group = err == E_OK ? ks_group_at(l->state, record.group_id) : NULL;
    if (group == NULL || !key_fits(member_row_key(record.group_id, &record.identity), key))
        return stop(l, E_CORRUPT);
    struct ks_member *member = ks_member_new(record.group_id, &record.identity);
    if (member == NULL)
        return stop(l, E_NO_MEMORY);
    member->record = record;
    member->record.quarantine = NULL; /* borrowed from the row */
    member->record.quarantined_ms = 0;
    if (record.quarantined_ms != 0)
        err = ks_member_quarantine(member, record.quarantined_ms, record.quarantine);
    if (err == E_OK)
        err = map_insert(&group->members, ks_member_key(member), member);
    if (err == E_OK)
        return true;
    ks_member_free(member);
    return stop(l, err);
}

static bool load_psk(void *context, struct bytes key, struct bytes value)
{
    struct load *l = context;
    struct ks_psk *psk = calloc(1, sizeof(*psk));
    if (psk == NULL)
        return stop(l, E_NO_MEMORY);
    err_t err = psk_record_decode(&psk->record, value);
    psk->key = psk_row_key(&psk->record.peer);
    if (err != E_OK || !key_fits(psk->key, key))
        err = E_CORRUPT;
    else
        err = map_insert(&l->state->psks, row_key_bytes(&psk->key), psk);
    if (err == E_OK)
        return true;
    free(psk);
    return stop(l, err);
}

static bool load_node(void *context, struct bytes key, struct bytes value)
{
    struct load *l = context;
    struct node_record node;
    err_t err = node_record_decode(&node, value);
    if (err == E_OK && key_fits(node_row_key(node.id), key))
        err = ks_load_node(l->state, &node);
    else
        err = E_CORRUPT;
    return err == E_OK || stop(l, err);
}

static bool load_token(void *context, struct bytes key, struct bytes value)
{
    struct load *l = context;
    struct join_record token;
    err_t err = join_record_decode(&token, value);
    if (err == E_OK && key_fits(node_row_key(token.id), key))
        err = ks_load_token(l->state, &token);
    else
        err = E_CORRUPT;
    return err == E_OK || stop(l, err);
}

/* Rows of before previous keys were kept have none. */
static err_t load_previous(struct ks_state *state, struct store_txn *txn)
{
    struct row_key key = previous_row_key();
    struct bytes value;
    err_t err = store_get(txn, TABLE_SIGNING, row_key_bytes(&key), &value);
    if (err != E_OK)
        return err == E_NOT_FOUND ? E_OK : err;
    err = signing_record_decode(&state->previous_signing, value);
    return err == E_OK && state->previous_signing.version + 1 == state->signing.version ? E_OK : E_CORRUPT;
}

static err_t load_singles(struct ks_state *state, struct store_txn *txn)
{
    struct row_key key = single_row_key();
    struct bytes value;
    err_t err = store_get(txn, TABLE_META, row_key_bytes(&key), &value);
    if (err == E_OK) {
        state->initialised = true;
        err = cluster_record_decode(&state->cluster, value) == E_OK ? E_OK : E_CORRUPT;
    }
    if (err != E_OK && err != E_NOT_FOUND)
        return err;
    err = store_get(txn, TABLE_SIGNING, row_key_bytes(&key), &value);
    if (err == E_OK)
        err = signing_record_decode(&state->signing, value) == E_OK ? E_OK : E_CORRUPT;
    if (err == E_OK)
        err = load_previous(state, txn);
    if (err != E_OK && err != E_NOT_FOUND)
        return err;
    err = store_get(txn, TABLE_CA, row_key_bytes(&key), &value);
    if (err == E_OK)
        err = ca_record_decode(&state->ca, value) == E_OK ? E_OK : E_CORRUPT;
    return err == E_NOT_FOUND ? E_OK : err;
}

/* The last rekey of the group, and its datagram when it is still going on. */
static err_t load_rekey(struct ks_group *group, struct store_txn *txn)
{
    struct row_key key = rekey_row_key(group->record.id, group->record.seq);
    struct bytes value;
    err_t err = store_get(txn, TABLE_REKEY, row_key_bytes(&key), &value);
    if (err != E_OK)
        return err == E_NOT_FOUND ? E_OK : err;
    if (rekey_record_decode(&group->rekey, value) != E_OK)
        return E_CORRUPT;
    err = store_get(txn, TABLE_PUSH, row_key_bytes(&key), &value);
    if (err != E_OK)
        return err == E_NOT_FOUND ? E_OK : err;
    group->push = malloc(value.len);
    if (group->push == NULL)
        return E_NO_MEMORY;
    memcpy(group->push, value.data, value.len);
    group->push_len = value.len;
    group->pushing = true;
    return value.len == group->rekey.push_len && group->rekey.done_ms == 0 ? E_OK : E_CORRUPT;
}

static err_t load_rows(struct load *l, struct store_txn *txn)
{
    static const struct {
        enum store_table table;
        store_row_fn row;
    } tables[] = {{TABLE_GROUP, load_group},
                  {TABLE_MEMBER, load_member},
                  {TABLE_PSK, load_psk},
                  {TABLE_NODE, load_node},
                  {TABLE_TOKEN, load_token}};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        err_t err = store_each(txn, tables[i].table, (struct bytes){0}, tables[i].row, l);
        if (err == E_OK)
            err = l->err;
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

err_t ks_state_load(struct ks_state *state, struct store_txn *txn)
{
    struct load l = {.state = state};
    err_t err = ks_load_level(state, txn);
    if (err == E_OK)
        err = load_singles(state, txn);
    if (err == E_OK)
        err = load_rows(&l, txn);
    for (size_t i = 0; i < state->group_count && err == E_OK; i++)
        err = load_rekey(state->groups[i], txn);
    return err;
}

#include "cluster/ks_internal.h"

static void put(const struct ks_apply *a, enum store_table table, struct row_key key, const struct writer *w)
{
    if (writer_end(w) == E_OK)
        store_put(a->txn, table, row_key_bytes(&key), writer_bytes(w));
    else
        store_fail(a->txn, E_LIMIT); /* never a state in memory that the rows do not have */
}

void ks_put_cluster(const struct ks_apply *a)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[256];
    struct writer w = writer_over(buf, sizeof(buf));
    cluster_record_encode(&w, &a->state->cluster);
    put(a, TABLE_META, single_row_key(), &w);
}

void ks_put_level(const struct ks_apply *a)
{
    if (a->txn == NULL || a->state->level == 1)
        return;
    uint8_t buf[4];
    struct writer w = writer_over(buf, sizeof(buf));
    level_record_encode(&w, a->state->level);
    put(a, TABLE_META, level_row_key(), &w);
}

void ks_put_signing(const struct ks_apply *a)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[sizeof(struct signing_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    signing_record_encode(&w, &a->state->signing);
    put(a, TABLE_SIGNING, single_row_key(), &w);
    if (a->state->previous_signing.version == 0)
        return;
    w = writer_over(buf, sizeof(buf));
    signing_record_encode(&w, &a->state->previous_signing);
    put(a, TABLE_SIGNING, previous_row_key(), &w);
}

void ks_put_group(const struct ks_apply *a, const struct ks_group *group)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[RECORD_LEN_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    group_record_encode(&w, &group->record);
    put(a, TABLE_GROUP, group_row_key(group->record.id), &w);
}

void ks_put_member(const struct ks_apply *a, const struct row_key *key, const struct ks_member *member)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[MEMBER_ROW_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    member_record_encode(&w, &member->record);
    put(a, TABLE_MEMBER, *key, &w);
}

void ks_put_rekey(const struct ks_apply *a, const struct rekey_record *rekey)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[sizeof(struct rekey_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    rekey_record_encode(&w, rekey);
    put(a, TABLE_REKEY, rekey_row_key(rekey->group_id, rekey->seq), &w);
}

void ks_put_push(const struct ks_apply *a, const struct ks_group *group)
{
    if (a->txn == NULL)
        return;
    struct row_key key = rekey_row_key(group->record.id, group->rekey.seq);
    store_put(a->txn, TABLE_PUSH, row_key_bytes(&key), (struct bytes){group->push, group->push_len});
}

void ks_put_psk(const struct ks_apply *a, const struct ks_psk *psk)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[sizeof(struct psk_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    psk_record_encode(&w, &psk->record);
    put(a, TABLE_PSK, psk->key, &w);
}

void ks_put_node(const struct ks_apply *a, const struct node_record *node)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[sizeof(struct node_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    node_record_encode(&w, node);
    put(a, TABLE_NODE, node_row_key(node->id), &w);
}

void ks_put_ca(const struct ks_apply *a)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[sizeof(struct ca_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    ca_record_encode(&w, &a->state->ca);
    put(a, TABLE_CA, single_row_key(), &w);
}

void ks_put_token(const struct ks_apply *a, const struct join_record *token)
{
    if (a->txn == NULL)
        return;
    uint8_t buf[JOIN_RECORD_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    join_record_encode(&w, token);
    put(a, TABLE_TOKEN, node_row_key(token->id), &w);
}

void ks_drop(const struct ks_apply *a, enum store_table table, const struct row_key *key)
{
    if (a->txn != NULL)
        store_delete(a->txn, table, row_key_bytes(key));
}

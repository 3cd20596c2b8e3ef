#include "cluster/ks_restore.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"

enum { CLEAR_MAX = SIGN_PRIVATE_MAX };
_Static_assert((int)CLEAR_MAX >= (int)SECRET_LEN_MAX, "a pre-shared key fits too");

struct rewrap {
    struct ks_state *state;
    const struct wrap_key *old_key, *new_key;
    const struct rng *rng;
    uint8_t old_id[CLUSTER_ID_LEN], new_id[CLUSTER_ID_LEN];
};

static struct bytes context_of(const struct rewrap *r, const uint8_t id[CLUSTER_ID_LEN], uint32_t group_id,
                               enum wrap_object object, struct bytes name, uint8_t out[WRAP_CONTEXT_MAX])
{
    memcpy(r->state->cluster.cluster_id, id, CLUSTER_ID_LEN);
    return wrap_context(r->state, group_id, object, name, out);
}

/* In place: a wrapped secret has the same length under any key. */
static err_t rewrap(const struct rewrap *r, uint32_t group_id, enum wrap_object object, struct bytes name,
                    uint8_t *data, size_t data_len)
{
    uint8_t clear[CLEAR_MAX], context[WRAP_CONTEXT_MAX];
    size_t len = 0;
    if (data_len > CLEAR_MAX + KEYWRAP_OVERHEAD)
        return E_CORRUPT;
    err_t err = keywrap_open_bytes(r->old_key, context_of(r, r->old_id, group_id, object, name, context),
                                   (struct bytes){data, data_len}, clear, &len);
    if (err == E_OK)
        err =
            keywrap_seal_bytes(r->new_key, r->rng, context_of(r, r->new_id, group_id, object, name, context),
                               (struct bytes){clear, len}, data, &len);
    secret_wipe(clear, sizeof(clear));
    return err;
}

static err_t rewrap_tek(const struct rewrap *r, uint32_t group_id, struct tek_record *tek)
{
    uint8_t spi[TEK_SPI_LEN];
    struct writer w = writer_over(spi, sizeof(spi));
    write_u32(&w, tek->spi);
    err_t err = rewrap(r, group_id, WRAP_TEK_KEY, writer_bytes(&w), tek->key.data, tek->key.len);
    if (err == E_OK && tek->integrity.len > 0)
        err = rewrap(r, group_id, WRAP_TEK_INTEGRITY, writer_bytes(&w), tek->integrity.data,
                     tek->integrity.len);
    return err;
}

static void forget_push(struct ks_group *group)
{
    free(group->push);
    group->push = NULL;
    group->push_len = 0;
    group->pushing = false;
    group->rekey = (struct rekey_record){0};
}

static err_t restore_group(const struct rewrap *r, struct ks_group *group)
{
    struct group_record *record = &group->record;
    if (record->seq > UINT32_MAX - 2 * (uint32_t)RESTORE_SEQ_JUMP ||
        record->generation > UINT32_MAX - 2 * (uint32_t)RESTORE_SEQ_JUMP || record->sid_epoch == UINT32_MAX)
        return E_LIMIT;
    forget_push(group);
    record->seq += RESTORE_SEQ_JUMP;
    record->generation += RESTORE_SEQ_JUMP;
    record->sid_epoch++;
    record->next_sid = 0;
    memset(record->runway, 0, sizeof(record->runway));
    record->runway_count = 0;
    record->has_previous_kek = false;
    record->previous_kek = (struct kek_record){0};
    /* Of no known signing key: a new KEK is due (server/rekey_engine.c). One of the key before is due
     * already, and its members verify with that. */
    if (record->kek.signing_version == r->state->signing.version)
        record->kek.signing_version = 0;
    err_t err = E_OK;
    if (record->has_kek)
        err = rewrap(r, record->id, WRAP_KEK, BYTES_OF(record->kek.spi), record->kek.iv_key.data,
                     record->kek.iv_key.len);
    for (size_t i = 0; i < record->tek_count && err == E_OK; i++)
        err = rewrap_tek(r, record->id, &record->teks[i]);
    return err;
}

/* A token that nobody had used may have been used after the backup: it is over, so that none serves twice. */
static err_t restore_enrolment(const struct rewrap *r, struct enrolment *e)
{
    if (!e->is_set)
        return E_OK;
    if (!e->used)
        e->expires_ms = 0;
    return rewrap(r, 0, WRAP_ENROL, BYTES_OF(e->id), e->key.data, e->key.len);
}

static err_t restore_psks(const struct rewrap *r)
{
    struct ks_psk *psk;
    err_t err = E_OK;
    for (size_t at = 0; err == E_OK && (psk = map_next(&r->state->psks, &at)) != NULL;) {
        if (psk->record.psk.len > 0)
            err = rewrap(r, 0, WRAP_PSK, row_key_bytes(&psk->key), psk->record.psk.data, psk->record.psk.len);
        if (err == E_OK)
            err = restore_enrolment(r, &psk->record.enrolment);
    }
    return err;
}

static err_t restore_signing(const struct rewrap *r, struct signing_record *key)
{
    uint8_t version[4];
    struct writer w = writer_over(version, sizeof(version));
    write_u32(&w, key->version);
    return key->version == 0
               ? E_OK
               : rewrap(r, 0, WRAP_SIGNING, writer_bytes(&w), key->private_key, key->private_len);
}

/* Another sixteenth of the SPIs than before (ks_tek.c). */
static err_t draw_id(const struct rng *rng, const uint8_t old_id[CLUSTER_ID_LEN], uint8_t out[CLUSTER_ID_LEN])
{
    err_t err = rng_fill(rng, out, CLUSTER_ID_LEN);
    if (err == E_OK && ks_spi_lane(out) == ks_spi_lane(old_id))
        out[0] = (uint8_t)(out[0] + 1);
    return err;
}

err_t ks_restore(struct ks_state *state, const struct wrap_key *old_key, const struct wrap_key *new_key,
                 const struct rng *rng)
{
    struct rewrap r = {.state = state, .old_key = old_key, .new_key = new_key, .rng = rng};
    struct cluster_record *cluster = &state->cluster;
    if (!state->initialised)
        return E_CORRUPT;
    memcpy(r.old_id, cluster->cluster_id, CLUSTER_ID_LEN);
    err_t err = draw_id(rng, r.old_id, r.new_id);
    for (size_t i = 0; i < state->group_count && err == E_OK; i++)
        err = restore_group(&r, state->groups[i]);
    if (err == E_OK)
        err = restore_psks(&r);
    if (err == E_OK)
        err = restore_signing(&r, &state->signing);
    if (err == E_OK)
        err = restore_signing(&r, &state->previous_signing);
    memcpy(cluster->cluster_id, r.new_id, CLUSTER_ID_LEN);
    memset(cluster->primary_id, 0, NODE_ID_LEN);
    bool has_room = cluster->coop_epoch < UINT32_MAX - RESTORE_EPOCH_JUMP;
    cluster->coop_epoch = has_room ? cluster->coop_epoch + RESTORE_EPOCH_JUMP : cluster->coop_epoch;
    memset(state->nodes, 0, sizeof(state->nodes));
    state->node_count = 0;
    state->ca = (struct ca_record){0};
    memset(state->tokens, 0, sizeof(state->tokens));
    state->token_count = 0;
    return err;
}

void ks_restore_rows(struct ks_state *state, struct store_txn *txn)
{
    struct ks_apply a = {.state = state, .txn = txn, .now_ms = state->cluster.time_ms};
    const struct ks_member *member;
    const struct ks_psk *psk;
    ks_put_cluster(&a);
    ks_put_level(&a);
    if (state->signing.version != 0)
        ks_put_signing(&a);
    for (size_t i = 0; i < state->group_count; i++) {
        ks_put_group(&a, state->groups[i]);
        for (size_t at = 0; (member = map_next(&state->groups[i]->members, &at)) != NULL;) {
            struct row_key key = member_row_key(member->record.group_id, &member->record.identity);
            ks_put_member(&a, &key, member);
        }
    }
    for (size_t at = 0; (psk = map_next(&state->psks, &at)) != NULL;)
        ks_put_psk(&a, psk);
}

#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"
#include "proto/crypto/prf.h"

/* The state's digest is a chain: digest = SHA-256(digest | row), row after row in the order of their keys. */
struct chain {
    uint8_t digest[32];
    err_t err;
};

static void add(struct chain *chain, struct bytes row)
{
    struct bytes parts[] = {BYTES_OF(chain->digest), row};
    if (chain->err == E_OK)
        chain->err = hash_parts(HASH_SHA256, parts, ARRAY_LEN(parts), chain->digest);
}

static int by_key(const void *a, const void *b)
{
    const struct bytes x = ((const struct map_slot *)a)->key, y = ((const struct map_slot *)b)->key;
    int order = memcmp(x.data, y.data, x.len < y.len ? x.len : y.len);
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

/* The entries of a map (map.h: a slot with a value) in the order of their keys, and one without a value behind them; heap. */
static err_t sorted(const struct map *map, struct map_slot **out)
{
    *out = calloc(map->count + 1, sizeof(**out));
    if (*out == NULL)
        return E_NO_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < map->cap; i++)
        if (map->slots[i].value != NULL)
            (*out)[count++] = map->slots[i];
    qsort(*out, count, sizeof(**out), by_key);
    return E_OK;
}

static void add_members(struct chain *chain, const struct ks_group *group)
{
    struct map_slot *members;
    chain->err = chain->err == E_OK ? sorted(&group->members, &members) : chain->err;
    if (chain->err != E_OK)
        return;
    for (size_t i = 0; members[i].value != NULL; i++) {
        uint8_t buf[MEMBER_ROW_MAX];
        struct writer w = writer_over(buf, sizeof(buf));
        member_record_encode(&w, &((const struct ks_member *)members[i].value)->record);
        add(chain, writer_bytes(&w));
    }
    free(members);
}

static void add_group(struct chain *chain, const struct ks_group *group)
{
    uint8_t buf[RECORD_LEN_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    group_record_encode(&w, &group->record);
    add(chain, writer_bytes(&w));
    w = writer_over(buf, sizeof(buf));
    rekey_record_encode(&w, &group->rekey);
    add(chain, writer_bytes(&w));
    add(chain, (struct bytes){group->push, group->push_len});
    add_members(chain, group);
}

static void add_psks(struct chain *chain, const struct ks_state *state)
{
    struct map_slot *psks;
    chain->err = chain->err == E_OK ? sorted(&state->psks, &psks) : chain->err;
    if (chain->err != E_OK)
        return;
    for (size_t i = 0; psks[i].value != NULL; i++) {
        uint8_t buf[sizeof(struct psk_record) + 64];
        struct writer w = writer_over(buf, sizeof(buf));
        psk_record_encode(&w, &((const struct ks_psk *)psks[i].value)->record);
        add(chain, writer_bytes(&w));
    }
    free(psks);
}

static void add_cluster(struct chain *chain, const struct ks_state *state)
{
    uint8_t buf[sizeof(struct ca_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    ca_record_encode(&w, &state->ca);
    add(chain, writer_bytes(&w));
    for (size_t i = 0; i < state->node_count; i++) {
        w = writer_over(buf, sizeof(buf));
        node_record_encode(&w, &state->nodes[i]);
        add(chain, writer_bytes(&w));
    }
    for (size_t i = 0; i < state->token_count; i++) {
        w = writer_over(buf, sizeof(buf));
        join_record_encode(&w, &state->tokens[i]);
        add(chain, writer_bytes(&w));
    }
}

err_t ks_state_hash(const struct ks_state *state, uint8_t out[32])
{
    struct chain chain = {0};
    uint8_t buf[sizeof(struct signing_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    cluster_record_encode(&w, &state->cluster);
    add(&chain, writer_bytes(&w));
    if (state->level > 1) {
        w = writer_over(buf, sizeof(buf));
        level_record_encode(&w, state->level);
        add(&chain, writer_bytes(&w));
    }
    w = writer_over(buf, sizeof(buf));
    signing_record_encode(&w, &state->signing);
    add(&chain, writer_bytes(&w));
    if (state->previous_signing.version != 0) {
        w = writer_over(buf, sizeof(buf));
        signing_record_encode(&w, &state->previous_signing);
        add(&chain, writer_bytes(&w));
    }
    for (size_t i = 0; i < state->group_count; i++)
        add_group(&chain, state->groups[i]);
    add_psks(&chain, state);
    add_cluster(&chain, state);
    memcpy(out, chain.digest, sizeof(chain.digest));
    return chain.err;
}

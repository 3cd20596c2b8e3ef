/* ks_fixture.h - a state with a store below it. Every command goes through apply(), which also loads a second
 * state from the rows and compares: what is in memory is what would come back after a restart. */
#ifndef TESTS_UNIT_CLUSTER_KS_FIXTURE_H
#define TESTS_UNIT_CLUSTER_KS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/ks_state.h"
#include "cluster/rekey_plan.h"
#include "tests/lib/test.h"

static const uint64_t start_ms = 1800000000000; /* a moment in 2027 */
static const uint8_t this_node[NODE_ID_LEN] = {1, 2, 3};

struct ks {
    struct ks_state state;
    struct store *store;
    struct wrap_key wrap;
    struct rng_seeded seeded;
    struct rng rng;
    uint64_t now_ms;
    struct apply_result result;
    unsigned removed;
    struct identity last_removed;
    char dir[64];
};

static inline void on_removed_member(void *context, const struct ks_group *group,
                                     const struct ks_member *member)
{
    struct ks *ks = context;
    assert_int_equal(group->record.id, member->record.group_id);
    ks->removed++;
    ks->last_removed = member->record.identity;
}

static inline void compare_with_rows(struct ks *ks)
{
    static const uint64_t other_seed[2] = {5, 6};
    struct ks_state loaded;
    struct store_txn *txn;
    uint8_t ours[32], theirs[32];
    ks_state_init(&loaded, other_seed);
    loaded.build = ks->state.build;
    assert_ok(store_begin_read(ks->store, &txn));
    assert_ok(ks_state_load(&loaded, txn));
    store_abort(txn);
    assert_ok(ks_state_hash(&ks->state, ours));
    assert_ok(ks_state_hash(&loaded, theirs));
    assert_memory_equal(ours, theirs, sizeof(ours));
    assert_int_equal(loaded.initialised, ks->state.initialised);
    ks_state_close(&loaded);
}

/* Applies and gives what became of it. */
static inline err_t apply(struct ks *ks, struct command *command)
{
    struct store_txn *txn;
    command->time_ms = ks->now_ms;
    assert_ok(store_begin_write(ks->store, &txn));
    assert_ok(ks_state_apply(&ks->state, command, txn, &ks->result, on_removed_member, ks));
    assert_ok(store_commit(txn));
    if (ks->state.initialised)
        compare_with_rows(ks);
    return ks->result.err;
}

static inline struct group_config test_config(const char *name, uint32_t number)
{
    struct group_config config = {
        .identity = identity_from_number(number),
        .server_addr = addr_v4(10, 1, 1, 1),
        .kek_lifetime_s = 86400,
        .tek_lifetime_s = 3600,
        .retransmit_s = 10,
        .retransmit_count = 2,
        .kek_cipher = CIPHER_AES_CBC_256,
        .sig_hash = HASH_SHA256,
        .ack = KEK_ACK_SHA256,
        .suite = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
        .activation_s = 5,
        .deactivation_s = 10,
        .selectors = {{.src = {addr_v4(10, 0, 0, 0), 8}, .dst = {addr_v4(10, 0, 0, 0), 8}}},
        .selector_count = 1,
    };
    snprintf(config.name, sizeof(config.name), "%s", name);
    return config;
}

static inline err_t set_group(struct ks *ks, const struct group_config *config)
{
    struct command c = {.type = CMD_GROUP_SET};
    c.u.group_set.config = *config;
    return apply(ks, &c);
}

static inline err_t elect(struct ks *ks, uint32_t epoch)
{
    struct command c = {.type = CMD_ELECT, .u.elect.epoch = epoch};
    memcpy(c.u.elect.primary_id, this_node, NODE_ID_LEN);
    return apply(ks, &c);
}

static inline err_t set_signing(struct ks *ks, uint32_t version)
{
    struct command c = {.type = CMD_SIGNING_KEY};
    c.u.signing_key.key =
        (struct signing_record){.version = version, .alg = SIGN_RSA, .bits = 2048, .public_len = 9};
    return apply(ks, &c);
}

static inline err_t rekey_with_push(struct ks *ks, uint32_t group_id, enum rekey_kind kind, bool sid_reset,
                                    struct command *out)
{
    static const uint8_t push[] = "sealed";
    struct rekey_due due = {.group_id = group_id, .kind = kind, .sid_reset = sid_reset};
    struct rekey_draft *draft;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
    rekey_draft_command(draft, ks->now_ms, out);
    if (kind != REKEY_INITIAL)
        out->u.rekey.push = (struct bytes){push, sizeof(push)};
    rekey_draft_free(draft);
    return apply(ks, out);
}

static inline err_t rekey(struct ks *ks, uint32_t group_id, enum rekey_kind kind)
{
    struct command c;
    return rekey_with_push(ks, group_id, kind, false, &c);
}

static inline err_t push_done(struct ks *ks, uint32_t group_id, uint32_t seq, const struct identity *silent,
                              size_t count)
{
    struct command c = {.type = CMD_PUSH_DONE, .u.push_done = {group_id, seq, 3, silent, count}};
    return apply(ks, &c);
}

static inline struct identity member_id(uint8_t n)
{
    struct addr addr = addr_v4(10, 2, 2, n);
    return identity_from_addr(&addr);
}

static inline err_t register_as(struct ks *ks, uint32_t group_id, uint8_t n, uint32_t generation,
                                uint32_t seq, uint16_t sids)
{
    struct command c = {.type = CMD_MEMBER_REGISTERED};
    c.u.member_registered = (struct cmd_member_registered){
        .group_id = group_id,
        .identity = member_id(n),
        .endpoint = {addr_v4(10, 2, 2, n), 848},
        .sid_request = sids,
        .offered_generation = generation,
        .offered_seq = seq,
    };
    memcpy(c.u.member_registered.key_server, this_node, NODE_ID_LEN);
    return apply(ks, &c);
}

static inline const struct ks_group *group_of(const struct ks *ks, uint32_t id)
{
    const struct ks_group *group = ks_state_group(&ks->state, id);
    assert_non_null(group);
    return group;
}

static inline err_t join(struct ks *ks, uint32_t group_id, uint8_t n)
{
    const struct group_record *r = &group_of(ks, group_id)->record;
    return register_as(ks, group_id, n, r->generation, r->seq, 0);
}

static inline const struct member_record *member_of(const struct ks *ks, uint32_t group_id, uint8_t n)
{
    struct identity id = member_id(n);
    const struct ks_member *member = ks_group_member(group_of(ks, group_id), &id);
    return member != NULL ? &member->record : NULL;
}

static inline int ks_setup(void **state)
{
    static const uint64_t seed[2] = {1, 2};
    struct ks *ks = calloc(1, sizeof(*ks));
    bool rebuilt;
    strcpy(ks->dir, "/tmp/ks-test-XXXXXX");
    if (mkdtemp(ks->dir) == NULL || store_open(&ks->store, ks->dir, &rebuilt) != E_OK)
        return -1;
    ks->rng = rng_seeded_init(&ks->seeded, 42);
    ks->wrap.version = 1;
    ks->wrap.key.len = KEYWRAP_KEY_LEN;
    memset(ks->wrap.key.data, 7, KEYWRAP_KEY_LEN);
    ks->now_ms = start_ms;
    ks_state_init(&ks->state, seed);
    *state = ks;
    return 0;
}

/* Named, with a primary and a signing key. */
static inline int ks_setup_ready(void **state)
{
    if (ks_setup(state) != 0)
        return -1;
    struct ks *ks = *state;
    struct command c = {.type = CMD_CLUSTER_INIT, .u.cluster_init.cluster_id = {9, 9, 9}};
    return apply(ks, &c) == E_OK && elect(ks, 1) == E_OK && set_signing(ks, 1) == E_OK ? 0 : -1;
}

/* And with group 1, "blue", which has its first keys. */
static inline int ks_setup_group(void **state)
{
    if (ks_setup_ready(state) != 0)
        return -1;
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 3333);
    return set_group(ks, &config) == E_OK && rekey(ks, 1, REKEY_INITIAL) == E_OK ? 0 : -1;
}

static inline int ks_teardown(void **state)
{
    struct ks *ks = *state;
    ks_state_close(&ks->state);
    store_close(ks->store);
    test_remove_tree(ks->dir);
    free(ks);
    return 0;
}

#endif

/* The cluster's level as replicated state: what raises it, and what it does to commands. */
#include "tests/unit/cluster/ks_fixture.h"

static const struct level_build *build_of(uint32_t level)
{
    static struct level_build builds[4];
    builds[level] = level_own;
    builds[level].level = level;
    builds[level].of_command[CMD_NODE_PRIORITY] = 2;
    return &builds[level];
}

static struct node_record node(uint8_t first)
{
    return (struct node_record){.id = {first, 1, 1, 1, 1, 1, 1, 1},
                                .role = NODE_VOTER,
                                .priority = 10,
                                .cluster = {addr_v4(10, 1, 21, first), 8848},
                                .address = addr_v4(10, 1, 21, first)};
}

static void set_node(struct ks *ks, uint8_t first)
{
    struct command c = {.type = CMD_NODE_SET, .u.node_set.node = node(first)};
    assert_ok(apply(ks, &c));
}

static struct command level_set(uint32_t level, uint8_t asked)
{
    struct command c = {.type = CMD_CLUSTER_LEVEL_SET, .u.cluster_level_set = {.level = level}};
    for (uint8_t i = 0; i < asked; i++)
        c.u.cluster_level_set.asked[c.u.cluster_level_set.asked_count++][0] = (uint8_t)(i + 1);
    for (uint8_t i = 0; i < asked; i++)
        memset(c.u.cluster_level_set.asked[i] + 1, 1, 7);
    return c;
}

static err_t raise(struct ks *ks, uint32_t level, uint8_t asked)
{
    struct command c = level_set(level, asked);
    return apply(ks, &c);
}

static bool has_row(struct ks *ks)
{
    struct row_key key = level_row_key();
    struct store_txn *txn;
    struct bytes row;
    assert_ok(store_begin_read(ks->store, &txn));
    err_t err = store_get(txn, TABLE_META, (struct bytes){key.data, key.len}, &row);
    store_abort(txn);
    return err == E_OK;
}

static void a_state_without_the_row_is_of_level_1(void **state)
{
    struct ks *ks = *state;
    assert_int_equal(ks->state.level, 1);
    assert_false(has_row(ks)); /* and the hash is that of a build of before levels; it loads alike (apply) */
}

static void it_rises_and_never_falls(void **state)
{
    struct ks *ks = *state;
    uint8_t before[32], after[32];
    ks->state.build = build_of(3);
    set_node(ks, 1);
    set_node(ks, 2);
    assert_ok(ks_state_hash(&ks->state, before));
    assert_err(raise(ks, 1, 2), E_STALE);
    assert_ok(raise(ks, 2, 2));
    assert_true(has_row(ks));
    assert_ok(ks_state_hash(&ks->state, after));
    assert_memory_not_equal(before, after, sizeof(after));
    assert_err(raise(ks, 2, 2), E_STALE); /* again */
    assert_ok(raise(ks, 3, 2));
    assert_err(raise(ks, 2, 2), E_STALE);
    assert_int_equal(ks->state.level, 3);
}

static void who_joined_since_the_leader_asked_counts(void **state)
{
    struct ks *ks = *state;
    ks->state.build = build_of(2);
    set_node(ks, 1);
    set_node(ks, 2);
    assert_err(raise(ks, 2, 1), E_STALE);
    assert_err(raise(ks, 2, 0), E_STALE);
    assert_int_equal(ks->state.level, 1);
    assert_ok(raise(ks, 2, 3)); /* one that was removed since does not */
}

/* What an apply of it leaves: result, state, time. */
static void refuse_priority(struct ks *ks, const struct level_build *build)
{
    uint8_t before[32], after[32];
    struct command c = {.type = CMD_NODE_PRIORITY};
    memcpy(c.u.node_priority.id, node(1).id, NODE_ID_LEN);
    c.u.node_priority.priority = 77;
    ks->state.build = build;
    ks->now_ms += 5000;
    assert_ok(ks_state_hash(&ks->state, before));
    assert_err(apply(ks, &c), E_UNSUPPORTED);
    assert_ok(ks_state_hash(&ks->state, after));
    assert_memory_equal(before, after, sizeof(after)); /* not even the time */
}

static void a_command_above_the_level_changes_nothing(void **state)
{
    struct ks *ks = *state;
    set_node(ks, 1);
    refuse_priority(ks, build_of(1)); /* which does not know it */
    refuse_priority(ks, build_of(2)); /* which does */
    assert_ok(raise(ks, 2, 1));
    struct command c = {.type = CMD_NODE_PRIORITY};
    memcpy(c.u.node_priority.id, node(1).id, NODE_ID_LEN);
    c.u.node_priority.priority = 77;
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->state.nodes[0].priority, 77);
}

static void a_number_that_nobody_knows_changes_nothing(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = (enum command_type)200};
    uint64_t time_ms = ks->state.cluster.time_ms;
    ks->now_ms += 5000;
    assert_err(apply(ks, &c), E_UNSUPPORTED);
    assert_int_equal(ks->state.cluster.time_ms, time_ms);
}

static void a_build_below_cannot_go_on(void **state)
{
    struct ks *ks = *state;
    struct store_txn *txn;
    struct ks_state loaded;
    struct command c = level_set(3, 0);
    c.time_ms = ks->now_ms;
    ks->state.build = build_of(2);
    assert_ok(store_begin_write(ks->store, &txn));
    assert_err(ks_state_apply(&ks->state, &c, txn, &ks->result, NULL, NULL), E_OLD_BUILD);
    assert_int_equal(ks->state.level, 3); /* so that it can be told */
    assert_ok(store_commit(txn));
    ks_state_init(&loaded, (const uint64_t[2]){1, 2});
    assert_ok(store_begin_read(ks->store, &txn));
    assert_err(ks_state_load(&loaded, txn), E_OLD_BUILD);
    assert_int_equal(loaded.level, 3);
    ks_state_close(&loaded);
    ks_state_init(&loaded, (const uint64_t[2]){1, 2});
    loaded.build = build_of(3);
    assert_ok(ks_state_load(&loaded, txn));
    store_abort(txn);
    ks_state_close(&loaded);
}

static void a_damaged_row_is_told_apart(void **state)
{
    struct ks *ks = *state;
    static const uint8_t rows[][5] = {{0, 0, 0, 0}, {0, 0, 0, 1, 0}, {0, 0, 1}};
    static const size_t lens[] = {4, 5, 3};
    struct row_key key = level_row_key();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_txn *txn;
        struct ks_state loaded;
        assert_ok(store_begin_write(ks->store, &txn));
        store_put(txn, TABLE_META, (struct bytes){key.data, key.len}, (struct bytes){rows[i], lens[i]});
        assert_ok(store_commit(txn));
        ks_state_init(&loaded, (const uint64_t[2]){1, 2});
        assert_ok(store_begin_read(ks->store, &txn));
        assert_err(ks_state_load(&loaded, txn), E_CORRUPT);
        store_abort(txn);
        ks_state_close(&loaded);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ks_setup_ready, ks_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_state_without_the_row_is_of_level_1),
        TEST(it_rises_and_never_falls),
        TEST(who_joined_since_the_leader_asked_counts),
        TEST(a_command_above_the_level_changes_nothing),
        TEST(a_number_that_nobody_knows_changes_nothing),
        TEST(a_build_below_cannot_go_on),
        TEST(a_damaged_row_is_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cluster/ks_state.h"

#include "tests/unit/cluster/ks_fixture.h"

static void nothing_is_taken_before_the_cluster_has_a_name(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 1);
    assert_err(set_group(ks, &config), E_STATE);
    assert_int_equal(ks->state.group_count, 0);
    struct command c = {.type = CMD_CLUSTER_INIT, .u.cluster_init.cluster_id = {1}};
    assert_ok(apply(ks, &c));
    c.u.cluster_init.cluster_id[0] = 2;
    assert_err(apply(ks, &c), E_EXISTS);
    assert_int_equal(ks->state.cluster.cluster_id[0], 1);
}

static void an_election_needs_the_next_epoch(void **state)
{
    struct ks *ks = *state;
    assert_err(elect(ks, 1), E_STALE);
    assert_err(elect(ks, 3), E_STALE);
    assert_ok(elect(ks, 2));
    assert_int_equal(ks->state.cluster.coop_epoch, 2);
}

static void cluster_time_only_grows(void **state)
{
    struct ks *ks = *state;
    ks->now_ms = start_ms + 5000;
    assert_ok(elect(ks, 2));
    ks->now_ms = start_ms;
    assert_ok(elect(ks, 3));
    assert_int_equal(ks->state.cluster.time_ms, start_ms + 5000);
}

static void a_group_keeps_its_id_and_its_policy_version_grows(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 3333);
    assert_ok(set_group(ks, &config));
    assert_true(ks->result.created && ks->result.changed);
    assert_int_equal(ks->result.group_id, 1);
    assert_ok(set_group(ks, &config));
    assert_false(ks->result.created || ks->result.changed);
    assert_int_equal(group_of(ks, 1)->record.policy_version, 1);
    config.tek_lifetime_s++;
    assert_ok(set_group(ks, &config));
    assert_true(ks->result.changed && !ks->result.created);
    assert_int_equal(group_of(ks, 1)->record.policy_version, 2);
}

static void an_id_of_a_deleted_group_is_not_used_again(void **state)
{
    struct ks *ks = *state;
    struct group_config blue = test_config("blue", 1), red = test_config("red", 2);
    assert_ok(set_group(ks, &blue));
    struct command c = {.type = CMD_GROUP_DELETE, .u.group_delete.name = "blue"};
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->result.group_id, 1);
    assert_err(apply(ks, &c), E_UNKNOWN_GROUP);
    assert_ok(set_group(ks, &red));
    assert_int_equal(ks->result.group_id, 2);
}

static void two_groups_cannot_have_one_identity(void **state)
{
    struct ks *ks = *state;
    struct group_config blue = test_config("blue", 1), red = test_config("red", 1);
    assert_ok(set_group(ks, &blue));
    assert_err(set_group(ks, &red), E_EXISTS);
    red.identity = identity_from_number(2);
    assert_ok(set_group(ks, &red));
    red.identity = identity_from_number(1);
    assert_err(set_group(ks, &red), E_EXISTS);
    assert_string_equal(ks_state_group_by_identity(&ks->state, &red.identity)->record.config.name, "blue");
}

static void groups_are_bounded(void **state)
{
    struct ks *ks = *state;
    char name[16];
    for (uint32_t i = 0; i < GROUP_MAX; i++) {
        snprintf(name, sizeof(name), "g%u", i);
        struct group_config config = test_config(name, i);
        assert_ok(set_group(ks, &config));
    }
    struct group_config more = test_config("more", GROUP_MAX);
    assert_err(set_group(ks, &more), E_FULL);
}

static void deleting_a_group_takes_members_rekeys_and_pushes_along(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(rekey(ks, 1, REKEY_TEK));
    struct command c = {.type = CMD_GROUP_DELETE, .u.group_delete.name = "blue"};
    assert_ok(apply(ks, &c));
    struct store_txn *txn;
    struct bytes value;
    struct row_key row = rekey_row_key(1, 1);
    struct bytes key = {row.data, row.len};
    assert_ok(store_begin_read(ks->store, &txn));
    assert_err(store_get(txn, TABLE_REKEY, key, &value), E_NOT_FOUND);
    assert_err(store_get(txn, TABLE_PUSH, key, &value), E_NOT_FOUND);
    store_abort(txn);
}

static void the_most_specific_pre_shared_key_wins(void **state)
{
    struct ks *ks = *state;
    static const struct {
        const char *text;
        uint8_t psk;
    } keys[] = {
        {"10.0.0.0/8", 1}, {"10.2.0.0/16", 2}, {"10.2.3.4", 3}, {"0.0.0.0/0", 4}, {"2001:db8::/32", 5}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct command c = {.type = CMD_PSK_SET};
        assert_ok(prefix_parse(&c.u.psk_set.psk.peer, keys[i].text));
        c.u.psk_set.psk.psk = (struct wrapped){1, {keys[i].psk}};
        assert_ok(apply(ks, &c));
        assert_true(ks->result.changed);
        assert_ok(apply(ks, &c));
        assert_false(ks->result.changed);
    }
    static const struct {
        const char *text;
        uint8_t psk;
    } peers[] = {{"10.2.3.4", 3}, {"10.2.3.5", 2}, {"10.3.0.1", 1}, {"192.0.2.1", 4}, {"2001:db8::7", 5}};
    for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
        struct addr addr;
        assert_ok(addr_parse(&addr, peers[i].text));
        assert_int_equal(ks_state_psk(&ks->state, &addr)->psk.data[0], peers[i].psk);
    }
    struct addr other;
    assert_ok(addr_parse(&other, "2001:db9::7"));
    assert_null(ks_state_psk(&ks->state, &other));
    struct command c = {.type = CMD_PSK_DELETE, .u.psk_delete.peer = {addr_v4(10, 2, 3, 4), 32}};
    assert_ok(apply(ks, &c));
    assert_err(apply(ks, &c), E_NOT_FOUND);
    struct addr peer = addr_v4(10, 2, 3, 4);
    assert_int_equal(ks_state_psk(&ks->state, &peer)->psk.data[0], 2);
}

static void signing_keys_come_one_version_after_the_other(void **state)
{
    struct ks *ks = *state;
    assert_err(set_signing(ks, 1), E_STALE);
    assert_err(set_signing(ks, 3), E_STALE);
    assert_ok(set_signing(ks, 2));
}

static void a_member_list_of_addresses_and_identities_is_kept(void **state)
{
    (void)state;
    static struct ks_group group;
    struct group_config *c = &group.record.config;
    struct identity branch, other;
    assert_ok(identity_from_text(&branch, ID_FQDN, "branch7.example.net"));
    assert_ok(identity_from_text(&other, ID_FQDN, "other.example.net"));
    struct addr inside = addr_v4(10, 1, 2, 3), outside = addr_v4(10, 9, 2, 3);
    assert_ok(ks_group_allows(&group, &other, &outside));
    c->rules[c->rule_count++].identity = branch;
    assert_ok(ks_group_allows(&group, &branch, &outside));
    assert_err(ks_group_allows(&group, &other, &inside), E_BAD_ID);
    c->rules[c->rule_count++] = (struct member_rule){.is_prefix = true, .prefix = {addr_v4(10, 1, 0, 0), 16}};
    assert_ok(ks_group_allows(&group, &other, &inside));
    assert_err(ks_group_allows(&group, &other, &outside), E_NOT_AUTHORIZED);
}

static void two_nodes_with_different_seeds_agree_after_the_same_commands(void **state)
{
    struct ks *ks = *state;
    for (uint8_t n = 1; n <= 50; n++)
        assert_ok(join(ks, 1, n));
    compare_with_rows(ks);
    uint8_t before[32], after[32];
    assert_ok(ks_state_hash(&ks->state, before));
    assert_ok(join(ks, 1, 51));
    assert_ok(ks_state_hash(&ks->state, after));
    assert_int_not_equal(memcmp(before, after, sizeof(before)), 0);
}

static void rows_that_make_no_sense_are_refused(void **state)
{
    struct ks *ks = *state;
    static const uint64_t seed[2] = {1, 2};
    assert_ok(join(ks, 1, 1));
    static const enum store_table tables[] = {TABLE_META, TABLE_GROUP, TABLE_MEMBER};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        struct identity id = member_id(1);
        struct row_key row = tables[i] == TABLE_META    ? single_row_key()
                             : tables[i] == TABLE_GROUP ? group_row_key(1)
                                                        : member_row_key(1, &id);
        struct store_txn *txn;
        struct ks_state loaded;
        assert_ok(store_begin_write(ks->store, &txn));
        store_put(txn, tables[i], (struct bytes){row.data, row.len}, bytes_of_text("nonsense"));
        ks_state_init(&loaded, seed);
        assert_err(ks_state_load(&loaded, txn), E_CORRUPT);
        ks_state_close(&loaded);
        store_abort(txn);
    }
}

static void a_member_of_no_group_is_refused_when_loaded(void **state)
{
    struct ks *ks = *state;
    static const uint64_t seed[2] = {1, 2};
    struct store_txn *txn;
    struct ks_state loaded;
    assert_ok(join(ks, 1, 1));
    struct row_key row = group_row_key(1);
    assert_ok(store_begin_write(ks->store, &txn));
    store_delete(txn, TABLE_GROUP, (struct bytes){row.data, row.len});
    ks_state_init(&loaded, seed);
    assert_err(ks_state_load(&loaded, txn), E_CORRUPT);
    ks_state_close(&loaded);
    store_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_taken_before_the_cluster_has_a_name, ks_setup,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(an_election_needs_the_next_epoch, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(cluster_time_only_grows, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(a_group_keeps_its_id_and_its_policy_version_grows, ks_setup_ready,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(an_id_of_a_deleted_group_is_not_used_again, ks_setup_ready,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(two_groups_cannot_have_one_identity, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(groups_are_bounded, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(deleting_a_group_takes_members_rekeys_and_pushes_along,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(the_most_specific_pre_shared_key_wins, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(signing_keys_come_one_version_after_the_other, ks_setup_ready,
                                        ks_teardown),
        cmocka_unit_test(a_member_list_of_addresses_and_identities_is_kept),
        cmocka_unit_test_setup_teardown(two_nodes_with_different_seeds_agree_after_the_same_commands,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(rows_that_make_no_sense_are_refused, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_of_no_group_is_refused_when_loaded, ks_setup_group,
                                        ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/cluster/ks_fixture.h"

static void a_newcomer_is_told_remaining_lifetimes(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, start_ms + 100500, &p));
    assert_true(p.has_kek);
    assert_int_equal(p.kek.lifetime_s, 86400 - 101);
    assert_int_equal(p.tek_count, 1);
    assert_int_equal(p.teks[0].lifetime_s, 3600 - 101);
    assert_int_equal(p.teks[0].key.len, 32);
    assert_int_equal(p.teks[0].integrity.len, 32);
    assert_int_equal(p.kek.iv_key.len, 16 + 32);
    assert_int_equal(p.selector_count, 1);
    assert_true(p.has_delays);
    assert_int_equal(p.rekey_src.port, GDOI_PORT);
    assert_int_equal(p.rekey_dst.port, GDOI_PORT);
    assert_int_equal(p.kek.public_len, 9);
    group_policy_close(&p);
}

static void expired_keys_are_not_told(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    ks->now_ms = start_ms + 3600 * 1000 - 1;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &p));
    assert_int_equal(p.tek_count, 2);
    assert_int_equal(p.teks[0].lifetime_s, 1);
    group_policy_close(&p);
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms + 1, &p));
    assert_int_equal(p.tek_count, 1);
    group_policy_close(&p);
    uint64_t end_ms = ks->now_ms + 3600 * 1000;
    assert_err(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, end_ms, &p), E_EXPIRED);
}

static void before_the_first_keys_there_is_nothing_to_tell(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    struct group_config config = test_config("red", 2);
    assert_ok(set_group(ks, &config));
    assert_err(ks_group_policy(&ks->state, group_of(ks, 2), &ks->wrap, NULL, ks->now_ms, &p), E_STATE);
}

static void the_time_of_the_group_is_told_where_it_checks_time(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, start_ms + 100500, &p));
    assert_int_equal(p.time.attribute, 0);
    group_policy_close(&p);
    struct group_config config = group_of(ks, 1)->record.config;
    config.replay_window_ms = 4000;
    config.replay_attribute = SAT_ATTR_REPLAY_DEFAULT;
    assert_ok(set_group(ks, &config));
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, start_ms + 100500, &p));
    assert_int_equal(p.time.attribute, SAT_ATTR_REPLAY_DEFAULT);
    assert_int_equal(p.time.window_ms, 4000);
    uint64_t first_us = p.time.pseudotime_us;
    group_policy_close(&p);
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, start_ms + 101500, &p));
    assert_int_equal(p.time.pseudotime_us, first_us + 1000000);
    group_policy_close(&p);
}

static void with_many_selectors_the_newest_keys_are_told(void **state)
{
    struct ks *ks = *state;
    struct group_config config = group_of(ks, 1)->record.config;
    for (size_t i = 0; i < 40; i++)
        config.selectors[i] =
            (struct selector){.src = {addr_v4(10, 0, (uint8_t)i, 0), 24}, .dst = {addr_v4(10, 0, 0, 0), 8}};
    config.selector_count = 40;
    assert_ok(set_group(ks, &config));
    for (uint32_t seq = 1; seq <= 4; seq++) {
        assert_ok(rekey(ks, 1, REKEY_TEK));
        assert_ok(push_done(ks, 1, seq, NULL, 0));
    }
    struct group_policy p;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &p));
    assert_int_equal(p.tek_count, GDOI_SAT_MAX / 40);
    assert_int_equal(p.teks[p.tek_count - 1].spi, group_of(ks, 1)->record.teks[4].spi);
    group_policy_close(&p);
}

/* Trap: what is wrapped for one place must open in no other, or an operator of the log could move keys
 * between groups. */
static void a_wrapped_key_opens_only_in_its_place(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("red", 2);
    assert_ok(set_group(ks, &config));
    assert_ok(rekey(ks, 2, REKEY_INITIAL));
    struct ks_group *red = ks->state.groups[1];
    struct tek_record own = red->record.teks[0];
    struct group_policy p;
    red->record.teks[0].key = group_of(ks, 1)->record.teks[0].key;
    assert_err(ks_group_policy(&ks->state, red, &ks->wrap, NULL, ks->now_ms, &p), E_CORRUPT);
    red->record.teks[0] = own;
    red->record.teks[0].key = own.integrity;
    assert_err(ks_group_policy(&ks->state, red, &ks->wrap, NULL, ks->now_ms, &p), E_CORRUPT);
    red->record.teks[0] = own;
    assert_ok(ks_group_policy(&ks->state, red, &ks->wrap, NULL, ks->now_ms, &p));
    group_policy_close(&p);
}

static void pre_shared_keys_survive_wrapping(void **state)
{
    struct ks *ks = *state;
    struct prefix peer = {addr_v4(10, 2, 0, 0), 16};
    struct psk_record record;
    struct secret out;
    assert_ok(ks_psk_seal(&ks->state, &ks->wrap, &ks->rng, &peer, bytes_of_text("mekmitasdigoat"), &record));
    assert_null(memmem(record.psk.data, record.psk.len, "mekmitas", 8));
    assert_ok(ks_psk_open(&ks->state, &ks->wrap, &record, &out));
    assert_true(secret_equal(secret_view(&out), bytes_of_text("mekmitasdigoat")));
    secret_close(&out);
    record.peer.bits = 17;
    assert_err(ks_psk_open(&ks->state, &ks->wrap, &record, &out), E_CORRUPT);
}

static void no_plain_key_lies_in_the_rows(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    struct store_txn *txn;
    struct bytes row;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &p));
    struct row_key key = group_row_key(1);
    assert_ok(store_begin_read(ks->store, &txn));
    assert_ok(store_get(txn, TABLE_GROUP, (struct bytes){key.data, key.len}, &row));
    assert_null(memmem(row.data, row.len, p.teks[0].key.data, p.teks[0].key.len));
    assert_null(memmem(row.data, row.len, p.kek.iv_key.data, p.kek.iv_key.len));
    store_abort(txn);
    group_policy_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_time_of_the_group_is_told_where_it_checks_time, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_newcomer_is_told_remaining_lifetimes, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(expired_keys_are_not_told, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(before_the_first_keys_there_is_nothing_to_tell, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(with_many_selectors_the_newest_keys_are_told, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_wrapped_key_opens_only_in_its_place, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(pre_shared_keys_survive_wrapping, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(no_plain_key_lies_in_the_rows, ks_setup_group, ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/unit/cluster/ks_fixture.h"

/* A command as the primary would make it now, to be spoiled by the test. */
static struct command made(struct ks *ks, enum rekey_kind kind)
{
    static const uint8_t push[] = "sealed";
    struct rekey_due due = {.group_id = 1, .kind = kind};
    struct rekey_draft *draft;
    struct command c;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
    rekey_draft_command(draft, ks->now_ms, &c);
    if (kind != REKEY_INITIAL)
        c.u.rekey.push = (struct bytes){push, sizeof(push)};
    rekey_draft_free(draft);
    return c;
}

static void the_first_keys_take_no_sequence_number(void **state)
{
    struct ks *ks = *state;
    const struct ks_group *group = group_of(ks, 1);
    assert_int_equal(group->record.seq, 0);
    assert_int_equal(group->record.generation, 1);
    assert_true(group->record.has_kek);
    assert_int_equal(group->record.tek_count, 1);
    assert_false(group->pushing);
}

static void a_rekey_takes_the_next_sequence_number_and_is_pushed(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(rekey(ks, 1, REKEY_TEK));
    const struct ks_group *group = group_of(ks, 1);
    assert_int_equal(group->record.seq, 1);
    assert_int_equal(group->record.generation, 2);
    assert_int_equal(group->record.rekeys_sent, 1);
    assert_true(group->pushing);
    assert_int_equal(group->rekey.members, 1);
    assert_string_equal((const char *)group->push, "sealed");
    assert_int_equal(group->record.tek_count, 2);
}

static void one_rekey_at_a_time(void **state)
{
    struct ks *ks = *state;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    struct rekey_due due = {.group_id = 1, .kind = REKEY_TEK};
    struct rekey_draft *draft;
    assert_err(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft), E_STALE);
    struct ks_group *group = ks->state.groups[0];
    group->pushing = false; /* as the primary saw it before */
    struct command c = made(ks, REKEY_TEK);
    group->pushing = true;
    assert_err(apply(ks, &c), E_STALE);
    assert_int_equal(group->record.seq, 1);
}

static void what_was_made_for_another_state_is_stale(void **state)
{
    struct ks *ks = *state;
    struct command c = made(ks, REKEY_TEK);
    c.u.rekey.epoch++;
    assert_err(apply(ks, &c), E_STALE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.generation++;
    assert_err(apply(ks, &c), E_STALE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.seq++;
    assert_err(apply(ks, &c), E_STALE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.kek_spi[0] ^= 1;
    assert_err(apply(ks, &c), E_STALE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.policy_version++;
    assert_err(apply(ks, &c), E_STALE);
    assert_int_equal(group_of(ks, 1)->record.seq, 0);
    assert_int_equal(group_of(ks, 1)->record.generation, 1);
}

static void a_deposed_primary_s_rekey_is_refused(void **state)
{
    struct ks *ks = *state;
    struct command c = made(ks, REKEY_TEK);
    assert_ok(elect(ks, 2));
    assert_err(apply(ks, &c), E_STALE);
}

static void a_rekey_that_lacks_a_part_is_refused(void **state)
{
    struct ks *ks = *state;
    struct command c = made(ks, REKEY_TEK);
    c.u.rekey.has_tek = false;
    assert_err(apply(ks, &c), E_RANGE);
    c = made(ks, REKEY_KEK);
    c.u.rekey.has_kek = false;
    assert_err(apply(ks, &c), E_RANGE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.push.len = 0;
    assert_err(apply(ks, &c), E_RANGE);
    c = made(ks, REKEY_TEK);
    c.u.rekey.tek.sid_epoch++;
    assert_err(apply(ks, &c), E_RANGE);
}

static void first_keys_do_not_replace_live_ones(void **state)
{
    struct ks *ks = *state;
    assert_err(rekey(ks, 1, REKEY_INITIAL), E_STALE);
    ks->now_ms += (uint64_t)86400 * 1000;
    assert_ok(rekey(ks, 1, REKEY_INITIAL));
    assert_int_equal(group_of(ks, 1)->record.generation, 2);
    assert_int_equal(group_of(ks, 1)->record.seq, 0);
}

static void a_spi_in_use_is_refused(void **state)
{
    struct ks *ks = *state;
    struct command c = made(ks, REKEY_TEK);
    c.u.rekey.tek.spi = group_of(ks, 1)->record.teks[0].spi;
    assert_err(apply(ks, &c), E_EXISTS);
}

static void a_new_kek_keeps_the_previous_one(void **state)
{
    struct ks *ks = *state;
    struct kek_record old = group_of(ks, 1)->record.kek;
    assert_ok(rekey(ks, 1, REKEY_KEK));
    const struct group_record *r = &group_of(ks, 1)->record;
    assert_true(r->has_previous_kek);
    assert_memory_equal(r->previous_kek.spi, old.spi, KEK_SPI_LEN);
    assert_int_not_equal(memcmp(r->kek.spi, old.spi, KEK_SPI_LEN), 0);
    assert_memory_equal(group_of(ks, 1)->rekey.kek_spi, old.spi, KEK_SPI_LEN); /* sealed under the old one */
    assert_int_equal(r->tek_count, 2); /* a KEK never comes without a TEK */
}

static void expired_teks_leave_after_the_deactivation_delay(void **state)
{
    struct ks *ks = *state;
    uint32_t first = group_of(ks, 1)->record.teks[0].spi;
    ks->now_ms = start_ms + 3600 * 1000 + 9999;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_int_equal(group_of(ks, 1)->record.tek_count, 2);
    assert_int_equal(group_of(ks, 1)->record.teks[0].spi, first);
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    ks->now_ms++;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_int_equal(group_of(ks, 1)->record.tek_count, 2);
    assert_int_not_equal(group_of(ks, 1)->record.teks[0].spi, first);
}

static void the_oldest_tek_leaves_when_there_is_no_room(void **state)
{
    struct ks *ks = *state;
    uint32_t newest = 0;
    for (uint32_t seq = 1; seq <= GROUP_TEK_MAX + 3; seq++) {
        assert_ok(rekey(ks, 1, REKEY_TEK));
        assert_ok(push_done(ks, 1, seq, NULL, 0));
        const struct group_record *r = &group_of(ks, 1)->record;
        newest = r->teks[r->tek_count - 1].spi;
        assert_int_equal(r->teks[r->tek_count - 1].generation, seq + 1);
    }
    const struct group_record *r = &group_of(ks, 1)->record;
    assert_int_equal(r->tek_count, GROUP_TEK_MAX);
    assert_int_equal(r->teks[GROUP_TEK_MAX - 1].spi, newest);
    assert_int_equal(r->teks[0].generation, 5);
}

static void acknowledgements_are_counted_per_member(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(join(ks, 1, 2));
    struct identity silent = member_id(2);
    for (uint32_t seq = 1; seq <= 5; seq++) {
        assert_ok(rekey(ks, 1, REKEY_TEK));
        assert_ok(push_done(ks, 1, seq, &silent, seq == 3 ? 1 : 0));
    }
    const struct member_record *one = member_of(ks, 1, 1), *two = member_of(ks, 1, 2);
    assert_int_equal(one->rekeys_sent, 5);
    assert_int_equal(one->acks, 5);
    assert_int_equal(one->sent_seq[0], 5);
    assert_int_equal(one->acked_seq[3], 2);
    assert_int_equal(two->acks, 4);
    assert_int_equal(two->missed, 1);
    assert_int_equal(two->missed_in_row, 0);
    assert_int_equal(two->acked_seq[2], 2); /* 5, 4, 2, 1 */
    assert_int_equal(group_of(ks, 1)->rekey.acked, 2);
    assert_int_equal(group_of(ks, 1)->rekey.retransmits, 3);
}

static void a_member_is_removed_after_three_unacknowledged_rekeys_in_a_row(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(join(ks, 1, 2));
    struct identity silent = member_id(1);
    uint32_t seq = 0;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, ++seq, NULL, 0));
    for (int i = 0; i < 2; i++) {
        assert_ok(rekey(ks, 1, REKEY_TEK));
        assert_ok(push_done(ks, 1, ++seq, &silent, 1));
        assert_non_null(member_of(ks, 1, 1));
        assert_int_equal(ks->result.removed, 0);
    }
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, ++seq, &silent, 1));
    assert_int_equal(ks->result.removed, 1);
    assert_int_equal(ks->removed, 1);
    assert_true(identity_equal(&ks->last_removed, &silent));
    assert_null(member_of(ks, 1, 1));
    assert_non_null(member_of(ks, 1, 2));
}

/* RFC 8263 6: it may simply not know how to acknowledge. */
static void a_member_that_never_acknowledged_is_not_removed(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    struct identity silent = member_id(1);
    for (uint32_t seq = 1; seq <= 10; seq++) {
        assert_ok(rekey(ks, 1, REKEY_TEK));
        assert_ok(push_done(ks, 1, seq, &silent, 1));
    }
    assert_int_equal(member_of(ks, 1, 1)->missed, 10);
}

static void nobody_is_removed_when_no_acknowledgement_was_asked_for(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("quiet", 5);
    config.ack = KEK_ACK_NONE;
    assert_ok(set_group(ks, &config));
    uint32_t id = ks->result.group_id;
    assert_ok(rekey(ks, id, REKEY_INITIAL));
    assert_ok(join(ks, id, 1));
    struct identity silent = member_id(1);
    for (uint32_t seq = 1; seq <= 5; seq++) {
        assert_ok(rekey(ks, id, REKEY_TEK));
        assert_ok(push_done(ks, id, seq, &silent, 1));
    }
    assert_int_equal(member_of(ks, id, 1)->rekeys_sent, 5);
    assert_int_equal(member_of(ks, id, 1)->acks + member_of(ks, id, 1)->missed, 0);
}

static void a_push_is_done_once(void **state)
{
    struct ks *ks = *state;
    assert_err(push_done(ks, 1, 0, NULL, 0), E_STALE);
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_err(push_done(ks, 1, 2, NULL, 0), E_STALE);
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    assert_err(push_done(ks, 1, 1, NULL, 0), E_STALE);
    assert_err(push_done(ks, 8, 1, NULL, 0), E_UNKNOWN_GROUP);
    assert_null(group_of(ks, 1)->push);
    assert_int_equal(group_of(ks, 1)->rekey.done_ms, ks->now_ms);
}

static bool count_row(void *context, struct bytes key, struct bytes value)
{
    unsigned *count = context;
    (void)key;
    (void)value;
    (*count)++;
    return true;
}

static void the_history_of_rekeys_is_bounded(void **state)
{
    struct ks *ks = *state;
    for (uint32_t seq = 1; seq <= REKEY_HISTORY_MAX + 5; seq++) {
        assert_ok(rekey(ks, 1, seq % 10 == 0 ? REKEY_KEK : REKEY_TEK));
        assert_ok(push_done(ks, 1, seq, NULL, 0));
    }
    unsigned rows = 0, pushes = 0;
    struct store_txn *txn;
    assert_ok(store_begin_read(ks->store, &txn));
    assert_ok(store_each(txn, TABLE_REKEY, (struct bytes){0}, count_row, &rows));
    assert_ok(store_each(txn, TABLE_PUSH, (struct bytes){0}, count_row, &pushes));
    store_abort(txn);
    assert_int_equal(rows, REKEY_HISTORY_MAX);
    assert_int_equal(pushes, 0);
}

static void the_sequence_ends_rather_than_starting_again(void **state)
{
    struct ks *ks = *state;
    struct command c = made(ks, REKEY_TEK);
    ks->state.groups[0]->record.seq = UINT32_MAX;
    c.u.rekey.seq = 0;
    struct apply_result result;
    c.time_ms = ks->now_ms;
    assert_ok(ks_state_apply(&ks->state, &c, NULL, &result, NULL, NULL));
    assert_err(result.err, E_LIMIT);
}

static void a_failed_allocation_stops_the_node_and_nothing_else_does(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    struct command c = made(ks, REKEY_TEK);
    struct apply_result result;
    heap_fault_after(0);
    err_t err = ks_state_apply(&ks->state, &c, NULL, &result, NULL, NULL);
    assert_true(heap_fault_hit());
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_keys_take_no_sequence_number, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_rekey_takes_the_next_sequence_number_and_is_pushed, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(one_rekey_at_a_time, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(what_was_made_for_another_state_is_stale, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_deposed_primary_s_rekey_is_refused, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_rekey_that_lacks_a_part_is_refused, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(first_keys_do_not_replace_live_ones, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_spi_in_use_is_refused, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_new_kek_keeps_the_previous_one, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(expired_teks_leave_after_the_deactivation_delay, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(the_oldest_tek_leaves_when_there_is_no_room, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(acknowledgements_are_counted_per_member, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_is_removed_after_three_unacknowledged_rekeys_in_a_row,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_that_never_acknowledged_is_not_removed, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(nobody_is_removed_when_no_acknowledgement_was_asked_for,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_push_is_done_once, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(the_history_of_rekeys_is_bounded, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(the_sequence_ends_rather_than_starting_again, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_failed_allocation_stops_the_node_and_nothing_else_does,
                                        ks_setup_group, ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

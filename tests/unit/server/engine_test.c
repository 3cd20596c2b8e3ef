/* engine_test.c - what makes rekeys happen: plan, commit, roles, restarts, the configuration, the signing
 * key. */
#include "tests/unit/server/fleet.h"

static void a_restart_sends_the_same_bytes_again(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t first[ISAKMP_MESSAGE_MAX];
    fleet_open(&f);
    rekey_now(&f);
    assert_true(member_get(f.rig, &f.m[0]));
    memcpy(first, f.m[0].got.data, f.m[0].got.len);
    size_t len = f.m[0].got.len;
    assert_ok(member_push(&f.m[0]));
    rig_kill_core(f.rig);
    assert_true(rig_g1(f.rig)->pushing);
    uint32_t seq = rig_g1(f.rig)->record.seq;
    rig_open_core(f.rig);
    core_ready(f.rig->core, true);
    rig_settle(f.rig);
    assert_true(member_get(f.rig, &f.m[0]));
    assert_int_equal(f.m[0].got.len, len);
    assert_memory_equal(f.m[0].got.data, first, len);
    assert_err(member_push(&f.m[0]), E_REPLAY);
    member_send_ack(f.rig, &f.m[0], seq);
    for (size_t i = 1; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->record.seq, seq);
    assert_int_equal(f.rig->applied[CMD_REKEY], 2); /* the first keys, and this one: none was made anew */
    fleet_close(&f);
}

/* The primary died after the commit, and some members had the push already. */
static void the_next_primary_sends_the_same_bytes_to_all(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t first[ISAKMP_MESSAGE_MAX];
    size_t len = 0, had_count = 0;
    bool had[MEMBERS] = {false};
    fleet_open(&f);
    f.rig->many_limit = 2;
    rekey_now(&f);
    uint32_t seq = rig_g1(f.rig)->record.seq;
    for (size_t i = 0; i < MEMBERS; i++) {
        had[i] = rig_waiting(f.rig, &f.m[i].at) > 0;
        if (!had[i])
            continue;
        assert_true(member_get(f.rig, &f.m[i]));
        len = f.m[i].got.len;
        memcpy(first, f.m[i].got.data, len);
        assert_ok(member_push(&f.m[i]));
        had_count++;
    }
    assert_int_equal(had_count, 2);
    rig_kill_core(f.rig);
    memset(f.rig->node_id, 0x44, sizeof(f.rig->node_id)); /* another server holds the same state */
    struct command elect = {.type = CMD_ELECT, .time_ms = rig_wall(f.rig), .u.elect.epoch = 2};
    memcpy(elect.u.elect.primary_id, f.rig->node_id, NODE_ID_LEN);
    rig_apply(f.rig, &elect, NULL, NULL);
    f.rig->many_limit = 0;
    rig_open_core(f.rig);
    core_ready(f.rig->core, true);
    rig_settle(f.rig);
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_true(member_get(f.rig, &f.m[i]));
        assert_int_equal(f.m[i].got.len, len);
        assert_memory_equal(f.m[i].got.data, first, len);
        assert_err(member_push(&f.m[i]), had[i] ? E_REPLAY : E_OK);
        member_send_ack(f.rig, &f.m[i], seq);
    }
    rig_pass(f.rig, 1000);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->record.seq, seq);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
    assert_int_equal(f.rig->applied[CMD_REKEY], 2); /* the first keys, and this one */
    fleet_close(&f);
}

static void nothing_is_pushed_before_the_commit(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->commit = RIG_HOLD;
    rekey_now(&f);
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->many_count, 0);
    assert_int_equal(f.rig->proposal_count, 1);
    f.rig->commit = RIG_COMMIT;
    rig_settle(f.rig);
    assert_int_equal(f.rig->many_count, MEMBERS);
    fleet_close(&f);
}

static void a_rekey_that_was_not_committed_is_made_anew(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->commit = RIG_LOSE;
    rig_pass(f.rig, (7200 - TEK_LEAD_S + 10) * 1000);
    assert_int_equal(f.rig->many_count, 0);
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->many_count, MEMBERS);
    assert_int_equal(rig_g1(f.rig)->record.seq, 1);
    fleet_close(&f);
}

static void only_the_primary_makes_and_sends_rekeys(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->primary = false;
    assert_err(core_rekey(f.rig->core, "G1", NULL, NULL), E_NOT_PRIMARY);
    rig_pass(f.rig, 7300 * 1000);
    assert_int_equal(f.rig->many_count, 0);
    assert_int_equal(rig_g1(f.rig)->record.seq, 0);
    fleet_close(&f);
}

static void a_deposed_primary_stops_sending(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    size_t sent = f.rig->many_count;
    f.rig->primary = false;
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->many_count, sent);
    assert_true(rig_g1(f.rig)->pushing);
    f.rig->primary = true; /* and takes it up again */
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->many_count, sent + MEMBERS);
    fleet_close(&f);
}

static void a_changed_policy_is_pushed(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->groups[0].selector_count = 2;
    assert_ok(prefix_parse(&f.rig->groups[0].selectors[1].src, "172.20.0.0/16"));
    assert_ok(prefix_parse(&f.rig->groups[0].selectors[1].dst, "172.20.0.0/16"));
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 10);
    assert_int_equal(events_since(GROUP_CHANGED), 1);
    assert_int_equal(rig_g1(f.rig)->rekey.kind, REKEY_POLICY);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void groups_and_keys_that_left_the_file_are_removed(void **state)
{
    (void)state;
    struct fleet f;
    struct rig_member m;
    fleet_open(&f);
    rekey_now(&f);
    f.rig->config.group_count = 0;
    f.rig->config.psk_count = 1;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->state.group_count, 0);
    assert_int_equal(f.rig->state.psks.count, 1);
    assert_int_equal(events_since(GROUP_REMOVED), 1);
    rig_wire_clear(f.rig);
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->wire_count, 0); /* its push ended with it */
    member_init(f.rig, &m, 14, 200, RIG_PSK);
    assert_int_not_equal(member_phase1(f.rig, &m), E_OK);
    member_close(&m);
    fleet_close(&f);
}

static void a_changed_psk_is_taken_over(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    assert_ok(secret_set(&rig->psks[0].secret, bytes_of_text("another secret")));
    core_configure(rig->core, &rig->config);
    rig_pass(rig, 2000);
    member_init(rig, &m, 13, 2, "another secret");
    assert_ok(member_phase1(rig, &m));
    member_close(&m);
    rig_free(rig);
}

static void a_new_signing_key_reaches_the_members(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->config.sign_alg = SIGN_RSA;
    f.rig->config.sign_bits = 2048;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->state.signing.version, 2);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 2);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    rekey_now(&f); /* now signed by the new one */
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void without_a_signing_key_the_group_says_so(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    events_mark();
    rig->pool_full = true;
    core_ready(rig->core, true);
    rig_pass(rig, 4000); /* it may just be in the making */
    assert_int_equal(events_since(KS_NO_RSA_KEYS), 0);
    rig_pass(rig, 3000);
    assert_int_equal(events_since(KS_NO_RSA_KEYS), 1);
    assert_false(rig_g1(rig)->record.has_kek);
    rig->pool_full = false;
    rig_pass(rig, 2000);
    assert_true(rig_g1(rig)->record.has_kek);
    rig_free(rig);
}

static void asked_done(void *context, err_t err, uint32_t seq)
{
    uint32_t *out = context;
    assert_ok(err);
    *out = seq;
}

static void an_operator_hears_when_the_rekey_is_committed(void **state)
{
    (void)state;
    struct fleet f;
    uint32_t seq = 0;
    fleet_open(&f);
    f.rig->commit = RIG_HOLD;
    assert_ok(core_rekey(f.rig->core, "G1", asked_done, &seq));
    rig_settle(f.rig);
    assert_int_equal(seq, 0);
    assert_err(core_rekey(f.rig->core, "G1", asked_done, &seq), E_AGAIN);
    assert_err(core_rekey(f.rig->core, "G2", asked_done, &seq), E_NOT_FOUND);
    f.rig->commit = RIG_COMMIT;
    rig_settle(f.rig);
    assert_int_equal(seq, 1);
    assert_err(core_rekey(f.rig->core, "G1", asked_done, &seq), E_AGAIN); /* that one is on its way */
    fleet_close(&f);
}

static void a_push_done_that_was_lost_is_proposed_again(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    f.rig->commit = RIG_LOSE;
    for (size_t i = 0; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    rig_pass(f.rig, 3000);
    assert_true(rig_g1(f.rig)->pushing);
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2000);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_sends_the_same_bytes_again),
        cmocka_unit_test(the_next_primary_sends_the_same_bytes_to_all),
        cmocka_unit_test(nothing_is_pushed_before_the_commit),
        cmocka_unit_test(a_rekey_that_was_not_committed_is_made_anew),
        cmocka_unit_test(only_the_primary_makes_and_sends_rekeys),
        cmocka_unit_test(a_deposed_primary_stops_sending),
        cmocka_unit_test(a_changed_policy_is_pushed),
        cmocka_unit_test(groups_and_keys_that_left_the_file_are_removed),
        cmocka_unit_test(a_changed_psk_is_taken_over),
        cmocka_unit_test(a_new_signing_key_reaches_the_members),
        cmocka_unit_test(without_a_signing_key_the_group_says_so),
        cmocka_unit_test(an_operator_hears_when_the_rekey_is_committed),
        cmocka_unit_test(a_push_done_that_was_lost_is_proposed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

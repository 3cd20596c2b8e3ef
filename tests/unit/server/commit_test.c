/* commit_test.c - a registration and its commit: nothing is told before, and every way in which it may fail.
 */
#include "proto/ike/informational.h"
#include "tests/unit/server/member.h"

static void message_4_waits_for_the_commit(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    rig->commit = RIG_HOLD;
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    assert_int_equal(m.pull.state, PULL_M_AWAIT_4);
    assert_int_equal(rig->proposal_count, 1);
    member_repeat(rig, &m); /* message 3 again: still one proposal */
    member_repeat(rig, &m);
    assert_int_equal(rig->proposal_count, 1);
    assert_int_equal(rig->wire_count, 0);
    rig->commit = RIG_COMMIT;
    rig_settle(rig);
    assert_int_equal(rig->wire_count, 1);
    assert_true(member_get(rig, &m));
    assert_ok(member_pull_step(rig, &m));
    member_take_keys(&m);
    member_close(&m);
    rig_free(rig);
}

static void a_lost_commit_says_nothing_and_message_3_runs_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    rig->commit = RIG_LOSE;
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    assert_int_equal(rig->wire_count, 0);
    assert_int_equal(rig_metric(rig, METRIC_PULL_UNCOMMITTED), 1);
    member_repeat(rig, &m);
    assert_int_equal(rig->wire_count, 0);
    rig->commit = RIG_COMMIT;
    member_repeat(rig, &m);
    assert_true(member_get(rig, &m));
    assert_ok(member_pull_step(rig, &m));
    member_take_keys(&m);
    member_close(&m);
    rig_free(rig);
}

static void a_full_cluster_queue_lets_the_member_ask_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    static const err_t refusals[] = {E_FULL, E_NOT_PRIMARY, E_STATE};
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    rig->propose_error = refusals[0];
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    for (size_t i = 1; i < ARRAY_LEN(refusals); i++) {
        rig->propose_error = refusals[i];
        member_repeat(rig, &m);
        assert_int_equal(rig->wire_count, 0);
    }
    rig->propose_error = E_OK;
    member_repeat(rig, &m);
    assert_true(member_get(rig, &m));
    assert_ok(member_pull_step(rig, &m));
    assert_int_equal(m.pull.state, PULL_M_DONE);
    member_close(&m);
    rig_free(rig);
}

static void a_commit_whose_sa_is_gone_is_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    rig->commit = RIG_HOLD;
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(informational_delete_sa(&m.sa, 99, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_int_equal(core_sa_count(rig->core), 0);
    rig->commit = RIG_COMMIT;
    rig_settle(rig);
    assert_int_equal(rig->wire_count, 0);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 1);
    member_close(&m);
    rig_free(rig);
}

static void a_refused_commit_asks_the_member_to_pull_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct isakmp_header header;
    struct informational info;
    struct bytes body;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    member_pull_start(rig, &m, 3333);
    assert_true(member_get(rig, &m)); /* message 2: keys of now */
    /* A whole rekey runs, and is over. */
    assert_ok(core_rekey(rig->core, "G1", NULL, NULL));
    rig_settle(rig);
    assert_false(rig_g1(rig)->pushing);
    assert_int_equal(rig_g1(rig)->record.seq, 1);
    assert_ok(member_pull_step(rig, &m)); /* message 3, too late */
    assert_int_equal(rig_metric(rig, METRIC_PULL_STALE), 1);
    assert_true(member_get(rig, &m));
    assert_ok(isakmp_header_decode(&header, &body, m.got));
    assert_ok(informational_open(&m.sa, &header, body, plain, &info));
    assert_int_equal(info.notify_type, NOTIFY_INVALID_SPI);
    assert_ok(member_pull(rig, &m, 3333));
    assert_int_equal(m.pull.seq, 1);
    member_close(&m);
    rig_free(rig);
}

static void two_pulls_under_one_sa_do_not_mix(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    struct pull_member first;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    member_pull_start(rig, &m, 3333);
    assert_true(member_get(rig, &m));
    first = m.pull;
    struct bytes answer = m.got;
    uint8_t kept[ISAKMP_MESSAGE_MAX];
    memcpy(kept, answer.data, answer.len);
    m.pull = (struct pull_member){0};
    assert_ok(member_pull(rig, &m, 3333));
    pull_member_close(&m.pull);
    m.pull = first;
    m.got = (struct bytes){kept, answer.len};
    assert_ok(member_pull_step(rig, &m));
    assert_true(member_get(rig, &m));
    assert_ok(member_pull_step(rig, &m));
    assert_int_equal(m.pull.state, PULL_M_DONE);
    member_close(&m);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_4_waits_for_the_commit),
        cmocka_unit_test(a_lost_commit_says_nothing_and_message_3_runs_again),
        cmocka_unit_test(a_full_cluster_queue_lets_the_member_ask_again),
        cmocka_unit_test(a_commit_whose_sa_is_gone_is_dropped),
        cmocka_unit_test(a_refused_commit_asks_the_member_to_pull_again),
        cmocka_unit_test(two_pulls_under_one_sa_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

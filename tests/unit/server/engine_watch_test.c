/* engine_watch_test.c - when the rekey engine counts as stuck, and when it is well again. */
#include "server/core_parts.h"
#include "tests/unit/server/fleet.h"

enum { DUE_MS = (7200 - TEK_LEAD_S) * 1000, BETWEEN_MS = 1000 };

static bool stuck(const struct fleet *f)
{
    return core_engine_fault(f->rig->core) != NULL;
}

/* A rekey is due in a moment. */
static void fleet_due(struct fleet *f)
{
    fleet_open(f);
    rig_pass(f->rig, DUE_MS - 10 * BETWEEN_MS);
    assert_int_equal(f->rig->applied[CMD_REKEY], 1); /* the first keys */
    events_mark();
}

static void a_rekey_that_cannot_be_signed_is_stuck_and_well_when_it_moves(void **state)
{
    (void)state;
    struct fleet f;
    fleet_due(&f);
    f.rig->pool_full = true;
    rig_pass(f.rig, 7 * BETWEEN_MS + GROUP_STUCK_MS); /* it is due in eight seconds */
    assert_false(stuck(&f));
    rig_pass(f.rig, 3 * BETWEEN_MS);
    assert_string_equal(core_engine_fault(f.rig->core), "a rekey that is due is not made");
    assert_int_equal(events_since(ENGINE_STUCK), 1);
    assert_err(group_work_find(f.rig->core, rig_g1(f.rig)->record.id)->failed, E_FULL); /* that is told too */
    assert_null(core_not_serving(f.rig->core)); /* any server answers from committed keys */
    f.rig->pool_full = false;
    rig_pass(f.rig, 2 * BETWEEN_MS);
    assert_false(stuck(&f));
    assert_int_equal(events_since(ENGINE_RECOVERED), 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ENGINE_STUCK), 1);
    fleet_close(&f);
}

static void a_rekey_whose_commit_does_not_come_is_stuck(void **state)
{
    (void)state;
    struct fleet f;
    fleet_due(&f);
    f.rig->commit = RIG_LOSE;
    rig_pass(f.rig, 10 * BETWEEN_MS + GROUP_STUCK_MS + 2 * BETWEEN_MS);
    assert_true(stuck(&f));
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2 * BETWEEN_MS);
    assert_false(stuck(&f));
    fleet_close(&f);
}

static void a_committed_push_that_no_socket_takes_is_stuck(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->many_stuck = true;
    rekey_now(&f);
    rig_pass(f.rig, GROUP_STUCK_MS + 2 * BETWEEN_MS);
    assert_string_equal(core_engine_fault(f.rig->core), "a committed rekey is not sent");
    f.rig->many_stuck = false;
    rig_pass(f.rig, BETWEEN_MS);
    assert_false(stuck(&f));
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void the_end_of_a_push_that_is_not_committed_is_stuck(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    f.rig->commit = RIG_HOLD;
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    rig_pass(f.rig, GROUP_STUCK_MS + 2 * BETWEEN_MS);
    assert_string_equal(core_engine_fault(f.rig->core), "the end of a rekey is not committed");
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2 * BETWEEN_MS);
    assert_false(stuck(&f));
    fleet_close(&f);
}

static void waiting_for_members_that_are_silent_is_not_stuck(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->groups[0].retransmit_s = 2 * GROUP_STUCK_MS / 1000;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, BETWEEN_MS);
    rekey_now(&f);
    for (int i = 0; i < 4 * GROUP_STUCK_MS / BETWEEN_MS; i++) {
        rig_pass(f.rig, BETWEEN_MS);
        assert_false(stuck(&f));
    }
    assert_true(rig_g1(f.rig)->pushing);
    fleet_close(&f);
}

static void threads_that_do_not_answer_are_told_and_nobody_is_served(void **state)
{
    (void)state;
    struct fleet f;
    struct rig_member late;
    fleet_open(&f);
    f.rig->hold_jobs = true;
    member_init(f.rig, &late, 13, 2, RIG_PSK);
    assert_int_not_equal(member_phase1(f.rig, &late), E_OK);
    assert_int_not_equal(f.rig->job_count, 0);
    rig_pass(f.rig, WORKER_STUCK_MS - BETWEEN_MS);
    assert_false(stuck(&f));
    rig_pass(f.rig, 2 * BETWEEN_MS);
    assert_ptr_equal(core_engine_fault(f.rig->core), engine_fault_worker);
    assert_string_equal(core_not_serving(f.rig->core), engine_fault_worker);
    f.rig->primary = false; /* that needs no role */
    rig_pass(f.rig, 2 * ENGINE_REST_MS);
    assert_true(stuck(&f));
    f.rig->hold_jobs = false;
    rig_pass(f.rig, BETWEEN_MS);
    assert_false(stuck(&f)); /* they answered: no need to rest */
    assert_null(core_not_serving(f.rig->core));
    assert_int_equal(events_since(ENGINE_STUCK), 1);
    assert_int_equal(events_since(ENGINE_RECOVERED), 1);
    member_close(&late);
    fleet_close(&f);
}

static void a_signing_key_may_take_its_time_but_not_for_ever(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->hold_jobs = true;
    f.rig->config.sign_alg = SIGN_ECDSA_384;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, SIGN_KEY_STUCK_MS - BETWEEN_MS);
    assert_int_equal(f.rig->job_count, 1);
    assert_false(stuck(&f));
    rig_pass(f.rig, 3 * BETWEEN_MS);
    assert_true(stuck(&f));
    fleet_close(&f);
}

/* Whoever lost the role cannot show that it is well: it rests, and then it may have it again. */
static void a_server_that_lost_the_role_for_it_rests(void **state)
{
    (void)state;
    struct fleet f;
    fleet_due(&f);
    f.rig->pool_full = true;
    rig_pass(f.rig, 10 * BETWEEN_MS + GROUP_STUCK_MS + 2 * BETWEEN_MS);
    assert_true(stuck(&f));
    f.rig->primary = false;
    rig_pass(f.rig, ENGINE_REST_MS - 2 * BETWEEN_MS);
    assert_true(stuck(&f));
    rig_pass(f.rig, 4 * BETWEEN_MS);
    assert_false(stuck(&f));
    f.rig->primary = true; /* nothing is better: it has its time again */
    rig_pass(f.rig, GROUP_STUCK_MS - 2 * BETWEEN_MS);
    assert_false(stuck(&f));
    rig_pass(f.rig, 4 * BETWEEN_MS);
    assert_true(stuck(&f));
    assert_int_equal(events_since(ENGINE_STUCK), 2);
    fleet_close(&f);
}

static void without_a_quorum_nothing_is_stuck(void **state)
{
    (void)state;
    struct fleet f;
    fleet_due(&f);
    f.rig->contact = CONTACT_MINORITY;
    f.rig->primary = false;
    f.rig->propose_error = E_STATE;
    core_ready(f.rig->core, false);
    rig_pass(f.rig, 10 * GROUP_STUCK_MS);
    assert_false(stuck(&f));
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rekey_that_cannot_be_signed_is_stuck_and_well_when_it_moves),
        cmocka_unit_test(a_rekey_whose_commit_does_not_come_is_stuck),
        cmocka_unit_test(a_committed_push_that_no_socket_takes_is_stuck),
        cmocka_unit_test(the_end_of_a_push_that_is_not_committed_is_stuck),
        cmocka_unit_test(waiting_for_members_that_are_silent_is_not_stuck),
        cmocka_unit_test(threads_that_do_not_answer_are_told_and_nobody_is_served),
        cmocka_unit_test(a_signing_key_may_take_its_time_but_not_for_ever),
        cmocka_unit_test(a_server_that_lost_the_role_for_it_rests),
        cmocka_unit_test(without_a_quorum_nothing_is_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

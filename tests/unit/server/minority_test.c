/* minority_test.c - a key server that lost the quorum: it serves what is committed, for a while, and changes
 * nothing. */
#include "cluster/ks_runway.h"
#include "tests/unit/server/member.h"

enum { AFTER_MS = 3500 }; /* a little more than the core waits */

static struct rig *rig_with_runway(void)
{
    struct rig *rig = rig_new();
    rig->groups[0].runway = 2;
    core_ready(rig->core, true);
    rig_pass(rig, 2000);
    assert_int_equal(rig_g1(rig)->record.runway_count, 2);
    return rig;
}

/* Contact is lost, and nothing can be committed. */
static void cut_off(struct rig *rig)
{
    rig->contact = CONTACT_MINORITY;
    rig->primary = false;
    rig->propose_error = E_STATE;
    core_ready(rig->core, false);
    rig_settle(rig);
}

/* The process dies while it is cut off, and another one begins so much later. */
static void restart_cut_off(struct rig *rig, uint64_t later_ms)
{
    rig_kill_core(rig);
    rig->mono_ms += later_ms;
    rig->contact = CONTACT_MINORITY;
    rig->primary = false;
    rig->propose_error = E_STATE;
    rig_open_core(rig);
    rig_settle(rig);
}

static void heal(struct rig *rig)
{
    rig->contact = CONTACT_WHOLE;
    rig->propose_error = E_OK;
    core_ready(rig->core, true);
    rig_pass(rig, 1000);
}

static uint64_t to_cluster_ms(const struct rig *rig, uint64_t cluster_ms)
{
    uint64_t now_ms = rig_wall((void *)(uintptr_t)rig);
    assert_true(cluster_ms > now_ms);
    return cluster_ms - now_ms;
}

static void close_all(struct rig *rig, struct rig_member *m)
{
    member_close(m);
    rig_free(rig);
}

static void a_member_gets_committed_keys_without_a_quorum_and_is_known_after_it(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    uint64_t until_ms;
    cut_off(rig);
    assert_non_null(core_not_serving(rig->core));
    rig_pass(rig, AFTER_MS);
    assert_null(core_not_serving(rig->core));
    assert_true(core_minority_until(rig->core, &until_ms));
    assert_true(until_ms > rig_wall(rig));
    member_register(rig, &m, 13, 2);
    assert_int_equal(m.pull.policy.tek_count, 1);
    assert_int_equal(m.pull.policy.teks[0].spi, rig_g1(rig)->record.teks[0].spi);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    assert_int_equal(rig_g1(rig)->members.count, 0);
    assert_int_equal(rig_metric(rig, METRIC_MINORITY_REGISTRATIONS), 1);
    heal(rig);
    assert_false(core_minority_until(rig->core, &until_ms));
    assert_int_equal(rig->applied[CMD_MEMBER_SERVED], 1);
    assert_int_equal(rig_g1(rig)->members.count, 1);
    close_all(rig, &m);
}

static void when_a_rekey_is_due_the_next_committed_key_is_told_too(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    const struct group_record *r = &rig_g1(rig)->record;
    rig_pass(rig, to_cluster_ms(rig, ks_runway_start_ms(r, 0)) - 60000);
    cut_off(rig);
    rig_pass(rig, 70000);
    member_register(rig, &m, 13, 2);
    assert_int_equal(m.pull.policy.tek_count, 2);
    assert_int_equal(m.pull.policy.teks[0].spi, r->teks[0].spi);
    assert_int_equal(m.pull.policy.teks[1].spi, r->runway[0].spi);
    assert_true(m.pull.policy.activation_s > r->config.activation_s);
    close_all(rig, &m);
}

static void a_primary_that_is_cut_off_makes_no_key_and_sends_no_rekey(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    member_register(rig, &m, 13, 2);
    const struct group_record *r = &rig_g1(rig)->record;
    uint32_t generation = r->generation, seq = r->seq;
    size_t rekeys = rig->applied[CMD_REKEY];
    cut_off(rig);
    rig_wire_clear(rig);
    rig_pass(rig, 2 * to_cluster_ms(rig, ks_runway_start_ms(r, 1)));
    assert_int_equal(rig->applied[CMD_REKEY], rekeys);
    assert_int_equal(r->generation, generation);
    assert_int_equal(r->seq, seq);
    assert_int_equal(rig->wire_count, 0);
    close_all(rig, &m);
}

static void an_election_is_no_split(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    uint64_t until_ms;
    cut_off(rig);
    rig_pass(rig, AFTER_MS / 2);
    assert_false(core_minority_until(rig->core, &until_ms));
    assert_non_null(core_not_serving(rig->core));
    heal(rig);
    assert_null(core_not_serving(rig->core));
    rig_free(rig);
}

static void the_service_ends_with_its_time(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    rig->config.minority_serve_s = 60;
    cut_off(rig);
    rig_pass(rig, 61000);
    assert_non_null(core_not_serving(rig->core));
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    close_all(rig, &m);
}

static void the_service_can_be_switched_off(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    uint64_t until_ms;
    rig->config.minority_serve_s = 0;
    cut_off(rig);
    rig_pass(rig, 60000);
    assert_false(core_minority_until(rig->core, &until_ms));
    assert_non_null(core_not_serving(rig->core));
    rig_free(rig);
}

static void a_counter_mode_is_refused_because_its_sender_ids_need_a_commit(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_member m;
    rig->groups[0].suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    rig->groups[0].sid_bits = 8;
    core_ready(rig->core, true);
    rig_pass(rig, 2000);
    cut_off(rig);
    rig_pass(rig, AFTER_MS);
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    assert_int_not_equal(member_pull(rig, &m, 3333), E_OK);
    assert_int_equal(rig_metric(rig, METRIC_PULL_REFUSED), 1);
    assert_int_equal(rig_metric(rig, METRIC_MINORITY_REGISTRATIONS), 0);
    close_all(rig, &m);
}

static void what_cannot_be_committed_after_healing_is_proposed_again(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    cut_off(rig);
    rig_pass(rig, AFTER_MS);
    member_register(rig, &m, 13, 2);
    rig->commit = RIG_LOSE;
    rig->contact = CONTACT_SPLIT;
    rig->propose_error = E_OK;
    core_ready(rig->core, true);
    core_tick(rig->core);
    assert_int_not_equal(rig->proposal_count, 0);
    rig_commit_all(rig, true);
    assert_int_equal(rig->applied[CMD_MEMBER_SERVED], 0);
    rig->commit = RIG_COMMIT;
    rig_pass(rig, 3000);
    assert_int_equal(rig->applied[CMD_MEMBER_SERVED], 1);
    close_all(rig, &m);
}

static void a_restart_without_a_quorum_goes_on_serving_committed_keys(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    uint64_t until_ms, current_ms = rig->state.cluster.time_ms;
    cut_off(rig);
    rig_pass(rig, 60000);
    events_mark();
    restart_cut_off(rig, 1000);
    assert_non_null(core_not_serving(rig->core)); /* it may just not have heard the others yet */
    rig_pass(rig, AFTER_MS);
    assert_null(core_not_serving(rig->core));
    assert_int_equal(events_since(KS_MINORITY), 1);
    assert_true(core_minority_until(rig->core, &until_ms));
    assert_int_equal(until_ms, current_ms + (uint64_t)2 * 7200 * 1000); /* from the newest commit, not from the restart */
    member_register(rig, &m, 13, 2);
    assert_int_equal(m.pull.policy.teks[0].spi, rig_g1(rig)->record.teks[0].spi);
    assert_int_equal(rig->proposal_count, 0);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    heal(rig);
    assert_int_equal(events_since(KS_MINORITY_OVER), 1);
    assert_int_equal(rig->applied[CMD_MEMBER_SERVED], 1);
    close_all(rig, &m);
}

static void no_number_of_restarts_makes_the_time_longer(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    uint64_t until_ms;
    rig->config.minority_serve_s = 600;
    cut_off(rig);
    for (int i = 0; i < 5; i++) {
        rig_pass(rig, 100000);
        restart_cut_off(rig, 1000);
        rig_pass(rig, AFTER_MS);
        assert_true(core_minority_until(rig->core, &until_ms));
    }
    rig_pass(rig, 100000);
    assert_false(core_minority_until(rig->core, &until_ms));
    assert_string_equal(core_not_serving(rig->core),
                        "no quorum, and the time to serve committed keys without one is over");
    events_mark();
    restart_cut_off(rig, 1000);
    rig_pass(rig, AFTER_MS);
    assert_int_equal(events_since(KS_MINORITY), 0);
    assert_int_equal(events_since(KS_MINORITY_OLD), 1);
    assert_non_null(core_not_serving(rig->core));
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    close_all(rig, &m);
}

static void a_state_older_than_this_boot_s_clock_is_reckoned_right(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    uint64_t until_ms, day_ms = 86400000;
    rig->config.minority_serve_s = 2 * 86400;
    cut_off(rig);
    restart_cut_off(rig, day_ms); /* the monotonic clock of the rig begins at 5,000 s */
    rig_pass(rig, AFTER_MS);
    assert_true(core_minority_until(rig->core, &until_ms));
    assert_true(until_ms <= rig->state.cluster.time_ms + 2 * day_ms);
    rig_pass(rig, day_ms);
    assert_false(core_minority_until(rig->core, &until_ms));
    rig_free(rig);
}

/* As after SIGSTOP, or with a machine that was suspended: the state is as old as the pause. */
static void a_process_that_was_stopped_serves_for_what_is_left(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    uint64_t until_ms;
    rig->config.minority_serve_s = 60;
    rig->mono_ms += 50000;
    cut_off(rig);
    rig_pass(rig, AFTER_MS);
    assert_true(core_minority_until(rig->core, &until_ms));
    assert_true(until_ms <= rig_wall(rig) + 10000);
    rig_pass(rig, 10000);
    assert_false(core_minority_until(rig->core, &until_ms));
    rig_free(rig);
}

/* A start is no split: nobody is told to take the next key late because of it. */
static void a_start_that_finds_the_others_changes_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_with_runway();
    struct rig_member m;
    restart_cut_off(rig, 1000);
    rig_pass(rig, AFTER_MS / 2);
    rig->primary = true;
    heal(rig);
    rig_pass(rig, to_cluster_ms(rig, ks_runway_start_ms(&rig_g1(rig)->record, 0)) + 1000);
    member_register(rig, &m, 13, 2);
    assert_int_equal(m.pull.policy.tek_count, 2);
    assert_int_equal(m.pull.policy.activation_s, rig_g1(rig)->record.config.activation_s);
    close_all(rig, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_without_a_quorum_goes_on_serving_committed_keys),
        cmocka_unit_test(no_number_of_restarts_makes_the_time_longer),
        cmocka_unit_test(a_process_that_was_stopped_serves_for_what_is_left),
        cmocka_unit_test(a_state_older_than_this_boot_s_clock_is_reckoned_right),
        cmocka_unit_test(a_start_that_finds_the_others_changes_nothing),
        cmocka_unit_test(a_member_gets_committed_keys_without_a_quorum_and_is_known_after_it),
        cmocka_unit_test(when_a_rekey_is_due_the_next_committed_key_is_told_too),
        cmocka_unit_test(a_primary_that_is_cut_off_makes_no_key_and_sends_no_rekey),
        cmocka_unit_test(an_election_is_no_split),
        cmocka_unit_test(the_service_ends_with_its_time),
        cmocka_unit_test(the_service_can_be_switched_off),
        cmocka_unit_test(a_counter_mode_is_refused_because_its_sender_ids_need_a_commit),
        cmocka_unit_test(what_cannot_be_committed_after_healing_is_proposed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

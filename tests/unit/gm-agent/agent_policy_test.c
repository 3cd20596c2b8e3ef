/* What the data path is told beside the keys: closed or open, and the group's time. */
#include "world.h"

static void before_the_first_registration_nothing_is_forwarded(void **state)
{
    (void)state;
    struct world *w = world_open(1, 1);
    w->ks[0].dead = true;
    world_start(w);
    assert_int_equal(w->applies, 1); /* at once, not when somebody answers */
    assert_true(w->closed);
    assert_int_equal(w->selector_count, 0);
    world_run(w, 60000);
    assert_true(w->closed);
    w->ks[0].dead = false;
    world_run(w, 70000);
    assert_true(w->agent.registered);
    assert_false(w->closed);
    assert_int_equal(w->selector_count, 2);
    world_close(w);
}

static void open_by_choice_until_the_first_policy(void **state)
{
    (void)state;
    struct world *w = world_open(2, 1);
    w->config.datapath.fail_open = true;
    w->ks[0].dead = true;
    world_start(w);
    assert_false(w->closed);
    assert_int_equal(w->selector_count, 0);
    world_close(w);
}

/* Registered, then the server is gone until all keys have ended. */
static struct world *without_keys(uint64_t seed, bool fail_open, bool revert)
{
    struct world *w = world_open(seed, 1);
    w->config.datapath.fail_open = fail_open;
    w->config.datapath.revert = revert;
    world_start(w);
    world_run(w, 1000);
    assert_int_equal(w->selector_count, 2);
    w->ks[0].dead = true;
    world_run(w, 3700000);
    assert_int_equal(w->in_count, 0);
    return w;
}

static void when_the_keys_have_ended_the_policy_stays(void **state)
{
    (void)state;
    for (unsigned open = 0; open < 2; open++) {
        struct world *w = without_keys(3, open != 0, false);
        assert_int_equal(w->selector_count, 2);
        assert_false(w->has_out);
        assert_false(w->closed);
        world_close(w);
    }
}

static void or_goes_back_to_where_it_began(void **state)
{
    (void)state;
    for (unsigned open = 0; open < 2; open++) {
        struct world *w = without_keys(4, open != 0, true);
        assert_int_equal(w->selector_count, 0);
        assert_int_equal(w->closed, open == 0);
        w->ks[0].dead = false;
        world_run(w, 70000);
        assert_int_equal(w->selector_count, 2);
        assert_false(w->closed);
        world_close(w);
    }
}

static void a_registration_tells_the_time_of_the_group(void **state)
{
    (void)state;
    struct world *w = world_open(5, 1);
    w->policy.time = (struct policy_time){SAT_ATTR_REPLAY_DEFAULT, 4000, 77000000};
    world_start(w);
    world_run(w, 1000);
    assert_int_equal(w->time_window_ms, 4000);
    uint64_t us = group_clock_us(&w->clock, w->now_ms);
    assert_in_range(us, 77000000, 78000000);
    world_close(w);
}

static void a_number_that_is_not_ours_is_not_believed(void **state)
{
    (void)state;
    struct world *w = world_open(6, 1);
    w->policy.time = (struct policy_time){SAT_ATTR_PRIVATE_MIN, 4000, 77000000};
    world_start(w);
    world_run(w, 1000);
    assert_true(w->agent.registered);
    assert_int_equal(w->time_window_ms, 0);
    assert_false(w->clock.set);
    world_close(w);
}

static void rekeys_move_the_time_forward_and_never_back(void **state)
{
    (void)state;
    uint64_t large = event_count(EV_PSEUDO_TIME_LARGE);
    struct world *w = world_open(7, 1);
    uint8_t datagram[ISAKMP_MESSAGE_MAX];
    w->policy.time = (struct policy_time){SAT_ATTR_REPLAY_DEFAULT, 4000, 77000000};
    world_start(w);
    world_run(w, 1000);
    uint64_t before = group_clock_us(&w->clock, w->now_ms);
    w->policy.time.pseudotime_us = 1000000; /* held up on the way for a minute */
    struct tek tek = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &tek, datagram));
    world_run(w, 1000);
    assert_int_equal(w->agent.stats.rekeys, 1);
    assert_int_equal(group_clock_us(&w->clock, w->now_ms), before + 1000000);
    assert_int_equal(event_count(EV_PSEUDO_TIME_LARGE), large);
    w->policy.time.pseudotime_us = 99000000;
    tek = world_tek(w, 0x1003, 3600);
    world_push(w, world_rekey(w, &tek, datagram));
    world_run(w, 1000);
    assert_in_range(group_clock_us(&w->clock, w->now_ms), 99900000, 100000000);
    assert_int_equal(event_count(EV_PSEUDO_TIME_LARGE), large + 1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_registration_nothing_is_forwarded),
        cmocka_unit_test(open_by_choice_until_the_first_policy),
        cmocka_unit_test(when_the_keys_have_ended_the_policy_stays),
        cmocka_unit_test(or_goes_back_to_where_it_began),
        cmocka_unit_test(a_registration_tells_the_time_of_the_group),
        cmocka_unit_test(a_number_that_is_not_ours_is_not_believed),
        cmocka_unit_test(rekeys_move_the_time_forward_and_never_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

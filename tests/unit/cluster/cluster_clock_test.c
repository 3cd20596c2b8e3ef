#include "cluster/cluster_clock.h"

#include <string.h>

#include "tests/lib/test.h"

static const uint64_t epoch_ms = 1800000000000;
enum { HOUR_MS = 3600 * 1000, SIGN_MS = 150 };

/* A leader whose monotonic clock shows other numbers, and a follower of it; delays as given, one after the
 * other. */
struct pair {
    struct cluster_clock leader, follower;
    uint64_t mono_ms; /* of the follower; the leader's is 77777 ahead */
};

static uint64_t leader_mono(const struct pair *p)
{
    return p->mono_ms + 77777;
}

static struct pair pair_open(int64_t follower_off_ms)
{
    struct pair p = {.mono_ms = 5000};
    cluster_clock_open(&p.leader, epoch_ms, leader_mono(&p));
    cluster_clock_lead(&p.leader, leader_mono(&p));
    cluster_clock_open(&p.follower, epoch_ms + (uint64_t)follower_off_ms, p.mono_ms);
    p.follower.trust = CLOCK_SET;
    return p;
}

static int64_t difference(const struct pair *p)
{
    return (int64_t)(cluster_clock_now(&p->follower, p->mono_ms) -
                     cluster_clock_now(&p->leader, leader_mono(p)));
}

/* Signs of life for that long, each under way for 1 ms or, now and then, for much longer. Never a step back.
 */
static void run(struct pair *p, uint64_t ms, uint64_t jitter_ms)
{
    uint64_t end = p->mono_ms + ms, last = 0;
    for (unsigned i = 0; p->mono_ms < end; i++) {
        uint64_t delay = i % 4 == 1 ? 1 : 1 + jitter_ms;
        uint64_t said = cluster_clock_now(&p->leader, leader_mono(p));
        for (uint64_t t = 0; t < SIGN_MS; t += 10) {
            uint64_t now = cluster_clock_now(&p->follower, p->mono_ms + t);
            assert_true(now >= last);
            last = now;
        }
        p->mono_ms += SIGN_MS;
        cluster_clock_hear(&p->follower, 1, said + SIGN_MS - delay, p->mono_ms, CLOCK_SET);
    }
}

static void a_follower_that_is_far_behind_takes_the_leaders_time_at_once(void **state)
{
    (void)state;
    static const int64_t offs[] = {0, -HOUR_MS, -24 * (int64_t)HOUR_MS};
    for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
        struct pair p = pair_open(offs[i]);
        cluster_clock_hear(&p.follower, 1, cluster_clock_now(&p.leader, leader_mono(&p)), p.mono_ms,
                           CLOCK_SET);
        assert_true(difference(&p) == 0);
    }
}

/* As after it led itself: it runs slower until it is right. */
static void a_follower_that_is_ahead_never_steps_back(void **state)
{
    (void)state;
    struct pair p = pair_open(30000);
    run(&p, 300000, 5);
    assert_true(difference(&p) > 10000 && difference(&p) < 20000);
    run(&p, 350000, 5);
    assert_true(difference(&p) <= 0 && difference(&p) >= -5);
}

/* As after a reboot with a wrong wall clock: nobody has been told a time yet. */
static void a_guess_gives_way_to_the_first_time_that_is_heard_be_it_less(void **state)
{
    (void)state;
    static const int64_t offs[] = {HOUR_MS, 700, -700, -HOUR_MS};
    for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
        struct pair p = pair_open(offs[i]);
        p.follower.trust = CLOCK_GUESS;
        cluster_clock_hear(&p.follower, 1, cluster_clock_now(&p.leader, leader_mono(&p)), p.mono_ms,
                           CLOCK_SET);
        assert_true(difference(&p) == 0);
        assert_int_equal(p.follower.trust, CLOCK_SET);
        run(&p, 3000, 5);
        assert_true(difference(&p) >= -5 && difference(&p) <= 0);
    }
}

/* All have come back: whose machine went on running knows better than who was off, and a clock that is set
 * best. */
static void a_clock_is_trusted_as_far_as_the_one_that_it_was_heard_of(void **state)
{
    (void)state;
    struct cluster_clock clock;
    cluster_clock_open(&clock, epoch_ms, 100);
    assert_int_equal(clock.trust, CLOCK_GUESS);
    cluster_clock_hear(&clock, 7, epoch_ms - 3000, 100, CLOCK_KEPT);
    assert_int_equal(clock.trust, CLOCK_KEPT);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms - 3000);
    /* A process that was restarted may serve by such a clock already: forwards only. */
    cluster_clock_hear(&clock, 8, epoch_ms - 2500, 100, CLOCK_SET);
    assert_int_equal(clock.trust, CLOCK_SET);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms - 2500);
    clock.trust = CLOCK_KEPT;
    cluster_clock_hear(&clock, 9, epoch_ms - 2900, 100, CLOCK_SET);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms - 2500);
    cluster_clock_open(&clock, epoch_ms, 100);
    cluster_clock_lead(&clock, 200);
    assert_int_equal(clock.trust, CLOCK_SET);
    assert_int_equal(cluster_clock_now(&clock, 200), epoch_ms + 100);
}

/* Two came back with clocks that went on: one was alone while the other had begun anew, or its word came late. */
static void of_two_that_know_as_well_the_later_counts_until_there_is_a_leader(void **state)
{
    (void)state;
    struct cluster_clock clock;
    cluster_clock_open(&clock, epoch_ms + HOUR_MS, 100);
    cluster_clock_hear_peer(&clock, 7, epoch_ms - 1000, 100, CLOCK_GUESS, false);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + HOUR_MS); /* no better */
    cluster_clock_hear_peer(&clock, 7, epoch_ms - 1000, 100, CLOCK_KEPT, false);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms - 1000);
    assert_int_equal(clock.trust, CLOCK_KEPT);
    cluster_clock_hear_peer(&clock, 8, epoch_ms + 5000, 100, CLOCK_KEPT, false);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + 5000);
    cluster_clock_hear_peer(&clock, 7, epoch_ms - 900, 100, CLOCK_KEPT, false); /* never back */
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + 5000);
    /* It leads, and does not know the time yet. */
    cluster_clock_hear_peer(&clock, 8, epoch_ms + 5300, 100, CLOCK_KEPT, true);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + 5300);
    cluster_clock_lead(&clock, 100);
    cluster_clock_hear_peer(&clock, 9, epoch_ms + 9000, 100, CLOCK_KEPT, false); /* knows less */
    cluster_clock_hear_peer(&clock, 9, epoch_ms + 9000, 100, CLOCK_SET, true);   /* there is a leader */
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + 5300);
    cluster_clock_hear_peer(&clock, 9, epoch_ms + 9000, 100, CLOCK_SET, false);
    assert_int_equal(cluster_clock_now(&clock, 100), epoch_ms + 9000);
}

static void signs_that_were_long_under_way_do_not_count(void **state)
{
    (void)state;
    struct pair p = pair_open(0);
    run(&p, 60000, 400);
    assert_true(difference(&p) >= -20 && difference(&p) <= 0);
    run(&p, 60000, 0);
    assert_true(difference(&p) >= -2 && difference(&p) <= 0);
}

static void a_small_difference_is_made_up_slowly_and_never_by_a_step_back(void **state)
{
    (void)state;
    struct pair p = pair_open(0);
    run(&p, 3000, 0);
    p.follower.base_ms += 500; /* as after a drift: ahead */
    run(&p, 5000, 0);
    assert_true(difference(&p) > 0); /* 50 per mille of 5 s are 250 ms */
    run(&p, 15000, 0);
    assert_true(difference(&p) >= -2 && difference(&p) <= 0);
}

static void a_clock_far_behind_steps_forward(void **state)
{
    (void)state;
    struct pair p = pair_open(0);
    run(&p, 3000, 0);
    p.follower.base_ms -= HOUR_MS;
    run(&p, 2000, 0);
    assert_true(difference(&p) >= -2 && difference(&p) <= 0);
}

/* The new leader's wall clock is not asked, nor is its old difference to the old leader carried on. */
static void a_new_leader_goes_on_where_the_old_one_was(void **state)
{
    (void)state;
    struct pair p = pair_open(-HOUR_MS);
    run(&p, 10000, 5);
    uint64_t was_ms = cluster_clock_now(&p.leader, leader_mono(&p));
    cluster_clock_lead(&p.follower, p.mono_ms);
    uint64_t is_ms = cluster_clock_now(&p.follower, p.mono_ms);
    assert_true(is_ms <= was_ms && is_ms + 10 >= was_ms);
    assert_int_equal(cluster_clock_now(&p.follower, p.mono_ms + 60000), is_ms + 60000);
    /* And the old one follows it, without a step. */
    uint64_t old_ms = cluster_clock_now(&p.leader, leader_mono(&p));
    cluster_clock_hear(&p.leader, 2, is_ms, leader_mono(&p), CLOCK_SET);
    assert_true(cluster_clock_now(&p.leader, leader_mono(&p)) == old_ms);
}

static void committed_times_are_a_floor(void **state)
{
    (void)state;
    struct cluster_clock clock;
    cluster_clock_open(&clock, epoch_ms, 100);
    cluster_clock_floor(&clock, epoch_ms - 5, 200);
    assert_int_equal(cluster_clock_now(&clock, 200), epoch_ms + 100);
    cluster_clock_floor(&clock, epoch_ms + 9000, 300);
    assert_int_equal(cluster_clock_now(&clock, 300), epoch_ms + 9000);
    assert_int_equal(cluster_clock_now(&clock, 1300), epoch_ms + 10000);
}

static struct clock_mark mark_of(uint64_t cluster_ms, uint64_t mono_ms, uint64_t wall_ms, uint8_t boot)
{
    struct clock_mark mark = {.cluster_ms = cluster_ms, .mono_ms = mono_ms, .wall_ms = wall_ms};
    memset(mark.boot, boot, sizeof(mark.boot));
    return mark;
}

static void within_a_boot_a_step_of_the_wall_clock_changes_nothing_over_a_restart(void **state)
{
    (void)state;
    struct clock_mark mark = mark_of(epoch_ms, 1000, epoch_ms + 5, 'a');
    static const int64_t steps[] = {0, HOUR_MS, -HOUR_MS};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct clock_mark now = mark_of(0, 61000, epoch_ms + 60005 + (uint64_t)steps[i], 'a');
        assert_int_equal(cluster_clock_start(0, &mark, &now), epoch_ms + 60000);
        assert_true(clock_mark_is_near(&mark, &now));
    }
}

static void after_another_boot_the_wall_clock_says_how_long_it_was_away(void **state)
{
    (void)state;
    struct clock_mark mark = mark_of(epoch_ms, 900000, epoch_ms + HOUR_MS, 'a');
    struct clock_mark now = mark_of(0, 2000, epoch_ms + HOUR_MS + 60000, 'b');
    assert_int_equal(cluster_clock_start(0, &mark, &now), epoch_ms + 60000);
    assert_false(clock_mark_is_near(&mark, &now));
    now.wall_ms = epoch_ms; /* set back meanwhile */
    assert_int_equal(cluster_clock_start(0, &mark, &now), epoch_ms);
    assert_int_equal(cluster_clock_start(epoch_ms + 7, &mark, &now), epoch_ms + 7);
    now.wall_ms = epoch_ms + (uint64_t)5000 * 86400 * 1000; /* nobody was away for that long */
    assert_int_equal(cluster_clock_start(0, &mark, &now), epoch_ms);
}

static void a_new_cluster_begins_with_the_wall_clock(void **state)
{
    (void)state;
    struct clock_mark now = mark_of(0, 2000, epoch_ms, 'b');
    assert_int_equal(cluster_clock_start(0, NULL, &now), epoch_ms);
    assert_int_equal(cluster_clock_start(epoch_ms + 1, NULL, &now), epoch_ms + 1);
}

static void a_mark_survives_encoding_and_says_when_it_is_off(void **state)
{
    (void)state;
    uint8_t buf[CLOCK_MARK_LEN + 1] = {0};
    struct clock_mark mark = mark_of(epoch_ms, 1000, epoch_ms + 5, 'a'), out;
    struct writer w = writer_over(buf, CLOCK_MARK_LEN);
    clock_mark_encode(&w, &mark);
    assert_ok(writer_end(&w));
    assert_ok(clock_mark_decode(&out, writer_bytes(&w)));
    assert_memory_equal(&out, &mark, sizeof(mark));
    assert_err(clock_mark_decode(&out, (struct bytes){buf, CLOCK_MARK_LEN + 1}), E_TRAILING);
    for (size_t len = 0; len < CLOCK_MARK_LEN; len++)
        assert_int_not_equal(clock_mark_decode(&out, (struct bytes){buf, len}), E_OK);
    buf[0]++;
    assert_err(clock_mark_decode(&out, writer_bytes(&w)), E_BAD_VERSION);
    struct clock_mark later = mark_of(epoch_ms + 500, 1500, epoch_ms + 505, 'a');
    assert_false(clock_mark_is_off(&mark, &later));
    later.wall_ms += HOUR_MS;
    assert_true(clock_mark_is_off(&mark, &later));
    assert_true(clock_mark_is_off(&(struct clock_mark){0}, &mark));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_follower_that_is_far_behind_takes_the_leaders_time_at_once),
        cmocka_unit_test(a_follower_that_is_ahead_never_steps_back),
        cmocka_unit_test(a_guess_gives_way_to_the_first_time_that_is_heard_be_it_less),
        cmocka_unit_test(a_clock_is_trusted_as_far_as_the_one_that_it_was_heard_of),
        cmocka_unit_test(of_two_that_know_as_well_the_later_counts_until_there_is_a_leader),
        cmocka_unit_test(signs_that_were_long_under_way_do_not_count),
        cmocka_unit_test(a_small_difference_is_made_up_slowly_and_never_by_a_step_back),
        cmocka_unit_test(a_clock_far_behind_steps_forward),
        cmocka_unit_test(a_new_leader_goes_on_where_the_old_one_was),
        cmocka_unit_test(committed_times_are_a_floor),
        cmocka_unit_test(within_a_boot_a_step_of_the_wall_clock_changes_nothing_over_a_restart),
        cmocka_unit_test(after_another_boot_the_wall_clock_says_how_long_it_was_away),
        cmocka_unit_test(a_new_cluster_begins_with_the_wall_clock),
        cmocka_unit_test(a_mark_survives_encoding_and_says_when_it_is_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

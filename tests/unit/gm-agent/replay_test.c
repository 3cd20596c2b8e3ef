/* Anti-replay: windows of numbers by sender, and windows of time around a clock that no wall clock moves. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/replay_table.h"
#include "gm-agent/time_check.h"
#include "tests/lib/test.h"

static struct replay_id by_sid(uint64_t sid)
{
    return (struct replay_id){0, sid};
}

static void each_number_passes_once_also_when_reordered(void **state)
{
    (void)state;
    for (uint32_t window = REPLAY_WINDOW_MIN; window <= REPLAY_WINDOW_MAX; window += 320) {
        struct replay_table table = {0};
        assert_ok(replay_table_open(&table, window));
        for (uint32_t base = 1; base < 20000; base += window) { /* each block of the window from behind */
            for (uint32_t i = window; i-- > 0;)
                assert_true(replay_table_accept(&table, 1, by_sid(7), base + i));
            for (uint32_t i = 0; i < window; i++)
                assert_false(replay_table_accept(&table, 1, by_sid(7), base + i));
        }
        replay_table_close(&table);
    }
}

static void behind_the_window_nothing_passes(void **state)
{
    (void)state;
    struct replay_table table = {0};
    assert_ok(replay_table_open(&table, 64));
    assert_true(replay_table_accept(&table, 1, by_sid(7), 1000));
    assert_true(replay_table_accept(&table, 1, by_sid(7), 1000 - 63));
    assert_false(replay_table_accept(&table, 1, by_sid(7), 1000 - 64));
    assert_false(replay_table_accept(&table, 1, by_sid(7), 0));
    assert_true(
        replay_table_accept(&table, 1, by_sid(7), UINT32_MAX)); /* a jump forward forgets nothing wrong */
    assert_false(replay_table_accept(&table, 1, by_sid(7), 1000));
    assert_true(replay_table_accept(&table, 1, by_sid(7), UINT32_MAX - 63));
    replay_table_close(&table);
}

static void it_agrees_with_a_plain_list_of_what_was_seen(void **state)
{
    (void)state;
    enum { SPAN = 4000, STEPS = 40000 };
    static bool seen[SPAN + 1];
    struct replay_table table = {0};
    uint32_t top = 0;
    unsigned seed = 12345;
    assert_ok(replay_table_open(&table, 256));
    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < STEPS; i++) {
        seed = seed * 1103515245u + 12345u;
        uint32_t around = top + 8 > SPAN ? SPAN : top + 8;
        uint32_t seq = (seed >> 8) % (around + 1);
        bool want = seq != 0 && !seen[seq] && (seq > top || top - seq < 256);
        assert_int_equal(replay_table_accept(&table, 9, by_sid(3), seq), want);
        if (want)
            seen[seq] = true;
        if (seq > top)
            top = seq;
    }
    replay_table_close(&table);
}

static void senders_and_keys_count_for_themselves(void **state)
{
    (void)state;
    struct replay_table table = {0};
    assert_ok(replay_table_open(&table, 64));
    for (uint64_t sender = 0; sender < 200; sender++)
        for (uint32_t spi = 1; spi <= 2; spi++)
            assert_true(
                replay_table_accept(&table, spi, by_sid(sender), (uint32_t)(1 + 5000 * (sender % 7))));
    assert_int_equal(replay_table_count(&table), 400);
    assert_int_equal(table.evicted, 0);
    replay_table_forget(&table, 1);
    assert_int_equal(replay_table_count(&table), 200);
    assert_false(replay_table_accept(&table, 2, by_sid(5), 1 + 5000 * 5));
    replay_table_close(&table);
}

/* Neither part of an address alone makes a sender. */
static void senders_of_either_family_are_told_apart_by_their_whole_address(void **state)
{
    (void)state;
    static const char *const senders[] = {"10.1.1.1",      "10.1.1.2",    "2001:db8::1", "2001:db8::2",
                                          "2001:db8:1::1", "::0a01:0101", "::1",         "2001:db8:0:1::1"};
    struct replay_table table = {0};
    assert_ok(replay_table_open(&table, 64));
    for (unsigned round = 0; round < 2; round++)
        for (size_t i = 0; i < ARRAY_LEN(senders); i++) {
            struct addr addr;
            assert_ok(addr_parse(&addr, senders[i]));
            assert_int_equal(replay_table_accept(&table, 1, replay_id_of(&addr), 9), round == 0);
        }
    assert_int_equal(replay_table_count(&table), ARRAY_LEN(senders));
    replay_table_close(&table);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    struct replay_table table = {0};
    assert_ok(replay_table_open(&table, 64));
    for (uint64_t sender = 0; sender < 10 * REPLAY_SENDER_MAX; sender++)
        assert_true(replay_table_accept(&table, 1, by_sid(sender), 1));
    assert_true(replay_table_count(&table) <= REPLAY_SENDER_MAX);
    assert_true(table.evicted >= 9 * REPLAY_SENDER_MAX);
    assert_false(
        replay_table_accept(&table, 1, by_sid(10 * REPLAY_SENDER_MAX - 1), 1)); /* the newest is known */
    assert_ok(replay_table_open(&table, 0));
    assert_true(replay_table_accept(&table, 1, by_sid(1), 1));
    replay_table_close(&table);
}

static void the_clock_is_set_by_a_registration_and_runs(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    assert_int_equal(group_clock_us(&clock, 99), 0);
    assert_int_equal(group_clock_pull(&clock, 1000000, 5000, 5010), 0);
    assert_int_equal(group_clock_us(&clock, 5010), 1000000);
    assert_int_equal(group_clock_us(&clock, 6010), 2000000);
    assert_int_equal(group_clock_us(&clock, 1), 1000000); /* before it was set: not before its value */
}

static void a_rekey_moves_it_forward_only(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    group_clock_pull(&clock, 1000000, 0, 0);
    assert_int_equal(group_clock_push(&clock, 500000, 1000), 0); /* held up on the way, for however long */
    assert_int_equal(group_clock_us(&clock, 1000), 2000000);
    assert_int_equal(group_clock_push(&clock, 2500000, 1000), 500000);
    assert_int_equal(group_clock_us(&clock, 1000), 2500000);
}

static void a_registration_that_finds_it_ahead_slows_it_down_and_never_turns_it_back(void **state)
{
    (void)state;
    struct group_clock clock = {0};
    group_clock_pull(&clock, 1000000, 0, 0);
    assert_int_equal(group_clock_pull(&clock, 9200000, 9990, 10000), -1790000);
    uint64_t last = group_clock_us(&clock, 10000);
    assert_int_equal(last, 11000000);
    for (uint64_t now = 10001; now < 40000; now++) {
        uint64_t us = group_clock_us(&clock, now);
        assert_true(us > last);
        last = us;
    }
    assert_int_equal(group_clock_us(&clock, 40000), 9210000 + 30000000); /* caught up */
    /* within the journey nothing is changed */
    assert_int_equal(group_clock_pull(&clock, 39205000, 39990, 40000), 0);
    /* another pseudotime altogether is taken at once */
    assert_true(group_clock_pull(&clock, 5000000, 40000, 40000) < 0);
    assert_int_equal(group_clock_us(&clock, 40000), 5000000);
}

static struct time_reject packet_at(uint64_t us, uint32_t sid)
{
    return (struct time_reject){
        .wall_ms = 1, .peer_us = us, .spi = 1, .sid = sid, .src = addr_v4(10, 1, 1, (uint8_t)sid)};
}

static void packets_pass_within_the_window_and_not_beyond(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1, 500, 1000, 4000, TIME_WINDOW_MS_MAX};
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        struct time_check check = {.window_ms = windows[i]};
        uint64_t mine = 1000000000, w = (uint64_t)windows[i] * 1000;
        bool sampled;
        group_clock_pull(&check.clock, mine, 0, 0);
        const struct {
            uint64_t us;
            bool pass;
        } cases[] = {{mine, true},          {mine - w, true},      {mine + w, true},
                     {mine - w - 1, false}, {mine + w + 1, false}, {0, false}};
        for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
            struct time_reject p = packet_at(cases[k].us, 1);
            assert_int_equal(time_check_accept(&check, &p, 0, &sampled), cases[k].pass);
        }
        assert_int_equal(check.accepted, 3);
        assert_int_equal(check.rejected, 3);
        assert_int_equal(check.max_delta_us, w);
    }
}

static void without_a_clock_or_a_window_all_passes(void **state)
{
    (void)state;
    struct time_check check = {.window_ms = 1000};
    struct time_reject p = packet_at(5, 1);
    bool sampled;
    assert_true(time_check_accept(&check, &p, 99999, &sampled));
    group_clock_pull(&check.clock, 1000000000, 0, 0);
    check.window_ms = 0;
    assert_true(time_check_accept(&check, &p, 0, &sampled));
}

static void ten_of_a_minute_are_written_down(void **state)
{
    (void)state;
    struct time_check check = {.window_ms = 1000};
    unsigned sampled_count = 0;
    group_clock_pull(&check.clock, 1000000000, 0, 0);
    for (uint64_t now = 0; now < 180000; now += 100) {
        struct time_reject p = packet_at(now, 1);
        bool sampled;
        assert_false(time_check_accept(&check, &p, now, &sampled));
        sampled_count += sampled;
    }
    assert_int_equal(check.rejected, 1800);
    assert_int_equal(sampled_count, 30);
    assert_int_equal(check.history_count, 30);
    const struct time_reject *newest = time_check_history(&check, 0);
    assert_int_equal(newest->peer_us, 120900); /* the tenth of the last minute */
    assert_int_equal(newest->mine_us, 1000000000 + 120900000);
    assert_int_equal(newest->window_ms, 1000);
    assert_non_null(time_check_history(&check, 29));
    assert_null(time_check_history(&check, 30));
}

static void the_skew_of_each_sender_is_known(void **state)
{
    (void)state;
    struct time_check check = {.window_ms = 5000};
    bool sampled;
    group_clock_pull(&check.clock, 1000000000, 0, 0);
    for (uint32_t sid = 0; sid < 2 * TIME_PEER_MAX; sid++) {
        struct time_reject p = packet_at(1000000000 + 1000 * (uint64_t)(sid % 100), sid);
        assert_true(time_check_accept(&check, &p, 0, &sampled));
        p = packet_at(1000000000 - 7, sid);
        assert_true(time_check_accept(&check, &p, 0, &sampled));
    }
    assert_int_equal(check.peer_count, TIME_PEER_MAX);
    for (size_t i = 0; i < check.peer_count; i++) {
        assert_true(check.peers[i].sid >= TIME_PEER_MAX);
        assert_int_equal(check.peers[i].min_us, -7);
        assert_int_equal(check.peers[i].last_us, -7);
        int64_t want = 1000 * (int64_t)(check.peers[i].sid % 100);
        assert_int_equal(check.peers[i].max_us, want != 0 ? want : 0);
    }
}

static void numbers_are_written_as_people_know_them(void **state)
{
    (void)state;
    char text[32];
    time_check_format(620051840000, text);
    assert_string_equal(text, "620051.84");
    time_check_format_window(4000, text);
    assert_string_equal(text, "4");
    time_check_format_window(250, text);
    assert_string_equal(text, "0.25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_passes_once_also_when_reordered),
        cmocka_unit_test(behind_the_window_nothing_passes),
        cmocka_unit_test(it_agrees_with_a_plain_list_of_what_was_seen),
        cmocka_unit_test(senders_and_keys_count_for_themselves),
        cmocka_unit_test(senders_of_either_family_are_told_apart_by_their_whole_address),
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(the_clock_is_set_by_a_registration_and_runs),
        cmocka_unit_test(a_rekey_moves_it_forward_only),
        cmocka_unit_test(a_registration_that_finds_it_ahead_slows_it_down_and_never_turns_it_back),
        cmocka_unit_test(packets_pass_within_the_window_and_not_beyond),
        cmocka_unit_test(without_a_clock_or_a_window_all_passes),
        cmocka_unit_test(ten_of_a_minute_are_written_down),
        cmocka_unit_test(the_skew_of_each_sender_is_known),
        cmocka_unit_test(numbers_are_written_as_people_know_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Black holes: what a host's answers, and their absence, say about the way to it. */
#include "gm-agent/path_probe.h"

#include <string.h>

#include "base/event.h"
#include "base/rng.h"
#include "tests/lib/test.h"

/* A way: packets of at most this many octets pass; 0: none. */
static uint32_t way, told;
static unsigned loss_per_cent;
static struct path_probe probe;
static uint64_t now_ms;
static unsigned sent;

static uint32_t fits(void *context, size_t target)
{
    (void)context;
    (void)target;
    return told;
}

static void begin(uint32_t octets)
{
    struct gm_datapath_config config = {.probe = {addr_v4(192, 168, 14, 10)}, .probe_count = 1};
    way = octets;
    told = 1400;
    loss_per_cent = 0;
    now_ms = 1000;
    path_probe_init(&probe, &config, now_ms);
    probe.fits = fits;
}

static void run(uint64_t ms)
{
    static uint32_t random = 7;
    size_t target;
    uint32_t len;
    uint16_t seq;
    for (uint64_t end = now_ms + ms; now_ms < end; now_ms += 10)
        while (path_probe_next(&probe, now_ms, &target, &len, &seq)) {
            assert_int_equal(target, 0);
            sent++;
            random = random * 1664525u + 1013904223u;
            if (len <= way && (random >> 8) % 100 >= loss_per_cent)
                path_probe_answer(&probe, target, seq, len, now_ms);
        }
}

static void a_clear_way_is_asked_twice_a_round(void **state)
{
    (void)state;
    begin(1500);
    sent = 0;
    run(PATH_PROBE_ROUND_MS - 1000);
    assert_int_equal(probe.targets[0].verdict, PATH_CLEAR);
    assert_int_equal(sent, 2);
    assert_int_equal(probe.targets[0].full, 1400);
}

static void a_black_hole_is_found_measured_and_said_once(void **state)
{
    (void)state;
    for (uint32_t octets = 100; octets < 1400; octets += 97) {
        begin(octets);
        uint64_t before = event_count(EV_PATH_BLACK_HOLE);
        run(3 * PATH_PROBE_ROUND_MS);
        assert_int_equal(probe.targets[0].verdict, PATH_BLACK_HOLE);
        assert_in_range(probe.targets[0].passes, octets - PATH_PROBE_EXACT, octets);
        assert_int_equal(event_count(EV_PATH_BLACK_HOLE), before + 1);
    }
    uint64_t gone = event_count(EV_PATH_BLACK_HOLE_GONE);
    way = 1500;
    run(3 * PATH_PROBE_ROUND_MS);
    assert_int_equal(probe.targets[0].verdict, PATH_CLEAR);
    assert_int_equal(event_count(EV_PATH_BLACK_HOLE_GONE), gone + 1);
}

static void a_host_that_does_not_answer_says_nothing_about_the_way(void **state)
{
    (void)state;
    begin(0);
    uint64_t before = event_count(EV_PATH_BLACK_HOLE);
    sent = 0;
    run(2 * PATH_PROBE_ROUND_MS);
    assert_int_equal(probe.targets[0].verdict, PATH_SILENT);
    assert_in_range(sent, PATH_PROBE_TRIES, 2 * PATH_PROBE_TRIES);
    /* It ends while it is asked: no matter of length either. */
    begin(1300);
    run(PATH_PROBE_STAGGER_MS + 100);
    way = 0;
    run(PATH_PROBE_ROUND_MS / 2);
    assert_int_equal(probe.targets[0].verdict, PATH_SILENT);
    assert_int_equal(event_count(EV_PATH_BLACK_HOLE), before);
}

static void a_way_that_routers_complain_of_is_no_black_hole(void **state)
{
    (void)state;
    begin(1200);
    run(PATH_PROBE_STAGGER_MS + 6 * PATH_PROBE_WAIT_MS); /* the full one was tried in vain */
    told = 1196;
    run(PATH_PROBE_ROUND_MS / 2);
    assert_int_equal(probe.targets[0].verdict, PATH_CLEAR);
    assert_int_equal(probe.targets[0].full, 1196);
}

static void plain_loss_is_not_taken_for_a_black_hole(void **state)
{
    (void)state;
    begin(1500);
    loss_per_cent = 5;
    uint64_t before = event_count(EV_PATH_BLACK_HOLE);
    run(100 * PATH_PROBE_ROUND_MS);
    assert_int_equal(event_count(EV_PATH_BLACK_HOLE), before);
    assert_int_equal(probe.targets[0].verdict, PATH_CLEAR);
}

static void other_answers_are_ignored(void **state)
{
    size_t target;
    uint32_t len;
    uint16_t seq;
    (void)state;
    begin(0);
    now_ms += PATH_PROBE_STAGGER_MS;
    assert_true(path_probe_next(&probe, now_ms, &target, &len, &seq));
    path_probe_answer(&probe, 0, (uint16_t)(seq + 1), len, now_ms);
    path_probe_answer(&probe, 0, seq, len + 1, now_ms);
    path_probe_answer(&probe, 1, seq, len, now_ms);
    path_probe_answer(&probe, GM_PROBE_MAX, seq, len, now_ms);
    assert_false(path_probe_next(&probe, now_ms, &target, &len, &seq));
    assert_int_equal(probe.targets[0].phase, PROBE_SHORT);
    path_probe_answer(&probe, 0, seq, len, now_ms);
    assert_int_equal(probe.targets[0].phase, PROBE_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clear_way_is_asked_twice_a_round),
        cmocka_unit_test(a_black_hole_is_found_measured_and_said_once),
        cmocka_unit_test(a_host_that_does_not_answer_says_nothing_about_the_way),
        cmocka_unit_test(a_way_that_routers_complain_of_is_no_black_hole),
        cmocka_unit_test(plain_loss_is_not_taken_for_a_black_hole),
        cmocka_unit_test(other_answers_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

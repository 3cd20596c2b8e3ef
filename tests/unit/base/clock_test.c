#include "base/clock.h"

#include <time.h>

#include "tests/lib/test.h"

static uint64_t fake_now(void *context)
{
    return *(uint64_t *)context;
}

static void a_test_brings_its_own_time(void **state)
{
    (void)state;
    uint64_t now = 42;
    struct clock clock = {fake_now, fake_now, &now};
    assert_int_equal(clock_mono_ms(&clock), 42);
    now = 1000;
    assert_int_equal(clock_mono_ms(&clock), 1000);
    assert_int_equal(clock_wall_ms(&clock), 1000);
}

static void the_system_clock_never_goes_backwards_and_gets_on(void **state)
{
    (void)state;
    uint64_t start = clock_mono_ms(&clock_system);
    uint64_t last = start;
    while (last < start + 3) {
        uint64_t now = clock_mono_ms(&clock_system);
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > 0);
}

static void wall_time_is_milliseconds_since_1970(void **state)
{
    (void)state;
    uint64_t before = (uint64_t)time(NULL);
    uint64_t wall_ms = clock_wall_ms(&clock_system);
    uint64_t after = (uint64_t)time(NULL);
    assert_in_range(wall_ms / 1000, before - 1, after + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_test_brings_its_own_time),
        cmocka_unit_test(the_system_clock_never_goes_backwards_and_gets_on),
        cmocka_unit_test(wall_time_is_milliseconds_since_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

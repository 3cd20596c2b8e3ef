/* admission_test.c - token buckets and the gate before the log. */
#include <stdlib.h>

#include "server/admission.h"
#include "tests/lib/test.h"

static struct admission *fresh(uint32_t rate, uint32_t burst)
{
    struct admission *a = malloc(sizeof(*a));
    admission_init(a, rate, burst, (const uint64_t[2]){5, 6});
    return a;
}

static void a_burst_is_allowed_then_the_rate(void **state)
{
    (void)state;
    struct admission *a = fresh(10, 5);
    struct addr source = addr_v4(10, 0, 0, 1);
    for (int i = 0; i < 5; i++)
        assert_true(admission_allow(a, &source, 1000));
    assert_false(admission_allow(a, &source, 1000));
    assert_false(admission_allow(a, &source, 1099));
    assert_true(admission_allow(a, &source, 1100));
    assert_false(admission_allow(a, &source, 1100));
    /* A long rest gives the burst again, and no more. */
    for (int i = 0; i < 5; i++)
        assert_true(admission_allow(a, &source, 10000000));
    assert_false(admission_allow(a, &source, 10000000));
    free(a);
}

static void sources_do_not_share_a_bucket(void **state)
{
    (void)state;
    struct admission *a = fresh(1, 1);
    for (int i = 0; i < 200; i++) {
        struct addr source = addr_v4(10, 0, 1, (uint8_t)i);
        assert_true(admission_allow(a, &source, 1000));
        assert_false(admission_allow(a, &source, 1000));
    }
    free(a);
}

static void time_that_stands_or_the_largest_rate_do_no_harm(void **state)
{
    (void)state;
    struct admission *a = fresh(100000, 100000);
    struct addr source = addr_v4(10, 0, 0, 1);
    for (int i = 0; i < 100000; i++)
        assert_true(admission_allow(a, &source, 5));
    assert_false(admission_allow(a, &source, 5));
    assert_true(admission_allow(a, &source, UINT64_MAX / 2));
    free(a);
}

static void a_flood_of_addresses_needs_no_more_memory(void **state)
{
    (void)state;
    struct admission *a = fresh(1, 2);
    struct addr honest = addr_v4(192, 0, 2, 1);
    for (uint32_t i = 0; i < 100000; i++) {
        struct addr source = addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
        assert_true(admission_allow(a, &source, 1000 + i));
    }
    assert_true(admission_allow(a, &honest, 200000));
    free(a);
}

static void a_lowered_burst_holds_at_once(void **state)
{
    (void)state;
    struct admission *a = fresh(1, 100);
    struct addr source = addr_v4(10, 0, 0, 1);
    assert_true(admission_allow(a, &source, 1000));
    a->burst = 2;
    assert_true(admission_allow(a, &source, 1000));
    assert_true(admission_allow(a, &source, 1000));
    assert_false(admission_allow(a, &source, 1000));
    free(a);
}

static void one_kind_of_line_comes_so_often_a_second(void **state)
{
    (void)state;
    struct admission *a = fresh(1, 1);
    for (int i = 0; i < EVENT_GATE_PER_S; i++)
        assert_true(admission_may_log(a, EV_KS_UNAUTHORIZED, 1000));
    assert_false(admission_may_log(a, EV_KS_UNAUTHORIZED, 1999));
    assert_true(admission_may_log(a, EV_IKMP_RATE_LIMIT, 1999));
    assert_true(admission_may_log(a, EV_KS_UNAUTHORIZED, 2000));
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_allowed_then_the_rate),
        cmocka_unit_test(sources_do_not_share_a_bucket),
        cmocka_unit_test(time_that_stands_or_the_largest_rate_do_no_harm),
        cmocka_unit_test(a_flood_of_addresses_needs_no_more_memory),
        cmocka_unit_test(a_lowered_burst_holds_at_once),
        cmocka_unit_test(one_kind_of_line_comes_so_often_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

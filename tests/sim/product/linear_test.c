/* The checker of histories, on histories whose verdict is known. */
#include "tests/lib/test.h"
#include "tests/sim/product/linear.h"

/* ended 0: no answer came. */
static void add(struct linear_history *h, enum linear_kind kind, uint32_t value, bool was_absent,
                uint64_t began, uint64_t ended)
{
    h->calls[h->count++] = (struct linear_call){.kind = kind,
                                                .done = ended != 0,
                                                .value = value,
                                                .was_absent = was_absent,
                                                .began = began,
                                                .ended = ended};
}

static void nothing_is_linearizable(void **state)
{
    struct linear_history h = {0};
    (void)state;
    assert_int_equal(linear_check(&h, 0), LINEAR_YES);
}

static void one_after_the_other(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 5, true, 1, 2);
    add(&h, LINEAR_READ, 5, false, 3, 4);
    add(&h, LINEAR_REMOVE, 0, false, 5, 6);
    add(&h, LINEAR_READ, 0, false, 7, 8);
    add(&h, LINEAR_REMOVE, 0, true, 9, 10);
    assert_int_equal(linear_check(&h, 0), LINEAR_YES);
}

static void an_old_value_read_after_a_new_one_was_acknowledged(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 5, true, 1, 2);
    add(&h, LINEAR_SET, 6, false, 3, 4);
    add(&h, LINEAR_READ, 5, false, 5, 6);
    assert_int_equal(linear_check(&h, 0), LINEAR_NO);
}

static void calls_at_the_same_time_may_go_either_way(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 5, false, 1, 10); /* not absent: the other one went first */
    add(&h, LINEAR_SET, 6, true, 2, 9);
    add(&h, LINEAR_READ, 6, false, 3, 8);
    add(&h, LINEAR_READ, 5, false, 11, 12);
    assert_int_equal(linear_check(&h, 0), LINEAR_YES);
}

static void two_readers_see_two_writes_in_two_orders(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 1, true, 1, 20);
    add(&h, LINEAR_SET, 2, false, 2, 21);
    add(&h, LINEAR_READ, 1, false, 3, 4);
    add(&h, LINEAR_READ, 2, false, 5, 6);
    add(&h, LINEAR_READ, 1, false, 7, 8);
    assert_int_equal(linear_check(&h, 0), LINEAR_NO);
}

static void two_removals_cannot_both_have_found_it(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 1, true, 1, 2);
    add(&h, LINEAR_REMOVE, 0, false, 3, 10);
    add(&h, LINEAR_REMOVE, 0, false, 4, 9);
    assert_int_equal(linear_check(&h, 0), LINEAR_NO);
}

static void an_unknown_write_may_have_happened(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 1, true, 1, 2);
    add(&h, LINEAR_SET, 2, false, 3, 0);
    add(&h, LINEAR_READ, 1, false, 4, 5);
    add(&h, LINEAR_READ, 2, false, 6, 7); /* late, but it was under way all the time */
    assert_int_equal(linear_check(&h, 0), LINEAR_YES);
}

static void an_unknown_write_may_not_have_happened(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_REMOVE, 0, false, 1, 0);
    add(&h, LINEAR_SET, 2, false, 2, 3);
    add(&h, LINEAR_READ, 2, false, 4, 5);
    assert_int_equal(linear_check(&h, 7), LINEAR_YES);
}

static void an_unknown_write_happens_once(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_SET, 2, false, 1, 0);
    add(&h, LINEAR_READ, 2, false, 2, 3);
    add(&h, LINEAR_SET, 3, false, 4, 5);
    add(&h, LINEAR_READ, 3, false, 6, 7);
    add(&h, LINEAR_READ, 2, false, 8, 9);
    assert_int_equal(linear_check(&h, 1), LINEAR_NO);
}

static void an_unknown_write_does_not_happen_before_it_was_made(void **state)
{
    struct linear_history h = {0};
    (void)state;
    add(&h, LINEAR_READ, 2, false, 1, 2);
    add(&h, LINEAR_SET, 2, false, 3, 0);
    assert_int_equal(linear_check(&h, 0), LINEAR_NO);
}

static void a_long_history_with_much_at_once_is_decided(void **state)
{
    struct linear_history h = {0};
    (void)state;
    for (uint32_t i = 0; i < LINEAR_CALL_MAX / 2; i++) {
        add(&h, LINEAR_SET, i + 1, i == 0, 10 * i + 1, 10 * i + 5);
        add(&h, LINEAR_READ, i + 1, false, 10 * i + 2, 10 * i + 6);
    }
    assert_int_equal(linear_check(&h, 0), LINEAR_YES);
    h.calls[LINEAR_CALL_MAX - 1].value = 1; /* the last read sees the first write */
    assert_int_equal(linear_check(&h, 0), LINEAR_NO);
}

static void what_cannot_be_decided_in_bounds_is_said_to_be_too_long(void **state)
{
    struct linear_history h = {0};
    (void)state;
    /* All at once, and one answer that is wrong whatever the order: every order must be tried. */
    for (uint32_t i = 0; i < 40; i++)
        add(&h, LINEAR_SET, i + 1, false, i + 1, 1000 + i);
    add(&h, LINEAR_READ, 77, false, 50, 2000);
    assert_int_equal(linear_check(&h, 3), LINEAR_TOO_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_linearizable),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(an_old_value_read_after_a_new_one_was_acknowledged),
        cmocka_unit_test(calls_at_the_same_time_may_go_either_way),
        cmocka_unit_test(two_readers_see_two_writes_in_two_orders),
        cmocka_unit_test(two_removals_cannot_both_have_found_it),
        cmocka_unit_test(an_unknown_write_may_have_happened),
        cmocka_unit_test(an_unknown_write_may_not_have_happened),
        cmocka_unit_test(an_unknown_write_happens_once),
        cmocka_unit_test(an_unknown_write_does_not_happen_before_it_was_made),
        cmocka_unit_test(a_long_history_with_much_at_once_is_decided),
        cmocka_unit_test(what_cannot_be_decided_in_bounds_is_said_to_be_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

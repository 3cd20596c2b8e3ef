#include "tests/lib/test.h"

#include "proto/wire/gdoi_sa.h"

static uint8_t raw[256];
static struct gdoi_gap gap;

static err_t decode(const char *text)
{
    return gdoi_gap_decode(&gap, hex(text, raw, sizeof(raw)));
}

static void delays_and_request_are_read(void **state)
{
    (void)state;
    assert_ok(decode("8001000f 8002001e 80030002"));
    assert_true(gap.has_activation && gap.has_deactivation && gap.has_sid_request);
    assert_int_equal(gap.activation_s, 15);
    assert_int_equal(gap.deactivation_s, 30);
    assert_int_equal(gap.sid_request, 2);
}

static void a_delay_of_zero_is_not_an_absent_one(void **state)
{
    (void)state;
    assert_ok(decode("80010000"));
    assert_true(gap.has_activation);
    assert_false(gap.has_deactivation);
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_gap_encode(&w, &gap);
    assert_bytes(writer_bytes(&w), "80010000");
}

static void no_attribute_is_an_empty_policy(void **state)
{
    (void)state;
    assert_ok(decode(""));
    assert_false(gap.has_activation || gap.has_deactivation || gap.has_sid_request);
}

static void an_unknown_attribute_aborts(void **state)
{
    (void)state;
    assert_err(decode("8001000f 80040001"), E_UNKNOWN_CRITICAL);
    assert_err(decode("80800001"), E_UNKNOWN_CRITICAL);
    assert_err(decode("80000001"), E_UNKNOWN_CRITICAL);
    assert_err(decode("00ff0000"), E_UNKNOWN_CRITICAL);
}

static void an_attribute_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode("80030001 80030001"), E_DUPLICATE);
}

static void the_variable_form_is_taken_up_to_16_bits(void **state)
{
    (void)state;
    assert_ok(decode("00010004 0000000f"));
    assert_int_equal(gap.activation_s, 15);
    assert_err(decode("00010004 00010000"), E_RANGE);
    assert_err(decode("00010000"), E_BAD_LENGTH);
    assert_err(decode("00010004 0000"), E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_and_request_are_read),
        cmocka_unit_test(a_delay_of_zero_is_not_an_absent_one),
        cmocka_unit_test(no_attribute_is_an_empty_policy),
        cmocka_unit_test(an_unknown_attribute_aborts),
        cmocka_unit_test(an_attribute_twice_is_a_duplicate),
        cmocka_unit_test(the_variable_form_is_taken_up_to_16_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

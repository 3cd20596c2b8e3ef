#include "base/hex.h"

#include <string.h>

#include "tests/lib/test.h"

static void octets_become_two_digits_each(void **state)
{
    (void)state;
    static const uint8_t raw[] = {0x00, 0x09, 0xa0, 0xff};
    char out[9];
    assert_string_equal(hex_text(out, raw, sizeof(raw)), "0009a0ff");
    assert_string_equal(hex_text(out, raw, 0), "");
}

static void digits_go_behind_one_another_without_an_end(void **state)
{
    (void)state;
    static const uint8_t raw[] = {0x1b, 0x2c};
    char out[6] = "....#";
    char *end = hex_put(hex_put(out, raw, 1), raw + 1, 1);
    assert_ptr_equal(end, out + 4);
    assert_string_equal(out, "1b2c#");
}

static void digits_become_octets_and_other_characters_are_refused(void **state)
{
    (void)state;
    static const uint8_t wanted[] = {0x00, 0x9a, 0xff};
    uint8_t out[3];
    assert_true(hex_read(out, (const uint8_t *)"009aff", 3));
    assert_memory_equal(out, wanted, sizeof(wanted));
    assert_false(hex_read(out, (const uint8_t *)"009aFf", 3));
    assert_false(hex_read(out, (const uint8_t *)"00 a00", 3));
    assert_false(hex_read(out, (const uint8_t *)"009af", 3)); /* its NUL */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_become_two_digits_each),
        cmocka_unit_test(digits_go_behind_one_another_without_an_end),
        cmocka_unit_test(digits_become_octets_and_other_characters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

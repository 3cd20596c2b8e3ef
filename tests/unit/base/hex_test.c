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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_become_two_digits_each),
        cmocka_unit_test(digits_go_behind_one_another_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include <ctype.h>
#include <string.h>

static void every_error_has_a_name_and_a_phrase(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        const char *name = err_name((err_t)i);
        const char *text = err_text((err_t)i);
        assert_non_null(name);
        assert_non_null(text);
        assert_true(strlen(name) >= 2);
        assert_true(strlen(text) >= 5);
        assert_int_not_equal(text[strlen(text) - 1], '.');
        for (const char *c = name; *c != '\0'; c++)
            assert_true(isupper((unsigned char)*c) || *c == '_' || isdigit((unsigned char)*c));
    }
}

static void names_differ_from_each_other(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        for (int j = i + 1; j < ERR_COUNT; j++) {
            assert_string_not_equal(err_name((err_t)i), err_name((err_t)j));
            assert_string_not_equal(err_text((err_t)i), err_text((err_t)j));
        }
    }
}

static void success_is_zero_and_called_ok(void **state)
{
    (void)state;
    assert_int_equal(E_OK, 0);
    assert_string_equal(err_name(E_OK), "OK");
    assert_string_equal(err_name(E_TRUNCATED), "TRUNCATED");
    assert_string_equal(err_text(E_NO_MEMORY), "out of memory");
}

static void a_number_outside_the_table_has_a_text_too(void **state)
{
    (void)state;
    assert_string_equal(err_name((err_t)ERR_COUNT), "?");
    assert_string_equal(err_name((err_t)-1), "?");
    assert_string_equal(err_text((err_t)100000), "an unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_and_a_phrase),
        cmocka_unit_test(names_differ_from_each_other),
        cmocka_unit_test(success_is_zero_and_called_ok),
        cmocka_unit_test(a_number_outside_the_table_has_a_text_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/conf_scan.h"

#include <string.h>

#include "tests/lib/test.h"

static char out[256];

static err_t scan(struct conf_scan *scan, const char *text)
{
    *scan = (struct conf_scan){.text = text, .len = strlen(text), .out = out};
    return conf_scan(scan);
}

static void integers_get_their_l_and_nothing_else_changes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *wanted;
    } rows[] = {
        {"", ""},
        {"a = 5", "a = 5L"},
        {"a = 5;", "a = 5L;"},
        {"a = -5, +5", "a = -5L, +5L"},
        {"a = 0", "a = 0L"},
        {"a = 0x0Ff", "a = 0x0FfL"},
        {"a = 5L; b = 5LL; c = 0x5L", "a = 5L; b = 5LL; c = 0x5L"},
        {"a = 1.5; b = 1e9; c = 1.5E-3; d = .5; e = 5.", "a = 1.5; b = 1e9; c = 1.5E-3; d = .5; e = 5."},
        {"a5 = 5; b-6_7 = \"8\"", "a5 = 5L; b-6_7 = \"8\""},
        {"a = [1,2,3]", "a = [1L,2L,3L]"},
        {"# 5\n// 6\n/* 7 */8", "# 5\n// 6\n/* 7 */8L"},
        {"\"\\\"5\" 5 \"\\\\\" 6", "\"\\\"5\" 5L \"\\\\\" 6L"},
        {"a = 999999999999999999", "a = 999999999999999999L"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_scan s;
        assert_ok(scan(&s, rows[i].text));
        assert_string_equal(out, rows[i].wanted);
        assert_int_equal(s.out_len, strlen(rows[i].wanted));
    }
}

static void what_would_be_read_wrongly_is_refused_on_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *what;
    } rows[] = {
        {"a = 1;\nb = 1000000000000000000;", 2, "a number is too large"},
        {"a = 1;\n\nb = 0x1000000000000000;", 3, "a number is too large"},
        {"a = 00;", 1, "a number begins with 0"},
        {"a = -07;", 1, "a number begins with 0"},
        {"\n@include \"x\"", 2, "@include is not allowed: settings stand in one file"},
        {"a = \"x\n\ny", 3, "a string does not end"},
        {"a = \"x\\\"", 1, "a string does not end"},
        {"a = \"\\", 1, "a string does not end"},
        {"/*", 1, "a comment that begins with /* does not end"},
        {"/*/", 1, "a comment that begins with /* does not end"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_scan s;
        assert_err(scan(&s, rows[i].text), E_CONFIG);
        assert_string_equal(s.what, rows[i].what);
        assert_int_equal(s.line, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_get_their_l_and_nothing_else_changes),
        cmocka_unit_test(what_would_be_read_wrongly_is_refused_on_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

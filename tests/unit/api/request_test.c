#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "api/request.h"

static void a_target_comes_apart(void **state)
{
    struct request r;
    (void)state;
    assert_ok(request_parse(&r, "/v1/groups/G%31%2Fx/members?limit=2&cursor=a%26b&flag"));
    assert_int_equal(r.segment_count, 4);
    assert_string_equal(r.segments[0], "v1");
    assert_string_equal(r.segments[2], "G1/x");
    assert_string_equal(r.segments[3], "members");
    assert_int_equal(r.query_count, 3);
    assert_string_equal(request_parameter(&r, "limit"), "2");
    assert_string_equal(request_parameter(&r, "cursor"), "a&b");
    assert_string_equal(request_parameter(&r, "flag"), "");
    assert_null(request_parameter(&r, "Limit"));
}

static void the_edges_of_targets(void **state)
{
    static const struct {
        const char *target;
        err_t err;
        size_t segments, parameters;
    } rows[] = {
        {"/", E_OK, 0, 0},
        {"/?a=1", E_OK, 0, 1},
        {"/a?", E_OK, 1, 0},
        {"/a?b", E_OK, 1, 1},
        {"/a?b=c=d", E_OK, 1, 1},
        {"/a?b=?", E_OK, 1, 1},
        {"/a+b", E_OK, 1, 0}, /* a plus is a plus */
        {"/%7e%C3%A9%F0%9F%98%80", E_OK, 1, 0},
        {"http://host:1/a?b=1", E_OK, 1, 1},
        {"HTTP://host", E_RANGE, 0, 0},
        {"http://host?x", E_RANGE, 0, 0},
        {"", E_RANGE, 0, 0},
        {"a", E_RANGE, 0, 0},
        {"*", E_RANGE, 0, 0},
        {"//", E_RANGE, 0, 0},
        {"/a/", E_RANGE, 0, 0},
        {"/a//b", E_RANGE, 0, 0},
        {"/%", E_RANGE, 0, 0},
        {"/%4", E_RANGE, 0, 0},
        {"/%4g", E_RANGE, 0, 0},
        {"/%%41", E_RANGE, 0, 0},
        {"/%00", E_RANGE, 0, 0},
        {"/a%0d%0aX:1", E_RANGE, 0, 0},
        {"/\x7f", E_RANGE, 0, 0},
        {"/\xc3\xa9", E_OK, 1, 0},
        {"/\xc2\x80", E_RANGE, 0, 0}, /* a control character of Unicode's second row */
        {"/\xff", E_RANGE, 0, 0},
        {"/%c3", E_RANGE, 0, 0},
        {"/%e0%80%af", E_RANGE, 0, 0},
        {"/%f4%90%80%80", E_RANGE, 0, 0},
        {"/%e2%82", E_RANGE, 0, 0},
        {"/%e2%82x", E_RANGE, 0, 0},
        {"/a?=b", E_RANGE, 0, 0},
        {"/a?b&", E_RANGE, 0, 0},
        {"/a?b&&c", E_RANGE, 0, 0},
        {"/a?b=%0", E_RANGE, 0, 0},
        {"/a?b=1&b=2", E_DUPLICATE, 0, 0},
        {"/a?b=1&%62=2", E_DUPLICATE, 0, 0},
        {"/1/2/3/4/5/6/7/8", E_OK, 8, 0},
        {"/1/2/3/4/5/6/7/8/9", E_LIMIT, 0, 0},
        {"/a?1&2&3&4&5&6&7&8", E_OK, 1, 8},
        {"/a?1&2&3&4&5&6&7&8&9", E_LIMIT, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request r;
        err_t err = request_parse(&r, rows[i].target);
        if (err != rows[i].err)
            fail_msg("%s gave E_%s", rows[i].target, err_name(err));
        if (err == E_OK) {
            assert_int_equal(r.segment_count, rows[i].segments);
            assert_int_equal(r.query_count, rows[i].parameters);
        }
    }
}

static void the_longest_target_fits_and_one_more_does_not(void **state)
{
    static struct request r;
    char target[TARGET_MAX + 2];
    (void)state;
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[TARGET_MAX] = '\0';
    assert_ok(request_parse(&r, target));
    assert_int_equal(strlen(r.segments[0]), TARGET_MAX - 1);
    /* As many strings as there can be, which each need their end. */
    size_t len = 0;
    for (int i = 0; i < SEGMENT_MAX; i++)
        len += (size_t)snprintf(target + len, sizeof(target) - len, "/a");
    for (int i = 0; i < QUERY_MAX; i++)
        len += (size_t)snprintf(target + len, sizeof(target) - len, "%c%d=", i == 0 ? '?' : '&', i);
    memset(target + len, 'b', sizeof(target) - len);
    target[TARGET_MAX] = '\0';
    assert_ok(request_parse(&r, target));
    target[TARGET_MAX] = 'b';
    target[TARGET_MAX + 1] = '\0';
    assert_err(request_parse(&r, target), E_LIMIT);
}

static void numbers_are_checked(void **state)
{
    struct request r;
    uint64_t n = 5;
    (void)state;
    assert_ok(
        request_parse(&r, "/?a=7&b=18446744073709551615&c=18446744073709551616&d=&e=-1&f=+1&g=1%20&h=0x1"));
    assert_ok(request_number(&r, "absent", 1, 10, &n));
    assert_int_equal(n, 5);
    assert_ok(request_number(&r, "a", 7, 7, &n));
    assert_int_equal(n, 7);
    assert_ok(request_number(&r, "b", 0, UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_err(request_number(&r, "a", 8, 10, &n), E_RANGE);
    assert_err(request_number(&r, "a", 1, 6, &n), E_RANGE);
    static const char *const bad[] = {"c", "d", "e", "f", "g", "h"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_err(request_number(&r, bad[i], 0, UINT64_MAX, &n), E_RANGE);
    assert_true(n == UINT64_MAX);
}

static void unknown_parameters_are_named(void **state)
{
    static const char *const names[] = {"a", "b", NULL};
    struct request r;
    const char *name = NULL;
    (void)state;
    assert_ok(request_parse(&r, "/x?b=1&a=2"));
    assert_ok(request_only(&r, names, &name));
    assert_ok(request_parse(&r, "/x?b=1&c=2"));
    assert_err(request_only(&r, names, &name), E_UNEXPECTED);
    assert_string_equal(name, "c");
}

static void tags_are_compared_weakly(void **state)
{
    static const struct {
        const char *header, *tag;
        bool matches;
    } rows[] = {
        {"\"a\"", "W/\"a\"", true},     {"W/\"a\"", "\"a\"", true}, {"\"b\", W/\"a\"", "\"a\"", true},
        {"\"b\",\"a\"", "\"a\"", true}, {"*", "\"a\"", true},       {" * ", "\"a\"", true},
        {"\"a", "\"a\"", false},        {"a", "\"a\"", false},      {"", "\"a\"", false},
        {"\"aa\"", "\"a\"", false},     {"*x", "\"a\"", false},     {"W/", "\"a\"", false},
        {"\"b\" \"a\"", "\"a\"", true}, {"\"\"", "\"\"", true},     {"\"b\" x \"a\"", "\"a\"", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (tag_matches(rows[i].header, rows[i].tag) != rows[i].matches)
            fail_msg("%s against %s", rows[i].header, rows[i].tag);
}

static void media_types_and_lengths(void **state)
{
    uint64_t n = 0;
    (void)state;
    assert_true(media_is_json("application/json"));
    assert_true(media_is_json("Application/JSON ; charset=utf-8"));
    assert_false(media_is_json("application/json5"));
    assert_false(media_is_json("application/jso"));
    assert_false(media_is_json(""));
    assert_ok(content_length_parse("0065536", &n));
    assert_int_equal(n, 65536);
    assert_err(content_length_parse("", &n), E_RANGE);
    assert_err(content_length_parse("1,1", &n), E_RANGE);
    assert_err(content_length_parse(" 1", &n), E_RANGE);
}

static void hosts_and_origins(void **state)
{
    char host[400];
    (void)state;
    assert_true(host_is_ours("127.0.0.1:8480", false));
    assert_true(host_is_ours("ks1.example.net", true));
    assert_false(host_is_ours("ks1.example.net", false));
    assert_false(host_is_ours("ks1/example", true));
    assert_false(host_is_ours("a b", true));
    assert_false(host_is_ours("", true));
    assert_false(host_is_ours(":80", true));
    memset(host, 'a', sizeof(host));
    host[sizeof(host) - 1] = '\0';
    assert_false(host_is_ours(host, true));
    assert_true(origin_is_ours("http://localhost:8480", "LocalHost:8480"));
    assert_false(origin_is_ours("http://localhost", "localhost:8480"));
    assert_false(origin_is_ours("localhost", "localhost"));
    assert_false(origin_is_ours("http:/", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_comes_apart),
        cmocka_unit_test(the_edges_of_targets),
        cmocka_unit_test(the_longest_target_fits_and_one_more_does_not),
        cmocka_unit_test(numbers_are_checked),
        cmocka_unit_test(unknown_parameters_are_named),
        cmocka_unit_test(tags_are_compared_weakly),
        cmocka_unit_test(media_types_and_lengths),
        cmocka_unit_test(hosts_and_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

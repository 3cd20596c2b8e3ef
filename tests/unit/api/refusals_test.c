/* What is not served, and why: each answer is a problem of its own kind, or says that nothing has changed. */
#include "tests/unit/api/api_fixture.h"

static void the_root_and_unknown_paths_are_not_found(void **state)
{
    static const char *const targets[] = {"/",
                                          "/v1",
                                          "/v2/groups",
                                          "/v1/groups/G1/keys",
                                          "/v1/groups/G1/members/a/b",
                                          "/v1/group",
                                          "/livez/x",
                                          "/v1/groups/G1/policy/kek"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(*state, targets[i]);
        assert_problem(&a, 404, "no-such-path");
        answer_close(&a);
    }
}

static void unknown_groups_are_not_found(void **state)
{
    static const char *const targets[] = {"/v1/groups/G2",           "/v1/groups/g1",
                                          "/v1/groups/3333/members", "/v1/groups/G2/members/10.1.13.2",
                                          "/v1/groups/G2/policy",    "/v1/groups/G2/rekeys",
                                          "/v1/groups/%22%3Cb%3E"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(*state, targets[i]);
        assert_problem(&a, 404, "no-such-group");
        answer_close(&a);
    }
    struct answer a = request_with(*state, "POST", "/v1/groups/G2/rekey", "", "");
    assert_problem(&a, 404, "no-such-group");
    answer_close(&a);
}

static void a_server_that_is_not_ready_calls_no_group_unknown(void **state)
{
    struct fixture *f = *state;
    f->health.ready = false;
    snprintf(f->health.reason, sizeof(f->health.reason), "the log is being replayed");
    struct answer a = get(f, "/v1/groups/G2");
    assert_problem(&a, 503, "not-ready");
    answer_close(&a);
    a = get(f, "/v1/groups/G1");
    assert_int_equal(a.status, 200);
    answer_close(&a);
}

static void wrong_parameters_are_named(void **state)
{
    static const char *const targets[] = {"/v1/groups?x=1",
                                          "/v1/groups/G1?verbose",
                                          "/v1/groups/G1/policy?limit=1",
                                          "/v1/groups/G1/rekeys?after=1",
                                          "/v1/groups/G1/members?limit=0",
                                          "/v1/groups/G1/members?limit=1001",
                                          "/v1/groups/G1/members?limit=-1",
                                          "/v1/groups/G1/members?limit=",
                                          "/v1/groups/G1/members?limit=1e3",
                                          "/v1/groups/G1/members?limit=1&limit=2",
                                          "/v1/groups/G1/members?cursor=xyz",
                                          "/v1/groups/G1/members?cursor=",
                                          "/v1/groups/G1/members?cursor=ABCD",
                                          "/v1/groups/G1/members?cursor=123",
                                          "/v1/events?after=-1",
                                          "/v1/events?after=99999999999999999999",
                                          "/v1/events?limit=513",
                                          "/v1/events?until=3",
                                          "/livez?x",
                                          "/readyz?x=y",
                                          "/v1/groups/G1/members/10.1.13.2?x"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(*state, targets[i]);
        if (a.status != 400)
            fail_msg("%s gave %d", targets[i], a.status);
        assert_problem(&a, 400, "bad-request");
        answer_close(&a);
    }
}

static void other_methods_are_told_which_are_allowed(void **state)
{
    static const struct {
        const char *method, *target, *allow;
    } rows[] = {
        {"POST", "/v1/groups", "GET, HEAD"},
        {"DELETE", "/v1/groups/G1", "GET, HEAD"},
        {"PUT", "/v1/groups/G1/members/10.1.13.2", "GET, HEAD"},
        {"GET", "/v1/groups/G1/rekey", "POST"},
        {"HEAD", "/v1/groups/G1/rekey", "POST"},
        {"OPTIONS", "/livez", "GET, HEAD"},
        {"BREW", "/v1/events", "GET, HEAD"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char value[128];
        struct answer a = request_with(*state, rows[i].method, rows[i].target, "", "");
        assert_int_equal(a.status, 405);
        assert_string_equal(header_of(&a, "Allow", value, sizeof(value)), rows[i].allow);
        answer_close(&a);
    }
}

static void a_known_state_is_not_sent_again(void **state)
{
    static const char *const same[] = {"If-None-Match: W/\"c1c1c1c1-41\"\r\n",
                                       "If-None-Match: \"x\", \"c1c1c1c1-41\"\r\n", "If-None-Match: *\r\n"};
    static const char *const other[] = {"If-None-Match: W/\"c1c1c1c1-40\"\r\n",
                                        "If-None-Match: c1c1c1c1-41\r\n", "If-None-Match: \"c1c1c1c1-41\r\n"};
    char value[128];
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        struct answer a = request_with(*state, "GET", "/v1/groups/G1/members", same[i], "");
        assert_int_equal(a.status, 304);
        assert_int_equal(a.body_len, 0);
        assert_string_equal(header_of(&a, "ETag", value, sizeof(value)), "W/\"c1c1c1c1-41\"");
        answer_close(&a);
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        struct answer a = request_with(*state, "GET", "/v1/groups/G1/members", other[i], "");
        assert_int_equal(a.status, 200);
        answer_close(&a);
    }
    struct answer a = request_with(*state, "GET", "/v1/groups/none", same[0], "");
    assert_problem(&a, 404, "no-such-group");
    assert_false(has_header(&a, "ETag"));
    answer_close(&a);
}

static void damaged_rows_are_an_error_of_ours(void **state)
{
    static const char *const targets[] = {"/v1/groups",
                                          "/v1/groups/G1",
                                          "/v1/groups/G1/members",
                                          "/v1/groups/G1/members/x",
                                          "/v1/groups/G1/rekeys",
                                          "/v1/groups/G1/members/10.1.13.2"};
    struct fixture *f = *state;
    struct store_txn *txn;
    const uint8_t junk[3] = {0xff, 0xff, 0xff};
    struct member_record m = fixture_member(7, "10.1.13.2", 0x0a);
    struct row_key member = member_row_key(7, &m.identity), rekey = rekey_row_key(7, 11),
                   one = single_row_key();
    assert_ok(store_begin_write(f->store, &txn));
    store_put(txn, TABLE_MEMBER, (struct bytes){member.data, member.len}, BYTES_OF(junk));
    store_put(txn, TABLE_REKEY, (struct bytes){rekey.data, rekey.len}, BYTES_OF(junk));
    store_put(txn, TABLE_SIGNING, (struct bytes){one.data, one.len}, BYTES_OF(junk));
    assert_ok(store_commit(txn));
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(f, targets[i]);
        assert_problem(&a, 500, "internal");
        assert_at_text(&a, "error", "CORRUPT");
        answer_close(&a);
    }
    struct answer a = get(f, "/v1/groups/G1/policy");
    assert_problem(&a, 500, "internal");
    answer_close(&a);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_server, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(the_root_and_unknown_paths_are_not_found),
        TEST(unknown_groups_are_not_found),
        TEST(a_server_that_is_not_ready_calls_no_group_unknown),
        TEST(wrong_parameters_are_named),
        TEST(other_methods_are_told_which_are_allowed),
        TEST(a_known_state_is_not_sent_again),
        TEST(damaged_rows_are_an_error_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

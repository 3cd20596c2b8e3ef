/* Views and answers by themselves: words, times, and memory that runs out at every single place. */
#include "tests/unit/api/api_fixture.h"

#include "api/handlers.h"
#include "api/view.h"

static void times_are_rfc_3339(void **state)
{
    char text[TIME_TEXT_MAX];
    (void)state;
    assert_string_equal(time_text(FIXTURE_NOW_MS + 7, text), "2026-11-24T14:00:00.007Z");
    assert_string_equal(time_text(1, text), "1970-01-01T00:00:00.001Z");
    assert_string_equal(time_text(253402300799999, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(time_text(253402300800000, text), "9999-12-31T23:59:59.999Z");
    assert_string_equal(time_text(UINT64_MAX, text), "9999-12-31T23:59:59.999Z");
    json_t *never = view_time(0);
    assert_true(json_is_null(never));
    json_decref(never);
}

static void seconds_left_never_go_below_zero(void **state)
{
    (void)state;
    assert_int_equal(seconds_left(1000, 10, 1000), 10);
    assert_int_equal(seconds_left(1000, 10, 1001), 9);
    assert_int_equal(seconds_left(1000, 10, 10999), 0);
    assert_int_equal(seconds_left(1000, 10, 11000), 0);
    assert_int_equal(seconds_left(1000, 10, UINT64_MAX), 0);
    assert_int_equal(seconds_left(5000, 10, 1000), 14); /* made by a clock that is ahead */
}

static void words_are_those_of_the_configuration(void **state)
{
    static const struct {
        struct esp_suite suite;
        const char *word;
    } rows[] = {
        {{ESP_AES_CBC, 128, AUTH_HMAC_SHA256}, "aes128-sha256"},
        {{ESP_AES_CBC, 256, AUTH_HMAC_SHA384}, "aes256-sha384"},
        {{ESP_AES_CBC, 256, AUTH_HMAC_SHA512}, "aes256-sha512"},
        {{ESP_AES_GCM_8, 128, AUTH_NONE}, "aes128-gcm8"},
        {{ESP_AES_GCM_12, 256, AUTH_NONE}, "aes256-gcm12"},
        {{ESP_AES_GCM_16, 192, AUTH_NONE}, "aes192-gcm16"},
        {{ESP_AES_CBC, 128, AUTH_NONE}, "none"},
        {{ESP_3DES, 0, AUTH_HMAC_SHA1}, "none"},
        {{0, 0, 0}, "none"},
    };
    char word[SUITE_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(suite_word(&rows[i].suite, word), rows[i].word);
    assert_string_equal(cipher_word(CIPHER_3DES_CBC), "3des");
    assert_string_equal(cipher_word(CIPHER_AES_CBC_128), "aes128");
    assert_string_equal(cipher_word(CIPHER_AES_CBC_192), "aes192");
    assert_string_equal(cipher_word(CIPHER_NONE), "none");
    assert_string_equal(hash_word(HASH_SHA1), "sha1");
    assert_string_equal(hash_word(HASH_SHA384), "sha384");
    assert_string_equal(hash_word(HASH_SHA512), "sha512");
    assert_string_equal(hash_word(HASH_NONE), "none");
    assert_string_equal(sign_word(SIGN_ECDSA_256), "ecdsa256");
    assert_string_equal(sign_word(SIGN_ECDSA_384), "ecdsa384");
    assert_string_equal(sign_word(SIGN_NONE), "none");
    assert_string_equal(ack_word(KEK_ACK_SHA512), "sha512");
    assert_string_equal(ack_word(KEK_ACK_NONE), "none");
}

static void text_that_is_no_utf8_is_shown_nevertheless(void **state)
{
    (void)state;
    json_t *text = view_text("caf\xe9 \xc3\xa9");
    assert_string_equal(json_string_value(text), "caf? ??");
    json_decref(text);
}

static void a_detail_cut_within_a_character_is_left_out(void **state)
{
    struct reply reply = {0};
    char name[REPLY_DETAIL_MAX + 8];
    (void)state;
    memset(name, 'a', sizeof(name));
    memcpy(name + REPLY_DETAIL_MAX - 2, "\xc3\xa9", 3);
    reply_problem(&reply, PROBLEM_NO_SUCH_GROUP, "%s", name);
    assert_int_equal(reply.status, 404);
    assert_true(json_is_object(reply.body));
    assert_null(json_object_get(reply.body, "detail"));
    reply_close(&reply);
}

/* jansson's allocator, failing from the n-th allocation on. */
static long left;
static bool hit;

static void *meagre_malloc(size_t size)
{
    if (left-- > 0)
        return malloc(size);
    hit = true;
    return NULL;
}

/* A route run without a server. */
static void run_route(struct fixture *f, const char *target, struct reply *reply)
{
    static struct request request;
    assert_ok(request_parse(&request, target));
    struct call call = {.options = &f->options, .method = METHOD_GET, .request = &request};
    route_run(&call, reply);
    assert_null(call.txn);
}

static const char *const targets[] = {"/livez",
                                      "/readyz",
                                      "/v1/groups",
                                      "/v1/groups/G1",
                                      "/v1/groups/G1/members",
                                      "/v1/groups/G1/members?limit=1",
                                      "/v1/groups/G1/members/10.1.14.2",
                                      "/v1/groups/G1/policy",
                                      "/v1/groups/G1/rekeys",
                                      "/v1/events",
                                      "/v1/groups/none",
                                      "/v1/groups?x",
                                      "/none"};

static void memory_may_run_out_in_any_answer(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    assert_ok(event_add_sink(event_ring_sink, f.ring));
    event(RAFT_ROLE, "leader", 1ull);
    event_remove_sink(event_ring_sink, f.ring);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct reply whole = {0};
        run_route(&f, targets[i], &whole);
        for (long n = 0;; n++) {
            struct reply reply = {0};
            hit = false;
            left = n;
            json_set_alloc_funcs(meagre_malloc, free);
            run_route(&f, targets[i], &reply);
            json_set_alloc_funcs(malloc, free);
            if (!hit) {
                assert_int_equal(reply.status, whole.status);
                assert_true(json_equal(reply.body, whole.body));
                reply_close(&reply);
                break;
            }
            /* Never a part of an answer under the name of the whole: a refusal, with or without a body. */
            if (reply.body != NULL && reply.status == whole.status && !reply.is_problem)
                fail_msg("%s without its allocation %ld looks whole", targets[i], n);
            reply_close(&reply);
        }
        reply_close(&whole);
    }
    fixture_close(&f);
}

static void a_single_allocation_may_fail(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct reply whole = {0};
        run_route(&f, targets[i], &whole);
        bool was_hit = true;
        for (long n = 0; was_hit; n++) {
            struct reply reply = {0};
            heap_fault_after(n);
            run_route(&f, targets[i], &reply);
            was_hit = heap_fault_hit();
            heap_fault_after(-1);
            bool is_whole = reply.status == whole.status && json_equal(reply.body, whole.body);
            if (!is_whole && (!was_hit || (reply.status != 503 && reply.status != whole.status)))
                fail_msg("%s without allocation %ld gave %u", targets[i], n, reply.status);
            if (!is_whole && reply.status == whole.status && !reply.is_problem)
                fail_msg("%s without allocation %ld looks whole", targets[i], n);
            reply_close(&reply);
        }
        reply_close(&whole);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(seconds_left_never_go_below_zero),
        cmocka_unit_test(words_are_those_of_the_configuration),
        cmocka_unit_test(text_that_is_no_utf8_is_shown_nevertheless),
        cmocka_unit_test(a_detail_cut_within_a_character_is_left_out),
        cmocka_unit_test(memory_may_run_out_in_any_answer),
        cmocka_unit_test(a_single_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

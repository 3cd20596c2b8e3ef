/* enrol_test.c - a member, a one-time token, and everybody who should get no key by it. */
#include "proto/ike/enrol.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

struct scene {
    struct enrol_token token;
    struct secret key;
    uint8_t id[ENROL_ID_LEN];
    struct dh_key *dh;
    struct enrol_request request;
    struct enrol_grant grant;
    uint8_t asked[ENROL_REQUEST_MAX], answer[ENROL_ANSWER_MAX];
    size_t asked_len, answer_len;
};

static struct bytes asked_of(const struct scene *s)
{
    return (struct bytes){s->asked, s->asked_len};
}

static struct bytes answer_of(const struct scene *s)
{
    return (struct bytes){s->answer, s->answer_len};
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct addr member = addr_v4(10, 1, 13, 2);
    assert_non_null(s);
    assert_ok(enrol_token_make(&s->token, &member, &rng_system));
    assert_ok(enrol_token_key(&s->token, &s->key, s->id));
    assert_ok(enrol_request_make(&s->token, &rng_system, &s->dh, s->asked, &s->asked_len));
    assert_ok(enrol_request_decode(&s->request, asked_of(s)));
    s->grant.identity = identity_from_number(3333);
    memcpy(s->grant.group, "G1", 3);
    assert_ok(secret_set(&s->grant.psk, bytes_of_text("a key of its own")));
    s->grant.server_count = 2;
    s->grant.servers[0] = addr_v4(10, 1, 11, 2);
    s->grant.servers[1] = addr_v4(10, 1, 12, 2);
    assert_ok(enrol_answer_make(&s->request, &s->key, &s->grant, s->answer, &s->answer_len));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    dh_key_free(s->dh);
    enrol_token_close(&s->token);
    enrol_grant_close(&s->grant);
    secret_close(&s->key);
    free(s);
    return 0;
}

static void a_member_gets_its_key_group_and_servers(void **state)
{
    struct scene *s = *state;
    struct enrol_grant got;
    err_t reason;
    assert_true(enrol_is_request(asked_of(s)));
    assert_memory_equal(s->request.token_id, s->id, ENROL_ID_LEN);
    assert_true(addr_equal(&s->request.member, &s->token.member));
    assert_ok(enrol_request_check(&s->request, &s->key));
    assert_ok(enrol_answer_open(&got, &s->token, s->dh, asked_of(s), answer_of(s), &reason));
    assert_true(secret_equal(secret_view(&got.psk), secret_view(&s->grant.psk)));
    assert_string_equal(got.group, "G1");
    assert_true(identity_equal(&got.identity, &s->grant.identity));
    assert_int_equal(got.server_count, 2);
    assert_true(addr_equal(&got.servers[1], &s->grant.servers[1]));
    enrol_grant_close(&got);
}

static void the_key_is_not_in_the_answer_in_clear(void **state)
{
    struct scene *s = *state;
    assert_null(memmem(s->answer, s->answer_len, s->grant.psk.data, s->grant.psk.len));
}

static void another_dh_key_opens_nothing_even_with_the_token(void **state)
{
    struct scene *s = *state;
    struct dh_key *other;
    struct dh_public public_value;
    struct enrol_grant got;
    err_t reason;
    assert_ok(dh_generate(19, &other, &public_value));
    assert_err(enrol_answer_open(&got, &s->token, other, asked_of(s), answer_of(s), &reason), E_AUTH);
    assert_int_equal(got.psk.len, 0);
    dh_key_free(other);
}

static void another_token_neither_asks_nor_answers(void **state)
{
    struct scene *s = *state;
    struct enrol_token other = {0};
    struct secret key = {0};
    struct enrol_grant got;
    uint8_t id[ENROL_ID_LEN];
    err_t reason;
    assert_ok(enrol_token_make(&other, &s->token.member, &rng_system));
    assert_ok(enrol_token_key(&other, &key, id));
    assert_memory_not_equal(id, s->id, ENROL_ID_LEN);
    assert_err(enrol_request_check(&s->request, &key), E_AUTH);
    assert_ok(enrol_answer_make(&s->request, &key, &s->grant, s->answer, &s->answer_len));
    assert_err(enrol_answer_open(&got, &s->token, s->dh, asked_of(s), answer_of(s), &reason), E_AUTH);
    enrol_token_close(&other);
    secret_close(&key);
}

static void no_octet_of_a_request_may_change(void **state)
{
    struct scene *s = *state;
    struct enrol_request request;
    for (size_t i = 0; i < s->asked_len; i++) {
        s->asked[i] ^= 1;
        err_t err = enrol_request_decode(&request, asked_of(s));
        if (err == E_OK)
            err = enrol_request_check(&request, &s->key);
        assert_int_not_equal(err, E_OK);
        assert_int_not_equal(enrol_request_decode(&request, (struct bytes){s->asked, i}), E_OK);
        s->asked[i] ^= 1;
    }
}

static void no_octet_of_an_answer_may_change(void **state)
{
    struct scene *s = *state;
    struct enrol_grant got;
    err_t reason;
    for (size_t i = 0; i < s->answer_len; i++) {
        s->answer[i] ^= 1;
        err_t err = enrol_answer_open(&got, &s->token, s->dh, asked_of(s), answer_of(s), &reason);
        assert_int_not_equal(err, E_OK);
        err = enrol_answer_open(&got, &s->token, s->dh, asked_of(s), (struct bytes){s->answer, i}, &reason);
        assert_int_not_equal(err, E_OK);
        s->answer[i] ^= 1;
    }
}

static void a_refusal_says_why(void **state)
{
    struct scene *s = *state;
    struct enrol_grant got;
    err_t reason;
    assert_ok(enrol_refusal_make(E_EXPIRED, s->answer, &s->answer_len));
    assert_err(enrol_answer_open(&got, &s->token, s->dh, asked_of(s), answer_of(s), &reason), E_REFUSED);
    assert_err(reason, E_EXPIRED);
}

static void a_token_is_text_and_back(void **state)
{
    struct scene *s = *state;
    struct enrol_token back;
    char text[ENROL_TOKEN_TEXT_MAX + 1];
    enrol_token_format(&s->token, text);
    size_t len = strlen(text);
    text[len] = '\n';
    assert_ok(enrol_token_parse(&back, (struct bytes){(const uint8_t *)text, len + 1}));
    assert_true(addr_equal(&back.member, &s->token.member));
    assert_true(secret_equal(secret_view(&back.secret), secret_view(&s->token.secret)));
    for (size_t i = 0; i < len - strlen("10.1.13.2") + 1; i++) {
        char c = text[i];
        text[i] = 'x';
        assert_err(enrol_token_parse(&back, (struct bytes){(const uint8_t *)text, len}), E_RANGE);
        assert_err(enrol_token_parse(&back, (struct bytes){(const uint8_t *)text, i}), E_RANGE);
        text[i] = c;
    }
    enrol_token_close(&back);
}

static void a_groups_name_that_would_break_the_file_is_refused(void **state)
{
    struct scene *s = *state;
    struct enrol_grant got;
    err_t reason;
    memcpy(s->grant.group, "G\"; psk", 8);
    assert_ok(enrol_answer_make(&s->request, &s->key, &s->grant, s->answer, &s->answer_len));
    assert_err(enrol_answer_open(&got, &s->token, s->dh, asked_of(s), answer_of(s), &reason), E_RANGE);
    s->grant.server_count = 0;
    assert_err(enrol_answer_make(&s->request, &s->key, &s->grant, s->answer, &s->answer_len), E_LIMIT);
}

#define READY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READY(a_member_gets_its_key_group_and_servers),
        READY(the_key_is_not_in_the_answer_in_clear),
        READY(another_dh_key_opens_nothing_even_with_the_token),
        READY(another_token_neither_asks_nor_answers),
        READY(no_octet_of_a_request_may_change),
        READY(no_octet_of_an_answer_may_change),
        READY(a_refusal_says_why),
        READY(a_token_is_text_and_back),
        READY(a_groups_name_that_would_break_the_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* join_test.c - a new node, a one-time token, and everybody who should not get in by it. */
#include "cluster/join.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum { NOW_S = 1700000000 };
static const uint64_t now_ms = NOW_S * 1000ull;

struct scene {
    struct cert_key *ca_key, *key;
    struct cert *ca, *cert;
    struct wrap_key wrap_key;
    struct join_token token;
    struct join_record record;
    struct transport_peer self;
    struct transport_peer members[2];
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint8_t request[JOIN_REQUEST_MAX], answer[JOIN_ANSWER_MAX];
    size_t request_len, answer_len;
};

static struct bytes request_of(const struct scene *s)
{
    return (struct bytes){s->request, s->request_len};
}

static struct bytes answer_of(const struct scene *s)
{
    return (struct bytes){s->answer, s->answer_len};
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    uint8_t raw[KEYWRAP_KEY_LEN];
    assert_non_null(s);
    memset(s->cluster_id, 0xc1, sizeof(s->cluster_id));
    assert_ok(cert_key_make(&s->ca_key));
    assert_ok(cert_key_make(&s->key));
    assert_ok(cert_make_ca(s->ca_key, s->cluster_id, &rng_system, NOW_S, 3650, &s->ca));
    memset(raw, 0x77, sizeof(raw));
    s->wrap_key.version = 1;
    assert_ok(secret_set(&s->wrap_key.key, BYTES_OF(raw)));
    assert_ok(join_token_make(&s->token, s->ca, &rng_system));
    assert_ok(
        join_record_make(&s->record, &s->token, JOIN_WITNESS, now_ms + 60000, &s->wrap_key, &rng_system));
    memset(s->self.id, 5, NODE_ID_LEN);
    strcpy(s->self.host, "ks5.example.org");
    s->self.port = 8480;
    for (int i = 0; i < 2; i++) {
        memset(s->members[i].id, i + 1, NODE_ID_LEN);
        strcpy(s->members[i].host, i == 0 ? "192.0.2.1" : "2001:db8::2");
        s->members[i].port = (uint16_t)(8480 + i);
    }
    assert_ok(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len));
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    join_token_close(&s->token);
    secret_close(&s->wrap_key.key);
    cert_free(s->cert);
    cert_free(s->ca);
    cert_key_free(s->key);
    cert_key_free(s->ca_key);
    free(s);
    return 0;
}

/* The cluster's part: check, use, issue, answer. */
static err_t serve(struct scene *s, struct bytes message, uint64_t at_ms)
{
    struct join_request request;
    err_t err = join_request_decode(&request, message);
    if (err == E_OK)
        err = join_request_check(&request, &s->record, s->cluster_id, &s->wrap_key, at_ms);
    bool again = err == E_EXISTS;
    if (err == E_OK)
        err = join_record_use(&s->record, request.mac, at_ms);
    if (err != E_OK && !again)
        return err;
    struct cert_name name;
    memcpy(name.cluster_id, s->cluster_id, CLUSTER_ID_LEN);
    memcpy(name.node_id, request.node_id, NODE_ID_LEN);
    cert_free(s->cert);
    s->cert = NULL;
    err = cert_issue(s->ca_key, s->ca, request.csr, &name, &rng_system, NOW_S, 90, &s->cert);
    if (err != E_OK)
        return err;
    struct join_grant grant = {.epoch = 3,
                               .role = s->record.role,
                               .cert = s->cert,
                               .ca = s->ca,
                               .members = s->members,
                               .member_count = 2};
    return join_answer_make(&request, &s->record, &s->wrap_key, &grant, s->answer, &s->answer_len);
}

static err_t take(struct scene *s, struct join_result *result)
{
    err_t reason;
    return join_answer_open(result, &s->token, s->key, request_of(s), answer_of(s), NOW_S, &reason);
}

static void a_node_joins_with_a_token(void **state)
{
    struct scene *s = *state;
    struct join_result result;
    assert_ok(serve(s, request_of(s), now_ms));
    assert_ok(take(s, &result));
    assert_int_equal(result.epoch, 3);
    assert_int_equal(result.role, JOIN_WITNESS);
    assert_true(cert_has_key(result.cert, s->key));
    assert_ok(cert_verify(result.cert, s->ca, NOW_S));
    assert_int_equal(result.member_count, 2);
    assert_string_equal(result.members[1].host, "2001:db8::2");
    assert_int_equal(result.members[1].port, 8481);
    assert_memory_equal(result.members[0].id, s->members[0].id, NODE_ID_LEN);
    join_result_close(&result);
}

static void the_cluster_learns_where_the_node_is(void **state)
{
    struct scene *s = *state;
    struct join_request request;
    assert_ok(join_request_decode(&request, request_of(s)));
    assert_memory_equal(request.token_id, s->record.id, JOIN_ID_LEN);
    assert_memory_equal(request.node_id, s->self.id, NODE_ID_LEN);
    assert_string_equal(request.host, "ks5.example.org");
    assert_int_equal(request.port, 8480);
}

static void a_token_survives_its_text(void **state)
{
    struct scene *s = *state;
    struct join_token back = {0};
    char text[JOIN_TOKEN_TEXT_MAX + 1];
    join_token_format(&s->token, text);
    size_t len = strlen(text);
    assert_int_equal(len, 166);
    assert_ok(join_token_parse(&back, bytes_of_text(text)));
    assert_true(secret_equal(secret_view(&back.secret), secret_view(&s->token.secret)));
    assert_memory_equal(back.cluster_id, s->cluster_id, CLUSTER_ID_LEN);
    assert_memory_equal(back.ca_fingerprint, s->token.ca_fingerprint, CERT_FINGERPRINT_LEN);
    text[len] = '\n';
    assert_ok(join_token_parse(&back, (struct bytes){(const uint8_t *)text, len + 1}));
    for (size_t i = 0; i < len; i++) {
        assert_err(join_token_parse(&back, (struct bytes){(const uint8_t *)text, i}), E_RANGE);
        char old = text[i];
        text[i] = '!';
        assert_err(join_token_parse(&back, (struct bytes){(const uint8_t *)text, len}), E_RANGE);
        text[i] = old;
    }
    join_token_close(&back);
}

static void a_record_survives_its_encoding_and_shows_no_secret(void **state)
{
    struct scene *s = *state;
    uint8_t buf[JOIN_RECORD_MAX + 1];
    struct join_record back;
    s->record.used = true;
    memset(s->record.used_by, 9, sizeof(s->record.used_by));
    struct writer w = writer_over(buf, JOIN_RECORD_MAX);
    join_record_encode(&w, &s->record);
    assert_ok(writer_end(&w));
    assert_null(memmem(buf, w.len, s->token.secret.data, JOIN_SECRET_LEN));
    assert_ok(join_record_decode(&back, writer_bytes(&w)));
    assert_memory_equal(back.id, s->record.id, JOIN_ID_LEN);
    assert_true(back.expires_ms == s->record.expires_ms && back.role == JOIN_WITNESS && back.used);
    assert_memory_equal(back.used_by, s->record.used_by, JOIN_MAC_LEN);
    assert_int_equal(back.key.len, s->record.key.len);
    assert_memory_equal(back.key.data, s->record.key.data, back.key.len);
    for (size_t i = 0; i < w.len; i++)
        assert_true(join_record_decode(&back, (struct bytes){buf, i}) != E_OK);
    assert_err(join_record_decode(&back, (struct bytes){buf, w.len + 1}), E_TRAILING);
}

static void a_token_serves_one_request_only(void **state)
{
    struct scene *s = *state;
    uint8_t second[JOIN_REQUEST_MAX];
    size_t len = 0;
    struct join_result result;
    assert_ok(serve(s, request_of(s), now_ms));
    struct transport_peer other = s->self;
    other.id[0] ^= 1;
    assert_ok(join_request_make(&s->token, s->key, &other, 1, &rng_system, second, &len));
    assert_err(serve(s, (struct bytes){second, len}, now_ms), E_REPLAY);
    /* also the same node with a new request: its nonce differs */
    assert_ok(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, second, &len));
    assert_err(serve(s, (struct bytes){second, len}, now_ms), E_REPLAY);
    /* but the answer that got lost is given again, even after the token's time */
    assert_ok(serve(s, request_of(s), now_ms + 3600000));
    assert_ok(take(s, &result));
    join_result_close(&result);
}

static void an_expired_token_is_refused(void **state)
{
    struct scene *s = *state;
    struct join_request request;
    assert_err(serve(s, request_of(s), now_ms + 60000), E_EXPIRED);
    assert_ok(join_request_decode(&request, request_of(s)));
    assert_err(join_record_use(&s->record, request.mac, now_ms + 60000), E_EXPIRED);
    assert_false(s->record.used);
    assert_ok(serve(s, request_of(s), now_ms + 59999));
}

static void another_token_is_refused(void **state)
{
    struct scene *s = *state;
    struct join_token other = {0};
    uint8_t forged[JOIN_REQUEST_MAX];
    size_t len = 0;
    assert_ok(join_token_make(&other, s->ca, &rng_system));
    assert_ok(join_request_make(&other, s->key, &s->self, 1, &rng_system, forged, &len));
    assert_err(serve(s, (struct bytes){forged, len}, now_ms), E_AUTH);
    memcpy(forged + 7, s->record.id, JOIN_ID_LEN); /* under the name of the right one */
    assert_err(serve(s, (struct bytes){forged, len}, now_ms), E_AUTH);
    join_token_close(&other);
}

static void a_request_that_was_touched_is_refused(void **state)
{
    struct scene *s = *state;
    uint8_t copy[JOIN_REQUEST_MAX + 1];
    for (size_t i = 0; i < s->request_len; i++) {
        memcpy(copy, s->request, s->request_len);
        copy[i] ^= 1;
        if (serve(s, (struct bytes){copy, s->request_len}, now_ms) == E_OK)
            fail_msg("octet %zu changed and nothing noticed", i);
        if (serve(s, (struct bytes){s->request, i}, now_ms) == E_OK)
            fail_msg("cut to %zu octets and nothing noticed", i);
    }
    memcpy(copy, s->request, s->request_len);
    copy[s->request_len] = 0;
    assert_err(serve(s, (struct bytes){copy, s->request_len + 1}, now_ms), E_TRAILING);
    assert_false(s->record.used); /* nothing of that cost the token */
}

static void an_answer_that_was_touched_is_refused(void **state)
{
    struct scene *s = *state;
    struct join_result result;
    assert_ok(serve(s, request_of(s), now_ms));
    for (size_t i = 0; i < s->answer_len; i++) {
        s->answer[i] ^= 1;
        if (take(s, &result) == E_OK)
            fail_msg("octet %zu changed and nothing noticed", i);
        assert_null(result.cert);
        s->answer[i] ^= 1;
    }
    size_t len = s->answer_len;
    for (s->answer_len = 0; s->answer_len < len; s->answer_len++)
        assert_true(take(s, &result) != E_OK);
    assert_ok(take(s, &result));
    join_result_close(&result);
}

static void an_answer_to_another_request_is_refused(void **state)
{
    struct scene *s = *state;
    struct join_result result;
    assert_ok(serve(s, request_of(s), now_ms));
    assert_ok(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len));
    assert_err(take(s, &result), E_AUTH);
}

/* Somebody who learnt the token, but is not the cluster: an authority of the same name. */
static void another_authority_is_refused_by_its_fingerprint(void **state)
{
    struct scene *s = *state;
    struct join_result result;
    cert_free(s->ca);
    cert_key_free(s->ca_key);
    s->ca = NULL;
    assert_ok(cert_key_make(&s->ca_key));
    assert_ok(cert_make_ca(s->ca_key, s->cluster_id, &rng_system, NOW_S, 3650, &s->ca));
    assert_ok(serve(s, request_of(s), now_ms));
    assert_err(take(s, &result), E_AUTH);
    assert_null(result.ca);
}

static void a_node_of_another_cluster_is_refused(void **state)
{
    struct scene *s = *state;
    s->token.cluster_id[0] ^= 1;
    assert_ok(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len));
    assert_err(serve(s, request_of(s), now_ms), E_BAD_ID);
    assert_false(s->record.used);
}

static void a_refusal_says_why(void **state)
{
    struct scene *s = *state;
    struct join_result result;
    static const err_t sent[] = {E_AUTH, E_REPLAY, E_EXPIRED, E_NOT_PRIMARY, E_NO_MEMORY};
    static const err_t seen[] = {E_AUTH, E_REPLAY, E_EXPIRED, E_NOT_PRIMARY, E_INTERNAL};
    for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
        err_t reason;
        assert_ok(join_refusal_make(sent[i], s->answer, &s->answer_len));
        assert_err(join_answer_open(&result, &s->token, s->key, request_of(s), answer_of(s), NOW_S, &reason),
                   E_REFUSED);
        assert_err(reason, seen[i]);
    }
}

static void an_address_that_is_none_is_refused(void **state)
{
    struct scene *s = *state;
    s->self.port = 0;
    assert_err(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len),
               E_RANGE);
    s->self.port = 1;
    s->self.host[0] = '\0';
    assert_err(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len),
               E_RANGE);
    strcpy(s->self.host, "a host; rm");
    assert_ok(join_request_make(&s->token, s->key, &s->self, 1, &rng_system, s->request, &s->request_len));
    assert_err(serve(s, request_of(s), now_ms), E_RANGE);
}

static void the_largest_cluster_fits_an_answer(void **state)
{
    struct scene *s = *state;
    struct join_request request;
    struct join_result result;
    struct transport_peer members[JOIN_MEMBER_MAX];
    assert_ok(serve(s, request_of(s), now_ms));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        memset(&members[i], 0, sizeof(members[i]));
        memset(members[i].id, (int)i + 1, NODE_ID_LEN);
        memset(members[i].host, 'a', TRANSPORT_HOST_MAX - 1);
        members[i].port = 65535;
    }
    assert_ok(join_request_decode(&request, request_of(s)));
    struct join_grant grant = {.epoch = 1,
                               .role = JOIN_VOTER,
                               .cert = s->cert,
                               .ca = s->ca,
                               .members = members,
                               .member_count = ARRAY_LEN(members)};
    assert_ok(join_answer_make(&request, &s->record, &s->wrap_key, &grant, s->answer, &s->answer_len));
    assert_ok(take(s, &result));
    assert_int_equal(result.member_count, JOIN_MEMBER_MAX);
    join_result_close(&result);
    grant.member_count++;
    assert_err(join_answer_make(&request, &s->record, &s->wrap_key, &grant, s->answer, &s->answer_len),
               E_LIMIT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_node_joins_with_a_token),
        T(the_cluster_learns_where_the_node_is),
        T(a_token_survives_its_text),
        T(a_record_survives_its_encoding_and_shows_no_secret),
        T(a_token_serves_one_request_only),
        T(an_expired_token_is_refused),
        T(another_token_is_refused),
        T(a_request_that_was_touched_is_refused),
        T(an_answer_that_was_touched_is_refused),
        T(an_answer_to_another_request_is_refused),
        T(another_authority_is_refused_by_its_fingerprint),
        T(a_node_of_another_cluster_is_refused),
        T(a_refusal_says_why),
        T(an_address_that_is_none_is_refused),
        T(the_largest_cluster_fits_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* enrol_test.c - a member enrols at a cluster of three: by any of them, once, and again only with the very
 * same request. */
#include "cluster/cluster_internal.h"
#include "tests/unit/cluster/three_fixture.h"

static struct group_config group_g1(void)
{
    return (struct group_config){
        .name = "G1",
        .identity = identity_from_number(3333),
        .server_addr = addr_v4(10, 1, 1, 1),
        .kek_lifetime_s = 86400,
        .tek_lifetime_s = 3600,
        .retransmit_s = 10,
        .kek_cipher = CIPHER_AES_CBC_256,
        .sig_hash = HASH_SHA256,
        .suite = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
        .selectors = {{.src = {addr_v4(10, 0, 0, 0), 8}, .dst = {addr_v4(10, 0, 0, 0), 8}}},
        .selector_count = 1};
}

struct reply {
    bool done;
    size_t len;
    uint8_t data[ENROL_ANSWER_MAX];
};

struct member {
    struct enrol_token token;
    struct dh_key *dh;
    size_t len;
    uint8_t request[ENROL_REQUEST_MAX];
};

static void on_reply(void *context, struct bytes answer)
{
    struct reply *reply = context;
    reply->len = answer.len;
    assert_true(answer.len <= sizeof(reply->data));
    memcpy(reply->data, answer.data, answer.len);
    reply->done = true;
}

static void member_make(struct member *m, struct ks *by, const struct addr *address)
{
    char text[ENROL_TOKEN_TEXT_MAX];
    repeat(by, cluster_enrol_token(by->cluster, "G1", address, text, on_ending, &ending));
    assert_ok(enrol_token_parse(&m->token, bytes_of_text(text)));
    assert_ok(enrol_request_make(&m->token, &rng_system, &m->dh, m->request, &m->len));
}

static void member_close(struct member *m)
{
    dh_key_free(m->dh);
    enrol_token_close(&m->token);
}

/* Through that server; E_OK: grant is filled. */
static err_t ask(struct member *m, struct ks *ks, struct enrol_grant *grant)
{
    struct reply reply = {0};
    err_t reason = E_OK;
    cluster_enrol_request(ks->cluster, (struct bytes){m->request, m->len}, "a test", on_reply, &reply);
    until(ks->all, reply.done);
    err_t err = enrol_answer_open(grant, &m->token, m->dh, (struct bytes){m->request, m->len},
                                  (struct bytes){reply.data, reply.len}, &reason);
    return err == E_REFUSED ? reason : err;
}

static err_t ask_until_quorum(struct member *m, struct ks *ks, struct enrol_grant *grant)
{
    err_t err = E_NO_QUORUM;
    while (err == E_NO_QUORUM && !ks->all->late)
        err = ask(m, ks, grant);
    return err;
}

static void a_member_enrols_by_any_server_and_once(void **state)
{
    struct three *t = *state;
    struct addr address = addr_v4(10, 1, 13, 2);
    struct group_config config = group_g1();
    struct member m, thief;
    struct enrol_grant first, again;
    struct secret kept = {0};
    three_form(t);
    set_group(&t->ks[0], &config);
    member_make(&m, &t->ks[0], &address);
    until(t, ks_state_enrolled(cluster_state(t->ks[1].cluster), &address) != NULL);
    assert_ok(ask_until_quorum(&m, &t->ks[1], &first)); /* which does not lead */
    assert_string_equal(first.group, "G1");
    assert_int_equal(first.server_count, 3);
    assert_int_equal(first.psk.len, ENROL_PSK_LEN);
    assert_ok(ask_until_quorum(&m, &t->ks[0], &again)); /* its answer got lost */
    assert_true(secret_equal(secret_view(&first.psk), secret_view(&again.psk)));

    const struct ks_state *s = cluster_state(t->ks[1].cluster);
    until(t, ks_state_psk(s, &address) != NULL);
    assert_ok(ks_psk_open(s, cluster_wrap_key(t->ks[1].cluster), ks_state_psk(s, &address), &kept));
    assert_true(secret_equal(secret_view(&kept), secret_view(&first.psk)));
    until(t, same_state(t));

    thief = m; /* the token was read by somebody else, who comes later */
    assert_ok(enrol_request_make(&m.token, &rng_system, &thief.dh, thief.request, &thief.len));
    assert_err(ask_until_quorum(&thief, &t->ks[0], &again), E_REPLAY);
    assert_int_equal(again.psk.len, 0);
    dh_key_free(thief.dh);
    secret_close(&kept);
    enrol_grant_close(&first);
    member_close(&m);
}

static void who_may_not_enrol_is_refused_at_the_token(void **state)
{
    struct three *t = *state;
    struct ks *ks = &t->ks[0];
    struct group_config config = group_g1();
    struct addr inside = addr_v4(10, 1, 13, 2), outside = addr_v4(172, 16, 0, 1);
    char text[ENROL_TOKEN_TEXT_MAX];
    assert_ok(ks_open(ks, NULL, NULL));
    until(t, ks->ready && cluster_state(ks->cluster)->node_count == 1);
    config.rule_count = 1;
    config.rules[0] = (struct member_rule){.is_prefix = true, .prefix = {addr_v4(10, 0, 0, 0), 8}};
    set_group(ks, &config);
    assert_err(cluster_enrol_token(ks->cluster, "G2", &inside, text, NULL, NULL), E_UNKNOWN_GROUP);
    assert_err(cluster_enrol_token(ks->cluster, "G1", &outside, text, NULL, NULL), E_NOT_AUTHORIZED);
    assert_err(cluster_enrol_revoke(ks->cluster, &inside, NULL, NULL), E_NOT_FOUND);
    repeat(ks, cluster_enrol_token(ks->cluster, "G1", &inside, text, on_ending, &ending));
    repeat(ks, cluster_enrol_revoke(ks->cluster, &inside, on_ending, &ending));
    assert_null(ks_state_enrolled(cluster_state(ks->cluster), &inside));
}

#define READY(test) cmocka_unit_test_setup_teardown(test, three_setup, three_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        READY(a_member_enrols_by_any_server_and_once),
        READY(who_may_not_enrol_is_refused_at_the_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

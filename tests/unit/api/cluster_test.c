/* What operators ask of the cluster: each request becomes the right mail, each answer the right body. */
#include <pthread.h>

#include "tests/unit/api/api_fixture.h"

#define NODE_A "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"

struct posted {
    const struct fixture *f;
    const char *target, *body;
    struct answer answer;
    pthread_t thread;
};

static struct answer send_body(const struct fixture *f, const char *target, const char *body)
{
    char headers[128];
    snprintf(headers, sizeof(headers), "Content-Type: application/json\r\nContent-Length: %zu\r\n",
             strlen(body));
    return request_with(f, "POST", target, *body != '\0' ? headers : "", body);
}

static void *post(void *context)
{
    struct posted *p = context;
    p->answer = send_body(p->f, p->target, p->body);
    return NULL;
}

/* Posts, takes the mail, answers it. */
static struct mail exchange(struct fixture *f, const char *target, const char *body,
                            const struct mail_answer *answer, struct answer *out)
{
    struct posted p = {.f = f, .target = target, .body = body};
    assert_int_equal(pthread_create(&p.thread, NULL, post, &p), 0);
    struct mail mail = fixture_mail(f);
    mailbox_answer(f->mailbox, mail.id, answer);
    pthread_join(p.thread, NULL);
    *out = p.answer;
    return mail;
}

static void a_token_is_for_a_role(void **state)
{
    static const struct {
        const char *body;
        uint32_t role;
    } rows[] = {{"", NODE_VOTER},
                {"{}", NODE_VOTER},
                {"{\"role\":\"voter\"}", NODE_VOTER},
                {"{\"role\":\"witness\"}", NODE_WITNESS},
                {"{\"role\":\"standby\"}", NODE_STANDBY}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a;
        struct mail mail = exchange(*state, "/v1/cluster/tokens", rows[i].body,
                                    &(struct mail_answer){.text = "qrt1-text", .index = 9}, &a);
        assert_int_equal(mail.kind, MAIL_JOIN_TOKEN);
        assert_int_equal(mail.number, rows[i].role);
        assert_int_equal(a.status, 202);
        assert_at_text(&a, "token", "qrt1-text");
        answer_close(&a);
    }
}

static void a_member_is_enrolled_by_its_address(void **state)
{
    struct answer a;
    struct mail mail = exchange(*state, "/v1/groups/G1/enrolments", "{\"member\":\"10.1.13.2\"}",
                                &(struct mail_answer){.text = "qe1.text"}, &a);
    struct addr member = addr_v4(10, 1, 13, 2);
    assert_int_equal(mail.kind, MAIL_ENROL_TOKEN);
    assert_string_equal(mail.group, "G1");
    assert_true(addr_equal(&mail.member, &member));
    assert_int_equal(a.status, 202);
    assert_at_text(&a, "token", "qe1.text");
    answer_close(&a);
    mail = exchange(*state, "/v1/groups/G1/enrolments", "{\"member\":\"10.1.13.2\"}",
                    &(struct mail_answer){.err = E_NOT_AUTHORIZED}, &a);
    assert_int_equal(a.status, 409);
    answer_close(&a);
    mail = exchange(*state, "/v1/enrolments/10.1.13.2/revoke", "", &(struct mail_answer){0}, &a);
    assert_int_equal(mail.kind, MAIL_ENROL_REVOKE);
    assert_true(addr_equal(&mail.member, &member));
    assert_at_text(&a, "revoked", "10.1.13.2");
    answer_close(&a);
}

static void leadership_is_moved_to_one_or_to_the_primary(void **state)
{
    struct answer a;
    struct mail mail = exchange(*state, "/v1/cluster/transfer", "{\"node\":\"" NODE_A "\"}",
                                &(struct mail_answer){.text = "a0a1a2a3a4a5a6a7"}, &a);
    assert_int_equal(mail.kind, MAIL_TRANSFER);
    assert_string_equal(mail.group, NODE_A);
    assert_at_text(&a, "leader", "a0a1a2a3a4a5a6a7");
    answer_close(&a);
    mail = exchange(*state, "/v1/cluster/transfer", "", &(struct mail_answer){.err = E_TIMEOUT}, &a);
    assert_string_equal(mail.group, "");
    assert_true(a.status >= 500);
    answer_close(&a);
}

static void the_primarys_role_is_given_up(void **state)
{
    struct answer a;
    struct mail mail = exchange(*state, "/v1/cluster/step-down", "",
                                &(struct mail_answer){.text = NODE_A, .seq = 4, .index = 77}, &a);
    assert_int_equal(mail.kind, MAIL_STEP_DOWN);
    assert_at_text(&a, "primary", NODE_A);
    assert_at_number(&a, "epoch", 4);
    answer_close(&a);
    exchange(*state, "/v1/cluster/step-down", "", &(struct mail_answer){.err = E_STATE}, &a);
    assert_problem(&a, 409, "conflict");
    answer_close(&a);
}

static void what_not_all_key_servers_know_is_refused_with_the_levels(void **state)
{
    struct answer a;
    struct mail_answer refused = {
        .err = E_UNSUPPORTED,
        .text = "all key servers must run a build of level 2 first; the cluster is at 1"};
    exchange(*state, "/v1/cluster/step-down", "", &refused, &a);
    assert_problem(&a, 409, "cluster-level");
    assert_at_text(&a, "error", "UNSUPPORTED");
    assert_at_text(&a, "detail",
                   "The cluster: all key servers must run a build of level 2 first; the cluster is at 1");
    answer_close(&a);
    exchange(*state, "/v1/cluster/step-down", "", &(struct mail_answer){.err = E_UNSUPPORTED}, &a);
    assert_problem(&a, 500, "internal"); /* for another reason */
    answer_close(&a);
}

static void a_priority_is_set(void **state)
{
    struct answer a;
    struct mail mail = exchange(*state, "/v1/cluster/nodes/A0A1A2A3A4A5A6A7A8A9AAABACADAEAF/priority",
                                "{\"priority\":200}", &(struct mail_answer){.err = E_OK}, &a);
    assert_int_equal(mail.kind, MAIL_PRIORITY);
    assert_int_equal(mail.number, 200);
    assert_string_equal(mail.group, NODE_A);
    assert_int_equal(a.status, 202);
    answer_close(&a);
}

static void a_certificate_is_renewed_on_demand(void **state)
{
    struct answer a;
    struct mail mail =
        exchange(*state, "/v1/cluster/nodes/" NODE_A "/renew", "", &(struct mail_answer){.index = 5}, &a);
    assert_int_equal(mail.kind, MAIL_CERT_RENEW);
    assert_string_equal(mail.group, NODE_A);
    assert_at_text(&a, "renewing", NODE_A);
    answer_close(&a);
}

static void the_signing_key_is_rotated_one_at_a_time(void **state)
{
    struct answer a;
    struct mail mail =
        exchange(*state, "/v1/signing-key/rotate", "", &(struct mail_answer){.seq = 4, .index = 99}, &a);
    assert_int_equal(mail.kind, MAIL_SIGNING_ROTATE);
    assert_int_equal(a.status, 202);
    assert_at_number(&a, "signing_version", 4);
    assert_at_number(&a, "applied_index", 99);
    answer_close(&a);
    exchange(*state, "/v1/signing-key/rotate", "", &(struct mail_answer){.err = E_STATE}, &a);
    assert_problem(&a, 409, "rotation-unfinished");
    assert_at_text(&a, "error", "STATE");
    answer_close(&a);
    exchange(*state, "/v1/signing-key/rotate", "", &(struct mail_answer){.err = E_NOT_PRIMARY}, &a);
    assert_problem(&a, 409, "not-primary");
    answer_close(&a);
}

static void states_are_compared_on_demand(void **state)
{
    struct answer a;
    struct mail mail = exchange(*state, "/v1/cluster/hash", "", &(struct mail_answer){.index = 99}, &a);
    assert_int_equal(mail.kind, MAIL_STATE_MARK);
    assert_at_number(&a, "applied_index", 99);
    answer_close(&a);
}

static void a_backup_comes_as_the_octets_that_it_is(void **state)
{
    static const uint8_t sealed[] = {'Q', 'R', 'T', 0, 0xff, '\r', '\n', 0};
    struct answer a;
    char media[64], index[32];
    uint8_t *octets = malloc(sizeof(sealed));
    memcpy(octets, sealed, sizeof(sealed));
    struct mail_answer answer = {.index = 4711, .octets = octets, .octets_len = sizeof(sealed)};
    struct mail mail = exchange(*state, "/v1/cluster/backup", "", &answer, &a);
    assert_int_equal(mail.kind, MAIL_BACKUP);
    assert_int_equal(a.status, 200);
    assert_string_equal(header_of(&a, "Content-Type", media, sizeof(media)), "application/octet-stream");
    assert_string_equal(header_of(&a, "X-Applied-Index", index, sizeof(index)), "4711");
    assert_int_equal(a.body_len, sizeof(sealed));
    assert_memory_equal(a.body, sealed, sizeof(sealed));
    answer_close(&a);
}

static void a_backup_that_was_not_taken_says_why(void **state)
{
    struct answer a;
    exchange(*state, "/v1/cluster/backup", "", &(struct mail_answer){.err = E_PERMISSION}, &a);
    assert_problem(&a, 409, "conflict");
    assert_non_null(strstr(a.body, "backup_key_file"));
    answer_close(&a);
    exchange(*state, "/v1/cluster/backup", "", &(struct mail_answer){.err = E_AGAIN}, &a);
    assert_problem(&a, 503, "busy");
    answer_close(&a);
}

static void what_is_malformed_never_reaches_the_loop(void **state)
{
    static const struct {
        const char *target, *body;
    } rows[] = {{"/v1/cluster/tokens", "{\"role\":\"king\"}"},
                {"/v1/cluster/tokens", "{\"role\":1}"},
                {"/v1/cluster/tokens", "{\"rank\":\"voter\"}"},
                {"/v1/cluster/tokens", "[]"},
                {"/v1/cluster/tokens", "{"},
                {"/v1/cluster/transfer", "{\"node\":\"a0\"}"},
                {"/v1/cluster/transfer", "{\"node\":7}"},
                {"/v1/cluster/transfer?x=1", ""},
                {"/v1/cluster/step-down?x=1", ""},
                {"/v1/cluster/hash?x=1", ""},
                {"/v1/signing-key/rotate?x=1", ""},
                {"/v1/signing-key/rotate", "{\"bits\":4096}"},
                {"/v1/cluster/nodes/" NODE_A "/priority", ""},
                {"/v1/cluster/nodes/" NODE_A "/priority", "{\"priority\":256}"},
                {"/v1/cluster/nodes/" NODE_A "/priority", "{\"priority\":-1}"},
                {"/v1/cluster/nodes/" NODE_A "/priority", "{\"priority\":\"9\"}"},
                {"/v1/cluster/nodes/a0/priority", "{\"priority\":9}"},
                {"/v1/cluster/nodes/a0/remove", ""}};
    struct fixture *f = *state;
    struct mail mail;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = send_body(f, rows[i].target, rows[i].body);
        assert_problem(&a, 400, "bad-request");
        answer_close(&a);
        assert_false(mailbox_take(f->mailbox, &mail));
    }
}

static void tell_cluster(void *context, struct api_cluster *out)
{
    (void)context;
    *out = (struct api_cluster){.coop_epoch = 3, .term = 5, .voters = 2, .mark_index = 40, .node_count = 2};
    out->level = 2;
    out->minority_ms = 1700000000000;
    memset(out->mark_hash, 0xab, sizeof(out->mark_hash));
    for (uint8_t i = 0; i < 2; i++) {
        out->nodes[i] = (struct api_node){.node = {.role = NODE_VOTER + i,
                                                   .priority = (uint8_t)(100 - i),
                                                   .address = addr_v4(10, 1, 11, (uint8_t)(2 + i))},
                                          .self = i == 0,
                                          .primary = i == 0,
                                          .leader = i == 1,
                                          .connected = true,
                                          .heard_ms = 70,
                                          .applied_index = 41,
                                          .level = i == 0 ? 3 : 0};
        memset(out->nodes[i].node.id, 0xc0 + i, NODE_ID_LEN);
        if (i == 0)
            out->nodes[i].node.cert =
                (struct node_cert){.serial = {0x12}, .fingerprint = {0x34}, .not_after_s = 1700000000};
    }
}

static int setup_cluster(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    f->options.cluster = tell_cluster;
    fixture_serve(f);
    *state = f;
    return 0;
}

static void the_cluster_is_told(void **state)
{
    struct answer a = get(*state, "/v1/cluster");
    assert_int_equal(a.status, 200);
    assert_at_number(&a, "coop_epoch", 3);
    assert_at_number(&a, "mark.index", 40);
    assert_at_number(&a, "mark.differences", 0);
    assert_at_text(&a, "minority.until", "2023-11-14T22:13:20.000Z");
    assert_at_null(&a, "state_hash"); /* nobody has looked at it so far */
    assert_at_text(&a, "nodes.0.role", "voter");
    assert_at_text(&a, "nodes.1.role", "witness");
    assert_at_number(&a, "nodes.1.priority", 99);
    assert_at_number(&a, "level", 2);
    assert_at_number(&a, "nodes.0.level", 3);
    assert_at_null(&a, "nodes.1.level"); /* not heard */
    answer_close(&a);
}

static void certificates_are_listed(void **state)
{
    struct answer a = get(*state, "/v1/cluster/certs");
    assert_int_equal(a.status, 200);
    assert_at_text(&a, "certs.0.serial", "12000000000000000000000000000000");
    assert_at_text(&a, "certs.0.not_after", "2023-11-14T22:13:20.000Z");
    assert_true(json_is_null(at(&a, "certs.1.serial"))); /* not told yet */
    answer_close(&a);
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup_server, teardown_server)
    const struct CMUnitTest tests[] = {
        SERVED(a_token_is_for_a_role),
        SERVED(a_member_is_enrolled_by_its_address),
        SERVED(leadership_is_moved_to_one_or_to_the_primary),
        SERVED(the_primarys_role_is_given_up),
        SERVED(what_not_all_key_servers_know_is_refused_with_the_levels),
        SERVED(a_priority_is_set),
        SERVED(a_certificate_is_renewed_on_demand),
        SERVED(the_signing_key_is_rotated_one_at_a_time),
        SERVED(states_are_compared_on_demand),
        SERVED(a_backup_comes_as_the_octets_that_it_is),
        SERVED(a_backup_that_was_not_taken_says_why),
        SERVED(what_is_malformed_never_reaches_the_loop),
        cmocka_unit_test_setup_teardown(the_cluster_is_told, setup_cluster, teardown_server),
        cmocka_unit_test_setup_teardown(certificates_are_listed, setup_cluster, teardown_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* POST /v1/groups/{g}/rekey: the request waits, suspended, until the loop has answered; whatever happens to
 * loop, client or server meanwhile. */
#include <pthread.h>

#include "tests/unit/api/api_fixture.h"

/* A request on its way in a thread of its own. */
struct posted {
    const struct fixture *f;
    const char *target;
    const char *headers;
    const char *body;
    struct answer answer;
    pthread_t thread;
};

static void *post(void *context)
{
    struct posted *p = context;
    p->answer = request_with(p->f, "POST", p->target, p->headers, p->body);
    return NULL;
}

static void post_start(struct posted *p, const struct fixture *f, const char *target)
{
    *p = (struct posted){.f = f, .target = target, .headers = "", .body = ""};
    assert_int_equal(pthread_create(&p->thread, NULL, post, p), 0);
}

static struct answer *post_end(struct posted *p)
{
    pthread_join(p->thread, NULL);
    return &p->answer;
}

static void a_rekey_is_answered_when_the_loop_has(void **state)
{
    struct fixture *f = *state;
    struct posted p;
    char value[64];
    post_start(&p, f, "/v1/groups/G1/rekey");
    struct mail mail = fixture_mail(f);
    assert_int_equal(mail.kind, MAIL_REKEY);
    assert_string_equal(mail.group, "G1");
    struct answer a = get(f, "/livez"); /* others are served meanwhile */
    assert_int_equal(a.status, 200);
    answer_close(&a);
    mailbox_answer(f->mailbox, mail.id, &(struct mail_answer){.err = E_OK, .seq = 12, .index = 57});
    struct answer *b = post_end(&p);
    assert_int_equal(b->status, 202);
    assert_at_text(b, "group", "G1");
    assert_at_number(b, "seq", 12);
    assert_at_number(b, "applied_index", 57);
    assert_string_equal(header_of(b, "X-Applied-Index", value, sizeof(value)), "57");
    assert_string_equal(header_of(b, "Cache-Control", value, sizeof(value)), "no-store");
    assert_false(has_header(b, "ETag"));
    answer_close(b);
}

static void an_empty_object_is_a_body_too(void **state)
{
    struct fixture *f = *state;
    struct posted p = {.f = f,
                       .target = "/v1/groups/vpn%202%2f%C3%A9/rekey",
                       .headers = "Content-Type: application/json\r\nContent-Length: 4\r\n",
                       .body = " {} "};
    assert_int_equal(pthread_create(&p.thread, NULL, post, &p), 0);
    struct mail mail = fixture_mail(f);
    assert_string_equal(mail.group, "vpn 2/\xc3\xa9");
    mailbox_answer(f->mailbox, mail.id, &(struct mail_answer){.err = E_OK, .seq = 1, .index = 42});
    assert_int_equal(post_end(&p)->status, 202);
    answer_close(&p.answer);
}

static void refusals_become_problems(void **state)
{
    static const struct {
        err_t err;
        int status;
        const char *slug;
    } rows[] = {
        {E_NOT_PRIMARY, 409, "not-primary"},
        {E_STATE, 409, "conflict"},
        {E_STALE, 409, "conflict"},
        {E_UNKNOWN_GROUP, 404, "no-such-group"},
        {E_NO_QUORUM, 503, "no-quorum"},
        {E_FULL, 503, "busy"},
        {E_LIMIT, 503, "busy"},
        {E_NO_MEMORY, 503, "no-memory"},
        {E_CRYPTO, 500, "internal"},
        {E_CANCELED, 503, "outcome-unknown"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct posted p;
        post_start(&p, f, "/v1/groups/G1/rekey");
        struct mail mail = fixture_mail(f);
        mailbox_answer(f->mailbox, mail.id, &(struct mail_answer){.err = rows[i].err});
        assert_problem(post_end(&p), rows[i].status, rows[i].slug);
        assert_at_text(&p.answer, "error", err_name(rows[i].err));
        assert_int_equal(has_header(&p.answer, "Retry-After"),
                         strcmp(rows[i].slug, "busy") == 0 || strcmp(rows[i].slug, "no-quorum") == 0);
        answer_close(&p.answer);
    }
}

static int setup_hasty_server(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    f->options.mail_timeout_ms = 200;
    fixture_serve(f);
    *state = f;
    return 0;
}

static void a_loop_that_does_not_answer_leaves_the_outcome_open(void **state)
{
    struct fixture *f = *state;
    struct posted p;
    struct mail mail;
    uint64_t start = test_now_ms();
    post_start(&p, f, "/v1/groups/G1/rekey");
    assert_problem(post_end(&p), 503, "outcome-unknown");
    assert_true(test_now_ms() - start >= 200);
    answer_close(&p.answer);
    assert_false(mailbox_take(f->mailbox, &mail)); /* it was taken back: nobody waits for it any more */
    post_start(&p, f, "/v1/groups/G1/rekey");
    mail = fixture_mail(f);
    assert_problem(post_end(&p), 503, "outcome-unknown");
    mailbox_answer(f->mailbox, mail.id,
                   &(struct mail_answer){.err = E_OK, .seq = 12}); /* too late: ignored */
    answer_close(&p.answer);
}

static void a_client_that_leaves_harms_nothing(void **state)
{
    static const char text[] =
        "POST /v1/groups/G1/rekey HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    struct fixture *f = *state;
    int fd = dial(f);
    send_text(fd, text, strlen(text));
    struct mail mail = fixture_mail(f);
    close(fd);
    mailbox_answer(f->mailbox, mail.id, &(struct mail_answer){.err = E_OK, .seq = 12, .index = 57});
    struct answer a = get(f, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
}

static void the_end_of_the_server_answers_those_who_wait(void **state)
{
    struct fixture f;
    struct posted p[3];
    (void)state;
    fixture_open(&f);
    fixture_serve(&f);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        post_start(&p[i], &f, "/v1/groups/G1/rekey");
    struct mail taken = fixture_mail(&f); /* one is being worked on, two wait */
    struct mail second = fixture_mail(&f), third = fixture_mail(&f);
    (void)second;
    (void)third;
    http_server_free(f.server);
    f.server = NULL;
    mailbox_answer(f.mailbox, taken.id, &(struct mail_answer){.err = E_OK, .seq = 12});
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        assert_problem(post_end(&p[i]), 503, "outcome-unknown");
        answer_close(&p[i].answer);
    }
    fixture_close(&f);
}

static void the_end_does_not_wait_for_idle_or_slow_clients(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    fixture_serve(&f);
    int idle = dial(&f), slow = dial(&f);
    send_text(slow, "GET /livez HTTP/1.1\r\n", 21);
    struct answer a = get(&f, "/livez");
    answer_close(&a);
    uint64_t start = test_now_ms();
    fixture_close(&f);
    assert_true(test_now_ms() - start < WAIT_MS / 2);
    close(idle);
    close(slow);
}

static void a_full_mailbox_pushes_back(void **state)
{
    struct fixture *f = *state;
    uint64_t ids[MAILBOX_MAX];
    struct mail mail = {.kind = MAIL_REKEY};
    struct posted p;
    for (size_t i = 0; i < MAILBOX_MAX; i++)
        assert_ok(mailbox_put(f->mailbox, &mail, NULL, NULL, &ids[i]));
    post_start(&p, f, "/v1/groups/G1/rekey");
    assert_problem(post_end(&p), 503, "busy");
    assert_true(has_header(&p.answer, "Retry-After"));
    answer_close(&p.answer);
    for (size_t i = 0; i < MAILBOX_MAX; i++)
        assert_true(mailbox_cancel(f->mailbox, ids[i]));
}

/* A loop that answers each mail at once, every third one never. */
struct fake_loop {
    const struct fixture *f;
    bool ends;
    pthread_t thread;
};

static void *run_loop(void *context)
{
    struct fake_loop *loop = context;
    struct mail mail;
    while (!__atomic_load_n(&loop->ends, __ATOMIC_ACQUIRE)) {
        if (fixture_take(loop->f, &mail, WAIT_MS) && mail.id % 3 != 0)
            mailbox_answer(loop->f->mailbox, mail.id,
                           &(struct mail_answer){.err = E_OK, .seq = (uint32_t)mail.id, .index = mail.id});
    }
    return NULL;
}

enum { CLIENTS = 12, ROUNDS = 10 };

static void *post_often(void *context)
{
    const struct fixture *f = context;
    size_t answered = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct answer a = request_with(f, "POST", "/v1/groups/G1/rekey", "", "");
        answered += a.status == 202;
        if (a.status != 202 && a.status != 503) /* which neither of them may be */
            answered = SIZE_MAX / (2 * (size_t)CLIENTS);
        answer_close(&a);
    }
    return (void *)(uintptr_t)answered;
}

static void many_writers_are_each_answered_once(void **state)
{
    struct fixture *f = *state;
    struct fake_loop loop = {.f = f};
    pthread_t clients[CLIENTS];
    size_t answered = 0;
    assert_int_equal(pthread_create(&loop.thread, NULL, run_loop, &loop), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, post_often, f), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *count;
        pthread_join(clients[i], &count);
        answered += (size_t)(uintptr_t)count;
    }
    __atomic_store_n(&loop.ends, true, __ATOMIC_RELEASE);
    fixture_wake(f);
    pthread_join(loop.thread, NULL);
    assert_in_range(answered, CLIENTS * ROUNDS / 3, CLIENTS * ROUNDS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_server, teardown_server)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty_server, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(a_rekey_is_answered_when_the_loop_has),
        TEST(an_empty_object_is_a_body_too),
        TEST(refusals_become_problems),
        HASTY(a_loop_that_does_not_answer_leaves_the_outcome_open),
        TEST(a_client_that_leaves_harms_nothing),
        cmocka_unit_test(the_end_of_the_server_answers_those_who_wait),
        cmocka_unit_test(the_end_does_not_wait_for_idle_or_slow_clients),
        TEST(a_full_mailbox_pushes_back),
        HASTY(many_writers_are_each_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The API as a server on a socket: hosts, bodies, lengths, slow and rude clients. */
#include "tests/unit/api/api_fixture.h"

#include "api/request.h"

static struct answer raw(void **state, const char *text)
{
    return exchange_raw(*state, text, strlen(text));
}

static void head_is_get_without_the_body(void **state)
{
    char got[64], wanted[64];
    struct answer full = get(*state, "/v1/groups/G1/members");
    struct answer head = request_with(*state, "HEAD", "/v1/groups/G1/members", "", "");
    assert_int_equal(head.status, 200);
    assert_int_equal(head.body_len, 0);
    assert_string_equal(header_of(&head, "Content-Length", got, sizeof(got)),
                        header_of(&full, "Content-Length", wanted, sizeof(wanted)));
    assert_string_equal(header_of(&head, "ETag", got, sizeof(got)),
                        header_of(&full, "ETag", wanted, sizeof(wanted)));
    answer_close(&full);
    answer_close(&head);
    head = request_with(*state, "HEAD", "/v1/groups/none", "", "");
    assert_int_equal(head.status, 404);
    assert_int_equal(head.body_len, 0);
    answer_close(&head);
}

static void metrics_are_plain_text(void **state)
{
    struct answer a = get(*state, "/metrics");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.raw, "Content-Type: text/plain; version=0.0.4"));
    assert_int_equal(a.body_len, strlen(FIXTURE_METRICS));
    assert_memory_equal(a.body, FIXTURE_METRICS, a.body_len);
    answer_close(&a);
    a = get(*state, "/metrics?member=1");
    assert_int_equal(a.status, 400);
    answer_close(&a);
}

static void foreign_hosts_are_refused(void **state)
{
    static const struct {
        const char *host;
        int status;
    } rows[] = {
        {"127.0.0.1", 200},
        {"127.0.0.1:8480", 200},
        {"localhost", 200},
        {"LOCALHOST:1", 200},
        {"[::1]:8480", 200},
        {"10.1.11.2:8480", 200},
        {"example.net", 421},
        {"localhost.example.net", 421},
        {"127.0.0.1.evil.net", 421},
        {"evil.net:8480", 421},
        {"", 421},
        {"localhost:", 421},
        {"localhost:x", 421},
        {"127.0.0.1:8480x", 421},
        {"::1", 421},
        {"[::1", 421},
        {"[127.0.0.1]", 421},
        {"localhost:123456", 421},
        {"local%68ost", 421},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[512];
        snprintf(text, sizeof(text), "GET /livez HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                 rows[i].host);
        struct answer a = raw(state, text);
        if (a.status != rows[i].status)
            fail_msg("Host \"%s\" gave %d", rows[i].host, a.status);
        answer_close(&a);
    }
    struct answer a = raw(state, "GET /livez HTTP/1.0\r\n\r\n"); /* no Host at all */
    assert_int_equal(a.status, 400);
    answer_close(&a);
    a = raw(state, "GET http://evil.net/livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    assert_int_equal(a.status,
                     200); /* the Host header decides; a browser cannot send one that is not its own */
    answer_close(&a);
}

static void pages_of_other_origins_are_refused(void **state)
{
    static const struct {
        const char *origin;
        int status;
    } rows[] = {{"http://127.0.0.1", 200},    {"http://evil.net", 403},   {"null", 403},
                {"http://127.0.0.1:81", 403}, {"https://127.0.0.1", 403}, {"http://127.0.0.1.evil.net", 403}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char line[128];
        snprintf(line, sizeof(line), "Origin: %s\r\n", rows[i].origin);
        struct answer a = request_with(*state, "GET", "/livez", line, "");
        if (a.status != rows[i].status)
            fail_msg("Origin \"%s\" gave %d", rows[i].origin, a.status);
        answer_close(&a);
    }
    struct answer a = request_with(*state, "POST", "/v1/groups/G1/rekey", "Origin: http://evil.net\r\n", "");
    assert_problem(&a, 403, "foreign-origin");
    struct mail mail;
    assert_false(mailbox_take(((struct fixture *)*state)->mailbox, &mail));
    answer_close(&a);
}

static void bad_targets_are_refused(void **state)
{
    static const char *const targets[] = {"/v1/groups/%",
                                          "/v1/groups/%4",
                                          "/v1/groups/%zz",
                                          "/v1/groups/%00",
                                          "/v1/groups/a%0ab",
                                          "/v1/groups/%ff",
                                          "/v1/groups/%c0%af",
                                          "/v1/groups/%ed%a0%80",
                                          "//v1/groups",
                                          "/v1//groups",
                                          "/v1/groups/",
                                          "/v1/groups?=1",
                                          "/v1/groups?a&&b",
                                          "/v1/groups?%",
                                          "/v1/groups/%C2%9B31m",
                                          "livez",
                                          "*"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct answer a = get(*state, targets[i]);
        if (a.status != 400)
            fail_msg("%s gave %d", targets[i], a.status);
        answer_close(&a);
    }
    struct answer a = get(*state, "/1/2/3/4/5/6/7/8/9");
    assert_problem(&a, 414, "too-long");
    answer_close(&a);
    a = get(*state, "/v1/groups?a&b&c&d&e&f&g&h&i");
    assert_problem(&a, 414, "too-long");
    answer_close(&a);
}

static void dots_are_plain_names(void **state)
{
    struct answer a = get(*state, "/v1/groups/../groups");
    assert_int_equal(a.status, 404);
    answer_close(&a);
    a = get(*state, "/v1/groups/%2e%2e");
    assert_problem(&a, 404, "no-such-group");
    answer_close(&a);
}

static void long_targets_and_headers_end_in_an_error(void **state)
{
    static const size_t lens[] = {TARGET_MAX, TARGET_MAX + 1, 8000, 14000, 200000};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        char *target = malloc(lens[i] + 1);
        memset(target, 'a', lens[i]);
        target[0] = '/';
        target[lens[i]] = '\0';
        struct answer a = get(*state, target);
        int wanted = lens[i] <= TARGET_MAX ? 404 : 414;
        if (a.status != wanted && !(lens[i] > 10000 && (a.status == 431 || a.status == 413 || a.status == 0)))
            fail_msg("a target of %zu octets gave %d", lens[i], a.status);
        answer_close(&a);
        free(target);
    }
    char *header = malloc(60000);
    memset(header, 'b', 60000);
    memcpy(header, "X: ", 3);
    memcpy(header + 59000, "\r\n", 3);
    struct answer a = request_with(*state, "GET", "/livez", header, "");
    assert_true(a.status == 431 || a.status == 413);
    answer_close(&a);
    free(header);
    a = get(*state, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
}

static void bodies_are_bounded(void **state)
{
    static const struct {
        const char *headers;
        const char *body;
        int status;
        const char *slug;
    } rows[] = {
        {"Content-Length: 65537\r\nContent-Type: application/json\r\n", "", 413, "too-large"},
        {"Content-Length: 99999999999999999999\r\n", "", 0, NULL},
        {"Content-Length: -1\r\n", "", 0, NULL},
        {"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n", "2\r\n{}\r\n0\r\n\r\n", 411,
         "no-length"},
        {"Content-Length: 2\r\n", "{}", 415, "bad-media-type"},
        {"Content-Length: 2\r\nContent-Type: text/plain\r\n", "{}", 415, "bad-media-type"},
        {"Content-Length: 2\r\nContent-Type: application/jsonx\r\n", "{}", 415, "bad-media-type"},
        {"Content-Length: 2\r\nContent-Type: application/json\r\n", "{]", 400, "bad-request"},
        {"Content-Length: 2\r\nContent-Type: application/json\r\n", "[]", 400, "bad-request"},
        {"Content-Length: 7\r\nContent-Type: application/json; charset=utf-8\r\n", "{\"a\":1}", 400,
         "bad-request"},
        {"Content-Length: 4\r\nContent-Type: application/json\r\n", "\"\xff\"x", 400, "bad-request"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a = request_with(*state, "POST", "/v1/groups/G1/rekey", rows[i].headers, rows[i].body);
        if (rows[i].slug != NULL)
            assert_problem(&a, rows[i].status, rows[i].slug);
        else if (a.status != 0 && (a.status < 400 || a.status > 499))
            fail_msg("%s gave %d", rows[i].headers, a.status);
        answer_close(&a);
    }
    struct mail mail;
    assert_false(mailbox_take(((struct fixture *)*state)->mailbox, &mail));
}

static void a_body_of_the_full_size_is_read(void **state)
{
    char headers[128];
    char *body = malloc(HTTP_BODY_MAX + 1);
    memset(body, ' ', HTTP_BODY_MAX);
    body[HTTP_BODY_MAX] = '\0';
    body[HTTP_BODY_MAX - 1] = 'x';
    snprintf(headers, sizeof(headers), "Content-Type: application/json\r\nContent-Length: %d\r\n",
             HTTP_BODY_MAX);
    struct answer a = request_with(*state, "POST", "/v1/groups/G1/rekey", headers, body);
    assert_problem(&a, 400, "bad-request");
    answer_close(&a);
    a = request_with(*state, "GET", "/livez", headers, body); /* read and ignored */
    assert_int_equal(a.status, 200);
    answer_close(&a);
    free(body);
}

static void one_connection_carries_many_requests(void **state)
{
    static const char two[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
                              "GET /v1/groups/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct answer a = raw(state, two);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.body, "HTTP/1.1 404 "));
    answer_close(&a);
}

static void garbage_ends_the_connection(void **state)
{
    static const char *const texts[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\xff\xff\r\n\r\n",
        "GET /livez HTTP/9.9\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost localhost\r\nConnection: close\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        int fd = dial(f);
        size_t len;
        send_text(fd, texts[i], strlen(texts[i]));
        shutdown(fd, SHUT_WR);
        char *text = read_all(fd, &len);
        if (len > 0 && strncmp(text, "HTTP/1.1 4", 10) != 0 && strncmp(text, "HTTP/1.1 505", 12) != 0)
            fail_msg("%zu: %s", i, text);
        free(text);
        close(fd);
    }
    struct answer a = get(f, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
}

static int setup_hasty_server(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    f->options.request_timeout_ms = 300;
    fixture_serve(f);
    *state = f;
    return 0;
}

static void slow_clients_are_cut_though_they_go_on_sending(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ";
    int silent = dial(f), fd = dial(f);
    size_t len;
    uint64_t start = test_now_ms();
    send_text(fd, text, strlen(text));
    struct pollfd p = {fd, POLLIN, 0};
    while (poll(&p, 1, 20) == 0) { /* one octet every 20 ms, until the server has had enough */
        assert_true(test_now_ms() - start < WAIT_MS);
        send_text(fd, "x", 1);
    }
    assert_true(test_now_ms() - start >= 250);
    free(read_all(fd, &len));
    assert_int_equal(len, 0);
    close(fd);
    free(read_all(silent, &len));
    assert_int_equal(len, 0);
    close(silent);
    struct answer a = get(f, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
}

static void more_connections_than_the_limit_wait_their_turn(void **state)
{
    struct fixture *f = *state;
    int fds[HTTP_CONNECTION_MAX + 8];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = dial(f);
    struct answer a = get(f, "/livez"); /* served once the idle ones were cut */
    assert_true(a.status == 200 || a.status == 0);
    answer_close(&a);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    uint64_t end = test_now_ms() + WAIT_MS;
    do {
        assert_true(test_now_ms() < end);
        a = get(f, "/livez");
        int status = a.status;
        answer_close(&a);
        if (status == 200)
            break;
    } while (true);
}

static void only_loopback_unless_it_is_wanted(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    static const char *const remote[] = {"0.0.0.0", "192.0.2.1", "::", "2001:db8::1", "128.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
        f.options.listen = (struct endpoint){addr_of(remote[i]), 0};
        assert_err(http_server_open(&f.server, &f.options), E_CONFIG);
        assert_null(f.server);
    }
    f.options.listen = (struct endpoint){addr_of("0.0.0.0"), 0};
    f.options.allow_remote = true;
    fixture_serve(&f);
    struct endpoint any = http_server_endpoint(f.server);
    assert_int_not_equal(any.port, 0);
    http_server_free(f.server);
    f.options.allow_remote = false;
    f.options.listen = (struct endpoint){addr_of("::1"), 0};
    fixture_serve(&f);
    struct answer a = get(&f, "/livez");
    assert_int_equal(a.status, 200);
    answer_close(&a);
    struct http_server *second;
    f.options.listen = http_server_endpoint(f.server);
    assert_err(http_server_open(&second, &f.options), E_IO); /* the port is taken */
    fixture_close(&f);
}

static void a_name_is_taken_when_remote_clients_are(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.options.allow_remote = true;
    fixture_serve(&f);
    static const char text[] =
        "GET /livez HTTP/1.1\r\nHost: ks1.example.net:8480\r\nConnection: close\r\n\r\n";
    struct answer a = exchange_raw(&f, text, strlen(text));
    assert_int_equal(a.status, 200);
    answer_close(&a);
    fixture_close(&f);
}

static void opening_survives_each_allocation_that_fails(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    for (long n = 0;; n++) {
        heap_fault_after(n);
        err_t err = http_server_open(&f.server, &f.options);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        if (!hit) {
            assert_int_equal(err, E_OK);
            break;
        }
        assert_err(err, E_NO_MEMORY);
        assert_null(f.server);
    }
    fixture_close(&f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_server, teardown_server)
#define HASTY(name) cmocka_unit_test_setup_teardown(name, setup_hasty_server, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(head_is_get_without_the_body),
        TEST(metrics_are_plain_text),
        TEST(foreign_hosts_are_refused),
        TEST(pages_of_other_origins_are_refused),
        TEST(bad_targets_are_refused),
        TEST(dots_are_plain_names),
        TEST(long_targets_and_headers_end_in_an_error),
        TEST(bodies_are_bounded),
        TEST(a_body_of_the_full_size_is_read),
        TEST(one_connection_carries_many_requests),
        HASTY(garbage_ends_the_connection),
        HASTY(slow_clients_are_cut_though_they_go_on_sending),
        HASTY(more_connections_than_the_limit_wait_their_turn),
        cmocka_unit_test(only_loopback_unless_it_is_wanted),
        cmocka_unit_test(a_name_is_taken_when_remote_clients_are),
        cmocka_unit_test(opening_survives_each_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

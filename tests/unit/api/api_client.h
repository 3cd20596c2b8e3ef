/* api_client.h - a client that speaks to the server of a fixture octet by octet, and looks into its JSON. */
#ifndef TESTS_UNIT_API_CLIENT_H
#define TESTS_UNIT_API_CLIENT_H

#include <jansson.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "api/http_server.h"
#include "tests/unit/api/api_rows.h"

enum {
    WAIT_MS = 20000, /* for anything that should happen: then the test fails */
    ANSWER_MAX = 1 << 21,
};

struct fixture {
    char dir[64];
    struct store *store;
    struct event_ring *ring;
    struct mailbox *mailbox;
    int woken; /* eventfd: a mail was put */
    struct http_server *server;
    struct api_options options;
    struct api_health health;
};

/* What came back. Header lookups are by exact name. */
struct answer {
    int status;
    char *raw; /* heap, all of it */
    const char *body;
    size_t body_len;
    json_t *json; /* NULL if the body is none */
};

static inline uint64_t test_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline int dial(const struct fixture *f)
{
    struct sockaddr_storage address;
    struct endpoint endpoint = http_server_endpoint(f->server);
    socklen_t len = endpoint_to_sockaddr(&endpoint, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    return fd;
}

/* The server may close before all is sent: that is its right. */
static inline void send_text(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* Reads until the server closes; fails the test after WAIT_MS. NUL-terminated, heap. */
static inline char *read_all(int fd, size_t *out_len)
{
    char *buf = malloc(ANSWER_MAX + 1);
    size_t len = 0;
    uint64_t end = test_now_ms() + WAIT_MS;
    for (;;) {
        uint64_t now = test_now_ms();
        struct pollfd p = {fd, POLLIN, 0};
        if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
            fail_msg("the server neither answers nor closes");
        ssize_t n = recv(fd, buf + len, ANSWER_MAX - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    buf[len] = '\0';
    *out_len = len;
    return buf;
}

static inline struct answer parse_answer(char *raw, size_t len)
{
    struct answer a = {.raw = raw};
    if (sscanf(raw, "HTTP/1.1 %d ", &a.status) != 1)
        return a;
    char *split = strstr(raw, "\r\n\r\n");
    assert_non_null(split);
    split[2] = '\0';
    a.body = split + 4;
    a.body_len = len - (size_t)(a.body - raw);
    if (a.body_len > 0)
        a.json = json_loadb(a.body, a.body_len, 0, NULL);
    return a;
}

static inline struct answer exchange_raw(const struct fixture *f, const char *text, size_t len)
{
    int fd = dial(f);
    size_t answer_len;
    send_text(fd, text, len);
    char *raw = read_all(fd, &answer_len);
    close(fd);
    return parse_answer(raw, answer_len);
}

/* One request with a Host header; headers: more lines, each with CRLF. */
static inline struct answer request_with(const struct fixture *f, const char *method, const char *target,
                                         const char *headers, const char *body)
{
    size_t size = strlen(target) + strlen(headers) + strlen(body) + 256;
    char *text = malloc(size);
    int len = snprintf(text, size, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n%s",
                       method, target, headers, body);
    struct answer a = exchange_raw(f, text, (size_t)len);
    free(text);
    return a;
}

static inline struct answer get(const struct fixture *f, const char *target)
{
    return request_with(f, "GET", target, "", "");
}

static inline void answer_close(struct answer *a)
{
    json_decref(a->json);
    free(a->raw);
    *a = (struct answer){0};
}

/* Value of a header in a buffer of its own; fails the test if it is absent. */
static inline const char *header_of(const struct answer *a, const char *name, char *out, size_t size)
{
    char line[128];
    snprintf(line, sizeof(line), "\r\n%s: ", name);
    const char *at = strstr(a->raw, line);
    if (at == NULL)
        fail_msg("no header %s in: %s", name, a->raw);
    at += strlen(line);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
    return out;
}

static inline bool has_header(const struct answer *a, const char *name)
{
    char line[128];
    snprintf(line, sizeof(line), "\r\n%s: ", name);
    return strstr(a->raw, line) != NULL;
}

/* "a.b.0.c" within the answer's JSON; fails the test if there is none. */
static inline json_t *at(const struct answer *a, const char *path)
{
    json_t *json = a->json;
    char part[64];
    for (const char *p = path; *p != '\0';) {
        size_t len = strcspn(p, ".");
        snprintf(part, sizeof(part), "%.*s", (int)len, p);
        json =
            json_is_array(json) ? json_array_get(json, strtoul(part, NULL, 10)) : json_object_get(json, part);
        p += len + (p[len] == '.');
    }
    if (json == NULL)
        fail_msg("no %s in: %s", path, a->body == NULL ? "(nothing)" : a->body);
    return json;
}

#define assert_at_text(answer, path, text)                                                                   \
    do {                                                                                                     \
        json_t *at_ = at(answer, path);                                                                      \
        assert_true(json_is_string(at_));                                                                    \
        assert_string_equal(json_string_value(at_), text);                                                   \
    } while (0)
#define assert_at_number(answer, path, number)                                                               \
    do {                                                                                                     \
        json_t *at_ = at(answer, path);                                                                      \
        assert_true(json_is_integer(at_));                                                                   \
        assert_int_equal(json_integer_value(at_), number);                                                   \
    } while (0)
#define assert_at_null(answer, path) assert_true(json_is_null(at(answer, path)))
#define assert_at_bool(answer, path, value) assert_int_equal(json_is_true(at(answer, path)), value)

/* A problem of that status and slug, complete as RFC 9457 wants it. */
static inline void assert_problem(struct answer *a, int status, const char *slug)
{
    char type[128], media[128];
    if (a->status != status)
        fail_msg("status %d, wanted %d: %s", a->status, status, a->raw);
    snprintf(type, sizeof(type), "urn:quorate:problem:%s", slug);
    assert_string_equal(header_of(a, "Content-Type", media, sizeof(media)), "application/problem+json");
    assert_at_text(a, "type", type);
    assert_at_number(a, "status", status);
    assert_true(json_is_string(at(a, "title")));
    assert_true(json_is_string(at(a, "detail")));
}

#endif

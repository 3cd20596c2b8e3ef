/* api_fixture.h - the API over a store of its own with rows of known content, on an ephemeral loopback port,
 * and a client that speaks to it octet by octet. Included by one test file per binary. */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H

#include "tests/lib/test.h"

#include <errno.h>
#include <ftw.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/http_server.h"

enum {
    WAIT_MS = 20000, /* for anything that should happen: then the test fails */
    ANSWER_MAX = 1 << 21,
    FIXTURE_INDEX = 41,
};
#define FIXTURE_NOW_MS ((uint64_t)1795528800000) /* 2026-11-24T14:00:00Z */

struct fixture {
    char dir[64];
    struct store *store;
    struct event_ring *ring;
    struct mailbox *mailbox;
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

static inline void fixture_health(void *context, struct api_health *out)
{
    *out = ((struct fixture *)context)->health;
}

static inline uint64_t fixture_now(void *context)
{
    (void)context;
    return FIXTURE_NOW_MS;
}

static inline void fixture_wake(void *context)
{
    (void)context;
}

static inline struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    assert_ok(prefix_parse(&prefix, text));
    return prefix;
}

static inline struct addr addr_of(const char *text)
{
    struct addr addr;
    assert_ok(addr_parse(&addr, text));
    return addr;
}

/* A wrapped key whose octets are easy to find, should they ever show up in an answer. */
static inline struct wrapped fixture_wrapped(void)
{
    struct wrapped w = {.len = 64};
    memset(w.data, 0xa5, w.len);
    return w;
}

static inline struct kek_record fixture_kek(uint32_t generation, uint8_t first, uint64_t created_ms)
{
    struct kek_record kek = {
        .generation = generation,
        .cipher = CIPHER_AES_CBC_256,
        .sig_hash = HASH_SHA256,
        .ack = KEK_ACK_SHA256,
        .signing_version = 1,
        .created_ms = created_ms,
        .lifetime_s = 86400,
        .iv_key = fixture_wrapped(),
    };
    for (size_t i = 0; i < KEK_SPI_LEN; i++)
        kek.spi[i] = (uint8_t)(first + i);
    return kek;
}

static inline struct tek_record fixture_tek(uint32_t generation, uint32_t spi, struct esp_suite suite,
                                            uint64_t created_ms)
{
    return (struct tek_record){.generation = generation,
                               .spi = spi,
                               .suite = suite,
                               .sid_epoch = 1,
                               .sid_bits = suite.auth == AUTH_NONE ? 16 : 0,
                               .created_ms = created_ms,
                               .lifetime_s = 7200,
                               .key = fixture_wrapped(),
                               .integrity =
                                   suite.auth == AUTH_NONE ? (struct wrapped){0} : fixture_wrapped()};
}

static inline void fixture_put(struct store_txn *txn, enum store_table table, struct row_key key,
                               struct writer *w)
{
    assert_ok(writer_end(w));
    store_put(txn, table, (struct bytes){key.data, key.len}, writer_bytes(w));
}

static inline void put_group(struct store_txn *txn, const struct group_record *group)
{
    uint8_t *row = malloc(RECORD_LEN_MAX);
    struct writer w = writer_over(row, RECORD_LEN_MAX);
    group_record_encode(&w, group);
    fixture_put(txn, TABLE_GROUP, group_row_key(group->id), &w);
    free(row);
}

static inline void put_member(struct store_txn *txn, const struct member_record *member)
{
    uint8_t row[2048];
    struct writer w = writer_over(row, sizeof(row));
    member_record_encode(&w, member);
    fixture_put(txn, TABLE_MEMBER, member_row_key(member->group_id, &member->identity), &w);
}

static inline void put_rekey(struct store_txn *txn, const struct rekey_record *rekey)
{
    uint8_t row[2048];
    struct writer w = writer_over(row, sizeof(row));
    rekey_record_encode(&w, rekey);
    fixture_put(txn, TABLE_REKEY, rekey_row_key(rekey->group_id, rekey->seq), &w);
}

/* G1: 3333, CBC, two TEKs, keys 600 s old. */
static inline struct group_record *fixture_g1(void)
{
    const struct esp_suite cbc = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    struct group_record *g = calloc(1, sizeof(*g));
    struct group_config *c = &g->config;
    *c = (struct group_config){.name = "G1",
                               .identity = identity_from_number(3333),
                               .server_addr = addr_of("10.1.11.2"),
                               .kek_lifetime_s = 86400,
                               .tek_lifetime_s = 7200,
                               .retransmit_s = 10,
                               .retransmit_count = 2,
                               .kek_cipher = CIPHER_AES_CBC_256,
                               .sig_hash = HASH_SHA256,
                               .ack = KEK_ACK_SHA256,
                               .suite = cbc,
                               .activation_s = 10,
                               .deactivation_s = 30,
                               .selector_count = 3,
                               .rule_count = 2};
    c->selectors[0] =
        (struct selector){.src = prefix_of("192.168.0.0/16"), .dst = prefix_of("192.168.0.0/16")};
    c->selectors[1] = (struct selector){
        .src = prefix_of("10.9.0.1/32"), .dst = prefix_of("0.0.0.0/0"), .protocol = 17, .dst_port = 5060};
    c->selectors[2] =
        (struct selector){.src = prefix_of("2001:db8:1::/48"), .dst = prefix_of("2001:db8:2::/48")};
    c->rules[0] = (struct member_rule){.is_prefix = true, .prefix = prefix_of("10.1.13.0/24")};
    assert_ok(identity_from_text(&c->rules[1].identity, ID_FQDN, "branch7.example.net"));
    g->id = 7;
    g->policy_version = 3;
    g->told_version = 3;
    g->generation = 5;
    g->seq = 11;
    g->rekeys_sent = 11;
    g->has_kek = true;
    g->kek = fixture_kek(4, 0x10, FIXTURE_NOW_MS - 600000);
    g->has_previous_kek = true;
    g->previous_kek = fixture_kek(3, 0x80, FIXTURE_NOW_MS - 90000000);
    g->teks[0] = fixture_tek(4, 0x5a69f51e, cbc, FIXTURE_NOW_MS - 7100500);
    g->teks[1] = fixture_tek(5, 0xf553ac4c, cbc, FIXTURE_NOW_MS - 600000);
    g->tek_count = 2;
    g->sid_epoch = 1;
    return g;
}

/* vpn-2: an FQDN as identity, GCM, nothing made yet. */
static inline struct group_record *fixture_g2(void)
{
    struct group_record *g = calloc(1, sizeof(*g));
    struct group_config *c = &g->config;
    *c = (struct group_config){.name = "vpn 2/\xc3\xa9",
                               .server_addr = addr_of("10.1.11.2"),
                               .kek_lifetime_s = 3600,
                               .tek_lifetime_s = 900,
                               .retransmit_s = 40,
                               .retransmit_count = 3,
                               .kek_cipher = CIPHER_AES_CBC_128,
                               .sig_hash = HASH_SHA512,
                               .ack = KEK_ACK_NONE,
                               .suite = {ESP_AES_GCM_16, 256, AUTH_NONE},
                               .sid_bits = 16,
                               .selector_count = 1};
    assert_ok(identity_from_text(&c->identity, ID_FQDN, "vpn2.example.net"));
    c->selectors[0] = (struct selector){.src = prefix_of("0.0.0.0/0"), .dst = prefix_of("0.0.0.0/0")};
    g->id = 9;
    g->policy_version = 1;
    g->sid_epoch = 1;
    return g;
}

static inline struct member_record fixture_member(uint32_t group_id, const char *address, uint8_t server)
{
    struct addr addr = addr_of(address);
    struct member_record m = {.group_id = group_id,
                              .identity = identity_from_addr(&addr),
                              .endpoint = {addr, 848},
                              .first_ms = FIXTURE_NOW_MS - 86400000,
                              .last_ms = FIXTURE_NOW_MS - 60000,
                              .registrations = 2,
                              .seq_base = 2,
                              .rekeys_sent = 9,
                              .acks = 8,
                              .missed = 1,
                              .sent_seq = {11, 10, 9, 8},
                              .acked_seq = {11, 10, 9, 7}};
    memset(m.key_server, server, NODE_ID_LEN);
    return m;
}

static inline void fixture_rows(struct store *store)
{
    uint8_t row[8192];
    struct store_txn *txn;
    struct writer w = writer_over(row, sizeof(row));
    struct cluster_record cluster = {.coop_epoch = 1, .time_ms = FIXTURE_NOW_MS, .next_group_id = 10};
    memset(cluster.cluster_id, 0xc1, CLUSTER_ID_LEN);
    assert_ok(store_begin_write(store, &txn));
    cluster_record_encode(&w, &cluster);
    fixture_put(txn, TABLE_META, single_row_key(), &w);
    struct signing_record signing = {
        .version = 1, .alg = SIGN_RSA, .bits = 2048, .public_len = 294, .private_len = 1300};
    memset(signing.public_key, 0xb6, signing.public_len);
    memset(signing.private_key, 0xa5, signing.private_len);
    w = writer_over(row, sizeof(row));
    signing_record_encode(&w, &signing);
    fixture_put(txn, TABLE_SIGNING, single_row_key(), &w);

    struct group_record *g1 = fixture_g1(), *g2 = fixture_g2();
    put_group(txn, g1);
    put_group(txn, g2);
    free(g1);
    free(g2);
    struct member_record m = fixture_member(7, "10.1.13.2", 0x0a);
    put_member(txn, &m);
    m = fixture_member(7, "10.1.14.2", 0x0b);
    m.sid_count = 2;
    m.first_sid = 5;
    put_member(txn, &m);
    m = fixture_member(7, "10.1.15.2", 0x0a);
    assert_ok(identity_from_text(&m.identity, ID_FQDN, "branch7.example.net"));
    put_member(txn, &m);
    struct rekey_record rekey = {.group_id = 7,
                                 .seq = 10,
                                 .kind = REKEY_KEK,
                                 .created_ms = FIXTURE_NOW_MS - 4200000,
                                 .done_ms = FIXTURE_NOW_MS - 4200000 + 1250,
                                 .members = 3,
                                 .acked = 2,
                                 .silent = 1,
                                 .retransmits = 2,
                                 .push_len = 700};
    put_rekey(txn, &rekey);
    rekey = (struct rekey_record){.group_id = 7,
                                  .seq = 11,
                                  .kind = REKEY_TEK,
                                  .created_ms = FIXTURE_NOW_MS - 600000,
                                  .done_ms = FIXTURE_NOW_MS - 600000 + 87,
                                  .members = 3,
                                  .acked = 3,
                                  .push_len = 604};
    put_rekey(txn, &rekey);
    store_set_applied(txn, FIXTURE_INDEX, 2);
    assert_ok(store_commit(txn));
}

static inline void fixture_serve(struct fixture *f)
{
    assert_ok(http_server_open(&f->server, &f->options));
}

/* Everything but the server. */
static inline void fixture_open(struct fixture *f)
{
    bool rebuilt;
    *f = (struct fixture){0};
    snprintf(f->dir, sizeof(f->dir), "/tmp/quorate-api.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_ok(store_open(&f->store, f->dir, &rebuilt));
    fixture_rows(f->store);
    assert_ok(event_ring_open(&f->ring, EVENT_RING_DEFAULT));
    assert_ok(mailbox_open(&f->mailbox, fixture_wake, NULL));
    f->health = (struct api_health){.live = true,
                                    .ready = true,
                                    .raft_role = "leader",
                                    .term = 2,
                                    .commit_index = FIXTURE_INDEX,
                                    .applied_index = FIXTURE_INDEX,
                                    .primary = true,
                                    .coop_epoch = 1,
                                    .listen = {addr_v4(10, 1, 11, 2), 848},
                                    .started_ms = FIXTURE_NOW_MS - 3600000};
    memset(f->health.node_id, 0x0a, NODE_ID_LEN);
    f->options = (struct api_options){.listen = {addr_v4(127, 0, 0, 1), 0},
                                      .store = f->store,
                                      .ring = f->ring,
                                      .mailbox = f->mailbox,
                                      .context = f,
                                      .health = fixture_health,
                                      .now_ms = fixture_now};
}

static inline int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static inline void fixture_close(struct fixture *f)
{
    http_server_free(f->server);
    mailbox_free(f->mailbox);
    event_ring_free(f->ring);
    store_close(f->store);
    nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline int setup_server(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    fixture_serve(f);
    *state = f;
    return 0;
}

static inline int teardown_server(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

/* The client. */
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

/* raft_transport_stranger.h - somebody on the cluster port who is not one of us, or behaves badly: a plain
 * socket with OpenSSL of its own on it. It never blocks; the test calls stranger_step beside the loop. */
#ifndef TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_STRANGER_H
#define TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_STRANGER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "cluster/certs_internal.h"
#include "tests/unit/cluster/raft_transport_fixture.h"

struct stranger {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    bool shaken, ended;
    bool deaf; /* reads no more */
    struct frame_reader reader;
    struct bytes to_send;
    uint8_t sending[512];
    unsigned frames;
    bool greeted;
    int goodbye; /* its reason, -1 none */
    uint64_t counter, counters, gaps;
    bool disordered;
};

/* What a stranger has that ours would not have. */
struct guise {
    const struct cert *cert; /* NULL: none */
    const struct cert_key *key;
    int version;      /* 0: TLS 1.3 */
    const char *alpn; /* NULL: the right one; "": none */
};

static inline int stranger_connect(uint16_t port)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void stranger_open(struct stranger *s, uint16_t port, const struct guise *guise)
{
    int version = guise->version == 0 ? TLS1_3_VERSION : guise->version;
    *s = (struct stranger){.goodbye = -1, .reader.body_max = FRAME_BODY_MAX};
    s->fd = stranger_connect(port);
    s->context = SSL_CTX_new(TLS_client_method());
    assert_non_null(s->context);
    SSL_CTX_set_verify(s->context, SSL_VERIFY_NONE, NULL);
    assert_int_equal(SSL_CTX_set_min_proto_version(s->context, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(s->context, version), 1);
    if (guise->alpn == NULL)
        assert_int_equal(SSL_CTX_set_alpn_protos(s->context, (const uint8_t *)"\x0equorate-peer/1", 15), 0);
    else if (guise->alpn[0] != '\0')
        assert_int_equal(
            SSL_CTX_set_alpn_protos(s->context, (const uint8_t *)guise->alpn, (unsigned)strlen(guise->alpn)),
            0);
    if (guise->cert != NULL) {
        assert_int_equal(SSL_CTX_use_certificate(s->context, guise->cert->x509), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(s->context, guise->key->pkey), 1);
    }
    s->ssl = SSL_new(s->context);
    assert_non_null(s->ssl);
    assert_int_equal(SSL_set_fd(s->ssl, s->fd), 1);
    SSL_set_connect_state(s->ssl);
}

static inline void stranger_close(struct stranger *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    frame_reader_close(&s->reader);
    close(s->fd);
    ERR_clear_error();
}

/* Goes out with the next steps; at most sizeof(sending) octets. */
static inline void stranger_say(struct stranger *s, struct bytes what)
{
    assert_true(s->to_send.len == 0 && what.len <= sizeof(s->sending));
    memcpy(s->sending, what.data, what.len);
    s->to_send = (struct bytes){s->sending, what.len};
}

static inline void stranger_greet(struct stranger *s, uint16_t version, uint8_t cluster, uint64_t epoch)
{
    uint8_t buf[128];
    struct frame_hello hello = {.version = version, .epoch = epoch, .boot = 99, .session = 1};
    memset(hello.cluster_id, cluster, sizeof(hello.cluster_id));
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    stranger_say(s, writer_bytes(&w));
}

static inline void stranger_take(struct stranger *s, const struct frame *frame)
{
    s->frames++;
    if (frame->kind == FRAME_HELLO)
        s->greeted = true;
    if (frame->kind == FRAME_GOODBYE && frame->body.len == 1)
        s->goodbye = frame->body.data[0];
    if (frame->kind != KIND)
        return;
    struct reader r = reader_over(frame->body);
    uint64_t counter = read_u64(&r);
    if (counter < s->counter)
        s->disordered = true;
    s->gaps += counter - s->counter;
    s->counter = counter + 1;
    s->counters++;
}

static inline void stranger_check(struct stranger *s, int done)
{
    int err = SSL_get_error(s->ssl, done);
    if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE)
        s->ended = true;
    ERR_clear_error();
}

static inline void stranger_read(struct stranger *s)
{
    for (int i = 0; i < 64 && !s->ended; i++) {
        uint8_t *room;
        size_t len, got = 0;
        struct frame frame;
        assert_ok(frame_reader_room(&s->reader, &room, &len));
        int done = SSL_read_ex(s->ssl, room, len, &got);
        if (done != 1) {
            stranger_check(s, done);
            return;
        }
        frame_reader_added(&s->reader, got);
        while (frame_reader_next(&s->reader, &frame) == E_OK)
            stranger_take(s, &frame);
    }
}

static inline void stranger_step(struct stranger *s)
{
    if (s->ended)
        return;
    if (!s->shaken) {
        ERR_clear_error();
        int done = SSL_do_handshake(s->ssl);
        s->shaken = done == 1;
        if (done != 1) {
            stranger_check(s, done);
            return;
        }
    }
    if (s->to_send.len != 0) {
        size_t written = 0;
        int done = SSL_write_ex(s->ssl, s->to_send.data, s->to_send.len, &written);
        if (done != 1)
            stranger_check(s, done);
        else
            s->to_send.len = 0;
    }
    if (!s->deaf)
        stranger_read(s);
}

/* Runs loop and stranger until the condition holds. */
#define run_with(net, s, condition)                                                                          \
    do {                                                                                                     \
        uint64_t limit_ = now_ms() + WAIT_MS;                                                                \
        while (!(condition)) {                                                                               \
            if (now_ms() > limit_)                                                                           \
                fail_msg("waited in vain for %s", #condition);                                               \
            stranger_step(s);                                                                                \
            uv_run(&(net)->loop, UV_RUN_ONCE);                                                               \
        }                                                                                                    \
    } while (0)

#endif

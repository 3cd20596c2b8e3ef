/* raft_transport_refuse_test.c - who is not let in, and that it is counted and reported. */
#include "tests/unit/cluster/raft_transport_stranger.h"

/* Node 1 (id 0202..) listens; the stranger comes as 0101.. unless said otherwise. */
struct house {
    struct net net;
    struct cert_key *key;
    struct cert *cert;
};

static void let_know(struct house *h, uint8_t id)
{
    struct transport_peer peer = {.host = "127.0.0.1", .port = 1};
    memset(peer.id, id, NODE_ID_LEN);
    assert_ok(raft_transport_set_peers(h->net.nodes[1].transport, &peer, 1));
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    struct transport_limits limits = {.handshake_ms = 700, .keepalive_ms = 50, .silent_ms = 5000};
    assert_non_null(h);
    net_open(&h->net);
    issue(&h->net.authority, 1, now_s(), 30, &h->key, &h->cert);
    node_start_with(&h->net, 1, tls_make(&h->net.authority, 2), 0, &limits, 1);
    let_know(h, 1);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    cert_free(h->cert);
    cert_key_free(h->key);
    net_close(&h->net);
    free(h);
    return 0;
}

static struct transport_stats stats_now(struct house *h)
{
    struct transport_stats stats;
    raft_transport_stats(h->net.nodes[1].transport, &stats);
    return stats;
}

static uint16_t port_of(const struct house *h)
{
    return h->net.nodes[1].self.port;
}

static char last_text[EVENT_TEXT_MAX];

static void keep_text(void *context, const struct event_record *record)
{
    (void)context;
    if (record->id == EV_PEER_REFUSED)
        memcpy(last_text, record->text, sizeof(last_text));
}

/* The stranger is refused for the reason: once, with an event, without getting in, and the connection goes.
 */
static void expect_refusal(struct house *h, struct stranger *s, enum transport_reason reason)
{
    uint64_t events = event_count(EV_PEER_REFUSED);
    assert_ok(event_add_sink(keep_text, NULL));
    run_with(&h->net, s, stats_now(h).refused != 0);
    event_remove_sink(keep_text, NULL);
    if (stats_now(h).refused_for[reason] != 1)
        fail_msg("refused, but not because it is \"%s\": %s", transport_reason_text(reason), last_text);
    assert_int_equal(stats_now(h).refused, 1);
    assert_int_equal(event_count(EV_PEER_REFUSED), events + 1);
    assert_non_null(strstr(last_text, transport_reason_text(reason)));
    assert_non_null(strstr(last_text, "127.0.0.1:"));
    run_with(&h->net, s, s->ended && stats_now(h).connections == 0);
    assert_int_equal(h->net.nodes[1].ups, s->greeted ? 1 : 0);
}

static void refuse_guise(struct house *h, const struct guise *guise, enum transport_reason reason)
{
    struct stranger s;
    stranger_open(&s, port_of(h), guise);
    stranger_greet(&s, FRAME_VERSION, 0xc1, 1);
    expect_refusal(h, &s, reason);
    assert_false(s.greeted);
    stranger_close(&s);
}

/* The right certificate, and then this on top. */
static void refuse_words(struct house *h, bool greeted, struct bytes words, enum transport_reason reason)
{
    struct stranger s;
    stranger_open(&s, port_of(h), &(struct guise){.cert = h->cert, .key = h->key});
    if (greeted) {
        stranger_greet(&s, FRAME_VERSION, 0xc1, 1);
        run_with(&h->net, &s, s.greeted);
    }
    stranger_say(&s, words);
    expect_refusal(h, &s, reason);
    assert_int_equal(s.goodbye, reason);
    assert_int_equal(h->net.nodes[1].messages, 0);
    stranger_close(&s);
}

static void the_right_certificate_gets_in(void **state)
{
    struct house *h = *state;
    struct stranger s;
    stranger_open(&s, port_of(h), &(struct guise){.cert = h->cert, .key = h->key});
    stranger_greet(&s, FRAME_VERSION, 0xc1, 1);
    run_with(&h->net, &s, s.greeted && h->net.nodes[1].ups == 1);
    assert_int_equal(stats_now(h).refused, 0);
    stranger_close(&s);
    run_until(&h->net, h->net.nodes[1].downs == 1);
    assert_int_equal(h->net.nodes[1].last_down, REASON_HUNG_UP);
}

static void no_certificate_is_refused(void **state)
{
    refuse_guise(*state, &(struct guise){0}, REASON_NO_CERTIFICATE);
}

static void a_certificate_of_another_authority_is_refused(void **state)
{
    struct house *h = *state;
    struct authority other;
    struct cert_key *key;
    struct cert *cert;
    authority_make(&other, 0xc1); /* by the same name */
    issue(&other, 1, now_s(), 30, &key, &cert);
    refuse_guise(h, &(struct guise){.cert = cert, .key = key}, REASON_BAD_CERTIFICATE);
    cert_free(cert);
    cert_key_free(key);
    authority_free(&other);
}

static void the_authority_itself_is_no_node(void **state)
{
    struct house *h = *state;
    refuse_guise(h, &(struct guise){.cert = h->net.authority.ca, .key = h->net.authority.key},
                 REASON_BAD_CERTIFICATE);
}

static void refuse_node(struct house *h, uint8_t id, uint64_t from_s, enum transport_reason reason)
{
    struct cert_key *key;
    struct cert *cert;
    issue(&h->net.authority, id, from_s, 5, &key, &cert);
    refuse_guise(h, &(struct guise){.cert = cert, .key = key}, reason);
    cert_free(cert);
    cert_key_free(key);
}

static void an_expired_certificate_is_refused(void **state)
{
    refuse_node(*state, 1, now_s() - 10 * 86400, REASON_CERTIFICATE_EXPIRED);
}

static void a_certificate_of_the_future_is_refused(void **state)
{
    refuse_node(*state, 1, now_s() + 86400, REASON_CERTIFICATE_EXPIRED);
}

/* The authority signs for another cluster: cannot happen by cert_issue, so by hand. */
static void a_node_of_another_cluster_is_refused(void **state)
{
    struct house *h = *state;
    struct authority same_key = h->net.authority;
    struct cert_key *key;
    struct cert *cert;
    memset(same_key.cluster_id, 0xc2, sizeof(same_key.cluster_id));
    assert_ok(cert_make_ca(same_key.key, same_key.cluster_id, &rng_system, now_s(), 30, &same_key.ca));
    issue(&same_key, 1, now_s(), 30, &key, &cert);
    /* Node 1 believes both authorities, as while one is replaced. */
    node_stop(&h->net, 1);
    struct cert_key *own_key;
    struct cert *own;
    struct transport_tls *tls;
    const struct cert *cas[] = {h->net.authority.ca, same_key.ca};
    issue(&h->net.authority, 2, now_s(), 30, &own_key, &own);
    assert_ok(transport_tls_open(&tls, own, own_key, cas, 2, now_s()));
    node_start_with(&h->net, 1, tls, 0, NULL, 1);
    let_know(h, 1);
    refuse_guise(h, &(struct guise){.cert = cert, .key = key}, REASON_FOREIGN_CLUSTER);
    cert_free(own);
    cert_key_free(own_key);
    cert_free(cert);
    cert_key_free(key);
    cert_free(same_key.ca);
}

static void tls_1_2_is_refused(void **state)
{
    struct house *h = *state;
    refuse_guise(h, &(struct guise){.cert = h->cert, .key = h->key, .version = TLS1_2_VERSION},
                 REASON_TLS_VERSION);
}

static void another_protocol_over_the_right_certificate_is_refused(void **state)
{
    struct house *h = *state;
    refuse_guise(h, &(struct guise){.cert = h->cert, .key = h->key, .alpn = "\x08http/1.1"},
                 REASON_BAD_PROTOCOL);
}

static void no_protocol_name_is_refused(void **state)
{
    struct house *h = *state;
    refuse_guise(h, &(struct guise){.cert = h->cert, .key = h->key, .alpn = ""}, REASON_BAD_PROTOCOL);
}

static void a_node_that_is_no_member_is_refused(void **state)
{
    struct house *h = *state;
    let_know(h, 7);
    refuse_guise(h, &(struct guise){.cert = h->cert, .key = h->key}, REASON_UNKNOWN_NODE);
}

static void a_removed_node_is_refused_though_it_is_listed(void **state)
{
    struct house *h = *state;
    uint8_t revoked[1][NODE_ID_LEN];
    memset(revoked, 1, sizeof(revoked));
    assert_ok(raft_transport_set_revoked(h->net.nodes[1].transport, revoked, 1));
    refuse_guise(h, &(struct guise){.cert = h->cert, .key = h->key}, REASON_REVOKED_NODE);
}

static void a_connected_node_that_is_revoked_goes_at_once(void **state)
{
    struct house *h = *state;
    struct stranger s;
    uint8_t revoked[1][NODE_ID_LEN];
    memset(revoked, 1, sizeof(revoked));
    stranger_open(&s, port_of(h), &(struct guise){.cert = h->cert, .key = h->key});
    stranger_greet(&s, FRAME_VERSION, 0xc1, 1);
    run_with(&h->net, &s, s.greeted);
    assert_ok(raft_transport_set_revoked(h->net.nodes[1].transport, revoked, 1));
    assert_int_equal(h->net.nodes[1].downs, 1);
    run_with(&h->net, &s, s.ended);
    assert_int_equal(s.goodbye, REASON_REVOKED_NODE);
    assert_int_equal(stats_now(h).refused_for[REASON_REVOKED_NODE], 1);
    stranger_close(&s);
}

static void the_higher_id_may_not_call(void **state)
{
    let_know(*state, 3);
    refuse_node(*state, 3, now_s(), REASON_WRONG_DIRECTION);
}

static void plain_tcp_is_refused(void **state)
{
    struct house *h = *state;
    static const char words[][32] = {"GET / HTTP/1.1\r\n\r\n", "\x01\x00\x00\x00\x00\x00\x00\x00 raft",
                                     "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        int fd = stranger_connect(port_of(h));
        assert_true(write(fd, words[i], 18) == 18);
        run_until(&h->net, stats_now(h).refused == i + 1);
        assert_int_equal(stats_now(h).refused_for[REASON_NOT_TLS], i + 1);
        close(fd);
    }
    run_until(&h->net, stats_now(h).connections == 0);
}

static void garbage_is_refused(void **state)
{
    struct house *h = *state;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 42);
    uint8_t noise[4096];
    for (uint64_t i = 0; i < 20; i++) {
        int fd = stranger_connect(port_of(h));
        assert_ok(rng_fill(&rng, noise, sizeof(noise)));
        if (i % 2 == 1)
            memcpy(noise, "\x16\x03\x01\x02\x00", 5); /* a TLS record at least */
        assert_true(write(fd, noise, sizeof(noise)) == sizeof(noise));
        run_until(&h->net, stats_now(h).refused == i + 1);
        close(fd);
    }
    run_until(&h->net, stats_now(h).connections == 0);
    assert_int_equal(h->net.nodes[1].ups, 0);
}

static void silence_is_refused_after_the_handshake_timer(void **state)
{
    struct house *h = *state;
    uint64_t began = now_ms();
    int fd = stranger_connect(port_of(h));
    run_until(&h->net, stats_now(h).refused == 1);
    assert_int_equal(stats_now(h).refused_for[REASON_HANDSHAKE_TIMEOUT], 1);
    assert_true(now_ms() - began >= 600);
    close(fd);
}

static void a_certificate_without_a_hello_is_refused_after_the_handshake_timer(void **state)
{
    struct house *h = *state;
    struct stranger s;
    stranger_open(&s, port_of(h), &(struct guise){.cert = h->cert, .key = h->key});
    expect_refusal(h, &s, REASON_HANDSHAKE_TIMEOUT);
    stranger_close(&s);
}

static void hello_words(struct house *h, uint16_t version, uint8_t cluster, uint64_t epoch,
                        enum transport_reason reason)
{
    uint8_t buf[128];
    struct frame_hello hello = {.version = version, .epoch = epoch};
    memset(hello.cluster_id, cluster, sizeof(hello.cluster_id));
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    refuse_words(h, false, writer_bytes(&w), reason);
}

static void another_epoch_is_refused(void **state)
{
    hello_words(*state, FRAME_VERSION, 0xc1, 0, REASON_BAD_EPOCH);
}

static void another_version_is_refused(void **state)
{
    hello_words(*state, FRAME_VERSION + 1, 0xc1, 1, REASON_BAD_PROTOCOL);
}

static void another_cluster_in_hello_is_refused(void **state)
{
    hello_words(*state, FRAME_VERSION, 0xc9, 1, REASON_FOREIGN_CLUSTER);
}

static void a_message_before_hello_is_refused(void **state)
{
    refuse_words(*state, false, (struct bytes){(const uint8_t *)"\0\0\0\x02\x11x", 6}, REASON_BAD_FRAME);
}

static void a_long_frame_before_hello_is_refused(void **state)
{
    refuse_words(*state, false, (struct bytes){(const uint8_t *)"\0\0\x10\0\x01", 5}, REASON_LONG_FRAME);
}

static void a_frame_that_is_too_long_is_refused_by_its_head(void **state)
{
    uint8_t buf[8];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, FRAME_BODY_MAX + 2);
    write_u8(&w, KIND);
    refuse_words(*state, true, writer_bytes(&w), REASON_LONG_FRAME);
}

static void an_empty_frame_is_refused(void **state)
{
    refuse_words(*state, true, (struct bytes){(const uint8_t *)"\0\0\0\0", 4}, REASON_BAD_FRAME);
}

static void an_unknown_kind_is_refused(void **state)
{
    refuse_words(*state, true, (struct bytes){(const uint8_t *)"\0\0\0\x01\x0f", 5}, REASON_BAD_FRAME);
}

static void a_second_hello_is_refused(void **state)
{
    uint8_t buf[128];
    struct frame_hello hello = {.version = FRAME_VERSION, .epoch = 1};
    memset(hello.cluster_id, 0xc1, sizeof(hello.cluster_id));
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    refuse_words(*state, true, writer_bytes(&w), REASON_BAD_FRAME);
}

static void a_chunk_without_a_snapshot_is_refused(void **state)
{
    uint8_t buf[128];
    struct frame_chunk chunk = {.index = 1, .total = 4, .offset = 0, .data = bytes_of_text("abcd")};
    struct writer w = writer_over(buf, sizeof(buf));
    frame_chunk_head_encode(&w, &chunk);
    write_bytes(&w, chunk.data);
    refuse_words(*state, true, writer_bytes(&w), REASON_BAD_SNAPSHOT);
}

static void a_damaged_chunk_is_refused(void **state)
{
    uint8_t buf[128];
    struct frame_begin begin = {.index = 1, .total = 4};
    struct frame_chunk chunk = {.index = 1, .total = 4, .offset = 0, .data = bytes_of_text("abcd")};
    struct writer w = writer_over(buf, sizeof(buf));
    frame_begin_encode(&w, &begin);
    frame_chunk_head_encode(&w, &chunk);
    write_bytes(&w, bytes_of_text("abce"));
    refuse_words(*state, true, writer_bytes(&w), REASON_BAD_SNAPSHOT);
}

static void a_snapshot_that_is_too_big_is_refused_by_its_number(void **state)
{
    uint8_t buf[128];
    struct frame_begin begin = {.index = 1, .total = UINT64_MAX};
    struct writer w = writer_over(buf, sizeof(buf));
    frame_begin_encode(&w, &begin);
    refuse_words(*state, true, writer_bytes(&w), REASON_BAD_SNAPSHOT);
}

static void a_flood_of_silent_callers_does_not_keep_members_out(void **state)
{
    struct house *h = *state;
    enum { FLOOD = 3 * TRANSPORT_UNFINISHED_MAX };
    int fds[FLOOD];
    uint64_t events = event_count(EV_PEER_REFUSED);
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = stranger_connect(port_of(h));
        uv_run(&h->net.loop, UV_RUN_NOWAIT);
    }
    struct stranger s;
    stranger_open(&s, port_of(h), &(struct guise){.cert = h->cert, .key = h->key});
    stranger_greet(&s, FRAME_VERSION, 0xc1, 1);
    run_with(&h->net, &s, s.greeted);
    assert_true(stats_now(h).evicted >= FLOOD / 2);
    assert_true(stats_now(h).connections <= TRANSPORT_UNFINISHED_MAX + 2);
    run_with(&h->net, &s, stats_now(h).connections == 1);
    assert_true(stats_now(h).refused >= FLOOD);
    assert_true(event_count(EV_PEER_REFUSED) - events < FLOOD); /* the log is not flooded */
    for (int i = 0; i < FLOOD; i++)
        close(fds[i]);
    stranger_close(&s);
}

/* The called address answers with the certificate of another member. */
static void a_caller_does_not_talk_to_another_node(void **state)
{
    struct house *h = *state;
    struct transport_peer peer = h->net.nodes[1].self;
    node_start(&h->net, 0);
    memset(peer.id, 9, NODE_ID_LEN);
    uint64_t refused = event_count(EV_PEER_REFUSED);
    assert_ok(raft_transport_set_peers(h->net.nodes[0].transport, &peer, 1));
    struct transport_stats stats;
    run_until(&h->net, (raft_transport_stats(h->net.nodes[0].transport, &stats), stats.refused != 0));
    assert_true(stats.refused_for[REASON_OTHER_NODE] != 0);
    assert_true(event_count(EV_PEER_REFUSED) > refused);
    assert_int_equal(h->net.nodes[0].ups, 0);
    assert_int_equal(h->net.nodes[1].ups, 0);
}

static void a_refused_caller_learns_why_and_says_so(void **state)
{
    struct house *h = *state;
    let_know(h, 7);
    node_start(&h->net, 0);
    uint64_t events = event_count(EV_PEER_REFUSED_US);
    assert_ok(raft_transport_set_peers(h->net.nodes[0].transport, &h->net.nodes[1].self, 1));
    run_until(&h->net, stats_of(&h->net, 0, 1).last == REASON_UNKNOWN_NODE);
    assert_true(event_count(EV_PEER_REFUSED_US) > events);
    assert_int_equal(h->net.nodes[0].ups, 0);
    let_know(h, 1); /* joined */
    run_until(&h->net, h->net.nodes[0].ups == 1 && h->net.nodes[1].ups == 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_right_certificate_gets_in),
        T(no_certificate_is_refused),
        T(a_certificate_of_another_authority_is_refused),
        T(the_authority_itself_is_no_node),
        T(an_expired_certificate_is_refused),
        T(a_certificate_of_the_future_is_refused),
        T(a_node_of_another_cluster_is_refused),
        T(tls_1_2_is_refused),
        T(another_protocol_over_the_right_certificate_is_refused),
        T(no_protocol_name_is_refused),
        T(a_node_that_is_no_member_is_refused),
        T(a_removed_node_is_refused_though_it_is_listed),
        T(a_connected_node_that_is_revoked_goes_at_once),
        T(the_higher_id_may_not_call),
        T(plain_tcp_is_refused),
        T(garbage_is_refused),
        T(silence_is_refused_after_the_handshake_timer),
        T(a_certificate_without_a_hello_is_refused_after_the_handshake_timer),
        T(another_epoch_is_refused),
        T(another_version_is_refused),
        T(another_cluster_in_hello_is_refused),
        T(a_message_before_hello_is_refused),
        T(a_long_frame_before_hello_is_refused),
        T(a_frame_that_is_too_long_is_refused_by_its_head),
        T(an_empty_frame_is_refused),
        T(an_unknown_kind_is_refused),
        T(a_second_hello_is_refused),
        T(a_chunk_without_a_snapshot_is_refused),
        T(a_damaged_chunk_is_refused),
        T(a_snapshot_that_is_too_big_is_refused_by_its_number),
        T(a_flood_of_silent_callers_does_not_keep_members_out),
        T(a_caller_does_not_talk_to_another_node),
        T(a_refused_caller_learns_why_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* raft_transport_slow_test.c - peers that do not read, do not speak, or hold on to dead connections. */
#include <stdio.h>

#include "tests/unit/cluster/raft_transport_stranger.h"

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_FREED_MEMORY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS_FREED_MEMORY 1
#endif
#endif
#ifdef KEEPS_FREED_MEMORY
enum { GROWTH_KIB = 512 << 10 }; /* its quarantine of 256 MiB, and what surrounds each piece */
#else
enum { GROWTH_KIB = 16 << 10 };
#endif

enum { QUEUE = 1 << 20, BODY = 16 << 10 };

struct house {
    struct net net;
    struct cert_key *key;
    struct cert *cert;
};

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    struct transport_limits limits = {.keepalive_ms = 50, .silent_ms = 1000, .queue_max = QUEUE};
    struct transport_peer peer = {.host = "127.0.0.1", .port = 1};
    assert_non_null(h);
    net_open(&h->net);
    issue(&h->net.authority, 1, now_s(), 30, &h->key, &h->cert);
    node_start_with(&h->net, 1, tls_make(&h->net.authority, 2), 0, &limits, 1);
    memset(peer.id, 1, NODE_ID_LEN);
    h->net.nodes[0].self = peer;
    assert_ok(raft_transport_set_peers(h->net.nodes[1].transport, &peer, 1));
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

static void come_in(struct house *h, struct stranger *s, uint64_t session)
{
    uint8_t buf[128];
    struct frame_hello hello = {.version = FRAME_VERSION, .epoch = 1, .boot = 99, .session = session};
    memset(hello.cluster_id, 0xc1, sizeof(hello.cluster_id));
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    stranger_open(s, h->net.nodes[1].self.port, &(struct guise){.cert = h->cert, .key = h->key});
    stranger_say(s, writer_bytes(&w));
    run_with(&h->net, s, s->greeted || s->ended);
}

static void ping(struct stranger *s)
{
    uint8_t buf[32];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_mark_encode(&w, FRAME_PING, 1);
    if (s->to_send.len == 0)
        stranger_say(s, writer_bytes(&w));
}

static uint64_t rss_kib(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %llu", &pages), 1);
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void a_slow_reader_costs_bounded_memory_and_the_oldest_messages(void **state)
{
    struct house *h = *state;
    struct stranger s;
    enum { COUNT = 16384 }; /* 256 MiB */
    uint64_t slow_events = event_count(EV_PEER_SLOW);
    come_in(h, &s, 1);
    s.deaf = true;
    uint64_t before = rss_kib();
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_ok(send_counter(&h->net, 1, 0, i, BODY));
        if (i % 64 == 0) {
            ping(&s); /* it lives, it only does not read */
            stranger_step(&s);
            uv_run(&h->net.loop, UV_RUN_NOWAIT);
        }
        assert_true(stats_of(&h->net, 1, 0).queued_bytes <= QUEUE);
    }
    struct transport_peer_stats stats = stats_of(&h->net, 1, 0);
    assert_true(stats.slow);
    assert_true(stats.queued_bytes_peak <= QUEUE);
    assert_true(stats.dropped > COUNT / 2);
    assert_int_equal(stats.dropped + stats.sent + stats.queued_bytes / (FRAME_HEAD + BODY), COUNT);
    assert_int_equal(event_count(EV_PEER_SLOW), slow_events + 1);
    assert_true(rss_kib() <= before + GROWTH_KIB);
    /* It wakes up: what it gets is in order and whole, and the newest is there. */
    s.deaf = false;
    run_with(&h->net, &s, s.counter == COUNT);
    assert_false(s.disordered);
    assert_int_equal(s.counters + s.gaps, COUNT);
    assert_int_equal(s.gaps, stats.dropped);
    run_with(&h->net, &s, !stats_of(&h->net, 1, 0).slow);
    assert_int_equal(h->net.nodes[1].downs, 0);
    stranger_close(&s);
}

static void a_peer_that_falls_silent_is_lost(void **state)
{
    struct house *h = *state;
    struct stranger s;
    come_in(h, &s, 1);
    uint64_t began = now_ms();
    run_until(&h->net, h->net.nodes[1].downs == 1); /* nobody steps the stranger */
    assert_int_equal(h->net.nodes[1].last_down, REASON_SILENT);
    assert_true(now_ms() - began >= 900);
    assert_err(send_counter(&h->net, 1, 0, 0, 8), E_AGAIN);
    stranger_close(&s);
}

static void a_newer_connection_of_a_node_takes_the_place_of_the_older(void **state)
{
    struct house *h = *state;
    struct stranger old, new;
    come_in(h, &old, 5);
    come_in(h, &new, 6);
    assert_true(new.greeted);
    run_with(&h->net, &old, old.ended);
    assert_int_equal(old.goodbye, REASON_REPLACED);
    assert_int_equal(h->net.nodes[1].ups, 2);
    assert_int_equal(h->net.nodes[1].downs, 1);
    assert_int_equal(h->net.nodes[1].last_down, REASON_REPLACED);
    assert_ok(send_counter(&h->net, 1, 0, 0, 8));
    run_with(&h->net, &new, new.counters == 1);
    stranger_close(&old);
    stranger_close(&new);
}

static void an_older_connection_that_comes_late_is_refused(void **state)
{
    struct house *h = *state;
    struct stranger first, late;
    come_in(h, &first, 6);
    come_in(h, &late, 5);
    assert_false(late.greeted);
    run_with(&h->net, &late, late.ended);
    assert_int_equal(late.goodbye, REASON_DUPLICATE);
    assert_int_equal(h->net.nodes[1].ups, 1);
    assert_int_equal(h->net.nodes[1].downs, 0);
    stranger_close(&first);
    stranger_close(&late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slow_reader_costs_bounded_memory_and_the_oldest_messages, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_falls_silent_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_connection_of_a_node_takes_the_place_of_the_older, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_older_connection_that_comes_late_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

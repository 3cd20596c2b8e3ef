/* raft_transport_fixture.h - key servers on 127.0.0.1 in one loop, and what their handlers saw. */
#ifndef TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_FIXTURE_H
#define TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_FIXTURE_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/event.h"
#include "cluster/raft_transport.h"
#include "tests/lib/test.h"

enum { NODE_MAX = 3, WAIT_MS = 20000, KIND = FRAME_USER + 1, BIG_KIND = FRAME_USER + 2 };

struct authority {
    struct cert_key *key;
    struct cert *ca;
    uint8_t cluster_id[CLUSTER_ID_LEN];
};

struct node {
    struct raft_transport *transport;
    struct transport_peer self;
    unsigned ups, downs;
    enum transport_reason last_down;
    uint64_t messages, bytes;
    uint64_t next; /* counter expected in the next KIND message */
    uint64_t gaps; /* counters left out */
    bool disordered;
    uint64_t last_counter;
    unsigned snapshots;
    uint64_t snapshot_index;
    bool snapshot_good;
    uint64_t messages_before_snapshot;
    unsigned sent_count;
    err_t sent_err;
    bool stopped;
};

struct net {
    uv_loop_t loop;
    uv_timer_t tick;
    struct authority authority;
    struct node nodes[NODE_MAX];
};

static inline uint64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

static inline uint64_t now_s(void)
{
    return clock_wall_ms(&clock_system) / 1000;
}

static inline void authority_make(struct authority *a, uint8_t cluster)
{
    memset(a->cluster_id, cluster, sizeof(a->cluster_id));
    assert_ok(cert_key_make(&a->key));
    assert_ok(cert_make_ca(a->key, a->cluster_id, &rng_system, now_s(), CERT_CA_DAYS, &a->ca));
}

static inline void authority_free(struct authority *a)
{
    cert_free(a->ca);
    cert_key_free(a->key);
}

/* A node's certificate and key; id is the octet that its node id is made of. */
static inline void issue(const struct authority *a, uint8_t id, uint64_t from_s, unsigned days,
                         struct cert_key **key, struct cert **cert)
{
    struct cert_name name;
    uint8_t request[CERT_DER_MAX];
    size_t len = 0;
    memcpy(name.cluster_id, a->cluster_id, CLUSTER_ID_LEN);
    memset(name.node_id, id, NODE_ID_LEN);
    assert_ok(cert_key_make(key));
    assert_ok(cert_request_make(*key, &name, request, &len));
    assert_ok(
        cert_issue(a->key, a->ca, (struct bytes){request, len}, &name, &rng_system, from_s, days, cert));
}

static inline struct transport_tls *tls_make(const struct authority *a, uint8_t id)
{
    struct cert_key *key = NULL;
    struct cert *cert = NULL;
    struct transport_tls *tls = NULL;
    issue(a, id, now_s(), 30, &key, &cert);
    const struct cert *cas[] = {a->ca};
    assert_ok(transport_tls_open(&tls, cert, key, cas, 1, now_s()));
    cert_free(cert);
    cert_key_free(key);
    return tls;
}

static inline void node_on_up(void *context, const uint8_t id[NODE_ID_LEN])
{
    (void)id;
    ((struct node *)context)->ups++;
}

static inline void node_on_down(void *context, const uint8_t id[NODE_ID_LEN], enum transport_reason reason)
{
    struct node *node = context;
    (void)id;
    node->downs++;
    node->last_down = reason;
}

/* A KIND message begins with a counter. */
static inline void node_on_message(void *context, const uint8_t id[NODE_ID_LEN], uint8_t kind,
                                   struct bytes body)
{
    struct node *node = context;
    (void)id;
    node->messages++;
    node->bytes += body.len;
    if (kind != KIND)
        return;
    struct reader r = reader_over(body);
    uint64_t counter = read_u64(&r);
    if (counter < node->next)
        node->disordered = true;
    node->gaps += counter - node->next;
    node->next = counter + 1;
    node->last_counter = counter;
}

static inline uint8_t snapshot_octet(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 13));
}

static inline void node_on_snapshot(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index,
                                    struct bytes message, struct bytes stream)
{
    struct node *node = context;
    (void)id;
    node->snapshots++;
    node->snapshot_index = index;
    node->messages_before_snapshot = node->messages;
    node->snapshot_good = bytes_equal(message, bytes_of_text("install"));
    for (size_t i = 0; i < stream.len && node->snapshot_good; i++)
        node->snapshot_good = stream.data[i] == snapshot_octet(i);
}

static inline void node_on_sent(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, err_t err)
{
    struct node *node = context;
    (void)id, (void)index;
    node->sent_count++;
    node->sent_err = err;
}

static inline err_t snapshot_read(void *context, uint64_t offset, uint8_t *out, size_t len)
{
    (void)context;
    for (size_t i = 0; i < len; i++)
        out[i] = snapshot_octet(offset + i);
    return E_OK;
}

static inline void net_on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static inline void net_open(struct net *net)
{
    memset(net, 0, sizeof(*net));
    assert_int_equal(uv_loop_init(&net->loop), 0);
    assert_int_equal(uv_timer_init(&net->loop, &net->tick), 0);
    assert_int_equal(uv_timer_start(&net->tick, net_on_tick, 5, 5),
                     0); /* so that a wait looks at its deadline */
    authority_make(&net->authority, 0xc1);
}

/* Runs the loop until the condition holds; fails after WAIT_MS. */
#define run_until(net, condition)                                                                            \
    do {                                                                                                     \
        uint64_t end_ = now_ms() + WAIT_MS;                                                                  \
        while (!(condition)) {                                                                               \
            if (now_ms() > end_)                                                                             \
                fail_msg("waited in vain for %s", #condition);                                               \
            uv_run(&(net)->loop, UV_RUN_ONCE);                                                               \
        }                                                                                                    \
    } while (0)

static inline void node_start_with(struct net *net, int at, struct transport_tls *tls, uint16_t port,
                                   const struct transport_limits *limits, uint64_t epoch)
{
    struct node *node = &net->nodes[at];
    struct raft_transport_options options = {
        .loop = &net->loop,
        .tls = tls,
        .epoch = epoch,
        .listen = {addr_v4(127, 0, 0, 1), port},
        .clock = &clock_system,
        .rng = &rng_system,
        .handler = {node, node_on_up, node_on_down, node_on_message, node_on_snapshot, node_on_sent},
    };
    if (limits != NULL)
        options.limits = *limits;
    memset(node, 0, sizeof(*node));
    assert_ok(raft_transport_open(&node->transport, &options));
    memset(node->self.id, at + 1, NODE_ID_LEN);
    strcpy(node->self.host, "127.0.0.1");
    node->self.port = raft_transport_listening(node->transport).port;
    assert_int_not_equal(node->self.port, 0);
}

/* Node at has the id 0101.. + at; a lower one dials. */
static inline void node_start(struct net *net, int at)
{
    node_start_with(net, at, tls_make(&net->authority, (uint8_t)(at + 1)), 0, NULL, 1);
}

static inline void on_stopped(void *context)
{
    ((struct node *)context)->stopped = true;
}

static inline void node_stop(struct net *net, int at)
{
    struct node *node = &net->nodes[at];
    if (node->transport == NULL)
        return;
    raft_transport_stop(node->transport, on_stopped, node);
    run_until(net, node->stopped);
    raft_transport_free(node->transport);
    node->transport = NULL;
}

/* Everybody knows the first count nodes. */
static inline void net_introduce(struct net *net, size_t count)
{
    struct transport_peer peers[NODE_MAX];
    for (size_t i = 0; i < count; i++)
        peers[i] = net->nodes[i].self;
    for (size_t i = 0; i < count; i++) {
        if (net->nodes[i].transport != NULL)
            assert_ok(raft_transport_set_peers(net->nodes[i].transport, peers, count));
    }
}

static inline void net_close(struct net *net)
{
    for (int i = 0; i < NODE_MAX; i++)
        node_stop(net, i);
    uv_close((uv_handle_t *)&net->tick, NULL);
    while (uv_run(&net->loop, UV_RUN_DEFAULT) != 0) {
    }
    assert_int_equal(uv_loop_close(&net->loop), 0);
    authority_free(&net->authority);
}

static inline err_t send_counter(struct net *net, int from, int to, uint64_t counter, size_t len)
{
    uint8_t *body = calloc(1, len);
    assert_non_null(body);
    struct writer w = writer_over(body, len);
    write_u64(&w, counter);
    err_t err = raft_transport_send(net->nodes[from].transport, net->nodes[to].self.id, KIND,
                                    (struct bytes){body, len});
    free(body);
    return err;
}

static inline struct transport_peer_stats stats_of(struct net *net, int from, int to)
{
    struct transport_peer_stats stats;
    assert_ok(raft_transport_peer_stats(net->nodes[from].transport, net->nodes[to].self.id, &stats));
    return stats;
}

static inline bool are_connected(struct net *net, int a, int b)
{
    return stats_of(net, a, b).connected && stats_of(net, b, a).connected;
}

#endif

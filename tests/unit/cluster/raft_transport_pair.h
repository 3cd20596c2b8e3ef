/* raft_transport_pair.h - two hubs wired to each other by memory, their time in the test's hand. */
#ifndef TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_PAIR_H
#define TESTS_UNIT_CLUSTER_RAFT_TRANSPORT_PAIR_H

#include "cluster/raft_transport_hub.h"

#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "tests/lib/test.h"

enum { BUF = 64 << 10, KIND = FRAME_USER, STEPS_MAX = 20000 };

static const uint64_t wall_s = 1700000000;
static const uint8_t zeros[16384];

static uint64_t wall_offset_s;

static uint64_t fixed_wall_ms(void *context)
{
    (void)context;
    return (wall_s + wall_offset_s) * 1000;
}

static const struct clock clock_fixed = {.mono_ms = fixed_wall_ms, .wall_ms = fixed_wall_ms};

struct side {
    struct hub *hub;
    struct transport_peer self;
    int other_slot[HUB_SLOT_MAX]; /* the slot at the other side that ours is wired to, or -1 */
    bool ended[HUB_SLOT_MAX];     /* the socket was closed by the other side, and we were told */
    unsigned ups, downs, messages, snapshots, sent;
    enum transport_reason last_down;
    bool removes_all; /* the handler empties the list of peers at the next message */
};

struct pair {
    struct side sides[2]; /* the first has the lower id and dials */
    struct rng_seeded seeded;
    struct rng rng;
    uint64_t now;
    bool deaf;    /* nobody listens at the second */
    bool cut;     /* octets get lost */
    bool hanging; /* a dial gets no answer */
    struct cert_key *ca_key;
    struct cert *ca;
    struct cert_key *keys[2];
    struct cert *certs[2];
};

static void on_up(void *context, const uint8_t id[NODE_ID_LEN])
{
    (void)id;
    ((struct side *)context)->ups++;
}

static void on_down(void *context, const uint8_t id[NODE_ID_LEN], enum transport_reason reason)
{
    struct side *side = context;
    (void)id;
    side->downs++;
    side->last_down = reason;
}

static void on_message(void *context, const uint8_t id[NODE_ID_LEN], uint8_t kind, struct bytes body)
{
    struct side *side = context;
    (void)id, (void)kind, (void)body;
    side->messages++;
    if (side->removes_all)
        assert_ok(hub_set_peers(side->hub, 0, NULL, 0));
}

static void on_snapshot(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, struct bytes message,
                        struct bytes stream)
{
    (void)id, (void)index, (void)message, (void)stream;
    ((struct side *)context)->snapshots++;
}

static void on_sent(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, err_t err)
{
    (void)id, (void)index, (void)err;
    ((struct side *)context)->sent++;
}

static err_t read_zeros(void *context, uint64_t offset, uint8_t *out, size_t len)
{
    (void)context, (void)offset;
    memset(out, 0, len);
    return E_OK;
}

static void certify(struct pair *p, int i)
{
    struct cert_name name;
    uint8_t request[CERT_DER_MAX];
    size_t len = 0;
    memset(name.cluster_id, 0xc1, CLUSTER_ID_LEN);
    memset(name.node_id, i + 1, NODE_ID_LEN);
    memcpy(p->sides[i].self.id, name.node_id, NODE_ID_LEN);
    assert_ok(cert_key_make(&p->keys[i]));
    assert_ok(cert_request_make(p->keys[i], &name, request, &len));
    assert_ok(cert_issue(p->ca_key, p->ca, (struct bytes){request, len}, &name, &rng_system, wall_s, 30,
                         &p->certs[i]));
    strcpy(p->sides[i].self.host, "node");
    p->sides[i].self.port = (uint16_t)(i + 1);
}

static err_t open_side(struct pair *p, int i)
{
    struct side *side = &p->sides[i];
    struct transport_tls *tls = NULL;
    const struct cert *cas[] = {p->ca};
    err_t err = transport_tls_open(&tls, p->certs[i], p->keys[i], cas, 1, wall_s);
    if (err != E_OK)
        return err;
    struct raft_transport_options options = {
        .tls = tls,
        .epoch = 1,
        .clock = &clock_fixed,
        .rng = &p->rng,
        .handler = {side, on_up, on_down, on_message, on_snapshot, on_sent},
    };
    for (int k = 0; k < HUB_SLOT_MAX; k++)
        side->other_slot[k] = -1;
    err = hub_open(&side->hub, &options, p->now);
    if (err == E_OK)
        assert_ok(hub_set_peers(side->hub, p->now, &p->sides[1 - i].self, 1));
    return err;
}

static int setup_bare(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));
    uint8_t cluster_id[CLUSTER_ID_LEN];
    assert_non_null(p);
    p->now = 1000000;
    p->rng = rng_seeded_init(&p->seeded, 7);
    memset(cluster_id, 0xc1, sizeof(cluster_id));
    assert_ok(cert_key_make(&p->ca_key));
    assert_ok(cert_make_ca(p->ca_key, cluster_id, &rng_system, wall_s, 365, &p->ca));
    certify(p, 0);
    certify(p, 1);
    *state = p;
    return 0;
}

static int setup(void **state)
{
    setup_bare(state);
    assert_ok(open_side(*state, 0));
    assert_ok(open_side(*state, 1));
    return 0;
}

static void close_sides(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        hub_free(p->sides[i].hub);
        p->sides[i].hub = NULL;
    }
}

static int teardown(void **state)
{
    struct pair *p = *state;
    close_sides(p);
    for (int i = 0; i < 2; i++) {
        cert_free(p->certs[i]);
        cert_key_free(p->keys[i]);
    }
    cert_free(p->ca);
    cert_key_free(p->ca_key);
    free(p);
    return 0;
}

static void do_dial(struct pair *p, int i, int slot)
{
    struct side *from = &p->sides[i], *to = &p->sides[1 - i];
    hub_dialing(from->hub, slot);
    if (p->hanging)
        return;
    int other = p->deaf ? -1 : hub_accept(to->hub, p->now, "node:9");
    from->ended[slot] = false;
    from->other_slot[slot] = other;
    if (other >= 0) {
        to->other_slot[other] = slot;
        to->ended[other] = false;
    }
    hub_connected(from->hub, p->now, slot, other >= 0);
}

static void release(struct pair *p, int i, int slot)
{
    struct side *side = &p->sides[i], *peer = &p->sides[1 - i];
    int other = side->other_slot[slot];
    side->other_slot[slot] = -1;
    hub_released(side->hub, slot);
    if (other >= 0) {
        peer->other_slot[other] = -1;
        if (!p->cut)
            hub_ended(peer->hub, p->now, other, REASON_HUNG_UP);
    }
}

static bool move(struct pair *p, int i, int slot)
{
    static uint8_t buf[BUF];
    struct side *side = &p->sides[i];
    size_t len = hub_output(side->hub, p->now, slot, buf, sizeof(buf));
    if (len == 0) {
        if (side->hub->slots[slot].state == SLOT_DRAIN)
            hub_ended(side->hub, p->now, slot, REASON_HUNG_UP);
        return false;
    }
    hub_written(side->hub, slot, len);
    if (!p->cut && side->other_slot[slot] >= 0)
        hub_input(p->sides[1 - i].hub, p->now, side->other_slot[slot], (struct bytes){buf, len});
    return true;
}

/* Everything that goes without time passing. */
static void settle(struct pair *p)
{
    bool again = true;
    for (int steps = 0; again; steps++) {
        again = false;
        assert_true(steps < STEPS_MAX);
        for (int i = 0; i < 2; i++) {
            for (int slot = 0; slot < HUB_SLOT_MAX; slot++) {
                enum hub_slot_state is = p->sides[i].hub->slots[slot].state;
                if (is == SLOT_DIAL)
                    do_dial(p, i, slot);
                else if (is == SLOT_DEAD)
                    release(p, i, slot);
                else if (is != SLOT_LINK && is != SLOT_DRAIN)
                    continue;
                else if (!move(p, i, slot))
                    continue;
                again = true;
            }
        }
    }
}

/* From deadline to deadline. */
static void pass(struct pair *p, uint64_t ms)
{
    uint64_t end = p->now + ms;
    settle(p);
    for (;;) {
        uint64_t next = hub_deadline(p->sides[0].hub), other = hub_deadline(p->sides[1].hub);
        next = next < other ? next : other;
        p->now = next < p->now ? p->now : next;
        if (p->now >= end)
            break;
        hub_tick(p->sides[0].hub, p->now);
        hub_tick(p->sides[1].hub, p->now);
        settle(p);
    }
    p->now = end;
}

static bool is_up(struct pair *p)
{
    return p->sides[0].hub->peers[0].slot >= 0 && p->sides[1].hub->peers[0].slot >= 0;
}

static err_t say(struct pair *p, int from)
{
    return hub_send(p->sides[from].hub, p->sides[1 - from].self.id, KIND, bytes_of_text("hello"));
}

#endif

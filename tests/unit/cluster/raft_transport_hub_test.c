/* raft_transport_hub_test.c - two hubs over memory instead of sockets, in virtual time. */
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

static void a_pair_stays_up_for_an_hour_of_silence(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    assert_true(is_up(p));
    pass(p, 3600 * 1000);
    assert_true(is_up(p));
    assert_int_equal(p->sides[0].ups + p->sides[1].ups, 2);
    assert_int_equal(p->sides[0].downs + p->sides[1].downs, 0);
    struct transport_peer_stats stats;
    assert_ok(hub_peer_stats(p->sides[0].hub, p->sides[1].self.id, &stats));
    assert_true(p->now - stats.heard_ms <= TRANSPORT_KEEPALIVE_MS);
}

static void a_cut_is_noticed_by_both_and_healed(void **state)
{
    struct pair *p = *state;
    pass(p, 5000);
    p->cut = true;
    pass(p, TRANSPORT_SILENT_MS - TRANSPORT_KEEPALIVE_MS - 1);
    assert_true(is_up(p));
    pass(p, TRANSPORT_KEEPALIVE_MS + 2);
    assert_int_equal(p->sides[0].downs, 1);
    assert_int_equal(p->sides[1].downs, 1);
    assert_int_equal(p->sides[0].last_down, REASON_SILENT);
    pass(p, 60000);
    assert_false(is_up(p));
    p->cut = false;
    pass(p, TRANSPORT_HANDSHAKE_MS + TRANSPORT_BACKOFF_MAX_MS + 1);
    assert_true(is_up(p));
    assert_ok(say(p, 0));
    assert_ok(say(p, 1));
    settle(p);
    assert_int_equal(p->sides[0].messages, 1);
    assert_int_equal(p->sides[1].messages, 1);
}

/* When each dial happened, for as many as asked. */
static void dial_times(struct pair *p, uint64_t *out, int count)
{
    for (int i = 0; i < count;) {
        uint64_t before = p->sides[0].hub->peers[0].stats.dial_failures;
        pass(p, 1);
        if (p->sides[0].hub->peers[0].stats.dial_failures != before)
            out[i++] = p->now;
    }
}

static void dials_back_off_with_jitter_up_to_a_bound(void **state)
{
    struct pair *p = *state;
    uint64_t times[12];
    bool differs = false;
    p->deaf = true;
    dial_times(p, times, ARRAY_LEN(times));
    for (unsigned i = 1; i < ARRAY_LEN(times); i++) {
        uint64_t gap = times[i] - times[i - 1], full = (uint64_t)TRANSPORT_BACKOFF_MIN_MS << (i - 1);
        if (full > TRANSPORT_BACKOFF_MAX_MS)
            full = TRANSPORT_BACKOFF_MAX_MS;
        assert_true(gap + 2 >= full / 2 && gap <= full + 2);
        differs = differs || (i > 6 && gap != times[i - 1] - times[i - 2]);
    }
    assert_true(differs);
    p->deaf = false;
    pass(p, TRANSPORT_BACKOFF_MAX_MS + 1);
    assert_true(is_up(p));
}

static void a_dial_without_an_answer_ends_with_the_handshake_timer(void **state)
{
    struct pair *p = *state;
    p->hanging = true;
    pass(p, TRANSPORT_HANDSHAKE_MS - 1);
    assert_int_equal(p->sides[0].hub->peers[0].stats.dial_failures, 0);
    pass(p, 2);
    assert_int_equal(p->sides[0].hub->peers[0].stats.dial_failures, 1);
    assert_int_equal(p->sides[0].hub->peers[0].stats.last, REASON_HANDSHAKE_TIMEOUT);
}

static void our_own_sleep_is_not_the_peers_silence(void **state)
{
    struct pair *p = *state;
    pass(p, 5000);
    p->now += 3600 * 1000; /* stopped, or suspended: no tick meanwhile */
    hub_tick(p->sides[0].hub, p->now);
    hub_tick(p->sides[1].hub, p->now);
    assert_true(is_up(p));
    pass(p, 60000);
    assert_true(is_up(p));
    assert_int_equal(p->sides[0].downs, 0);
}

static void keys_are_updated_on_a_long_connection(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    for (int i = 0; i < 2; i++)
        p->sides[i].hub->slots[p->sides[i].hub->peers[0].slot].link->key_records = LINK_KEY_RECORDS - 3;
    for (int i = 0; i < 10; i++) {
        assert_ok(say(p, 0));
        assert_ok(say(p, 1));
        settle(p);
    }
    assert_int_equal(p->sides[0].messages, 10);
    assert_int_equal(p->sides[1].messages, 10);
    for (int i = 0; i < 2; i++)
        assert_true(p->sides[i].hub->slots[p->sides[i].hub->peers[0].slot].link->key_records < 10);
}

/* A heartbeat waits behind a chunk, not behind all that fits the marks. */
static void a_snapshot_is_not_encrypted_far_ahead_of_the_socket(void **state)
{
    struct pair *p = *state;
    struct snapshot_source source = {.total = 8 << 20, .read = read_zeros};
    uint8_t octet;
    pass(p, 10);
    int slot = p->sides[0].hub->peers[0].slot;
    struct transport_link *link = p->sides[0].hub->slots[slot].link;
    assert_ok(hub_send_snapshot(p->sides[0].hub, p->sides[1].self.id, 3, bytes_of_text("m"), &source));
    assert_int_equal(hub_output(p->sides[0].hub, p->now, slot, &octet, 1), 1);
    assert_true(BIO_ctrl_pending(link->to_peer) < TRANSPORT_WRITE_LOW + TRANSPORT_CHUNK + 16384);
    for (int i = 0; i < 100; i++) /* messages go up to the high mark, and then it is enough */
        assert_ok(hub_send(p->sides[0].hub, p->sides[1].self.id, KIND, BYTES_OF(zeros)));
    assert_int_equal(hub_output(p->sides[0].hub, p->now, slot, &octet, 1), 1);
    size_t pending = BIO_ctrl_pending(link->to_peer);
    assert_true(pending >= TRANSPORT_WRITE_HIGH - 1 && pending < TRANSPORT_WRITE_HIGH + 2 * 16384);
}

static void a_handler_may_remove_the_peer_whose_message_it_got(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    p->sides[1].removes_all = true;
    for (int i = 0; i < 5; i++)
        assert_ok(say(p, 0));
    settle(p);
    assert_int_equal(p->sides[1].messages, 1); /* and none after it */
    assert_int_equal(p->sides[1].downs, 1);
    assert_int_equal(p->sides[0].downs, 1);
    assert_int_equal(p->sides[0].last_down, REASON_REMOVED);
}

static void stopping_says_goodbye(void **state)
{
    struct pair *p = *state;
    pass(p, 10);
    hub_stop(p->sides[1].hub, p->now);
    settle(p);
    assert_true(hub_is_idle(p->sides[1].hub));
    assert_int_equal(p->sides[0].last_down, REASON_STOPPED);
    pass(p, 10000);
    assert_int_equal(p->sides[0].ups, 1); /* it is not let in again */
}

/* The certificates of this test live for 30 days. */
static void a_certificate_near_its_end_is_reported_once_a_day(void **state)
{
    struct pair *p = *state;
    uint64_t events = event_count(EV_CERT_EXPIRES);
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events);
    wall_offset_s = 17 * 86400;
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events + 2); /* each node its own */
    p->now += HUB_CERT_WARN_MS;
    pass(p, 10000);
    assert_int_equal(event_count(EV_CERT_EXPIRES), events + 4);
    wall_offset_s = 0;
    struct transport_stats stats;
    hub_stats(p->sides[0].hub, &stats);
    assert_true(stats.cert_expires_s == (int64_t)wall_s + 30 * 86400);
}

/* The whole life of a pair, as far as it gets. */
static void live(struct pair *p)
{
    struct snapshot_source source = {.total = 300000, .read = read_zeros};
    if (open_side(p, 0) != E_OK || open_side(p, 1) != E_OK)
        return;
    pass(p, 10);
    if (say(p, 0) == E_OK)
        settle(p);
    if (hub_send_snapshot(p->sides[0].hub, p->sides[1].self.id, 3, bytes_of_text("m"), &source) == E_OK)
        settle(p);
}

static void every_allocation_failure_is_survived(void **state)
{
    struct pair *p = *state;
    for (long n = 0;; n++) {
        assert_true(n < 1000);
        heap_fault_after(n);
        live(p);
        int hit = heap_fault_hit();
        heap_fault_after(-1);
        /* With memory it works again, on what is left or anew. */
        if (p->sides[0].hub == NULL || p->sides[1].hub == NULL) {
            close_sides(p);
            assert_ok(open_side(p, 0));
            assert_ok(open_side(p, 1));
        }
        pass(p, 20000);
        assert_true(is_up(p));
        unsigned before = p->sides[1].messages;
        assert_ok(say(p, 0));
        settle(p);
        assert_int_equal(p->sides[1].messages, before + 1);
        close_sides(p);
        if (!hit) {
            assert_true(n > 10);
            break;
        }
    }
    assert_true(p->sides[1].snapshots != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pair_stays_up_for_an_hour_of_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_is_noticed_by_both_and_healed, setup, teardown),
        cmocka_unit_test_setup_teardown(dials_back_off_with_jitter_up_to_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dial_without_an_answer_ends_with_the_handshake_timer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(our_own_sleep_is_not_the_peers_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_updated_on_a_long_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_is_not_encrypted_far_ahead_of_the_socket, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handler_may_remove_the_peer_whose_message_it_got, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_says_goodbye, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_near_its_end_is_reported_once_a_day, setup, teardown),
        cmocka_unit_test_setup_teardown(every_allocation_failure_is_survived, setup_bare, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

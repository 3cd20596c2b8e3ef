/* The user back end with several threads on the real kernel; also what ThreadSanitizer is to look at. */
#include "netns.h"

enum { THREADS = 4, SID_COUNT = 4, FLOWS = 24, ROUNDS = 40, SID_BITS = 8 };

static uint64_t seen_sids; /* on the WAN, by bit */

/* alone: no other key is received by; so windows share packets out by sender id. */
static void apply_all(struct net *net, unsigned key, bool alone)
{
    static const uint32_t sids[2][SID_COUNT] = {{1, 2, 3, 4}, {11, 12, 13, 14}};
    struct datapath *members[] = {net->gm1, net->gm2};
    const char *why = NULL;
    for (size_t i = 0; i < 2; i++) {
        struct datapath_state state = {.selectors = net->selectors,
                                       .selector_count = net->selector_count,
                                       .in = {&net->teks[key], &net->teks[1 - key]},
                                       .in_count = alone ? 1 : 2,
                                       .out = &net->teks[key],
                                       .sid_bits = SID_BITS,
                                       .sids = sids[i],
                                       .sid_count = SID_COUNT};
        assert_ok(members[i]->ops->apply(members[i], &state, &why));
    }
}

static void look(struct net *net)
{
    static uint8_t raw[65536];
    ssize_t got;
    while ((got = recv(net->wire, raw, sizeof(raw), 0)) > 0) {
        if (raw[12] != 192)
            continue;
        assert_int_equal(raw[9], IP_PROTOCOL_ESP);
        if (field_u32(raw + 20) == net->teks[1].spi && raw[28] < 64)
            seen_sids |= UINT64_C(1) << raw[28];
    }
}

/* A packet of each flow, by a source port of its own, and all of them arrive, whoever carries them. */
static void round_of_flows(struct net *net, const int flows[FLOWS], unsigned round)
{
    unsigned got = 0;
    uint8_t data[2] = {(uint8_t)round, 0}, in[8];
    for (unsigned i = 0; i < FLOWS; i++) {
        data[1] = (uint8_t)i;
        send_to(flows[i], "192.168.14.10", data, sizeof(data), 0);
    }
    uint64_t all = 0;
    while (got < FLOWS && serve_until(net, net->h2, DEADLINE_MS))
        while (recv(net->h2, in, sizeof(in), 0) == sizeof(data)) {
            assert_int_equal(in[0], (uint8_t)round);
            assert_int_equal(all >> in[1] & 1, 0);
            all |= UINT64_C(1) << in[1];
            got++;
        }
    assert_int_equal(got, FLOWS);
    look(net);
}

/* Members of several threads and a socket of h1 for each flow. Skips where it cannot be done. */
static struct net *open_flows(uint32_t replay_window, int flows[FLOWS])
{
    if (!can_do())
        skip();
    struct net *net = net_open_lanes(THREADS, replay_window);
    enter(net, H1);
    for (unsigned i = 0; i < FLOWS; i++) {
        flows[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(flows[i] >= 0);
    }
    return net;
}

static void close_flows(struct net *net, const int flows[FLOWS])
{
    for (unsigned i = 0; i < FLOWS; i++)
        close(flows[i]);
    net_close(net);
}

static unsigned bits_in(uint64_t set)
{
    return (unsigned)__builtin_popcountll(set);
}

static void run_lanes(uint32_t replay_window)
{
    int flows[FLOWS];
    struct net *net = open_flows(replay_window, flows);
    seen_sids = 0;
    apply_all(net, 1, true);
    for (unsigned i = 0; i < ROUNDS; i++) {
        round_of_flows(net, flows, i);
        (void)counted(net->gm1, DP_ENCAPS); /* as the status socket asks, while threads count */
    }
    assert_true(bits_in(seen_sids) >= 2); /* several lanes have sent */
    assert_int_equal(seen_sids & ~UINT64_C(0x1e), 0);
    assert_int_equal(counted(net->gm1, DP_ENCAPS), FLOWS * ROUNDS);
    assert_int_equal(counted(net->gm2, DP_DECAPS), FLOWS * ROUNDS);
    assert_int_equal(counted(net->gm2, DP_REPLAY), 0);
    assert_int_equal(counted(net->gm2, DP_INVALID_SPI), 0);
    close_flows(net, flows);
}

static void all_threads_send_and_each_by_its_own_sender_id(void **state)
{
    (void)state;
    run_lanes(0);
}

static void replay_windows_hold_good_packets_no_less(void **state)
{
    (void)state;
    run_lanes(64);
}

static void key_changes_under_traffic_lose_nothing(void **state)
{
    (void)state;
    int flows[FLOWS];
    struct net *net = open_flows(64, flows);
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i % 4 == 0)
            net->teks[i / 4 & 1].spi += 0x10; /* a new key each time: lanes let go of the old one */
        if (i % 4 == 0)
            apply_all(net, i / 4 & 1, false);
        round_of_flows(net, flows, i);
        struct datapath_replay replay;
        net->gm2->ops->replay(net->gm2, &replay);
        assert_int_equal(replay.window, 64);
    }
    struct datapath_lane lanes[GM_THREAD_MAX];
    uint64_t carried = 0;
    for (size_t i = net->gm1->ops->lanes(net->gm1, lanes); i-- > 0; carried += lanes[i].out)
        assert_true(lanes[i].sends);
    assert_int_equal(carried, FLOWS * ROUNDS);
    struct dscp_table dscp; /* summed over the lanes, whatever keys there were */
    net->gm2->ops->counters(net->gm2);
    net->gm2->ops->dscp(net->gm2, &dscp);
    assert_int_equal(dscp.in[0].packets, FLOWS * ROUNDS);
    assert_int_equal(counted(net->gm1, DP_NO_KEY), 0);
    assert_int_equal(counted(net->gm2, DP_REPLAY), 0);
    close_flows(net, flows);
}

/* One counter for all: one lane sends, so that no receiver's window refuses a good packet. */
static void keys_without_sender_ids_are_sent_on_by_one(void **state)
{
    (void)state;
    int flows[FLOWS];
    struct net *net = open_flows(64, flows);
    apply_all(net, 0, false);
    for (unsigned i = 0; i < ROUNDS; i++)
        round_of_flows(net, flows, i);
    assert_int_equal(net->gm1->ops->counters(net->gm1)[DP_ENCAPS].count, FLOWS * ROUNDS);
    struct datapath_lane lanes[GM_THREAD_MAX];
    struct dscp_table dscp;
    assert_int_equal(net->gm1->ops->lanes(net->gm1, lanes), THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(lanes[i].sends, i == 0);
        assert_int_equal(lanes[i].out, i == 0 ? FLOWS * ROUNDS : 0);
    }
    net->gm1->ops->dscp(net->gm1, &dscp);
    assert_int_equal(dscp.out[0].packets, FLOWS * ROUNDS);
    assert_int_equal(counted(net->gm2, DP_REPLAY), 0);
    close_flows(net, flows);
}

/* What came before there was a key lies in no thread's queue: it would reach the hosts late, once for each.
 */
static void what_came_before_the_first_key_is_gone(void **state)
{
    (void)state;
    int flows[FLOWS];
    struct net *net = open_flows(0, flows);
    apply_all(net, 1, true);
    net->gm2->ops->close(net->gm2);
    net->gm2 = open_member(net, GM2);
    enter(net, GM2); /* as the rules of a killed one would: ESP of the hosts comes in here */
    run("ip route add local 192.168.14.10 dev lo table 99 && ip rule add iif wan0 ipproto 50 table 99");
    for (unsigned i = 0; i < FLOWS; i++)
        send_to(flows[i], "192.168.14.10", "x", 1, 0);
    assert_false(serve_until(net, net->h2, 300));
    run("ip rule del iif wan0 ipproto 50 table 99");
    assert_int_equal(counted(net->gm1, DP_ENCAPS), FLOWS);
    apply_all(net, 1, true);
    assert_false(serve_until(net, net->h2, 300));
    for (unsigned i = 0; i < 3; i++)
        round_of_flows(net, flows, i);
    close_flows(net, flows);
}

static void without_a_key_no_thread_sends(void **state)
{
    (void)state;
    int flows[FLOWS];
    struct net *net = open_flows(0, flows);
    apply_all(net, 1, false);
    apply(net, net->gm1, 1, NULL);
    for (unsigned i = 0; i < FLOWS; i++)
        send_to(flows[i], "192.168.14.10", "x", 1, 0);
    nothing_leaves(net, 300);
    assert_int_equal(counted(net->gm1, DP_NO_KEY), FLOWS);
    close_flows(net, flows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_threads_send_and_each_by_its_own_sender_id),
        cmocka_unit_test(replay_windows_hold_good_packets_no_less),
        cmocka_unit_test(key_changes_under_traffic_lose_nothing),
        cmocka_unit_test(keys_without_sender_ids_are_sent_on_by_one),
        cmocka_unit_test(what_came_before_the_first_key_is_gone),
        cmocka_unit_test(without_a_key_no_thread_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

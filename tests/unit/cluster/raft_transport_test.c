/* raft_transport_test.c - two and three key servers talk over 127.0.0.1. */
#include "tests/unit/cluster/raft_transport_fixture.h"

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    assert_non_null(net);
    net_open(net);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    net_close(*state);
    free(*state);
    return 0;
}

static void two_up(struct net *net)
{
    node_start(net, 0);
    node_start(net, 1);
    net_introduce(net, 2);
    run_until(net, are_connected(net, 0, 1));
}

static void two_servers_connect_and_talk_both_ways(void **state)
{
    struct net *net = *state;
    uint64_t events = event_count(EV_PEER_CONNECTED);
    two_up(net);
    assert_ok(send_counter(net, 0, 1, 0, 8));
    assert_ok(send_counter(net, 1, 0, 0, 1000));
    run_until(net, net->nodes[0].messages == 1 && net->nodes[1].messages == 1);
    assert_int_equal(net->nodes[1].bytes, 8);
    assert_int_equal(net->nodes[0].bytes, 1000);
    assert_int_equal(net->nodes[0].ups, 1);
    assert_int_equal(net->nodes[1].ups, 1);
    assert_int_equal(event_count(EV_PEER_CONNECTED), events + 2);
}

static void three_servers_make_one_connection_per_pair(void **state)
{
    struct net *net = *state;
    for (int i = 0; i < 3; i++)
        node_start(net, i);
    net_introduce(net, 3);
    run_until(net, are_connected(net, 0, 1) && are_connected(net, 0, 2) && are_connected(net, 1, 2));
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            if (i != j)
                assert_ok(send_counter(net, i, j, 0, 64));
        }
    }
    run_until(net, net->nodes[0].messages == 2 && net->nodes[1].messages == 2 && net->nodes[2].messages == 2);
    struct transport_stats stats;
    raft_transport_stats(net->nodes[0].transport, &stats);
    assert_int_equal(stats.accepted, 0); /* the lowest id dials everybody */
    assert_int_equal(stats.connections, 2);
    raft_transport_stats(net->nodes[2].transport, &stats);
    assert_int_equal(stats.accepted, 2);
    assert_int_equal(stats.connections, 2);
    assert_int_equal(stats.refused, 0);
}

static void a_hundred_thousand_messages_arrive_in_order(void **state)
{
    struct net *net = *state;
    enum { COUNT = 100000, AT_ONCE = 1000 };
    two_up(net);
    for (uint64_t i = 0; i < COUNT; i += AT_ONCE) {
        for (uint64_t k = 0; k < AT_ONCE; k++) {
            assert_ok(send_counter(net, 0, 1, i + k, 32 + (i + k) % 64));
            assert_ok(send_counter(net, 1, 0, i + k, 32));
        }
        run_until(net, net->nodes[1].messages == i + AT_ONCE && net->nodes[0].messages == i + AT_ONCE);
    }
    assert_false(net->nodes[0].disordered || net->nodes[1].disordered);
    assert_int_equal(net->nodes[0].gaps + net->nodes[1].gaps, 0);
    assert_int_equal(net->nodes[1].last_counter, COUNT - 1);
    struct transport_peer_stats stats = stats_of(net, 0, 1);
    assert_int_equal(stats.sent, COUNT);
    assert_int_equal(stats.received, COUNT);
    assert_int_equal(stats.dropped, 0);
}

static void the_longest_message_passes_and_a_longer_one_is_refused_here(void **state)
{
    struct net *net = *state;
    two_up(net);
    uint8_t *body = calloc(1, FRAME_BODY_MAX + 1);
    assert_non_null(body);
    const uint8_t *to = net->nodes[1].self.id;
    struct raft_transport *t = net->nodes[0].transport;
    assert_err(raft_transport_send(t, to, BIG_KIND, (struct bytes){body, FRAME_BODY_MAX + 1}), E_LIMIT);
    assert_err(raft_transport_send(t, to, FRAME_HELLO, (struct bytes){body, 1}), E_RANGE);
    assert_ok(raft_transport_send(t, to, BIG_KIND, (struct bytes){body, FRAME_BODY_MAX}));
    assert_ok(raft_transport_send(t, to, BIG_KIND, (struct bytes){body, 0}));
    free(body);
    run_until(net, net->nodes[1].messages == 2);
    assert_int_equal(net->nodes[1].bytes, FRAME_BODY_MAX);
    assert_int_equal(net->nodes[1].downs, 0);
}

static void a_snapshot_of_64_mib_lets_messages_pass(void **state)
{
    struct net *net = *state;
    struct snapshot_source source = {.total = 64 << 20, .read = snapshot_read};
    uint64_t counter = 0;
    two_up(net);
    struct raft_transport *t = net->nodes[0].transport;
    const uint8_t *to = net->nodes[1].self.id;
    assert_ok(raft_transport_send_snapshot(t, to, 77, bytes_of_text("install"), &source));
    assert_err(raft_transport_send_snapshot(t, to, 77, bytes_of_text("install"), &source), E_EXISTS);
    assert_err(raft_transport_send_snapshot(t, to, 76, bytes_of_text("install"), &source), E_EXISTS);
    while (net->nodes[1].snapshots == 0) {
        if (counter == net->nodes[1].messages)
            assert_ok(send_counter(net, 0, 1, counter++, 100));
        uv_run(&net->loop, UV_RUN_ONCE);
        assert_true(counter < 1000000);
    }
    assert_true(net->nodes[1].snapshot_good);
    assert_int_equal(net->nodes[1].snapshot_index, 77);
    assert_true(net->nodes[1].messages_before_snapshot > 20);
    run_until(net, net->nodes[0].sent_count == 1);
    assert_ok(net->nodes[0].sent_err);
    assert_int_equal(net->nodes[1].downs, 0);
    struct transport_peer_stats stats = stats_of(net, 0, 1);
    assert_true(stats.queued_bytes_peak < 1 << 20); /* the snapshot never stood in the queue */
}

static void an_empty_snapshot_and_one_octet_arrive(void **state)
{
    struct net *net = *state;
    struct snapshot_source source = {.total = 0, .read = snapshot_read};
    two_up(net);
    assert_ok(raft_transport_send_snapshot(net->nodes[0].transport, net->nodes[1].self.id, 1,
                                           bytes_of_text("install"), &source));
    run_until(net, net->nodes[1].snapshots == 1 && net->nodes[0].sent_count == 1);
    source.total = 1;
    assert_ok(raft_transport_send_snapshot(net->nodes[0].transport, net->nodes[1].self.id, 2,
                                           bytes_of_text("install"), &source));
    run_until(net, net->nodes[1].snapshots == 2);
    assert_true(net->nodes[1].snapshot_good);
    assert_int_equal(net->nodes[1].snapshot_index, 2);
}

static unsigned closes;

static void count_close(void *context)
{
    (void)context;
    closes++;
}

static err_t read_until_a_mib(void *context, uint64_t offset, uint8_t *out, size_t len)
{
    return offset >= 1 << 20 ? E_IO : snapshot_read(context, offset, out, len);
}

static void a_snapshot_that_cannot_be_read_is_given_up_and_the_next_arrives(void **state)
{
    struct net *net = *state;
    struct snapshot_source bad = {.total = 8 << 20, .read = read_until_a_mib, .close = count_close};
    struct snapshot_source good = {.total = 2 << 20, .read = snapshot_read, .close = count_close};
    two_up(net);
    closes = 0;
    struct raft_transport *t = net->nodes[0].transport;
    const uint8_t *to = net->nodes[1].self.id;
    assert_ok(raft_transport_send_snapshot(t, to, 5, bytes_of_text("install"), &bad));
    run_until(net, net->nodes[0].sent_count == 1);
    assert_err(net->nodes[0].sent_err, E_IO);
    assert_int_equal(closes, 1);
    assert_ok(raft_transport_send_snapshot(t, to, 5, bytes_of_text("install"), &good));
    run_until(net, net->nodes[1].snapshots == 1);
    assert_true(net->nodes[1].snapshot_good);
    /* A newer one takes the place of one that is on its way. */
    bad.read = snapshot_read;
    assert_ok(raft_transport_send_snapshot(t, to, 6, bytes_of_text("install"), &bad));
    for (int i = 0; i < 3; i++)
        uv_run(&net->loop, UV_RUN_ONCE);
    assert_ok(raft_transport_send_snapshot(t, to, 7, bytes_of_text("install"), &good));
    run_until(net, net->nodes[1].snapshots == 2 && net->nodes[0].sent_count == 4);
    assert_int_equal(net->nodes[1].snapshot_index, 7);
    assert_true(net->nodes[1].snapshot_good);
    assert_int_equal(closes, 4);
    assert_int_equal(net->nodes[1].downs, 0);
}

static void a_snapshot_on_its_way_ends_with_the_connection(void **state)
{
    struct net *net = *state;
    struct snapshot_source source = {.total = 64 << 20, .read = snapshot_read, .close = count_close};
    two_up(net);
    closes = 0;
    assert_ok(raft_transport_send_snapshot(net->nodes[0].transport, net->nodes[1].self.id, 5,
                                           bytes_of_text("install"), &source));
    for (int i = 0; i < 3; i++)
        uv_run(&net->loop, UV_RUN_ONCE);
    node_stop(net, 1);
    run_until(net, net->nodes[0].downs == 1);
    assert_int_equal(closes, 1);
    assert_int_equal(net->nodes[0].sent_count, 1);
    assert_err(net->nodes[0].sent_err, E_CANCELED);
    assert_int_equal(net->nodes[1].snapshots, 0);
}

static void a_server_that_comes_back_is_connected_again(void **state)
{
    struct net *net = *state;
    uint64_t lost = event_count(EV_PEER_LOST), unreachable = event_count(EV_PEER_UNREACHABLE);
    two_up(net);
    struct transport_peer peer = net->nodes[1].self;
    node_stop(net, 1);
    run_until(net, net->nodes[0].downs == 1);
    assert_int_equal(net->nodes[0].last_down, REASON_STOPPED); /* as the other side said */
    assert_int_equal(event_count(EV_PEER_LOST), lost + 2);
    assert_err(send_counter(net, 0, 1, 0, 8), E_AGAIN);
    run_until(net, stats_of(net, 0, 1).dial_failures >= 3);
    assert_int_equal(event_count(EV_PEER_UNREACHABLE), unreachable + 1); /* once */
    node_start_with(net, 1, tls_make(&net->authority, 2), peer.port, NULL, 1);
    net_introduce(net, 2);
    run_until(net, are_connected(net, 0, 1));
    assert_ok(send_counter(net, 1, 0, 0, 8));
    run_until(net, net->nodes[0].messages == 1);
    assert_int_equal(net->nodes[0].ups, 2);
}

static void a_peer_that_leaves_the_list_is_disconnected(void **state)
{
    struct net *net = *state;
    two_up(net);
    struct transport_peer_stats stats;
    assert_ok(raft_transport_set_peers(net->nodes[0].transport, NULL, 0));
    assert_int_equal(net->nodes[0].downs, 1);
    assert_int_equal(net->nodes[0].last_down, REASON_REMOVED);
    assert_err(raft_transport_peer_stats(net->nodes[0].transport, net->nodes[1].self.id, &stats),
               E_NOT_FOUND);
    assert_err(send_counter(net, 0, 1, 0, 8), E_NOT_FOUND);
    run_until(net, net->nodes[1].downs == 1);
    net_introduce(net, 2);
    run_until(net, are_connected(net, 0, 1));
}

static void a_wrong_list_of_peers_changes_nothing(void **state)
{
    struct net *net = *state;
    two_up(net);
    struct transport_peer list[TRANSPORT_PEER_MAX + 2];
    memset(list, 0, sizeof(list));
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        memset(list[i].id, (int)i + 1, NODE_ID_LEN);
        strcpy(list[i].host, "127.0.0.1");
        list[i].port = 1;
    }
    struct raft_transport *t = net->nodes[0].transport;
    assert_err(raft_transport_set_peers(t, list, ARRAY_LEN(list)), E_LIMIT); /* the first is ourselves */
    memcpy(list[2].id, list[1].id, NODE_ID_LEN);
    assert_err(raft_transport_set_peers(t, list, 3), E_DUPLICATE);
    list[1].port = 0;
    assert_err(raft_transport_set_peers(t, list, 2), E_RANGE);
    list[1].port = 1;
    memset(list[1].host, 'a', sizeof(list[1].host));
    assert_err(raft_transport_set_peers(t, list, 2), E_RANGE);
    assert_true(are_connected(net, 0, 1));
    assert_int_equal(net->nodes[0].downs, 0);
}

static void a_peer_is_found_by_name_and_at_a_new_address(void **state)
{
    struct net *net = *state;
    node_start(net, 0);
    node_start(net, 1);
    struct transport_peer to = net->nodes[1].self, from = net->nodes[0].self;
    to.port = 1; /* nobody there */
    assert_ok(raft_transport_set_peers(net->nodes[1].transport, &from, 1));
    assert_ok(raft_transport_set_peers(net->nodes[0].transport, &to, 1));
    run_until(net, stats_of(net, 0, 1).dial_failures >= 1);
    to.port = net->nodes[1].self.port;
    strcpy(to.host, "localhost");
    assert_ok(raft_transport_set_peers(net->nodes[0].transport, &to, 1));
    run_until(net, are_connected(net, 0, 1));
}

static void a_certificate_is_renewed_under_traffic(void **state)
{
    struct net *net = *state;
    two_up(net);
    uint64_t counter = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 50; i++)
            assert_ok(send_counter(net, 0, 1, counter++, 500));
        assert_ok(raft_transport_renew(net->nodes[round % 2].transport,
                                       tls_make(&net->authority, (uint8_t)(round % 2 + 1))));
        uv_run(&net->loop, UV_RUN_ONCE);
    }
    assert_err(raft_transport_renew(net->nodes[0].transport, tls_make(&net->authority, 9)), E_BAD_ID);
    run_until(net, net->nodes[1].messages == counter);
    assert_int_equal(net->nodes[0].downs + net->nodes[1].downs, 0);
    assert_int_equal(net->nodes[1].gaps, 0);
    /* and new connections work with the new ones */
    assert_ok(raft_transport_set_peers(net->nodes[1].transport, NULL, 0));
    run_until(net, net->nodes[0].downs == 1);
    net_introduce(net, 2);
    run_until(net, are_connected(net, 0, 1));
}

static void a_quiet_connection_stays_up_by_keepalives(void **state)
{
    struct net *net = *state;
    struct transport_limits limits = {.keepalive_ms = 20, .silent_ms = 400};
    node_start_with(net, 0, tls_make(&net->authority, 1), 0, &limits, 1);
    node_start_with(net, 1, tls_make(&net->authority, 2), 0, &limits, 1);
    net_introduce(net, 2);
    run_until(net, are_connected(net, 0, 1));
    uint64_t end = now_ms() + 1200;
    run_until(net, now_ms() > end);
    assert_int_equal(net->nodes[0].downs + net->nodes[1].downs, 0);
    assert_true(stats_of(net, 0, 1).sent_bytes > 10 * 13);
}

static void an_address_in_use_is_an_error(void **state)
{
    struct net *net = *state;
    node_start(net, 0);
    struct raft_transport *t = NULL;
    struct raft_transport_options options = {
        .loop = &net->loop,
        .tls = tls_make(&net->authority, 2),
        .listen = {addr_v4(127, 0, 0, 1), net->nodes[0].self.port},
        .clock = &clock_system,
        .rng = &rng_system,
    };
    assert_err(raft_transport_open(&t, &options), E_EXISTS);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_servers_connect_and_talk_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(three_servers_make_one_connection_per_pair, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hundred_thousand_messages_arrive_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_longest_message_passes_and_a_longer_one_is_refused_here, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_of_64_mib_lets_messages_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_snapshot_and_one_octet_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_that_cannot_be_read_is_given_up_and_the_next_arrives,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_on_its_way_ends_with_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_comes_back_is_connected_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_that_leaves_the_list_is_disconnected, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_list_of_peers_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_peer_is_found_by_name_and_at_a_new_address, setup, teardown),
        cmocka_unit_test_setup_teardown(a_certificate_is_renewed_under_traffic, setup, teardown),
        cmocka_unit_test_setup_teardown(a_quiet_connection_stays_up_by_keepalives, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

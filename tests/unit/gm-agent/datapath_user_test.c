/* The user back end on the real kernel: packets from host to host. */
#include "netns.h"

#include <linux/mroute.h> /* behind netinet/in.h, which it else defines once more */

static void hosts_talk_and_the_wan_sees_only_esp_with_their_addresses(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    unsigned esp, clear;
    for (size_t len = 1; len < 1400; len += 97)
        exchange(net, len);
    look_at_wire(net, &esp, &clear);
    assert_true(esp >= 30);
    assert_int_equal(clear, 0);
    assert_true(counted(net->gm1, DP_ENCAPS) >= 15);
    assert_int_equal(counted(net->gm1, DP_ENCAPS), counted(net->gm2, DP_DECAPS));
    assert_int_equal(counted(net->gm2, DP_VERIFY_ERROR), 0);
    net_close(net);
}

static void large_datagrams_go_in_fragments(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    unsigned esp, clear;
    int want = IP_PMTUDISC_DONT;
    assert_int_equal(setsockopt(net->h1, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want)), 0);
    assert_int_equal(setsockopt(net->h2, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want)), 0);
    exchange(net, 1472);
    exchange(net, 20000);
    look_at_wire(net, &esp, &clear);
    assert_int_equal(clear, 0);
    net_close(net);
}

static void hosts_are_told_the_mtu(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    static uint8_t data[1472];
    int want = IP_PMTUDISC_DO, mtu = 0;
    socklen_t len = sizeof(mtu);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    assert_int_equal(inet_pton(AF_INET, "192.168.14.10", &to.sin_addr), 1);
    assert_int_equal(setsockopt(net->h1, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want)), 0);
    assert_int_equal(connect(net->h1, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(send(net->h1, data, sizeof(data), 0), sizeof(data));
    uint64_t end_ms = clock_mono_ms(&clock_system) + DEADLINE_MS;
    do {
        serve_until(net, -1, 20);
        assert_int_equal(getsockopt(net->h1, IPPROTO_IP, IP_MTU, &mtu, &len), 0);
    } while (mtu == 1500 && clock_mono_ms(&clock_system) < end_ms);
    assert_in_range(mtu, 1400, 1446);
    net_close(net);
}

/* A link behind the router is narrower. ESP has the host's addresses, so the router tells the host, and
 * quotes what the host never sent. */
static void hosts_are_told_of_a_narrow_way_that_a_router_complains_of(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    static uint8_t data[1300], got[1300];
    int want = IP_PMTUDISC_DO, mtu = 0;
    socklen_t len = sizeof(mtu);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    enter(net, WAN);
    run("ip link set gm2 mtu 1200");
    assert_int_equal(inet_pton(AF_INET, "192.168.14.10", &to.sin_addr), 1);
    assert_int_equal(setsockopt(net->h1, IPPROTO_IP, IP_MTU_DISCOVER, &want, sizeof(want)), 0);
    assert_int_equal(connect(net->h1, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(getsockopt(net->h1, IPPROTO_IP, IP_MTU, &mtu, &len), 0);
    assert_int_equal(mtu, 1500);
    uint64_t end_ms = clock_mono_ms(&clock_system) + DEADLINE_MS;
    do { /* the first one is complained of, a later one answered */
        if (send(net->h1, data, sizeof(data), 0) < 0)
            assert_int_equal(errno, EMSGSIZE);
        serve_until(net, -1, 20);
        assert_int_equal(getsockopt(net->h1, IPPROTO_IP, IP_MTU, &mtu, &len), 0);
    } while (mtu == 1500 && clock_mono_ms(&clock_system) < end_ms);
    assert_in_range(mtu, 1200 - 80, 1200 - 20 - 8);
    int told = 0; /* by the answer; else the next send would say so */
    len = sizeof(told);
    assert_int_equal(getsockopt(net->h1, SOL_SOCKET, SO_ERROR, &told, &len), 0);
    assert_int_equal(send(net->h1, data, (size_t)mtu - 28, 0), mtu - 28);
    assert_true(serve_until(net, net->h2, DEADLINE_MS));
    assert_int_equal(recv(net->h2, got, sizeof(got), 0), mtu - 28);
    enter(net, GM1); /* to another host of that site the way is asked anew */
    run("test \"$(ip route list table all proto 84 | grep -c 'mtu 1[01]')\" = 1");
    net_close(net);
}

static void a_key_change_loses_nothing(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    for (unsigned i = 0; i < 40; i++) {
        if (i == 10)
            apply(net, net->gm1, 1, &net->teks[1]);
        if (i == 25)
            apply(net, net->gm2, 2, &net->teks[1]);
        exchange(net, 100);
    }
    net_close(net);
}

static void without_a_key_nothing_leaves(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    apply(net, net->gm1, 1, NULL);
    for (unsigned i = 0; i < 10; i++)
        send_to(net->h1, "192.168.14.10", "x", 1, 0);
    nothing_leaves(net, 300);
    assert_int_equal(counted(net->gm1, DP_NO_KEY), 10);
    net_close(net);
}

static void clear_packets_from_the_wan_do_not_reach_the_hosts(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    enter(net, WAN);
    run("ip addr add 192.168.99.1/32 dev lo");
    int forger = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, "192.168.99.1", &from.sin_addr), 1);
    assert_int_equal(bind(forger, (struct sockaddr *)&from, sizeof(from)), 0);
    for (unsigned i = 0; i < 5; i++)
        send_to(forger, "192.168.13.10", "x", 1, 0);
    assert_false(serve_until(net, net->h1, 300));
    assert_int_equal(counted(net->gm1, DP_NOT_IPSEC), 5);
    close(forger);
    net_close(net);
}

static void what_policy_does_not_name_stays_clear(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    net->selectors[0].protocol = IP_PROTOCOL_UDP;
    net->selectors[0].dst_port = 9;
    apply(net, net->gm1, 1, &net->teks[0]);
    apply(net, net->gm2, 2, &net->teks[0]);
    unsigned esp, clear;
    exchange(net, 500); /* of the same protocol, another port: through the agent, in clear */
    look_at_wire(net, &esp, &clear);
    assert_int_equal(esp, 0);
    assert_true(clear >= 2);
    assert_true(counted(net->gm1, DP_BYPASS) >= 2);
    net_close(net);
}

static void apply_closed(struct net *net, bool closed)
{
    const char *why = NULL;
    struct datapath_state state = {.closed = closed,
                                   .selectors = net->selectors,
                                   .selector_count = closed ? 0 : net->selector_count,
                                   .in = {&net->teks[0]},
                                   .in_count = closed ? 0 : 1,
                                   .out = closed ? NULL : &net->teks[0]};
    assert_ok(net->gm1->ops->apply(net->gm1, &state, &why));
}

static void send_to_port(int fd, const char *address, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
    assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
}

static void before_there_is_a_policy_only_key_management_leaves(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    unsigned esp, clear;
    for (unsigned i = 0; i < 3; i++) { /* there and back: no rule of the one state is left in the other */
        apply_closed(net, true);
        send_to(net->h1, "192.168.14.10", "x", 1, 0);
        send_to(net->h1, "10.1.14.1", "x", 1, 0); /* of no policy at all */
        nothing_leaves(net, 200);
        send_to_port(net->h1, "10.1.14.1", 848);
        assert_false(serve_until(net, net->h2, 200));
        look_at_wire(net, &esp, &clear);
        assert_int_equal(esp, 0);
        assert_true(clear >= 1);
        apply_closed(net, false);
        exchange(net, 300);
        look_at_wire(net, &esp, &clear);
        assert_true(esp >= 2);
        assert_int_equal(clear, 0);
    }
    net_close(net);
}

/* The multicast routes of a node, as a routing daemon would keep them. Returns the socket that holds them. */
static int route_groups(struct net *net, enum node node, const char *from, const char *to)
{
    struct vifctl vif = {.vifc_flags = VIFF_USE_IFINDEX, .vifc_threshold = 1};
    struct mfcctl route = {.mfcc_parent = 0};
    int one = 1;
    enter(net, node);
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IGMP);
    if (fd < 0 || setsockopt(fd, IPPROTO_IP, MRT_INIT, &one, sizeof(one)) != 0) {
        if (fd >= 0)
            close(fd);
        return -1; /* this kernel does not route multicast */
    }
    const char *const devices[] = {from, to};
    for (vifi_t i = 0; i < 2; i++) {
        vif.vifc_vifi = i;
        vif.vifc_lcl_ifindex = (int)if_nametoindex(devices[i]);
        assert_int_equal(setsockopt(fd, IPPROTO_IP, MRT_ADD_VIF, &vif, sizeof(vif)), 0);
    }
    route.mfcc_ttls[1] = 1;
    assert_int_equal(inet_pton(AF_INET, "192.168.13.10", &route.mfcc_origin), 1);
    assert_int_equal(inet_pton(AF_INET, "239.1.1.1", &route.mfcc_mcastgrp), 1);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, MRT_ADD_MFC, &route, sizeof(route)), 0);
    return fd;
}

static void send_to_group(struct net *net)
{
    static const uint8_t ttl = 8;
    enter(net, H1);
    assert_int_equal(setsockopt(net->h1, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)), 0);
    for (unsigned i = 0; i < 3; i++)
        send_to(net->h1, "239.1.1.1", "group", 5, 0);
}

static void join(struct net *net)
{
    struct ip_mreqn group = {.imr_ifindex = 0};
    enter(net, H2);
    group.imr_ifindex = (int)if_nametoindex("eth0");
    assert_int_equal(inet_pton(AF_INET, "239.1.1.1", &group.imr_multiaddr), 1);
    net->h2_group = udp_socket(net, H2, "239.1.1.1");
    assert_int_equal(setsockopt(net->h2_group, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)), 0);
}

static void packets_to_a_group_go_through_to_its_hosts(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    char got[16];
    unsigned esp, clear;
    int routes[3];
    assert_ok(prefix_parse(&net->selectors[1].src, "192.168.0.0/16"));
    assert_ok(prefix_parse(&net->selectors[1].dst, "239.0.0.0/8"));
    routes[0] = route_groups(net, GM1, "lan0", "gdoi0");
    if (routes[0] < 0) {
        net_close(net);
        skip();
    }
    routes[1] = route_groups(net, WAN, "gm1", "gm2");
    routes[2] = route_groups(net, GM2, "gdoi0", "lan0");
    join(net);
    send_to_group(net); /* not of the policy: dropped, since only what is protected is led to the TUN */
    assert_false(serve_until(net, net->h2_group, 200));
    look_at_wire(net, &esp, &clear);
    assert_int_equal(esp + clear, 0);
    net->selector_count = 2;
    apply(net, net->gm1, 1, &net->teks[1]);
    apply(net, net->gm2, 2, &net->teks[1]);
    send_to_group(net);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(serve_until(net, net->h2_group, DEADLINE_MS));
        assert_int_equal(recv(net->h2_group, got, sizeof(got), 0), 5);
    }
    assert_false(serve_until(net, net->h2_group, 100)); /* each once */
    look_at_wire(net, &esp, &clear);
    assert_int_equal(esp, 3);
    assert_int_equal(clear, 0);
    assert_int_equal(counted(net->gm2, DP_DECAPS), 3);
    exchange(net, 100); /* and the others as before */
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        close(routes[i]);
    close(net->h2_group);
    net_close(net);
}

/* Sends three to the group, over a multicast route past the TUN. */
static void past_the_tun(struct net *net, unsigned *esp, unsigned *clear)
{
    send_to_group(net);
    serve_until(net, -1, 200);
    look_at_wire(net, esp, clear);
}

static void multicast_past_the_tun_is_stopped_where_it_is_protected(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    unsigned esp, clear;
    assert_ok(prefix_parse(&net->selectors[1].src, "192.168.0.0/16"));
    assert_ok(prefix_parse(&net->selectors[1].dst, "239.0.0.0/8"));
    int route = route_groups(net, GM1, "lan0", "wan0");
    if (route < 0) {
        net_close(net);
        skip();
    }
    past_the_tun(net, &esp, &clear);
    assert_int_equal(clear, 3); /* not of the policy */
    net->selector_count = 2;
    apply(net, net->gm1, 1, &net->teks[1]);
    past_the_tun(net, &esp, &clear);
    assert_int_equal(esp + clear, 0);
    assert_int_equal(counted(net->gm1, DP_NO_KEY), 3);
    net->selector_count = 1;
    apply(net, net->gm1, 1, &net->teks[1]);
    past_the_tun(net, &esp, &clear);
    assert_int_equal(clear, 3);
    assert_int_equal(counted(net->gm1, DP_NO_KEY), 3);
    apply_closed(net, true);
    past_the_tun(net, &esp, &clear);
    assert_int_equal(esp + clear, 0);
    apply_closed(net, false);
    exchange(net, 100);
    close(route);
    net_close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_talk_and_the_wan_sees_only_esp_with_their_addresses),
        cmocka_unit_test(large_datagrams_go_in_fragments),
        cmocka_unit_test(hosts_are_told_the_mtu),
        cmocka_unit_test(hosts_are_told_of_a_narrow_way_that_a_router_complains_of),
        cmocka_unit_test(a_key_change_loses_nothing),
        cmocka_unit_test(without_a_key_nothing_leaves),
        cmocka_unit_test(clear_packets_from_the_wan_do_not_reach_the_hosts),
        cmocka_unit_test(what_policy_does_not_name_stays_clear),
        cmocka_unit_test(packets_to_a_group_go_through_to_its_hosts),
        cmocka_unit_test(multicast_past_the_tun_is_stopped_where_it_is_protected),
        cmocka_unit_test(before_there_is_a_policy_only_key_management_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The user back end on the real kernel with IPv6: packets from host to host, neighbour discovery, MTU. */
#include <netinet/icmp6.h>

#include "base/event.h"
#include "netns.h"

#define H1_SIX "2001:db8:13::10"
#define H2_SIX "2001:db8:14::10"

struct six {
    struct net *net;
    int h1, h2; /* UDP sockets of the hosts */
    int wire;   /* IPv6 on the WAN */
};

static int six_socket(const struct six *six, enum node node, const char *address)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    enter(six->net, node);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET6, address, &local.sin6_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    return fd;
}

static void six_send(int fd, const char *address, const void *data, size_t len)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    assert_int_equal(inet_pton(AF_INET6, address, &to.sin6_addr), 1);
    assert_int_equal(sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
}

static void address(const struct six *six, enum node node, const char *device, const char *address,
                    const char *gateway)
{
    enter(six->net, node);
    run("ip -6 addr add %s dev %s nodad", address, device);
    if (gateway[0] != '\0')
        run("ip -6 route add default via %s dev %s", gateway, device);
}

static void protect(struct six *six)
{
    struct net *net = six->net;
    assert_ok(prefix_parse(&net->selectors[1].src, "2001:db8::/32"));
    assert_ok(prefix_parse(&net->selectors[1].dst, "2001:db8::/32"));
    net->selector_count = 2;
    apply(net, net->gm1, 1, &net->teks[0]);
    apply(net, net->gm2, 2, &net->teks[0]);
}

static bool can_do_six(void)
{
    return can_do() && access("/proc/sys/net/ipv6", F_OK) == 0;
}

static struct six six_open_lanes(uint32_t threads)
{
    struct six six = {.net = net_open_lanes(threads, 0)};
    for (int node = 0; node < NODE_COUNT; node++) {
        enter(six.net, (enum node)node);
        run("echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    }
    address(&six, H1, "eth0", H1_SIX "/48", "");
    address(&six, GM1, "lan0", "2001:db8:13::1/48", "");
    address(&six, GM1, "wan0", "2001:db8:113::2/64", "");
    address(&six, WAN, "gm1", "2001:db8:113::1/64", "");
    address(&six, WAN, "gm2", "2001:db8:114::1/64", "");
    address(&six, GM2, "wan0", "2001:db8:114::2/64", "");
    address(&six, GM2, "lan0", "2001:db8:14::1/48", "");
    address(&six, H2, "eth0", H2_SIX "/48", "");
    enter(six.net, H1);
    run("ip -6 route add default via 2001:db8:13::1");
    enter(six.net, H2);
    run("ip -6 route add default via 2001:db8:14::1");
    enter(six.net, GM1);
    run("ip -6 route add default via 2001:db8:113::1");
    enter(six.net, GM2);
    run("ip -6 route add default via 2001:db8:114::1");
    enter(six.net, WAN);
    run("ip -6 route add 2001:db8:13::/48 via 2001:db8:113::2");
    run("ip -6 route add 2001:db8:14::/48 via 2001:db8:114::2");
    six.h1 = six_socket(&six, H1, H1_SIX);
    six.h2 = six_socket(&six, H2, H2_SIX);
    enter(six.net, WAN);
    six.wire = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IPV6));
    assert_true(six.wire >= 0);
    protect(&six);
    return six;
}

static struct six six_open(void)
{
    return six_open_lanes(1);
}

static void six_close(struct six *six)
{
    close(six->h1);
    close(six->h2);
    close(six->wire);
    net_close(six->net);
}

static void six_one_way(struct six *six, int from, int to, const char *address, size_t len)
{
    static uint8_t data[60000], got[60000];
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31);
    six_send(from, address, data, len);
    if (!serve_until(six->net, to, DEADLINE_MS))
        fail_msg("%zu octets to %s did not arrive", len, address);
    assert_int_equal(recv(to, got, sizeof(got), 0), len);
    assert_memory_equal(got, data, len);
}

static void six_exchange(struct six *six, size_t len)
{
    six_one_way(six, six->h1, six->h2, H2_SIX, len);
    six_one_way(six, six->h2, six->h1, H1_SIX, len);
}

/* ESP, and packets of the hosts in clear, since the last look; not what belongs to a link. */
static void look(struct six *six, unsigned *esp, unsigned *clear)
{
    static uint8_t raw[65536];
    *esp = *clear = 0;
    for (;;) {
        ssize_t got = recv(six->wire, raw, sizeof(raw), 0);
        struct ip_packet p;
        if (got <= 0)
            return;
        if (ip_packet_decode(&p, (struct bytes){raw, (size_t)got}) != E_OK || ip_packet_is_of_link(&p) ||
            p.src.bytes[4] != 0 || (p.src.bytes[5] != 0x13 && p.src.bytes[5] != 0x14))
            continue;
        if (p.protocol == IP_PROTOCOL_ESP)
            (*esp)++;
        else
            (*clear)++;
    }
}

static void hosts_talk_and_the_wan_sees_only_esp_with_their_addresses(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    unsigned esp, clear;
    for (size_t len = 1; len < 1350; len += 97)
        six_exchange(&six, len);
    look(&six, &esp, &clear);
    assert_true(esp >= 28);
    assert_int_equal(clear, 0);
    assert_int_equal(counted(six.net->gm1, DP_ENCAPS), counted(six.net->gm2, DP_DECAPS));
    exchange(six.net, 500); /* and IPv4 beside it */
    six_close(&six);
}

/* Each host's packets go to one thread, and to no second one as well. */
static void several_threads_share_hosts(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open_lanes(4);
    enum { HOSTS = 12 };
    for (unsigned i = 0; i < HOSTS; i++) {
        char host[ADDR_TEXT_MAX], with_len[ADDR_TEXT_MAX + 4];
        snprintf(host, sizeof(host), "2001:db8:13::a%x", i);
        snprintf(with_len, sizeof(with_len), "%s/48", host);
        address(&six, H1, "eth0", with_len, "");
        int fd = six_socket(&six, H1, host);
        six_one_way(&six, fd, six.h2, H2_SIX, 900);
        six_one_way(&six, six.h2, fd, host, 900);
        close(fd);
    }
    assert_false(serve_until(six.net, six.h2, 100)); /* nothing twice */
    assert_int_equal(counted(six.net->gm2, DP_DECAPS), HOSTS);
    assert_int_equal(counted(six.net->gm1, DP_DECAPS), HOSTS);
    six_close(&six);
}

static void fragments_of_hosts_go_through(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    unsigned esp, clear;
    enter(six.net, H1);
    run("ip link set eth0 mtu 1400"); /* as a host does that was told */
    enter(six.net, H2);
    run("ip link set eth0 mtu 1400");
    six_exchange(&six, 20000);
    look(&six, &esp, &clear);
    assert_true(esp >= 30);
    assert_int_equal(clear, 0);
    six_close(&six);
}

/* What the socket's way to the other host carries, as the kernel was told; 1500 while it looks for the way.
 */
static int told_mtu(int fd)
{
    int mtu = 0;
    socklen_t len = sizeof(mtu);
    if (getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &len) == 0)
        return mtu;
    assert_int_equal(errno, ENOTCONN);
    return 1500;
}

static void insist(struct six *six)
{
    int want = IPV6_PMTUDISC_DO;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
    assert_int_equal(inet_pton(AF_INET6, H2_SIX, &to.sin6_addr), 1);
    assert_int_equal(setsockopt(six->h1, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &want, sizeof(want)), 0);
    assert_int_equal(connect(six->h1, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(told_mtu(six->h1), 1500);
}

/* Sends until the host is told less than 1500. */
static int provoke(struct six *six, size_t len)
{
    static uint8_t data[1500];
    uint64_t end_ms = clock_mono_ms(&clock_system) + DEADLINE_MS;
    do {
        if (send(six->h1, data, len, 0) < 0)
            assert_int_equal(errno, EMSGSIZE);
        serve_until(six->net, -1, 20);
    } while (told_mtu(six->h1) == 1500 && clock_mono_ms(&clock_system) < end_ms);
    int told = 0; /* by the answer; else the next send would say so */
    socklen_t size = sizeof(told);
    assert_int_equal(getsockopt(six->h1, SOL_SOCKET, SO_ERROR, &told, &size), 0);
    return told_mtu(six->h1);
}

static void hosts_are_told_the_mtu(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    insist(&six);
    int mtu = provoke(&six, 1452);
    assert_in_range(mtu, 1380, 1426);
    six_one_way(&six, six.h1, six.h2, H2_SIX, (size_t)mtu - 48);
    six_close(&six);
}

/* ESP has the host's address, so the router tells the host, and quotes what the host never sent. */
static void hosts_are_told_of_a_narrow_way_that_a_router_complains_of(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    enter(six.net, WAN);
    run("ip link set gm2 mtu 1400");
    insist(&six);
    int mtu = provoke(&six, 1352);
    assert_in_range(mtu, 1400 - 110, 1400 - 40 - 8);
    six_one_way(&six, six.h1, six.h2, H2_SIX, (size_t)mtu - 48);
    enter(six.net, GM1);
    run("test \"$(ip -6 route list table all | grep -c '" H2_SIX ".*lock 1[23]')\" = 1 || "
        "{ ip -6 route list table all >&2; false; }");
    six_close(&six);
}

static void a_way_too_narrow_for_any_host_is_named(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    uint64_t before = event_count(EV_PATH_MTU_TOO_NARROW);
    enter(six.net, WAN);
    run("ip link set gm2 mtu 1300");
    insist(&six);
    assert_int_equal(provoke(&six, 1352), IP6_MTU_MIN);
    assert_int_equal(event_count(EV_PATH_MTU_TOO_NARROW), before + 1);
    six_one_way(&six, six.h1, six.h2, H2_SIX, 1100); /* what fits goes on */
    six_close(&six);
}

static void a_key_change_loses_nothing(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    for (unsigned i = 0; i < 40; i++) {
        if (i == 10)
            apply(six.net, six.net->gm1, 1, &six.net->teks[1]);
        if (i == 25)
            apply(six.net, six.net->gm2, 2, &six.net->teks[1]);
        six_exchange(&six, 100);
    }
    six_close(&six);
}

static void nothing_leaves_without_a_key_or_a_policy(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    const char *why = NULL;
    const struct datapath_state closed = {.closed = true};
    unsigned esp, clear;
    six_exchange(&six, 10);
    look(&six, &esp, &clear);
    apply(six.net, six.net->gm1, 1, NULL);
    for (unsigned i = 0; i < 5; i++)
        six_send(six.h1, H2_SIX, "x", 1);
    assert_false(serve_until(six.net, six.h2, 200));
    assert_ok(six.net->gm1->ops->apply(six.net->gm1, &closed, &why));
    for (unsigned i = 0; i < 5; i++) {
        six_send(six.h1, H2_SIX, "x", 1);
        six_send(six.h1, "2001:db8:114::1", "x", 1);
    }
    assert_false(serve_until(six.net, six.h2, 200));
    look(&six, &esp, &clear);
    assert_int_equal(esp + clear, 0);
    assert_int_equal(counted(six.net->gm1, DP_NO_KEY), 15);
    apply(six.net, six.net->gm1, 1, &six.net->teks[0]);
    six_exchange(&six, 10);
    six_close(&six);
}

static void clear_packets_from_the_wan_do_not_reach_the_hosts(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    enter(six.net, WAN);
    run("ip -6 addr add 2001:db8:99::1/128 dev lo nodad");
    int forger = six_socket(&six, WAN, "2001:db8:99::1");
    uint64_t end_ms = clock_mono_ms(&clock_system) + DEADLINE_MS;
    do { /* the kernel asks for its neighbour when it has made sure of its own address */
        six_send(forger, H1_SIX, "x", 1);
        assert_false(serve_until(six.net, six.h1, 50));
    } while (counted(six.net->gm1, DP_NOT_IPSEC) < 5 && clock_mono_ms(&clock_system) < end_ms);
    assert_true(counted(six.net->gm1, DP_NOT_IPSEC) >= 5);
    close(forger);
    six_close(&six);
}

/* The policy names every address; routers and hosts still find each other. */
static void neighbours_are_found_under_a_policy_of_all_addresses(void **state)
{
    (void)state;
    if (!can_do_six())
        skip();
    struct six six = six_open();
    assert_ok(prefix_parse(&six.net->selectors[1].src, "::/0"));
    assert_ok(prefix_parse(&six.net->selectors[1].dst, "::/0"));
    apply(six.net, six.net->gm1, 1, &six.net->teks[0]);
    apply(six.net, six.net->gm2, 2, &six.net->teks[0]);
    for (int node = 0; node < NODE_COUNT; node++) {
        enter(six.net, (enum node)node);
        run("ip -6 neigh flush all");
    }
    six_exchange(&six, 100);
    enter(six.net, H1);
    run("ping -6 -q -c 1 -W 2 2001:db8:13::1 >/dev/null"); /* the machine itself answers its LAN */
    enter(six.net, GM1);
    run("ping -6 -q -c 1 -W 2 2001:db8:113::1 >/dev/null"); /* and speaks for itself to the WAN */
    six_close(&six);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_talk_and_the_wan_sees_only_esp_with_their_addresses),
        cmocka_unit_test(several_threads_share_hosts),
        cmocka_unit_test(fragments_of_hosts_go_through),
        cmocka_unit_test(hosts_are_told_the_mtu),
        cmocka_unit_test(hosts_are_told_of_a_narrow_way_that_a_router_complains_of),
        cmocka_unit_test(a_way_too_narrow_for_any_host_is_named),
        cmocka_unit_test(a_key_change_loses_nothing),
        cmocka_unit_test(nothing_leaves_without_a_key_or_a_policy),
        cmocka_unit_test(clear_packets_from_the_wan_do_not_reach_the_hosts),
        cmocka_unit_test(neighbours_are_found_under_a_policy_of_all_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

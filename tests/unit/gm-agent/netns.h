/* netns.h - two members, a host behind each and a WAN between them, in network namespaces of this process.
 * Needs privileges: can_do tells, and tests skip without. Nothing leaves the namespaces. */
#ifndef TESTS_UNIT_GM_AGENT_NETNS_H
#define TESTS_UNIT_GM_AGENT_NETNS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "gm-agent/datapath.h"
#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/steer.h"
#include "tests/lib/test.h"

enum node { H1, GM1, WAN, GM2, H2, NODE_COUNT };
enum { DEADLINE_MS = 5000, PORT = 7777 };

struct net {
    int home;
    int ns[NODE_COUNT];
    struct gm_datapath_config config;
    struct datapath *gm1, *gm2;
    struct tek teks[2];
    struct selector selectors[2];
    size_t selector_count;
    int h1, h2;   /* UDP sockets of the hosts */
    int h2_group; /* of who has joined a group */
    int wire;     /* sees all on the WAN */
};

static UNUSED void enter(const struct net *net, enum node node)
{
    assert_int_equal(setns(net->ns[node], CLONE_NEWNET), 0);
}

static UNUSED void run(const char *format, ...) PRINTF_LIKE(1, 2);

static UNUSED void run(const char *format, ...)
{
    char command[256];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static UNUSED bool can_do(void)
{
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    bool fine = access("/dev/net/tun", R_OK | W_OK) == 0 && unshare(CLONE_NEWNET) == 0;
    fine = fine && setns(home, CLONE_NEWNET) == 0 && system("ip -V >/dev/null 2>&1") == 0;
    close(home);
    return fine;
}

static UNUSED void make_node(struct net *net, enum node node)
{
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    net->ns[node] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(net->ns[node] >= 0);
    run("ip link set lo up");
    int fd = open("/proc/sys/net/ipv4/ip_forward", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, "1", 1) == 1);
    close(fd);
}

static UNUSED void link_nodes(const struct net *net, enum node a, const char *dev_a, const char *addr_a,
                              enum node b, const char *dev_b, const char *addr_b)
{
    enter(net, a);
    run("ip link add %s type veth peer name %s netns /proc/%d/fd/%d", dev_a, dev_b, (int)getpid(),
        net->ns[b]);
    run("ip addr add %s dev %s && ip link set %s up", addr_a, dev_a, dev_a);
    enter(net, b);
    run("ip addr add %s dev %s && ip link set %s up", addr_b, dev_b, dev_b);
}

static UNUSED int udp_socket(const struct net *net, enum node node, const char *address)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    enter(net, node);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, address, &local.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    return fd;
}

static UNUSED struct tek make_tek(uint32_t spi, uint8_t transform)
{
    struct tek t = {.spi = spi,
                    .suite = {transform, 256, transform == ESP_AES_CBC ? AUTH_HMAC_SHA256 : AUTH_NONE}};
    uint8_t raw[64];
    memset(raw, (int)spi, sizeof(raw));
    assert_ok(secret_set(&t.key, (struct bytes){raw, esp_key_len(&t.suite)}));
    assert_ok(secret_set(&t.integrity, (struct bytes){raw, esp_integrity_len(&t.suite)}));
    return t;
}

static UNUSED void apply(struct net *net, struct datapath *dp, uint32_t sid, const struct tek *out)
{
    const char *why = NULL;
    struct datapath_state state = {.selectors = net->selectors,
                                   .selector_count = net->selector_count,
                                   .in = {&net->teks[0], &net->teks[1]},
                                   .in_count = 2,
                                   .out = out,
                                   .sid_bits = 8,
                                   .sids = &sid,
                                   .sid_count = 1};
    assert_ok(dp->ops->apply(dp, &state, &why));
}

static UNUSED struct datapath *open_member(struct net *net, enum node node)
{
    struct datapath *dp = NULL;
    const char *why = NULL;
    enter(net, node);
    err_t err = datapath_open(&net->config, &dp, &why);
    if (err != E_OK)
        fail_msg("%s: %s", why, err_text(err));
    return dp;
}

static UNUSED struct net *net_open_as(bool offload, uint32_t threads, uint32_t replay_window)
{
    struct net *net = calloc(1, sizeof(*net));
    assert_non_null(net);
    net->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < NODE_COUNT; i++)
        make_node(net, (enum node)i);
    link_nodes(net, H1, "eth0", "192.168.13.10/24", GM1, "lan0", "192.168.13.1/24");
    link_nodes(net, H2, "eth0", "192.168.14.10/24", GM2, "lan0", "192.168.14.1/24");
    link_nodes(net, GM1, "wan0", "10.1.13.2/24", WAN, "gm1", "10.1.13.1/24");
    link_nodes(net, GM2, "wan0", "10.1.14.2/24", WAN, "gm2", "10.1.14.1/24");
    run("ip route add 192.168.14.0/24 via 10.1.14.2 2>/dev/null || true");
    enter(net, H1);
    run("ip route add default via 192.168.13.1");
    enter(net, H2);
    run("ip route add default via 192.168.14.1");
    enter(net, GM1);
    run("ip route add default via 10.1.13.1");
    enter(net, GM2);
    run("ip route add default via 10.1.14.1");
    enter(net, WAN);
    run("ip route replace 192.168.13.0/24 via 10.1.13.2 && ip route replace 192.168.14.0/24 via 10.1.14.2");
    net->h1 = udp_socket(net, H1, "192.168.13.10");
    net->h2 = udp_socket(net, H2, "192.168.14.10");
    enter(net, WAN);
    net->wire = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_IP));
    assert_true(net->wire >= 0);

    strcpy(net->config.wan, "wan0");
    strcpy(net->config.lan[0], "lan0");
    net->config.lan_count = 1;
    strcpy(net->config.tun, "gdoi0");
    net->config.offload = offload;
    net->config.threads = threads;
    net->config.replay_window = replay_window;
    net->teks[0] = make_tek(0x1001, ESP_AES_CBC);
    net->teks[1] = make_tek(0x1002, ESP_AES_GCM_16);
    assert_ok(prefix_parse(&net->selectors[0].src, "192.168.0.0/16"));
    assert_ok(prefix_parse(&net->selectors[0].dst, "192.168.0.0/16"));
    net->selector_count = 1;
    net->gm1 = open_member(net, GM1);
    net->gm2 = open_member(net, GM2);
    apply(net, net->gm1, 1, &net->teks[0]);
    apply(net, net->gm2, 2, &net->teks[0]);
    return net;
}

static UNUSED struct net *net_open_with(bool offload)
{
    return net_open_as(offload, 1, 0);
}

static UNUSED struct net *net_open_lanes(uint32_t threads, uint32_t replay_window)
{
    return net_open_as(true, threads, replay_window);
}

static UNUSED struct net *net_open(void)
{
    return net_open_with(true);
}

static UNUSED void net_close(struct net *net)
{
    if (net->gm1 != NULL)
        net->gm1->ops->close(net->gm1);
    net->gm2->ops->close(net->gm2);
    close(net->h1);
    close(net->h2);
    close(net->wire);
    assert_int_equal(setns(net->home, CLONE_NEWNET), 0);
    for (int i = 0; i < NODE_COUNT; i++)
        close(net->ns[i]);
    close(net->home);
    free(net);
}

/* Serves both members until fd is readable. False: the time was up. */
static UNUSED bool serve_until(struct net *net, int fd, int deadline_ms)
{
    uint64_t end_ms = clock_mono_ms(&clock_system) + (uint64_t)deadline_ms;
    for (uint64_t now_ms; (now_ms = clock_mono_ms(&clock_system)) < end_ms;) {
        struct datapath *owners[2 * DATAPATH_FD_MAX + 1];
        struct pollfd polls[2 * DATAPATH_FD_MAX + 1];
        nfds_t count = 0;
        struct datapath *members[] = {net->gm1, net->gm2};
        for (size_t i = 0; i < 2; i++) {
            int fds[DATAPATH_FD_MAX];
            size_t n = members[i] != NULL ? members[i]->ops->fds(members[i], fds) : 0;
            for (size_t k = 0; k < n; k++) {
                owners[count] = members[i];
                polls[count++] = (struct pollfd){fds[k], POLLIN, 0};
            }
        }
        polls[count] = (struct pollfd){fd, POLLIN, 0};
        if (poll(polls, count + 1, (int)(end_ms - now_ms)) < 0)
            continue;
        for (nfds_t i = 0; i < count; i++)
            if (polls[i].revents != 0)
                owners[i]->ops->ready(owners[i], polls[i].fd);
        if (fd >= 0 && (polls[count].revents & POLLIN) != 0)
            return true;
    }
    return false;
}

static UNUSED void send_to(int fd, const char *address, const void *data, size_t len, int want_errno)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    assert_int_equal(inet_pton(AF_INET, address, &to.sin_addr), 1);
    ssize_t sent = sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to));
    if (want_errno != 0) {
        assert_int_equal(sent, -1);
        assert_int_equal(errno, want_errno);
    } else {
        assert_int_equal(sent, len);
    }
}

static UNUSED void exchange(struct net *net, size_t len)
{
    static uint8_t data[60000], got[60000];
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 31);
    send_to(net->h1, "192.168.14.10", data, len, 0);
    if (!serve_until(net, net->h2, DEADLINE_MS))
        fail_msg("%zu octets did not arrive at h2", len);
    assert_int_equal(recv(net->h2, got, sizeof(got), 0), len);
    assert_memory_equal(got, data, len);
    send_to(net->h2, "192.168.13.10", data, len, 0);
    if (!serve_until(net, net->h1, DEADLINE_MS))
        fail_msg("%zu octets did not arrive at h1", len);
    assert_int_equal(recv(net->h1, got, sizeof(got), 0), len);
}

/* All that was on the WAN since the last look: ESP, and packets of the hosts in clear. */
static UNUSED void look_at_wire(struct net *net, unsigned *esp, unsigned *clear)
{
    static uint8_t raw[65536];
    *esp = *clear = 0;
    for (;;) {
        ssize_t got = recv(net->wire, raw, sizeof(raw), 0);
        struct ip_packet p;
        if (got <= 0)
            return;
        if (ip_packet_decode(&p, (struct bytes){raw, (size_t)got}) != E_OK || p.src.bytes[0] != 192)
            continue;
        if (p.protocol == IP_PROTOCOL_ESP)
            (*esp)++;
        else
            (*clear)++;
    }
}

/* What was sent comes neither to h2 nor to the WAN, in that time. */
static UNUSED void nothing_leaves(struct net *net, int wait_ms)
{
    unsigned esp, clear;
    assert_false(serve_until(net, net->h2, wait_ms));
    look_at_wire(net, &esp, &clear);
    assert_int_equal(esp + clear, 0);
}

static UNUSED uint64_t counted(const struct datapath *dp, enum datapath_counter_id id)
{
    return dp->ops->counters(dp)[id].count;
}

#endif

/* Streams through the user back end on the real kernel: long packets of hosts come cut to the WAN and whole
 * to the other host. */
#include "netns.h"

#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
enum { STREAM = 2 << 20, WIRE_MAX = 1500 };

static uint8_t octet_of(size_t at)
{
    return (uint8_t)(at * 131 + (at >> 8) * 7);
}

static int tcp_socket(struct net *net, enum node node, const char *address)
{
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    enter(net, node);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(inet_pton(AF_INET, address, &local.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof(local)), 0);
    return fd;
}

/* Longest ESP packet that the WAN has seen; false: one of the hosts was seen in clear. */
static bool wire_longest(struct net *net, size_t *longest)
{
    static uint8_t raw[65536];
    ssize_t got;
    while ((got = recv(net->wire, raw, sizeof(raw), 0)) > 0) {
        if (raw[12] == 192 && raw[9] != IP_PROTOCOL_ESP)
            return false;
        if ((size_t)got > *longest)
            *longest = (size_t)got;
    }
    return true;
}

static void stream(struct net *net, int from, int to)
{
    static uint8_t out[65536], in[65536];
    size_t sent = 0, got = 0, longest = 0;
    uint64_t end_ms = clock_mono_ms(&clock_system) + 30000;
    while (got < STREAM && clock_mono_ms(&clock_system) < end_ms) {
        size_t some = STREAM - sent < sizeof(out) ? STREAM - sent : sizeof(out);
        for (size_t i = 0; i < some; i++)
            out[i] = octet_of(sent + i);
        ssize_t n = some != 0 ? send(from, out, some, MSG_NOSIGNAL) : 0;
        sent += n > 0 ? (size_t)n : 0;
        serve_until(net, to, 20);
        while ((n = recv(to, in, sizeof(in), 0)) > 0)
            for (ssize_t i = 0; i < n; i++)
                if (in[i] != octet_of(got++))
                    fail_msg("octet %zu is wrong", got - 1);
        assert_true(wire_longest(net, &longest));
    }
    assert_int_equal(got, STREAM);
    assert_in_range(longest, 1000, WIRE_MAX);
}

static void tcp_stream(bool offload)
{
    struct net *net = net_open_with(offload);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int h1 = tcp_socket(net, H1, "192.168.13.10"), h2 = tcp_socket(net, H2, "192.168.14.10");
    assert_int_equal(listen(h2, 1), 0);
    assert_int_equal(inet_pton(AF_INET, "192.168.14.10", &to.sin_addr), 1);
    assert_int_equal(connect(h1, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_true(serve_until(net, h2, DEADLINE_MS));
    int peer = accept4(h2, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(peer >= 0);
    serve_until(net, -1, 50);
    stream(net, h1, peer);
    stream(net, peer, h1);
    assert_int_equal(counted(net->gm1, DP_MALFORMED) + counted(net->gm2, DP_MALFORMED), 0);
    assert_true(counted(net->gm1, DP_ENCAPS) >= STREAM / 1450);
    assert_true(counted(net->gm1, DP_DECAPS) >= STREAM / 1450);
    close(peer);
    close(h1);
    close(h2);
    net_close(net);
}

static void a_tcp_stream_comes_whole_both_ways(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    tcp_stream(true);
}

static void and_without_offload(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    tcp_stream(false);
}

static void datagrams_sent_as_one_come_as_many(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    enum { COUNT = 20, LEN = 1000 };
    static uint8_t data[COUNT * LEN], got[65536];
    int size = LEN;
    if (setsockopt(net->h1, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) != 0) {
        net_close(net);
        skip(); /* this kernel does not */
    }
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = octet_of(i);
    send_to(net->h1, "192.168.14.10", data, sizeof(data), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(serve_until(net, net->h2, DEADLINE_MS));
        assert_int_equal(recv(net->h2, got, sizeof(got), 0), LEN);
        assert_memory_equal(got, data + i * LEN, LEN);
    }
    assert_int_equal(counted(net->gm2, DP_DECAPS), COUNT);
    net_close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tcp_stream_comes_whole_both_ways),
        cmocka_unit_test(and_without_offload),
        cmocka_unit_test(datagrams_sent_as_one_come_as_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

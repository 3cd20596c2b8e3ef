/* udp_test.c - the socket on loopback: batches, answers from the address that was asked, markers, odd
 * datagrams. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/udp.h"
#include "tests/lib/test.h"

enum { WAIT_MS = 5000 };

struct got {
    size_t count;
    struct ike_path path;
    uint8_t data[UDP_DATAGRAM_MAX];
    size_t len;
};

static void take(void *context, const struct ike_path *path, struct bytes datagram)
{
    struct got *got = context;
    got->count++;
    got->path = *path;
    assert_true(datagram.len <= sizeof(got->data));
    memcpy(got->data, datagram.data, datagram.len);
    got->len = datagram.len;
}

static void receive(struct udp *udp, struct got *got, size_t count)
{
    struct pollfd p = {.fd = udp_fd(udp), .events = POLLIN};
    while (got->count < count) {
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        udp_receive(udp, take, got);
    }
}

static int client_at(const char *address, struct endpoint *at)
{
    struct sockaddr_storage sa;
    assert_ok(addr_parse(&at->addr, address));
    at->port = 0;
    int fd = socket(at->addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t len = endpoint_to_sockaddr(at, &sa);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    len = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *at = endpoint_from_sockaddr((struct sockaddr *)&sa);
    return fd;
}

static void client_send(int fd, const struct endpoint *to, struct bytes datagram)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(to, &sa);
    assert_int_equal(sendto(fd, datagram.data, datagram.len, 0, (struct sockaddr *)&sa, len), datagram.len);
}

static size_t client_get(int fd, uint8_t *buf, size_t cap, struct endpoint *from)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    ssize_t got = recvfrom(fd, buf, cap, 0, (struct sockaddr *)&sa, &len);
    assert_true(got >= 0);
    *from = endpoint_from_sockaddr((struct sockaddr *)&sa);
    return (size_t)got;
}

static struct udp *open_at(const char *address)
{
    struct udp *udp;
    struct endpoint listen = {0};
    assert_ok(addr_parse(&listen.addr, address));
    assert_ok(udp_open(&udp, &listen));
    return udp;
}

static void a_datagram_comes_and_its_answer_goes_to_the_source(void **state)
{
    (void)state;
    static struct got got;
    struct endpoint at, from;
    uint8_t buf[64];
    got = (struct got){0};
    struct udp *udp = open_at("127.0.0.1");
    struct endpoint server = udp_endpoint(udp);
    int fd = client_at("127.0.0.5", &at);
    client_send(fd, &server, bytes_of_text("hello"));
    receive(udp, &got, 1);
    assert_true(endpoint_equal(&got.path.peer, &at));
    assert_true(addr_equal(&got.path.local, &server.addr));
    assert_int_equal(got.len, 5);
    udp_queue(udp, &got.path, bytes_of_text("good day"));
    got.path.marker = true;
    udp_queue(udp, &got.path, bytes_of_text("marked"));
    udp_flush(udp);
    assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 8);
    assert_true(endpoint_equal(&from, &server));
    assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 10);
    assert_memory_equal(buf, "\0\0\0\0marked", 10);
    close(fd);
    udp_free(udp);
}

static void a_wildcard_socket_answers_from_the_address_that_was_asked(void **state)
{
    (void)state;
    static const char *const wildcards[] = {"0.0.0.0", "::"};
    for (size_t i = 0; i < ARRAY_LEN(wildcards); i++) {
        static struct got got;
        struct endpoint at, from;
        uint8_t buf[64];
        got = (struct got){0};
        struct udp *udp = open_at(wildcards[i]);
        struct endpoint server = {addr_v4(127, 0, 0, 77), udp_endpoint(udp).port};
        int fd = client_at("127.0.0.5", &at);
        client_send(fd, &server, bytes_of_text("hello"));
        receive(udp, &got, 1);
        assert_true(endpoint_equal(&got.path.peer, &at)); /* as IPv4, also through an IPv6 socket */
        assert_true(addr_equal(&got.path.local, &server.addr));
        udp_queue(udp, &got.path, bytes_of_text("answer"));
        udp_flush(udp);
        assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 6);
        assert_true(endpoint_equal(&from, &server));
        /* A rekey goes out from the server address of its group, or from any if that is not here. */
        struct addr local = addr_v4(127, 0, 0, 78), elsewhere = addr_v4(192, 0, 2, 1);
        assert_int_equal(udp_send_many(udp, &local, bytes_of_text("push"), &at, 1), 1);
        assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 4);
        assert_true(addr_equal(&from.addr, &local));
        assert_int_equal(udp_send_many(udp, &elsewhere, bytes_of_text("push"), &at, 1), 1);
        assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 4);
        close(fd);
        udp_free(udp);
    }
}

static void many_datagrams_come_in_one_call(void **state)
{
    (void)state;
    static struct got got;
    struct endpoint at;
    got = (struct got){0};
    struct udp *udp = open_at("127.0.0.1");
    struct endpoint server = udp_endpoint(udp);
    int fd = client_at("127.0.0.5", &at);
    for (int i = 0; i < 100; i++)
        client_send(fd, &server, bytes_of_text("x"));
    receive(udp, &got, 100);
    assert_int_equal(got.count, 100);
    close(fd);
    udp_free(udp);
}

static void the_same_bytes_go_to_many(void **state)
{
    (void)state;
    enum { MANY = 600 };
    static struct endpoint to[MANY];
    struct endpoint at, from;
    uint8_t buf[64];
    struct udp *udp = open_at("127.0.0.1");
    struct addr none = {0};
    int fd = client_at("127.0.0.5", &at);
    int size = 1 << 22;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    size_t sent = 0, got = 0;
    for (size_t i = 0; i < MANY; i++)
        to[i] = at;
    while (sent < MANY) {
        size_t now = udp_send_many(udp, &none, bytes_of_text("push"), to + sent,
                                   MANY - sent < 100 ? MANY - sent : 100);
        sent += now;
        for (; now > 0; now--, got++)
            assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 4);
    }
    assert_int_equal(got, MANY);
    close(fd);
    udp_free(udp);
}

static void a_destination_that_is_refused_stops_nobody(void **state)
{
    (void)state;
    struct endpoint at, from;
    uint8_t buf[64];
    struct udp *udp = open_at("127.0.0.1");
    struct addr none = {0};
    int fd = client_at("127.0.0.5", &at);
    struct endpoint to[3] = {at, {addr_v4(255, 255, 255, 255), 848}, at}; /* broadcast: EACCES or no route */
    assert_int_equal(udp_send_many(udp, &none, bytes_of_text("push"), to, 3), 3);
    assert_int_equal(udp_lost(udp), 1);
    assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 4);
    assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 4);
    close(fd);
    udp_free(udp);
}

static void a_full_queue_is_sent_early(void **state)
{
    (void)state;
    struct endpoint at, from;
    uint8_t buf[64];
    struct udp *udp = open_at("127.0.0.1");
    int fd = client_at("127.0.0.5", &at);
    struct ike_path path = {.peer = at};
    for (int i = 0; i < UDP_OUT_MAX + 1; i++)
        udp_queue(udp, &path, bytes_of_text("x"));
    assert_int_equal(client_get(fd, buf, sizeof(buf), &from), 1);
    close(fd);
    udp_free(udp);
}

static void a_datagram_that_is_too_long_comes_cut(void **state)
{
    (void)state;
    static struct got got;
    static uint8_t big[UDP_DATAGRAM_MAX + 1000];
    struct endpoint at;
    got = (struct got){0};
    struct udp *udp = open_at("127.0.0.1");
    struct endpoint server = udp_endpoint(udp);
    int fd = client_at("127.0.0.5", &at);
    client_send(fd, &server, BYTES_OF(big));
    receive(udp, &got, 1);
    assert_true(got.len <= UDP_DATAGRAM_MAX);
    client_send(fd, &server, (struct bytes){big, 0});
    receive(udp, &got, 2);
    assert_int_equal(got.len, 0);
    close(fd);
    udp_free(udp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_comes_and_its_answer_goes_to_the_source),
        cmocka_unit_test(a_wildcard_socket_answers_from_the_address_that_was_asked),
        cmocka_unit_test(many_datagrams_come_in_one_call),
        cmocka_unit_test(the_same_bytes_go_to_many),
        cmocka_unit_test(a_destination_that_is_refused_stops_nobody),
        cmocka_unit_test(a_full_queue_is_sent_early),
        cmocka_unit_test(a_datagram_that_is_too_long_comes_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* bare_push_bench.c - the floor of a unicast rekey: as many datagrams of the same size to the same addresses,
 * by sendmmsg alone. bare_push_bench LOCAL_ADDRESS FIRST_ADDRESS COUNT OCTETS [PORT] Prints how long the
 * sending took. The datagrams have an ISAKMP header that names no KEK, so that nobody answers them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/wire/isakmp_header.h"

enum { AT_ONCE = 256, OCTETS_MAX = 9000 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "bare_push_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* All of them, AT_ONCE to a call. */
static void send_all(int fd, uint32_t first, uint32_t count, uint16_t port, struct iovec *part)
{
    static struct sockaddr_in names[AT_ONCE];
    static struct mmsghdr messages[AT_ONCE];
    uint32_t sent = 0;
    while (sent < count) {
        unsigned n = 0;
        for (; n < AT_ONCE && sent + n < count; n++) {
            names[n] = (struct sockaddr_in){
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(first + sent + n)};
            messages[n].msg_hdr = (struct msghdr){
                .msg_name = &names[n], .msg_namelen = sizeof(names[n]), .msg_iov = part, .msg_iovlen = 1};
        }
        int done = sendmmsg(fd, messages, n, 0);
        if (done <= 0)
            die("sendmmsg");
        sent += (uint32_t)done;
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[OCTETS_MAX];
    struct in_addr local, first;
    if (argc < 5 || inet_pton(AF_INET, argv[1], &local) != 1 || inet_pton(AF_INET, argv[2], &first) != 1) {
        fprintf(stderr, "usage: bare_push_bench LOCAL_ADDRESS FIRST_ADDRESS COUNT OCTETS [PORT]\n");
        return 2;
    }
    uint32_t count = (uint32_t)strtoul(argv[3], NULL, 10), len = (uint32_t)strtoul(argv[4], NULL, 10);
    uint16_t port = argc > 5 ? (uint16_t)strtoul(argv[5], NULL, 10) : GDOI_PORT;
    struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr = local};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 64 << 20;
    if (len < ISAKMP_HEADER_LEN || len > OCTETS_MAX || fd < 0 ||
        bind(fd, (struct sockaddr *)&me, sizeof(me)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0)
        die("socket");
    memset(data, 0xff, sizeof(data));
    struct writer w = writer_over(data, len);
    struct isakmp_header header = {.version = 0x10, .exchange = EXCHANGE_PUSH, .flags = 1};
    memset(header.cookie_i, 0xee, COOKIE_LEN);
    memset(header.cookie_r, 0xee, COOKIE_LEN);
    isakmp_header_encode(&w, &header);
    w.len = len;
    isakmp_message_end(&w, 0);
    struct iovec part = {.iov_base = data, .iov_len = len};
    double start = now_s();
    send_all(fd, ntohl(first.s_addr), count, port, &part);
    printf("%.3f\n", (now_s() - start) * 1e3);
    return 0;
}

/* gdoi_load.c - the program: options, the socket, the loop. What it prints: load.h.
 *
 *   gdoi_load -S SERVER,... -f FIRST_ADDRESS -n MEMBERS -k PSK_FILE [-g GROUP_NUMBER] [-s SUITE] [-c AT_ONCE]
 * [-r PER_SECOND]
 *             [-t TOTAL] [-T TRY_MS] [-p PORT] [-o] [-q] [-x] [-A]
 *   -o every registration begins at the first server   -q no line per registration   -x ends after TOTAL   -A
 * acknowledges nothing Ends at SIGTERM or SIGINT. The last line is a summary in JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/torture/load.h"

enum { RECEIVE_BUFFER = 64 << 20, RECEIVE_ROUND = 256, TICK_US = 5000 };

static volatile sig_atomic_t ended, paused;

static void on_signal(int number)
{
    if (number == SIGUSR1 || number == SIGUSR2)
        paused = number == SIGUSR1;
    else
        ended = 1;
}

static void die(const char *what, err_t err)
{
    fprintf(stderr, "gdoi_load: %s: %s\n", what, err == E_OK ? strerror(errno) : err_text(err));
    exit(1);
}

uint64_t load_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

struct addr load_member_addr(const struct load *load, size_t member)
{
    uint32_t a = load->options.first + (uint32_t)member;
    return addr_v4((uint8_t)(a >> 24), (uint8_t)(a >> 16), (uint8_t)(a >> 8), (uint8_t)a);
}

/* From the member's own address. A full queue loses it, as a network would. */
void load_send(struct load *load, size_t member, const struct endpoint *to, struct bytes datagram)
{
    union {
        struct cmsghdr head;
        uint8_t room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control = {0};
    struct sockaddr_storage name;
    struct iovec part = {.iov_base = (void *)(uintptr_t)datagram.data, .iov_len = datagram.len};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = endpoint_to_sockaddr(to, &name),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(load->options.first + (uint32_t)member)};
    control.head.cmsg_level = IPPROTO_IP;
    control.head.cmsg_type = IP_PKTINFO;
    control.head.cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(&control.head), &info, sizeof(info));
    (void)!sendmsg(load->fd, &message, 0); /* also "port unreachable" of a server that was killed */
}

static void open_socket(struct load *load)
{
    int one = 1, room = RECEIVE_BUFFER;
    struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(load->options.port)};
    load->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (load->fd < 0 || setsockopt(load->fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) != 0 ||
        bind(load->fd, (struct sockaddr *)&me, sizeof(me)) != 0)
        die("socket", E_OK);
    if (setsockopt(load->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0 ||
        setsockopt(load->fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0)
        die("socket buffers", E_OK);
}

/* One datagram and the member that it is for. False: none is there. */
static bool receive(struct load *load, uint8_t *room, struct bytes *out, size_t *member,
                    struct endpoint *from)
{
    union {
        struct cmsghdr head;
        uint8_t room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    } control;
    struct sockaddr_storage name = {0};
    struct iovec part = {.iov_base = room, .iov_len = ISAKMP_MESSAGE_MAX};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = sizeof(name),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n;
    do
        n = recvmsg(load->fd, &message, 0);
    while (n < 0 && errno != EAGAIN && errno != EINTR); /* errors of earlier sends */
    if (n < 0)
        return false;
    *member = SIZE_MAX;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        struct in_pktinfo info;
        if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
            continue;
        memcpy(&info, CMSG_DATA(c), sizeof(info));
        *member = ntohl(info.ipi_addr.s_addr) - load->options.first;
    }
    *out = (struct bytes){room, (size_t)n};
    *from = endpoint_from_sockaddr((struct sockaddr *)&name);
    return true;
}

static void take(struct load *load, size_t member, const struct endpoint *from, struct bytes datagram)
{
    struct isakmp_header header;
    struct bytes body;
    if (member >= load->options.members || isakmp_header_decode(&header, &body, datagram) != E_OK)
        load->unwanted++;
    else if (header.exchange == EXCHANGE_PUSH)
        load_push_datagram(load, member, from, datagram, load_now_us());
    else
        load_answer(load, member, datagram, load_now_us());
}

/* How many registrations should have begun by now? */
static void begin_due(struct load *load, uint64_t start_us, uint64_t now_us)
{
    const struct load_options *o = &load->options;
    while (!paused && load->flight_count < o->flight && (o->total == 0 || load->begun < o->total)) {
        if (o->rate > 0 && (double)load->begun > (double)(now_us - start_us) / 1e6 * o->rate)
            return;
        if (!load_begin(load, load_now_us()))
            return;
    }
}

static void run(struct load *load)
{
    static uint8_t room[ISAKMP_MESSAGE_MAX];
    uint64_t start_us = load_now_us(), tick_us = 0;
    while (!ended && !(load->options.quit && load->options.total != 0 && load->done >= load->options.total)) {
        struct pollfd wait = {.fd = load->fd, .events = POLLIN};
        struct bytes datagram;
        struct endpoint from;
        size_t member;
        (void)poll(&wait, 1, TICK_US / 1000);
        for (int i = 0; i < RECEIVE_ROUND && receive(load, room, &datagram, &member, &from); i++)
            take(load, member, &from, datagram);
        uint64_t now_us = load_now_us();
        begin_due(load, start_us, now_us);
        if (now_us - tick_us >= TICK_US) {
            tick_us = now_us;
            load_timers(load, now_us);
            load_push_idle(load, now_us);
            fflush(stdout);
        }
    }
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void summary(struct load *load)
{
    size_t n = load->done < LOAD_MEMBER_MAX ? (size_t)load->done : LOAD_MEMBER_MAX;
    qsort(load->latencies_us, n, sizeof(load->latencies_us[0]), compare_u32);
    double wall = load->done > 0 ? (double)(load->end_us - load->first_us) / 1e6 : 0;
    printf("{\"registrations\": %" PRIu64 ", \"failed_tries\": %" PRIu64
           ", \"under_way\": %zu, \"unwanted\": %" PRIu64
           ", \"wall_s\": %.3f, \"per_s\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
           load->done, load->failed, load->flight_count, load->unwanted, wall,
           wall > 0 ? (double)load->done / wall : 0, n > 0 ? load->latencies_us[n / 2] / 1e3 : 0,
           n > 0 ? load->latencies_us[n * 99 / 100] / 1e3 : 0, n > 0 ? load->latencies_us[n - 1] / 1e3 : 0);
    fflush(stdout);
}

static void read_psk(struct load_options *o, const char *path)
{
    uint8_t text[SECRET_LEN_MAX];
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, sizeof(text), f) : 0;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (n == 0 || secret_set(&o->psk, (struct bytes){text, n}) != E_OK)
        die(path, E_OK);
    fclose(f);
}

static void read_servers(struct load_options *o, char *list)
{
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        if (o->server_count == LOAD_SERVER_MAX || addr_parse(&o->servers[o->server_count].addr, word) != E_OK)
            die(word, E_RANGE);
        o->servers[o->server_count++].port = GDOI_PORT;
    }
}

static void read_option(struct load_options *o, int letter, char *value)
{
    struct in_addr first;
    err_t err = E_OK;
    switch (letter) {
    case 'S':
        read_servers(o, value);
        break;
    case 'f':
        err = inet_pton(AF_INET, value, &first) == 1 ? E_OK : E_RANGE;
        o->first = ntohl(first.s_addr);
        break;
    case 'n':
        o->members = strtoul(value, NULL, 10);
        break;
    case 'k':
        read_psk(o, value);
        break;
    case 'g':
        o->group = identity_from_number((uint32_t)strtoul(value, NULL, 10));
        break;
    case 's':
        err = ike_policy_add(&o->policy, value);
        break;
    case 'c':
        o->flight = strtoul(value, NULL, 10);
        break;
    case 'r':
        o->rate = strtod(value, NULL);
        break;
    case 't':
        o->total = strtoull(value, NULL, 10);
        break;
    case 'T':
        o->try_ms = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'p':
        o->port = (uint16_t)strtoul(value, NULL, 10);
        break;
    case 'o':
        o->ordered = true;
        break;
    case 'q':
        o->quiet = true;
        break;
    case 'x':
        o->quit = true;
        break;
    case 'A':
        o->no_ack = true;
        break;
    default:
        exit(2);
    }
    if (err != E_OK)
        die(value, err);
}

static void read_options(struct load_options *o, int argc, char **argv)
{
    int letter;
    *o = (struct load_options){
        .port = GDOI_PORT, .group = identity_from_number(3333), .flight = 1, .try_ms = 3000};
    o->policy.lifetime_s = 1200;
    while ((letter = getopt(argc, argv, "S:f:n:k:g:s:c:r:t:T:p:oqxA")) != -1)
        read_option(o, letter, optarg);
    if (o->policy.count == 0 && ike_policy_add(&o->policy, "aes256-sha256-ecp256") != E_OK)
        die("suite", E_RANGE);
    if (o->server_count == 0 || o->first == 0 || o->psk.len == 0 || o->members == 0 ||
        o->members > LOAD_MEMBER_MAX || o->flight == 0 || o->flight > LOAD_FLIGHT_MAX) {
        fprintf(
            stderr,
            "usage: gdoi_load -S SERVER,... -f FIRST -n MEMBERS -k PSK_FILE [options]; see gdoi_load.c\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    struct sigaction act = {.sa_handler = on_signal};
    read_options(&load.options, argc, argv);
    load.busy = calloc(load.options.members, sizeof(load.busy[0]));
    load.acked_seq = calloc(load.options.members, sizeof(load.acked_seq[0]));
    load.latencies_us = calloc(LOAD_MEMBER_MAX, sizeof(load.latencies_us[0]));
    if (load.busy == NULL || load.acked_seq == NULL || load.latencies_us == NULL)
        die("memory", E_NO_MEMORY);
    open_socket(&load);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGUSR2, &act, NULL);
    run(&load);
    load.push.last_us = 0;
    load_push_idle(&load, load_now_us());
    summary(&load);
    for (size_t i = 0; i < load.flight_count; i++) {
        main_mode_close(&load.flights[i]->mm);
        free(load.flights[i]);
    }
    for (size_t i = 0; i < load.kek_count; i++)
        push_member_close(&load.keks[i].push);
    free(load.busy);
    free(load.acked_seq);
    free(load.latencies_us);
    secret_close(&load.options.psk);
    close(load.fd);
    return 0;
}

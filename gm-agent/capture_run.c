/* capture_run.c - packet sockets into a file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "gm-agent/capture.h"

enum { RECEIVE_BUFFER = 8 << 20, BATCH = 64, WAIT_MS = 200 };

struct capture {
    const struct capture_request *request;
    const char *names[CAPTURE_DEVICE_MAX];
    struct pollfd fds[CAPTURE_DEVICE_MAX];
    size_t count;
    FILE *file;
    uint64_t taken[CAPTURE_DEVICE_MAX], dropped, total;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* IP packets without their link header, both directions, with the kernel's time. */
static err_t open_device(struct capture *c, const char *name)
{
    int on = 1, room = RECEIVE_BUFFER;
    unsigned index = if_nametoindex(name);
    if (index == 0)
        return E_NOT_FOUND;
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno == EPERM || errno == EACCES ? E_PERMISSION : E_IO;
    c->fds[c->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    c->names[c->count++] = name;
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    bool good = setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0 &&
                bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    return good ? E_OK : E_IO;
}

static err_t open_devices(struct capture *c, const struct gm_datapath_config *config)
{
    err_t err = E_OK;
    for (size_t i = 0; c->request->lan && i < config->lan_count && err == E_OK; i++)
        err = open_device(c, config->lan[i]);
    for (size_t i = 0;
         c->request->wan && config->wan[0] != '\0' && i <= config->more_wan_count && err == E_OK; i++)
        err = open_device(c, gm_config_wan(config, i));
    return err == E_OK && c->count == 0 ? E_UNSUPPORTED : err;
}

static err_t write_out(struct capture *c, const struct writer *w)
{
    struct bytes block = writer_bytes(w);
    return block.len != 0 && fwrite(block.data, 1, block.len, c->file) == block.len ? E_OK : E_IO;
}

static err_t open_file(struct capture *c)
{
    static uint8_t head[CAPTURE_HEAD_MAX];
    int fd = open(c->request->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == EEXIST ? E_EXISTS : errno == EACCES ? E_PERMISSION : E_IO;
    c->file = fdopen(fd, "w");
    if (c->file == NULL) {
        close(fd);
        return E_NO_MEMORY;
    }
    struct writer w = writer_over(head, sizeof(head));
    capture_write_head(&w, c->names, c->count, c->request->snap);
    err_t err = write_out(c, &w);
    return err == E_OK && fflush(c->file) != 0 ? E_IO : err; /* who watches the file sees that it began */
}

static uint64_t time_of(struct msghdr *message)
{
    for (struct cmsghdr *m = CMSG_FIRSTHDR(message); m != NULL; m = CMSG_NXTHDR(message, m)) {
        struct timespec when;
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_TIMESTAMPNS ||
            m->cmsg_len < CMSG_LEN(sizeof(when)))
            continue;
        memcpy(&when, CMSG_DATA(m), sizeof(when));
        return (uint64_t)when.tv_sec * 1000000000u + (uint64_t)when.tv_nsec;
    }
    return clock_wall_ms(&clock_system) * 1000000u;
}

/* E_AGAIN: nothing is there any more. */
static err_t take_packet(struct capture *c, size_t device)
{
    static uint8_t packet[CAPTURE_SNAP_MAX], block[CAPTURE_BLOCK_MAX];
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct timespec)) + 64];
    struct sockaddr_ll from = {0};
    struct iovec part = {packet, sizeof(packet)};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof(from),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(c->fds[device].fd, &message, MSG_TRUNC);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENETDOWN ? E_AGAIN : E_IO;
    size_t whole = (size_t)got, here = whole < sizeof(packet) ? whole : sizeof(packet);
    if (from.sll_protocol != htons(ETH_P_IP) && from.sll_protocol != htons(ETH_P_IPV6))
        return E_OK;
    if (!capture_matches(&c->request->filter, (struct bytes){packet, here}))
        return E_OK;
    struct writer w = writer_over(block, sizeof(block));
    capture_write_packet(&w, (uint32_t)device, time_of(&message),
                         from.sll_pkttype == PACKET_OUTGOING ? CAPTURE_OUT : CAPTURE_IN,
                         (struct bytes){packet, here < c->request->snap ? here : c->request->snap},
                         (uint32_t)whole);
    err_t err = write_out(c, &w);
    if (err == E_OK) {
        c->taken[device]++;
        c->total++;
    }
    return err;
}

static err_t take_packets(struct capture *c)
{
    uint64_t end_ms = clock_mono_ms(&clock_system) + c->request->seconds * 1000ull;
    err_t err = E_OK;
    while (!interrupted && c->total < c->request->count && clock_mono_ms(&clock_system) < end_ms) {
        if (poll(c->fds, c->count, WAIT_MS) < 0 && errno != EINTR)
            return E_IO;
        for (size_t i = 0; i < c->count; i++) {
            err = E_OK;
            for (unsigned n = 0; n < BATCH && err == E_OK && c->total < c->request->count; n++)
                err = take_packet(c, i);
            if (err != E_OK && err != E_AGAIN)
                return err;
        }
    }
    return E_OK;
}

static void count_dropped(struct capture *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct tpacket_stats stats = {0};
        socklen_t len = sizeof(stats);
        if (getsockopt(c->fds[i].fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
            c->dropped += stats.tp_drops;
    }
}

static void tell(const struct capture *c, FILE *to)
{
    fprintf(to, "%s: %llu packets", c->request->path, (unsigned long long)c->total);
    for (size_t i = 0; i < c->count; i++)
        fprintf(to, ", %s %llu", c->names[i], (unsigned long long)c->taken[i]);
    fprintf(to, "; %llu dropped by the kernel\n", (unsigned long long)c->dropped);
}

err_t capture_run(const struct capture_request *request, const struct gm_datapath_config *config, FILE *to)
{
    struct capture c = {.request = request};
    interrupted = 0;
    err_t err = open_devices(&c, config);
    if (err == E_OK)
        err = open_file(&c);
    if (err == E_OK) {
        catch_signals();
        err = take_packets(&c);
        count_dropped(&c);
    }
    if (c.file != NULL && fclose(c.file) != 0 && err == E_OK)
        err = E_IO;
    for (size_t i = 0; i < c.count; i++)
        close(c.fds[i].fd);
    if (err == E_OK)
        tell(&c, to);
    return err;
}

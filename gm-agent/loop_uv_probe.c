/* loop_uv_probe.c - echo requests to the hosts that the configuration names, from our address in the first
 * LAN, so that they go the way of that LAN's packets. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/loop_uv_parts.h"

enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, ICMP_HEADER = 8, ANSWERS_MAX = 16 };

/* Our address in the first LAN. */
static bool lan_address(const struct gm_loop *loop, int fd, struct sockaddr_in *out)
{
    struct ifreq answer;
    memset(&answer, 0, sizeof(answer));
    memcpy(answer.ifr_name, loop->config->datapath.lan[0], sizeof(answer.ifr_name));
    if (ioctl(fd, SIOCGIFADDR, &answer) != 0)
        return false;
    memcpy(out, &answer.ifr_addr, sizeof(*out));
    return true;
}

/* The user back end is behind its TUN; packets of the machine are not led there by rules. Once bound a raw
 * socket stays so, but every connect asks the machine's routes anew. */
static bool aim(struct gm_loop *loop, size_t target)
{
    const struct gm_datapath_config *config = &loop->config->datapath;
    const int df = IP_PMTUDISC_DO;
    int fd = loop->probe.fds[target];
    struct sockaddr_in from, to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, loop->probe.core.targets[target].addr.bytes, 4);
    if (!loop->probe.bound[target]) {
        if (!lan_address(loop, fd, &from) ||
            (config->backend == GM_BACKEND_USER && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->tun,
                                                              (socklen_t)strlen(config->tun) + 1) != 0) ||
            setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &df, sizeof(df)) != 0 ||
            bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
            return false;
        loop->probe.bound[target] = true;
    }
    return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static uint32_t fits(void *context, size_t target)
{
    struct gm_loop *loop = context;
    const struct loop_probe *probe = &loop->probe;
    const struct addr *addr = &probe->core.targets[target].addr;
    int mtu = 0;
    socklen_t len = sizeof(mtu);
    if (!aim(loop, target) || getsockopt(probe->fds[target], IPPROTO_IP, IP_MTU, &mtu, &len) != 0 || mtu <= 0)
        return 0;
    uint32_t known = loop->datapath->ops->fits != NULL ? loop->datapath->ops->fits(loop->datapath, addr) : 0;
    return known != 0 && known < (uint32_t)mtu ? known : (uint32_t)mtu;
}

static void send_echo(struct gm_loop *loop, size_t target, uint32_t len, uint16_t seq)
{
    uint8_t *echo = loop->datagram; /* scratch between two datagrams */
    size_t body = len - IP_HEADER_LEN;
    memset(echo, 0, body);
    echo[0] = ECHO_REQUEST;
    memcpy(echo + 4, &loop->probe.id, sizeof(loop->probe.id));
    echo[6] = (uint8_t)(seq >> 8);
    echo[7] = (uint8_t)seq;
    uint16_t sum = ip_checksum((struct bytes){echo, body});
    echo[2] = (uint8_t)(sum >> 8);
    echo[3] = (uint8_t)sum;
    /* What cannot be sent is as good as lost: the core tries again, or finds the way silent. */
    if (loop->probe.bound[target] || aim(loop, target))
        (void)!send(loop->probe.fds[target], echo, body, MSG_DONTWAIT);
}

static void go_on(struct gm_loop *loop);

static void on_probe_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

static void go_on(struct gm_loop *loop)
{
    size_t target;
    uint32_t len;
    uint16_t seq;
    uint64_t now_ms = clock_mono_ms(&clock_system);
    while (path_probe_next(&loop->probe.core, now_ms, &target, &len, &seq))
        send_echo(loop, target, len, seq);
    uint64_t at = path_probe_wake_ms(&loop->probe.core);
    uint64_t wait_ms = at > now_ms + LOOP_TIMER_MS_MIN ? at - now_ms : LOOP_TIMER_MS_MIN;
    uv_timer_start(&loop->probe.timer, on_probe_timer, wait_ms, 0);
}

/* One datagram from the IP header on. */
static void take(struct gm_loop *loop, size_t target, struct bytes packet)
{
    struct ip_packet ip;
    if (ip_packet_decode(&ip, packet) != E_OK || ip.whole.len < ip.header_len + (size_t)ICMP_HEADER)
        return;
    const uint8_t *echo = ip.whole.data + ip.header_len;
    uint32_t len = (uint32_t)(ip.whole.len - ip.header_len) + IP_HEADER_LEN;
    if (echo[0] != ECHO_REPLY || memcmp(echo + 4, &loop->probe.id, sizeof(loop->probe.id)) != 0)
        return;
    path_probe_answer(&loop->probe.core, target, (uint16_t)(echo[6] << 8 | echo[7]), len,
                      clock_mono_ms(&clock_system));
}

static void on_echo(uv_poll_t *poll, int status, int events)
{
    struct gm_loop *loop = poll->data;
    size_t target = (size_t)(poll - loop->probe.polls);
    (void)events;
    for (unsigned i = 0; i < ANSWERS_MAX && status == 0; i++) {
        ssize_t got = recv(loop->probe.fds[target], loop->datagram, sizeof(loop->datagram), MSG_DONTWAIT);
        if (got <= 0)
            break;
        take(loop, target, (struct bytes){loop->datagram, (size_t)got});
    }
    go_on(loop);
}

err_t loop_probe_open(struct gm_loop *loop, char *why, size_t why_size)
{
    struct loop_probe *probe = &loop->probe;
    const struct gm_datapath_config *config = &loop->config->datapath;
    if (config->probe_count == 0)
        return E_OK;
    path_probe_init(&probe->core, config, clock_mono_ms(&clock_system));
    probe->core.fits = fits;
    probe->core.context = loop;
    err_t err = rng_fill(&rng_system, (uint8_t *)&probe->id, sizeof(probe->id));
    for (size_t i = 0; i < probe->core.count && err == E_OK; i++) {
        probe->fds[i] = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP);
        if (probe->fds[i] < 0)
            err = errno == EPERM ? E_PERMISSION : E_IO;
        else if (uv_poll_init(&loop->uv, &probe->polls[i], probe->fds[i]) != 0)
            err = E_IO;
        else
            probe->poll_count++;
        probe->polls[i].data = loop;
        if (err == E_OK && uv_poll_start(&probe->polls[i], UV_READABLE, on_echo) != 0)
            err = E_IO;
    }
    if (err != E_OK) {
        snprintf(why, why_size, "datapath.probe: %s", err_text(err));
        return err;
    }
    uv_timer_init(&loop->uv, &probe->timer);
    probe->timer.data = loop;
    go_on(loop);
    return E_OK;
}

void loop_probe_close(struct gm_loop *loop)
{
    for (size_t i = 0; i < loop->probe.poll_count; i++)
        close(loop->probe.fds[i]);
}

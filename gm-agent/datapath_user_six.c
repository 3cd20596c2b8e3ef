/* datapath_user_six.c - IPv6 on the WAN: raw sockets, which take headers when sending and hide them when
 * receiving (RFC 3542 3). */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/packet_tap.h"
#include "gm-agent/tun.h"

enum {
    CONTROL_MAX = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)),
    CLASS_SHIFT = 20,
};

err_t user_six_open_out(struct user_datapath *dp)
{
    err_t err = user_raw_socket(AF_INET6, dp->config->wan, IPPROTO_RAW, SO_SNDBUFFORCE, &dp->wan_out6);
    return err == E_UNSUPPORTED ? E_OK : err;
}

err_t user_six_open_in(struct user_datapath *dp)
{
    const int yes = 1;
    if (dp->wan_out6 < 0)
        return E_OK;
    err_t err = user_raw_socket(AF_INET6, dp->config->wan, IPPROTO_ESP, SO_RCVBUFFORCE, &dp->wan_in6);
    if (err != E_OK)
        return err;
    if (setsockopt(dp->wan_in6, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof(yes)) != 0 ||
        setsockopt(dp->wan_in6, IPPROTO_IPV6, IPV6_RECVTCLASS, &yes, sizeof(yes)) != 0)
        return E_IO;
    return E_OK;
}

err_t user_six_open(struct user_datapath *dp)
{
    err_t err = user_six_open_in(dp);
    if (err != E_OK || dp->wan_in6 < 0)
        return err;
    err = packet_tap_open(TAP_TOO_BIG_6, ICMP_BUFFER, &dp->wan_icmp6);
    dp->ipv6 = err == E_OK;
    return err;
}

/* Does a device that packets of hosts pass have IPv6, or would one that comes later? */
static bool passes_ipv6(const struct gm_datapath_config *config)
{
    bool passes = tun_ipv6_is_on(config->wan) || tun_ipv6_is_on("default");
    for (size_t i = 0; i < config->lan_count; i++)
        passes = passes || tun_ipv6_is_on(config->lan[i]);
    return passes;
}

err_t user_six_settle(struct user_datapath *dp, const char *guard, const char **why)
{
    if (!dp->ipv6 || (tun_ipv6_is_on(dp->config->tun) && tun_ipv6_is_on(guard)))
        return E_OK;
    if (passes_ipv6(dp->config)) {
        *why = "IPv6 is on for the LAN, the WAN or new devices, and cannot be switched on for the TUN (disable_ipv6)";
        return E_PERMISSION;
    }
    event(DATAPATH_STATE, "user", "IPv6 is switched off on this machine and stays so: only IPv4 is protected");
    dp->ipv6 = false;
    int *fds[] = {&dp->wan_out6, &dp->wan_in6, &dp->wan_icmp6};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        close(*fds[i]);
        *fds[i] = -1;
    }
    return E_OK;
}

bool user_six_wanted(const struct datapath_state *state)
{
    bool six = false;
    for (size_t i = 0; i < state->selector_count && !state->closed; i++)
        six = six || state->selectors[i].src.addr.family == AF_INET6;
    return six;
}

err_t user_six_check(struct user_datapath *dp, const struct datapath_state *state, const char **why)
{
    if (!user_six_wanted(state))
        return E_OK;
    if (!dp->ipv6) {
        *why = "the policy protects IPv6, which this machine has not or has switched off";
        return E_UNSUPPORTED;
    }
    if (!dp->told_forwarding && !tun_forwarding(AF_INET6)) {
        event(DATAPATH_STATE, "user",
              "net.ipv6.conf.all.forwarding is 0: no IPv6 packet of a host is forwarded");
        dp->told_forwarding = true;
    }
    return E_OK;
}

/* Destination and traffic class. False: the kernel did not tell. */
static bool read_control(struct msghdr *message, struct addr *dst, uint32_t *traffic_class)
{
    bool told = false;
    *traffic_class = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != IPPROTO_IPV6)
            continue;
        if (c->cmsg_type == IPV6_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof(struct in6_pktinfo))) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            dst->family = AF_INET6;
            memcpy(dst->bytes, &info.ipi6_addr, 16);
            told = true;
        } else if (c->cmsg_type == IPV6_TCLASS && c->cmsg_len >= CMSG_LEN(sizeof(int))) {
            int value;
            memcpy(&value, CMSG_DATA(c), sizeof(value));
            *traffic_class = (uint32_t)value & 0xff;
        }
    }
    return told;
}

bool user_six_batch(struct user_datapath *dp)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in6 from[BATCH];
    _Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL_MAX];
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){dp->in[i] + IP6_HEADER_LEN, PACKET_MAX - IP6_HEADER_LEN};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                              .msg_namelen = sizeof(from[i]),
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1,
                                              .msg_control = control[i],
                                              .msg_controllen = sizeof(control[i])};
    }
    int got = recvmmsg(dp->wan_in6, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        struct addr dst, src = {.family = AF_INET6};
        uint32_t traffic_class;
        if (!read_control(&messages[i].msg_hdr, &dst, &traffic_class))
            continue;
        memcpy(src.bytes, &from[i].sin6_addr, 16);
        ip6_header_write(dp->in[i], &src, &dst, traffic_class << CLASS_SHIFT, IP_PROTOCOL_ESP,
                         messages[i].msg_len);
        user_take_esp(dp, (struct bytes){dp->in[i], IP6_HEADER_LEN + messages[i].msg_len});
    }
    return got == BATCH;
}

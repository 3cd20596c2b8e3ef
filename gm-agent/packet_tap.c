/* packet_tap.c - packet sockets with a filter. */
#include "gm-agent/packet_tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/path_mtu.h"

enum {
    FIRST_AT = 0,
    FRAGMENT_AT = 6,
    IP_PROTOCOL_AT = 9,
    IP_DST_AT = 16,
    IP6_NEXT_AT = 6,
    ICMP = 1,
    ICMP6_TOO_BIG = 2,
    FRAGMENT_OFFSET = 0x1fff
};

/* Never what we send ourselves. */
#define NOT_OUTGOING(otherwise)                                                                              \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),                             \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, (otherwise), 0)

static struct sock_filter group_esp[] = {
    NOT_OUTGOING(5),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP_PROTOCOL_AT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_PROTOCOL_ESP, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP_DST_AT),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xe0, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
};

/* X: where the IP header ends. */
static struct sock_filter too_big[] = {
    NOT_OUTGOING(7),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP_PROTOCOL_AT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP, 0, 5),
    BPF_STMT(BPF_LD | BPF_H | BPF_ABS, FRAGMENT_AT),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FRAGMENT_OFFSET, 3, 0),
    BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, FIRST_AT),
    BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3 << 8 | 4, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
};

static struct sock_filter too_big_6[] = {
    NOT_OUTGOING(4),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP6_NEXT_AT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_PROTOCOL_ICMPV6, 0, 2),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP6_HEADER_LEN),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_TOO_BIG, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
};

static const struct sock_fprog programs[] = {
    [TAP_GROUP_ESP] = {ARRAY_LEN(group_esp), group_esp},
    [TAP_TOO_BIG] = {ARRAY_LEN(too_big), too_big},
    [TAP_TOO_BIG_6] = {ARRAY_LEN(too_big_6), too_big_6},
};

err_t packet_tap_open(enum packet_tap kind, int buffer, int *out)
{
    *out = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0)
        return errno == EPERM ? E_PERMISSION : E_IO;
    if (setsockopt(*out, SOL_SOCKET, SO_ATTACH_FILTER, &programs[kind], sizeof(programs[kind])) == 0 &&
        setsockopt(*out, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) == 0)
        return E_OK;
    close(*out);
    *out = -1;
    return E_IO;
}

err_t packet_tap_listen(enum packet_tap kind, int fd, uint32_t device_index)
{
    struct packet_mreq all = {.mr_ifindex = (int)device_index, .mr_type = PACKET_MR_ALLMULTI};
    uint16_t protocol = kind == TAP_TOO_BIG_6 ? ETH_P_IPV6 : ETH_P_IP;
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol)};
    at.sll_ifindex = (int)device_index;
    bool heard =
        kind != TAP_GROUP_ESP || setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) == 0;
    if (heard && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
        return E_OK;
    return errno == EPERM ? E_PERMISSION : E_IO;
}

enum { COMPLAINTS = 32, COMPLAINT_MAX = 1500 /* octets */ };

bool packet_tap_complaints(int fd, void (*take)(void *context, const struct path_mtu_hint *hint),
                           void *context)
{
    uint8_t packet[COMPLAINT_MAX];
    for (unsigned i = 0; i < COMPLAINTS; i++) {
        struct path_mtu_hint hint;
        ssize_t got = recv(fd, packet, sizeof(packet), 0);
        if (got <= 0)
            return false;
        if (path_mtu_read(&hint, (struct bytes){packet, (size_t)got}))
            take(context, &hint);
    }
    return true;
}

/* group_socket.c - a packet socket with a filter. */
#include "gm-agent/group_socket.h"

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

enum { IP_PROTOCOL_AT = 9, IP_DST_AT = 16 };

/* Not what we send ourselves, and only protocol 50 to 224.0.0.0/4. */
static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 5, 0),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP_PROTOCOL_AT),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_PROTOCOL_ESP, 0, 3),
    BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP_DST_AT),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xe0, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, IP_PACKET_MAX),
};

err_t group_socket_open(int buffer, int *out)
{
    struct sock_fprog program = {ARRAY_LEN(filter), filter};
    *out = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*out < 0)
        return errno == EPERM ? E_PERMISSION : E_IO;
    if (setsockopt(*out, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0 &&
        setsockopt(*out, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) == 0)
        return E_OK;
    close(*out);
    *out = -1;
    return E_IO;
}

err_t group_socket_listen(int fd, uint32_t device_index)
{
    struct packet_mreq all = {.mr_ifindex = (int)device_index, .mr_type = PACKET_MR_ALLMULTI};
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
    at.sll_ifindex = (int)device_index;
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
        return errno == EPERM ? E_PERMISSION : E_IO;
    return E_OK;
}

/* netlink_route.c - the rtnetlink socket and links. */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "gm-agent/netlink_parts.h"

enum { ANSWER_TIMEOUT_S = 2 }; /* rtnetlink answers at once; this is for a kernel that does not */

static err_t from_errno(int number)
{
    switch (number) {
    case EPERM:
    case EACCES:
        return E_PERMISSION;
    case ENOENT:
    case ENODEV:
    case ESRCH:
    case ENXIO:
        return E_NOT_FOUND;
    case EEXIST:
        return E_EXISTS;
    case EAGAIN:
        return E_TIMEOUT;
    default:
        return E_IO;
    }
}

err_t netlink_route_open(struct netlink_route **out)
{
    struct netlink_route *netlink = calloc(1, sizeof(*netlink));
    if (netlink == NULL)
        return E_NO_MEMORY;
    netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    int strict = 1; /* the kernel filters dumps as asked (Linux 4.20) */
    if (netlink->socket == NULL || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) !=
            0 ||
        mnl_socket_setsockopt(netlink->socket, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict)) != 0) {
        netlink_route_close(netlink);
        return E_IO;
    }
    netlink->port = mnl_socket_get_portid(netlink->socket);
    *out = netlink;
    return E_OK;
}

void netlink_route_close(struct netlink_route *netlink)
{
    if (netlink == NULL)
        return;
    if (netlink->socket != NULL)
        mnl_socket_close(netlink->socket);
    free(netlink);
}

struct nlmsghdr *netlink_begin(struct netlink_route *netlink, uint8_t *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = ++netlink->seq;
    return message;
}

/* Sends, and hands the answers to the callback until the acknowledgement or the end of the dump. */
err_t netlink_talk(struct netlink_route *netlink, const struct nlmsghdr *message, mnl_cb_t callback,
                   void *context)
{
    uint32_t seq = message->nlmsg_seq;
    if (mnl_socket_sendto(netlink->socket, message, message->nlmsg_len) < 0)
        return from_errno(errno);
    for (;;) {
        ssize_t got = mnl_socket_recvfrom(netlink->socket, netlink->answer, sizeof(netlink->answer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return from_errno(errno);
        const struct nlmsghdr *first = (const struct nlmsghdr *)netlink->answer;
        if (mnl_nlmsg_ok(first, (int)got) && first->nlmsg_seq != seq)
            continue; /* what is left of a request that timed out */
        int ran = mnl_cb_run(netlink->answer, (size_t)got, seq, netlink->port, callback, context);
        if (ran == MNL_CB_STOP)
            return E_OK;
        if (ran < 0)
            return from_errno(errno);
    }
}

err_t netlink_request(struct netlink_route *netlink, const struct nlmsghdr *message)
{
    return netlink_talk(netlink, message, NULL, NULL);
}

/* IFLA_LINKINFO: what kind of device it is, and for a VRF its table. */
static void read_kind(const struct nlattr *info, struct link_info *out)
{
    const struct nlattr *attribute, *data = NULL, *inner;
    bool vrf = false;
    mnl_attr_for_each_nested(attribute, info)
    {
        if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND)
            vrf = mnl_attr_get_payload_len(attribute) == 4 &&
                  memcmp(mnl_attr_get_payload(attribute), "vrf", 4) == 0;
        else if (mnl_attr_get_type(attribute) == IFLA_INFO_DATA)
            data = attribute;
    }
    if (!vrf || data == NULL)
        return;
    mnl_attr_for_each_nested(inner, data)
    {
        if (mnl_attr_get_type(inner) == IFLA_VRF_TABLE && mnl_attr_validate(inner, MNL_TYPE_U32) >= 0)
            out->vrf_table = mnl_attr_get_u32(inner);
    }
}

static int on_link(const struct nlmsghdr *message, void *context)
{
    struct link_info *out = context;
    const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    out->index = (uint32_t)link->ifi_index;
    out->up = (link->ifi_flags & IFF_UP) != 0;
    mnl_attr_for_each(attribute, message, sizeof(*link))
    {
        if (mnl_attr_get_type(attribute) == IFLA_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
            out->mtu = mnl_attr_get_u32(attribute);
        else if (mnl_attr_get_type(attribute) == IFLA_MASTER &&
                 mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
            out->master = mnl_attr_get_u32(attribute);
        else if (mnl_attr_get_type(attribute) == IFLA_IFNAME &&
                 mnl_attr_get_payload_len(attribute) <= sizeof(out->name))
            memcpy(out->name, mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute));
        else if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
            read_kind(attribute, out);
    }
    out->name[sizeof(out->name) - 1] = '\0';
    return MNL_CB_OK;
}

/* name: NULL, then by index. */
static err_t ask_link(struct netlink_route *netlink, const char *name, uint32_t index, struct link_info *out)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    memset(out, 0, sizeof(*out));
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_GETLINK, NLM_F_ACK);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    if (name != NULL)
        mnl_attr_put_strz(message, IFLA_IFNAME, name);
    err_t err = netlink_talk(netlink, message, on_link, out);
    return err == E_OK && out->index == 0 ? E_NOT_FOUND : err;
}

err_t netlink_link_info(struct netlink_route *netlink, const char *name, struct link_info *out)
{
    return ask_link(netlink, name, 0, out);
}

err_t netlink_link_by_index(struct netlink_route *netlink, uint32_t index, struct link_info *out)
{
    return ask_link(netlink, NULL, index, out);
}

err_t netlink_link_set(struct netlink_route *netlink, uint32_t index, uint32_t mtu, bool up)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_NEWLINK, NLM_F_ACK);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    link->ifi_change = IFF_UP;
    link->ifi_flags = up ? IFF_UP : 0;
    if (mtu != 0)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    return netlink_request(netlink, message);
}

/* datapath_xfrm_site.c - the devices as they are, and the route to the anchor. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/netlink_route.h"

enum { REQUEST_MAX = 512 };

/* One question about a device by ioctl. */
static bool ask(int fd, unsigned long question, const char *name, struct ifreq *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    return ioctl(fd, question, out) == 0;
}

static err_t read_wan(int fd, struct xfrm_site *site, const char **why)
{
    struct ifreq answer;
    *why = "there is no WAN device of that name";
    if (!ask(fd, SIOCGIFINDEX, site->wan, &answer))
        return E_NOT_FOUND;
    site->wan_index = (uint32_t)answer.ifr_ifindex;
    if (!ask(fd, SIOCGIFMTU, site->wan, &answer))
        return E_NOT_FOUND;
    site->wan_mtu = (uint32_t)answer.ifr_mtu;
    if (!ask(fd, SIOCGIFHWADDR, site->wan, &answer))
        return E_NOT_FOUND;
    site->wan_ethernet = answer.ifr_hwaddr.sa_family == ARPHRD_ETHER;
    *why = "the WAN device has no IPv4 address";
    if (!ask(fd, SIOCGIFADDR, site->wan, &answer))
        return E_NOT_FOUND;
    const struct sockaddr_in *address = (const struct sockaddr_in *)&answer.ifr_addr;
    memcpy(site->wan_addr, &address->sin_addr, 4);
    return E_OK;
}

err_t xfrm_site_read(struct xfrm_site *site, const struct gm_datapath_config *config, const char **why)
{
    struct ifreq answer;
    memset(site, 0, sizeof(*site));
    memcpy(site->instance, config->tun, sizeof(site->instance));
    memcpy(site->wan, config->wan, sizeof(site->wan));
    memcpy(site->anchor, config->anchor.bytes, sizeof(site->anchor));
    site->inner_mtu = config->mtu;
    site->deny = config->deny;
    site->deny_count = config->deny_count;
    *why = "no socket to ask about devices";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return E_IO;
    err_t err = read_wan(fd, site, why);
    for (size_t i = 0; i < config->lan_count && err == E_OK; i++) {
        *why = "there is no LAN device of that name";
        if (ask(fd, SIOCGIFINDEX, config->lan[i], &answer))
            site->lan_index[site->lan_count++] = (uint32_t)answer.ifr_ifindex;
        else
            err = E_NOT_FOUND;
    }
    close(fd);
    if (err == E_OK)
        *why = NULL;
    return err;
}

static struct nlmsghdr *begin(struct xfrm_socket *route, uint8_t *buffer, uint16_t type, uint16_t flags)
{
    memset(buffer, 0, REQUEST_MAX);
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    message->nlmsg_seq = xfrm_socket_next_seq(route);
    return message;
}

static void put_route(struct nlmsghdr *message, const struct xfrm_site *site)
{
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 32;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = NETLINK_ROUTE_PROTOCOL;
    route->rtm_scope = RT_SCOPE_LINK;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(message, RTA_DST, 4, site->anchor);
    mnl_attr_put_u32(message, RTA_OIF, site->wan_index);
}

err_t xfrm_host_route_add(struct xfrm_socket *route, const uint8_t addr[4], uint32_t index)
{
    uint8_t buffer[REQUEST_MAX];
    struct xfrm_site site = {.wan_index = index};
    memcpy(site.anchor, addr, 4);
    struct nlmsghdr *message = begin(route, buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, &site);
    return xfrm_socket_request(route, message);
}

static void put_neighbour(struct nlmsghdr *message, const struct xfrm_site *site)
{
    struct ndmsg *neighbour = mnl_nlmsg_put_extra_header(message, sizeof(*neighbour));
    neighbour->ndm_family = AF_INET;
    neighbour->ndm_ifindex = (int)site->wan_index;
    neighbour->ndm_state = NUD_PERMANENT;
    mnl_attr_put(message, NDA_DST, 4, site->anchor);
}

err_t xfrm_anchor_add(struct xfrm_socket *route, const struct xfrm_site *site, uint32_t mtu)
{
    /* Never seen on the wire: unicast is routed anew, multicast gets its group's address at the egress. */
    static const uint8_t nobody[6] = {0x02};
    uint8_t buffer[REQUEST_MAX];
    struct nlmsghdr *message = begin(route, buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, site);
    if (mtu != 0) {
        struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);
        mnl_attr_put_u32(message, RTAX_MTU, mtu);
        mnl_attr_nest_end(message, metrics);
    }
    err_t err = xfrm_socket_request(route, message);
    if (err != E_OK || !site->wan_ethernet)
        return err;
    message = begin(route, buffer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    put_neighbour(message, site);
    mnl_attr_put(message, NDA_LLADDR, sizeof(nobody), nobody);
    return xfrm_socket_request(route, message);
}

void xfrm_anchor_remove(struct xfrm_socket *route, const struct xfrm_site *site)
{
    uint8_t buffer[REQUEST_MAX];
    struct nlmsghdr *message = begin(route, buffer, RTM_DELROUTE, 0);
    put_route(message, site);
    err_t route_gone = xfrm_socket_request(route, message);
    message = begin(route, buffer, RTM_DELNEIGH, 0);
    put_neighbour(message, site);
    err_t neighbour_gone = xfrm_socket_request(route, message);
    (void)route_gone; /* missing already is fine, and more than trying cannot be done at the end */
    (void)neighbour_gone;
}

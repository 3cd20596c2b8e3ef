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

/* Keeps no more than the name of a device that is not there. */
static void read_uplink(int fd, struct xfrm_uplink *wan)
{
    struct ifreq index, answer;
    struct xfrm_uplink found;
    memset(&found, 0, sizeof(found)); /* sites are compared as octets */
    memcpy(found.name, wan->name, sizeof(found.name));
    if (!ask(fd, SIOCGIFINDEX, wan->name, &index) || !ask(fd, SIOCGIFMTU, wan->name, &answer))
        return;
    found.mtu = (uint32_t)answer.ifr_mtu;
    if (!ask(fd, SIOCGIFHWADDR, wan->name, &answer))
        return;
    found.ethernet = answer.ifr_hwaddr.sa_family == ARPHRD_ETHER;
    if (!ask(fd, SIOCGIFFLAGS, wan->name, &answer))
        return;
    found.up = (answer.ifr_flags & IFF_UP) != 0;
    if (ask(fd, SIOCGIFADDR, wan->name, &answer))
        memcpy(found.addr, &((const struct sockaddr_in *)&answer.ifr_addr)->sin_addr, 4);
    found.index = (uint32_t)index.ifr_ifindex;
    memcpy(wan, &found, sizeof(found));
}

/* Our end of the tunnels: as configured, or of the first uplink that is up. The kernel delivers nothing to
 * the address of a device that is down. */
static bool choose_address(struct xfrm_site *site, const struct gm_datapath_config *config)
{
    static const uint8_t none[4];
    if (config->address.family == AF_INET) {
        memcpy(site->wan_addr, config->address.bytes, 4);
        return true;
    }
    for (int down = 0; down < 2; down++)
        for (size_t i = 0; i < site->wan_count; i++)
            if (memcmp(site->wan[i].addr, none, 4) != 0 && (down != 0 || site->wan[i].up)) {
                memcpy(site->wan_addr, site->wan[i].addr, 4);
                return true;
            }
    return false;
}

static err_t read_wan(int fd, struct xfrm_site *site, const struct gm_datapath_config *config,
                      const char **why)
{
    bool there = false;
    for (size_t i = 0; i < 1 + config->more_wan_count; i++) {
        struct xfrm_uplink *wan = &site->wan[site->wan_count++];
        memcpy(wan->name, gm_config_wan(config, i), sizeof(wan->name));
        read_uplink(fd, wan);
        if (wan->index != 0 && (!there || wan->mtu < site->wan_mtu))
            site->wan_mtu = wan->mtu;
        there = there || wan->index != 0;
    }
    *why = "there is no WAN device of that name";
    if (!there)
        return E_NOT_FOUND;
    *why = "the WAN device has no IPv4 address";
    return choose_address(site, config) ? E_OK : E_NOT_FOUND;
}

/* All uplinks are in one VRF, or none is: our end of the tunnels is an address in it. */
static err_t read_vrf(struct netlink_route *netlink, struct xfrm_site *site, const char **why)
{
    bool first = true;
    for (size_t i = 0; i < site->wan_count; i++) {
        struct link_info wan, master = {.vrf_table = 0};
        if (site->wan[i].index == 0)
            continue;
        *why = "the VRF of the WAN device cannot be read";
        err_t err = netlink_link_by_index(netlink, site->wan[i].index, &wan);
        if (err == E_OK && wan.master != 0)
            err = netlink_link_by_index(netlink, wan.master, &master);
        if (err != E_OK)
            return err;
        uint32_t index = master.vrf_table != 0 ? master.index : 0;
        *why = "the uplinks are in different VRFs: one agent serves one VRF";
        if (!first && index != site->vrf_index)
            return E_UNSUPPORTED;
        if (first && index != 0) {
            memcpy(site->vrf, master.name, sizeof(site->vrf));
            site->vrf_index = index;
            site->table = master.vrf_table;
        }
        first = false;
    }
    return E_OK;
}

static err_t find_vrf(struct xfrm_site *site, const char **why)
{
    struct netlink_route *netlink = NULL;
    *why = "no route socket";
    err_t err = netlink_route_open(&netlink);
    if (err == E_OK)
        err = read_vrf(netlink, site, why);
    netlink_route_close(netlink);
    return err;
}

/* Switched on or off, now or later: in the kernel at all. */
static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 || errno != EAFNOSUPPORT;
    if (fd >= 0)
        close(fd);
    return has;
}

err_t xfrm_site_read(struct xfrm_site *site, const struct gm_datapath_config *config, const char **why)
{
    struct ifreq answer;
    memset(site, 0, sizeof(*site));
    site->table = RT_TABLE_MAIN;
    memcpy(site->instance, config->tun, sizeof(site->instance));
    memcpy(site->anchor, config->anchor.bytes, sizeof(site->anchor));
    site->copy_df = config->copy_df;
    site->inner_mtu = config->mtu;
    site->deny = config->deny;
    site->deny_count = config->deny_count;
    *why = "no socket to ask about devices";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return E_IO;
    site->ipv6 = has_ipv6();
    err_t err = read_wan(fd, site, config, why);
    for (size_t i = 0; i < config->lan_count && err == E_OK; i++) {
        *why = "there is no LAN device of that name";
        if (ask(fd, SIOCGIFINDEX, config->lan[i], &answer))
            site->lan_index[site->lan_count++] = (uint32_t)answer.ifr_ifindex;
        else
            err = E_NOT_FOUND;
    }
    close(fd);
    if (err == E_OK)
        err = find_vrf(site, why);
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

static void put_route(struct nlmsghdr *message, const uint8_t addr[4], uint32_t index, uint32_t table,
                      uint32_t metric)
{
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 32;
    route->rtm_table = RT_TABLE_UNSPEC;
    route->rtm_protocol = NETLINK_ROUTE_PROTOCOL;
    route->rtm_scope = RT_SCOPE_LINK;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(message, RTA_DST, 4, addr);
    mnl_attr_put_u32(message, RTA_OIF, index);
    mnl_attr_put_u32(message, RTA_TABLE, table);
    if (metric != 0)
        mnl_attr_put_u32(message, RTA_PRIORITY, metric);
}

err_t xfrm_host_route_add(struct xfrm_socket *route, const uint8_t addr[4], uint32_t index)
{
    uint8_t buffer[REQUEST_MAX];
    struct nlmsghdr *message = begin(route, buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, addr, index, RT_TABLE_MAIN, 0);
    return xfrm_socket_request(route, message);
}

static void put_neighbour(struct nlmsghdr *message, const uint8_t addr[4], uint32_t index)
{
    struct ndmsg *neighbour = mnl_nlmsg_put_extra_header(message, sizeof(*neighbour));
    neighbour->ndm_family = AF_INET;
    neighbour->ndm_ifindex = (int)index;
    neighbour->ndm_state = NUD_PERMANENT;
    mnl_attr_put(message, NDA_DST, 4, addr);
}

/* Each uplink has its own way to the anchor: the kernel asks for one out of the device that the packet will
 * leave by. The metric tells them apart. */
static err_t add_anchor(struct xfrm_socket *route, const struct xfrm_site *site, size_t uplink, uint32_t mtu)
{
    /* Never seen on the wire: unicast is routed anew, multicast gets its group's address at the egress. */
    static const uint8_t nobody[6] = {0x02};
    const struct xfrm_uplink *wan = &site->wan[uplink];
    uint8_t buffer[REQUEST_MAX];
    struct nlmsghdr *message = begin(route, buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, site->anchor, wan->index, site->table, (uint32_t)uplink);
    if (mtu != 0) {
        struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);
        mnl_attr_put_u32(message, RTAX_MTU, mtu);
        mnl_attr_nest_end(message, metrics);
    }
    err_t err = xfrm_socket_request(route, message);
    if (err != E_OK || !wan->ethernet)
        return err;
    message = begin(route, buffer, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    put_neighbour(message, site->anchor, wan->index);
    mnl_attr_put(message, NDA_LLADDR, sizeof(nobody), nobody);
    return xfrm_socket_request(route, message);
}

err_t xfrm_anchor_add(struct xfrm_socket *route, const struct xfrm_site *site, uint32_t mtu)
{
    err_t err = E_OK;
    for (size_t i = 0; i < site->wan_count && err == E_OK; i++)
        if (site->wan[i].up)
            err = add_anchor(route, site, i, mtu);
    return err;
}

void xfrm_anchor_remove(struct xfrm_socket *route, const struct xfrm_site *site)
{
    uint8_t buffer[REQUEST_MAX];
    for (size_t i = 0; i < site->wan_count; i++) {
        struct nlmsghdr *message = begin(route, buffer, RTM_DELROUTE, 0);
        put_route(message, site->anchor, site->wan[i].index, site->table, (uint32_t)i);
        err_t route_gone = xfrm_socket_request(route, message);
        message = begin(route, buffer, RTM_DELNEIGH, 0);
        put_neighbour(message, site->anchor, site->wan[i].index);
        err_t neighbour_gone = xfrm_socket_request(route, message);
        (void)route_gone; /* missing already is fine, and more than trying cannot be done at the end */
        (void)neighbour_gone;
    }
}

/* netlink_table.c - routes of our own tables, and the kernel's own of the main table. */
#include <string.h>

#include "gm-agent/netlink_parts.h"

enum {
    FIRST_METRIC = 100, /* else IPv6 takes 1024 */
    STOP_METRIC = 1000  /* behind every other route */
};

static struct rtmsg *put_route(struct nlmsghdr *message, uint8_t family, uint32_t table, uint8_t type)
{
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = family;
    route->rtm_table = RT_TABLE_UNSPEC;
    route->rtm_protocol = NETLINK_ROUTE_PROTOCOL;
    route->rtm_type = type;
    route->rtm_scope = type == RTN_LOCAL     ? RT_SCOPE_HOST
                       : type == RTN_UNICAST ? RT_SCOPE_LINK
                                             : RT_SCOPE_UNIVERSE;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    return route;
}

/* IPv4 takes 0 if none is said, as ever. */
static void put_metric(struct nlmsghdr *message, uint8_t family)
{
    if (family == AF_INET6)
        mnl_attr_put_u32(message, RTA_PRIORITY, FIRST_METRIC);
}

err_t netlink_table_default(struct netlink_route *netlink, uint8_t family, uint32_t table, uint32_t index,
                            bool local)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message =
        netlink_begin(netlink, buffer, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, family, table, local ? RTN_LOCAL : RTN_UNICAST);
    put_metric(message, family);
    mnl_attr_put_u32(message, RTA_OIF, index);
    return netlink_request(netlink, message);
}

err_t netlink_table_stop(struct netlink_route *netlink, uint8_t family, uint32_t table)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message =
        netlink_begin(netlink, buffer, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, family, table, RTN_PROHIBIT);
    mnl_attr_put_u32(message, RTA_PRIORITY, STOP_METRIC);
    return netlink_request(netlink, message);
}

err_t netlink_table_throw(struct netlink_route *netlink, uint32_t table, const struct prefix *prefix,
                          bool add)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    uint16_t flags = add ? NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE : NLM_F_ACK;
    struct nlmsghdr *message = netlink_begin(netlink, buffer, add ? RTM_NEWROUTE : RTM_DELROUTE, flags);
    struct rtmsg *route = put_route(message, prefix->addr.family, table, RTN_THROW);
    route->rtm_dst_len = prefix->bits;
    mnl_attr_put(message, RTA_DST, addr_len(&prefix->addr), prefix->addr.bytes);
    put_metric(message, prefix->addr.family);
    return netlink_request(netlink, message);
}

err_t netlink_table_narrow(struct netlink_route *netlink, uint32_t table, const struct addr *dst,
                           const struct route_hop *hop, uint32_t mtu)
{
    static const uint8_t none[4];
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    uint16_t flags = mtu != 0 ? NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE : NLM_F_ACK;
    struct nlmsghdr *message = netlink_begin(netlink, buffer, mtu != 0 ? RTM_NEWROUTE : RTM_DELROUTE, flags);
    struct rtmsg *route = put_route(message, dst->family, table, RTN_UNICAST);
    route->rtm_dst_len = (uint8_t)(8 * addr_len(dst));
    mnl_attr_put(message, RTA_DST, addr_len(dst), dst->bytes);
    put_metric(message, dst->family);
    mnl_attr_put_u32(message, RTA_OIF, hop->index);
    if (memcmp(hop->gateway, none, sizeof(none)) != 0) {
        route->rtm_scope = RT_SCOPE_UNIVERSE;
        mnl_attr_put(message, RTA_GATEWAY, sizeof(hop->gateway), hop->gateway);
    }
    if (mtu == 0) {
        route->rtm_scope = RT_SCOPE_NOWHERE; /* any */
    } else {
        struct nlattr *metrics = mnl_attr_nest_start(message, RTA_METRICS);
        mnl_attr_put_u32(message, RTAX_MTU, mtu);
        if (dst->family == AF_INET6) /* else it is not for what is forwarded */
            mnl_attr_put_u32(message, RTAX_LOCK, 1u << RTAX_MTU);
        mnl_attr_nest_end(message, metrics);
    }
    return netlink_request(netlink, message);
}

static int on_hop(const struct nlmsghdr *message, void *context)
{
    struct route_hop *out = context;
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    bool plain = route->rtm_type == RTN_UNICAST;
    mnl_attr_for_each(attribute, message, sizeof(*route))
    {
        uint16_t type = mnl_attr_get_type(attribute), len = mnl_attr_get_payload_len(attribute);
        if (type == RTA_OIF && len == sizeof(out->index))
            out->index = mnl_attr_get_u32(attribute);
        else if (type == RTA_GATEWAY && len == sizeof(out->gateway))
            memcpy(out->gateway, mnl_attr_get_payload(attribute), sizeof(out->gateway));
        else if (type == RTA_VIA)
            plain = false;
    }
    if (!plain)
        out->index = 0;
    return MNL_CB_OK;
}

err_t netlink_hop_to(struct netlink_route *netlink, const struct addr *dst, struct route_hop *out)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    memset(out, 0, sizeof(*out));
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_GETROUTE, NLM_F_ACK);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_dst_len = 32;
    mnl_attr_put(message, RTA_DST, 4, dst->bytes);
    err_t err = netlink_talk(netlink, message, on_hop, out);
    return err == E_OK && out->index == 0 ? E_UNSUPPORTED : err;
}

enum { ROUTE_BATCH = 64 }; /* routes of one dump that are taken */

struct found_route {
    struct prefix prefix;
    uint8_t type;
};

struct route_dump {
    struct found_route routes[ROUTE_BATCH];
    size_t count;
};

static int on_route(const struct nlmsghdr *message, void *context)
{
    struct route_dump *dump = context;
    const struct rtmsg *route = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    struct found_route found = {.type = route->rtm_type};
    found.prefix.addr.family = route->rtm_family;
    found.prefix.bits = route->rtm_dst_len;
    if (message->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len > 8 * addr_len(&found.prefix.addr) ||
        dump->count == ROUTE_BATCH)
        return MNL_CB_OK;
    mnl_attr_for_each(attribute, message, sizeof(*route))
    {
        if (mnl_attr_get_type(attribute) == RTA_DST &&
            mnl_attr_get_payload_len(attribute) == addr_len(&found.prefix.addr))
            memcpy(found.prefix.addr.bytes, mnl_attr_get_payload(attribute), addr_len(&found.prefix.addr));
    }
    dump->routes[dump->count++] = found;
    return MNL_CB_OK;
}

/* The first ROUTE_BATCH routes of a table; index, type and protocol 0: any. The kernel filters. */
static err_t dump_routes(struct netlink_route *netlink, uint8_t family, uint32_t table, uint32_t index,
                         uint8_t type, uint8_t protocol, struct route_dump *out)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_GETROUTE, NLM_F_DUMP);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = family;
    route->rtm_protocol = protocol;
    route->rtm_type = type;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    if (index != 0)
        mnl_attr_put_u32(message, RTA_OIF, index);
    out->count = 0;
    err_t err = netlink_talk(netlink, message, on_route, out);
    return err == E_NOT_FOUND ? E_OK : err; /* a table that nobody used yet */
}

err_t netlink_connected(struct netlink_route *netlink, uint8_t family, uint32_t index, struct prefix *out,
                        size_t max, size_t *count)
{
    struct route_dump dump;
    *count = 0;
    err_t err = dump_routes(netlink, family, RT_TABLE_MAIN, index, RTN_UNICAST, RTPROT_KERNEL, &dump);
    for (size_t i = 0; i < dump.count && err == E_OK && *count < max; i++)
        if (dump.routes[i].prefix.bits != 0)
            out[(*count)++] = dump.routes[i].prefix;
    return err;
}

static err_t delete_route(struct netlink_route *netlink, uint32_t table, const struct found_route *found)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_DELROUTE, NLM_F_ACK);
    struct rtmsg *route = put_route(message, found->prefix.addr.family, table, found->type);
    route->rtm_scope = RT_SCOPE_NOWHERE; /* any */
    route->rtm_protocol = RTPROT_UNSPEC;
    route->rtm_dst_len = found->prefix.bits;
    if (found->prefix.bits != 0)
        mnl_attr_put(message, RTA_DST, addr_len(&found->prefix.addr), found->prefix.addr.bytes);
    return netlink_request(netlink, message);
}

static err_t flush(struct netlink_route *netlink, uint8_t family, uint32_t table, uint8_t type)
{
    struct route_dump dump;
    for (unsigned looked = 0; looked < NETLINK_FLUSH_MAX; looked += ROUTE_BATCH) {
        err_t err = dump_routes(netlink, family, table, 0, type, 0, &dump);
        if (err != E_OK || dump.count == 0)
            return err;
        for (size_t i = 0; i < dump.count; i++) {
            err = delete_route(netlink, table, &dump.routes[i]);
            if (err != E_OK && err != E_NOT_FOUND)
                return err;
        }
    }
    return E_LIMIT;
}

err_t netlink_table_flush(struct netlink_route *netlink, uint8_t family, uint32_t table)
{
    return flush(netlink, family, table, RTN_UNSPEC);
}

err_t netlink_table_flush_throws(struct netlink_route *netlink, uint8_t family, uint32_t table)
{
    return flush(netlink, family, table, RTN_THROW);
}

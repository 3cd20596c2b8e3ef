/* netlink_route.c - rtnetlink requests by libmnl. */
#include "gm-agent/netlink_route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum {
    REQUEST_MAX = 512,    /* bytes of one request */
    ANSWER_MAX = 65536,   /* bytes of one datagram of answers */
    ANSWER_TIMEOUT_S = 2, /* rtnetlink answers at once; this is for a kernel that does not */
    FLUSH_MAX = 4096,     /* rules or routes looked at in one flush */
};

struct netlink_route {
    struct mnl_socket *socket;
    uint32_t port;
    uint32_t seq;
    uint8_t answer[ANSWER_MAX];
};

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
    if (netlink->socket == NULL || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(netlink->socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) !=
            0) {
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

static struct nlmsghdr *begin(struct netlink_route *netlink, uint8_t *buffer, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = ++netlink->seq;
    return message;
}

/* Sends, and hands the answers to the callback until the acknowledgement or the end of the dump. */
static err_t talk(struct netlink_route *netlink, const struct nlmsghdr *message, mnl_cb_t callback,
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

static err_t request(struct netlink_route *netlink, const struct nlmsghdr *message)
{
    return talk(netlink, message, NULL, NULL);
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
    }
    return MNL_CB_OK;
}

err_t netlink_link_info(struct netlink_route *netlink, const char *name, struct link_info *out)
{
    uint8_t buffer[REQUEST_MAX] = {0};
    memset(out, 0, sizeof(*out));
    struct nlmsghdr *message = begin(netlink, buffer, RTM_GETLINK, NLM_F_ACK);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    err_t err = talk(netlink, message, on_link, out);
    return err == E_OK && out->index == 0 ? E_NOT_FOUND : err;
}

err_t netlink_link_set(struct netlink_route *netlink, uint32_t index, uint32_t mtu, bool up)
{
    uint8_t buffer[REQUEST_MAX] = {0};
    struct nlmsghdr *message = begin(netlink, buffer, RTM_NEWLINK, NLM_F_ACK);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(message, sizeof(*link));
    link->ifi_family = AF_UNSPEC;
    link->ifi_index = (int)index;
    link->ifi_change = IFF_UP;
    link->ifi_flags = up ? IFF_UP : 0;
    if (mtu != 0)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    return request(netlink, message);
}

static struct rtmsg *put_route(struct nlmsghdr *message, uint32_t table, bool local)
{
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = AF_INET;
    route->rtm_table = RT_TABLE_UNSPEC;
    route->rtm_protocol = NETLINK_ROUTE_PROTOCOL;
    route->rtm_type = local ? RTN_LOCAL : RTN_UNICAST;
    route->rtm_scope = local ? RT_SCOPE_HOST : RT_SCOPE_LINK;
    mnl_attr_put_u32(message, RTA_TABLE, table);
    return route;
}

err_t netlink_table_default(struct netlink_route *netlink, uint32_t table, uint32_t index, bool local)
{
    uint8_t buffer[REQUEST_MAX] = {0};
    struct nlmsghdr *message = begin(netlink, buffer, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
    put_route(message, table, local);
    mnl_attr_put_u32(message, RTA_OIF, index);
    return request(netlink, message);
}

/* The kernel flushes nothing by itself, so the route is deleted by its key until there is none. */
err_t netlink_table_flush(struct netlink_route *netlink, uint32_t table)
{
    for (unsigned i = 0; i < FLUSH_MAX; i++) {
        uint8_t buffer[REQUEST_MAX] = {0};
        struct nlmsghdr *message = begin(netlink, buffer, RTM_DELROUTE, NLM_F_ACK);
        struct rtmsg *route = put_route(message, table, false);
        route->rtm_type = RTN_UNSPEC;
        route->rtm_scope = RT_SCOPE_NOWHERE;
        err_t err = request(netlink, message);
        if (err != E_OK)
            return err == E_NOT_FOUND ? E_OK : err;
    }
    return E_LIMIT;
}

static void put_rule(struct nlmsghdr *message, const struct route_rule *rule)
{
    struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->family = AF_INET;
    header->action = FR_ACT_TO_TBL;
    header->table = RT_TABLE_UNSPEC;
    header->src_len = rule->src.bits;
    header->dst_len = rule->dst.bits;
    mnl_attr_put_u32(message, FRA_TABLE, rule->table);
    mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
    mnl_attr_put_u8(message, FRA_PROTOCOL, NETLINK_ROUTE_PROTOCOL);
    mnl_attr_put_strz(message, FRA_IIFNAME, rule->iif);
    if (rule->src.bits != 0)
        mnl_attr_put(message, FRA_SRC, 4, rule->src.addr.bytes);
    if (rule->dst.bits != 0)
        mnl_attr_put(message, FRA_DST, 4, rule->dst.addr.bytes);
    if (rule->ip_protocol != 0)
        mnl_attr_put_u8(message, FRA_IP_PROTO, rule->ip_protocol);
}

err_t netlink_rule_add(struct netlink_route *netlink, const struct route_rule *rule)
{
    uint8_t buffer[REQUEST_MAX] = {0};
    struct nlmsghdr *message = begin(netlink, buffer, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    put_rule(message, rule);
    return request(netlink, message);
}

err_t netlink_rule_delete(struct netlink_route *netlink, const struct route_rule *rule)
{
    uint8_t buffer[REQUEST_MAX] = {0};
    struct nlmsghdr *message = begin(netlink, buffer, RTM_DELRULE, NLM_F_ACK);
    put_rule(message, rule);
    return request(netlink, message);
}

struct flush {
    uint32_t first, last;
    struct route_rule rules[64];
    size_t count;
};

static void read_rule(const struct nlmsghdr *message, struct route_rule *out, uint8_t *protocol)
{
    const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    memset(out, 0, sizeof(*out));
    out->src.bits = header->src_len;
    out->dst.bits = header->dst_len;
    out->src.addr.family = out->dst.addr.family = AF_INET;
    out->table = header->table;
    mnl_attr_for_each(attribute, message, sizeof(*header))
    {
        size_t len = mnl_attr_get_payload_len(attribute);
        const void *value = mnl_attr_get_payload(attribute);
        uint16_t type = mnl_attr_get_type(attribute);
        if (type == FRA_TABLE && len == 4)
            out->table = mnl_attr_get_u32(attribute);
        else if (type == FRA_PRIORITY && len == 4)
            out->priority = mnl_attr_get_u32(attribute);
        else if (type == FRA_PROTOCOL && len == 1)
            *protocol = mnl_attr_get_u8(attribute);
        else if (type == FRA_IP_PROTO && len == 1)
            out->ip_protocol = mnl_attr_get_u8(attribute);
        else if (type == FRA_SRC && len == 4)
            memcpy(out->src.addr.bytes, value, 4);
        else if (type == FRA_DST && len == 4)
            memcpy(out->dst.addr.bytes, value, 4);
        else if (type == FRA_IIFNAME && len > 1 && len <= sizeof(out->iif))
            memcpy(out->iif, value, len - 1);
    }
}

static int on_rule(const struct nlmsghdr *message, void *context)
{
    struct flush *flush = context;
    struct route_rule rule;
    uint8_t protocol = 0;
    if (message->nlmsg_type != RTM_NEWRULE || flush->count == sizeof(flush->rules) / sizeof(flush->rules[0]))
        return MNL_CB_OK;
    read_rule(message, &rule, &protocol);
    if (protocol == NETLINK_ROUTE_PROTOCOL && rule.table >= flush->first && rule.table <= flush->last)
        flush->rules[flush->count++] = rule;
    return MNL_CB_OK;
}

err_t netlink_rules_flush(struct netlink_route *netlink, uint32_t first, uint32_t last)
{
    struct flush flush = {.first = first, .last = last};
    for (size_t looked = 0; looked < FLUSH_MAX; looked += flush.count) {
        uint8_t buffer[REQUEST_MAX] = {0};
        struct nlmsghdr *message = begin(netlink, buffer, RTM_GETRULE, NLM_F_DUMP);
        struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->family = AF_INET;
        flush.count = 0;
        err_t err = talk(netlink, message, on_rule, &flush);
        if (err != E_OK || flush.count == 0)
            return err;
        for (size_t i = 0; i < flush.count; i++) {
            err = netlink_rule_delete(netlink, &flush.rules[i]);
            if (err != E_OK && err != E_NOT_FOUND)
                return err;
        }
    }
    return E_LIMIT;
}

bool route_rule_equal(const struct route_rule *a, const struct route_rule *b)
{
    return strcmp(a->iif, b->iif) == 0 && prefix_equal(&a->src, &b->src) && prefix_equal(&a->dst, &b->dst) &&
           a->ip_protocol == b->ip_protocol && a->priority == b->priority && a->table == b->table;
}

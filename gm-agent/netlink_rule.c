/* netlink_rule.c - policy rules. */
#include <linux/fib_rules.h>
#include <string.h>

#include "gm-agent/netlink_parts.h"

enum { RULE_BATCH = 64 }; /* rules that one pass of a flush deletes */

static void put_rule(struct nlmsghdr *message, const struct route_rule *rule)
{
    struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->family = rule->src.addr.family;
    header->action = FR_ACT_TO_TBL;
    header->table = RT_TABLE_UNSPEC;
    header->src_len = rule->src.bits;
    header->dst_len = rule->dst.bits;
    mnl_attr_put_u32(message, FRA_TABLE, rule->table);
    mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
    mnl_attr_put_u8(message, FRA_PROTOCOL, NETLINK_ROUTE_PROTOCOL);
    mnl_attr_put_strz(message, FRA_IIFNAME, rule->iif);
    if (rule->src.bits != 0)
        mnl_attr_put(message, FRA_SRC, addr_len(&rule->src.addr), rule->src.addr.bytes);
    if (rule->dst.bits != 0)
        mnl_attr_put(message, FRA_DST, addr_len(&rule->dst.addr), rule->dst.addr.bytes);
    if (rule->ip_protocol != 0)
        mnl_attr_put_u8(message, FRA_IP_PROTO, rule->ip_protocol);
}

err_t netlink_rule_add(struct netlink_route *netlink, const struct route_rule *rule)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message =
        netlink_begin(netlink, buffer, RTM_NEWRULE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
    put_rule(message, rule);
    return netlink_request(netlink, message);
}

err_t netlink_rule_delete(struct netlink_route *netlink, const struct route_rule *rule)
{
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_DELRULE, NLM_F_ACK);
    put_rule(message, rule);
    return netlink_request(netlink, message);
}

struct rule_dump {
    uint32_t first, last;
    struct route_rule *out;
    size_t max;
    size_t count;
};

static void read_rule(const struct nlmsghdr *message, struct route_rule *out, uint8_t *protocol)
{
    const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
    const struct nlattr *attribute;
    memset(out, 0, sizeof(*out));
    out->src.bits = header->src_len;
    out->dst.bits = header->dst_len;
    out->src.addr.family = out->dst.addr.family = header->family;
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
        else if (type == FRA_SRC && len == addr_len(&out->src.addr))
            memcpy(out->src.addr.bytes, value, len);
        else if (type == FRA_DST && len == addr_len(&out->dst.addr))
            memcpy(out->dst.addr.bytes, value, len);
        else if (type == FRA_IIFNAME && len > 1 && len <= sizeof(out->iif))
            memcpy(out->iif, value, len - 1);
    }
}

static int on_rule(const struct nlmsghdr *message, void *context)
{
    struct rule_dump *dump = context;
    struct route_rule rule;
    uint8_t protocol = 0;
    if (message->nlmsg_type != RTM_NEWRULE || dump->count == dump->max ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct fib_rule_hdr))
        return MNL_CB_OK;
    read_rule(message, &rule, &protocol);
    if (protocol == NETLINK_ROUTE_PROTOCOL && rule.table >= dump->first && rule.table <= dump->last)
        dump->out[dump->count++] = rule;
    return MNL_CB_OK;
}

err_t netlink_rules_find(struct netlink_route *netlink, uint8_t family, uint32_t first, uint32_t last,
                         struct route_rule *out, size_t max, size_t *count)
{
    struct rule_dump dump = {first, last, out, max, 0};
    uint8_t buffer[NETLINK_REQUEST_MAX] = {0};
    struct nlmsghdr *message = netlink_begin(netlink, buffer, RTM_GETRULE, NLM_F_DUMP);
    struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
    header->family = family;
    err_t err = netlink_talk(netlink, message, on_rule, &dump);
    *count = dump.count;
    return err;
}

err_t netlink_rules_flush(struct netlink_route *netlink, uint8_t family, uint32_t first, uint32_t last)
{
    struct route_rule found[RULE_BATCH];
    for (size_t looked = 0; looked < NETLINK_FLUSH_MAX; looked += RULE_BATCH) {
        size_t count = 0;
        err_t err = netlink_rules_find(netlink, family, first, last, found, RULE_BATCH, &count);
        if (err != E_OK || count == 0)
            return err;
        for (size_t i = 0; i < count; i++) {
            err = netlink_rule_delete(netlink, &found[i]);
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

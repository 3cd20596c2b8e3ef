/* nft_counters.c - a dump of all counters, of which ours are taken; changes by others. */
#include "gm-agent/nft_counters.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

struct table_change {
    const char *table;
    bool ours;
};

/* Attribute 1 is the table's name in messages about tables, chains, rules, sets and objects alike. */
static bool note_table(const struct nlmsghdr *message, void *context)
{
    struct table_change *change = context;
    const struct nlattr *attribute;
    if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(struct nfgenmsg) ||
        message->nlmsg_len % NLMSG_ALIGNTO != 0)
        return true;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        size_t len = strlen(change->table) + 1;
        if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME && mnl_attr_get_payload_len(attribute) == len &&
            memcmp(mnl_attr_get_payload(attribute), change->table, len) == 0)
            change->ours = true;
    }
    return true;
}

bool nft_table_changed(struct xfrm_socket *watch, const struct xfrm_socket *nft, const char *table)
{
    struct table_change change = {.table = table};
    bool lost = false;
    xfrm_socket_drain(watch, xfrm_socket_port(nft), note_table, &change, &lost);
    return change.ours || lost;
}

struct look {
    char table[NFT_NAME_MAX];
    uint64_t packets[NFT_COUNTER_COUNT];
};

static bool take_counter(const struct nlmsghdr *message, void *context)
{
    struct look *look = context;
    struct nft_counter counter;
    if (nft_parse_counter(&counter, message) != E_OK || strcmp(counter.table, look->table) != 0)
        return true;
    for (int i = 0; i < NFT_COUNTER_COUNT; i++)
        if (strcmp(counter.name, nft_ruleset_counter_name((enum nft_ruleset_counter)i)) == 0)
            look->packets[i] += counter.packets;
    return true;
}

static void forget(void *context)
{
    memset(((struct look *)context)->packets, 0, sizeof(((struct look *)context)->packets));
}

void nft_counters_dump(struct xfrm_socket *nft, uint8_t *buffer, const char *table, uint64_t out[NFT_COUNTER_COUNT])
{
    struct look look;
    memset(&look, 0, sizeof(look));
    snprintf(look.table, sizeof(look.table), "%s", table);
    struct nlmsghdr *request = nft_build_counter_dump(buffer, 0, NFPROTO_UNSPEC);
    if (xfrm_socket_dump(nft, request, take_counter, forget, &look) == E_OK)
        memcpy(out, look.packets, sizeof(look.packets));
}

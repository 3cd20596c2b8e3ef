/* nft_counters.c - a dump of all counters, of which ours are taken. */
#include "gm-agent/nft_counters.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

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

/* nft_ruleset.c - the tables and chains, and what goes into them. */
#include "gm-agent/nft_ruleset_parts.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>

#include "gm-agent/nft_closed.h"
#include "gm-agent/nft_match.h"
#include "gm-agent/nft_tally.h"

enum {
    TCP_FLAGS_AT = 13,
    TCP_SYN = 0x02,
    TCP_IP_HEADERS = 40,
    SPI_SET_ID = 1,
    SPI_TYPE = 13,          /* nft(8)'s number for how elements are shown: as a number */
    NETDEV_EGRESS = 1,      /* NF_NETDEV_EGRESS, since 5.16 */
};

const char nft_spi_set[] = "spis", nft_defrag_chain[] = "defrag";
const char *const nft_egress_chains[GM_WAN_MAX] = {"egress", "egress1", "egress2", "egress3"};

static const char *const counter_names[NFT_COUNTER_COUNT] = {
    [NFT_COUNTER_ENCAPS] = "encaps",           [NFT_COUNTER_NOT_IPSEC] = "not_ipsec",
    [NFT_COUNTER_INVALID_SPI] = "invalid_spi", [NFT_COUNTER_LEAK] = "leak",
    [NFT_COUNTER_ANCHOR] = "anchor",           [NFT_COUNTER_NO_POLICY] = "no_policy",
};

struct chain {
    const char *name;
    struct nft_hook hook; /* type NULL: none, jumped to */
};

/* Restoring comes before any other output chain, so that these see the packet as it leaves; stashing comes
 * behind filters. */
static const struct chain chains[] = {
    {"inward", {"filter", NF_INET_PRE_ROUTING, -350, NULL}},
    {nft_defrag_chain, {"filter", NF_INET_PRE_ROUTING, -150, NULL}},
    {"clear", {"filter", NF_INET_PRE_ROUTING, -140, NULL}},
    {"mss", {"filter", NF_INET_FORWARD, -150, NULL}},
    {"stash_forward", {"filter", NF_INET_FORWARD, 10, NULL}},
    {"stash_output", {"filter", NF_INET_LOCAL_OUT, 10, NULL}},
    {"untracked", {"filter", NF_INET_LOCAL_OUT, -450, NULL}},
    {"restore", {"route", NF_INET_LOCAL_OUT, -400, NULL}},
    {"guard", {"filter", NF_INET_POST_ROUTING, 350, NULL}},
    {"clear_esp", {NULL, 0, 0, NULL}},
    {"clear_in", {NULL, 0, 0, NULL}},
    {"decrypted", {NULL, 0, 0, NULL}},
    {"leaving", {NULL, 0, 0, NULL}},
};

const char *nft_ruleset_counter_name(enum nft_ruleset_counter id)
{
    return (unsigned)id < NFT_COUNTER_COUNT ? counter_names[id] : "?";
}

void nft_ruleset_table(const struct xfrm_site *site, char out[NFT_NAME_MAX])
{
    snprintf(out, NFT_NAME_MAX, "quorate_%s", site->instance);
}

void nft_rules_count_and_drop(struct nft_batch *b, enum nft_ruleset_counter counter)
{
    nft_count(b, nft_ruleset_counter_name(counter));
    nft_verdict(b, NF_DROP, NULL);
}

void nft_rules_drop_selector(struct nft_batch *b, const char *chain, const struct selector *selector,
                             enum nft_ruleset_counter counter)
{
    nft_rule_begin(b, chain);
    nft_match_selector(b, selector);
    nft_rules_count_and_drop(b, counter);
    nft_rule_end(b);
}

/* Only ever lowers: the kernel leaves a smaller value alone. */
static void rules_mss(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
{
    static const uint8_t syn = TCP_SYN;
    const uint16_t mss = htons((uint16_t)(xfrm_plan_inner_mtu(site, state) - TCP_IP_HEADERS));
    for (int outbound = 0; outbound < 2; outbound++) {
        nft_rule_begin(b, "mss");
        nft_match_protocol(b, IPPROTO_TCP, true);
        nft_match_reqid(b, outbound != 0,
                        outbound != 0 ? xfrm_plan_reqid_out(site) : xfrm_plan_reqid_in(site));
        nft_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_AT, 1, NFT_REG_1);
        nft_mask(b, NFT_REG_1, &syn, 1);
        nft_compare(b, NFT_REG_1, true, &syn, 1);
        nft_immediate(b, NFT_REG_1, &mss, sizeof(mss));
        nft_store_mss(b, NFT_REG_1);
        nft_rule_end(b);
    }
}

static bool is_hooked(const struct chain *chain, const struct xfrm_site *site)
{
    return chain->hook.type != NULL && (site->track || chain->name != nft_defrag_chain);
}

/* Those of the table; the last one only where there is IPv6. */
static const uint8_t families[] = {NFPROTO_NETDEV, NFPROTO_IPV4, NFPROTO_IPV6};

static size_t family_count(const struct xfrm_site *site)
{
    return site->ipv6 ? 3 : 2;
}

static void make_table(struct nft_batch *b, uint8_t family, const char *table)
{
    nft_table_use(b, family, table);
    nft_table_new(b);
    nft_table_delete(b);
    nft_table_new(b);
    for (int k = 0; k < NFT_COUNTER_COUNT; k++)
        nft_counter_new(b, counter_names[k]);
    if (family == NFPROTO_IPV6)
        nft_closed_chains(b);
}

static void make_tables(struct nft_batch *b, const struct xfrm_site *site, const char *table)
{
    for (size_t i = 0; i < family_count(site); i++)
        make_table(b, families[i], table);
    nft_table_use(b, NFPROTO_NETDEV, table);
    for (size_t i = 0; i < site->wan_count; i++) {
        const struct nft_hook egress = {"filter", NETDEV_EGRESS, 0, site->wan[i].name};
        if (site->wan[i].index != 0)
            nft_chain_new(b, nft_egress_chains[i], &egress);
    }
    nft_table_use(b, NFPROTO_IPV4, table);
    nft_set_new(b, nft_spi_set, SPI_SET_ID, SPI_TYPE, sizeof(uint32_t));
    for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
        nft_chain_new(b, chains[i].name, is_hooked(&chains[i], site) ? &chains[i].hook : NULL);
    nft_closed_chains(b);
    nft_tally_new(b);
}

static void clear_tables(struct nft_batch *b, const struct xfrm_site *site, const char *table)
{
    for (size_t i = 0; i < family_count(site); i++) {
        nft_table_use(b, families[i], table);
        nft_rules_flush(b);
    }
    nft_table_use(b, NFPROTO_IPV4, table);
    nft_set_flush(b, nft_spi_set);
}

static void rules_shut(struct nft_batch *b, const struct xfrm_site *site, uint8_t family, const char *table)
{
    nft_table_use(b, family, table);
    nft_closed_rules(b, site, counter_names[NFT_COUNTER_LEAK], counter_names[NFT_COUNTER_NOT_IPSEC]);
}

err_t nft_ruleset_build(const struct xfrm_site *site, const struct datapath_state *state, bool fresh,
                        uint32_t seq, uint8_t *buffer, size_t cap, struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    uint32_t spis[TEK_TABLE_MAX];
    struct nft_batch b;
    nft_ruleset_table(site, table);
    nft_batch_begin(&b, buffer, cap, seq);
    if (fresh)
        make_tables(&b, site, table);
    else
        clear_tables(&b, site, table);
    for (size_t i = 0; i < state->in_count; i++)
        spis[i] = htonl(state->in[i]->spi);
    nft_set_add(&b, nft_spi_set, spis, state->in_count);
    for (size_t i = 0; i < site->wan_count; i++)
        nft_rules_inward(&b, site, site->wan[i].name);
    nft_rules_defrag(&b, site);
    nft_rules_clear(&b, site, state);
    if (state->closed)
        rules_shut(&b, site, NFPROTO_IPV4, table);
    rules_mss(&b, site, state);
    nft_rules_stash(&b, site);
    nft_tally_rules(&b, site, state);
    nft_rules_restore(&b, site, state);
    nft_rules_guard(&b, site, state);
    nft_table_use(&b, NFPROTO_NETDEV, table);
    for (size_t i = 0; i < site->wan_count; i++)
        if (site->wan[i].index != 0)
            nft_rules_egress(&b, site, i);
    if (site->ipv6 && (state->closed || state->ipv6_closed))
        rules_shut(&b, site, NFPROTO_IPV6, table);
    return nft_batch_finish(&b, out, last_seq);
}

err_t nft_ruleset_close_ipv6(const struct xfrm_site *site, uint32_t seq, uint8_t *buffer, size_t cap,
                             struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    struct nft_batch b;
    nft_ruleset_table(site, table);
    nft_batch_begin(&b, buffer, cap, seq);
    make_table(&b, NFPROTO_IPV6, table);
    rules_shut(&b, site, NFPROTO_IPV6, table);
    return nft_batch_finish(&b, out, last_seq);
}

err_t nft_ruleset_remove(const struct xfrm_site *site, uint32_t seq, uint8_t *buffer, size_t cap,
                         struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    struct nft_batch b;
    nft_ruleset_table(site, table);
    nft_batch_begin(&b, buffer, cap, seq);
    for (size_t i = 0; i < family_count(site); i++)
        nft_table_remove(&b, families[i], table);
    return nft_batch_finish(&b, out, last_seq);
}

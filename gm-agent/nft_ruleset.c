/* nft_ruleset.c - the rules, chain by chain. */
#include "gm-agent/nft_ruleset.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <string.h>

#include "gm-agent/nft_closed.h"
#include "gm-agent/nft_match.h"
#include "gm-agent/nft_tally.h"
#include "gm-agent/xfrm_probe.h"

enum {
    ETHER_DST_AT = 0,
    TCP_FLAGS_AT = 13,
    TCP_SYN = 0x02,
    TCP_IP_HEADERS = 40,
    SPI_SET_ID = 1,
    SPI_TYPE = 13,          /* nft(8)'s number for how elements are shown: as a number */
    STATE_INVALID = 1 << 0, /* NF_CT_STATE_INVALID_BIT */
    NETDEV_EGRESS = 1,      /* NF_NETDEV_EGRESS, since 5.16 */
};

static const char spi_set[] = "spis", defrag_chain[] = "defrag";

/* One for each uplink: a chain of this family hangs at a device. */
static const char *const egress_chains[GM_WAN_MAX] = {"egress", "egress1", "egress2", "egress3"};

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
    {defrag_chain, {"filter", NF_INET_PRE_ROUTING, -150, NULL}},
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

static void count_and_drop(struct nft_batch *b, enum nft_ruleset_counter counter)
{
    nft_count(b, counter_names[counter]);
    nft_verdict(b, NF_DROP, NULL);
}

static void rules_inward(struct nft_batch *b, const struct xfrm_site *site, const char *wan)
{
    nft_rule_begin(b, "inward");
    nft_match_device(b, NFT_META_IIFNAME, wan, true);
    nft_match_protocol(b, IPPROTO_ESP, true);
    nft_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, NFT_REG_1);
    nft_lookup(b, NFT_REG_1, spi_set);
    nft_immediate(b, NFT_REG_1, site->wan_addr, 4);
    nft_store_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT, 4, NFT_REG_1, true);
    nft_notrack(b);
    nft_rule_end(b);
}

/* Fragments of ESP are put together before "inward" looks at the SPI. A rule that nobody comes by is enough for that, and
 * costs nothing; where the kernel has no such rule, one about connections does it, and every packet is tracked. */
static void rule_defrag(struct nft_batch *b, const struct xfrm_site *site)
{
    const uint32_t invalid = STATE_INVALID, none = 0;
    const uint16_t port = 0;
    nft_rule_begin(b, defrag_chain);
    if (!site->track) {
        nft_immediate(b, NFT_REG_1, &port, sizeof(port));
        nft_tproxy(b, NFT_REG_1);
        nft_rule_end(b);
        return;
    }
    nft_match_protocol(b, IPPROTO_ESP, true);
    nft_load_ct(b, NFT_CT_STATE, NFT_REG_1);
    nft_mask(b, NFT_REG_1, &invalid, sizeof(invalid));
    nft_compare(b, NFT_REG_1, false, &none, sizeof(none));
    nft_rule_end(b);
}

/* Control traffic of our own: the far port or ours is a known one. */
static void accept_control(struct nft_batch *b, const struct xfrm_site *site,
                           const struct datapath_state *state, const char *chain, uint32_t our_address_at)
{
    if (!xfrm_plan_covers_us(site, state))
        return;
    uint8_t ours[XFRM_OUR_ADDRESS_MAX][4];
    size_t count = xfrm_plan_our_addresses(site, ours) * 2 * XFRM_CONTROL_PORT_COUNT;
    for (size_t i = 0; i < count; i++) {
        size_t port = i % (2 * XFRM_CONTROL_PORT_COUNT);
        nft_rule_begin(b, chain);
        nft_match_address(b, our_address_at, ours[i / (2 * XFRM_CONTROL_PORT_COUNT)]);
        nft_match_protocol(b, IPPROTO_UDP, true);
        nft_match_port(b, port % 2 == 0 ? 0 : 2, xfrm_control_ports[port / 2]);
        nft_verdict(b, NF_ACCEPT, NULL);
        nft_rule_end(b);
    }
}

/* Who goes where: decrypted; from the WAN as ESP, or in clear. */
static void rules_from_wan(struct nft_batch *b, const struct xfrm_site *site)
{
    uint8_t ours[XFRM_OUR_ADDRESS_MAX][4];
    nft_rule_begin(b, "clear"); /* wherever: from an uplink in a VRF it comes in on the VRF's device */
    nft_match_flag(b, false, 1);
    nft_verdict(b, NFT_GOTO, "decrypted");
    nft_rule_end(b);
    nft_rule_begin(b, "clear");
    for (size_t i = 0; i < site->wan_count; i++)
        nft_match_device(b, NFT_META_IIFNAME, site->wan[i].name, false);
    nft_verdict(b, NF_ACCEPT, NULL);
    nft_rule_end(b);
    nft_rule_begin(b, "clear");
    nft_match_protocol(b, IPPROTO_ESP, true);
    nft_verdict(b, NFT_GOTO, "clear_esp");
    nft_rule_end(b);
    nft_rule_begin(b, "clear");
    nft_verdict(b, NFT_GOTO, "clear_in");
    nft_rule_end(b);

    /* Was led here by "inward", or is meant for another IPsec of ours. */
    for (size_t i = 0, count = xfrm_plan_our_addresses(site, ours); i < count; i++) {
        nft_rule_begin(b, "clear_esp");
        nft_match_address(b, IP_DST_AT, ours[i]);
        nft_verdict(b, NF_ACCEPT, NULL);
        nft_rule_end(b);
    }
}

static void rules_clear(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
{
    rules_from_wan(b, site);
    accept_control(b, site, state, "clear_in", IP_DST_AT);
    nft_accept_denied(b, "clear_in", site->deny, site->deny_count);
    for (size_t i = 0; i < state->selector_count; i++) {
        nft_rule_begin(b, "clear_esp");
        nft_match_prefixes(b, &state->selectors[i]);
        count_and_drop(b, NFT_COUNTER_INVALID_SPI);
        nft_rule_end(b);
        if (state->direction == DATAPATH_BOTH) {
            nft_rule_begin(b, "clear_in");
            nft_match_selector(b, &state->selectors[i]);
            count_and_drop(b, NFT_COUNTER_NOT_IPSEC);
            nft_rule_end(b);
        }
        nft_rule_begin(b, "decrypted");
        nft_match_selector(b, &state->selectors[i]);
        nft_verdict(b, NFT_GOTO, NFT_TALLY_CHAIN);
        nft_rule_end(b);
    }
    nft_rule_begin(b, "decrypted");
    nft_match_reqid(b, false, xfrm_plan_reqid_in(site));
    count_and_drop(b, NFT_COUNTER_NO_POLICY);
    nft_rule_end(b);
}

static void rules_stash(struct nft_batch *b, const struct xfrm_site *site)
{
    static const char *const names[] = {"stash_forward", "stash_output"};
    for (size_t i = 0; i < 2; i++) {
        nft_rule_begin(b, names[i]);
        nft_match_reqid(b, true, xfrm_plan_reqid_out(site));
        nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_SRC_AT, 4, NFT_REG_1);
        nft_store_meta(b, NFT_META_PRIORITY, NFT_REG_1);
        nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT, 4, NFT_REG_1);
        nft_store_meta(b, NFT_META_MARK, NFT_REG_1);
        nft_rule_end(b);
    }
}

/* Writes what was stashed, and takes it out of the packet's marks. */
static void restore(struct nft_batch *b, bool counted)
{
    static const uint8_t none[4];
    nft_load_meta(b, NFT_META_PRIORITY, NFT_REG_1);
    nft_store_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_SRC_AT, 4, NFT_REG_1, true);
    nft_load_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_store_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT, 4, NFT_REG_1, true);
    nft_immediate(b, NFT_REG_1, none, sizeof(none));
    nft_store_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_store_meta(b, NFT_META_PRIORITY, NFT_REG_1);
    if (counted)
        nft_count(b, counter_names[NFT_COUNTER_ENCAPS]);
}

static void match_anchored(struct nft_batch *b, const struct xfrm_site *site)
{
    nft_match_protocol(b, IPPROTO_ESP, true);
    nft_match_address(b, IP_DST_AT, site->anchor);
}

/* The stashed destination is (not) a group, or there is none. */
static void match_mark_multicast(struct nft_batch *b, bool multicast)
{
    static const struct prefix groups = {.addr = {AF_INET, {224}}, .bits = 4};
    static const uint8_t mask[4] = {0xf0}, none[4];
    nft_load_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_compare(b, NFT_REG_1, false, none, sizeof(none));
    nft_mask(b, NFT_REG_1, mask, sizeof(mask));
    nft_compare(b, NFT_REG_1, multicast, groups.addr.bytes, 4);
}

/* Packets to the probe device go there, and are not counted (xfrm_probe.h). */
static void rule_probe(struct nft_batch *b, const struct xfrm_site *site)
{
    uint8_t probe[4];
    xfrm_probe_address(site, probe);
    nft_rule_begin(b, "restore");
    match_anchored(b, site);
    nft_load_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, probe, sizeof(probe));
    restore(b, false);
    nft_rule_end(b);
}

static void rules_restore(struct nft_batch *b, const struct xfrm_site *site,
                          const struct datapath_state *state)
{
    nft_rule_begin(b, "untracked");
    match_anchored(b, site);
    nft_notrack(b);
    nft_rule_end(b);
    if (state->sid_bits != 0)
        rule_probe(b, site);
    nft_rule_begin(b, "restore");
    match_anchored(b, site);
    match_mark_multicast(b, false);
    restore(b, true);
    nft_rule_end(b);
}

/* 01:00:5e and the low 23 bits of the group (RFC 1112 6.4). */
static void store_multicast_mac(struct nft_batch *b)
{
    static const uint8_t prefix[4] = {0x01, 0x00, 0x5e, 0x00}, low[4] = {0x00, 0x7f, 0xff, 0xff};
    nft_immediate(b, NFT_REG_1, prefix, sizeof(prefix));
    nft_store_payload(b, NFT_PAYLOAD_LL_HEADER, ETHER_DST_AT, 3, NFT_REG_1, false);
    /* The group again, from octet 17 of the header, behind its first octet. */
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT + 1, 3, NFT_REG_1);
    nft_mask(b, NFT_REG_1, low + 1, 3);
    nft_store_payload(b, NFT_PAYLOAD_LL_HEADER, ETHER_DST_AT + 3, 3, NFT_REG_1, false);
}

static void rules_egress(struct nft_batch *b, const struct xfrm_site *site, size_t uplink)
{
    const uint16_t ip = htons(0x0800);
    nft_rule_begin(b, egress_chains[uplink]);
    nft_load_meta(b, NFT_META_PROTOCOL, NFT_REG_1);
    nft_compare(b, NFT_REG_1, false, &ip, sizeof(ip));
    nft_verdict(b, NF_ACCEPT, NULL);
    nft_rule_end(b);
    nft_rule_begin(b, egress_chains[uplink]);
    match_anchored(b, site);
    match_mark_multicast(b, true);
    restore(b, true);
    if (site->wan[uplink].ethernet)
        store_multicast_mac(b);
    nft_verdict(b, NF_ACCEPT, NULL);
    nft_rule_end(b);
    nft_rule_begin(b, egress_chains[uplink]);
    match_anchored(b, site);
    count_and_drop(b, NFT_COUNTER_ANCHOR);
    nft_rule_end(b);
}

/* Addresses as they were before source NAT, if they were stashed. */
static void match_stashed(struct nft_batch *b, const struct selector *s)
{
    static const uint8_t none[4];
    nft_load_meta(b, NFT_META_PRIORITY, NFT_REG_1);
    nft_match_loaded_prefix(b, &s->src);
    nft_load_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_compare(b, NFT_REG_1, false, none, sizeof(none));
    nft_match_loaded_prefix(b, &s->dst);
}

static void rules_guard(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
{
    static const uint8_t none[4];
    for (size_t i = 0; i < site->wan_count; i++) {
        nft_rule_begin(b, "guard");
        nft_match_device(b, NFT_META_OIFNAME, site->wan[i].name, true);
        nft_match_protocol(b, IPPROTO_ESP, false);
        nft_match_flag(b, true, 0);
        nft_verdict(b, NFT_JUMP, "leaving");
        nft_rule_end(b);
    }
    nft_rule_begin(b, "guard");
    match_anchored(b, site);
    nft_load_meta(b, NFT_META_MARK, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, none, sizeof(none));
    count_and_drop(b, NFT_COUNTER_ANCHOR);
    nft_rule_end(b);
    if (state->direction == DATAPATH_RECEIVE_ONLY)
        return; /* it is meant to leave in clear */
    for (size_t i = 0; i < state->selector_count; i++) {
        nft_rule_begin(b, "leaving");
        match_stashed(b, &state->selectors[i]);
        count_and_drop(b, NFT_COUNTER_LEAK);
        nft_rule_end(b);
    }
    accept_control(b, site, state, "leaving", IP_SRC_AT);
    nft_accept_denied(b, "leaving", site->deny, site->deny_count);
    for (size_t i = 0; i < state->selector_count; i++) {
        nft_rule_begin(b, "leaving");
        nft_match_selector(b, &state->selectors[i]);
        count_and_drop(b, NFT_COUNTER_LEAK);
        nft_rule_end(b);
    }
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
    return chain->hook.type != NULL && (site->track || chain->name != defrag_chain);
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
            nft_chain_new(b, egress_chains[i], &egress);
    }
    nft_table_use(b, NFPROTO_IPV4, table);
    nft_set_new(b, spi_set, SPI_SET_ID, SPI_TYPE, sizeof(uint32_t));
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
    nft_set_flush(b, spi_set);
}

static void rules_shut(struct nft_batch *b, const struct xfrm_site *site, uint8_t family, const char *table)
{
    nft_table_use(b, family, table);
    nft_closed_rules(b, site, counter_names[NFT_COUNTER_LEAK], counter_names[NFT_COUNTER_NOT_IPSEC]);
}

static err_t finish(struct nft_batch *b, struct bytes *out, uint32_t *last_seq)
{
    err_t err = nft_batch_end(b);
    *out = (struct bytes){b->data, b->len};
    *last_seq = b->last_seq;
    return err;
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
    nft_set_add(&b, spi_set, spis, state->in_count);
    for (size_t i = 0; i < site->wan_count; i++)
        rules_inward(&b, site, site->wan[i].name);
    rule_defrag(&b, site);
    rules_clear(&b, site, state);
    if (state->closed)
        rules_shut(&b, site, NFPROTO_IPV4, table);
    rules_mss(&b, site, state);
    rules_stash(&b, site);
    nft_tally_rules(&b, site, state);
    rules_restore(&b, site, state);
    rules_guard(&b, site, state);
    nft_table_use(&b, NFPROTO_NETDEV, table);
    for (size_t i = 0; i < site->wan_count; i++)
        if (site->wan[i].index != 0)
            rules_egress(&b, site, i);
    if (site->ipv6 && (state->closed || state->ipv6_closed))
        rules_shut(&b, site, NFPROTO_IPV6, table);
    return finish(&b, out, last_seq);
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
    return finish(&b, out, last_seq);
}

err_t nft_ruleset_remove(const struct xfrm_site *site, uint32_t seq, uint8_t *buffer, size_t cap,
                         struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    struct nft_batch b;
    nft_ruleset_table(site, table);
    nft_batch_begin(&b, buffer, cap, seq);
    for (size_t i = 0; i < family_count(site); i++) {
        nft_table_use(&b, families[i], table);
        nft_table_new(&b);
        nft_table_delete(&b);
    }
    return finish(&b, out, last_seq);
}

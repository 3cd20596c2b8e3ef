/* nft_ruleset_out.c - the rules for what leaves by the WAN. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "gm-agent/nft_closed.h"
#include "gm-agent/nft_match.h"
#include "gm-agent/nft_ruleset_parts.h"
#include "gm-agent/xfrm_probe.h"

enum { ETHER_DST_AT = 0 };

void nft_rules_stash(struct nft_batch *b, const struct xfrm_site *site)
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
        nft_count(b, nft_ruleset_counter_name(NFT_COUNTER_ENCAPS));
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

void nft_rules_restore(struct nft_batch *b, const struct xfrm_site *site,
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

void nft_rules_egress(struct nft_batch *b, const struct xfrm_site *site, size_t uplink)
{
    const uint16_t ip = htons(0x0800);
    nft_rule_begin(b, nft_egress_chains[uplink]);
    nft_load_meta(b, NFT_META_PROTOCOL, NFT_REG_1);
    nft_compare(b, NFT_REG_1, false, &ip, sizeof(ip));
    nft_verdict(b, NF_ACCEPT, NULL);
    nft_rule_end(b);
    nft_rule_begin(b, nft_egress_chains[uplink]);
    match_anchored(b, site);
    match_mark_multicast(b, true);
    restore(b, true);
    if (site->wan[uplink].ethernet)
        store_multicast_mac(b);
    nft_verdict(b, NF_ACCEPT, NULL);
    nft_rule_end(b);
    nft_rule_begin(b, nft_egress_chains[uplink]);
    match_anchored(b, site);
    nft_rules_count_and_drop(b, NFT_COUNTER_ANCHOR);
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

void nft_rules_guard(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
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
    nft_rules_count_and_drop(b, NFT_COUNTER_ANCHOR);
    nft_rule_end(b);
    if (state->direction == DATAPATH_RECEIVE_ONLY)
        return; /* it is meant to leave in clear */
    for (size_t i = 0; i < state->selector_count; i++) {
        nft_rule_begin(b, "leaving");
        match_stashed(b, &state->selectors[i]);
        nft_rules_count_and_drop(b, NFT_COUNTER_LEAK);
        nft_rule_end(b);
    }
    nft_rules_accept_control(b, site, state, "leaving", IP_SRC_AT);
    nft_accept_denied(b, "leaving", site->deny, site->deny_count);
    for (size_t i = 0; i < state->selector_count; i++)
        nft_rules_drop_selector(b, "leaving", &state->selectors[i], NFT_COUNTER_LEAK);
}

/* nft_ruleset_in.c - the rules for what comes from the WAN. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include "gm-agent/nft_closed.h"
#include "gm-agent/nft_match.h"
#include "gm-agent/nft_ruleset_parts.h"
#include "gm-agent/nft_tally.h"

enum { STATE_INVALID = 1 << 0 }; /* NF_CT_STATE_INVALID_BIT */

void nft_rules_inward(struct nft_batch *b, const struct xfrm_site *site, const char *wan)
{
    nft_rule_begin(b, "inward");
    nft_match_device(b, NFT_META_IIFNAME, wan, true);
    nft_match_protocol(b, IPPROTO_ESP, true);
    nft_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, NFT_REG_1);
    nft_lookup(b, NFT_REG_1, nft_spi_set);
    nft_immediate(b, NFT_REG_1, site->wan_addr, 4);
    nft_store_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT, 4, NFT_REG_1, true);
    nft_notrack(b);
    nft_rule_end(b);
}

void nft_rules_defrag(struct nft_batch *b, const struct xfrm_site *site)
{
    const uint32_t invalid = STATE_INVALID, none = 0;
    const uint16_t port = 0;
    nft_rule_begin(b, nft_defrag_chain);
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

void nft_rules_accept_control(struct nft_batch *b, const struct xfrm_site *site,
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

void nft_rules_clear(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
{
    rules_from_wan(b, site);
    nft_rules_accept_control(b, site, state, "clear_in", IP_DST_AT);
    nft_accept_denied(b, "clear_in", site->deny, site->deny_count);
    for (size_t i = 0; i < state->selector_count; i++) {
        nft_rule_begin(b, "clear_esp");
        nft_match_prefixes(b, &state->selectors[i]);
        nft_rules_count_and_drop(b, NFT_COUNTER_INVALID_SPI);
        nft_rule_end(b);
        if (state->direction == DATAPATH_BOTH)
            nft_rules_drop_selector(b, "clear_in", &state->selectors[i], NFT_COUNTER_NOT_IPSEC);
        nft_rule_begin(b, "decrypted");
        nft_match_selector(b, &state->selectors[i]);
        nft_verdict(b, NFT_GOTO, NFT_TALLY_CHAIN);
        nft_rule_end(b);
    }
    nft_rule_begin(b, "decrypted");
    nft_match_reqid(b, false, xfrm_plan_reqid_in(site));
    nft_rules_count_and_drop(b, NFT_COUNTER_NO_POLICY);
    nft_rule_end(b);
}

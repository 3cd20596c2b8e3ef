/* nft_closed.c - who may pass without a policy. */
#include "gm-agent/nft_closed.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "gm-agent/nft_match.h"

static void lead(struct nft_batch *b, uint32_t lan, const char *wan, bool outward)
{
    nft_rule_begin(b, NFT_CLOSED_CHAIN);
    nft_load_meta(b, outward ? NFT_META_IIF : NFT_META_OIF, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, &lan, sizeof(lan));
    nft_match_device(b, outward ? NFT_META_OIFNAME : NFT_META_IIFNAME, wan, true);
    nft_verdict(b, NFT_JUMP, NFT_SHUT_CHAIN);
    nft_rule_end(b);
}

static void drop_all(struct nft_batch *b, const char *wan, uint32_t device, const char *counter)
{
    nft_rule_begin(b, NFT_SHUT_CHAIN);
    nft_match_device(b, device, wan, true);
    nft_count(b, counter);
    nft_verdict(b, NF_DROP, NULL);
    nft_rule_end(b);
}

/* The devices by whose name a packet may be known to come from the WAN or to go there. What is forwarded from
 * one device of a VRF to another comes in on the VRF's own: then this shuts the ways between LANs, too. */
static const char *outside(const struct xfrm_site *site, size_t at)
{
    if (at < site->wan_count)
        return site->wan[at].name;
    return at == site->wan_count && site->vrf_index != 0 ? site->vrf : NULL;
}

static void lead_all(struct nft_batch *b, const struct xfrm_site *site, uint32_t lan)
{
    for (size_t i = 0; outside(site, i) != NULL; i++) {
        lead(b, lan, outside(site, i), true);
        lead(b, lan, outside(site, i), false);
    }
}

void nft_closed_chains(struct nft_batch *b)
{
    static const struct nft_hook forward = {"filter", NF_INET_FORWARD, 0, NULL};
    nft_chain_new(b, NFT_CLOSED_CHAIN, &forward);
    nft_chain_new(b, NFT_SHUT_CHAIN, NULL);
}

void nft_accept_control(struct nft_batch *b, const char *chain)
{
    for (size_t i = 0; i < 2 * XFRM_CONTROL_PORT_COUNT; i++) {
        nft_rule_begin(b, chain);
        if (b->family == NFPROTO_IPV6)
            nft_match_transport(b, IPPROTO_UDP);
        else
            nft_match_protocol(b, IPPROTO_UDP, true);
        nft_match_port(b, i % 2 == 0 ? 0 : 2, xfrm_control_ports[i / 2]);
        nft_verdict(b, NF_ACCEPT, NULL);
        nft_rule_end(b);
    }
}

void nft_accept_denied(struct nft_batch *b, const char *chain, const struct selector *denies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!nft_in_family(b, &denies[i]))
            continue;
        nft_rule_begin(b, chain);
        nft_match_selector(b, &denies[i]);
        nft_verdict(b, NF_ACCEPT, NULL);
        nft_rule_end(b);
    }
}

void nft_closed_rules(struct nft_batch *b, const struct xfrm_site *site, const char *out, const char *in)
{
    for (size_t i = 0; i < site->lan_count; i++)
        lead_all(b, site, site->lan_index[i]);
    if (site->vrf_index != 0)
        lead_all(b, site, site->vrf_index);
    nft_accept_control(b, NFT_SHUT_CHAIN);
    nft_accept_denied(b, NFT_SHUT_CHAIN, site->deny, site->deny_count);
    for (size_t i = 0; outside(site, i) != NULL; i++) {
        drop_all(b, outside(site, i), NFT_META_OIFNAME, out);
        drop_all(b, outside(site, i), NFT_META_IIFNAME, in);
    }
}

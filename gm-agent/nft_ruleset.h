/* nft_ruleset.h - the nftables half of the XFRM data path as one batch (DATAPATH 0, 6, 9): what XFRM cannot
 * do alone for a group. Pure. One table in the families ip, netdev and, where there is IPv6, ip6 (which holds
 * nft_closed.h alone), named after the instance:
 *
 * - inward: ESP under a known SPI from the WAN is led to our WAN address, where the inbound SAs are
 * - defrag: fragments of ESP are put together before "inward" looks at the SPI
 * - clear: from the WAN, what a selector protects and did not come in ESP: dropped and counted
 * - stash: the hosts' addresses are laid into mark and priority of a packet that will be encrypted
 * - restore: and written into the ESP packet, which is then routed anew; multicast at the egress
 * - guard: what a selector protects and leaves the WAN in clear all the same (masquerade, flushed policies),
 *   and ESP that still goes to the anchor: dropped and counted
 * - mss: TCP segments are made to fit
 *
 * fwmark and skb priority of encrypted packets are ours between forward and the WAN. */
#ifndef GM_AGENT_NFT_RULESET_H
#define GM_AGENT_NFT_RULESET_H

#include "gm-agent/nft_message.h"
#include "gm-agent/xfrm_plan.h"

enum {
    NFT_RULESET_RULE_OCTETS = 1024, /* room for one rule */
    NFT_RULESET_MAX = (6 * (POLICY_SELECTOR_MAX + XFRM_PLAN_DENY_MAX) + 256) * NFT_RULESET_RULE_OCTETS,
};

/* Counters by name, each in the family where it counts. */
enum nft_ruleset_counter {
    NFT_COUNTER_ENCAPS,      /* ESP packets on their way */
    NFT_COUNTER_NOT_IPSEC,   /* dropped: came in clear */
    NFT_COUNTER_INVALID_SPI, /* dropped: ESP of protected hosts under an SPI that is not known */
    NFT_COUNTER_LEAK,        /* dropped: about to leave in clear */
    NFT_COUNTER_ANCHOR,      /* dropped: ESP without its addresses */
    NFT_COUNTER_NO_POLICY,   /* dropped: came in ESP of the group, but no selector has it */
    NFT_COUNTER_COUNT,
};
const char *nft_ruleset_counter_name(enum nft_ruleset_counter id);

void nft_ruleset_table(const struct xfrm_site *site, char out[NFT_NAME_MAX]);
/* fresh: everything is made anew, counters from zero. Else rules and SPIs are replaced, which fails when the
 * table is not there. Either way the kernel changes from one to the other at once. seq: of the first message.
 * *last_seq: of the one to be acknowledged. E_FULL, E_NO_MEMORY. */
err_t nft_ruleset_build(const struct xfrm_site *site, const struct datapath_state *state, bool fresh,
                        uint32_t seq, uint8_t *buffer, size_t cap, struct bytes *out,
                        uint32_t *last_seq) MUST_USE;
/* The table of IPv6 alone, made anew and closed: for rules of an earlier run, which stay beside it. */
err_t nft_ruleset_close_ipv6(const struct xfrm_site *site, uint32_t seq, uint8_t *buffer, size_t cap,
                             struct bytes *out, uint32_t *last_seq) MUST_USE;
/* Takes the table away; no error when it is not there. */
err_t nft_ruleset_remove(const struct xfrm_site *site, uint32_t seq, uint8_t *buffer, size_t cap,
                         struct bytes *out, uint32_t *last_seq) MUST_USE;

#endif

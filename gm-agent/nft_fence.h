/* nft_fence.h - the last barrier of the user back end: what the policy protects and the kernel would forward all the
 * same between a LAN device and the WAN, in clear, is dropped and counted. Policy rules lead protected packets to the TUN;
 * but multicast routes are not asked about rules, and somebody's own rule may come before ours. What the path lets pass
 * comes from the TUN and is not touched; neither is what the machine itself sends. Pure. One table, in ip and ip6:
 *
 * - fence (forward): from a LAN to the WAN -> leaving; from the WAN to a LAN -> entering
 * - leaving, entering: key management and local exceptions pass; what a selector has is dropped
 *
 * Fragments behind the first count as protected, since they show no ports; in IPv6 ports and protocols of selectors are not
 * looked at, as with the rules (steer.h). */
#ifndef GM_AGENT_NFT_FENCE_H
#define GM_AGENT_NFT_FENCE_H

#include "gm-agent/datapath.h"
#include "gm-agent/nft_message.h"

enum {
    NFT_FENCE_RULE_OCTETS = 1024, /* room for one rule */
    NFT_FENCE_MAX = (4 * (POLICY_SELECTOR_MAX + GM_DENY_MAX) + 4 * GM_LAN_MAX + 64) * NFT_FENCE_RULE_OCTETS,
};

void nft_fence_table(const struct gm_datapath_config *config, char out[NFT_NAME_MAX]);
/* Makes the table or replaces its rules; counters go on unless fresh. At once either way. ipv6: not where the machine has none.
 * *last_seq: of the message to be acknowledged. E_FULL, E_NO_MEMORY. */
err_t nft_fence_build(const struct gm_datapath_config *config, const struct datapath_state *state, bool ipv6, bool fresh,
                      uint32_t seq, uint8_t *buffer, size_t cap, struct bytes *out, uint32_t *last_seq) MUST_USE;
/* Takes the table away; no error when it is not there. */
err_t nft_fence_remove(const struct gm_datapath_config *config, bool ipv6, uint32_t seq, uint8_t *buffer, size_t cap,
                       struct bytes *out, uint32_t *last_seq) MUST_USE;

#endif

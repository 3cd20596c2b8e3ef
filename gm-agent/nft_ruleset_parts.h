/* nft_ruleset_parts.h - the rules of the XFRM data path, chain by chain, among nft_ruleset*.c. Each adds rules to chains of
 * the table in hand; errors are the batch's. */
#ifndef GM_AGENT_NFT_RULESET_PARTS_H
#define GM_AGENT_NFT_RULESET_PARTS_H

#include "gm-agent/nft_ruleset.h"

extern const char nft_spi_set[];      /* of the keys that are received on */
extern const char nft_defrag_chain[]; /* has a hook only with site->track */
/* One for each uplink: a chain of the family netdev hangs at a device. */
extern const char *const nft_egress_chains[GM_WAN_MAX];

/* The end of a rule. */
void nft_rules_count_and_drop(struct nft_batch *b, enum nft_ruleset_counter counter);
/* A whole rule: what the selector has is dropped. */
void nft_rules_drop_selector(struct nft_batch *b, const char *chain, const struct selector *selector,
                             enum nft_ruleset_counter counter);
/* Control traffic of our own: the far port or ours is a known one. our_address_at: IP_SRC_AT or IP_DST_AT. */
void nft_rules_accept_control(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state,
                              const char *chain, uint32_t our_address_at);

/* nft_ruleset_in.c: from the WAN. */
void nft_rules_inward(struct nft_batch *b, const struct xfrm_site *site, const char *wan);
/* Fragments of ESP are put together before "inward" looks at the SPI. A rule that nobody comes by is enough for that, and
 * costs nothing; where the kernel has no such rule, one about connections does it, and every packet is tracked. */
void nft_rules_defrag(struct nft_batch *b, const struct xfrm_site *site);
void nft_rules_clear(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state);

/* nft_ruleset_out.c: to the WAN. */
void nft_rules_stash(struct nft_batch *b, const struct xfrm_site *site);
void nft_rules_restore(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state);
/* The table in hand is that of netdev. */
void nft_rules_egress(struct nft_batch *b, const struct xfrm_site *site, size_t uplink);
void nft_rules_guard(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state);

#endif

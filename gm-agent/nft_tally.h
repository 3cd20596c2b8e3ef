/* nft_tally.h - packets by DSCP, counted by rules of the XFRM data path. A set for each direction, whose
 * elements the kernel makes itself as classes come by, each with a counter of its own. Rules may be replaced
 * without a loss of count; only the table takes the sets with it. Pure. A packet that the kernel has joined
 * from several (GRO) counts as one, with all its octets. */
#ifndef GM_AGENT_NFT_TALLY_H
#define GM_AGENT_NFT_TALLY_H

#include "gm-agent/dscp.h"
#include "gm-agent/nft_message.h"
#include "gm-agent/xfrm_plan.h"

#define NFT_TALLY_CHAIN "received" /* where what was decrypted and is allowed goes, and is accepted */

/* Sets and chain of the table in hand. */
void nft_tally_new(struct nft_batch *b);
/* In the chains where addresses are stashed, and in NFT_TALLY_CHAIN. Probe packets (xfrm_probe.h) do not
 * count. */
void nft_tally_rules(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state);

/* The request for all elements of one direction; buffer has NFT_MESSAGE_MAX octets. */
struct nlmsghdr *nft_tally_dump(uint8_t *buffer, uint32_t seq, const char *table, bool out);
/* Adds what one message of the answer says. E_UNEXPECTED: something else, or of another table or set;
 * E_TRUNCATED, E_BAD_LENGTH. */
err_t nft_tally_parse(struct dscp_table *sum, const char *table, const struct nlmsghdr *message) MUST_USE;

#endif

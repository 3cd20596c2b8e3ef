/* nft_counters.h - what the counters of a table of ours say. */
#ifndef GM_AGENT_NFT_COUNTERS_H
#define GM_AGENT_NFT_COUNTERS_H

#include "gm-agent/nft_ruleset.h"
#include "gm-agent/xfrm_socket.h"

/* Sums over the families of the table. buffer: NFT_MESSAGE_MAX octets. out stays as it is when the kernel does not
 * tell. */
void nft_counters_dump(struct xfrm_socket *nft, uint8_t *buffer, const char *table, uint64_t out[NFT_COUNTER_COUNT]);

#endif

/* nft_counters.h - what the kernel says of a table of ours: its counters, and that somebody changed it. */
#ifndef GM_AGENT_NFT_COUNTERS_H
#define GM_AGENT_NFT_COUNTERS_H

#include <linux/netfilter/nfnetlink.h>

#include "gm-agent/nft_ruleset.h"
#include "gm-agent/xfrm_socket.h"

enum { NFT_WATCH_GROUPS = 1 << (NFNLGRP_NFTABLES - 1) }; /* of the socket that watches */

/* Takes what has come in: did anybody but the requests of nft change the table, or may have, since messages were lost? */
bool nft_table_changed(struct xfrm_socket *watch, const struct xfrm_socket *nft, const char *table);
/* Sums over the families of the table. buffer: NFT_MESSAGE_MAX octets. out stays as it is when the kernel does not
 * tell. */
void nft_counters_dump(struct xfrm_socket *nft, uint8_t *buffer, const char *table, uint64_t out[NFT_COUNTER_COUNT]);

#endif

/* nft_closed.h - rules while no policy is known (before the first registration, or after the keys have
 * ended): nothing is forwarded between the LAN devices and the WAN but key management and the local
 * exceptions, in IPv4 and IPv6 alike. What the machine itself sends and gets is not touched, neighbour discovery
 * least of all, or it could never register. With the
 * first policy these rules go in the same batch that brings the guard of that policy, and before it has its
 * SAs, so no packet gets past between. Pure. */
#ifndef GM_AGENT_NFT_CLOSED_H
#define GM_AGENT_NFT_CLOSED_H

#include "gm-agent/nft_message.h"
#include "gm-agent/xfrm_plan.h"

#define NFT_CLOSED_CHAIN "closed" /* in the forward hook */
#define NFT_SHUT_CHAIN "shut"     /* jumped to */

void nft_closed_chains(struct nft_batch *b);

/* Rules of a chain: key management passes, and what is let pass in clear of the family of the batch's table. */
void nft_accept_control(struct nft_batch *b, const char *chain);
void nft_accept_denied(struct nft_batch *b, const char *chain, const struct selector *denies, size_t count);
/* Into the batch's table, of either family. out, in: the counters of what is dropped on its way to the WAN and from there. */
void nft_closed_rules(struct nft_batch *b, const struct xfrm_site *site, const char *out, const char *in);

#endif

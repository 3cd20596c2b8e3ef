/* nft_match.h - conditions of a rule about IPv4 packets unless said, each a few expressions. All use NFT_REG_1. */
#ifndef GM_AGENT_NFT_MATCH_H
#define GM_AGENT_NFT_MATCH_H

#include "gm-agent/nft_message.h"
#include "proto/gdoi/group_policy.h"

enum { IP_PROTOCOL_AT = 9, IP_SRC_AT = 12, IP_DST_AT = 16, IP6_SRC_AT = 8, IP6_DST_AT = 24 };

/* key: NFT_META_IIFNAME or NFT_META_OIFNAME. */
void nft_match_device(struct nft_batch *b, uint32_t key, const char *name, bool equal);
void nft_match_protocol(struct nft_batch *b, uint8_t protocol, bool equal);
/* In either family, behind extension headers. */
void nft_match_transport(struct nft_batch *b, uint8_t protocol);
void nft_match_address(struct nft_batch *b, uint32_t at, const uint8_t addr[4]);
/* What is in NFT_REG_1 lies in the prefix. */
void nft_match_loaded_prefix(struct nft_batch *b, const struct prefix *prefix);
/* No condition for a prefix of 0 bits. */
void nft_match_prefix(struct nft_batch *b, uint32_t at, const struct prefix *prefix);
/* Source and destination, of the selector's own family; it is for the caller to ask nft_in_family. */
void nft_match_prefixes(struct nft_batch *b, const struct selector *s);
/* at: 0 source, 2 destination. No condition for port 0. */
void nft_match_port(struct nft_batch *b, uint32_t at, uint16_t port);
/* A fragment behind the first, which shows no ports. IPv4. */
void nft_match_later_fragment(struct nft_batch *b);
/* Is the selector of the family of the batch's table? */
bool nft_in_family(const struct nft_batch *b, const struct selector *s);
void nft_match_selector(struct nft_batch *b, const struct selector *s);
/* 1: will be encrypted (outbound), was decrypted (inbound); 0: not. */
void nft_match_flag(struct nft_batch *b, bool outbound, uint8_t value);
/* By an SA with this reqid. */
void nft_match_reqid(struct nft_batch *b, bool outbound, uint32_t reqid);

#endif

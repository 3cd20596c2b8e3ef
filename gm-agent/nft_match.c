/* nft_match.c - conditions of a rule. */
#include "gm-agent/nft_match.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

enum { IP_FRAGMENT_AT = 6 };

void nft_match_device(struct nft_batch *b, uint32_t key, const char *name, bool equal)
{
    char padded[16] = {0};
    memcpy(padded, name, strnlen(name, sizeof(padded) - 1));
    nft_load_meta(b, key, NFT_REG_1);
    nft_compare(b, NFT_REG_1, equal, padded, sizeof(padded));
}

void nft_match_protocol(struct nft_batch *b, uint8_t protocol, bool equal)
{
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_PROTOCOL_AT, 1, NFT_REG_1);
    nft_compare(b, NFT_REG_1, equal, &protocol, 1);
}

void nft_match_transport(struct nft_batch *b, uint8_t protocol)
{
    nft_load_meta(b, NFT_META_L4PROTO, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, &protocol, 1);
}

void nft_match_address(struct nft_batch *b, uint32_t at, const uint8_t addr[4])
{
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, at, 4, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, addr, 4);
}

void nft_match_loaded_prefix(struct nft_batch *b, const struct prefix *prefix)
{
    uint8_t mask[16];
    prefix_mask(prefix, mask);
    if (prefix->bits < 32)
        nft_mask(b, NFT_REG_1, mask, 4);
    nft_compare(b, NFT_REG_1, true, prefix->addr.bytes, 4);
}

void nft_match_prefix(struct nft_batch *b, uint32_t at, const struct prefix *prefix)
{
    if (prefix->bits == 0)
        return;
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, at, 4, NFT_REG_1);
    nft_match_loaded_prefix(b, prefix);
}

static void match_prefix_6(struct nft_batch *b, uint32_t at, const struct prefix *prefix)
{
    uint8_t mask[16];
    if (prefix->bits == 0)
        return;
    prefix_mask(prefix, mask);
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, at, 16, NFT_REG_1);
    if (prefix->bits < 128)
        nft_mask(b, NFT_REG_1, mask, 16);
    nft_compare(b, NFT_REG_1, true, prefix->addr.bytes, 16);
}

bool nft_in_family(const struct nft_batch *b, const struct selector *s)
{
    return (s->src.addr.family == AF_INET6) == (b->family == NFPROTO_IPV6);
}

void nft_match_later_fragment(struct nft_batch *b)
{
    static const uint8_t offset[2] = {0x1f, 0xff}, none[2];
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_FRAGMENT_AT, 2, NFT_REG_1);
    nft_mask(b, NFT_REG_1, offset, 2);
    nft_compare(b, NFT_REG_1, false, none, 2);
}

void nft_match_prefixes(struct nft_batch *b, const struct selector *s)
{
    if (s->src.addr.family == AF_INET6) {
        match_prefix_6(b, IP6_SRC_AT, &s->src);
        match_prefix_6(b, IP6_DST_AT, &s->dst);
        return;
    }
    nft_match_prefix(b, IP_SRC_AT, &s->src);
    nft_match_prefix(b, IP_DST_AT, &s->dst);
}

void nft_match_port(struct nft_batch *b, uint32_t at, uint16_t port)
{
    uint16_t raw = htons(port);
    if (port == 0)
        return;
    nft_load_payload(b, NFT_PAYLOAD_TRANSPORT_HEADER, at, 2, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, &raw, 2);
}

void nft_match_selector(struct nft_batch *b, const struct selector *s)
{
    nft_match_prefixes(b, s);
    if (s->protocol != 0 && s->src.addr.family == AF_INET6)
        nft_match_transport(b, s->protocol);
    else if (s->protocol != 0)
        nft_match_protocol(b, s->protocol, true);
    nft_match_port(b, 0, s->src_port);
    nft_match_port(b, 2, s->dst_port);
}

void nft_match_flag(struct nft_batch *b, bool outbound, uint8_t value)
{
    if (outbound)
        nft_load_rt(b, NFT_RT_XFRM, NFT_REG_1);
    else
        nft_load_meta(b, NFT_META_SECPATH, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, &value, 1);
}

void nft_match_reqid(struct nft_batch *b, bool outbound, uint32_t reqid)
{
    nft_load_xfrm_reqid(b, outbound, NFT_REG_1);
    nft_compare(b, NFT_REG_1, true, &reqid, sizeof(reqid));
}

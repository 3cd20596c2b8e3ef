/* nft_expression.c - the expressions of rules, one function each. */
#include <stdio.h> /* libnftnl/expr.h names FILE */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "gm-agent/nft_message.h"

enum {
    IP_CHECKSUM_AT = 10,
    TCP_OPTION_MSS = 2,
    TCP_OPTION_MSS_VALUE_AT = 2, /* behind kind and length */
    XFRM_DIR_IN = 0,             /* XFRM_POLICY_IN and _OUT */
    XFRM_DIR_OUT = 1,
};

static struct nftnl_expr *add(struct nft_batch *b, const char *name)
{
    if (b->err != E_OK)
        return NULL;
    struct nftnl_expr *e = nftnl_expr_alloc(name);
    if (e == NULL)
        b->err = E_NO_MEMORY;
    else
        nftnl_rule_add_expr(b->rule, e); /* owned by the rule from here on */
    return e;
}

static void set_data(struct nft_batch *b, struct nftnl_expr *e, uint16_t type, const void *data, uint32_t len)
{
    if (nftnl_expr_set(e, type, data, len) != 0)
        b->err = E_NO_MEMORY;
}

void nft_load_meta(struct nft_batch *b, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "meta");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, reg);
}

void nft_store_meta(struct nft_batch *b, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "meta");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, reg);
}

static struct nftnl_expr *payload(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len)
{
    struct nftnl_expr *e = add(b, "payload");
    if (e == NULL)
        return NULL;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
    return e;
}

void nft_load_payload(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
    struct nftnl_expr *e = payload(b, base, offset, len);
    if (e != NULL)
        nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void nft_store_payload(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg,
                       bool ip_checksum)
{
    struct nftnl_expr *e = payload(b, base, offset, len);
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE,
                       ip_checksum ? NFT_PAYLOAD_CSUM_INET : NFT_PAYLOAD_CSUM_NONE);
    nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, ip_checksum ? IP_CHECKSUM_AT : 0);
}

void nft_load_ct(struct nft_batch *b, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "ct");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, reg);
}

void nft_load_rt(struct nft_batch *b, uint32_t key, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "rt");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_RT_KEY, key);
    nftnl_expr_set_u32(e, NFTNL_EXPR_RT_DREG, reg);
}

void nft_load_xfrm_reqid(struct nft_batch *b, bool outbound, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "xfrm");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_KEY, NFT_XFRM_KEY_REQID);
    nftnl_expr_set_u8(e, NFTNL_EXPR_XFRM_DIR, outbound ? XFRM_DIR_OUT : XFRM_DIR_IN);
    nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_SPNUM, 0);
    nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_DREG, reg);
}

void nft_mask(struct nft_batch *b, uint32_t reg, const void *mask, uint32_t len)
{
    static const uint8_t zeros[16];
    struct nftnl_expr *e = add(b, "bitwise");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
    nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
    set_data(b, e, NFTNL_EXPR_BITWISE_MASK, mask, len);
    set_data(b, e, NFTNL_EXPR_BITWISE_XOR, zeros, len);
}

void nft_compare(struct nft_batch *b, uint32_t reg, bool equal, const void *value, uint32_t len)
{
    struct nftnl_expr *e = add(b, "cmp");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
    set_data(b, e, NFTNL_EXPR_CMP_DATA, value, len);
}

void nft_lookup(struct nft_batch *b, uint32_t reg, const char *set)
{
    struct nftnl_expr *e = add(b, "lookup");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, reg);
    if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set) != 0)
        b->err = E_NO_MEMORY;
}

void nft_immediate(struct nft_batch *b, uint32_t reg, const void *value, uint32_t len)
{
    struct nftnl_expr *e = add(b, "immediate");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, reg);
    set_data(b, e, NFTNL_EXPR_IMM_DATA, value, len);
}

void nft_store_mss(struct nft_batch *b, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "exthdr");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
    nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, TCP_OPTION_MSS);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, TCP_OPTION_MSS_VALUE_AT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, 2);
    nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_SREG, reg);
}

void nft_notrack(struct nft_batch *b)
{
    add(b, "notrack");
}

void nft_tproxy(struct nft_batch *b, uint32_t reg)
{
    struct nftnl_expr *e = add(b, "tproxy");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_FAMILY, NFPROTO_IPV4);
    nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_REG_PORT, reg);
}

void nft_count(struct nft_batch *b, const char *counter)
{
    struct nftnl_expr *e = add(b, "objref");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
    if (nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, counter) != 0)
        b->err = E_NO_MEMORY;
}

void nft_count_by(struct nft_batch *b, uint32_t reg, const char *set)
{
    struct nftnl_expr *e = add(b, "dynset");
    struct nftnl_expr *counter = e != NULL ? nftnl_expr_alloc("counter") : NULL;
    if (counter == NULL || nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set) != 0) {
        if (counter != NULL)
            nftnl_expr_free(counter);
        b->err = b->err == E_OK ? E_NO_MEMORY : b->err;
        return;
    }
    nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, reg);
    nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_ADD);
    nftnl_expr_set(e, NFTNL_EXPR_DYNSET_EXPR, counter, 0); /* owned by e */
}

void nft_verdict(struct nft_batch *b, int verdict, const char *chain)
{
    struct nftnl_expr *e = add(b, "immediate");
    if (e == NULL)
        return;
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
    nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
    if (chain != NULL && nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain) != 0)
        b->err = E_NO_MEMORY;
}

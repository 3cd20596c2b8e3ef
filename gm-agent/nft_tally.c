/* nft_tally.c - sets with counters, the rules that feed them, and the dump. */
#include "gm-agent/nft_tally.h"

#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "gm-agent/nft_match.h"
#include "gm-agent/xfrm_probe.h"

enum {
    IP_TOS_AT = 1,
    DSCP_MASK = 0xfc,
    OUT_SET_ID = 2, /* 1: that of SPIs */
    IN_SET_ID = 3,
    KEY_TYPE = 13, /* nft(8)'s number for how elements are shown: as a number */
};

static const char out_set[] = "dscp_out", in_set[] = "dscp_in";

void nft_tally_new(struct nft_batch *b)
{
    nft_counting_set_new(b, out_set, OUT_SET_ID, KEY_TYPE, 1, DSCP_COUNT);
    nft_counting_set_new(b, in_set, IN_SET_ID, KEY_TYPE, 1, DSCP_COUNT);
    nft_chain_new(b, NFT_TALLY_CHAIN, NULL);
}

static void count_class(struct nft_batch *b, const char *set)
{
    static const uint8_t mask = DSCP_MASK;
    nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_TOS_AT, 1, NFT_REG_1);
    nft_mask(b, NFT_REG_1, &mask, 1);
    nft_count_by(b, NFT_REG_1, set);
    nft_rule_end(b);
}

void nft_tally_rules(struct nft_batch *b, const struct xfrm_site *site, const struct datapath_state *state)
{
    static const char *const chains[] = {"stash_forward", "stash_output"};
    uint8_t probe[4];
    xfrm_probe_address(site, probe);
    for (size_t i = 0; i < 2; i++) {
        nft_rule_begin(b, chains[i]);
        nft_match_reqid(b, true, xfrm_plan_reqid_out(site));
        if (state->sid_bits != 0) {
            nft_load_payload(b, NFT_PAYLOAD_NETWORK_HEADER, IP_DST_AT, 4, NFT_REG_1);
            nft_compare(b, NFT_REG_1, false, probe, sizeof(probe));
        }
        count_class(b, out_set);
    }
    nft_rule_begin(b, NFT_TALLY_CHAIN);
    nft_match_reqid(b, false, xfrm_plan_reqid_in(site));
    count_class(b, in_set);
}

struct nlmsghdr *nft_tally_dump(uint8_t *buffer, uint32_t seq, const char *table, bool out)
{
    memset(buffer, 0, NFT_MESSAGE_MAX);
    struct nlmsghdr *message =
        nftnl_nlmsg_build_hdr((char *)buffer, NFT_MSG_GETSETELEM, NFPROTO_IPV4, NLM_F_DUMP, seq);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, out ? out_set : in_set);
    return message;
}

/* False: not a key of one octet. */
static bool read_class(const struct nlattr *key, uint8_t *dscp)
{
    const struct nlattr *attribute;
    bool found = false;
    mnl_attr_for_each_nested(attribute, key)
    {
        if (mnl_attr_get_type(attribute) != NFTA_DATA_VALUE || mnl_attr_get_payload_len(attribute) != 1)
            continue;
        *dscp = *(const uint8_t *)mnl_attr_get_payload(attribute) >> 2;
        found = true;
    }
    return found;
}

static void read_expression(const struct nlattr *nest, struct dscp_count *out)
{
    const struct nlattr *attribute, *data = NULL;
    char name[NFT_NAME_MAX] = "";
    mnl_attr_for_each_nested(attribute, nest)
    {
        if (mnl_attr_get_type(attribute) == NFTA_EXPR_NAME)
            nft_read_name(attribute, name);
        else if (mnl_attr_get_type(attribute) == NFTA_EXPR_DATA)
            data = attribute;
    }
    if (data != NULL && strcmp(name, "counter") == 0)
        nft_read_counter(data, &out->packets, &out->octets);
}

static void add_element(struct dscp_count sum[DSCP_COUNT], const struct nlattr *element)
{
    const struct nlattr *attribute;
    struct dscp_count count = {0, 0};
    uint8_t dscp = 0;
    bool has_key = false;
    mnl_attr_for_each_nested(attribute, element)
    {
        if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_KEY)
            has_key = read_class(attribute, &dscp);
        else if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_EXPR)
            read_expression(attribute, &count);
    }
    if (!has_key)
        return;
    sum[dscp].packets += count.packets;
    sum[dscp].octets += count.octets;
}

err_t nft_tally_parse(struct dscp_table *sum, const char *table, const struct nlmsghdr *message)
{
    const struct nlattr *attribute, *element, *list = NULL;
    char of_table[NFT_NAME_MAX] = "", set[NFT_NAME_MAX] = "";
    err_t err = nft_check_message(message, NFT_MSG_NEWSETELEM);
    if (err != E_OK)
        return err;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        uint16_t type = mnl_attr_get_type(attribute);
        if (type == NFTA_SET_ELEM_LIST_TABLE)
            nft_read_name(attribute, of_table);
        else if (type == NFTA_SET_ELEM_LIST_SET)
            nft_read_name(attribute, set);
        else if (type == NFTA_SET_ELEM_LIST_ELEMENTS)
            list = attribute;
    }
    bool out = strcmp(set, out_set) == 0;
    if (strcmp(of_table, table) != 0 || (!out && strcmp(set, in_set) != 0))
        return E_UNEXPECTED;
    if (list != NULL)
        mnl_attr_for_each_nested(element, list) add_element(out ? sum->out : sum->in, element);
    return E_OK;
}

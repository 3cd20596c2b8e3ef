/* nft_fence.c - who may not pass from device to device. */
#include "gm-agent/nft_fence.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>

#include "gm-agent/nft_closed.h"
#include "gm-agent/nft_match.h"
#include "gm-agent/nft_ruleset.h"

static const char fence_chain[] = "fence", leaving[] = "leaving", entering[] = "entering";
static const uint8_t families[] = {NFPROTO_IPV4, NFPROTO_IPV6};

void nft_fence_table(const struct gm_datapath_config *config, char out[NFT_NAME_MAX])
{
    snprintf(out, NFT_NAME_MAX, "quorate_%s", config->tun);
}

static void make_table(struct nft_batch *b, bool fresh)
{
    static const struct nft_hook forward = {"filter", NF_INET_FORWARD, 0, NULL};
    nft_table_new(b);
    if (fresh) {
        nft_table_delete(b);
        nft_table_new(b);
    }
    nft_counter_new(b, nft_ruleset_counter_name(NFT_COUNTER_LEAK));
    nft_counter_new(b, nft_ruleset_counter_name(NFT_COUNTER_NOT_IPSEC));
    nft_chain_new(b, fence_chain, &forward);
    nft_chain_new(b, leaving, NULL);
    nft_chain_new(b, entering, NULL);
    nft_rules_flush(b);
}

static void lead(struct nft_batch *b, const char *from, const char *to, const char *chain)
{
    nft_rule_begin(b, fence_chain);
    nft_match_device(b, NFT_META_IIFNAME, from, true);
    nft_match_device(b, NFT_META_OIFNAME, to, true);
    nft_verdict(b, NFT_JUMP, chain);
    nft_rule_end(b);
}

static void count_and_drop(struct nft_batch *b, enum nft_ruleset_counter counter)
{
    nft_count(b, nft_ruleset_counter_name(counter));
    nft_verdict(b, NF_DROP, NULL);
    nft_rule_end(b);
}

static void drop_selector(struct nft_batch *b, const char *chain, const struct selector *s,
                          enum nft_ruleset_counter counter)
{
    bool ports = s->src_port != 0 || s->dst_port != 0;
    nft_rule_begin(b, chain);
    if (b->family == NFPROTO_IPV6)
        nft_match_prefixes(b, s);
    else
        nft_match_selector(b, s);
    count_and_drop(b, counter);
    if (!ports || b->family == NFPROTO_IPV6)
        return;
    nft_rule_begin(b, chain);
    nft_match_prefixes(b, s);
    if (s->protocol != 0)
        nft_match_protocol(b, s->protocol, true);
    nft_match_later_fragment(b);
    count_and_drop(b, counter);
}

static void fill_chain(struct nft_batch *b, const char *chain, const struct datapath_state *state,
                       enum nft_ruleset_counter counter)
{
    nft_accept_control(b, chain);
    nft_accept_denied(b, chain, state->denies, state->deny_count);
    for (size_t i = 0; i < state->selector_count; i++)
        if (nft_in_family(b, &state->selectors[i]))
            drop_selector(b, chain, &state->selectors[i], counter);
}

/* What is meant to pass in clear while a group migrates does; but without a policy nothing is meant to. */
static void fill_table(struct nft_batch *b, const struct gm_datapath_config *config,
                       const struct datapath_state *state)
{
    for (size_t i = 0; i < config->lan_count; i++) {
        lead(b, config->lan[i], config->wan, leaving);
        lead(b, config->wan, config->lan[i], entering);
    }
    if (state->closed || state->direction != DATAPATH_RECEIVE_ONLY)
        fill_chain(b, leaving, state, NFT_COUNTER_LEAK);
    if (state->closed || state->direction == DATAPATH_BOTH)
        fill_chain(b, entering, state, NFT_COUNTER_NOT_IPSEC);
}

err_t nft_fence_build(const struct gm_datapath_config *config, const struct datapath_state *state, bool ipv6, bool fresh,
                      uint32_t seq, uint8_t *buffer, size_t cap, struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    struct nft_batch b;
    nft_fence_table(config, table);
    nft_batch_begin(&b, buffer, cap, seq);
    for (size_t i = 0; i < (ipv6 ? 2 : 1); i++) {
        nft_table_use(&b, families[i], table);
        make_table(&b, fresh);
        fill_table(&b, config, state);
    }
    return nft_batch_finish(&b, out, last_seq);
}

err_t nft_fence_remove(const struct gm_datapath_config *config, bool ipv6, uint32_t seq, uint8_t *buffer, size_t cap,
                       struct bytes *out, uint32_t *last_seq)
{
    char table[NFT_NAME_MAX];
    struct nft_batch b;
    nft_fence_table(config, table);
    nft_batch_begin(&b, buffer, cap, seq);
    for (size_t i = 0; i < (ipv6 ? 2 : 1); i++)
        nft_table_remove(&b, families[i], table);
    return nft_batch_finish(&b, out, last_seq);
}

/* nft_batch.h - what an nftables batch says, for tests. */
#ifndef TESTS_UNIT_GM_AGENT_NFT_BATCH_H
#define TESTS_UNIT_GM_AGENT_NFT_BATCH_H

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/wire.h"
#include "tests/lib/test.h"

/* The n-th message of a batch. */
static UNUSED const struct nlmsghdr *message_at(struct bytes batch, size_t n)
{
    int left = (int)batch.len;
    const struct nlmsghdr *message = (const struct nlmsghdr *)batch.data;
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
        if (n-- == 0)
            return message;
    fail_msg("the batch has no such message");
    return NULL;
}

static UNUSED size_t message_count(struct bytes batch)
{
    size_t count = 0;
    int left = (int)batch.len;
    const struct nlmsghdr *message = (const struct nlmsghdr *)batch.data;
    for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
        count++;
    assert_int_equal(left, 0); /* nothing behind the last one */
    return count;
}

static UNUSED struct bytes body(const struct nlmsghdr *message)
{
    return (struct bytes){mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message)};
}

/* The rules of a chain, in order. */
static UNUSED const struct nlmsghdr *rule_at(struct bytes batch, const char *chain, size_t n)
{
    for (size_t i = 0; i < message_count(batch); i++) {
        const struct nlmsghdr *m = message_at(batch, i);
        const struct nlattr *a;
        if (m->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE))
            continue;
        mnl_attr_for_each(a, m, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) == NFTA_RULE_CHAIN &&
                                                             strcmp(mnl_attr_get_str(a), chain) == 0 &&
                                                             n-- == 0) return m;
    }
    return NULL;
}

static UNUSED bool has_bytes(const struct nlmsghdr *message, const char *text_hex)
{
    uint8_t raw[512];
    struct bytes want = hex(text_hex, raw, sizeof(raw)), got = body(message);
    return memmem(got.data, got.len, want.data, want.len) != NULL;
}

static UNUSED bool chain_has_hook(struct bytes batch, const char *chain)
{
    for (size_t i = 0; i < message_count(batch); i++) {
        const struct nlmsghdr *m = message_at(batch, i);
        const struct nlattr *a;
        bool named = false, hooked = false;
        if (m->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN))
            continue;
        mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
        {
            named |= mnl_attr_get_type(a) == NFTA_CHAIN_NAME && strcmp(mnl_attr_get_str(a), chain) == 0;
            hooked |= mnl_attr_get_type(a) == NFTA_CHAIN_HOOK;
        }
        if (named)
            return hooked;
    }
    fail_msg("no chain %s", chain);
    return false;
}

/* How many messages of a kind are of a family. */
static UNUSED size_t of_family(struct bytes batch, uint16_t type, uint8_t family)
{
    size_t count = 0;
    for (size_t i = 1; i + 1 < message_count(batch); i++) {
        const struct nlmsghdr *m = message_at(batch, i);
        count += m->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | type) && body(m).data[0] == family;
    }
    return count;
}

#endif

/* nft_message.c - nftables messages by libnftnl, in one buffer. */
#include "gm-agent/nft_message.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

void nft_batch_begin(struct nft_batch *b, uint8_t *data, size_t cap, uint32_t seq)
{
    memset(b, 0, sizeof(*b));
    b->data = data;
    b->cap = cap;
    b->seq = seq;
    if (cap < NFT_BATCH_MIN) {
        b->err = E_FULL;
        return;
    }
    memset(data, 0, NFT_MESSAGE_MAX);
    struct nlmsghdr *message = nftnl_batch_begin((char *)data, b->seq++);
    b->len = message->nlmsg_len;
}

/* A message at the end of the batch; NULL after an error. libnftnl does not check for room: there is always
 * NFT_MESSAGE_MAX of it. */
static struct nlmsghdr *begin(struct nft_batch *b, uint16_t type, uint16_t flags)
{
    if (b->err == E_OK && b->cap - b->len < NFT_BATCH_MIN)
        b->err = E_FULL;
    if (b->err != E_OK)
        return NULL;
    memset(b->data + b->len, 0, NFT_MESSAGE_MAX);
    b->last_seq = b->seq++;
    b->last_at = b->len;
    return nftnl_nlmsg_build_hdr((char *)b->data + b->len, type, b->family, flags, b->last_seq);
}

static void end(struct nft_batch *b, const struct nlmsghdr *message)
{
    b->len += MNL_ALIGN(message->nlmsg_len);
}

err_t nft_batch_end(struct nft_batch *b)
{
    if (b->rule != NULL) {
        nftnl_rule_free(b->rule);
        b->rule = NULL;
    }
    if (b->err != E_OK)
        return b->err;
    if (b->last_seq != 0) {
        struct nlmsghdr *last = (struct nlmsghdr *)(b->data + b->last_at);
        last->nlmsg_flags |= NLM_F_ACK;
    }
    memset(b->data + b->len, 0, NFT_MESSAGE_MAX);
    end(b, nftnl_batch_end((char *)b->data + b->len, b->seq++));
    return E_OK;
}

err_t nft_batch_finish(struct nft_batch *b, struct bytes *out, uint32_t *last_seq)
{
    err_t err = nft_batch_end(b);
    *out = (struct bytes){b->data, b->len};
    *last_seq = b->last_seq;
    return err;
}

void nft_table_use(struct nft_batch *b, uint8_t family, const char *name)
{
    b->family = family;
    b->table = name;
}

static void table_message(struct nft_batch *b, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *message = begin(b, type, flags);
    if (message == NULL)
        return;
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, b->table);
    end(b, message);
}

void nft_table_new(struct nft_batch *b)
{
    table_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void nft_table_delete(struct nft_batch *b)
{
    table_message(b, NFT_MSG_DELTABLE, 0);
}

void nft_table_remove(struct nft_batch *b, uint8_t family, const char *name)
{
    nft_table_use(b, family, name);
    nft_table_new(b); /* a table that is not there cannot be deleted */
    nft_table_delete(b);
}

void nft_chain_new(struct nft_batch *b, const char *name, const struct nft_hook *hook)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    if (message == NULL)
        return;
    struct nftnl_chain *chain = nftnl_chain_alloc();
    if (chain == NULL) {
        b->err = E_NO_MEMORY;
        return;
    }
    int failed = nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, b->table) |
                 nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
    if (hook != NULL) {
        failed |= nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, hook->type);
        nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook->hook);
        nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, hook->priority);
        if (hook->device != NULL)
            failed |= nftnl_chain_set_str(chain, NFTNL_CHAIN_DEV, hook->device);
    }
    if (failed != 0) {
        b->err = E_NO_MEMORY;
    } else {
        nftnl_chain_nlmsg_build_payload(message, chain);
        end(b, message);
    }
    nftnl_chain_free(chain);
}

void nft_rules_flush(struct nft_batch *b)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_DELRULE, 0);
    if (message == NULL)
        return;
    mnl_attr_put_strz(message, NFTA_RULE_TABLE, b->table);
    end(b, message);
}

void nft_counter_new(struct nft_batch *b, const char *name)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_NEWOBJ, NLM_F_CREATE);
    if (message == NULL)
        return;
    mnl_attr_put_strz(message, NFTA_OBJ_TABLE, b->table);
    mnl_attr_put_strz(message, NFTA_OBJ_NAME, name);
    mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
    struct nlattr *data = mnl_attr_nest_start(message, NFTA_OBJ_DATA);
    mnl_attr_nest_end(message, data);
    end(b, message);
}

static struct nlmsghdr *begin_set(struct nft_batch *b, const char *name, uint32_t id, uint32_t key_type,
                                  uint32_t key_len)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);
    if (message == NULL)
        return NULL;
    mnl_attr_put_strz(message, NFTA_SET_TABLE, b->table);
    mnl_attr_put_strz(message, NFTA_SET_NAME, name);
    mnl_attr_put_u32(message, NFTA_SET_KEY_TYPE, htonl(key_type));
    mnl_attr_put_u32(message, NFTA_SET_KEY_LEN, htonl(key_len));
    mnl_attr_put_u32(message, NFTA_SET_ID, htonl(id));
    return message;
}

void nft_set_new(struct nft_batch *b, const char *name, uint32_t id, uint32_t key_type, uint32_t key_len)
{
    struct nlmsghdr *message = begin_set(b, name, id, key_type, key_len);
    if (message != NULL)
        end(b, message);
}

void nft_counting_set_new(struct nft_batch *b, const char *name, uint32_t id, uint32_t key_type,
                          uint32_t key_len, uint32_t size)
{
    struct nlmsghdr *message = begin_set(b, name, id, key_type, key_len);
    if (message == NULL)
        return;
    mnl_attr_put_u32(message, NFTA_SET_FLAGS, htonl(NFT_SET_EVAL)); /* rules add to it */
    struct nlattr *desc = mnl_attr_nest_start(message, NFTA_SET_DESC);
    mnl_attr_put_u32(message, NFTA_SET_DESC_SIZE, htonl(size));
    mnl_attr_nest_end(message, desc);
    end(b, message);
}

void nft_set_flush(struct nft_batch *b, const char *name)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_DELSETELEM, 0);
    if (message == NULL)
        return;
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, b->table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, name);
    end(b, message);
}

void nft_set_add(struct nft_batch *b, const char *name, const uint32_t *keys, size_t count)
{
    if (count > NFT_SET_ELEM_MAX)
        b->err = E_LIMIT;
    struct nlmsghdr *message = count != 0 ? begin(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE) : NULL;
    if (message == NULL)
        return;
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, b->table);
    mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, name);
    struct nlattr *list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    for (size_t i = 0; i < count; i++) {
        struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
        struct nlattr *key = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);
        mnl_attr_put(message, NFTA_DATA_VALUE, sizeof(keys[i]), &keys[i]);
        mnl_attr_nest_end(message, key);
        mnl_attr_nest_end(message, element);
    }
    mnl_attr_nest_end(message, list);
    end(b, message);
}

void nft_rule_begin(struct nft_batch *b, const char *chain)
{
    if (b->err != E_OK)
        return;
    b->rule = nftnl_rule_alloc();
    if (b->rule == NULL || nftnl_rule_set_str(b->rule, NFTNL_RULE_TABLE, b->table) != 0 ||
        nftnl_rule_set_str(b->rule, NFTNL_RULE_CHAIN, chain) != 0)
        b->err = E_NO_MEMORY;
}

void nft_rule_end(struct nft_batch *b)
{
    struct nlmsghdr *message = begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    if (message == NULL)
        return;
    nftnl_rule_nlmsg_build_payload(message, b->rule);
    end(b, message);
    nftnl_rule_free(b->rule);
    b->rule = NULL;
}

struct nlmsghdr *nft_build_counter_dump(uint8_t *buffer, uint32_t seq, uint8_t family)
{
    memset(buffer, 0, NFT_MESSAGE_MAX);
    return nftnl_nlmsg_build_hdr((char *)buffer, NFT_MSG_GETOBJ, family, NLM_F_DUMP, seq);
}

err_t nft_check_message(const struct nlmsghdr *message, uint16_t type)
{
    if (message->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | type))
        return E_UNEXPECTED;
    if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(struct nfgenmsg))
        return E_TRUNCATED;
    if (message->nlmsg_len % NLMSG_ALIGNTO != 0)
        return E_BAD_LENGTH;
    return E_OK;
}

void nft_read_name(const struct nlattr *attribute, char out[NFT_NAME_MAX])
{
    size_t len = mnl_attr_get_payload_len(attribute);
    if (len >= NFT_NAME_MAX)
        len = NFT_NAME_MAX - 1; /* longer than any of ours: matches none */
    memcpy(out, mnl_attr_get_payload(attribute), len);
    out[len] = '\0';
}

void nft_read_counter(const struct nlattr *nest, uint64_t *packets, uint64_t *octets)
{
    const struct nlattr *attribute;
    *packets = *octets = 0;
    mnl_attr_for_each_nested(attribute, nest)
    {
        uint16_t type = mnl_attr_get_type(attribute);
        if ((type != NFTA_COUNTER_PACKETS && type != NFTA_COUNTER_BYTES) ||
            mnl_attr_get_payload_len(attribute) != sizeof(uint64_t))
            continue;
        struct reader r = reader_over((struct bytes){mnl_attr_get_payload(attribute), sizeof(uint64_t)});
        *(type == NFTA_COUNTER_PACKETS ? packets : octets) = read_u64(&r);
    }
}

err_t nft_parse_counter(struct nft_counter *out, const struct nlmsghdr *message)
{
    const struct nlattr *attribute;
    bool is_counter = false;
    uint64_t octets; /* of no interest here */
    memset(out, 0, sizeof(*out));
    err_t err = nft_check_message(message, NFT_MSG_NEWOBJ);
    if (err != E_OK)
        return err;
    mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
    {
        uint16_t type = mnl_attr_get_type(attribute);
        if (type == NFTA_OBJ_TABLE)
            nft_read_name(attribute, out->table);
        else if (type == NFTA_OBJ_NAME)
            nft_read_name(attribute, out->name);
        else if (type == NFTA_OBJ_DATA)
            nft_read_counter(attribute, &out->packets, &octets);
        else if (type == NFTA_OBJ_TYPE && mnl_attr_get_payload_len(attribute) == sizeof(uint32_t))
            is_counter = ntohl(mnl_attr_get_u32(attribute)) == NFT_OBJECT_COUNTER;
    }
    return is_counter ? E_OK : E_UNEXPECTED;
}

/* nft_message.h - an nftables batch, message by message: tables, chains, sets, counters, and rules as the
 * kernel's own expressions (libnftnl), also those that nft(8) cannot write. Pure: nothing is sent here.
 * Errors are sticky: check nft_batch_end. Registers hold 16 octets: NFT_REG_1, NFT_REG_2. */
#ifndef GM_AGENT_NFT_MESSAGE_H
#define GM_AGENT_NFT_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/wire.h"

struct nlattr;
struct nlmsghdr;
struct nftnl_rule;

enum {
    NFT_MESSAGE_MAX = 8192, /* octets of one message of a batch: far more than any rule here */
    NFT_NAME_MAX = 32,      /* bytes with NUL of a table, chain, set or counter */
    NFT_SET_ELEM_MAX = 64,  /* of one nft_set_add: it is one message */
    NFT_BATCH_MIN = 2 * NFT_MESSAGE_MAX,
};

struct nft_batch {
    uint8_t *data; /* the caller's */
    size_t len;
    size_t cap;
    err_t err; /* E_FULL, E_NO_MEMORY */
    uint32_t seq;
    uint32_t last_seq; /* of the last message that changes something */
    size_t last_at;    /* where it begins */
    uint8_t family;    /* of the table in hand */
    const char *table;
    struct nftnl_rule *rule; /* being made */
};

struct nft_hook {
    const char *type; /* "filter", "route" */
    uint32_t hook;    /* NF_INET_FORWARD ... */
    int32_t priority;
    const char *device; /* netdev only; else NULL */
};

/* cap at least NFT_BATCH_MIN. seq: the number of the first message. */
void nft_batch_begin(struct nft_batch *b, uint8_t *data, size_t cap, uint32_t seq);
/* Asks for the acknowledgement of the last change and closes the batch. Nothing to be freed afterwards. */
err_t nft_batch_end(struct nft_batch *b) MUST_USE;
/* The same; *out is the batch, borrowed, *last_seq the number of the message to be acknowledged. */
err_t nft_batch_finish(struct nft_batch *b, struct bytes *out, uint32_t *last_seq) MUST_USE;

/* What follows is about this table. name outlives the batch. */
void nft_table_use(struct nft_batch *b, uint8_t family, const char *name);
void nft_table_new(struct nft_batch *b); /* no error when it is there */
void nft_table_delete(struct nft_batch *b);
/* Takes a table of this family away; no error when it is not there. */
void nft_table_remove(struct nft_batch *b, uint8_t family, const char *name);
void nft_chain_new(struct nft_batch *b, const char *name, const struct nft_hook *hook); /* NULL: no hook */
void nft_rules_flush(struct nft_batch *b);                                              /* of all chains */
void nft_counter_new(struct nft_batch *b, const char *name);
void nft_set_new(struct nft_batch *b, const char *name, uint32_t id, uint32_t key_type, uint32_t key_len);
/* Elements come by nft_count_by alone, at most size. */
void nft_counting_set_new(struct nft_batch *b, const char *name, uint32_t id, uint32_t key_type,
                          uint32_t key_len, uint32_t size);
void nft_set_flush(struct nft_batch *b, const char *name);
/* count keys of 4 octets each, in network order; at most NFT_SET_ELEM_MAX, E_LIMIT. */
void nft_set_add(struct nft_batch *b, const char *name, const uint32_t *keys, size_t count);

void nft_rule_begin(struct nft_batch *b, const char *chain);
void nft_rule_end(struct nft_batch *b);
/* The expressions of a rule, in the kernel's words (linux/netfilter/nf_tables.h). */
void nft_load_meta(struct nft_batch *b, uint32_t key, uint32_t reg);
void nft_store_meta(struct nft_batch *b, uint32_t key, uint32_t reg);
void nft_load_payload(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg);
/* ip_checksum: keep the IPv4 header checksum right. */
void nft_store_payload(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg,
                       bool ip_checksum);
void nft_load_ct(struct nft_batch *b, uint32_t key, uint32_t reg);
void nft_load_rt(struct nft_batch *b, uint32_t key, uint32_t reg);
void nft_load_xfrm_reqid(struct nft_batch *b, bool outbound, uint32_t reg);
void nft_mask(struct nft_batch *b, uint32_t reg, const void *mask, uint32_t len);
void nft_compare(struct nft_batch *b, uint32_t reg, bool equal, const void *value, uint32_t len);
void nft_lookup(struct nft_batch *b, uint32_t reg, const char *set);
void nft_immediate(struct nft_batch *b, uint32_t reg, const void *value, uint32_t len);
void nft_store_mss(struct nft_batch *b, uint32_t reg);
void nft_notrack(struct nft_batch *b);
/* A transparent proxy for IPv4 to the port (2 octets) in reg; IPv4 fragments are put together in the whole
 * network namespace as long as such a rule exists, whether a packet ever comes to it or not. */
void nft_tproxy(struct nft_batch *b, uint32_t reg);
void nft_count(struct nft_batch *b, const char *counter);
/* At the counter of the element that is in reg; the kernel adds it when it is not there. */
void nft_count_by(struct nft_batch *b, uint32_t reg, const char *set);
void nft_verdict(struct nft_batch *b, int verdict, const char *chain); /* chain: NULL, or with NFT_JUMP */

/* The request for all counters of the family's tables; buffer has NFT_MESSAGE_MAX octets. */
struct nlmsghdr *nft_build_counter_dump(uint8_t *buffer, uint32_t seq, uint8_t family);
struct nft_counter {
    char table[NFT_NAME_MAX];
    char name[NFT_NAME_MAX];
    uint64_t packets;
};
/* Of one message of the answer. E_UNEXPECTED: something else; E_TRUNCATED, E_BAD_LENGTH. */
err_t nft_parse_counter(struct nft_counter *out, const struct nlmsghdr *message) MUST_USE;
/* Is it one of nf_tables, of this type (NFT_MSG_...), with whole attributes? E_UNEXPECTED: of another; E_TRUNCATED, E_BAD_LENGTH. */
err_t nft_check_message(const struct nlmsghdr *message, uint16_t type) MUST_USE;
/* Parts of answers: a name, cut if it is longer than any of ours; what a counter says, 0 if it does not. */
void nft_read_name(const struct nlattr *attribute, char out[NFT_NAME_MAX]);
void nft_read_counter(const struct nlattr *nest, uint64_t *packets, uint64_t *octets);

#endif

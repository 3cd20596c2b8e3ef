/* view.h - records as JSON. Nothing here puts key material into an answer, wrapped or not: SPIs, algorithms,
 * times and counters only. Every function gives a new reference, NULL when memory runs out. */
#ifndef API_VIEW_H
#define API_VIEW_H

#include <jansson.h>

#include "storage/record.h"

enum { TIME_TEXT_MAX = 32, HEX_ID_TEXT_MAX = 2 * KEK_SPI_LEN + 3 };

/* "2026-11-24T14:05:00.123Z" (RFC 3339) of milliseconds since 1970; returns out. */
const char *time_text(uint64_t ms, char out[TIME_TEXT_MAX]);
json_t *view_time(uint64_t ms); /* null for 0: it has not happened */
/* Service without a quorum: null, or until when. */
json_t *view_minority(uint64_t until_ms);
/* Text that may be anything: if it is not plain (request.h), what is not ASCII becomes '?'. */
json_t *view_text(const char *text);
json_t *view_hex(const uint8_t *data, size_t len, const char *prefix); /* len of at most KEK_SPI_LEN octets */
json_t *view_addr(const struct addr *addr);
json_t *view_endpoint(const struct endpoint *endpoint);
json_t *view_identity(const struct identity *identity);

/* Whole seconds of lifetime_s that are left at now_ms, 0 once it is over. */
uint32_t seconds_left(uint64_t created_ms, uint32_t lifetime_s, uint64_t now_ms);
/* Words of the configuration file: "aes256", "sha256", "aes256-gcm16"; "none" where there is none. Static or
 * in out. */
enum { SUITE_TEXT_MAX = 32 };
const char *cipher_word(enum cipher_alg alg);
const char *hash_word(enum hash_alg alg);
const char *sign_word(enum sign_alg alg);
const char *ack_word(enum kek_ack ack);
const char *suite_word(const struct esp_suite *suite, char out[SUITE_TEXT_MAX]);

/* What a group's members add up to; counted from their rows. */
struct member_count {
    uint32_t all;
    uint32_t here; /* registered by this server */
};

/* view_group.c */
json_t *view_group(const struct group_record *group, const struct member_count *count,
                   const struct rekey_record *last_rekey, /* NULL before the first */
                   uint64_t now_ms);                      /* cluster time */
json_t *view_config(const struct group_config *config);
/* signing: NULL before there is one. */
json_t *view_policy(const struct group_record *group, const struct signing_record *signing, uint64_t now_ms);
/* view_member.c */
json_t *view_member(const struct member_record *member, const uint8_t node_id[NODE_ID_LEN]);
json_t *view_rekey(const struct rekey_record *rekey);

#endif

/* join_internal.h - what join.c (tokens) and join_message.c share. */
#ifndef CLUSTER_JOIN_INTERNAL_H
#define CLUSTER_JOIN_INTERNAL_H

#include "cluster/join.h"

#define JOIN_TO_CLUSTER "quorate join request"
#define JOIN_TO_NODE "quorate join answer"

err_t join_key_of(const struct join_token *token, struct secret *key, uint8_t id[JOIN_ID_LEN]) MUST_USE;
err_t join_record_key(const struct join_record *record, const struct wrap_key *wrap_key,
                      struct secret *out) MUST_USE;
/* HMAC over the parts, under the key of that direction. */
err_t join_mac(const struct secret *key, const char *direction, const struct bytes *parts, size_t count,
               uint8_t out[JOIN_MAC_LEN]) MUST_USE;

#endif

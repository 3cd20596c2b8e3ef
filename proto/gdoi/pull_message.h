/* pull_message.h - what the four messages of a GROUPKEY-PULL have in common (RFC 6407 3.2): encrypted under
 * phase 1, first payload HASH = prf(SKEYID_a, M-ID | nonces | all payloads behind the HASH payload). For both
 * ends. */
#ifndef PROTO_GDOI_PULL_MESSAGE_H
#define PROTO_GDOI_PULL_MESSAGE_H

#include "proto/ike/isakmp_sa.h"
#include "proto/ike/main_mode.h"

/* The nonces that are hashed by their bodies: none in message 1, Ni_b in 2, both in 3 and 4. */
struct pull_nonces {
    struct bytes ni_b;
    struct bytes nr_b;
};

struct pull_opened {
    struct payload_list list;     /* of the clear message; views plain */
    uint8_t iv[CIPHER_BLOCK_MAX]; /* for the next message, to be kept if this one is good */
};

/* The header of a PULL message under this SA: E_BAD_COOKIE, E_BAD_EXCHANGE, E_UNEXPECTED (flags other than
 * E), E_BAD_MESSAGE_ID (zero). */
err_t pull_header_decode(struct isakmp_header *out, struct bytes *body, const struct isakmp_sa *sa,
                         struct bytes datagram) MUST_USE;
/* Decrypt with iv, take apart, check that HASH stands first and is right, then the rule. plain: room for
 * body.len, wiped by the caller. E_BAD_LENGTH (no whole blocks), E_BAD_PADDING (it decrypts to nothing
 * well-formed), E_BAD_HASH; what comes after is the peer's own: E_MISSING, E_UNEXPECTED, E_DUPLICATE. */
err_t pull_open(struct pull_opened *out, const struct isakmp_sa *sa, const struct isakmp_header *header,
                struct bytes body, const uint8_t iv[CIPHER_BLOCK_MAX], const struct payload_rule *rule,
                const struct pull_nonces *nonces, uint8_t *plain) MUST_USE;
/* The body of the one payload of this type; empty if there is none. */
struct bytes pull_body(const struct pull_opened *opened, uint8_t type);
/* Copies a nonce of 8..128 octets (RFC 6407 5.8), else E_BAD_LENGTH. */
err_t pull_take_nonce(uint8_t out[NONCE_MAX], size_t *out_len, struct bytes body) MUST_USE;

/* Writing: begin, put payloads into chain, seal. */
struct pull_draft {
    struct writer *w;
    size_t start;
    size_t hash_at;
    size_t hash_len;
    struct payload_chain chain;
};
struct pull_draft pull_draft_begin(struct writer *w, const struct isakmp_sa *sa, uint32_t message_id);
/* Fills HASH in, encrypts, advances iv. */
err_t pull_draft_seal(struct pull_draft *draft, const struct isakmp_sa *sa, uint32_t message_id,
                      const struct pull_nonces *nonces, uint8_t iv[CIPHER_BLOCK_MAX]) MUST_USE;
/* The message cannot be finished: what was written of it, perhaps keys, is wiped, and the writer has failed.
 */
void pull_draft_abandon(struct pull_draft *draft, err_t err);

#endif

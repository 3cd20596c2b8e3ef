/* main_mode_parts.h - what the two roles of main mode share. Only main_mode*.c include it. */
#ifndef PROTO_IKE_MAIN_MODE_PARTS_H
#define PROTO_IKE_MAIN_MODE_PARTS_H

#include "proto/ike/main_mode.h"
#include "proto/wire/vendor_id.h"

/* One event, decoded: for a datagram its header and payloads (decrypted where they were sealed, private ones
 * left out), for a computation the job. */
struct mm_input {
    struct isakmp_header header;
    struct payload_list list;
    struct dh_job *job;
};

/* A handler works on a copy of the exchange: what it does to mm counts only if it returns E_OK and the reply
 * fits its buffer. So it may write as it goes, and a refused event leaves no trace. */
typedef err_t (*mm_handler)(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                            struct mm_effects *out);

/* Body of the first payload of a type, empty if there is none. */
struct bytes mm_body(const struct mm_input *in, enum payload_type type);
/* Remember which of the known vendor ids the peer sent. */
void mm_note_vendors(struct main_mode *mm, const struct mm_input *in);

/* A fresh cookie: random, its first four octets not all zero, which would be a non-ESP marker. */
err_t mm_draw_cookie(const struct rng *rng, uint8_t out[COOKIE_LEN]) MUST_USE;
err_t mm_draw_nonce(const struct rng *rng, uint8_t out[NONCE_MAX], size_t *out_len) MUST_USE;

/* Begin a main-mode message (cookies of the SA, message id 0) and end it. */
struct payload_chain mm_message_begin(const struct main_mode *mm, struct writer *reply);
err_t mm_message_end(struct writer *reply) MUST_USE;
void mm_put_vendor(struct payload_chain *chain, enum vendor_id id);

/* KE and nonce of messages 3 and 4: E_BAD_KE (length of the group's values), E_BAD_LENGTH (nonce). */
err_t mm_take_key_exchange(const struct main_mode *mm, const struct mm_input *in,
                           struct dh_public *public_value, uint8_t nonce[NONCE_MAX],
                           size_t *nonce_len) MUST_USE;
void mm_put_key_exchange(struct payload_chain *chain, const struct dh_public *public_value,
                         const uint8_t *nonce, size_t nonce_len);
/* Keys and the first IV, once both public values, both nonces and the shared secret are there. */
err_t mm_derive(struct main_mode *mm, const struct dh_shared *shared) MUST_USE;

/* Messages 5 and 6. put: ID and HASH of ours into the chain. check: HASH of the peer; E_BAD_HASH. take: the
 * peer's identity, after check; E_BAD_ID, the exchange is then over (failed and a clear notify are set). */
err_t mm_put_auth(const struct main_mode *mm, struct payload_chain *chain) MUST_USE;
err_t mm_check_auth(const struct main_mode *mm, const struct mm_input *in) MUST_USE;
err_t mm_take_identity(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                       struct mm_effects *out) MUST_USE;

/* The exchange is over: effects say so, and a clear notify stands in reply if one is due and is no longer
 * than the message that it answers. Returns the error. */
err_t mm_refuse(const struct mm_input *in, uint32_t doi, err_t why, struct writer *reply,
                struct mm_effects *out) MUST_USE;

/* Responder. */
err_t mm_on_message_1(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
err_t mm_on_message_3(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
err_t mm_on_computed(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                     struct mm_effects *out);
err_t mm_on_message_5(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
/* Initiator. */
err_t mm_on_start(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                  struct mm_effects *out);
err_t mm_on_message_2(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
err_t mm_on_generated(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
err_t mm_on_message_4(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);
err_t mm_on_derived(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                    struct mm_effects *out);
err_t mm_on_message_6(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out);

#endif

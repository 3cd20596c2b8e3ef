/* isakmp_sa.h - a phase-1 security association: its keys, and opening and sealing of what runs under it.
 * Pure; owned by whoever embeds it; isakmp_sa_close wipes it. */
#ifndef PROTO_IKE_ISAKMP_SA_H
#define PROTO_IKE_ISAKMP_SA_H

#include <stdbool.h>

#include "base/secret.h"
#include "proto/ike/ike_policy.h"
#include "proto/wire/id_payload.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/payload.h"

enum { ISAKMP_SPI_LEN = 2 * COOKIE_LEN };

struct isakmp_sa {
    uint8_t cookie_i[COOKIE_LEN];
    uint8_t cookie_r[COOKIE_LEN];
    bool initiator; /* we began */
    bool established;
    struct ike_suite suite;
    uint32_t doi; /* 1 or 2, as agreed */
    uint32_t lifetime_s;
    struct secret skeyid;
    struct secret skeyid_d;
    struct secret skeyid_a;
    struct secret skeyid_e;
    struct secret key;                    /* cipher key, expanded (RFC 2409 appendix B) */
    uint8_t last_block[CIPHER_BLOCK_MAX]; /* of the last main-mode message: base of phase-2 IVs */
    struct identity local_id;
    struct identity peer_id;
    uint32_t peer_vendors; /* enum vendor_id bits */
};

void isakmp_sa_close(struct isakmp_sa *sa);
/* The SPI of a phase-1 SA, in Notify and Delete: both cookies (RFC 2408 2.4). */
void isakmp_sa_spi(const struct isakmp_sa *sa, uint8_t out[ISAKMP_SPI_LEN]);
bool isakmp_sa_has_spi(const struct isakmp_sa *sa, struct bytes spi);

/* SKEYID (PSK) and d, a, e, cipher key (RFC 2409 5, appendix B). psk is the pre-shared key. */
err_t isakmp_sa_derive(struct isakmp_sa *sa, struct bytes psk, struct bytes ni, struct bytes nr,
                       struct bytes shared) MUST_USE;
/* HASH_I or HASH_R into out (hash_len octets). sa_body: SAi_b; id_body: IDii_b or IDir_b. */
err_t isakmp_sa_auth_hash(const struct isakmp_sa *sa, bool of_initiator, struct bytes g_xi, struct bytes g_xr,
                          struct bytes sa_body, struct bytes id_body, uint8_t *out) MUST_USE;
/* IV of phase 1: hash(g^xi | g^xr) cut to the block. */
err_t isakmp_sa_phase1_iv(const struct isakmp_sa *sa, struct bytes g_xi, struct bytes g_xr,
                          uint8_t iv[CIPHER_BLOCK_MAX]) MUST_USE;
/* First IV of a phase-2 or informational exchange: hash(last phase-1 block | M-ID) cut to the block. */
err_t isakmp_sa_exchange_iv(const struct isakmp_sa *sa, uint32_t message_id,
                            uint8_t iv[CIPHER_BLOCK_MAX]) MUST_USE;

/* Encrypt a message in w that began at offset start (28-octet header, then clear payloads): zero-pads to the
 * block, sets the E flag and the length, encrypts, advances iv. */
err_t isakmp_sa_seal(const struct isakmp_sa *sa, uint8_t iv[CIPHER_BLOCK_MAX], struct writer *w,
                     size_t start) MUST_USE;
/* Decrypt body (what follows the header) into plain (room for body.len); *out views it. iv is advanced: pass
 * a copy and keep it only when the message was good. E_BAD_LENGTH if not whole blocks or empty. */
err_t isakmp_sa_open(const struct isakmp_sa *sa, uint8_t iv[CIPHER_BLOCK_MAX], struct bytes body,
                     uint8_t *plain, struct bytes *out) MUST_USE;
/* prf(SKEYID_a, M-ID | parts...) compared in constant time with a HASH payload's body. E_BAD_HASH. */
err_t isakmp_sa_check_hash(const struct isakmp_sa *sa, uint32_t message_id, const struct bytes *parts,
                           size_t count, struct bytes received) MUST_USE;
/* The same prf into out (hash_len octets). At most 8 parts. */
err_t isakmp_sa_hash(const struct isakmp_sa *sa, uint32_t message_id, const struct bytes *parts, size_t count,
                     uint8_t *out) MUST_USE;

#endif

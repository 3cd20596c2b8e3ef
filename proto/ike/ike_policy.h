/* ike_policy.h - what phase 1 may agree on. AES-CBC-128/256, SHA-256/384/512, MODP 14/15/16, ECP 19/20/21;
 * 3DES, SHA-1 and MODP 2/5 only when the profile says 'legacy' (RFC 8247). Pure. */
#ifndef PROTO_IKE_IKE_POLICY_H
#define PROTO_IKE_IKE_POLICY_H

#include <stdbool.h>

#include "proto/crypto/cipher.h"
#include "proto/crypto/prf.h"
#include "proto/wire/sa_payload.h"

enum {
    IKE_SUITE_MAX = 40, /* every cipher, hash and group that is not weak, and a few weak ones */
    IKE_OFFER_MAX = 24, /* transforms in message 1 of ours: it fits one datagram of 1400 octets */
    IKE_LIFETIME_DEFAULT_S = 86400,
    IKE_SUITE_TEXT_MAX = 64, /* bytes with NUL */
};

struct ike_suite {
    enum cipher_alg cipher;
    enum hash_alg hash;
    uint16_t group; /* enum ike_group */
    uint16_t auth;  /* enum ike_auth */
};

struct ike_policy {
    struct ike_suite suites[IKE_SUITE_MAX]; /* in order of preference */
    size_t count;
    bool legacy;         /* weak suites may stand in the list */
    uint32_t lifetime_s; /* offered, and the upper bound of what is kept */
};

/* The built-in list: AES-256/SHA-256/ECP-256 first, then 128 and the other groups and hashes, PSK. The first
 * IKE_OFFER_MAX of it have each group with AES-256 under every hash, and with AES-128/SHA-256. */
void ike_policy_default(struct ike_policy *out);
/* "aes256-sha256-ecp256" and the like (aes128, aes256, 3des; sha1, sha256, sha384, sha512; modp1024,
 * modp1536, modp2048, modp3072, modp4096, ecp256, ecp384, ecp521), PSK. E_RANGE for an unknown word,
 * E_NOT_AUTHORIZED for a weak one without legacy, E_FULL. A suite that stands in the list already is not
 * added again. */
err_t ike_policy_add(struct ike_policy *policy, const char *text) MUST_USE;
/* The words that ike_policy_add takes, "?" for a number that has none. Returns out. */
const char *ike_suite_format(const struct ike_suite *suite, char out[IKE_SUITE_TEXT_MAX]);
bool ike_suite_equal(const struct ike_suite *a, const struct ike_suite *b);
/* 3DES, SHA-1, MODP 2 or 5 in it (RFC 8247 2). */
bool ike_suite_is_weak(const struct ike_suite *suite);
/* What a transform asks for, in our terms. False: an algorithm, key length or attribute that we do not have.
 */
bool ike_suite_from_transform(struct ike_suite *out, const struct ike_transform *transform);
/* The first of our suites that stands in the offer; *chosen is the peer's transform, to be echoed.
 * E_NO_PROPOSAL. */
err_t ike_policy_choose(const struct ike_policy *policy, const struct ike_offer *offer,
                        struct ike_suite *out_suite, struct ike_transform *chosen) MUST_USE;
/* Our offer as initiator, suites in order; the first IKE_OFFER_MAX of them. */
void ike_policy_offer(const struct ike_policy *policy, uint32_t doi, struct ike_offer *out);
/* Lifetime that is kept for a chosen transform: the lower of its own (if in seconds) and the policy's, in
 * seconds. */
uint32_t ike_policy_lifetime(const struct ike_policy *policy, const struct ike_transform *chosen);

#endif

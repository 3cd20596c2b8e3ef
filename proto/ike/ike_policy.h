/* ike_policy.h - what phase 1 may agree on. AES-CBC-128/256, SHA-256/384/512, MODP 14/15/16, ECP 19/20/21; 3DES, SHA-1
 * and MODP 2/5 only when the profile says 'legacy' (RFC 8247). Pure. */
#ifndef PROTO_IKE_IKE_POLICY_H
#define PROTO_IKE_IKE_POLICY_H

#include <stdbool.h>

#include "proto/crypto/cipher.h"
#include "proto/crypto/prf.h"
#include "proto/wire/sa_payload.h"

enum { IKE_SUITE_MAX = 32, IKE_LIFETIME_DEFAULT_S = 86400 };

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

/* The built-in list: AES-256/SHA-256/ECP-256 first, then 128 and the other groups and hashes, PSK. */
void ike_policy_default(struct ike_policy *out);
/* "aes256-sha256-ecp256" and the like (aes128, aes256, 3des; sha1, sha256, sha384, sha512; modp1024, modp1536, modp2048,
 * modp3072, modp4096, ecp256, ecp384, ecp521), PSK. E_RANGE for an unknown word, E_NOT_AUTHORIZED for a weak one without legacy,
 * E_FULL. */
err_t ike_policy_add(struct ike_policy *policy, const char *text) MUST_USE;
const char *ike_suite_format(const struct ike_suite *suite, char out[64]);
/* The first of our suites that stands in the offer; *chosen is the peer's transform, to be echoed. E_NO_PROPOSAL. */
err_t ike_policy_choose(const struct ike_policy *policy, const struct ike_offer *offer, struct ike_suite *out_suite,
                        struct ike_transform *chosen) MUST_USE;
/* Our offer as initiator, all suites in order; at most IKE_SUITE_MAX transforms. */
void ike_policy_offer(const struct ike_policy *policy, uint32_t doi, struct ike_offer *out);

#endif

/* sign.h - the signature of rekeys (RFC 6407 5.3.4-5.3.6): RSA EMSA-PKCS1-v1_5 with DigestInfo, or without it
 * for the reference implementation's dialect; ECDSA P-256/384 as r || s (RFC 4754). Private keys live as
 * PKCS#8 DER in the replicated state (sealed) and are opened only for the time of use. */
#ifndef PROTO_CRYPTO_SIGN_H
#define PROTO_CRYPTO_SIGN_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/crypto/prf.h"

enum sign_alg { SIGN_NONE = 0, SIGN_RSA, SIGN_ECDSA_256, SIGN_ECDSA_384 };
enum {
    SIGN_PRIVATE_MAX = 2600, /* octets of PKCS#8 DER: RSA-4096 is 2374 */
    SIGN_PUBLIC_MAX = 600,   /* octets of SPKI DER: RSA-4096 is 550 */
    SIGNATURE_MAX = 512,
};

struct sign_key;   /* private */
struct verify_key; /* public */

/* New key: RSA of bits 2048..4096, or ECDSA (bits ignored). Writes PKCS#8 DER and SPKI DER; the caller wipes
 * priv. E_UNSUPPORTED (kind or size), E_CRYPTO. */
err_t sign_key_make(enum sign_alg alg, unsigned bits, uint8_t priv[SIGN_PRIVATE_MAX], size_t *priv_len,
                    uint8_t pub[SIGN_PUBLIC_MAX], size_t *pub_len) MUST_USE;
/* E_BAD_KEY: as verify_key_open. */
err_t sign_key_open(struct bytes pkcs8, struct sign_key **out) MUST_USE;
void sign_key_free(struct sign_key *key);
enum sign_alg sign_key_alg(const struct sign_key *key);
size_t sign_key_signature_len(const struct sign_key *key); /* octets, fixed per key */
unsigned sign_key_bits(const struct sign_key *key);        /* RSA modulus or curve size */

/* digest is the finished hash (E_BAD_LENGTH if it is not of hash's length). bare: RSA without DigestInfo;
 * ECDSA does not care. out has SIGNATURE_MAX. Thread-safe on one key. */
err_t sign_digest(const struct sign_key *key, enum hash_alg hash, bool bare, struct bytes digest,
                  uint8_t *out, size_t *out_len) MUST_USE;

/* E_BAD_KEY: damaged, another kind or curve, RSA outside 2048..4096 bits. */
err_t verify_key_open(struct bytes spki, struct verify_key **out) MUST_USE;
/* Also RSA from 1024 bits: legacy peers and vectors. */
err_t verify_key_open_any(struct bytes spki, struct verify_key **out) MUST_USE;
void verify_key_free(struct verify_key *key);
enum sign_alg verify_key_alg(const struct verify_key *key);
unsigned verify_key_bits(const struct verify_key *key);
/* allow_bare: RSA without DigestInfo is taken too. E_BAD_SIGNATURE. */
err_t verify_digest(const struct verify_key *key, enum hash_alg hash, bool allow_bare, struct bytes digest,
                    struct bytes signature) MUST_USE;

#endif

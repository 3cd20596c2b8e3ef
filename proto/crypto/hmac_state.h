/* hmac_state.h - HMAC-SHA-2 with the key's two blocks hashed once, for one MAC per packet (RFC 2104 4).
 * Internal to proto/crypto. EVP_MAC copies and allocates three digest contexts per message; here a message
 * costs two structure copies. */
#ifndef PROTO_CRYPTO_HMAC_STATE_H
#define PROTO_CRYPTO_HMAC_STATE_H

#include <openssl/sha.h>
#include <stdbool.h>

#include "proto/crypto/prf.h"

union sha_state {
    SHA256_CTX sha256;
    SHA512_CTX sha512; /* SHA-384 too */
};

struct hmac_state {
    enum hash_alg alg;
    union sha_state inner; /* after the key's first block */
    union sha_state outer;
};

/* SHA-256, 384 and 512, and a key not longer than their block; false otherwise. */
bool hmac_state_init(struct hmac_state *state, enum hash_alg alg, struct bytes key);
/* out has room for HASH_LEN_MAX octets and gets hash_len. */
void hmac_state_mac(const struct hmac_state *state, struct bytes data, uint8_t *out);

#endif

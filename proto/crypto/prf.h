/* prf.h - hashes and the HMAC prf of phase 1 (RFC 2409 4). */
#ifndef PROTO_CRYPTO_PRF_H
#define PROTO_CRYPTO_PRF_H

#include "base/secret.h"
#include "base/wire.h"

enum hash_alg { HASH_NONE = 0, HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512 };
enum { HASH_LEN_MAX = 64 };

size_t hash_len(enum hash_alg alg); /* octets, 0 for HASH_NONE */
/* Hash / HMAC over a list of parts, as if concatenated. out has room for hash_len octets. E_CRYPTO,
 * E_NO_MEMORY. */
err_t hash_parts(enum hash_alg alg, const struct bytes *parts, size_t count, uint8_t *out) MUST_USE;
err_t prf_parts(enum hash_alg alg, struct bytes key, const struct bytes *parts, size_t count,
                uint8_t *out) MUST_USE;
/* prf into a secret of hash_len octets. */
err_t prf_secret(enum hash_alg alg, struct bytes key, const struct bytes *parts, size_t count,
                 struct secret *out) MUST_USE;

#endif

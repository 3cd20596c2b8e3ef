/* keywrap.h - secrets as they lie in the Raft log, in LMDB and on disk: AES-256-GCM under a data key, with
 * the key's version in front and the context (cluster | group | object | field) as additional data.
 * Layout: version u32 | nonce 12 | ciphertext | tag 16. The proposer draws the nonce, so replicas hold equal
 * bytes. */
#ifndef PROTO_CRYPTO_KEYWRAP_H
#define PROTO_CRYPTO_KEYWRAP_H

#include "base/rng.h"
#include "base/secret.h"
#include "base/wire.h"

enum {
    KEYWRAP_OVERHEAD = 4 + 12 + 16,
    KEYWRAP_KEY_LEN = 32,
    WRAPPED_MAX = SECRET_LEN_MAX + KEYWRAP_OVERHEAD,
};

/* A wrapped secret, storable as it is. */
struct wrapped {
    uint16_t len;
    uint8_t data[WRAPPED_MAX];
};

struct wrap_key {
    uint32_t version;
    struct secret key; /* KEYWRAP_KEY_LEN */
};

err_t keywrap_seal(const struct wrap_key *key, const struct rng *rng, struct bytes context,
                   struct bytes plain, struct wrapped *out) MUST_USE;
/* E_CORRUPT (tag), E_BAD_KEY (other version), E_TRUNCATED. */
err_t keywrap_open(const struct wrap_key *key, struct bytes context, const struct wrapped *wrapped,
                   struct secret *out) MUST_USE;
/* The same for longer plaintexts (a private key): out has room for plain.len + KEYWRAP_OVERHEAD. */
err_t keywrap_seal_bytes(const struct wrap_key *key, const struct rng *rng, struct bytes context,
                         struct bytes plain, uint8_t *out, size_t *out_len) MUST_USE;
/* out has room for sealed.len - KEYWRAP_OVERHEAD; the caller wipes it. */
err_t keywrap_open_bytes(const struct wrap_key *key, struct bytes context, struct bytes sealed, uint8_t *out,
                         size_t *out_len) MUST_USE;

#endif

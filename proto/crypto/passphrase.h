/* passphrase.h - a key from what a person keeps: scrypt (RFC 7914), which makes each guess cost memory and
 * time. A random key written as text does as well. */
#ifndef PROTO_CRYPTO_PASSPHRASE_H
#define PROTO_CRYPTO_PASSPHRASE_H

#include "base/secret.h"
#include "base/wire.h"

enum {
    PASSPHRASE_SALT_LEN = 16, /* of ours */
    PASSPHRASE_KEY_LEN = 32,
    PASSPHRASE_COST = 15,     /* log2 of scrypt's N; r is 8, p is 1: 32 MiB and about 0.1 s */
    PASSPHRASE_COST_MAX = 18, /* what is taken from a file: 256 MiB */
};

/* E_RANGE: cost beyond 1..PASSPHRASE_COST_MAX; E_CRYPTO, E_NO_MEMORY. The caller closes out. */
err_t passphrase_key(struct bytes passphrase, struct bytes salt, unsigned cost, struct secret *out) MUST_USE;

#endif

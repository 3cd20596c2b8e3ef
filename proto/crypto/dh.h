/* dh.h - Diffie-Hellman of phase 1: MODP 14, 15, 16 (RFC 3526), ECP 19, 20, 21 (RFC 5903), and 2, 5 for
 * peers under a 'legacy' profile only. Values on the wire: MODP left-padded to the modulus, ECP x || y. The
 * shared secret is left-padded for MODP and x for ECP (RFC 5903 7). Public values are checked (1 < y < p-1,
 * point on curve). */
#ifndef PROTO_CRYPTO_DH_H
#define PROTO_CRYPTO_DH_H

#include <stdbool.h>

#include "base/secret.h"
#include "base/wire.h"

enum { DH_PUBLIC_MAX = 512, DH_SHARED_MAX = 512 };

struct dh_public {
    uint16_t len;
    uint8_t data[DH_PUBLIC_MAX];
};

struct dh_shared {
    uint16_t len;
    uint8_t data[DH_SHARED_MAX];
};

struct dh_key; /* a private key, owned by who made it */

bool dh_group_known(uint16_t group);
size_t dh_public_len(uint16_t group); /* octets on the wire, 0 if unknown */
/* Fresh key pair. E_BAD_GROUP_MODE, E_CRYPTO, E_NO_MEMORY. Thread-safe: may run in the pool. */
err_t dh_generate(uint16_t group, struct dh_key **out, struct dh_public *out_public) MUST_USE;
/* E_BAD_KE for a public value of the wrong length or one that must be refused. */
err_t dh_derive(const struct dh_key *key, struct bytes peer_public, struct dh_shared *out) MUST_USE;
void dh_key_free(struct dh_key *key);
void dh_shared_close(struct dh_shared *shared);
/* For known-answer tests: a key from its private octets. */
err_t dh_key_from_private(uint16_t group, struct bytes private_octets, struct dh_key **out,
                          struct dh_public *out_public) MUST_USE;

#endif

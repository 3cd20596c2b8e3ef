/* dh_group.h - the groups of dh.h with what OpenSSL needs for each, made once per process.
 * Internal to proto/crypto. */
#ifndef PROTO_CRYPTO_DH_GROUP_H
#define PROTO_CRYPTO_DH_GROUP_H

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "proto/crypto/dh.h"

struct dh_group {
    uint16_t number;     /* IANA */
    bool curve;          /* ECP, else MODP */
    uint16_t public_len; /* octets on the wire */
    uint16_t shared_len;
    uint16_t private_bits; /* length of a fresh MODP exponent, 0: as OpenSSL has it for the named group */
    int nid;
    BIGNUM *(*prime)(BIGNUM *out); /* MODP */
};

const struct dh_group *dh_group_find(uint16_t number); /* NULL if unknown */
/* A key with parameters only, from which key pairs are generated and peers' values read. Borrowed, shared by
 * all threads, read only. NULL if OpenSSL cannot do the group. */
EVP_PKEY *dh_group_template(const struct dh_group *group);
/* MODP: 1 < y < p-1 for y of public_len octets. In a safe-prime group that leaves no element of small order.
 */
bool dh_group_value_ok(const struct dh_group *group, const uint8_t *y);

#endif

/* sign_key.h - what sign_key.c (keys) and sign.c (signatures) share. Internal to proto/crypto. */
#ifndef PROTO_CRYPTO_SIGN_KEY_H
#define PROTO_CRYPTO_SIGN_KEY_H

#include <openssl/evp.h>

#include "proto/crypto/sign.h"

enum {
    RSA_BITS_MIN = 2048,
    RSA_BITS_WEAK_MIN = 1024, /* verify_key_open_any */
    RSA_BITS_MAX = 4096,
    RSA_EXPONENT_BITS_MAX = 64, /* a longer one makes a verification as slow as a signature */
};

/* A private or public key and what is asked about it for each signature. */
struct key_pair {
    EVP_PKEY *key;
    enum sign_alg alg;
    uint16_t bits;
    uint16_t signature_len;
};

struct sign_key {
    struct key_pair pair;
};

struct verify_key {
    struct key_pair pair;
};

#endif

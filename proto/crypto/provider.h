/* provider.h - the OpenSSL algorithms of this folder, fetched once per process and shared by all threads.
 * Internal to proto/crypto: nobody else includes it, so that OpenSSL stays behind this folder's other
 * headers. */
#ifndef PROTO_CRYPTO_PROVIDER_H
#define PROTO_CRYPTO_PROVIDER_H

#include <openssl/evp.h>

#include "base/err.h"
#include "proto/crypto/prf.h"

enum provider_cipher {
    PROVIDER_3DES_CBC,
    PROVIDER_AES_CBC_128,
    PROVIDER_AES_CBC_192,
    PROVIDER_AES_CBC_256,
    PROVIDER_AES_GCM_128,
    PROVIDER_AES_GCM_192,
    PROVIDER_AES_GCM_256,
    PROVIDER_CIPHER_COUNT,
};

/* NULL if the provider lacks the algorithm. Borrowed; valid for the life of the process. */
const EVP_MD *provider_md(enum hash_alg alg);
const EVP_CIPHER *provider_cipher(enum provider_cipher cipher);
/* A fresh HMAC context with its digest set and no key; the caller frees it. NULL on failure. */
EVP_MAC_CTX *provider_hmac(enum hash_alg alg);
/* E_CRYPTO (or the given error), after emptying OpenSSL's per-thread error queue: what is left there would
 * make SSL_get_error of a TLS connection on this thread report a failure of its own. */
err_t provider_failed(void);
err_t provider_refused(err_t err);

#endif

#include "proto/crypto/provider.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <pthread.h>

/* A fetch takes locks and looks names up; at a microsecond a piece that would cost more than the small hashes
 * do. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *digests[HASH_SHA512 + 1];
static EVP_MAC_CTX *hmacs[HASH_SHA512 + 1];
static EVP_CIPHER *ciphers[PROVIDER_CIPHER_COUNT];

static const char *const digest_names[] = {
    [HASH_SHA1] = "SHA1",
    [HASH_SHA256] = "SHA256",
    [HASH_SHA384] = "SHA384",
    [HASH_SHA512] = "SHA512",
};

static const char *const cipher_names[] = {
    [PROVIDER_3DES_CBC] = "DES-EDE3-CBC",   [PROVIDER_AES_CBC_128] = "AES-128-CBC",
    [PROVIDER_AES_CBC_192] = "AES-192-CBC", [PROVIDER_AES_CBC_256] = "AES-256-CBC",
    [PROVIDER_AES_GCM_128] = "AES-128-GCM", [PROVIDER_AES_GCM_192] = "AES-192-GCM",
    [PROVIDER_AES_GCM_256] = "AES-256-GCM",
};

/* The digest is set on a template that prf calls copy, since setting it fetches it by name. */
static EVP_MAC_CTX *hmac_template(EVP_MAC *hmac, const char *digest_name)
{
    char name[16];
    OPENSSL_strlcpy(name, digest_name, sizeof(name));
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
    if (context != NULL && EVP_MAC_CTX_set_params(context, params) != 1) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    return context;
}

static void fetch_all(void)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    for (int alg = HASH_SHA1; alg <= HASH_SHA512; alg++) {
        digests[alg] = EVP_MD_fetch(NULL, digest_names[alg], NULL);
        if (hmac != NULL)
            hmacs[alg] = hmac_template(hmac, digest_names[alg]);
    }
    EVP_MAC_free(hmac); /* the templates hold it */
    for (int i = 0; i < PROVIDER_CIPHER_COUNT; i++)
        ciphers[i] = EVP_CIPHER_fetch(NULL, cipher_names[i], NULL);
    ERR_clear_error();
}

const EVP_MD *provider_md(enum hash_alg alg)
{
    pthread_once(&once, fetch_all);
    return alg >= HASH_SHA1 && alg <= HASH_SHA512 ? digests[alg] : NULL;
}

const EVP_CIPHER *provider_cipher(enum provider_cipher cipher)
{
    pthread_once(&once, fetch_all);
    return cipher < PROVIDER_CIPHER_COUNT ? ciphers[cipher] : NULL;
}

EVP_MAC_CTX *provider_hmac(enum hash_alg alg)
{
    pthread_once(&once, fetch_all);
    if (alg < HASH_SHA1 || alg > HASH_SHA512 || hmacs[alg] == NULL)
        return NULL;
    return EVP_MAC_CTX_dup(hmacs[alg]);
}

err_t provider_failed(void)
{
    return provider_refused(E_CRYPTO);
}

err_t provider_refused(err_t err)
{
    ERR_clear_error();
    return err;
}

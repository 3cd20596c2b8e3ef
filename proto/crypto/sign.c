#include "proto/crypto/sign.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

#include "proto/crypto/provider.h"
#include "proto/crypto/sign_key.h"

enum {
    DIGEST_INFO_MAX = 19 + HASH_LEN_MAX,
    ECDSA_DER_MAX = 128, /* P-384: two integers of at most 49 octets with their headers, in a sequence */
};

/* DER of DigestInfo up to the digest itself, RFC 8017 9.2 note 1. */
static const uint8_t info_sha1[] = {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e,
                                    0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14};
static const uint8_t info_sha256[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
static const uint8_t info_sha384[] = {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30};
static const uint8_t info_sha512[] = {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40};

static struct bytes digest_info_prefix(enum hash_alg hash)
{
    switch (hash) {
    case HASH_SHA1:
        return BYTES_OF(info_sha1);
    case HASH_SHA256:
        return BYTES_OF(info_sha256);
    case HASH_SHA384:
        return BYTES_OF(info_sha384);
    case HASH_SHA512:
        return BYTES_OF(info_sha512);
    case HASH_NONE:
        break;
    }
    return (struct bytes){NULL, 0};
}

/* What RSA signs with DigestInfo. out has DIGEST_INFO_MAX. */
static struct bytes digest_info(enum hash_alg hash, struct bytes digest, uint8_t *out)
{
    struct bytes prefix = digest_info_prefix(hash);
    if (prefix.len != 0)
        memcpy(out, prefix.data, prefix.len);
    memcpy(out + prefix.len, digest.data, digest.len);
    return (struct bytes){out, prefix.len + digest.len};
}

static bool digest_ok(enum hash_alg hash, struct bytes digest)
{
    return hash_len(hash) != 0 && digest.len == hash_len(hash);
}

/* The raw operation of the key: PKCS #1 type 1 padding for RSA, DER for ECDSA. Without a digest set OpenSSL
 * takes the octets as they are. */
static err_t raw_sign(const struct key_pair *pair, struct bytes text, uint8_t *out, size_t *out_len)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pair->key, NULL);
    int good = context != NULL && EVP_PKEY_sign_init(context) == 1 &&
               (pair->alg != SIGN_RSA || EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1) &&
               EVP_PKEY_sign(context, out, out_len, text.data, text.len) == 1;
    EVP_PKEY_CTX_free(context);
    return good ? E_OK : provider_failed();
}

/* DER to two integers of fixed width, RFC 4754 7. */
static err_t ecdsa_flatten(const uint8_t *der, size_t der_len, uint8_t *out, int width)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
    int good = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, width) == width &&
               BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + width, width) == width;
    ECDSA_SIG_free(pair);
    return good ? E_OK : provider_failed();
}

static err_t ecdsa_sign(const struct key_pair *pair, struct bytes digest, uint8_t *out)
{
    uint8_t der[ECDSA_DER_MAX];
    size_t der_len = sizeof(der);
    err_t err = raw_sign(pair, digest, der, &der_len);
    return err == E_OK ? ecdsa_flatten(der, der_len, out, pair->signature_len / 2) : err;
}

err_t sign_digest(const struct sign_key *key, enum hash_alg hash, bool bare, struct bytes digest,
                  uint8_t *out, size_t *out_len)
{
    const struct key_pair *pair = &key->pair;
    *out_len = 0;
    if (!digest_ok(hash, digest))
        return E_BAD_LENGTH;
    err_t err;
    if (pair->alg == SIGN_RSA) {
        uint8_t info[DIGEST_INFO_MAX];
        size_t len = SIGNATURE_MAX;
        err = raw_sign(pair, bare ? digest : digest_info(hash, digest, info), out, &len);
    } else {
        err = ecdsa_sign(pair, digest, out);
    }
    if (err == E_OK)
        *out_len = pair->signature_len;
    return err;
}

/* Undo the padding and compare with what may stand under it. Comparing whole encodings leaves no parser that
 * a forged DigestInfo could fool. */
static err_t rsa_verify(const struct key_pair *pair, enum hash_alg hash, bool allow_bare, struct bytes digest,
                        struct bytes signature)
{
    uint8_t recovered[SIGNATURE_MAX];
    size_t len = sizeof(recovered);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pair->key, NULL);
    if (context == NULL)
        return provider_refused(E_NO_MEMORY);
    int ready = EVP_PKEY_verify_recover_init(context) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    int good = ready && EVP_PKEY_verify_recover(context, recovered, &len, signature.data, signature.len) == 1;
    EVP_PKEY_CTX_free(context);
    if (!good)
        return provider_refused(ready ? E_BAD_SIGNATURE : E_CRYPTO);
    uint8_t info[DIGEST_INFO_MAX];
    struct bytes got = {recovered, len};
    if (secret_equal(got, digest_info(hash, digest, info)) || (allow_bare && secret_equal(got, digest)))
        return E_OK;
    return E_BAD_SIGNATURE;
}

/* r || s to DER. out has ECDSA_DER_MAX; 0 on failure. */
static size_t ecdsa_der(struct bytes signature, uint8_t *out)
{
    size_t width = signature.len / 2;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, (int)width, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + width, (int)width, NULL);
    int len = 0;
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = NULL; /* owned by the pair now */
        s = NULL;
        len = i2d_ECDSA_SIG(pair, NULL);
        len = len > 0 && len <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(pair, &out) : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

static err_t ecdsa_verify(const struct key_pair *pair, struct bytes digest, struct bytes signature)
{
    uint8_t der[ECDSA_DER_MAX];
    size_t len = ecdsa_der(signature, der);
    EVP_PKEY_CTX *context = len > 0 ? EVP_PKEY_CTX_new_from_pkey(NULL, pair->key, NULL) : NULL;
    if (context == NULL)
        return provider_refused(E_NO_MEMORY);
    int ready = EVP_PKEY_verify_init(context) == 1;
    int good = ready && EVP_PKEY_verify(context, der, len, digest.data, digest.len) == 1;
    EVP_PKEY_CTX_free(context);
    if (!good)
        return provider_refused(ready ? E_BAD_SIGNATURE : E_CRYPTO);
    return E_OK;
}

err_t verify_digest(const struct verify_key *key, enum hash_alg hash, bool allow_bare, struct bytes digest,
                    struct bytes signature)
{
    const struct key_pair *pair = &key->pair;
    if (!digest_ok(hash, digest))
        return E_BAD_LENGTH;
    if (signature.len != pair->signature_len) /* RFC 8017 8.2.2 step 1, RFC 4754 7 */
        return E_BAD_SIGNATURE;
    if (pair->alg == SIGN_RSA)
        return rsa_verify(pair, hash, allow_bare, digest, signature);
    return ecdsa_verify(pair, digest, signature);
}

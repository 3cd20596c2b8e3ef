#include "proto/crypto/sign_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "proto/crypto/provider.h"

/* An exponent that is even, 1 or very long is damage or an attack on the verifier's time. */
static bool rsa_exponent_ok(const EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
        return false;
    bool good = BN_is_odd(e) && !BN_is_one(e) && BN_num_bits(e) <= RSA_EXPONENT_BITS_MAX;
    BN_free(e);
    return good;
}

static err_t describe_rsa(struct key_pair *pair, int bits_min)
{
    int bits = EVP_PKEY_get_bits(pair->key);
    if (bits < bits_min || bits > RSA_BITS_MAX || !rsa_exponent_ok(pair->key))
        return E_BAD_KEY;
    pair->alg = SIGN_RSA;
    pair->bits = (uint16_t)bits;
    pair->signature_len = (uint16_t)((bits + 7) / 8);
    return E_OK;
}

static err_t describe_ec(struct key_pair *pair)
{
    char group[32];
    size_t len = 0;
    int explicit_curve = 1;
    /* A curve given by its parameters instead of its name is refused: the base point may be the attacker's
     * choice. */
    if (EVP_PKEY_get_group_name(pair->key, group, sizeof(group), &len) != 1 ||
        EVP_PKEY_get_int_param(pair->key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) !=
            1 ||
        explicit_curve != 0)
        return E_BAD_KEY;
    if (strcmp(group, "prime256v1") == 0) {
        pair->alg = SIGN_ECDSA_256;
        pair->bits = 256;
    } else if (strcmp(group, "secp384r1") == 0) {
        pair->alg = SIGN_ECDSA_384;
        pair->bits = 384;
    } else {
        return E_BAD_KEY;
    }
    pair->signature_len = (uint16_t)(pair->bits / 8 * 2); /* r || s, RFC 4754 7 */
    return E_OK;
}

static err_t describe(struct key_pair *pair, int rsa_bits_min)
{
    err_t err = E_BAD_KEY;
    if (pair->key != NULL && EVP_PKEY_is_a(pair->key, "RSA"))
        err = describe_rsa(pair, rsa_bits_min);
    else if (pair->key != NULL && EVP_PKEY_is_a(pair->key, "EC"))
        err = describe_ec(pair);
    if (err != E_OK) {
        EVP_PKEY_free(pair->key);
        pair->key = NULL;
        return provider_refused(err);
    }
    return E_OK;
}

static EVP_PKEY *read_pkcs8(struct bytes der)
{
    const unsigned char *at = der.data;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    EVP_PKEY *key = NULL;
    if (info != NULL && at == der.data + der.len)
        key = EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return key;
}

static EVP_PKEY *read_spki(struct bytes der)
{
    const unsigned char *at = der.data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.len);
    if (key != NULL && at != der.data + der.len) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static err_t write_pkcs8(EVP_PKEY *key, uint8_t *out, size_t *out_len)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int len = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : -1;
    err_t err = len > 0 ? E_OK : provider_failed();
    if (err == E_OK && len > SIGN_PRIVATE_MAX)
        err = E_FULL;
    if (err == E_OK) {
        i2d_PKCS8_PRIV_KEY_INFO(info, &out);
        *out_len = (size_t)len;
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    return err;
}

static err_t write_spki(const EVP_PKEY *key, uint8_t *out, size_t *out_len)
{
    int len = i2d_PUBKEY(key, NULL);
    if (len <= 0)
        return provider_failed();
    if (len > SIGN_PUBLIC_MAX)
        return E_FULL;
    i2d_PUBKEY(key, &out);
    *out_len = (size_t)len;
    return E_OK;
}

err_t sign_key_make(enum sign_alg alg, unsigned bits, uint8_t priv[SIGN_PRIVATE_MAX], size_t *priv_len,
                    uint8_t pub[SIGN_PUBLIC_MAX], size_t *pub_len)
{
    *priv_len = 0;
    *pub_len = 0;
    EVP_PKEY *key = NULL;
    if (alg == SIGN_RSA && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits);
    else if (alg == SIGN_ECDSA_256)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    else if (alg == SIGN_ECDSA_384)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    else
        return E_UNSUPPORTED;
    if (key == NULL)
        return provider_failed();
    err_t err = write_spki(key, pub, pub_len);
    if (err == E_OK)
        err = write_pkcs8(key, priv, priv_len);
    EVP_PKEY_free(key);
    return err;
}

err_t sign_key_open(struct bytes pkcs8, struct sign_key **out)
{
    *out = NULL;
    if (pkcs8.len > SIGN_PRIVATE_MAX)
        return E_BAD_KEY;
    struct sign_key *key = calloc(1, sizeof(*key));
    if (key == NULL)
        return E_NO_MEMORY;
    key->pair.key = read_pkcs8(pkcs8);
    err_t err = describe(&key->pair, RSA_BITS_MIN);
    if (err != E_OK) {
        free(key);
        return err;
    }
    *out = key;
    return E_OK;
}

void sign_key_free(struct sign_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pair.key); /* clears the private numbers */
    free(key);
}

enum sign_alg sign_key_alg(const struct sign_key *key)
{
    return key->pair.alg;
}

size_t sign_key_signature_len(const struct sign_key *key)
{
    return key->pair.signature_len;
}

unsigned sign_key_bits(const struct sign_key *key)
{
    return key->pair.bits;
}

static err_t open_public(struct bytes spki, int rsa_bits_min, struct verify_key **out)
{
    *out = NULL;
    if (spki.len > SIGN_PUBLIC_MAX)
        return E_BAD_KEY;
    struct verify_key *key = calloc(1, sizeof(*key));
    if (key == NULL)
        return E_NO_MEMORY;
    key->pair.key = read_spki(spki);
    err_t err = describe(&key->pair, rsa_bits_min);
    if (err != E_OK) {
        free(key);
        return err;
    }
    *out = key;
    return E_OK;
}

err_t verify_key_open(struct bytes spki, struct verify_key **out)
{
    return open_public(spki, RSA_BITS_MIN, out);
}

err_t verify_key_open_any(struct bytes spki, struct verify_key **out)
{
    return open_public(spki, RSA_BITS_WEAK_MIN, out);
}

void verify_key_free(struct verify_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pair.key);
    free(key);
}

enum sign_alg verify_key_alg(const struct verify_key *key)
{
    return key->pair.alg;
}

unsigned verify_key_bits(const struct verify_key *key)
{
    return key->pair.bits;
}

#include "proto/gdoi/group_policy.h"

#include <string.h>

#include "proto/wire/isakmp_header.h"

enum {
    KEY_LEN_3DES = 24,
    INTEGRITY_LEN_SHA1 = 20,
    WORD_BITS = 64,
};

void group_policy_close(struct group_policy *policy)
{
    secret_wipe(policy, sizeof(*policy));
}

bool tek_covers(const struct tek *tek, size_t selector)
{
    uint64_t any = 0;
    for (size_t i = 0; i < POLICY_SELECTOR_WORDS; i++)
        any |= tek->covers[i];
    if (any == 0)
        return true;
    return selector < POLICY_SELECTOR_MAX &&
           (tek->covers[selector / WORD_BITS] >> selector % WORD_BITS & 1) != 0;
}

size_t tek_key_len(const struct esp_suite *suite)
{
    if (suite->transform == ESP_3DES)
        return suite->key_bits == 0 ? KEY_LEN_3DES : 0;
    if (suite->transform == ESP_AES_CBC && suite->auth == AUTH_HMAC_SHA1)
        return suite->key_bits == 128 || suite->key_bits == 192 || suite->key_bits == 256
                   ? suite->key_bits / 8u
                   : 0;
    return esp_key_len(suite);
}

size_t tek_integrity_len(const struct esp_suite *suite)
{
    return suite->auth == AUTH_HMAC_SHA1 ? INTEGRITY_LEN_SHA1 : esp_integrity_len(suite);
}

bool tek_is_counter_mode(const struct tek *tek)
{
    uint8_t transform = tek->suite.transform;
    return transform == ESP_AES_GCM_8 || transform == ESP_AES_GCM_12 || transform == ESP_AES_GCM_16;
}

bool group_policy_has_counter_mode(const struct group_policy *policy)
{
    for (size_t i = 0; i < policy->tek_count; i++)
        if (tek_is_counter_mode(&policy->teks[i]))
            return true;
    return false;
}

bool kek_spi_usable(const uint8_t spi[KEK_SPI_LEN])
{
    static const uint8_t zero[COOKIE_LEN];
    return memcmp(spi, zero, NON_ESP_MARKER_LEN) != 0 && memcmp(spi + COOKIE_LEN, zero, COOKIE_LEN) != 0;
}

enum cipher_alg kek_cipher(uint16_t algorithm, uint16_t key_bits)
{
    if (algorithm == KEK_ALG_3DES)
        return key_bits == 0 || key_bits == 168 || key_bits == 192 ? CIPHER_3DES_CBC : CIPHER_NONE;
    if (algorithm != KEK_ALG_AES)
        return CIPHER_NONE;
    switch (key_bits) {
    case 128:
        return CIPHER_AES_CBC_128;
    case 192:
        return CIPHER_AES_CBC_192;
    case 256:
        return CIPHER_AES_CBC_256;
    default:
        return CIPHER_NONE;
    }
}

enum hash_alg sig_hash_alg(uint16_t sig_hash)
{
    switch (sig_hash) {
    case SIG_HASH_SHA1:
        return HASH_SHA1;
    case SIG_HASH_SHA256:
        return HASH_SHA256;
    case SIG_HASH_SHA384:
        return HASH_SHA384;
    case SIG_HASH_SHA512:
        return HASH_SHA512;
    default:
        return HASH_NONE;
    }
}

enum sign_alg sig_sign_alg(uint16_t sig_algorithm)
{
    switch (sig_algorithm) {
    case SIG_ALG_RSA:
        return SIGN_RSA;
    case SIG_ALG_ECDSA_256:
        return SIGN_ECDSA_256;
    case SIG_ALG_ECDSA_384:
        return SIGN_ECDSA_384;
    default:
        return SIGN_NONE;
    }
}

struct bytes kek_key(const struct kek *kek)
{
    size_t iv_len = cipher_block_len(kek->cipher);
    size_t key_len = cipher_key_len(kek->cipher);
    if (key_len == 0 || kek->iv_key.len != iv_len + key_len)
        return (struct bytes){0};
    return bytes_slice(secret_view(&kek->iv_key), iv_len, key_len);
}

/* view_words.c - numbers as the words of the configuration file. */
#include <stdio.h>

#include "api/view.h"

const char *cipher_word(enum cipher_alg alg)
{
    switch (alg) {
    case CIPHER_3DES_CBC:
        return "3des";
    case CIPHER_AES_CBC_128:
        return "aes128";
    case CIPHER_AES_CBC_192:
        return "aes192";
    case CIPHER_AES_CBC_256:
        return "aes256";
    default:
        return "none";
    }
}

const char *hash_word(enum hash_alg alg)
{
    switch (alg) {
    case HASH_SHA1:
        return "sha1";
    case HASH_SHA256:
        return "sha256";
    case HASH_SHA384:
        return "sha384";
    case HASH_SHA512:
        return "sha512";
    default:
        return "none";
    }
}

const char *sign_word(enum sign_alg alg)
{
    switch (alg) {
    case SIGN_RSA:
        return "rsa";
    case SIGN_ECDSA_256:
        return "ecdsa256";
    case SIGN_ECDSA_384:
        return "ecdsa384";
    default:
        return "none";
    }
}

const char *ack_word(enum kek_ack ack)
{
    switch (ack) {
    case KEK_ACK_SHA256:
    case LKH_ACK_SHA256:
        return "sha256";
    case KEK_ACK_SHA512:
    case LKH_ACK_SHA512:
        return "sha512";
    default:
        return "none";
    }
}

static const char *mode_word(const struct esp_suite *suite)
{
    switch (suite->transform) {
    case ESP_AES_GCM_8:
        return "gcm8";
    case ESP_AES_GCM_12:
        return "gcm12";
    case ESP_AES_GCM_16:
        return "gcm16";
    case ESP_AES_CBC:
        switch (suite->auth) {
        case AUTH_HMAC_SHA256:
            return "sha256";
        case AUTH_HMAC_SHA384:
            return "sha384";
        case AUTH_HMAC_SHA512:
            return "sha512";
        default:
            return NULL;
        }
    default:
        return NULL;
    }
}

const char *suite_word(const struct esp_suite *suite, char out[SUITE_TEXT_MAX])
{
    const char *mode = mode_word(suite);
    if (mode != NULL)
        snprintf(out, SUITE_TEXT_MAX, "aes%u-%s", suite->key_bits, mode);
    else
        snprintf(out, SUITE_TEXT_MAX, "none");
    return out;
}

/* cipher.h - CBC for ISAKMP messages and rekeys, AEAD for stored secrets and ESP. */
#ifndef PROTO_CRYPTO_CIPHER_H
#define PROTO_CRYPTO_CIPHER_H

#include "base/secret.h"
#include "base/wire.h"

enum cipher_alg {
    CIPHER_NONE = 0,
    CIPHER_3DES_CBC,
    CIPHER_AES_CBC_128,
    CIPHER_AES_CBC_192,
    CIPHER_AES_CBC_256
};
enum { CIPHER_BLOCK_MAX = 16, CIPHER_KEY_MAX = 32, AEAD_TAG_LEN = 16, AEAD_NONCE_LEN = 12 };

size_t cipher_block_len(enum cipher_alg alg);
size_t cipher_key_len(enum cipher_alg alg);
/* In place, no padding: data.len must be a multiple of the block (else E_BAD_LENGTH). iv is read, then set to
 * the last ciphertext block, which is how phase-1 messages chain (RFC 2409 appendix B). */
err_t cipher_encrypt(enum cipher_alg alg, struct bytes key, uint8_t iv[CIPHER_BLOCK_MAX], uint8_t *data,
                     size_t len) MUST_USE;
err_t cipher_decrypt(enum cipher_alg alg, struct bytes key, uint8_t iv[CIPHER_BLOCK_MAX], uint8_t *data,
                     size_t len) MUST_USE;

/* AES-256-GCM, 12-octet nonce, 16-octet tag behind the ciphertext: out has room for plain.len + 16 and may be
 * where plain is. E_BAD_KEY unless the key has 32 octets. */
err_t aead_seal(struct bytes key, const uint8_t nonce[AEAD_NONCE_LEN], struct bytes aad, struct bytes plain,
                uint8_t *out) MUST_USE;
/* out has room for sealed.len - 16; E_CORRUPT if the tag is wrong (out is then zeroed). */
err_t aead_open(struct bytes key, const uint8_t nonce[AEAD_NONCE_LEN], struct bytes aad, struct bytes sealed,
                uint8_t *out) MUST_USE;

#endif

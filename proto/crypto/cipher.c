#include "proto/crypto/cipher.h"

#include <limits.h>
#include <string.h>

#include "proto/crypto/provider.h"

struct cipher_row {
    enum provider_cipher cipher;
    uint8_t key_len;
    uint8_t block_len;
};

static const struct cipher_row cipher_rows[] = {
    [CIPHER_3DES_CBC] = {PROVIDER_3DES_CBC, 24, 8},
    [CIPHER_AES_CBC_128] = {PROVIDER_AES_CBC_128, 16, 16},
    [CIPHER_AES_CBC_192] = {PROVIDER_AES_CBC_192, 24, 16},
    [CIPHER_AES_CBC_256] = {PROVIDER_AES_CBC_256, 32, 16},
};

static const struct cipher_row *find_row(enum cipher_alg alg)
{
    return alg >= CIPHER_3DES_CBC && alg <= CIPHER_AES_CBC_256 ? &cipher_rows[alg] : NULL;
}

size_t cipher_block_len(enum cipher_alg alg)
{
    const struct cipher_row *row = find_row(alg);
    return row != NULL ? row->block_len : 0;
}

size_t cipher_key_len(enum cipher_alg alg)
{
    const struct cipher_row *row = find_row(alg);
    return row != NULL ? row->key_len : 0;
}

static int run_cbc(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv, int encrypt,
                   uint8_t *data, int len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int done = 0;
    int good = context != NULL && EVP_CipherInit_ex2(context, cipher, key, iv, encrypt, NULL) == 1 &&
               EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
               EVP_CipherUpdate(context, data, &done, data, len) == 1 && done == len;
    EVP_CIPHER_CTX_free(context);
    return good;
}

static err_t cbc(enum cipher_alg alg, struct bytes key, uint8_t iv[CIPHER_BLOCK_MAX], int encrypt,
                 uint8_t *data, size_t len)
{
    const struct cipher_row *row = find_row(alg);
    const EVP_CIPHER *cipher = row != NULL ? provider_cipher(row->cipher) : NULL;
    if (cipher == NULL)
        return E_CRYPTO;
    if (key.len != row->key_len)
        return E_BAD_KEY;
    if (len % row->block_len != 0 || len > INT_MAX)
        return E_BAD_LENGTH;
    if (len == 0)
        return E_OK;
    uint8_t last[CIPHER_BLOCK_MAX]; /* decryption overwrites it */
    memcpy(last, data + len - row->block_len, row->block_len);
    if (!run_cbc(cipher, key.data, iv, encrypt, data, (int)len))
        return provider_failed();
    memcpy(iv, encrypt ? data + len - row->block_len : last, row->block_len);
    return E_OK;
}

err_t cipher_encrypt(enum cipher_alg alg, struct bytes key, uint8_t iv[CIPHER_BLOCK_MAX], uint8_t *data,
                     size_t len)
{
    return cbc(alg, key, iv, 1, data, len);
}

err_t cipher_decrypt(enum cipher_alg alg, struct bytes key, uint8_t iv[CIPHER_BLOCK_MAX], uint8_t *data,
                     size_t len)
{
    return cbc(alg, key, iv, 0, data, len);
}

/* Key, nonce, additional data, text: what sealing and opening share. An empty update would be refused. */
static int run_gcm(EVP_CIPHER_CTX *context, struct bytes key, const uint8_t *nonce, int encrypt,
                   struct bytes aad, struct bytes in, uint8_t *out)
{
    int done = 0;
    const EVP_CIPHER *cipher = provider_cipher(PROVIDER_AES_GCM_256);
    int good = cipher != NULL && EVP_CipherInit_ex2(context, cipher, key.data, nonce, encrypt, NULL) == 1;
    if (good && aad.len != 0)
        good = EVP_CipherUpdate(context, NULL, &done, aad.data, (int)aad.len) == 1;
    if (good && in.len != 0)
        good = EVP_CipherUpdate(context, out, &done, in.data, (int)in.len) == 1;
    return good;
}

static err_t check_aead(struct bytes key, struct bytes aad, struct bytes text)
{
    if (key.len != CIPHER_KEY_MAX)
        return E_BAD_KEY;
    return aad.len > INT_MAX || text.len > INT_MAX - AEAD_TAG_LEN ? E_BAD_LENGTH : E_OK;
}

err_t aead_seal(struct bytes key, const uint8_t nonce[AEAD_NONCE_LEN], struct bytes aad, struct bytes plain,
                uint8_t *out)
{
    err_t err = check_aead(key, aad, plain);
    if (err != E_OK)
        return err;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context == NULL)
        return provider_refused(E_NO_MEMORY);
    int done = 0;
    int good = run_gcm(context, key, nonce, 1, aad, plain, out) &&
               EVP_CipherFinal_ex(context, out + plain.len, &done) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, out + plain.len) == 1;
    EVP_CIPHER_CTX_free(context);
    return good ? E_OK : provider_failed();
}

err_t aead_open(struct bytes key, const uint8_t nonce[AEAD_NONCE_LEN], struct bytes aad, struct bytes sealed,
                uint8_t *out)
{
    if (sealed.len < AEAD_TAG_LEN)
        return E_TRUNCATED;
    struct bytes text = {sealed.data, sealed.len - AEAD_TAG_LEN};
    err_t err = check_aead(key, aad, text);
    if (err != E_OK)
        return err;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context == NULL)
        return provider_refused(E_NO_MEMORY);
    uint8_t tag[AEAD_TAG_LEN];
    memcpy(tag, sealed.data + text.len, sizeof(tag));
    uint8_t unused[CIPHER_BLOCK_MAX];
    int done = 0;
    err = E_OK;
    if (!run_gcm(context, key, nonce, 0, aad, text, out) ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1)
        err = provider_failed();
    else if (EVP_CipherFinal_ex(context, unused, &done) != 1)
        err = provider_refused(E_CORRUPT);
    if (err != E_OK)
        secret_wipe(out, text.len);
    EVP_CIPHER_CTX_free(context);
    return err;
}

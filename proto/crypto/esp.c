#include "proto/crypto/esp.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "proto/crypto/hmac_state.h"
#include "proto/crypto/provider.h"

enum { GCM_SALT_LEN = 4, GCM_IV_LEN = 8, GCM_ALIGN = 4, CBC_BLOCK = 16, TRAILER_LEN = 2, PAD_MAX = 255 };

/* What a suite comes to. */
struct layout {
    enum provider_cipher cipher;
    enum hash_alg hash; /* HASH_NONE: the cipher authenticates */
    uint8_t key_len;    /* of the cipher alone */
    uint8_t salt_len;
    uint8_t iv_len;
    uint8_t icv_len;
    uint8_t align;
};

struct esp_context {
    struct layout layout;
    uint8_t salt[GCM_SALT_LEN];
    EVP_CIPHER_CTX *sealer;
    EVP_CIPHER_CTX *opener;
    struct hmac_state hmac;
};

static bool set_gcm(struct layout *out, const struct esp_suite *suite)
{
    /* RFC 4106 3, 4, 8.1 */
    out->cipher = suite->key_bits == 128   ? PROVIDER_AES_GCM_128
                  : suite->key_bits == 192 ? PROVIDER_AES_GCM_192
                                           : PROVIDER_AES_GCM_256;
    out->hash = HASH_NONE;
    out->salt_len = GCM_SALT_LEN;
    out->iv_len = GCM_IV_LEN;
    out->icv_len = suite->transform == ESP_AES_GCM_8 ? 8 : suite->transform == ESP_AES_GCM_12 ? 12 : 16;
    out->align = GCM_ALIGN;
    return suite->auth == AUTH_NONE;
}

static bool set_cbc(struct layout *out, const struct esp_suite *suite)
{
    /* RFC 3602 3, RFC 4868 2.3: half the hash is sent */
    out->cipher = suite->key_bits == 128   ? PROVIDER_AES_CBC_128
                  : suite->key_bits == 192 ? PROVIDER_AES_CBC_192
                                           : PROVIDER_AES_CBC_256;
    out->hash = suite->auth == AUTH_HMAC_SHA256   ? HASH_SHA256
                : suite->auth == AUTH_HMAC_SHA384 ? HASH_SHA384
                : suite->auth == AUTH_HMAC_SHA512 ? HASH_SHA512
                                                  : HASH_NONE;
    out->salt_len = 0;
    out->iv_len = CBC_BLOCK;
    out->icv_len = (uint8_t)(hash_len(out->hash) / 2);
    out->align = CBC_BLOCK;
    return out->hash != HASH_NONE;
}

static bool layout_of(const struct esp_suite *suite, struct layout *out)
{
    if (suite->key_bits != 128 && suite->key_bits != 192 && suite->key_bits != 256)
        return false;
    out->key_len = (uint8_t)(suite->key_bits / 8);
    switch (suite->transform) {
    case ESP_AES_GCM_8:
    case ESP_AES_GCM_12:
    case ESP_AES_GCM_16:
        return set_gcm(out, suite);
    case ESP_AES_CBC:
        return set_cbc(out, suite);
    default:
        return false;
    }
}

size_t esp_key_len(const struct esp_suite *suite)
{
    struct layout l;
    return layout_of(suite, &l) ? (size_t)l.key_len + l.salt_len : 0;
}

size_t esp_integrity_len(const struct esp_suite *suite)
{
    struct layout l;
    return layout_of(suite, &l) ? hash_len(l.hash) : 0;
}

size_t esp_iv_len(const struct esp_suite *suite)
{
    struct layout l;
    return layout_of(suite, &l) ? l.iv_len : 0;
}

size_t esp_icv_len(const struct esp_suite *suite)
{
    struct layout l;
    return layout_of(suite, &l) ? l.icv_len : 0;
}

/* Payload, padding and trailer. */
static size_t text_len(const struct layout *l, size_t len)
{
    return (len + TRAILER_LEN + l->align - 1) / l->align * l->align;
}

static size_t sealed_len(const struct layout *l, size_t len)
{
    return ESP_HEADER_LEN + (size_t)l->iv_len + text_len(l, len) + l->icv_len;
}

size_t esp_sealed_len(const struct esp_suite *suite, size_t len)
{
    struct layout l;
    return layout_of(suite, &l) ? sealed_len(&l, len) : 0;
}

size_t esp_inner_len_max(const struct esp_suite *suite, size_t wire)
{
    size_t len = wire;
    while (len > 0 && esp_sealed_len(suite, len) > wire)
        len--;
    return len;
}

static EVP_CIPHER_CTX *keyed(const struct layout *l, const uint8_t *key, int encrypt)
{
    const EVP_CIPHER *cipher = provider_cipher(l->cipher);
    EVP_CIPHER_CTX *context = cipher != NULL ? EVP_CIPHER_CTX_new() : NULL;
    bool pads = l->hash != HASH_NONE; /* GCM has none, and would be told so again with each IV */
    if (context != NULL && (EVP_CipherInit_ex2(context, cipher, key, NULL, encrypt, NULL) != 1 ||
                            (pads && EVP_CIPHER_CTX_set_padding(context, 0) != 1))) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    return context;
}

err_t esp_context_open(const struct esp_suite *suite, struct bytes key, struct bytes integrity,
                       struct esp_context **out)
{
    struct layout l;
    *out = NULL;
    if (!layout_of(suite, &l))
        return E_UNSUPPORTED;
    if (key.len != (size_t)l.key_len + l.salt_len || integrity.len != hash_len(l.hash))
        return E_BAD_KEY;
    struct esp_context *context = calloc(1, sizeof(*context));
    if (context == NULL)
        return E_NO_MEMORY;
    context->layout = l;
    memcpy(context->salt, key.data + l.key_len, l.salt_len);
    context->sealer = keyed(&l, key.data, 1);
    context->opener = keyed(&l, key.data, 0);
    if (context->sealer == NULL || context->opener == NULL ||
        (l.hash != HASH_NONE && !hmac_state_init(&context->hmac, l.hash, integrity))) {
        esp_context_free(context);
        return provider_failed();
    }
    *out = context;
    return E_OK;
}

void esp_context_free(struct esp_context *context)
{
    if (context == NULL)
        return;
    EVP_CIPHER_CTX_free(context->sealer); /* wipes the key schedule */
    EVP_CIPHER_CTX_free(context->opener);
    secret_wipe(context, sizeof(*context));
    free(context);
}

/* New IV, old key; for GCM also the additional data SPI | seq (RFC 4106 5). */
static int start(const struct esp_context *context, EVP_CIPHER_CTX *cipher, const uint8_t *head,
                 const uint8_t *iv)
{
    if (context->layout.hash != HASH_NONE)
        return EVP_CipherInit_ex2(cipher, NULL, NULL, iv, -1, NULL) == 1;
    uint8_t nonce[GCM_SALT_LEN + GCM_IV_LEN];
    int done = 0;
    memcpy(nonce, context->salt, GCM_SALT_LEN);
    memcpy(nonce + GCM_SALT_LEN, iv, GCM_IV_LEN);
    return EVP_CipherInit_ex2(cipher, NULL, NULL, nonce, -1, NULL) == 1 &&
           EVP_CipherUpdate(cipher, NULL, &done, head, ESP_HEADER_LEN) == 1;
}

static int encrypt_text(struct esp_context *context, uint8_t *packet, uint8_t *text, size_t len)
{
    const struct layout *l = &context->layout;
    int done = 0;
    if (!start(context, context->sealer, packet, packet + ESP_HEADER_LEN) ||
        EVP_CipherUpdate(context->sealer, text, &done, text, (int)len) != 1)
        return 0;
    if (l->hash == HASH_NONE)
        return EVP_CipherFinal_ex(context->sealer, text + len, &done) == 1 &&
               EVP_CIPHER_CTX_ctrl(context->sealer, EVP_CTRL_AEAD_GET_TAG, l->icv_len, text + len) == 1;
    uint8_t mac[HASH_LEN_MAX];
    hmac_state_mac(&context->hmac, (struct bytes){packet, (size_t)(text - packet) + len}, mac);
    memcpy(text + len, mac, l->icv_len);
    return 1;
}

err_t esp_seal(struct esp_context *context, uint32_t spi, uint32_t seq, const uint8_t *iv,
               uint8_t next_header, struct bytes inner, uint8_t *out, size_t cap, size_t *out_len)
{
    const struct layout *l = &context->layout;
    *out_len = 0;
    if (inner.len > ESP_PAYLOAD_MAX)
        return E_BAD_LENGTH;
    size_t total = sealed_len(l, inner.len);
    if (total > cap)
        return E_FULL;
    size_t len = text_len(l, inner.len);
    uint8_t *text = out + ESP_HEADER_LEN + l->iv_len;
    if (inner.len != 0)
        memmove(text, inner.data, inner.len); /* inner may lie in out, at best where it is going to be */
    struct writer w = writer_over(out, ESP_HEADER_LEN);
    write_u32(&w, spi);
    write_u32(&w, seq);
    memcpy(out + ESP_HEADER_LEN, iv, l->iv_len);
    size_t pad = len - inner.len - TRAILER_LEN;
    for (size_t i = 0; i < pad; i++)
        text[inner.len + i] = (uint8_t)(i + 1);
    text[len - 2] = (uint8_t)pad;
    text[len - 1] = next_header;
    if (!encrypt_text(context, out, text, len)) {
        secret_wipe(out, total); /* no plaintext may go out by mistake */
        return provider_failed();
    }
    *out_len = total;
    return E_OK;
}

/* Checks the ICV before decryption (CBC) or with it (GCM). */
static err_t decrypt_text(struct esp_context *context, struct bytes packet, uint8_t *out, size_t len)
{
    const struct layout *l = &context->layout;
    const uint8_t *text = packet.data + ESP_HEADER_LEN + l->iv_len;
    uint8_t icv[HASH_LEN_MAX];
    int done = 0;
    if (l->hash != HASH_NONE) {
        hmac_state_mac(&context->hmac, (struct bytes){packet.data, packet.len - l->icv_len}, icv);
        if (!secret_equal((struct bytes){icv, l->icv_len}, (struct bytes){text + len, l->icv_len}))
            return E_AUTH;
    }
    if (!start(context, context->opener, packet.data, packet.data + ESP_HEADER_LEN) ||
        EVP_CipherUpdate(context->opener, out, &done, text, (int)len) != 1)
        return provider_failed();
    if (l->hash != HASH_NONE)
        return E_OK;
    memcpy(icv, text + len, l->icv_len);
    if (EVP_CIPHER_CTX_ctrl(context->opener, EVP_CTRL_AEAD_SET_TAG, l->icv_len, icv) != 1)
        return provider_failed();
    return EVP_CipherFinal_ex(context->opener, out + len, &done) == 1 ? E_OK : provider_refused(E_AUTH);
}

/* RFC 4303 2.4: 1, 2, 3 ... and the count; what is left of text is the payload. */
static err_t strip_padding(const uint8_t *text, size_t len, size_t *out_len)
{
    size_t pad = text[len - 2];
    if (pad + TRAILER_LEN > len)
        return E_BAD_PADDING;
    size_t payload = len - TRAILER_LEN - pad;
    uint8_t wrong = 0;
    for (size_t i = 0; i < pad; i++)
        wrong |= (uint8_t)(text[payload + i] ^ (i + 1));
    if (wrong != 0)
        return E_BAD_PADDING;
    *out_len = payload;
    return E_OK;
}

err_t esp_open(struct esp_context *context, struct bytes packet, uint8_t *out, size_t *out_len,
               uint8_t *next_header)
{
    const struct layout *l = &context->layout;
    size_t frame = ESP_HEADER_LEN + (size_t)l->iv_len + l->icv_len;
    *out_len = 0;
    if (packet.len < frame + l->align)
        return E_TRUNCATED;
    size_t len = packet.len - frame;
    if (len % l->align != 0 || len > ESP_PAYLOAD_MAX + PAD_MAX + TRAILER_LEN)
        return E_BAD_LENGTH;
    err_t err = decrypt_text(context, packet, out, len);
    if (err == E_OK)
        err = strip_padding(out, len, out_len);
    if (err != E_OK) {
        secret_wipe(out, len);
        return err;
    }
    *next_header = out[len - 1];
    return E_OK;
}

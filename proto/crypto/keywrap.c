#include "proto/crypto/keywrap.h"

#include "proto/crypto/cipher.h"

enum { VERSION_LEN = 4, HEAD_LEN = VERSION_LEN + AEAD_NONCE_LEN };

err_t keywrap_seal_bytes(const struct wrap_key *key, const struct rng *rng, struct bytes context,
                         struct bytes plain, uint8_t *out, size_t *out_len)
{
    *out_len = 0;
    if (key->key.len != KEYWRAP_KEY_LEN)
        return E_BAD_KEY;
    struct writer w = writer_over(out, HEAD_LEN);
    write_u32(&w, key->version);
    err_t err = rng_fill(rng, out + VERSION_LEN, AEAD_NONCE_LEN);
    if (err == E_OK)
        err = aead_seal(secret_view(&key->key), out + VERSION_LEN, context, plain, out + HEAD_LEN);
    if (err == E_OK)
        *out_len = plain.len + KEYWRAP_OVERHEAD;
    return err;
}

err_t keywrap_open_bytes(const struct wrap_key *key, struct bytes context, struct bytes sealed, uint8_t *out,
                         size_t *out_len)
{
    *out_len = 0;
    if (sealed.len < KEYWRAP_OVERHEAD)
        return E_TRUNCATED;
    struct reader r = reader_over(sealed);
    uint32_t version = read_u32(&r);
    struct bytes nonce = read_bytes(&r, AEAD_NONCE_LEN);
    if (version != key->version || key->key.len != KEYWRAP_KEY_LEN)
        return E_BAD_KEY;
    err_t err = aead_open(secret_view(&key->key), nonce.data, context, read_rest(&r), out);
    if (err == E_OK)
        *out_len = sealed.len - KEYWRAP_OVERHEAD;
    return err;
}

err_t keywrap_seal(const struct wrap_key *key, const struct rng *rng, struct bytes context,
                   struct bytes plain, struct wrapped *out)
{
    size_t len = 0;
    out->len = 0;
    if (plain.len > SECRET_LEN_MAX)
        return E_BAD_KEY;
    err_t err = keywrap_seal_bytes(key, rng, context, plain, out->data, &len);
    out->len = (uint16_t)len;
    return err;
}

err_t keywrap_open(const struct wrap_key *key, struct bytes context, const struct wrapped *wrapped,
                   struct secret *out)
{
    size_t len = 0;
    secret_close(out);
    if (wrapped->len > WRAPPED_MAX) /* a damaged record; never read past the array */
        return E_BAD_LENGTH;
    err_t err =
        keywrap_open_bytes(key, context, (struct bytes){wrapped->data, wrapped->len}, out->data, &len);
    out->len = (uint16_t)len;
    return err;
}

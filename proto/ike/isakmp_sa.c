#include "proto/ike/isakmp_sa.h"

#include <string.h>

enum {
    FLAGS_AT = 19,      /* offset of the flags in the header (RFC 2408 3.1) */
    HASH_PARTS_MAX = 8, /* parts behind M-ID in one hash */
};

void isakmp_sa_close(struct isakmp_sa *sa)
{
    secret_wipe(sa, sizeof(*sa));
}

void isakmp_sa_spi(const struct isakmp_sa *sa, uint8_t out[ISAKMP_SPI_LEN])
{
    memcpy(out, sa->cookie_i, COOKIE_LEN);
    memcpy(out + COOKIE_LEN, sa->cookie_r, COOKIE_LEN);
}

bool isakmp_sa_has_spi(const struct isakmp_sa *sa, struct bytes spi)
{
    uint8_t ours[ISAKMP_SPI_LEN];
    isakmp_sa_spi(sa, ours);
    return bytes_equal(spi, BYTES_OF(ours));
}

err_t isakmp_sa_seal(const struct isakmp_sa *sa, uint8_t iv[CIPHER_BLOCK_MAX], struct writer *w, size_t start)
{
    size_t block = cipher_block_len(sa->suite.cipher);
    if (w->err != E_OK)
        return w->err;
    if (block == 0 || w->len < start + ISAKMP_HEADER_LEN) {
        writer_fail(w, E_STATE);
        return E_STATE;
    }

    size_t body = start + ISAKMP_HEADER_LEN;
    write_zeros(w, (block - (w->len - body) % block) % block); /* RFC 2409 appendix B */
    isakmp_message_end(w, start);
    if (w->err != E_OK)
        return w->err;
    writer_patch_u8(w, start + FLAGS_AT, (uint8_t)(w->buf[start + FLAGS_AT] | ISAKMP_FLAG_ENCRYPTED));
    err_t err = cipher_encrypt(sa->suite.cipher, secret_view(&sa->key), iv, w->buf + body, w->len - body);
    if (err != E_OK)
        writer_fail(w, err); /* nothing half-sealed goes out */
    return err;
}

err_t isakmp_sa_open(const struct isakmp_sa *sa, uint8_t iv[CIPHER_BLOCK_MAX], struct bytes body,
                     uint8_t *plain, struct bytes *out)
{
    size_t block = cipher_block_len(sa->suite.cipher);
    *out = (struct bytes){0};
    if (block == 0)
        return E_STATE;
    if (body.len == 0 || body.len % block != 0)
        return E_BAD_LENGTH;
    memcpy(plain, body.data, body.len);
    err_t err = cipher_decrypt(sa->suite.cipher, secret_view(&sa->key), iv, plain, body.len);
    if (err == E_OK)
        *out = (struct bytes){plain, body.len};
    return err;
}

err_t isakmp_sa_hash(const struct isakmp_sa *sa, uint32_t message_id, const struct bytes *parts, size_t count,
                     uint8_t *out)
{
    if (count > HASH_PARTS_MAX)
        return E_LIMIT;
    if (sa->skeyid_a.len == 0)
        return E_STATE;
    uint8_t id[4];
    struct writer w = writer_over(id, sizeof(id));
    write_u32(&w, message_id);
    struct bytes all[1 + HASH_PARTS_MAX] = {BYTES_OF(id)};
    for (size_t i = 0; i < count; i++)
        all[1 + i] = parts[i];
    return prf_parts(sa->suite.hash, secret_view(&sa->skeyid_a), all, 1 + count, out);
}

err_t isakmp_sa_check_hash(const struct isakmp_sa *sa, uint32_t message_id, const struct bytes *parts,
                           size_t count, struct bytes received)
{
    uint8_t wanted[HASH_LEN_MAX];
    err_t err = isakmp_sa_hash(sa, message_id, parts, count, wanted);
    if (err == E_OK && !secret_equal((struct bytes){wanted, hash_len(sa->suite.hash)}, received))
        err = E_BAD_HASH;
    secret_wipe(wanted, sizeof(wanted));
    return err;
}

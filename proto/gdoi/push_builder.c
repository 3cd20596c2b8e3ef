#include <string.h>

#include "proto/gdoi/push_message.h"
#include "proto/wire/payload.h"

enum { NEXT_PAYLOAD_AT = 16 }; /* offset of the next-payload octet in the header */

/* One Delete payload each: simple for the reader, and a payload may name one protocol only (RFC 6407 5.9). */
static void put_delete(struct payload_chain *chain, const struct push_delete *del)
{
    uint8_t spi[KEK_SPI_LEN] = {0}; /* zero: all of that kind */
    struct writer room = writer_over(spi, sizeof(spi));
    bool of_kek = del->protocol == 0;
    if (!del->all && of_kek)
        write_bytes(&room, BYTES_OF(del->kek_spi));
    else if (!del->all)
        write_u32(&room, del->tek_spi);
    struct delete_payload payload = {
        .doi = DOI_GDOI,
        .protocol = del->protocol,
        .spi_len = of_kek ? KEK_SPI_LEN : TEK_SPI_LEN,
        .count = 1,
        .spis = {spi, of_kek ? KEK_SPI_LEN : TEK_SPI_LEN},
    };
    size_t begun = payload_begin(chain, PAYLOAD_DELETE);
    delete_encode(chain->w, &payload);
    payload_end(chain, begun);
}

static err_t put_policy(struct payload_chain *chain, const struct kek *kek, const struct group_policy *policy,
                        const struct gdoi_dialect *dialect)
{
    bool old_spi = dialect != NULL && dialect->kek_under_old_spi;
    size_t begun = payload_begin(chain, PAYLOAD_SA);
    err_t err = group_policy_encode_sa(policy, dialect, chain->w);
    if (err != E_OK)
        return err;
    payload_end(chain, begun);
    begun = payload_begin(chain, PAYLOAD_KD);
    err = group_policy_encode_kd(policy, old_spi ? kek->spi : policy->kek.spi, chain->w);
    payload_end(chain, begun);
    return err;
}

/* SEQ, [D..,] [SA, KD] */
static err_t put_content(struct payload_chain *chain, const struct kek *kek,
                         const struct gdoi_dialect *dialect, const struct push_content *content)
{
    size_t begun = payload_begin(chain, PAYLOAD_SEQ);
    gdoi_seq_encode(chain->w, content->seq);
    payload_end(chain, begun);
    for (size_t i = 0; i < content->delete_count; i++)
        put_delete(chain, &content->deletes[i]);
    err_t err = content->policy != NULL ? put_policy(chain, kek, content->policy, dialect) : E_OK;
    return err == E_OK ? writer_end(chain->w) : err;
}

static size_t padded(const struct kek *kek, size_t len)
{
    size_t block = cipher_block_len(kek->cipher);
    return (len + block - 1) / block * block;
}

/* Fills the reserved SIG body in: what is hashed begins with the header and ends before the SIG payload. */
static err_t sign_message(struct writer *w, size_t start, size_t sig_at, const struct kek *kek,
                          const struct sign_key *key, const struct gdoi_dialect *dialect)
{
    uint8_t digest[HASH_LEN_MAX];
    uint8_t signature[SIGNATURE_MAX];
    size_t signature_len;
    size_t body_at = start + ISAKMP_HEADER_LEN;
    size_t clear_len = w->len - body_at;
    bool with_padding = dialect != NULL && dialect->sign_padded_length;
    size_t hashed_len = ISAKMP_HEADER_LEN + (with_padding ? padded(kek, clear_len) : clear_len);

    struct isakmp_header header = push_header(kek->spi, PAYLOAD_SEQ, (uint32_t)hashed_len);
    struct bytes payloads = {w->buf + body_at, sig_at - body_at};
    err_t err = push_digest(kek->sig_hash, &header, payloads, digest);
    if (err == E_OK)
        err = sign_digest(key, kek->sig_hash, dialect != NULL && dialect->bare_signature,
                          (struct bytes){digest, hash_len(kek->sig_hash)}, signature, &signature_len);
    if (err == E_OK && signature_len != w->len - sig_at - PAYLOAD_HEADER_LEN)
        err = E_INTERNAL;
    if (err == E_OK)
        memcpy(w->buf + sig_at + PAYLOAD_HEADER_LEN, signature, signature_len);
    return err;
}

static err_t seal(struct writer *w, size_t start, const struct kek *kek)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t body_at = start + ISAKMP_HEADER_LEN;
    write_zeros(w, padded(kek, w->len - body_at) - (w->len - body_at));
    isakmp_message_end(w, start); /* on the wire with the padding, hashed without (trap 3) */
    err_t err = writer_end(w);
    if (err != E_OK)
        return err;
    push_iv(kek, iv);
    return cipher_encrypt(kek->cipher, kek_key(kek), iv, w->buf + body_at, w->len - body_at);
}

static err_t check_input(const struct kek *kek, const struct sign_key *key,
                         const struct push_content *content)
{
    if (kek_key(kek).len == 0 || sign_key_alg(key) != kek->sig_alg ||
        sign_key_signature_len(key) > SIGNATURE_MAX)
        return E_BAD_KEY;
    if (content->delete_count > PUSH_DELETE_MAX)
        return E_LIMIT;
    if (content->policy != NULL && content->policy->sid_count != 0)
        return E_UNEXPECTED;
    bool empty = content->policy == NULL || (!content->policy->has_kek && content->policy->tek_count == 0);
    return empty && (content->policy != NULL || content->delete_count == 0) ? E_MISSING : E_OK;
}

err_t push_build(const struct kek *kek, const struct sign_key *key, const struct gdoi_dialect *dialect,
                 const struct push_content *content, struct writer *w)
{
    size_t start = w->len;
    err_t err = check_input(kek, key, content);
    if (err != E_OK)
        return err;
    struct isakmp_header header = push_header(kek->spi, PAYLOAD_NONE, 0);
    isakmp_header_encode(w, &header);
    struct payload_chain chain = payload_chain_over(w, start + NEXT_PAYLOAD_AT);
    err = put_content(&chain, kek, dialect, content);
    if (err != E_OK)
        goto done;
    size_t sig_at = payload_begin(&chain, PAYLOAD_SIG);
    write_reserve(w, sign_key_signature_len(key));
    payload_end(&chain, sig_at);
    err = writer_end(w);
    if (err == E_OK)
        err = sign_message(w, start, sig_at, kek, key, dialect);
    if (err == E_OK)
        err = seal(w, start, kek);
done:
    if (err != E_OK && w->len > start) { /* keys in clear must not stay behind */
        secret_wipe(w->buf + start, w->len - start);
        writer_fail(w, err);
    }
    return err;
}

/* gdoi_forge.h - messages with any content under the right keys: what a hostile key server or member can
 * send, whom HASH, encryption and signature do not stop. For tests and fuzz targets. */
#ifndef TESTS_LIB_GDOI_FORGE_H
#define TESTS_LIB_GDOI_FORGE_H

#include "proto/gdoi/pull_message.h"
#include "proto/gdoi/push_message.h"
#include "tests/lib/gdoi_fixture.h"

enum { FORGE_NEXT_AT = 16 };

/* A PULL message: HASH, then the given payloads (the first of type first), hashed and encrypted. */
UNUSED static struct bytes forge_pull(uint8_t *out, size_t cap, const struct isakmp_sa *sa,
                                      uint32_t message_id, const struct pull_nonces *nonces,
                                      const uint8_t iv[CIPHER_BLOCK_MAX], uint8_t first,
                                      struct bytes payloads)
{
    uint8_t next_iv[CIPHER_BLOCK_MAX];
    struct writer w = writer_over(out, cap);
    struct pull_draft draft = pull_draft_begin(&w, sa, message_id);
    writer_patch_u8(&w, draft.chain.next_at, first);
    write_bytes(&w, payloads);
    memcpy(next_iv, iv, sizeof(next_iv));
    must(pull_draft_seal(&draft, sa, message_id, nonces, next_iv));
    return writer_bytes(&w);
}

/* A PUSH: the given payloads, then SIG over what is hashed by either reading of the length. The last
 * payload's next-payload octet must be SIG already. */
UNUSED static struct bytes forge_push(uint8_t *out, size_t cap, const struct kek *kek,
                                      const struct sign_key *key, bool padded_length, bool bare,
                                      uint8_t first, struct bytes payloads)
{
    uint8_t digest[HASH_LEN_MAX], signature[SIGNATURE_MAX], iv[CIPHER_BLOCK_MAX];
    size_t signature_len = sign_key_signature_len(key);
    size_t block = cipher_block_len(kek->cipher);
    size_t clear = payloads.len + PAYLOAD_HEADER_LEN + signature_len;
    size_t sealed = (clear + block - 1) / block * block;
    struct isakmp_header header =
        push_header(kek->spi, first, (uint32_t)(ISAKMP_HEADER_LEN + (padded_length ? sealed : clear)));
    must(push_digest(kek->sig_hash, &header, payloads, digest));
    must(sign_digest(key, kek->sig_hash, bare, (struct bytes){digest, hash_len(kek->sig_hash)}, signature,
                     &signature_len));
    header.length = (uint32_t)(ISAKMP_HEADER_LEN + sealed);
    struct writer w = writer_over(out, cap);
    isakmp_header_encode(&w, &header);
    write_bytes(&w, payloads);
    write_u16(&w, 0);
    write_u16(&w, (uint16_t)(PAYLOAD_HEADER_LEN + signature_len));
    write_bytes(&w, (struct bytes){signature, signature_len});
    write_zeros(&w, sealed - clear);
    must(writer_end(&w));
    push_iv(kek, iv);
    must(cipher_encrypt(kek->cipher, kek_key(kek), iv, out + ISAKMP_HEADER_LEN, sealed));
    return writer_bytes(&w);
}

/* A chain of payloads in the making. forge_add returns where its generic header is. */
struct forge {
    struct writer w;
    uint8_t first;
    size_t next_at;
    bool begun;
};

UNUSED static void forge_add(struct forge *f, uint8_t type, struct bytes body)
{
    if (f->begun)
        writer_patch_u8(&f->w, f->next_at, type);
    else
        f->first = type;
    f->begun = true;
    f->next_at = f->w.len;
    write_u16(&f->w, 0);
    write_u16(&f->w, (uint16_t)(PAYLOAD_HEADER_LEN + body.len));
    write_bytes(&f->w, body);
}

UNUSED static void forge_next(struct forge *f, uint8_t type)
{
    if (f->begun)
        writer_patch_u8(&f->w, f->next_at, type);
    else
        f->first = type;
}

#endif

#include "proto/gdoi/pull_message.h"

#include <string.h>

enum { NEXT_PAYLOAD_AT = 16 }; /* offset of the next-payload octet in the header */

err_t pull_header_decode(struct isakmp_header *out, struct bytes *body, const struct isakmp_sa *sa,
                         struct bytes datagram)
{
    err_t err = isakmp_header_decode(out, body, datagram);
    if (err != E_OK)
        return err;
    if (memcmp(out->cookie_i, sa->cookie_i, COOKIE_LEN) != 0 ||
        memcmp(out->cookie_r, sa->cookie_r, COOKIE_LEN) != 0)
        return E_BAD_COOKIE;
    if (out->exchange != EXCHANGE_PULL)
        return E_BAD_EXCHANGE;
    if (out->flags != ISAKMP_FLAG_ENCRYPTED)
        return E_UNEXPECTED;
    return out->message_id != 0 ? E_OK : E_BAD_MESSAGE_ID;
}

/* Under the wrong key a message decrypts to rubbish: whatever is wrong with its form before HASH was seen, it
 * is this. */
static err_t take_apart(struct payload_list *out, uint8_t first, struct bytes clear)
{
    err_t err = payload_list_decode(out, first, clear);
    if (err != E_OK)
        return E_BAD_PADDING;
    return out->count != 0 && out->items[0].type == PAYLOAD_HASH ? E_OK : E_BAD_PADDING;
}

/* All that stands behind the HASH payload is hashed, in the order and form of the wire: for what RFC 6407
 * lets stand there it is its own formula, and nothing unproven is ever looked at. */
static err_t check_hash(const struct pull_opened *opened, const struct isakmp_sa *sa, uint32_t message_id,
                        struct bytes clear, const struct pull_nonces *nonces)
{
    const struct payload *hash = &opened->list.items[0];
    struct bytes hashed = bytes_slice(clear, hash->whole.len, opened->list.consumed - hash->whole.len);
    struct bytes parts[] = {nonces->ni_b, nonces->nr_b, hashed};
    return isakmp_sa_check_hash(sa, message_id, parts, ARRAY_LEN(parts), hash->body);
}

err_t pull_open(struct pull_opened *out, const struct isakmp_sa *sa, const struct isakmp_header *header,
                struct bytes body, const uint8_t iv[CIPHER_BLOCK_MAX], const struct payload_rule *rule,
                const struct pull_nonces *nonces, uint8_t *plain)
{
    struct bytes clear;
    memcpy(out->iv, iv, CIPHER_BLOCK_MAX);
    err_t err = isakmp_sa_open(sa, out->iv, body, plain, &clear);
    if (err == E_OK)
        err = take_apart(&out->list, header->next_payload, clear);
    if (err == E_OK)
        err = check_hash(out, sa, header->message_id, clear, nonces);
    if (err == E_OK)
        err = payload_rule_check(rule, &out->list);
    return err;
}

struct bytes pull_body(const struct pull_opened *opened, uint8_t type)
{
    const struct payload *payload = payload_find(&opened->list, type, 0);
    return payload != NULL ? payload->body : (struct bytes){0};
}

err_t pull_take_nonce(uint8_t out[NONCE_MAX], size_t *out_len, struct bytes body)
{
    if (body.len < NONCE_MIN || body.len > NONCE_MAX)
        return E_BAD_LENGTH;
    memcpy(out, body.data, body.len);
    *out_len = body.len;
    return E_OK;
}

struct pull_draft pull_draft_begin(struct writer *w, const struct isakmp_sa *sa, uint32_t message_id)
{
    static const uint8_t room[HASH_LEN_MAX];
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_PULL, .message_id = message_id};
    memcpy(header.cookie_i, sa->cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, sa->cookie_r, COOKIE_LEN);

    struct pull_draft draft = {.w = w, .start = w->len, .hash_len = hash_len(sa->suite.hash)};
    isakmp_header_encode(w, &header);
    draft.chain = payload_chain_over(w, draft.start + NEXT_PAYLOAD_AT);
    draft.hash_at = w->len + PAYLOAD_HEADER_LEN;
    payload_put(&draft.chain, PAYLOAD_HASH, (struct bytes){room, draft.hash_len});
    return draft;
}

err_t pull_draft_seal(struct pull_draft *draft, const struct isakmp_sa *sa, uint32_t message_id,
                      const struct pull_nonces *nonces, uint8_t iv[CIPHER_BLOCK_MAX])
{
    struct bytes all = writer_bytes(draft->w);
    struct bytes hashed = bytes_slice(all, draft->hash_at + draft->hash_len, all.len);
    struct bytes parts[] = {nonces->ni_b, nonces->nr_b, hashed};
    uint8_t hash[HASH_LEN_MAX];
    err_t err = writer_end(draft->w);
    if (err == E_OK)
        err = isakmp_sa_hash(sa, message_id, parts, ARRAY_LEN(parts), hash);
    if (err == E_OK) {
        memcpy(draft->w->buf + draft->hash_at, hash, draft->hash_len);
        err = isakmp_sa_seal(sa, iv, draft->w, draft->start);
    }
    secret_wipe(hash, sizeof(hash));
    return err;
}

void pull_draft_abandon(struct pull_draft *draft, err_t err)
{
    secret_wipe(draft->w->buf + draft->start, draft->w->len - draft->start);
    writer_fail(draft->w, err);
}

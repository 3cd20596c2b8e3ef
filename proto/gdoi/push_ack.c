#include "proto/gdoi/push_ack.h"

#include <string.h>

#include "proto/wire/id_payload.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/payload.h"

enum { NEXT_PAYLOAD_AT = 16 }; /* offset of the next-payload octet in the header */

/* With its NUL: "a null-terminated ASCII string" (RFC 8263 3.2), 18 octets. */
static const uint8_t label[] = "GROUPKEY-PUSH ACK";

static enum hash_alg prf_of(enum kek_ack mode)
{
    if (mode == KEK_ACK_SHA256)
        return HASH_SHA256;
    return mode == KEK_ACK_SHA512 ? HASH_SHA512 : HASH_NONE;
}

static err_t derive(struct secret *out, enum hash_alg prf, const struct kek *kek, size_t bits)
{
    uint8_t l[2] = {(uint8_t)(bits >> 8), (uint8_t)bits};
    struct bytes parts[] = {BYTES_OF(label), BYTES_OF(kek->spi), BYTES_OF(l)};
    return prf_secret(prf, kek_key(kek), parts, ARRAY_LEN(parts), out);
}

err_t push_ack_key_derive(struct push_ack_key *out, const struct kek *kek)
{
    enum hash_alg prf = prf_of(kek->ack);
    *out = (struct push_ack_key){.mode = kek->ack};
    if (prf == HASH_NONE)
        return E_UNSUPPORTED;
    if (kek_key(kek).len == 0)
        return E_BAD_KEY;
    memcpy(out->spi, kek->spi, KEK_SPI_LEN);
    /* Trap 6: "L" is called the bits of the ack_key (the output) and those of the prf's block, twice as many.
     */
    size_t output_bits = 8 * hash_len(prf);
    err_t err = derive(&out->keys[0], prf, kek, 2 * output_bits);
    if (err == E_OK)
        err = derive(&out->keys[1], prf, kek, output_bits);
    if (err != E_OK)
        push_ack_key_close(out);
    return err;
}

void push_ack_key_close(struct push_ack_key *key)
{
    secret_wipe(key, sizeof(*key));
}

err_t push_ack_build(const struct push_ack_key *key, uint32_t seq, const struct addr *member,
                     bool short_length, struct writer *w)
{
    static const uint8_t room[HASH_LEN_MAX];
    size_t start = w->len;
    enum hash_alg prf = prf_of(key->mode);
    struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = EXCHANGE_PUSH_ACK};
    memcpy(header.cookie_i, key->spi, COOKIE_LEN);
    memcpy(header.cookie_r, key->spi + COOKIE_LEN, COOKIE_LEN);
    if (prf == HASH_NONE)
        return E_UNSUPPORTED;
    if (addr_len(member) == 0)
        return E_BAD_ID;

    isakmp_header_encode(w, &header);
    struct payload_chain chain = payload_chain_over(w, start + NEXT_PAYLOAD_AT);
    size_t hash_at = w->len + PAYLOAD_HEADER_LEN;
    payload_put(&chain, PAYLOAD_HASH, (struct bytes){room, hash_len(prf)});
    size_t hashed_at = w->len;
    size_t begun = payload_begin(&chain, PAYLOAD_SEQ);
    gdoi_seq_encode(w, seq);
    payload_end(&chain, begun);
    struct identity identity = identity_from_addr(member);
    struct id_payload id =
        identity_as_payload(&identity); /* "Protocol ID and Port fields MUST be set to 0" */
    begun = payload_begin(&chain, PAYLOAD_ID);
    id_payload_encode(w, &id);
    payload_end(&chain, begun);
    isakmp_message_end(w, start);
    err_t err = writer_end(w);
    if (err != E_OK)
        return err;
    struct bytes hashed = {w->buf + hashed_at, w->len - hashed_at};
    return prf_parts(prf, secret_view(&key->keys[short_length ? 1 : 0]), &hashed, 1, w->buf + hash_at);
}

/* The three payloads of an acknowledgement; views the datagram. */
struct parts {
    struct isakmp_header header;
    struct bytes hash;
    struct bytes hashed; /* SEQ | ID */
    struct bytes seq;
    struct bytes id;
};

static err_t take_apart(struct parts *out, struct bytes datagram)
{
    struct payload_list list;
    struct bytes body;
    err_t err = isakmp_header_decode(&out->header, &body, datagram);
    if (err != E_OK)
        return err;
    if (out->header.exchange != EXCHANGE_PUSH_ACK)
        return E_BAD_EXCHANGE;
    if (out->header.flags != 0)
        return E_UNEXPECTED;
    if (out->header.message_id != 0)
        return E_BAD_MESSAGE_ID;
    const struct payload_rule rule = {.need = P(HASH) | P(SEQ) | P(ID)};
    err = payload_list_decode(&list, out->header.next_payload, body);
    if (err == E_OK)
        err = payload_rule_check(&rule, &list);
    if (err != E_OK)
        return err;
    if (list.items[0].type != PAYLOAD_HASH || list.items[1].type != PAYLOAD_SEQ)
        return E_UNEXPECTED;
    if (list.consumed != body.len)
        return E_TRAILING; /* it is not encrypted, so nothing pads it */
    out->hash = list.items[0].body;
    out->seq = list.items[1].body;
    out->id = list.items[2].body;
    out->hashed = bytes_slice(body, list.items[0].whole.len, body.len);
    return E_OK;
}

static err_t take_member(struct addr *out, struct bytes body)
{
    struct id_payload id;
    struct identity identity;
    err_t err = id_payload_decode(&id, body);
    if (err != E_OK)
        return err;
    if (id.protocol != 0 || id.port != 0)
        return E_RANGE;
    if (id.type != ID_IPV4_ADDR && id.type != ID_IPV6_ADDR)
        return E_BAD_ID; /* ID_OID is for IEC 61850 (RFC 8052), which we do not serve */
    err = identity_from_payload(&identity, &id);
    return err == E_OK ? identity_addr(&identity, out) : err;
}

err_t push_ack_decode(struct push_ack *out, struct bytes datagram)
{
    struct parts parts;
    struct push_ack ack = {0};
    err_t err = take_apart(&parts, datagram);
    if (err == E_OK)
        err = gdoi_seq_decode(&ack.seq, parts.seq);
    if (err == E_OK)
        err = take_member(&ack.member, parts.id);
    if (err != E_OK)
        return err;
    memcpy(ack.spi, parts.header.cookie_i, COOKIE_LEN);
    memcpy(ack.spi + COOKIE_LEN, parts.header.cookie_r, COOKIE_LEN);
    *out = ack;
    return E_OK;
}

err_t push_ack_verify(const struct push_ack_key *key, struct bytes datagram)
{
    struct parts parts;
    enum hash_alg prf = prf_of(key->mode);
    err_t err = take_apart(&parts, datagram);
    if (err != E_OK)
        return err;
    if (prf == HASH_NONE)
        return E_UNSUPPORTED;
    if (memcmp(parts.header.cookie_i, key->spi, COOKIE_LEN) != 0 ||
        memcmp(parts.header.cookie_r, key->spi + COOKIE_LEN, COOKIE_LEN) != 0)
        return E_UNKNOWN_SPI;
    for (size_t i = 0; i < ARRAY_LEN(key->keys); i++) {
        uint8_t hash[HASH_LEN_MAX];
        err = prf_parts(prf, secret_view(&key->keys[i]), &parts.hashed, 1, hash);
        if (err != E_OK)
            return err;
        if (secret_equal((struct bytes){hash, hash_len(prf)}, parts.hash))
            return E_OK;
    }
    return E_BAD_HASH;
}

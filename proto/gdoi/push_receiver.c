#include <string.h>

#include "proto/gdoi/push_message.h"
#include "proto/wire/payload.h"

static const struct payload_rule push_rule = {
    .need = P(SEQ) | P(SIG), .may = P(DELETE) | P(SA) | P(KD), .many = P(DELETE)};

/* A message that was decrypted and taken apart; views the caller's scratch. */
struct opened {
    struct isakmp_header header;
    struct bytes body;  /* encrypted */
    struct bytes clear; /* payloads and padding */
    struct payload_list list;
    uint32_t seq;
    struct bytes signed_payloads; /* all before SIG */
    struct bytes signature;
};

err_t push_member_open(struct push_member *member, const struct kek *kek, uint32_t seq, bool any_dialect)
{
    struct bytes spki = {kek->public_key, kek->public_len};
    struct verify_key *verify = NULL;
    if (kek_key(kek).len == 0)
        return E_BAD_KEY;
    err_t err = any_dialect ? verify_key_open_any(spki, &verify) : verify_key_open(spki, &verify);
    if (err != E_OK)
        return err;
    if (verify_key_alg(verify) != kek->sig_alg) {
        verify_key_free(verify);
        return E_BAD_KEY;
    }
    *member = (struct push_member){.verify = verify, .last_seq = seq, .any_dialect = any_dialect};
    memcpy(&member->kek, kek, sizeof(*kek));
    return E_OK;
}

void push_member_close(struct push_member *member)
{
    if (member->verify != NULL)
        verify_key_free(member->verify);
    secret_wipe(member, sizeof(*member));
}

static err_t check_header(const struct push_member *member, struct opened *out, struct bytes datagram)
{
    const struct isakmp_header *header = &out->header;
    const uint8_t *spi = member->kek.spi;
    err_t err = isakmp_header_decode(&out->header, &out->body, datagram);
    if (err != E_OK)
        return err;
    if (header->exchange != EXCHANGE_PUSH)
        return E_BAD_EXCHANGE;
    if (memcmp(header->cookie_i, spi, COOKIE_LEN) != 0 ||
        memcmp(header->cookie_r, spi + COOKIE_LEN, COOKIE_LEN) != 0)
        return E_UNKNOWN_SPI;
    if (header->flags != ISAKMP_FLAG_ENCRYPTED) /* "All other bits MUST be set to zero", RFC 6407 4.2 */
        return E_UNEXPECTED;
    return header->message_id == 0 ? E_OK : E_BAD_MESSAGE_ID;
}

static err_t decrypt(const struct push_member *member, struct opened *out, uint8_t *plain)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t len = out->body.len;
    if (len == 0 || len % cipher_block_len(member->kek.cipher) != 0)
        return E_BAD_LENGTH;
    memcpy(plain, out->body.data, len);
    push_iv(&member->kek, iv);
    out->clear = (struct bytes){plain, len};
    return cipher_decrypt(member->kek.cipher, kek_key(&member->kek), iv, plain, len);
}

/* SEQ, [D..,] [SA, KD,] SIG in this order. */
static bool well_ordered(const struct payload_list *list)
{
    size_t last = list->count - 1;
    size_t at = 1;
    if (list->items[0].type != PAYLOAD_SEQ || list->items[last].type != PAYLOAD_SIG)
        return false;
    while (at < last && list->items[at].type == PAYLOAD_DELETE)
        at++;
    if (at + 2 == last)
        return list->items[at].type == PAYLOAD_SA && list->items[at + 1].type == PAYLOAD_KD;
    return at == last && last > 1; /* deletes only, and then at least one */
}

/* "This weeds out obvious ill-formed messages" (RFC 6407 4.4). Nothing is proven yet, so all of it is one
 * error. */
static err_t check_form(const struct push_member *member, struct opened *out)
{
    struct payload_list *list = &out->list;
    if (payload_list_decode(list, out->header.next_payload, out->clear) != E_OK)
        return E_BAD_PADDING;
    if (payload_rule_check(&push_rule, list) != E_OK || !well_ordered(list))
        return E_BAD_PADDING;
    if (out->clear.len - list->consumed > cipher_block_len(member->kek.cipher)) /* some pad a whole block */
        return E_BAD_PADDING;
    const struct payload *sig = &list->items[list->count - 1];
    out->signature = sig->body;
    out->signed_payloads = bytes_slice(out->clear, 0, list->consumed - sig->whole.len);
    return gdoi_seq_decode(&out->seq, list->items[0].body) == E_OK ? E_OK : E_BAD_PADDING;
}

static err_t check_signature(const struct push_member *member, const struct opened *opened, size_t hashed_len)
{
    uint8_t digest[HASH_LEN_MAX];
    enum hash_alg hash = member->kek.sig_hash;
    struct isakmp_header header =
        push_header(member->kek.spi, opened->header.next_payload, (uint32_t)(ISAKMP_HEADER_LEN + hashed_len));
    header.version = opened->header.version;
    err_t err = push_digest(hash, &header, opened->signed_payloads, digest);
    if (err != E_OK)
        return err;
    return verify_digest(member->verify, hash, member->any_dialect, (struct bytes){digest, hash_len(hash)},
                         opened->signature);
}

/* Trap 3: the hashed header has the length without padding (reference implementation, and the rule that
 * G-IKEv2 spelled out), or with it, as RFC 6407 can be read too. */
static err_t check_either_length(const struct push_member *member, const struct opened *opened)
{
    err_t err = check_signature(member, opened, opened->list.consumed);
    if (err == E_BAD_SIGNATURE && opened->clear.len != opened->list.consumed)
        err = check_signature(member, opened, opened->clear.len);
    return err;
}

static bool all_zero(struct bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.data[i];
    return any == 0;
}

static err_t take_spi(struct push_received *out, uint8_t protocol, struct bytes spi)
{
    struct push_delete del = {.protocol = protocol, .all = all_zero(spi)};
    size_t wanted = protocol == 0 ? KEK_SPI_LEN : TEK_SPI_LEN;
    if (spi.len != wanted && !del.all)
        return E_BAD_LENGTH;
    if (out->delete_count == PUSH_DELETE_MAX)
        return E_LIMIT;
    struct reader r = reader_over(spi);
    if (protocol == 0 && !del.all)
        read_into(&r, del.kek_spi, KEK_SPI_LEN);
    else if (!del.all)
        del.tek_spi = read_u32(&r);
    out->deletes[out->delete_count++] = del;
    return r.err;
}

static err_t take_delete(struct push_received *out, struct bytes body)
{
    struct delete_payload del;
    err_t err = delete_decode(&del, body);
    if (err != E_OK)
        return err;
    if (del.doi != DOI_GDOI)
        return E_BAD_DOI;
    if (del.protocol != 0 && del.protocol != SAT_ESP)
        return E_OK; /* of keys that we never took */
    for (size_t i = 0; i < del.count && err == E_OK; i++)
        err = take_spi(out, del.protocol, bytes_slice(del.spis, i * del.spi_len, del.spi_len));
    return err;
}

/* A new KEK must be usable as a whole before anything of the push is used: its public key opens and is of its
 * kind, or the one in use goes on. */
static err_t check_new_kek(const struct push_member *member, const struct kek *kek)
{
    struct push_member trial;
    if (kek->public_len == 0)
        return kek->sig_alg == member->kek.sig_alg ? E_OK : E_BAD_KEY;
    err_t err = push_member_open(&trial, kek, 0, member->any_dialect);
    if (err == E_OK)
        push_member_close(&trial);
    return err;
}

static err_t take_policy(const struct push_member *member, const struct payload_list *list,
                         struct push_received *out)
{
    const struct payload *sa = payload_find(list, PAYLOAD_SA, 0);
    const struct payload *kd = payload_find(list, PAYLOAD_KD, 0);
    if (sa == NULL || kd == NULL)
        return E_OK;
    err_t err = group_policy_from_sa(&out->policy, sa->body, member->any_dialect);
    if (err == E_OK)
        err = group_policy_add_kd(&out->policy, kd->body, member->kek.spi);
    if (err == E_OK && out->policy.sid_count != 0)
        err = E_UNEXPECTED; /* one member's alone, never pushed (RFC 6407 5.6.4.4) */
    if (err == E_OK && out->policy.has_kek)
        err = check_new_kek(member, &out->policy.kek);
    out->has_policy = err == E_OK;
    return err;
}

static err_t take_content(const struct push_member *member, const struct payload_list *list,
                          struct push_received *out)
{
    err_t err = E_OK;
    for (size_t i = 0; i < list->count && err == E_OK; i++)
        if (list->items[i].type == PAYLOAD_DELETE)
            err = take_delete(out, list->items[i].body);
    return err == E_OK ? take_policy(member, list, out) : err;
}

static err_t open_message(const struct push_member *member, struct opened *opened, uint8_t *plain,
                          struct push_received *out)
{
    err_t err = decrypt(member, opened, plain);
    if (err == E_OK)
        err = check_form(member, opened);
    if (err != E_OK)
        return err;
    out->seq = opened->seq;
    if (opened->seq < member->last_seq)
        return E_REPLAY;
    err = check_either_length(member, opened);
    if (err == E_OK && opened->seq == member->last_seq) {
        out->repeated = true;
        return E_REPLAY;
    }
    if (err == E_OK)
        err = take_content(member, &opened->list, out);
    return err;
}

err_t push_member_open_message(const struct push_member *member, struct bytes datagram, uint8_t *plain,
                               struct push_received *out)
{
    struct opened opened;
    err_t err = check_header(member, &opened, datagram);
    if (err != E_OK)
        return err;
    err = open_message(member, &opened, plain, out);
    secret_wipe(plain, opened.body.len);
    if (err != E_OK && err != E_REPLAY)
        push_received_close(out);
    return err;
}

err_t push_member_accept(struct push_member *member, const struct push_received *message)
{
    struct push_member next;
    const struct kek *kek = &message->policy.kek;
    uint32_t seq = message->seq > member->last_seq ? message->seq : member->last_seq;
    if (!message->has_policy || !message->policy.has_kek) {
        member->last_seq = seq;
        return E_OK;
    }
    struct kek with_key = *kek;
    if (with_key.public_len == 0) { /* the signing key stays */
        with_key.public_len = member->kek.public_len;
        memcpy(with_key.public_key, member->kek.public_key, sizeof(with_key.public_key));
    }
    err_t err = push_member_open(&next, &with_key, seq, member->any_dialect);
    if (err == E_OK) {
        push_member_close(member);
        *member = next;
        secret_wipe(&next, sizeof(next));
    }
    secret_wipe(&with_key, sizeof(with_key));
    return err;
}

void push_received_close(struct push_received *message)
{
    secret_wipe(message, sizeof(*message));
}

bool push_deletes_tek(const struct push_received *message, uint32_t spi)
{
    for (size_t i = 0; i < message->delete_count; i++) {
        const struct push_delete *del = &message->deletes[i];
        if (del->protocol == SAT_ESP && (del->all || del->tek_spi == spi))
            return true;
    }
    return false;
}

bool push_deletes_kek(const struct push_received *message, const uint8_t spi[KEK_SPI_LEN])
{
    for (size_t i = 0; i < message->delete_count; i++) {
        const struct push_delete *del = &message->deletes[i];
        if (del->protocol == 0 && (del->all || memcmp(del->kek_spi, spi, KEK_SPI_LEN) == 0))
            return true;
    }
    return false;
}

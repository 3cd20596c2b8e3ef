#include "proto/ike/informational.h"

#include <string.h>

enum {
    NEXT_PAYLOAD_AT = 16, /* in the header (RFC 2408 3.1) */
    DPD_SEQ_LEN = 4,
};

/* Under protection: HASH first, then what it covers (RFC 2409 5.7). In clear: no HASH could be checked. */
static const struct payload_rule protected_rule = {P(HASH), P(NOTIFY) | P(DELETE) | P(VENDOR),
                                                   P(NOTIFY) | P(DELETE) | P(VENDOR)};
static const struct payload_rule clear_rule = {0, P(NOTIFY) | P(DELETE) | P(VENDOR),
                                               P(NOTIFY) | P(DELETE) | P(VENDOR)};

static err_t take_notify(const struct isakmp_sa *sa, struct bytes body, struct informational *out)
{
    struct notify_payload notify;
    err_t err = notify_decode(&notify, body);
    if (err != E_OK)
        return err;
    *out = (struct informational){
        .kind = INFO_NOTIFY, .notify_type = notify.type, .data = notify.data, .protected = sa != NULL};
    if (sa == NULL)
        return E_OK; /* a hint, whatever it says */
    bool dpd = notify.type == NOTIFY_DPD_R_U_THERE || notify.type == NOTIFY_DPD_R_U_THERE_ACK;
    if (!dpd && notify.type != NOTIFY_INITIAL_CONTACT)
        return E_OK;

    /* These speak of the SA, whose SPI are its cookies; some leave it out (RFC 3706 5.3: SHOULD). */
    if (notify.protocol != PROTO_ISAKMP)
        return E_RANGE;
    if (notify.spi.len != 0 && !isakmp_sa_has_spi(sa, notify.spi))
        return E_BAD_COOKIE;
    if (!dpd) {
        out->kind = INFO_INITIAL_CONTACT;
        return E_OK;
    }
    struct reader r = reader_over(notify.data);
    out->dpd_seq = read_u32(&r);
    out->kind = notify.type == NOTIFY_DPD_R_U_THERE ? INFO_DPD_REQUEST : INFO_DPD_ACK;
    return reader_end(&r) == E_OK ? E_OK : E_BAD_LENGTH;
}

static err_t take_delete(const struct isakmp_sa *sa, struct bytes body, struct informational *out)
{
    struct delete_payload del;
    err_t err = delete_decode(&del, body);
    if (err != E_OK)
        return err;
    *out = (struct informational){.kind = INFO_DELETE_OTHER, .protected = sa != NULL};
    if (sa == NULL || del.protocol != PROTO_ISAKMP || del.spi_len != ISAKMP_SPI_LEN)
        return E_OK;
    for (size_t i = 0; i < del.count; i++)
        if (isakmp_sa_has_spi(sa, bytes_slice(del.spis, i * del.spi_len, del.spi_len)))
            out->kind = INFO_DELETE_SA;
    return E_OK;
}

/* One notify or delete is what RFC 2409 5.7 has. Of several the first counts, unless a later one ends the SA.
 */
static err_t take_payloads(const struct isakmp_sa *sa, const struct payload_list *list,
                           struct informational *out)
{
    bool any = false;
    for (size_t i = 0; i < list->count; i++) {
        const struct payload *payload = &list->items[i];
        struct informational one;
        err_t err = E_OK;
        if (payload->type == PAYLOAD_NOTIFY)
            err = take_notify(sa, payload->body, &one);
        else if (payload->type == PAYLOAD_DELETE)
            err = take_delete(sa, payload->body, &one);
        else
            continue;
        if (err != E_OK)
            return err;
        if (!any || one.kind == INFO_DELETE_SA)
            *out = one;
        any = true;
    }
    return any ? E_OK : E_MISSING;
}

static err_t open_clear(const struct isakmp_header *header, struct bytes body, struct informational *out)
{
    struct payload_list list;
    if (header->flags & ISAKMP_FLAG_ENCRYPTED)
        return E_UNEXPECTED;
    err_t err = payload_list_decode(&list, header->next_payload, body);
    if (err == E_OK)
        err = payload_rule_check(&clear_rule, &list);
    return err == E_OK ? take_payloads(NULL, &list, out) : err;
}

static err_t check_header(const struct isakmp_sa *sa, const struct isakmp_header *header)
{
    if (memcmp(header->cookie_i, sa->cookie_i, COOKIE_LEN) != 0 ||
        memcmp(header->cookie_r, sa->cookie_r, COOKIE_LEN) != 0)
        return E_BAD_COOKIE;
    if (header->message_id == 0)
        return E_BAD_MESSAGE_ID;
    return header->flags & ISAKMP_FLAG_ENCRYPTED ? E_OK : E_UNEXPECTED;
}

/* HASH covers all payloads behind it. What does not even decode is no better than a wrong HASH. */
static err_t check_payloads(const struct isakmp_sa *sa, const struct isakmp_header *header,
                            struct bytes clear, struct payload_list *list)
{
    if (payload_list_decode(list, header->next_payload, clear) != E_OK || list->count == 0 ||
        list->items[0].type != PAYLOAD_HASH)
        return E_BAD_HASH;
    size_t covered = list->items[0].whole.len;
    struct bytes rest = bytes_slice(clear, covered, list->consumed - covered);
    err_t err = isakmp_sa_check_hash(sa, header->message_id, &rest, 1, list->items[0].body);
    return err == E_OK ? payload_rule_check(&protected_rule, list) : err;
}

err_t informational_open(const struct isakmp_sa *sa, const struct isakmp_header *header, struct bytes body,
                         uint8_t *plain, struct informational *out)
{
    *out = (struct informational){0};
    if (header->exchange != EXCHANGE_INFORMATIONAL)
        return E_BAD_EXCHANGE;
    if (sa == NULL)
        return open_clear(header, body, out);
    uint8_t iv[CIPHER_BLOCK_MAX];
    struct bytes clear = {0};
    struct payload_list list;
    err_t err = check_header(sa, header);
    if (err == E_OK)
        err = isakmp_sa_exchange_iv(sa, header->message_id, iv);
    if (err == E_OK)
        err = isakmp_sa_open(sa, iv, body, plain, &clear);
    if (err == E_OK)
        err = check_payloads(sa, header, clear, &list);
    if (err == E_OK)
        err = take_payloads(sa, &list, out);
    if (err != E_OK)
        *out = (struct informational){0};
    return err;
}

/* A message being built: header, then HASH whose value comes last. */
struct draft {
    struct writer *w;
    size_t start;
    size_t hash_at; /* of the value */
    size_t covered_at;
    struct payload_chain chain;
};

static struct draft draft_begin(const struct isakmp_sa *sa, uint32_t message_id, struct writer *w)
{
    struct draft draft = {.w = w, .start = w->len};
    struct isakmp_header header = {
        .version = ISAKMP_VERSION, .exchange = EXCHANGE_INFORMATIONAL, .message_id = message_id};
    memcpy(header.cookie_i, sa->cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, sa->cookie_r, COOKIE_LEN);
    isakmp_header_encode(w, &header);
    draft.chain = payload_chain_over(w, draft.start + NEXT_PAYLOAD_AT);
    size_t begun = payload_begin(&draft.chain, PAYLOAD_HASH);
    draft.hash_at = write_reserve(w, hash_len(sa->suite.hash));
    payload_end(&draft.chain, begun);
    draft.covered_at = w->len;
    return draft;
}

static err_t draft_end(const struct isakmp_sa *sa, uint32_t message_id, const struct draft *draft)
{
    struct writer *w = draft->w;
    uint8_t iv[CIPHER_BLOCK_MAX];
    if (message_id == 0)
        return E_BAD_MESSAGE_ID;
    if (w->err != E_OK)
        return w->err;
    struct bytes covered = {w->buf + draft->covered_at, w->len - draft->covered_at};
    err_t err = isakmp_sa_hash(sa, message_id, &covered, 1, w->buf + draft->hash_at);
    if (err == E_OK)
        err = isakmp_sa_exchange_iv(sa, message_id, iv);
    if (err == E_OK)
        err = isakmp_sa_seal(sa, iv, w, draft->start);
    if (err != E_OK)
        writer_fail(w, err);
    return err;
}

static err_t send_notify(const struct isakmp_sa *sa, uint32_t message_id, uint32_t doi, uint16_t type,
                         struct bytes data, struct writer *w)
{
    uint8_t spi[ISAKMP_SPI_LEN];
    isakmp_sa_spi(sa, spi);
    struct notify_payload notify = {doi, PROTO_ISAKMP, type, BYTES_OF(spi), data};
    struct draft draft = draft_begin(sa, message_id, w);
    size_t begun = payload_begin(&draft.chain, PAYLOAD_NOTIFY);
    notify_encode(w, &notify);
    payload_end(&draft.chain, begun);
    return draft_end(sa, message_id, &draft);
}

err_t informational_notify(const struct isakmp_sa *sa, uint32_t message_id, uint16_t type, struct bytes data,
                           struct writer *w)
{
    return send_notify(sa, message_id, sa->doi, type, data, w);
}

err_t informational_dpd(const struct isakmp_sa *sa, uint32_t message_id, bool ack, uint32_t seq,
                        struct writer *w)
{
    uint8_t data[DPD_SEQ_LEN];
    struct writer seq_writer = writer_over(data, sizeof(data));
    write_u32(&seq_writer, seq);
    /* RFC 3706 5.3: the DOI SHOULD be that of IPsec, whatever the SA's is. */
    return send_notify(sa, message_id, DOI_IPSEC, ack ? NOTIFY_DPD_R_U_THERE_ACK : NOTIFY_DPD_R_U_THERE,
                       BYTES_OF(data), w);
}

err_t informational_delete_sa(const struct isakmp_sa *sa, uint32_t message_id, struct writer *w)
{
    uint8_t spi[ISAKMP_SPI_LEN];
    isakmp_sa_spi(sa, spi);
    struct delete_payload del = {sa->doi, PROTO_ISAKMP, sizeof(spi), 1, BYTES_OF(spi)};
    struct draft draft = draft_begin(sa, message_id, w);
    size_t begun = payload_begin(&draft.chain, PAYLOAD_DELETE);
    delete_encode(w, &del);
    payload_end(&draft.chain, begun);
    return draft_end(sa, message_id, &draft);
}

err_t informational_clear_notify(const struct isakmp_header *request, uint32_t doi, uint16_t type,
                                 struct writer *w)
{
    size_t start = w->len;
    struct isakmp_header header = *request; /* its cookies */
    header.version = ISAKMP_VERSION;
    header.exchange = EXCHANGE_INFORMATIONAL;
    header.flags = 0;
    header.message_id = 0;
    header.next_payload = PAYLOAD_NONE;
    isakmp_header_encode(w, &header);
    struct payload_chain chain = payload_chain_over(w, start + NEXT_PAYLOAD_AT);
    struct notify_payload notify = {.doi = doi, .protocol = PROTO_ISAKMP, .type = type};
    size_t begun = payload_begin(&chain, PAYLOAD_NOTIFY);
    notify_encode(w, &notify);
    payload_end(&chain, begun);
    isakmp_message_end(w, start);
    if (w->err == E_OK && w->len - start > request->length) {
        w->len = start;
        return E_LIMIT;
    }
    return writer_end(w);
}

uint16_t notify_for_error(err_t err)
{
    switch (err) {
    case E_NO_PROPOSAL:
        return NOTIFY_NO_PROPOSAL_CHOSEN;
    case E_BAD_DOI:
        return NOTIFY_DOI_NOT_SUPPORTED;
    case E_BAD_VERSION:
        return NOTIFY_INVALID_MAJOR_VERSION;
    case E_BAD_EXCHANGE:
    case E_AGGRESSIVE:
        return NOTIFY_INVALID_EXCHANGE_TYPE;
    case E_BAD_KE:
        return NOTIFY_INVALID_KEY_INFORMATION;
    /* An unknown group and a member that is not allowed look alike: no list of groups is to be had by asking.
     */
    case E_BAD_ID:
    case E_UNKNOWN_GROUP:
    case E_NOT_AUTHORIZED:
        return NOTIFY_INVALID_ID_INFORMATION;
    case E_UNKNOWN_CRITICAL:
        return NOTIFY_INVALID_PAYLOAD_TYPE;
    case E_TRUNCATED:
    case E_TRAILING:
    case E_RANGE:
    case E_DUPLICATE:
    case E_MISSING:
    case E_UNEXPECTED:
    case E_BAD_LENGTH:
        return NOTIFY_PAYLOAD_MALFORMED;
    default:
        return 0; /* wrong keys, floods, our own troubles: silence */
    }
}

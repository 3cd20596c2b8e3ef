/* main_mode_responder.c - messages 1, 3 and 5 come in, 2, 4 and 6 go out (RFC 2409 5.4). Nothing is sent that
 * was not asked for, and message 2 brings nothing that message 1 had not: no amplifier. */
#include <string.h>

#include "proto/ike/main_mode_parts.h"
#include "proto/wire/notify.h"

/* The n-th ISAKMP transform of an SA body that has been decoded, as it came: what ike_offer_decode counted as
 * n. */
static struct bytes transform_at(struct bytes sa_body, size_t n, uint8_t *proposal)
{
    struct reader r = reader_over(sa_body);
    read_skip(&r, 8); /* DOI, situation */
    uint8_t type = PAYLOAD_PROPOSAL;
    while (type == PAYLOAD_PROPOSAL) {
        struct reader inside = reader_over(payload_read(&r, type, &type).body);
        *proposal = read_u8(&inside);
        uint8_t protocol = read_u8(&inside);
        uint8_t spi_len = read_u8(&inside);
        read_skip(&inside, 1u + spi_len); /* number of transforms, SPI */
        uint8_t inner = protocol == PROTO_ISAKMP ? PAYLOAD_TRANSFORM : PAYLOAD_NONE;
        while (inner == PAYLOAD_TRANSFORM) {
            struct payload transform = payload_read(&inside, inner, &inner);
            if (n-- == 0)
                return transform.body;
        }
    }
    return (struct bytes){0};
}

/* The SA payload that answers an offer: its DOI and situation, and the chosen transform octet for octet,
 * since a transform must not be modified (RFC 2408 4.2) and some peers compare octets. */
static void put_answer(struct payload_chain *chain, struct bytes sa_body, size_t n)
{
    uint8_t proposal = 0;
    struct bytes transform = transform_at(sa_body, n, &proposal);
    struct writer *w = chain->w;
    size_t sa = payload_begin(chain, PAYLOAD_SA);
    write_bytes(w, bytes_slice(sa_body, 0, 8));
    size_t proposal_begun = write_reserve(w, PAYLOAD_HEADER_LEN); /* next payload 0: one proposal */
    write_u8(w, proposal);
    write_u8(w, PROTO_ISAKMP);
    write_u8(w, 0); /* SPI: the cookies */
    write_u8(w, 1); /* transforms */
    size_t transform_begun = write_reserve(w, PAYLOAD_HEADER_LEN);
    write_bytes(w, transform);
    payload_end(chain, transform_begun);
    payload_end(chain, proposal_begun);
    payload_end(chain, sa);
    chain->next_at = sa;
}

/* Of vendor ids those that the peer sent too. */
static err_t put_message_2(const struct main_mode *mm, size_t chosen, struct writer *reply)
{
    struct payload_chain chain = mm_message_begin(mm, reply);
    put_answer(&chain, (struct bytes){mm->sa_body, mm->sa_body_len}, chosen);
    if (mm->sa.peer_vendors & VENDOR_DPD)
        mm_put_vendor(&chain, VENDOR_DPD);
    if (mm->sa.peer_vendors & VENDOR_QUORATE)
        mm_put_vendor(&chain, VENDOR_QUORATE);
    return mm_message_end(reply);
}

/* ike_policy_choose took the first transform of its suite. */
static size_t index_of(const struct ike_offer *offer, const struct ike_suite *suite)
{
    size_t n = 0;
    struct ike_suite one;
    while (n + 1 < offer->count &&
           !(ike_suite_from_transform(&one, &offer->transforms[n]) && ike_suite_equal(&one, suite)))
        n++;
    return n;
}

err_t mm_on_message_1(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    struct bytes body = mm_body(in, PAYLOAD_SA);
    struct ike_offer offer = {0};
    if (body.len > sizeof(mm->sa_body))
        return E_LIMIT;
    err_t err = ike_offer_decode(&offer, body);
    if (err == E_BAD_DOI)
        return mm_refuse(in, DOI_ISAKMP, err, reply, out);
    if (err == E_OK) {
        err = ike_policy_choose(mm->policy, &offer, &mm->sa.suite, &mm->chosen);
        if (err == E_NO_PROPOSAL)
            return mm_refuse(in, offer.doi, err, reply, out);
    }
    if (err != E_OK)
        return err;

    memcpy(mm->sa.cookie_i, in->header.cookie_i, COOKIE_LEN);
    memcpy(mm->sa_body, body.data, body.len);
    mm->sa_body_len = body.len;
    mm->sa.doi = offer.doi;
    mm->situation = offer.situation;
    mm->sa.lifetime_s = ike_policy_lifetime(mm->policy, &mm->chosen);
    err = put_message_2(mm, index_of(&offer, &mm->sa.suite), reply);
    out->send = err == E_OK;
    return err;
}

err_t mm_on_message_3(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    (void)reply;
    err_t err = mm_take_key_exchange(mm, in, &mm->g_xi, mm->ni, &mm->ni_len);
    if (err != E_OK)
        return err;
    out->job.group = mm->sa.suite.group;
    out->job.peer = mm->g_xi;
    out->compute = true;
    return E_OK;
}

err_t mm_on_computed(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                     struct mm_effects *out)
{
    mm->g_xr = in->job->pub;
    err_t err = mm_draw_nonce(mm->rng, mm->nr, &mm->nr_len);
    if (err == E_OK)
        err = mm_derive(mm, &in->job->shared);
    if (err != E_OK)
        return err;
    struct payload_chain chain = mm_message_begin(mm, reply);
    mm_put_key_exchange(&chain, &mm->g_xr, mm->nr, mm->nr_len);
    err = mm_message_end(reply);
    out->send = err == E_OK;
    return err;
}

/* INITIAL-CONTACT names this SA by its cookies, or does not name it (RFC 2407 4.6.3.3). Its DOI is not looked
 * at: the reference member says 1 under an SA of DOI 2. */
static bool is_initial_contact(const struct isakmp_sa *sa, const struct notify_payload *notify)
{
    if (notify->type != NOTIFY_INITIAL_CONTACT || notify->protocol != PROTO_ISAKMP)
        return false;
    return notify->spi.len == 0 || isakmp_sa_has_spi(sa, notify->spi);
}

static err_t take_notifies(struct main_mode *mm, const struct mm_input *in)
{
    for (size_t i = 0; i < in->list.count; i++) {
        struct notify_payload notify;
        if (in->list.items[i].type != PAYLOAD_NOTIFY)
            continue;
        if (notify_decode(&notify, in->list.items[i].body) != E_OK)
            return E_BAD_PADDING;
        if (is_initial_contact(&mm->sa, &notify))
            mm->peer_initial_contact = true;
    }
    return E_OK;
}

err_t mm_on_message_5(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    err_t err = take_notifies(mm, in);
    if (err == E_OK)
        err = mm_take_identity(mm, in, reply, out);
    if (err != E_OK)
        return err;
    struct payload_chain chain = mm_message_begin(mm, reply);
    err = mm_put_auth(mm, &chain);
    if (err == E_OK)
        err = isakmp_sa_seal(&mm->sa, mm->iv, reply, 0);
    if (err != E_OK)
        return err;
    memcpy(mm->sa.last_block, mm->iv, sizeof(mm->iv));
    mm->sa.established = true;
    out->send = true;
    out->established = true;
    return E_OK;
}

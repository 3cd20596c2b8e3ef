/* main_mode_initiator.c - messages 1, 3 and 5 go out, 2, 4 and 6 come in (RFC 2409 5.4). */
#include <string.h>

#include "proto/ike/main_mode_parts.h"
#include "proto/wire/notify.h"

/* The body of our SA payload is kept: both hashes are over it. */
static err_t keep_sa_body(struct main_mode *mm, struct bytes body)
{
    if (body.len > sizeof(mm->sa_body))
        return E_LIMIT;
    memcpy(mm->sa_body, body.data, body.len);
    mm->sa_body_len = body.len;
    return E_OK;
}

err_t mm_on_start(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                  struct mm_effects *out)
{
    (void)in;
    struct ike_offer offer;
    ike_policy_offer(mm->policy, mm->sa.doi, &offer);
    if (offer.count == 0)
        return E_NO_PROPOSAL;
    mm->situation = offer.situation;

    struct payload_chain chain = mm_message_begin(mm, reply);
    size_t begun = payload_begin(&chain, PAYLOAD_SA);
    size_t body = reply->len;
    ike_offer_encode(reply, &offer);
    payload_end(&chain, begun);
    if (reply->err != E_OK)
        return reply->err;
    err_t err = keep_sa_body(mm, (struct bytes){reply->buf + body, reply->len - body});
    mm_put_vendor(&chain, VENDOR_DPD);
    mm_put_vendor(&chain, VENDOR_QUORATE);
    if (err == E_OK)
        err = mm_message_end(reply);
    out->send = err == E_OK;
    return err;
}

/* One transform must come back, and it must be one of ours (RFC 2409 5, RFC 2408 4.2). The DOI may be
 * another: charon answers 2 by 1. So may the lifetime be lower, and the numbers of proposal and transform are
 * not looked at. */
err_t mm_on_message_2(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    (void)reply;
    struct ike_offer answer = {0};
    struct ike_offer ours;
    err_t err = ike_offer_decode(&answer, mm_body(in, PAYLOAD_SA));
    if (err != E_OK)
        return err;
    if (answer.count != 1)
        return E_NO_PROPOSAL;
    ike_policy_offer(mm->policy, mm->sa.doi, &ours);
    bool offered = false;
    struct ike_suite suite;
    if (!ike_suite_from_transform(&suite, &answer.transforms[0]))
        return E_NO_PROPOSAL;
    for (size_t i = 0; i < ours.count; i++) {
        struct ike_suite one;
        offered |= ike_suite_from_transform(&one, &ours.transforms[i]) && ike_suite_equal(&one, &suite);
    }
    if (!offered)
        return E_NO_PROPOSAL;

    mm->chosen = answer.transforms[0];
    mm->sa.suite = suite;
    mm->sa.doi = answer.doi;
    mm->situation = answer.situation;
    mm->sa.lifetime_s = ike_policy_lifetime(mm->policy, &mm->chosen);
    memcpy(mm->sa.cookie_r, in->header.cookie_r, COOKIE_LEN);
    out->job.group = suite.group;
    out->compute = true;
    return E_OK;
}

err_t mm_on_generated(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    mm->g_xi = in->job->pub;
    err_t err = mm_draw_nonce(mm->rng, mm->ni, &mm->ni_len);
    if (err != E_OK)
        return err;
    struct payload_chain chain = mm_message_begin(mm, reply);
    mm_put_key_exchange(&chain, &mm->g_xi, mm->ni, mm->ni_len);
    err = mm_message_end(reply);
    if (err != E_OK)
        return err;
    mm->dh_key = in->job->key; /* last, so that a refused step leaves it with the job */
    in->job->key = NULL;
    out->send = true;
    return E_OK;
}

err_t mm_on_message_4(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    (void)reply;
    err_t err = mm_take_key_exchange(mm, in, &mm->g_xr, mm->nr, &mm->nr_len);
    if (err != E_OK)
        return err;
    out->job.group = mm->sa.suite.group;
    out->job.peer = mm->g_xr;
    out->job.pub = mm->g_xi;
    out->job.key = mm->dh_key;
    mm->dh_key = NULL;
    out->compute = true;
    return E_OK;
}

static void put_initial_contact(const struct main_mode *mm, struct payload_chain *chain)
{
    uint8_t spi[ISAKMP_SPI_LEN];
    isakmp_sa_spi(&mm->sa, spi);
    struct notify_payload notify = {
        .doi = mm->sa.doi,
        .protocol = PROTO_ISAKMP,
        .type = NOTIFY_INITIAL_CONTACT,
        .spi = BYTES_OF(spi),
    };
    size_t begun = payload_begin(chain, PAYLOAD_NOTIFY);
    notify_encode(chain->w, &notify);
    payload_end(chain, begun);
}

err_t mm_on_derived(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                    struct mm_effects *out)
{
    err_t err = mm_derive(mm, &in->job->shared);
    if (err != E_OK)
        return err;
    struct payload_chain chain = mm_message_begin(mm, reply);
    err = mm_put_auth(mm, &chain);
    if (err == E_OK && mm->send_initial_contact)
        put_initial_contact(mm, &chain);
    if (err == E_OK)
        err = isakmp_sa_seal(&mm->sa, mm->iv, reply, 0);
    out->send = err == E_OK;
    return err;
}

err_t mm_on_message_6(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                      struct mm_effects *out)
{
    err_t err = mm_take_identity(mm, in, reply, out);
    if (err != E_OK)
        return err;
    memcpy(mm->sa.last_block, mm->iv, sizeof(mm->iv)); /* of the last message of phase 1 */
    mm->sa.established = true;
    out->established = true;
    return E_OK;
}

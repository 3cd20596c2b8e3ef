#include "proto/ike/main_mode_parts.h"

#include <string.h>

#include "proto/ike/informational.h"

enum {
    DRAW_TRIES = 4,
    NEXT_PAYLOAD_AT = 16, /* in the header (RFC 2408 3.1) */
    IP_PROTOCOL_UDP = 17,
};

struct bytes mm_body(const struct mm_input *in, enum payload_type type)
{
    const struct payload *payload = payload_find(&in->list, (uint8_t)type, 0);
    return payload == NULL ? (struct bytes){0} : payload->body;
}

void mm_note_vendors(struct main_mode *mm, const struct mm_input *in)
{
    for (size_t i = 0; i < in->list.count; i++)
        if (in->list.items[i].type == PAYLOAD_VENDOR)
            mm->sa.peer_vendors |= (uint32_t)vendor_id_classify(in->list.items[i].body);
}

err_t mm_draw_cookie(const struct rng *rng, uint8_t out[COOKIE_LEN])
{
    static const uint8_t marker[NON_ESP_MARKER_LEN];
    for (int i = 0; i < DRAW_TRIES; i++) {
        err_t err = rng_fill(rng, out, COOKIE_LEN);
        if (err != E_OK)
            return err;
        if (memcmp(out, marker, sizeof(marker)) != 0)
            return E_OK;
    }
    return E_CRYPTO;
}

err_t mm_draw_nonce(const struct rng *rng, uint8_t out[NONCE_MAX], size_t *out_len)
{
    *out_len = NONCE_LEN;
    return rng_fill(rng, out, NONCE_LEN);
}

struct payload_chain mm_message_begin(const struct main_mode *mm, struct writer *reply)
{
    struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = EXCHANGE_MAIN};
    memcpy(header.cookie_i, mm->sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, mm->sa.cookie_r, COOKIE_LEN);
    isakmp_header_encode(reply, &header);
    return payload_chain_over(reply, NEXT_PAYLOAD_AT);
}

err_t mm_message_end(struct writer *reply)
{
    isakmp_message_end(reply, 0);
    return writer_end(reply);
}

void mm_put_vendor(struct payload_chain *chain, enum vendor_id id)
{
    payload_put(chain, PAYLOAD_VENDOR, vendor_id_bytes(id));
}

err_t mm_take_key_exchange(const struct main_mode *mm, const struct mm_input *in,
                           struct dh_public *public_value, uint8_t nonce[NONCE_MAX], size_t *nonce_len)
{
    struct bytes ke = mm_body(in, PAYLOAD_KE);
    struct bytes body = mm_body(in, PAYLOAD_NONCE);
    if (ke.len != dh_public_len(mm->sa.suite.group) || ke.len == 0 || ke.len > sizeof(public_value->data))
        return E_BAD_KE;
    if (body.len < NONCE_MIN || body.len > NONCE_MAX)
        return E_BAD_LENGTH; /* RFC 2409 5 */
    public_value->len = (uint16_t)ke.len;
    memcpy(public_value->data, ke.data, ke.len);
    *nonce_len = body.len;
    memcpy(nonce, body.data, body.len);
    return E_OK;
}

void mm_put_key_exchange(struct payload_chain *chain, const struct dh_public *public_value,
                         const uint8_t *nonce, size_t nonce_len)
{
    payload_put(chain, PAYLOAD_KE, (struct bytes){public_value->data, public_value->len});
    payload_put(chain, PAYLOAD_NONCE, (struct bytes){nonce, nonce_len});
}

static struct bytes public_view(const struct dh_public *value)
{
    return (struct bytes){value->data, value->len};
}

err_t mm_derive(struct main_mode *mm, const struct dh_shared *shared)
{
    err_t err =
        isakmp_sa_derive(&mm->sa, secret_view(&mm->psk), (struct bytes){mm->ni, mm->ni_len},
                         (struct bytes){mm->nr, mm->nr_len}, (struct bytes){shared->data, shared->len});
    if (err == E_OK)
        err = isakmp_sa_phase1_iv(&mm->sa, public_view(&mm->g_xi), public_view(&mm->g_xr), mm->iv);
    return err;
}

static err_t auth_hash(const struct main_mode *mm, bool of_initiator, struct bytes id_body,
                       uint8_t out[HASH_LEN_MAX])
{
    return isakmp_sa_auth_hash(&mm->sa, of_initiator, public_view(&mm->g_xi), public_view(&mm->g_xr),
                               (struct bytes){mm->sa_body, mm->sa_body_len}, id_body, out);
}

err_t mm_put_auth(const struct main_mode *mm, struct payload_chain *chain)
{
    struct id_payload id = identity_as_payload(&mm->sa.local_id);
    size_t begun = payload_begin(chain, PAYLOAD_ID);
    size_t body = chain->w->len;
    id_payload_encode(chain->w, &id);
    payload_end(chain, begun);
    if (chain->w->err != E_OK)
        return chain->w->err;

    uint8_t hash[HASH_LEN_MAX];
    struct bytes id_body = {chain->w->buf + body, chain->w->len - body};
    err_t err = auth_hash(mm, mm->sa.initiator, id_body, hash);
    if (err == E_OK)
        payload_put(chain, PAYLOAD_HASH, (struct bytes){hash, hash_len(mm->sa.suite.hash)});
    return err;
}

err_t mm_check_auth(const struct main_mode *mm, const struct mm_input *in)
{
    uint8_t wanted[HASH_LEN_MAX];
    err_t err = auth_hash(mm, !mm->sa.initiator, mm_body(in, PAYLOAD_ID), wanted);
    if (err == E_OK &&
        !secret_equal((struct bytes){wanted, hash_len(mm->sa.suite.hash)}, mm_body(in, PAYLOAD_HASH)))
        err = E_BAD_HASH;
    secret_wipe(wanted, sizeof(wanted));
    return err;
}

/* RFC 2407 4.6.2: protocol and port 0, or UDP and 500; with NAT-T 4500 (RFC 3947 4), with GDOI 848. */
static bool id_selector_good(const struct id_payload *id)
{
    bool port = id->port == 0 || id->port == IKE_PORT || id->port == NATT_PORT || id->port == GDOI_PORT;
    return (id->protocol == 0 || id->protocol == IP_PROTOCOL_UDP) && port;
}

err_t mm_take_identity(struct main_mode *mm, const struct mm_input *in, struct writer *reply,
                       struct mm_effects *out)
{
    struct id_payload id;
    struct identity peer;
    err_t err = id_payload_decode(&id, mm_body(in, PAYLOAD_ID));
    if (err == E_OK)
        err = identity_from_payload(&peer, &id);
    if (err != E_OK || !id_selector_good(&id) ||
        (mm->expect_peer_id && !identity_equal(&peer, &mm->expected_id)))
        return mm_refuse(in, mm->sa.doi, E_BAD_ID, reply, out);
    mm->sa.peer_id = peer;
    return E_OK;
}

err_t mm_refuse(const struct mm_input *in, uint32_t doi, err_t why, struct writer *reply,
                struct mm_effects *out)
{
    out->failed = true;
    out->notify = notify_for_error(why);
    reply->len = 0;
    reply->err = E_OK;
    if (out->notify != 0)
        out->send = informational_clear_notify(&in->header, doi, out->notify, reply) == E_OK;
    return why;
}

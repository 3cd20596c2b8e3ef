#include "proto/gdoi/pull_server.h"

#include <string.h>

#include "proto/gdoi/pull_message.h"

/* Vendor ids are hashed like all else and tell us nothing here. */
static const struct payload_rule message_1 = {
    .need = P(HASH) | P(NONCE) | P(ID), .may = P(VENDOR), .many = P(VENDOR)};
static const struct payload_rule message_3 = {.need = P(HASH), .may = P(GAP) | P(VENDOR), .many = P(VENDOR)};

static struct pull_nonces nonces_of(const struct pull_server *pull)
{
    return (struct pull_nonces){{pull->ni, pull->ni_len}, {pull->nr, pull->nr_len}};
}

/* RFC 6407 5.1: after the ID type come three octets of zero; what a peer puts there says nothing about the
 * group. */
static err_t take_group(struct identity *out, struct bytes body)
{
    struct id_payload id;
    err_t err = id_payload_decode(&id, body);
    return err == E_OK ? identity_from_payload(out, &id) : err;
}

static err_t request_open(struct pull_server *next, const struct isakmp_sa *sa,
                          const struct isakmp_header *header, struct bytes body, uint8_t *plain)
{
    struct pull_opened opened;
    uint8_t iv[CIPHER_BLOCK_MAX];
    err_t err = isakmp_sa_exchange_iv(sa, header->message_id, iv);
    if (err == E_OK)
        err = pull_open(&opened, sa, header, body, iv, &message_1, &(struct pull_nonces){0}, plain);
    if (err == E_OK)
        err = pull_take_nonce(next->ni, &next->ni_len, pull_body(&opened, PAYLOAD_NONCE));
    if (err == E_OK)
        err = take_group(&next->group, pull_body(&opened, PAYLOAD_ID));
    if (err == E_OK)
        memcpy(next->iv, opened.iv, CIPHER_BLOCK_MAX);
    return err;
}

err_t pull_server_request(struct pull_server *pull, const struct isakmp_sa *sa, struct bytes datagram,
                          uint8_t *plain)
{
    struct isakmp_header header;
    struct bytes body;
    if (pull->state != PULL_S_IDLE)
        return E_STATE;
    err_t err = pull_header_decode(&header, &body, sa, datagram);
    if (err != E_OK)
        return err;
    struct pull_server next = {.state = PULL_S_REQUESTED, .message_id = header.message_id};
    err = request_open(&next, sa, &header, body, plain);
    if (err == E_OK)
        *pull = next;
    secret_wipe(&next, sizeof(next));
    secret_wipe(plain, body.len);
    return err;
}

static void remember_offer(struct pull_server *pull, const struct group_policy *policy)
{
    pull->offered_kek = policy->has_kek;
    memcpy(pull->kek_spi, policy->kek.spi, KEK_SPI_LEN);
    for (size_t i = 0; i < policy->tek_count; i++)
        pull->tek_spis[i] = policy->teks[i].spi;
    pull->tek_count = policy->tek_count;
}

err_t pull_server_offer(struct pull_server *pull, const struct isakmp_sa *sa, const struct rng *rng,
                        const struct group_policy *policy, const struct gdoi_dialect *dialect,
                        struct writer *w)
{
    if (pull->state != PULL_S_REQUESTED)
        return E_STATE;
    if (policy->tek_count == 0 || policy->selector_count == 0)
        return E_MISSING;
    struct pull_server next = *pull;
    next.nr_len = NONCE_LEN;
    err_t err = rng_fill(rng, next.nr, next.nr_len);
    if (err != E_OK)
        goto done;

    struct pull_draft draft = pull_draft_begin(w, sa, pull->message_id);
    payload_put(&draft.chain, PAYLOAD_NONCE, (struct bytes){next.nr, next.nr_len});
    size_t begun = payload_begin(&draft.chain, PAYLOAD_SA);
    err = group_policy_encode_sa(policy, dialect, w);
    if (err != E_OK)
        goto done;
    payload_end(&draft.chain, begun);
    /* HASH(2) = prf(SKEYID_a, M-ID | Ni_b | Nr | SA) */
    struct pull_nonces nonces = {.ni_b = {next.ni, next.ni_len}};
    err = pull_draft_seal(&draft, sa, pull->message_id, &nonces, next.iv);
    if (err != E_OK)
        goto done;
    next.state = PULL_S_OFFERED;
    remember_offer(&next, policy);
    *pull = next;
done:
    secret_wipe(&next, sizeof(next));
    return err;
}

static err_t take_requests(struct pull_server *next, const struct pull_opened *opened)
{
    const struct payload *payload = payload_find(&opened->list, PAYLOAD_GAP, 0);
    struct gdoi_gap gap = {0};
    err_t err = payload != NULL ? gdoi_gap_decode(&gap, payload->body) : E_OK;
    if (err == E_OK && gap.has_sid_request)
        next->sid_request = gap.sid_request;
    return err;
}

err_t pull_server_confirm(struct pull_server *pull, const struct isakmp_sa *sa, struct bytes datagram,
                          uint8_t *plain)
{
    struct isakmp_header header;
    struct pull_opened opened;
    struct bytes body;
    if (pull->state != PULL_S_OFFERED)
        return E_STATE;
    err_t err = pull_header_decode(&header, &body, sa, datagram);
    if (err == E_OK && header.message_id != pull->message_id)
        err = E_BAD_MESSAGE_ID;
    if (err != E_OK)
        return err;
    struct pull_server next = *pull;
    struct pull_nonces nonces = nonces_of(&next);
    err = pull_open(&opened, sa, &header, body, pull->iv, &message_3, &nonces, plain);
    if (err == E_OK)
        err = take_requests(&next, &opened);
    if (err == E_OK) {
        memcpy(next.iv, opened.iv, CIPHER_BLOCK_MAX);
        next.state = PULL_S_CONFIRMED;
        *pull = next;
    }
    secret_wipe(&next, sizeof(next));
    secret_wipe(plain, body.len);
    return err;
}

static bool as_offered(const struct pull_server *pull, const struct group_policy *policy)
{
    if (policy->has_kek != pull->offered_kek || policy->tek_count != pull->tek_count)
        return false;
    if (policy->has_kek && memcmp(policy->kek.spi, pull->kek_spi, KEK_SPI_LEN) != 0)
        return false;
    for (size_t i = 0; i < policy->tek_count; i++)
        if (policy->teks[i].spi != pull->tek_spis[i])
            return false;
    return true;
}

err_t pull_server_deliver(struct pull_server *pull, const struct isakmp_sa *sa,
                          const struct group_policy *policy, uint32_t seq, struct writer *w)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    if (pull->state != PULL_S_CONFIRMED)
        return E_STATE;
    if (!as_offered(pull, policy))
        return E_STALE;
    if (policy->sid_count == 0 && group_policy_has_counter_mode(policy))
        return E_MISSING;

    struct pull_draft draft = pull_draft_begin(w, sa, pull->message_id);
    if (policy->has_kek) { /* "SEQ MUST be present" beside a SAK, RFC 6407 3.2 */
        size_t begun = payload_begin(&draft.chain, PAYLOAD_SEQ);
        gdoi_seq_encode(w, seq);
        payload_end(&draft.chain, begun);
    }
    size_t begun = payload_begin(&draft.chain, PAYLOAD_KD);
    err_t err = group_policy_encode_kd(policy, policy->kek.spi, w);
    payload_end(&draft.chain, begun);
    struct pull_nonces nonces = nonces_of(pull);
    memcpy(iv, pull->iv, CIPHER_BLOCK_MAX);
    if (err == E_OK)
        err = pull_draft_seal(&draft, sa, pull->message_id, &nonces, iv);
    if (err != E_OK) {
        pull_draft_abandon(&draft, err);
        return err;
    }
    memcpy(pull->iv, iv, CIPHER_BLOCK_MAX);
    pull->state = PULL_S_DELIVERED;
    return E_OK;
}

void pull_server_close(struct pull_server *pull)
{
    secret_wipe(pull, sizeof(*pull));
}

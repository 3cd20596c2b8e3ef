#include "proto/gdoi/pull_member.h"

#include <string.h>

#include "proto/gdoi/pull_message.h"

static const struct payload_rule message_2 = {
    .need = P(HASH) | P(NONCE) | P(SA), .may = P(VENDOR), .many = P(VENDOR)};
static const struct payload_rule message_4 = {
    .need = P(HASH) | P(KD), .may = P(SEQ) | P(VENDOR), .many = P(VENDOR)};

/* "unique within the phase-1 SA" and not zero, which means phase 1 itself (RFC 2408 3.1) */
static err_t draw_message_id(const struct rng *rng, uint32_t *out)
{
    uint8_t raw[4];
    err_t err = rng_fill(rng, raw, sizeof(raw));
    struct reader r = reader_over(BYTES_OF(raw));
    *out = read_u32(&r);
    return err == E_OK && *out == 0 ? E_CRYPTO : err;
}

err_t pull_member_start(struct pull_member *pull, const struct isakmp_sa *sa, const struct rng *rng,
                        const struct identity *group, uint16_t sid_request, struct writer *w)
{
    uint8_t iv[CIPHER_BLOCK_MAX];
    if (pull->state != PULL_M_IDLE)
        return E_STATE;
    size_t ni_len = pull->ni_len != 0 ? pull->ni_len : NONCE_LEN;
    if (ni_len < NONCE_MIN || ni_len > NONCE_MAX)
        return E_RANGE;
    err_t err = draw_message_id(rng, &pull->message_id);
    if (err == E_OK)
        err = rng_fill(rng, pull->ni, ni_len);
    if (err == E_OK)
        err = isakmp_sa_exchange_iv(sa, pull->message_id, iv);
    if (err != E_OK)
        return err;

    struct pull_draft draft = pull_draft_begin(w, sa, pull->message_id);
    payload_put(&draft.chain, PAYLOAD_NONCE, (struct bytes){pull->ni, ni_len});
    struct id_payload id = identity_as_payload(group);
    size_t begun = payload_begin(&draft.chain, PAYLOAD_ID);
    id_payload_encode(w, &id);
    payload_end(&draft.chain, begun);
    err = pull_draft_seal(&draft, sa, pull->message_id, &(struct pull_nonces){0},
                          iv); /* HASH(1): Ni and ID whole */
    if (err != E_OK)
        return err;
    memcpy(pull->iv, iv, CIPHER_BLOCK_MAX);
    pull->ni_len = ni_len;
    pull->sid_request = sid_request;
    pull->state = PULL_M_AWAIT_2;
    return E_OK;
}

/* HASH(3) = prf(SKEYID_a, M-ID | Ni_b | Nr_b [| GAP]). Sender ids are asked for only if some key counts (RFC
 * 6407 3.3). */
static err_t answer_offer(struct pull_member *next, const struct isakmp_sa *sa, struct writer *w)
{
    struct pull_draft draft = pull_draft_begin(w, sa, next->message_id);
    if (next->sid_request != 0 && group_policy_has_counter_mode(&next->policy)) {
        struct gdoi_gap gap = {.has_sid_request = true, .sid_request = next->sid_request};
        size_t begun = payload_begin(&draft.chain, PAYLOAD_GAP);
        gdoi_gap_encode(w, &gap);
        payload_end(&draft.chain, begun);
    }
    struct pull_nonces nonces = {{next->ni, next->ni_len}, {next->nr, next->nr_len}};
    err_t err = pull_draft_seal(&draft, sa, next->message_id, &nonces, next->iv);
    if (err == E_OK)
        next->state = PULL_M_AWAIT_4;
    return err;
}

static err_t on_offer(struct pull_member *next, const struct isakmp_sa *sa,
                      const struct isakmp_header *header, struct bytes body, uint8_t *plain, struct writer *w)
{
    struct pull_opened opened;
    struct pull_nonces nonces = {.ni_b = {next->ni, next->ni_len}};
    err_t err = pull_open(&opened, sa, header, body, next->iv, &message_2, &nonces, plain);
    if (err == E_OK)
        err = pull_take_nonce(next->nr, &next->nr_len, pull_body(&opened, PAYLOAD_NONCE));
    if (err == E_OK)
        err = group_policy_from_sa(&next->policy, pull_body(&opened, PAYLOAD_SA), next->any_dialect);
    if (err == E_OK && next->policy.tek_count == 0)
        err = E_MISSING; /* a rekey SA alone protects no traffic */
    if (err != E_OK)
        return err;
    memcpy(next->iv, opened.iv, CIPHER_BLOCK_MAX);
    return answer_offer(next, sa, w);
}

/* SEQ "MUST be present" beside a SAK and makes no sense without (RFC 6407 3.2, 5.7). */
static err_t take_seq(struct pull_member *next, const struct pull_opened *opened)
{
    const struct payload *seq = payload_find(&opened->list, PAYLOAD_SEQ, 0);
    if (seq == NULL)
        return next->policy.has_kek ? E_MISSING : E_OK;
    if (!next->policy.has_kek)
        return E_UNEXPECTED;
    next->has_seq = true;
    return gdoi_seq_decode(&next->seq, seq->body);
}

static err_t on_keys(struct pull_member *next, const struct isakmp_sa *sa, const struct isakmp_header *header,
                     struct bytes body, uint8_t *plain)
{
    struct pull_opened opened;
    struct pull_nonces nonces = {{next->ni, next->ni_len}, {next->nr, next->nr_len}};
    err_t err = pull_open(&opened, sa, header, body, next->iv, &message_4, &nonces, plain);
    if (err == E_OK)
        err = take_seq(next, &opened);
    if (err == E_OK)
        err = group_policy_add_kd(&next->policy, pull_body(&opened, PAYLOAD_KD), NULL);
    if (err == E_OK && next->policy.sid_count == 0 && group_policy_has_counter_mode(&next->policy))
        err = E_MISSING; /* "at least one SID_VALUE attribute MUST be included", RFC 6407 5.6.4.4 */
    if (err != E_OK)
        return err;
    memcpy(next->iv, opened.iv, CIPHER_BLOCK_MAX);
    next->state = PULL_M_DONE;
    return E_OK;
}

err_t pull_member_step(struct pull_member *pull, const struct isakmp_sa *sa, struct bytes datagram,
                       uint8_t *plain, struct writer *w)
{
    struct isakmp_header header;
    struct bytes body;
    if (pull->state != PULL_M_AWAIT_2 && pull->state != PULL_M_AWAIT_4)
        return E_STATE;
    err_t err = pull_header_decode(&header, &body, sa, datagram);
    if (err == E_OK && header.message_id != pull->message_id)
        err = E_BAD_MESSAGE_ID;
    if (err != E_OK)
        return err;
    struct pull_member next = *pull;
    if (pull->state == PULL_M_AWAIT_2)
        err = on_offer(&next, sa, &header, body, plain, w);
    else
        err = on_keys(&next, sa, &header, body, plain);
    if (err == E_OK)
        *pull = next;
    secret_wipe(&next, sizeof(next));
    secret_wipe(plain, body.len);
    return err;
}

void pull_member_close(struct pull_member *pull)
{
    secret_wipe(pull, sizeof(*pull));
}

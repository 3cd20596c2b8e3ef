/* main_mode.c - the table of steps, and the way of every event through it. */
#include "proto/ike/main_mode.h"

#include <string.h>

#include "proto/ike/main_mode_parts.h"

/* One row per state: the event that it waits for, for a datagram what may stand in it, who handles it, and
 * where the exchange goes then. After a computation that failed it goes back, so that the peer's repeat is
 * worked again. */
struct mm_row {
    enum mm_event_kind on;
    bool sealed; /* the E flag must be set; else it must not */
    struct payload_rule rule;
    mm_handler handle;
    enum mm_state next;
    enum mm_state back;
};

/* What may stand anywhere, as often as it likes (RFC 2408 3.10, 3.16). NAT-D: messages 3 and 4 (RFC
 * 3947 3.2). */
#define ANYWHERE (P(VENDOR) | P(CERTREQ))
#define CLEAR(need, extra)                                                                                   \
    {                                                                                                        \
        (need), ANYWHERE | (extra), ANYWHERE | (extra)                                                       \
    }
#define SEALED                                                                                               \
    {                                                                                                        \
        P(ID) | P(HASH), ANYWHERE | P(NOTIFY), ANYWHERE | P(NOTIFY)                                          \
    }

static const struct mm_row rows[] = {
    [MM_R_AWAIT_1] = {MM_EVENT_DATAGRAM, false, CLEAR(P(SA), 0), mm_on_message_1, MM_R_AWAIT_3, MM_FAILED},
    [MM_R_AWAIT_3] = {MM_EVENT_DATAGRAM, false, CLEAR(P(KE) | P(NONCE), P(NATD)), mm_on_message_3,
                      MM_R_COMPUTING, MM_FAILED},
    [MM_R_COMPUTING] = {MM_EVENT_DH_DONE, false, {0}, mm_on_computed, MM_R_AWAIT_5, MM_R_AWAIT_3},
    [MM_R_AWAIT_5] = {MM_EVENT_DATAGRAM, true, SEALED, mm_on_message_5, MM_ESTABLISHED, MM_FAILED},

    [MM_IDLE] = {MM_EVENT_START, false, {0}, mm_on_start, MM_I_AWAIT_2, MM_IDLE},
    [MM_I_AWAIT_2] = {MM_EVENT_DATAGRAM, false, CLEAR(P(SA), 0), mm_on_message_2, MM_I_GENERATING, MM_FAILED},
    [MM_I_GENERATING] = {MM_EVENT_DH_DONE, false, {0}, mm_on_generated, MM_I_AWAIT_4, MM_I_AWAIT_2},
    [MM_I_AWAIT_4] = {MM_EVENT_DATAGRAM, false, CLEAR(P(KE) | P(NONCE), P(NATD)), mm_on_message_4,
                      MM_I_DERIVING, MM_FAILED},
    [MM_I_DERIVING] = {MM_EVENT_DH_DONE, false, {0}, mm_on_derived, MM_I_AWAIT_6, MM_I_AWAIT_4},
    [MM_I_AWAIT_6] = {MM_EVENT_DATAGRAM, true, SEALED, mm_on_message_6, MM_ESTABLISHED, MM_FAILED},
    /* MM_ESTABLISHED and MM_FAILED wait for nothing. */
};

static const struct mm_row *row_of(const struct main_mode *mm, enum mm_event_kind kind)
{
    if (mm->policy == NULL || (size_t)mm->state >= ARRAY_LEN(rows))
        return NULL;
    const struct mm_row *row = &rows[mm->state];
    return row->handle != NULL && row->on == kind ? row : NULL;
}

/* Cookies: those of this exchange. The first message that we get brings the peer's. */
static err_t check_cookies(const struct main_mode *mm, const struct isakmp_header *header)
{
    const struct isakmp_sa *sa = &mm->sa;
    bool same_i = memcmp(header->cookie_i, sa->cookie_i, COOKIE_LEN) == 0;
    bool same_r = memcmp(header->cookie_r, sa->cookie_r, COOKIE_LEN) == 0;
    bool good = same_i && same_r;
    if (mm->state == MM_R_AWAIT_1)
        good = !cookie_is_zero(header->cookie_i) && cookie_is_zero(header->cookie_r);
    else if (mm->state == MM_I_AWAIT_2)
        good = same_i && !cookie_is_zero(header->cookie_r);
    return good ? E_OK : E_BAD_COOKIE;
}

static err_t check_header(const struct main_mode *mm, const struct mm_row *row,
                          const struct isakmp_header *header)
{
    if (header->exchange != EXCHANGE_MAIN)
        return header->exchange == EXCHANGE_AGGRESSIVE ? E_AGGRESSIVE : E_BAD_EXCHANGE;
    err_t err = check_cookies(mm, header);
    if (err != E_OK)
        return err;
    if (header->message_id != 0)
        return E_BAD_MESSAGE_ID; /* RFC 2408 3.1: 0 in phase 1 */
    /* The commit bit means nothing before the SA is there (RFC 2408 3.1); nothing else may be set. */
    uint8_t flags = header->flags & (uint8_t)~ISAKMP_FLAG_COMMIT;
    return flags == (row->sealed ? ISAKMP_FLAG_ENCRYPTED : 0) ? E_OK : E_UNEXPECTED;
}

/* Private payload types, 128 and up (RFC 2408 3.1), mean nothing to us: NAT-D of the drafts, fragmentation
 * ... */
static void drop_private(struct payload_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].type < 128)
            list->items[kept++] = list->items[i];
    list->count = kept;
}

static err_t decode_payloads(const struct mm_row *row, struct mm_input *in, struct bytes body)
{
    err_t err = payload_list_decode(&in->list, in->header.next_payload, body);
    if (err != E_OK)
        return err;
    drop_private(&in->list);
    return payload_rule_check(&row->rule, &in->list);
}

/* Messages 5 and 6: decrypt, decode, verify HASH. Under a wrong key the plaintext is noise and hardly ever
 * decodes; the HASH is computed all the same, so that time tells a wrong pre-shared key from no other bad
 * message. */
static err_t open_sealed(struct main_mode *mm, const struct mm_row *row, struct mm_input *in,
                         struct bytes body, uint8_t *plain)
{
    struct bytes clear;
    err_t err = isakmp_sa_open(&mm->sa, mm->iv, body, plain, &clear);
    if (err != E_OK)
        return err;
    bool garbled = decode_payloads(row, in, clear) != E_OK;
    if (garbled)
        in->list.count = 0;
    err = mm_check_auth(mm, in);
    return garbled ? E_BAD_PADDING : err;
}

static err_t on_datagram(struct main_mode *mm, const struct mm_row *row, struct bytes datagram,
                         struct writer *reply, struct mm_effects *out)
{
    struct mm_input in = {0};
    struct bytes body;
    err_t err = isakmp_header_decode(&in.header, &body, datagram);
    if (err == E_OK)
        err = check_header(mm, row, &in.header);
    if (err != E_OK)
        return err;

    uint8_t plain[ISAKMP_MESSAGE_MAX];
    err = row->sealed ? open_sealed(mm, row, &in, body, plain) : decode_payloads(row, &in, body);
    if (err == E_OK) {
        mm_note_vendors(mm, &in);
        err = row->handle(mm, &in, reply, out);
    }
    if (row->sealed && body.len <= sizeof(plain))
        secret_wipe(plain, body.len);
    return err;
}

static err_t on_job(struct main_mode *mm, const struct mm_row *row, struct dh_job *job, struct writer *reply,
                    struct mm_effects *out)
{
    if (job == NULL || job->group != mm->sa.suite.group)
        return E_STATE;
    if (job->err != E_OK)
        return job->err;
    struct mm_input in = {.job = job};
    return row->handle(mm, &in, reply, out);
}

static err_t run(struct main_mode *mm, const struct mm_row *row, const struct mm_event *event,
                 struct writer *reply, struct mm_effects *out)
{
    struct mm_input in = {0};
    err_t err = E_OK;
    switch (event->kind) {
    case MM_EVENT_START:
        err = row->handle(mm, &in, reply, out);
        break;
    case MM_EVENT_DATAGRAM:
        err = on_datagram(mm, row, event->datagram, reply, out);
        break;
    case MM_EVENT_DH_DONE:
        err = on_job(mm, row, event->job, reply, out);
        break;
    }
    return err == E_OK ? writer_end(reply) : err;
}

/* What a refused event does to the exchange: at most it ends it, or takes back a computation. */
static void after_refusal(struct main_mode *mm, const struct mm_row *row, const struct mm_event *event,
                          err_t err, struct writer *reply, struct mm_effects *out)
{
    if (out->failed) {
        mm->state = MM_FAILED;
        out->reason = err;
        return;
    }
    *out = (struct mm_effects){.reason = err}; /* a key in its job is still ours */
    reply->len = 0;
    reply->err = E_OK;
    if (event->kind == MM_EVENT_DATAGRAM && mm->bad_messages < UINT32_MAX)
        mm->bad_messages++;
    if (event->kind == MM_EVENT_DH_DONE)
        mm->state = row->back;
    if (event->kind == MM_EVENT_DH_DONE && row->back == MM_I_AWAIT_4 && event->job != NULL) {
        mm->dh_key = event->job->key; /* it goes with our message 3, which is out */
        event->job->key = NULL;
    }
}

err_t main_mode_step(struct main_mode *mm, const struct mm_event *event, struct writer *reply,
                     struct mm_effects *out)
{
    *out = (struct mm_effects){0};
    const struct mm_row *row = row_of(mm, event->kind);
    err_t err = E_STATE;
    if (row != NULL) {
        struct main_mode next = *mm;
        err = run(&next, row, event, reply, out);
        if (err == E_OK) {
            next.state = row->next;
            *mm = next;
        } else {
            after_refusal(mm, row, event, err, reply, out);
        }
        secret_wipe(&next, sizeof(next));
    }
    if (event->kind == MM_EVENT_DH_DONE && event->job != NULL)
        dh_job_close(event->job);
    return err;
}

static err_t init(struct main_mode *mm, const struct mm_params *params)
{
    *mm = (struct main_mode){
        .policy = params->policy,
        .rng = params->rng,
        .expect_peer_id = params->expect_peer_id,
        .expected_id = params->peer_id,
        .send_initial_contact = params->send_initial_contact,
    };
    mm->sa.local_id = params->local_id;
    if (params->psk.len == 0)
        return E_BAD_KEY;
    if (params->local_id.len == 0)
        return E_BAD_ID;
    return secret_set(&mm->psk, params->psk);
}

err_t main_mode_responder_init(struct main_mode *mm, const struct mm_params *params)
{
    err_t err = init(mm, params);
    if (err == E_OK)
        err = mm_draw_cookie(mm->rng, mm->sa.cookie_r);
    mm->state = MM_R_AWAIT_1;
    if (err != E_OK)
        main_mode_close(mm);
    return err;
}

err_t main_mode_initiator_init(struct main_mode *mm, const struct mm_params *params)
{
    err_t err = init(mm, params);
    if (err == E_OK && params->doi != DOI_GDOI && params->doi != DOI_IPSEC)
        err = E_BAD_DOI;
    if (err == E_OK)
        err = mm_draw_cookie(mm->rng, mm->sa.cookie_i);
    mm->sa.initiator = true;
    mm->sa.doi = params->doi;
    if (err != E_OK)
        main_mode_close(mm);
    return err;
}

void main_mode_close(struct main_mode *mm)
{
    dh_key_free(mm->dh_key);
    secret_wipe(mm, sizeof(*mm));
}

void main_mode_take_sa(struct main_mode *mm, struct isakmp_sa *out)
{
    memset(out, 0, sizeof(*out));
    if (mm->state == MM_ESTABLISHED)
        *out = mm->sa;
    main_mode_close(mm);
}

void dh_job_run(struct dh_job *job)
{
    job->err = E_OK;
    if (job->key == NULL)
        job->err = dh_generate(job->group, &job->key, &job->pub);
    if (job->err == E_OK && job->peer.len != 0)
        job->err = dh_derive(job->key, (struct bytes){job->peer.data, job->peer.len}, &job->shared);
}

void dh_job_close(struct dh_job *job)
{
    dh_key_free(job->key);
    secret_wipe(job, sizeof(*job));
}

/* exchange.h - two ends of main mode in one process, for unit tests, simulations and fuzz targets. No cmocka
 * here: a fuzz target has none. Diffie-Hellman runs at once, inside exchange_feed. */
#ifndef TESTS_UNIT_PROTO_IKE_EXCHANGE_H
#define TESTS_UNIT_PROTO_IKE_EXCHANGE_H

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "proto/ike/main_mode.h"

#define EXCHANGE_PSK "correct horse battery staple"

enum { DATAGRAM_MAX = ISAKMP_MESSAGE_MAX };

struct datagram {
    size_t len;
    uint8_t data[DATAGRAM_MAX];
};

static inline struct bytes datagram_view(const struct datagram *datagram)
{
    return (struct bytes){datagram->data, datagram->len};
}

struct exchange {
    struct ike_policy policy_i;
    struct ike_policy policy_r;
    struct rng_seeded seed;
    struct rng rng;
    struct mm_params params_i;
    struct mm_params params_r;
    struct main_mode i;
    struct main_mode r;
};

/* Defaults that a test may change before exchange_start: one suite for both, DOI 2, equal keys, addresses as
 * identities. */
static inline void exchange_defaults(struct exchange *ex, const char *suite, uint64_t seed)
{
    const struct addr member = {AF_INET, {10, 1, 13, 2}};
    const struct addr server = {AF_INET, {10, 1, 11, 2}};
    memset(ex, 0, sizeof(*ex));
    ex->policy_i = (struct ike_policy){.legacy = true, .lifetime_s = IKE_LIFETIME_DEFAULT_S};
    if (ike_policy_add(&ex->policy_i, suite) != E_OK)
        abort();
    ex->policy_r = ex->policy_i;
    ex->rng = rng_seeded_init(&ex->seed, seed);
    ex->params_i = (struct mm_params){
        .policy = &ex->policy_i,
        .psk = bytes_of_text(EXCHANGE_PSK),
        .local_id = identity_from_addr(&member),
        .doi = DOI_GDOI,
        .rng = &ex->rng,
        .expect_peer_id = true,
        .peer_id = identity_from_addr(&server),
        .send_initial_contact = true,
    };
    ex->params_r = (struct mm_params){
        .policy = &ex->policy_r,
        .psk = bytes_of_text(EXCHANGE_PSK),
        .local_id = identity_from_addr(&server),
        .rng = &ex->rng,
    };
}

static inline void exchange_start(struct exchange *ex)
{
    if (main_mode_initiator_init(&ex->i, &ex->params_i) != E_OK ||
        main_mode_responder_init(&ex->r, &ex->params_r) != E_OK)
        abort();
}

static inline void exchange_close(struct exchange *ex)
{
    main_mode_close(&ex->i);
    main_mode_close(&ex->r);
}

/* One event, and the computation that it may ask for. Fills reply (length 0: nothing to send). */
static inline err_t exchange_event(struct main_mode *mm, const struct mm_event *event, struct datagram *reply,
                                   struct mm_effects *out)
{
    struct writer w = writer_over(reply->data, sizeof(reply->data));
    err_t err = main_mode_step(mm, event, &w, out);
    if (out->compute) {
        struct dh_job job = out->job;
        dh_job_run(&job);
        struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
        w = writer_over(reply->data, sizeof(reply->data));
        err = main_mode_step(mm, &done, &w, out);
    }
    reply->len = out->send ? w.len : 0;
    return err;
}

static inline err_t exchange_feed(struct main_mode *mm, struct bytes datagram, struct datagram *reply,
                                  struct mm_effects *out)
{
    struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram};
    return exchange_event(mm, &event, reply, out);
}

/* Message n (1..6) of an undisturbed exchange is made by feeding n - 1 to the other side; messages[n] gets
 * it. Runs up to and with message last. Returns the first error. */
static inline err_t exchange_run(struct exchange *ex, struct datagram messages[7], int last)
{
    struct mm_effects out;
    struct mm_event start = {.kind = MM_EVENT_START};
    err_t err = E_OK;
    for (int n = 1; n <= last && err == E_OK; n++) {
        struct main_mode *maker = n % 2 == 1 ? &ex->i : &ex->r;
        err = n == 1 ? exchange_event(maker, &start, &messages[n], &out)
                     : exchange_feed(maker, datagram_view(&messages[n - 1]), &messages[n], &out);
    }
    return err;
}

/* All six, message 6 taken by the initiator too. */
static inline err_t exchange_complete(struct exchange *ex, struct datagram messages[7])
{
    struct mm_effects out;
    struct datagram nothing;
    err_t err = exchange_run(ex, messages, 6);
    return err == E_OK ? exchange_feed(&ex->i, datagram_view(&messages[6]), &nothing, &out) : err;
}

/* Append a payload to a clear message: the last next-payload octet is found by walking, the length is set
 * anew. */
static inline void datagram_add(struct datagram *datagram, uint8_t type, struct bytes body)
{
    size_t next_at = 16, at = ISAKMP_HEADER_LEN;
    while (datagram->data[next_at] != PAYLOAD_NONE) {
        next_at = at;
        at += (size_t)datagram->data[at + 2] << 8 | datagram->data[at + 3];
    }
    struct writer w = writer_over(datagram->data, sizeof(datagram->data));
    w.len = datagram->len;
    struct payload_chain chain = payload_chain_over(&w, next_at);
    payload_put(&chain, type, body);
    isakmp_message_end(&w, 0);
    datagram->len = writer_end(&w) == E_OK ? w.len : 0;
}

/* Seal any plaintext under the keys of an SA, as a message of its own: whole blocks as given, else padded. */
static inline void datagram_seal(struct datagram *out, const struct isakmp_sa *sa,
                                 const uint8_t iv[CIPHER_BLOCK_MAX], const struct isakmp_header *header,
                                 struct bytes plain)
{
    uint8_t chained[CIPHER_BLOCK_MAX];
    struct writer w = writer_over(out->data, sizeof(out->data));
    memcpy(chained, iv, sizeof(chained));
    isakmp_header_encode(&w, header);
    write_bytes(&w, plain);
    out->len = isakmp_sa_seal(sa, chained, &w, 0) == E_OK ? w.len : 0;
}

static inline bool exchange_agrees(const struct main_mode *a, const struct main_mode *b)
{
    return secret_equal(secret_view(&a->sa.key), secret_view(&b->sa.key)) &&
           secret_equal(secret_view(&a->sa.skeyid_a), secret_view(&b->sa.skeyid_a)) &&
           secret_equal(secret_view(&a->sa.skeyid_d), secret_view(&b->sa.skeyid_d)) &&
           memcmp(a->sa.last_block, b->sa.last_block, sizeof(a->sa.last_block)) == 0 &&
           identity_equal(&a->sa.peer_id, &b->sa.local_id) && identity_equal(&b->sa.peer_id, &a->sa.local_id);
}

#endif

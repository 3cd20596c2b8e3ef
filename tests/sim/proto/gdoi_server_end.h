/* gdoi_server_end.h - the key server of gdoi_sim_test.c: answers registrations from its caches, commits
 * before it delivers, rekeys by unicast and sends again to those who did not acknowledge. */
#ifndef TESTS_SIM_PROTO_GDOI_SERVER_END_H
#define TESTS_SIM_PROTO_GDOI_SERVER_END_H

#include "proto/ike/answer_cache.h"
#include "tests/sim/proto/gdoi_net.h"

enum {
    REKEYS = 8,
    REKEY_EVERY_MS = 30000,
    KEK_EVERY = 3,    /* each third rekey brings a new KEK */
    RESEND_MS = 4000, /* of a push to the silent */
    RESEND_MAX = 5,
    SESSIONS = 4,  /* phase-1 SAs per member; the oldest gives way */
    PULLS = 3,     /* exchanges per SA */
    KEKS_KEPT = 3, /* for late acknowledgements */
};

struct server_pull {
    struct pull_server pull;
    uint64_t commit_at_ms;   /* 0: none under way */
    struct datagram request; /* message 3, whose answer waits for the commit */
};

struct session {
    bool used;
    uint64_t stamp;
    struct main_mode mm;
    struct isakmp_sa sa;
    struct answer_cache cache;
    struct server_pull pulls[PULLS];
    size_t next_pull;
};

static struct group {
    struct group_policy policy; /* the newest TEK last */
    struct sign_key *key;
    uint32_t seq;
    struct datagram push; /* of seq, as built once */
    uint64_t rekey_at_ms, resend_at_ms;
    unsigned resent, rekeys, acks;
    struct push_ack_key ack_keys[KEKS_KEPT];
    bool registered[MEMBERS + 1], acked[MEMBERS + 1];
} group;

static struct exchange phase_1; /* policies and parameters of both ends */
static struct session sessions[MEMBERS + 1][SESSIONS];
static unsigned server_got, server_answered;
static uint64_t stamp;

/* ---- registration ---- */

static void session_close(struct session *session)
{
    main_mode_close(&session->mm);
    isakmp_sa_close(&session->sa);
    answer_cache_close(&session->cache);
    memset(session, 0, sizeof(*session));
}

static struct session *session_for(uint8_t from, const struct isakmp_header *header)
{
    struct session *oldest = &sessions[from][0];
    for (size_t i = 0; i < SESSIONS; i++) {
        struct session *s = &sessions[from][i];
        const uint8_t *cookie = s->sa.established ? s->sa.cookie_i : s->mm.sa.cookie_i;
        if (s->used && memcmp(cookie, header->cookie_i, COOKIE_LEN) == 0)
            return s;
        if (!s->used || (oldest->used && s->stamp < oldest->stamp))
            oldest = s;
    }
    if (header->exchange != EXCHANGE_MAIN || !cookie_is_zero(header->cookie_r))
        return NULL;
    session_close(oldest);
    assert_ok(main_mode_responder_init(&oldest->mm, &phase_1.params_r));
    oldest->used = true;
    oldest->stamp = ++stamp;
    return oldest;
}

/* An answer to something that came, and never anything unasked. */
static void server_answer(uint8_t to, struct session *session, struct bytes request, struct bytes reply)
{
    assert_ok(answer_cache_put(&session->cache, request, reply));
    assert_true(++server_answered <= server_got);
    net_send(0, to, reply);
}

static struct server_pull *pull_find(struct session *session, uint32_t message_id)
{
    for (size_t i = 0; i < PULLS; i++)
        if (session->pulls[i].pull.state != PULL_S_IDLE && session->pulls[i].pull.message_id == message_id)
            return &session->pulls[i];
    return NULL;
}

/* Message 3; its answer waits for the commit. */
static err_t server_confirm(struct session *session, struct server_pull *pull, struct bytes datagram)
{
    static uint8_t plain[MESSAGE_CAP];
    err_t err = pull_server_confirm(&pull->pull, &session->sa, datagram, plain);
    if (err != E_OK)
        return err;
    pull->commit_at_ms = net.now_ms + 1 + net_draw(200);
    pull->request.len = datagram.len;
    memcpy(pull->request.data, datagram.data, datagram.len);
    return E_OK;
}

/* Message 1. A slot is taken only once HASH(1) was right: a damaged message id pushes nobody out. */
static err_t server_request(uint8_t from, struct session *session, struct bytes datagram)
{
    static uint8_t plain[MESSAGE_CAP], reply[MESSAGE_CAP];
    struct identity wanted = identity_from_number(FIXTURE_GROUP);
    struct writer w = writer_over(reply, sizeof(reply));
    struct pull_server pull = {0};
    err_t err = pull_server_request(&pull, &session->sa, datagram, plain);
    if (err != E_OK)
        return err;
    assert_true(identity_equal(&pull.group, &wanted));
    assert_ok(pull_server_offer(&pull, &session->sa, &net.ends, &group.policy, NULL, &w));
    struct server_pull *slot = &session->pulls[session->next_pull++ % PULLS];
    memset(slot, 0, sizeof(*slot));
    slot->pull = pull;
    server_answer(from, session, datagram, writer_bytes(&w));
    return E_OK;
}

static err_t server_pull_message(uint8_t from, struct session *session, const struct isakmp_header *header,
                                 struct bytes datagram)
{
    struct server_pull *pull = pull_find(session, header->message_id);
    return pull != NULL ? server_confirm(session, pull, datagram) : server_request(from, session, datagram);
}

static err_t server_phase_1(uint8_t from, struct session *session, struct bytes datagram)
{
    static uint8_t reply[MESSAGE_CAP];
    struct writer w = writer_over(reply, sizeof(reply));
    struct mm_effects out;
    struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram};
    err_t err = session->sa.established ? E_STATE : net_main_mode(&session->mm, &event, &w, &out);
    if (err != E_OK)
        return err;
    if (out.established)
        main_mode_take_sa(&session->mm, &session->sa);
    if (out.send)
        server_answer(from, session, datagram, writer_bytes(&w));
    return E_OK;
}

static void server_take_ack(uint8_t from, struct bytes datagram)
{
    struct push_ack ack;
    if (push_ack_decode(&ack, datagram) != E_OK)
        return;
    for (size_t i = 0; i < KEKS_KEPT; i++) {
        if (group.ack_keys[i].mode == KEK_ACK_NONE || push_ack_verify(&group.ack_keys[i], datagram) != E_OK)
            continue;
        struct addr of_sender = sim_addr(from);
        assert_true(addr_equal(&ack.member, &of_sender));
        assert_true(ack.seq <= group.seq);
        if (ack.seq == group.seq && !group.acked[from]) {
            group.acked[from] = true;
            group.acks++;
        }
        return;
    }
}

static void server_take(uint8_t from, struct bytes datagram)
{
    struct isakmp_header header;
    struct bytes body, cached;
    server_got++;
    if (isakmp_header_decode(&header, &body, datagram) != E_OK)
        return;
    if (header.exchange == EXCHANGE_PUSH_ACK) {
        server_take_ack(from, datagram);
        return;
    }
    struct session *session = session_for(from, &header);
    if (session == NULL)
        return;
    switch (answer_cache_look(&session->cache, datagram, &cached)) {
    case ANSWER_RESEND:
        assert_true(++server_answered <= server_got);
        net_send(0, from, cached);
        return;
    case ANSWER_NEW:
        break;
    default:
        return;
    }
    answer_cache_begin(&session->cache, datagram);
    err_t err = E_BAD_EXCHANGE;
    if (header.exchange == EXCHANGE_PULL && session->sa.established)
        err = server_pull_message(from, session, &header, datagram);
    else if (header.exchange == EXCHANGE_MAIN)
        err = server_phase_1(from, session, datagram);
    if (err != E_OK)
        answer_cache_forget(&session->cache, datagram);
}

/* The commit of a registration came through: only now do keys leave (invariant I1). */
static void server_commit(uint8_t from, struct session *session, struct server_pull *pull)
{
    static uint8_t reply[MESSAGE_CAP];
    struct writer w = writer_over(reply, sizeof(reply));
    struct bytes request = datagram_view(&pull->request);
    pull->commit_at_ms = 0;
    err_t err = pull_server_deliver(&pull->pull, &session->sa, &group.policy, group.seq, &w);
    if (err != E_OK) { /* a rekey came between offer and commit: the member begins anew */
        assert_err(err, E_STALE);
        answer_cache_forget(&session->cache, request);
        pull->pull.state = PULL_S_IDLE;
        return;
    }
    group.registered[from] = true;
    server_answer(from, session, request, writer_bytes(&w));
}

/* ---- rekeys ---- */

static void group_keep_ack_key(void)
{
    push_ack_key_close(&group.ack_keys[KEKS_KEPT - 1]);
    memmove(&group.ack_keys[1], &group.ack_keys[0], (KEKS_KEPT - 1) * sizeof(group.ack_keys[0]));
    assert_ok(push_ack_key_derive(&group.ack_keys[0], &group.policy.kek));
}

static void group_push(void)
{
    for (uint8_t i = 1; i <= MEMBERS; i++)
        if (group.registered[i] && !group.acked[i])
            net_send(0, i, datagram_view(&group.push));
    group.resend_at_ms = ++group.resent <= RESEND_MAX ? net.now_ms + RESEND_MS : UINT64_MAX;
}

/* A new TEK beside the one in use, each third time with a new KEK: built under the old one. */
static void group_rekey(void)
{
    static struct group_policy told;
    struct kek old = group.policy.kek;
    struct writer w = writer_over(group.push.data, sizeof(group.push.data));
    uint8_t n = (uint8_t)(++group.rekeys + 1);
    group.policy.teks[0] = group.policy.teks[1];
    fixture_tek(&group.policy.teks[1], n, fixture_cbc);
    told = group.policy;
    told.has_kek = group.rekeys % KEK_EVERY == 0;
    if (told.has_kek) {
        fixture_kek(&told.kek, n, CIPHER_AES_CBC_128, SIGN_RSA);
        group.policy.kek = told.kek;
        group_keep_ack_key();
    }
    struct push_content content = {.seq = ++group.seq, .policy = &told};
    assert_ok(push_build(&old, group.key, NULL, &content, &w));
    group.push.len = w.len;
    memset(group.acked, 0, sizeof(group.acked));
    group.resent = 0;
    group.rekey_at_ms = group.rekeys < REKEYS ? net.now_ms + REKEY_EVERY_MS : UINT64_MAX;
    group_push();
}

#endif

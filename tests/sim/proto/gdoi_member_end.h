/* gdoi_member_end.h - a member of gdoi_sim_test.c: registers, follows rekeys, acknowledges, and registers
 * again when it has heard nothing for too long. */
#ifndef TESTS_SIM_PROTO_GDOI_MEMBER_END_H
#define TESTS_SIM_PROTO_GDOI_MEMBER_END_H

#include "tests/sim/proto/gdoi_server_end.h"

enum {
    RETRY_MS = 700,
    RETRY_MAX = 6,                   /* then all begins anew */
    SILENCE_MS = 2 * REKEY_EVERY_MS, /* without a push a member registers again */
};

struct member {
    enum { GM_MAIN, GM_PULL, GM_MEMBER } state;
    struct main_mode mm;
    struct isakmp_sa sa;
    struct pull_member pull;
    struct push_member push;
    struct answer_cache answers; /* acknowledgements by push */
    struct datagram last;        /* what is retransmitted */
    uint64_t retry_at_ms, heard_at_ms;
    unsigned retries, registrations, overtaken, pushes;
    uint32_t newest_spi;
};

static struct member members[MEMBERS + 1];

static void member_arm(uint8_t i, struct bytes sent)
{
    struct member *gm = &members[i];
    gm->last.len = sent.len;
    memcpy(gm->last.data, sent.data, sent.len);
    gm->retries = 0;
    gm->retry_at_ms = net.now_ms + RETRY_MS;
    net_send(i, 0, sent);
}

static void member_main_mode(uint8_t i, const struct mm_event *event);

static void member_register(uint8_t i)
{
    struct member *gm = &members[i];
    struct mm_event start = {.kind = MM_EVENT_START};
    main_mode_close(&gm->mm);
    isakmp_sa_close(&gm->sa);
    pull_member_close(&gm->pull);
    gm->state = GM_MAIN;
    assert_ok(main_mode_initiator_init(&gm->mm, &phase_1.params_i));
    member_main_mode(i, &start);
}

static void member_main_mode(uint8_t i, const struct mm_event *event)
{
    static uint8_t message[MESSAGE_CAP];
    struct member *gm = &members[i];
    struct writer w = writer_over(message, sizeof(message));
    struct mm_effects out;
    if (net_main_mode(&gm->mm, event, &w, &out) != E_OK)
        return;
    if (out.send)
        member_arm(i, writer_bytes(&w));
    if (!out.established)
        return;
    struct identity wanted = identity_from_number(FIXTURE_GROUP);
    main_mode_take_sa(&gm->mm, &gm->sa);
    w = writer_over(message, sizeof(message));
    gm->state = GM_PULL;
    assert_ok(pull_member_start(&gm->pull, &gm->sa, &net.ends, &wanted, 0, &w));
    member_arm(i, writer_bytes(&w));
}

static void member_keep(struct member *gm, const struct group_policy *policy)
{
    const struct tek *newest = &policy->teks[policy->tek_count - 1];
    struct tek wanted;
    assert_int_equal(policy->tek_count, 2);
    fixture_tek(&wanted, (uint8_t)(newest->spi - FIXTURE_TEK_SPI), fixture_cbc);
    assert_true(secret_equal(secret_view(&newest->key), secret_view(&wanted.key)));
    assert_true(newest->spi >= gm->newest_spi); /* never back to an older key */
    gm->newest_spi = newest->spi;
    gm->heard_at_ms = net.now_ms;
}

/* RFC 6407 3.3: pulls and pushes overtake each other. If a push was taken while the PULL ran, message 4 is
 * the older news, and its number "MUST be considered stale"; so are its keys. */
static void member_registered(struct member *gm)
{
    bool overtaken = gm->push.verify != NULL && gm->push.last_seq > gm->pull.seq;
    if (!overtaken) {
        push_member_close(&gm->push);
        assert_ok(push_member_open(&gm->push, &gm->pull.policy.kek, gm->pull.seq, false));
        member_keep(gm, &gm->pull.policy);
    }
    gm->overtaken += overtaken;
    gm->state = GM_MEMBER;
    gm->retry_at_ms = UINT64_MAX;
    gm->registrations++;
    pull_member_close(&gm->pull);
}

static void member_pull(uint8_t i, struct bytes datagram)
{
    static uint8_t message[MESSAGE_CAP], plain[MESSAGE_CAP];
    struct member *gm = &members[i];
    struct writer w = writer_over(message, sizeof(message));
    if (pull_member_step(&gm->pull, &gm->sa, datagram, plain, &w) != E_OK)
        return;
    if (gm->pull.state == PULL_M_DONE)
        member_registered(gm);
    else
        member_arm(i, writer_bytes(&w));
}

static void member_acknowledge(uint8_t i, const struct push_ack_key *key, uint32_t seq, struct bytes datagram)
{
    uint8_t ack[PUSH_ACK_LEN_MAX];
    struct writer w = writer_over(ack, sizeof(ack));
    struct addr addr = sim_addr(i);
    assert_ok(push_ack_build(key, seq, &addr, i == 1, &w)); /* one member reads L the other way */
    assert_ok(answer_cache_put(&members[i].answers, datagram, writer_bytes(&w)));
    net_send(i, 0, writer_bytes(&w));
}

static void member_push(uint8_t i, struct bytes datagram)
{
    static uint8_t plain[MESSAGE_CAP];
    static struct push_received got;
    struct member *gm = &members[i];
    struct bytes cached;
    struct push_ack_key key;
    enum answer known = answer_cache_look(&gm->answers, datagram, &cached);
    if (known == ANSWER_RESEND)
        net_send(i, 0, cached);
    if (known != ANSWER_NEW || gm->push.verify == NULL)
        return;
    memset(&got, 0, sizeof(got));
    err_t err = push_member_open_message(&gm->push, datagram, plain, &got);
    if (err == E_OK) {
        assert_true(got.seq > gm->push.last_seq && got.seq <= group.seq);
        assert_ok(push_ack_key_derive(&key, &gm->push.kek)); /* of the KEK that decrypted it (RFC 8263 2.1) */
        assert_ok(push_member_accept(&gm->push, &got));
        member_keep(gm, &got.policy);
        gm->pushes++;
        member_acknowledge(i, &key, got.seq, datagram);
        push_ack_key_close(&key);
    }
    push_received_close(&got);
}

static void member_take(uint8_t i, struct bytes datagram)
{
    struct member *gm = &members[i];
    struct isakmp_header header;
    struct bytes body;
    if (isakmp_header_decode(&header, &body, datagram) != E_OK)
        return;
    if (header.exchange == EXCHANGE_PUSH)
        member_push(i, datagram);
    else if (header.exchange == EXCHANGE_PULL && gm->state == GM_PULL)
        member_pull(i, datagram);
    else if (header.exchange == EXCHANGE_MAIN && gm->state == GM_MAIN)
        member_main_mode(i, &(struct mm_event){.kind = MM_EVENT_DATAGRAM, .datagram = datagram});
}

static void member_tick(uint8_t i)
{
    struct member *gm = &members[i];
    if (gm->state == GM_MEMBER && net.now_ms >= gm->heard_at_ms + SILENCE_MS) {
        member_register(i);
        return;
    }
    if (gm->state == GM_MEMBER || gm->retry_at_ms > net.now_ms)
        return;
    if (gm->retries++ == RETRY_MAX) {
        member_register(i);
        return;
    }
    gm->retry_at_ms = net.now_ms + RETRY_MS * (1u << gm->retries);
    net_send(i, 0, datagram_view(&gm->last));
}

#endif

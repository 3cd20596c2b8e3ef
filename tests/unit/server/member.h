/* member.h - members for the box of rig.h, made of proto's other half: main_mode_initiator, pull_member,
 * push_member. */
#ifndef TESTS_UNIT_SERVER_MEMBER_H
#define TESTS_UNIT_SERVER_MEMBER_H

#include "proto/gdoi/pull_member.h"
#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"
#include "tests/unit/server/rig.h"

struct rig_member {
    struct endpoint at;
    struct ike_policy policy;
    struct main_mode mm;
    struct isakmp_sa sa;
    struct pull_member pull;
    struct push_member push;
    struct push_ack_key ack_key;
    bool registered;
    size_t pushes; /* taken */
    size_t replays;
    uint8_t out[ISAKMP_MESSAGE_MAX]; /* last that it sent */
    size_t out_len;
    uint8_t in[ISAKMP_MESSAGE_MAX]; /* last that it got */
    struct bytes got;
};

static inline void member_init(struct rig *rig, struct rig_member *m, uint8_t c, uint8_t d, const char *psk)
{
    memset(m, 0, sizeof(*m));
    m->at = (struct endpoint){addr_v4(10, 1, c, d), GDOI_PORT};
    assert_ok(ike_policy_add(&m->policy, "aes256-sha256-ecp256"));
    m->policy.lifetime_s = 1200;
    struct mm_params params = {.policy = &m->policy,
                               .psk = bytes_of_text(psk),
                               .local_id = identity_from_addr(&m->at.addr),
                               .doi = DOI_GDOI,
                               .rng = &rig->rng};
    assert_ok(main_mode_initiator_init(&m->mm, &params));
}

static inline void member_close(struct rig_member *m)
{
    main_mode_close(&m->mm);
    isakmp_sa_close(&m->sa);
    pull_member_close(&m->pull);
    push_member_close(&m->push);
    push_ack_key_close(&m->ack_key);
}

static inline void member_send(struct rig *rig, struct rig_member *m, struct bytes datagram)
{
    if (datagram.data != m->out)
        memcpy(m->out, datagram.data, datagram.len);
    m->out_len = datagram.len;
    rig_in(rig, &m->at, (struct bytes){m->out, m->out_len});
    rig_settle(rig);
}

static inline void member_repeat(struct rig *rig, struct rig_member *m)
{
    rig_in(rig, &m->at, (struct bytes){m->out, m->out_len});
    rig_settle(rig);
}

static inline bool member_get(struct rig *rig, struct rig_member *m)
{
    return rig_out(rig, &m->at, m->in, &m->got);
}

/* One step of main mode; its answer, if any, goes out. */
static inline err_t member_mm(struct rig *rig, struct rig_member *m, enum mm_event_kind kind,
                              struct dh_job *job)
{
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct mm_effects effects;
    struct mm_event event = {.kind = kind, .datagram = m->got, .job = job};
    struct writer w = writer_over(buf, sizeof(buf));
    err_t err = main_mode_step(&m->mm, &event, &w, &effects);
    if (err != E_OK)
        return err;
    if (effects.send)
        member_send(rig, m, writer_bytes(&w));
    if (effects.compute) {
        dh_job_run(&effects.job);
        return member_mm(rig, m, MM_EVENT_DH_DONE, &effects.job);
    }
    if (effects.established)
        main_mode_take_sa(&m->mm, &m->sa);
    return E_OK;
}

/* Main mode up to where it sticks. E_OK: established; else what its last message met, E_TIMEOUT for silence.
 */
static inline err_t member_phase1(struct rig *rig, struct rig_member *m)
{
    err_t err = member_mm(rig, m, MM_EVENT_START, NULL);
    while (err == E_OK && !m->sa.established) {
        if (!member_get(rig, m))
            return E_TIMEOUT;
        err = member_mm(rig, m, MM_EVENT_DATAGRAM, NULL);
    }
    return err;
}

static inline void member_pull_start(struct rig *rig, struct rig_member *m, uint32_t group)
{
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct identity identity = identity_from_number(group);
    struct writer w = writer_over(buf, sizeof(buf));
    pull_member_close(&m->pull);
    assert_ok(pull_member_start(&m->pull, &m->sa, &rig->rng, &identity, 1, &w));
    member_send(rig, m, writer_bytes(&w));
}

static inline err_t member_pull_step(struct rig *rig, struct rig_member *m)
{
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    err_t err = pull_member_step(&m->pull, &m->sa, m->got, plain, &w);
    if (err == E_OK && w.len > 0)
        member_send(rig, m, writer_bytes(&w));
    return err;
}

static inline void member_take_keys(struct rig_member *m)
{
    push_member_close(&m->push);
    push_ack_key_close(&m->ack_key);
    assert_int_equal(m->pull.state, PULL_M_DONE);
    assert_ok(push_member_open(&m->push, &m->pull.policy.kek, m->pull.seq, false));
    if (m->pull.policy.kek.ack != KEK_ACK_NONE)
        assert_ok(push_ack_key_derive(&m->ack_key, &m->pull.policy.kek));
    m->registered = true;
}

/* PULL up to where it sticks. */
static inline err_t member_pull(struct rig *rig, struct rig_member *m, uint32_t group)
{
    member_pull_start(rig, m, group);
    while (m->pull.state != PULL_M_DONE) {
        if (!member_get(rig, m))
            return E_TIMEOUT;
        err_t err = member_pull_step(rig, m);
        if (err != E_OK)
            return err;
    }
    member_take_keys(m);
    return E_OK;
}

static inline void member_register(struct rig *rig, struct rig_member *m, uint8_t c, uint8_t d)
{
    member_init(rig, m, c, d, RIG_PSK);
    assert_ok(member_phase1(rig, m));
    assert_ok(member_pull(rig, m, 3333));
}

/* Takes the push in m->got. */
static inline err_t member_push(struct rig_member *m)
{
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct push_received message = {0};
    err_t err = push_member_open_message(&m->push, m->got, plain, &message);
    if (err == E_OK)
        err = push_member_accept(&m->push, &message);
    if (err == E_OK)
        m->pushes++;
    else if (err == E_REPLAY)
        m->replays++;
    push_received_close(&message);
    return err;
}

/* The acknowledgement that this member gives for seq, into buf. */
static inline struct bytes member_ack(const struct rig_member *m, uint32_t seq, uint8_t *buf, size_t cap)
{
    struct writer w = writer_over(buf, cap);
    assert_ok(push_ack_build(&m->ack_key, seq, &m->at.addr, false, &w));
    return writer_bytes(&w);
}

static inline void member_send_ack(struct rig *rig, struct rig_member *m, uint32_t seq)
{
    uint8_t buf[PUSH_ACK_LEN_MAX];
    rig_in(rig, &m->at, member_ack(m, seq, buf, sizeof(buf)));
    rig_settle(rig);
}

/* All pushes that wait for the member: taken, acknowledged under the KEK that they came under. Returns how
 * many were new. */
static inline size_t member_take_pushes(struct rig *rig, struct rig_member *m, bool ack)
{
    size_t before = m->pushes;
    while (member_get(rig, m)) {
        err_t err = member_push(m);
        if (err != E_OK && err != E_REPLAY)
            fail_msg("a push was refused: E_%s", err_name(err));
        if (ack)
            member_send_ack(rig, m, m->push.last_seq);
        if (m->push.kek.ack != KEK_ACK_NONE) {
            push_ack_key_close(&m->ack_key);
            assert_ok(push_ack_key_derive(&m->ack_key, &m->push.kek));
        }
    }
    return m->pushes - before;
}

#endif

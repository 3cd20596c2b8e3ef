/* world_ks.h - key servers of the world: main mode responder and GROUPKEY-PULL server of proto/, with ways to
 * fail. Only world.h includes it. */
#ifndef TESTS_UNIT_GM_AGENT_WORLD_KS_H
#define TESTS_UNIT_GM_AGENT_WORLD_KS_H

/* --- a key server --- */

static inline struct bytes world_psk(bool wrong)
{
    return bytes_of_text(wrong ? "another secret" : "the secret of this member");
}

static inline void ks_reply(struct ks *ks, const struct endpoint *to, struct bytes request,
                            struct bytes reply)
{
    assert_ok(answer_cache_put(&ks->cache, request, reply));
    world_send(ks->world, &ks->address, to, reply);
}

static inline void ks_main_mode(struct ks *ks, const struct endpoint *from,
                                const struct isakmp_header *header, struct bytes datagram)
{
    struct world *w = ks->world;
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    struct writer reply = writer_over(buffer, sizeof(buffer));
    if (cookie_is_zero(header->cookie_r)) {
        if (ks->clear_refusal) {
            assert_ok(informational_clear_notify(header, DOI_GDOI, NOTIFY_NO_PROPOSAL_CHOSEN, &reply));
            world_send(w, &ks->address, from, writer_bytes(&reply));
            return;
        }
        main_mode_close(&ks->mm);
        answer_cache_close(&ks->cache);
        memset(&ks->cache, 0, sizeof(ks->cache));
        ks->exchanges++;
        struct mm_params params = {.policy = &w->ike,
                                   .psk = world_psk(ks->wrong_psk),
                                   .local_id = identity_from_addr(&ks->address.addr),
                                   .rng = &w->net_rng};
        assert_ok(main_mode_responder_init(&ks->mm, &params));
    }
    struct mm_effects effects = {0};
    struct mm_event event = {.kind = MM_EVENT_DATAGRAM, .datagram = datagram};
    if (main_mode_step(&ks->mm, &event, &reply, &effects) != E_OK)
        return;
    if (effects.compute) {
        struct dh_job job = effects.job;
        dh_job_run(&job);
        struct mm_event done = {.kind = MM_EVENT_DH_DONE, .job = &job};
        assert_ok(main_mode_step(&ks->mm, &done, &reply, &effects));
    }
    if (effects.send)
        ks_reply(ks, from, datagram, writer_bytes(&reply));
    if (effects.established) {
        isakmp_sa_close(&ks->sa);
        main_mode_take_sa(&ks->mm, &ks->sa);
    }
}

static inline void ks_pull(struct ks *ks, const struct endpoint *from, const struct isakmp_header *header,
                           struct bytes datagram)
{
    struct world *w = ks->world;
    struct gdoi_dialect dialect = {0};
    uint8_t plain[ISAKMP_MESSAGE_MAX], buffer[ISAKMP_MESSAGE_MAX];
    struct writer reply = writer_over(buffer, sizeof(buffer));
    if (!ks->sa.established || memcmp(header->cookie_i, ks->sa.cookie_i, COOKIE_LEN) != 0)
        return;
    if (ks->pull.state == PULL_S_OFFERED && header->message_id == ks->pull.message_id) {
        if (pull_server_confirm(&ks->pull, &ks->sa, datagram, plain) != E_OK)
            return;
        struct group_policy policy = w->policy;
        if (policy.sid_bits != 0) {
            policy.sid_count = 1;
            policy.sids[0] = w->sid + 1 + ks->registered;
        }
        if (pull_server_deliver(&ks->pull, &ks->sa, &policy, w->seq, &reply) != E_OK)
            return;
        ks->registered++;
        ks_reply(ks, from, datagram, writer_bytes(&reply));
        group_policy_close(&policy);
        return;
    }
    pull_server_close(&ks->pull); /* the member began anew */
    if (pull_server_request(&ks->pull, &ks->sa, datagram, plain) != E_OK)
        return;
    if (ks->refuses) {
        assert_ok(
            informational_notify(&ks->sa, 77, NOTIFY_INVALID_ID_INFORMATION, (struct bytes){0}, &reply));
        world_send(w, &ks->address, from, writer_bytes(&reply));
        return;
    }
    assert_ok(pull_server_offer(&ks->pull, &ks->sa, &w->net_rng, &w->policy, &dialect, &reply));
    ks_reply(ks, from, datagram, writer_bytes(&reply));
}

static inline void ks_ack(struct ks *ks, struct bytes datagram)
{
    struct world *w = ks->world;
    struct push_ack ack;
    if (push_ack_decode(&ack, datagram) != E_OK) {
        w->acks.bad++;
        return;
    }
    for (size_t i = 0; i < w->ack_kek_count; i++) {
        struct push_ack_key key = {0};
        if (memcmp(w->ack_keks[i].spi, ack.spi, KEK_SPI_LEN) != 0)
            continue;
        assert_ok(push_ack_key_derive(&key, &w->ack_keks[i]));
        err_t err = push_ack_verify(&key, datagram);
        push_ack_key_close(&key);
        if (err == E_OK && addr_equal(&ack.member, &w->config.local.addr)) {
            w->acks.count++;
            w->acks.last_seq = ack.seq;
            w->acks.last_ms = w->now_ms;
            return;
        }
    }
    w->acks.bad++;
}

static inline void ks_datagram(struct ks *ks, const struct endpoint *from, struct bytes datagram)
{
    struct world *w = ks->world;
    struct isakmp_header header;
    struct bytes body, again;
    assert_ok(isakmp_header_decode(&header, &body, datagram));
    bool first = header.exchange == EXCHANGE_MAIN && cookie_is_zero(header.cookie_r);
    if (first && answer_cache_look(&ks->cache, datagram, &again) == ANSWER_NEW && w->attempt_count < 1000)
        w->attempts_ms[w->attempt_count++] = w->now_ms;
    if (ks->dead)
        return;
    if (answer_cache_look(&ks->cache, datagram, &again) == ANSWER_RESEND) {
        world_send(w, &ks->address, from, again);
        return;
    }
    if (header.exchange == EXCHANGE_MAIN)
        ks_main_mode(ks, from, &header, datagram);
    else if (header.exchange == EXCHANGE_PULL)
        ks_pull(ks, from, &header, datagram);
    else if (header.exchange == EXCHANGE_PUSH_ACK)
        ks_ack(ks, datagram);
    else if (header.exchange == EXCHANGE_INFORMATIONAL) {
        uint8_t plain[ISAKMP_MESSAGE_MAX];
        struct informational info = {0};
        struct quarantine said;
        if (!ks->sa.established || informational_open(&ks->sa, &header, body, plain, &info) != E_OK)
            return;
        if (info.kind == INFO_DELETE_SA)
            ks->deletes++;
        if (info.kind == INFO_NOTIFY && info.notify_type == NOTIFY_POLICY_REFUSED) {
            assert_ok(quarantine_decode(&said, info.data));
            assert_true(identity_equal(&said.group, &w->config.group));
            memcpy(ks->refusal, said.reason, sizeof(ks->refusal));
            ks->refusals++;
        }
    }
}

#endif

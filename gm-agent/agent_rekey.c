/* agent_rekey.c - rekeys: verify, install, acknowledge; deletes lead to a new registration. */
#include <string.h>

#include "base/event.h"
#include "gm-agent/agent_parts.h"

/* A TEK of its own for a part of the selectors: other key servers can say so, this member cannot do it. */
static bool covers_all(const struct group_policy *policy)
{
    for (size_t i = 0; i < policy->tek_count; i++)
        for (size_t k = 0; k < policy->selector_count; k++)
            if (!tek_covers(&policy->teks[i], k))
                return false;
    return true;
}

bool agent_policy_usable(const struct agent *agent, const struct group_policy *policy, const char **why)
{
    *why = NULL;
    if (!covers_all(policy)) {
        *why = "different keys for different selectors";
        return false;
    }
    err_t err = agent->check(policy, why);
    if (err != E_OK && *why == NULL)
        *why = err_text(err);
    return err == E_OK;
}

void agent_note_refused(struct agent *agent, const struct group_policy *policy, struct agent_effects *out)
{
    for (size_t i = 0; i < policy->selector_count && !agent->ipv6_refused; i++) {
        agent->ipv6_refused = policy->selectors[i].src.addr.family == AF_INET6 ||
                              policy->selectors[i].dst.addr.family == AF_INET6;
        out->apply = out->apply || agent->ipv6_refused;
    }
}

static void note_transport(struct agent *agent, const struct group_policy *policy)
{
    bool multicast = addr_is_multicast(&policy->rekey_dst.addr);
    enum rekey_transport now = multicast ? REKEY_TRANSPORT_MULTICAST : REKEY_TRANSPORT_UNICAST;
    if (now == agent->transport)
        return;
    agent->transport = now;
    if (multicast)
        event(GM_REKEY_TRANS_2_MULTI, agent->config->group_name);
    else
        event(GM_REKEY_TRANS_2_UNI, agent->config->group_name);
}

void agent_take_policy(struct agent *agent, const struct group_policy *policy)
{
    if (policy->selector_count != 0) {
        memcpy(agent->selectors, policy->selectors, sizeof(agent->selectors));
        agent->selector_count = policy->selector_count;
        agent->ipv6_refused = false;
    }
    if (policy->has_kek)
        note_transport(agent, policy);
}

static void say_large(const struct agent *agent, int64_t delta_us, uint64_t now_ms)
{
    char mine[32], told[32];
    uint64_t now_us = group_clock_us(&agent->clock, now_ms);
    uint64_t before_us = now_us - (uint64_t)delta_us;
    time_check_format(before_us, mine);
    time_check_format(now_us, told);
    event(PSEUDO_TIME_LARGE, agent->config->group_name, mine, told);
}

void agent_take_time(struct agent *agent, const struct group_policy *policy, bool pushed, uint64_t now_ms)
{
    const struct policy_time *time = &policy->time;
    if (time->attribute == 0 || time->attribute != agent->config->datapath.time_attribute) {
        agent->time_window_ms = 0;
        return;
    }
    int64_t delta_us =
        pushed ? group_clock_push(&agent->clock, time->pseudotime_us, now_ms)
               : group_clock_pull(&agent->clock, time->pseudotime_us, agent->reg.started_ms, now_ms);
    agent->time_window_ms = time->window_ms;
    int64_t limit_us = (int64_t)time->window_ms * 1000;
    if (delta_us > limit_us || delta_us < -limit_us)
        say_large(agent, delta_us, now_ms);
}

bool agent_lacks_sid(const struct agent *agent)
{
    if (agent->sid_count != 0)
        return false;
    for (size_t i = 0; i < agent->teks.count; i++)
        if (!agent->teks.entries[i].receive_only && tek_is_counter_mode(&agent->teks.entries[i].tek))
            return true;
    return false;
}

void agent_ack_flush(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    if (agent->ack_len == 0 || !agent->ack_applied || now_ms < agent->ack_at_ms)
        return;
    agent_send(out, &agent->ack_to, (struct bytes){agent->ack, agent->ack_len});
    agent->stats.acks++;
    agent->ack_len = 0;
}

/* The answer to a push that was taken, behind the installation and after the jitter that keeps a whole group
 * from answering a multicast at once (RFC 8263 7). */
static void queue_ack(struct agent *agent, const struct endpoint *to, bool applied, uint64_t now_ms)
{
    const struct rekey_listen *listen = &agent->listen;
    if (listen->last_ack_len == 0)
        return;
    memcpy(agent->ack, listen->last_ack, listen->last_ack_len);
    agent->ack_len = listen->last_ack_len;
    agent->ack_to = *to;
    agent->ack_applied = applied;
    agent->ack_at_ms = now_ms;
    if (agent->config->ack_jitter_ms != 0)
        agent->ack_at_ms += agent_random(agent, agent->config->ack_jitter_ms + 1u);
}

/* Deletes first (RFC 6407 5.9: D stands before SA), then what is new. */
static bool apply_deletes(struct agent *agent, const struct push_received *message)
{
    bool any = false;
    for (size_t i = agent->teks.count; i-- > 0;) {
        uint32_t spi = agent->teks.entries[i].tek.spi;
        if (push_deletes_tek(message, spi)) {
            tek_table_delete(&agent->teks, spi);
            any = true;
        }
    }
    return any;
}

static void announce(struct agent *agent, const struct endpoint *from, const struct push_received *message,
                     uint64_t now_ms)
{
    char source[ADDR_TEXT_MAX], self[ADDR_TEXT_MAX];
    event(GM_RECV_REKEY, agent->config->group_name, addr_format(&from->addr, source),
          addr_format(&agent->config->local.addr, self), message->seq);
    if (message->has_policy && message->policy.has_kek)
        event(SA_KEK_UPDATED);
    if (message->has_policy && message->policy.tek_count != 0)
        event(SA_TEK_UPDATED);
    agent->stats.rekeys++;
    agent->stats.rekeys_since++;
    agent->stats.last_rekey_from = *from;
    agent->stats.last_rekey_seq = message->seq;
    agent->stats.last_rekey_ms = now_ms;
}

/* Whoever has seen the KEK's SPI can make us write lines: a few a second are enough. */
static bool may_log(struct agent *agent, uint64_t now_ms)
{
    if (now_ms - agent->log_second_ms >= 1000) {
        agent->log_second_ms = now_ms;
        agent->log_lines = 0;
    }
    return agent->log_lines++ < AGENT_LOG_LINES_MAX;
}

static void refuse(struct agent *agent, const struct endpoint *from, const char *why, uint64_t now_ms)
{
    char source[ADDR_TEXT_MAX], self[ADDR_TEXT_MAX];
    agent->stats.refused++;
    if (may_log(agent, now_ms))
        event(GDOI_REKEY_FAILURE, addr_format(&agent->config->local.addr, self), agent->config->group_name,
              addr_format(&from->addr, source), why);
}

/* Keys that are gone, or that we may only receive on for want of a sender id (never pushed, RFC
 * 6407 5.6.4.4), mean a new registration; not all members at once. Keys that are current make one that was
 * due needless. */
static void after_rekey(struct agent *agent, bool lost_kek, uint64_t now_ms)
{
    bool incomplete = lost_kek || tek_table_out(&agent->teks) == NULL || agent_lacks_sid(agent);
    if (!incomplete) {
        agent->next_round_ms = TIME_NEVER;
        agent->failed_rounds = 0;
    } else if (!registration_active(&agent->reg)) {
        event(GM_RE_REGISTER, agent->config->group_name);
        agent->reregister_ms = TIME_NEVER;
        agent_round_at(agent, now_ms + agent_random(agent, AGENT_DELETE_JITTER_MS + 1), now_ms);
    }
}

/* It comes again and again, since nobody acknowledges it. */
static void tell(struct agent *agent, const char *why, uint64_t now_ms, struct agent_effects *out)
{
    if (agent->told_ms != 0 && now_ms - agent->told_ms < AGENT_REFUSAL_GAP_MS)
        return;
    agent->told_ms = now_ms;
    agent_tell_refusal(agent, &agent->idle_sa, &agent->idle_peer, why, out);
}

static void install(struct agent *agent, const struct endpoint *from, struct bytes datagram,
                    const struct push_received *message, uint64_t now_ms, struct agent_effects *out)
{
    const char *why = NULL;
    if (message->has_policy && !agent_policy_usable(agent, &message->policy, &why)) {
        refuse(agent, from, why, now_ms);
        agent_note_refused(agent, &message->policy, out);
        tell(agent, why, now_ms, out);
        return;
    }
    bool had_kek = agent->listen.active;
    bool kek_deleted = push_deletes_kek(message, agent->listen.member.kek.spi) &&
                       !(message->has_policy && message->policy.has_kek);
    err_t err = rekey_listen_accept(&agent->listen, datagram, message, &agent->config->local.addr, now_ms);
    if (err != E_OK) {
        refuse(agent, from, err_text(err), now_ms);
        return;
    }
    bool deleted = apply_deletes(agent, message);
    if (message->has_policy) {
        agent_take_policy(agent, &message->policy);
        if (message->policy.tek_count != 0)
            agent_take_time(agent, &message->policy, true, now_ms);
        tek_table_rekey(&agent->teks, &message->policy, now_ms);
    } else if (deleted) {
        tek_table_advance(&agent->teks, now_ms);
    }
    if (kek_deleted)
        rekey_listen_drop(&agent->listen);
    announce(agent, from, message, now_ms);
    queue_ack(agent, from, false, now_ms);
    agent_plan_reregistration(agent, now_ms);
    after_rekey(agent, had_kek && !agent->listen.active, now_ms);
    out->apply = true;
}

void agent_on_push(struct agent *agent, const struct endpoint *from, struct bytes datagram, uint64_t now_ms,
                   struct agent_effects *out)
{
    struct push_received message = {0};
    err_t why = E_OK;
    switch (rekey_listen_look(&agent->listen, datagram, &agent->config->local.addr, &message, &why)) {
    case REKEY_NEW:
        /* Sender ids are never pushed (RFC 6407 5.6.4.4): those of the registration stay, with their length.
         */
        if (message.policy.sid_bits == 0)
            message.policy.sid_bits = agent->sid_bits;
        agent_ack_flush(agent, now_ms + agent->config->ack_jitter_ms,
                        out); /* the one before must not get lost */
        install(agent, from, datagram, &message, now_ms, out);
        break;
    case REKEY_REPEATED:
        agent->stats.repeated++;
        if (agent->ack_len == 0) /* else one is on its way already */
            queue_ack(agent, from, !agent->apply_failed, now_ms);
        agent_ack_flush(agent, now_ms, out);
        break;
    case REKEY_UNKNOWN:
        agent->stats.unknown_kek++;
        break;
    case REKEY_REPLAYED:
        agent->stats.replayed++;
        event(GDOI_REKEY_SEQ_FAILURE, message.seq, agent->config->group_name, agent->listen.member.last_seq);
        break;
    case REKEY_BAD:
        refuse(agent, from, err_text(why), now_ms);
        break;
    }
    push_received_close(&message);
}

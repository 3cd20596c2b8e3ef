/* agent_register.c - rounds over the ordered list of key servers, with exponential back-off between them. */
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "gm-agent/agent_parts.h"
#include "proto/gdoi/quarantine.h"

static const struct endpoint *server_of(const struct agent *agent)
{
    return &agent->config->servers[agent->server];
}

static void try_server(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    agent->stats.attempts++;
    agent->job_id++;
    registration_start(&agent->reg, agent->config, agent->rng, server_of(agent), now_ms, &agent->reg_effects);
    agent_registration_step(agent, now_ms, out);
}

void agent_round_start(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    agent->next_round_ms = TIME_NEVER;
    agent->round_started_ms = now_ms;
    agent->refused_policy = false;
    agent->server = 0;
    try_server(agent, now_ms, out);
}

void agent_round_at(struct agent *agent, uint64_t at_ms, uint64_t now_ms)
{
    uint64_t soonest = agent->stats.attempts == 0 ? now_ms : agent->round_started_ms + AGENT_REGISTER_GAP_MS;
    agent->next_round_ms = at_ms > soonest ? at_ms : soonest;
}

/* Nobody gave us keys: wait retry_first, doubled each time up to retry_max, the second half of it at random.
 */
static void back_off(struct agent *agent, uint64_t now_ms)
{
    uint64_t max_ms = 1000u * (uint64_t)agent->config->retry_max_s;
    uint64_t wait_ms = 1000u * (uint64_t)agent->config->retry_first_s << agent->failed_rounds;
    if (wait_ms > max_ms)
        wait_ms = max_ms;
    if (agent->refused_policy && wait_ms < AGENT_UNSUPPORTED_RETRY_MS)
        wait_ms = AGENT_UNSUPPORTED_RETRY_MS;
    if (agent->failed_rounds < AGENT_BACKOFF_DOUBLINGS_MAX)
        agent->failed_rounds++;
    agent_round_at(agent, now_ms + wait_ms / 2 + agent_random(agent, wait_ms / 2 + 1), now_ms);
}

void agent_tell_refusal(struct agent *agent, const struct isakmp_sa *sa, const struct endpoint *peer,
                        const char *why, struct agent_effects *out)
{
    uint8_t word[QUARANTINE_LEN_MAX], data[ISAKMP_HEADER_LEN + QUARANTINE_LEN_MAX + 256];
    struct writer body = writer_over(word, sizeof(word)), w = writer_over(data, sizeof(data));
    uint32_t message_id = (uint32_t)agent_random(agent, UINT32_MAX) + 1;
    if (!sa->established)
        return;
    quarantine_encode(&body, &agent->config->group, why);
    if (writer_end(&body) == E_OK &&
        informational_notify(sa, message_id, NOTIFY_POLICY_REFUSED, writer_bytes(&body), &w) == E_OK)
        agent_send(out, peer, writer_bytes(&w));
}

/* Without the words before it, which are for our own log. */
static const char *refusal(const struct registration *reg)
{
    const char *colon = strstr(reg->why, ": ");
    return colon != NULL ? colon + 2 : reg->why;
}

static void on_failed(struct agent *agent, const struct registration_effects *effects, uint64_t now_ms,
                      struct agent_effects *out)
{
    char ks[ADDR_TEXT_MAX], next[ADDR_TEXT_MAX];
    const char *group = agent->config->group_name;
    addr_format(&server_of(agent)->addr, ks);
    agent->stats.failures++;
    if (effects->dead) {
        size_t follower = (agent->server + 1) % agent->config->server_count;
        event(GM_KS_DEAD, ks, group, addr_format(&agent->config->servers[follower].addr, next));
    } else {
        if (agent->reg.mm.state != MM_ESTABLISHED && !agent->reg.sa.established)
            event(IKMP_MODE_FAILURE, "main", ks, agent->reg.why);
        event(GM_REGISTRATION_FAILED, ks, group, agent->reg.why);
    }
    if (effects->reason == E_UNSUPPORTED) {
        agent->refused_policy = true;
        agent_tell_refusal(agent, &agent->reg.sa, &agent->reg.server, refusal(&agent->reg), out);
    }
    registration_close(&agent->reg);
    if (++agent->server < agent->config->server_count)
        try_server(agent, now_ms, out);
    else
        back_off(agent, now_ms);
}

void agent_delete_idle_sa(struct agent *agent, struct agent_effects *out)
{
    if (!agent->idle_sa.established)
        return;
    uint8_t data[ISAKMP_HEADER_LEN + 256];
    struct writer w = writer_over(data, sizeof(data));
    uint32_t message_id = (uint32_t)agent_random(agent, UINT32_MAX) + 1;
    if (informational_delete_sa(&agent->idle_sa, message_id, &w) == E_OK)
        agent_send(out, &agent->idle_peer, writer_bytes(&w));
    isakmp_sa_close(&agent->idle_sa);
}

/* How long before the end of a key we come again: as configured, but never more than a third of its life. */
static uint64_t lead_ms(const struct agent *agent, uint64_t life_ms)
{
    uint64_t lead = 1000u * (uint64_t)agent->config->reregister_before_s;
    if (lead > life_ms / 3)
        lead = life_ms / 3;
    return lead + agent_random(agent, lead / 4 + 1);
}

void agent_plan_reregistration(struct agent *agent, uint64_t now_ms)
{
    const struct tek_entry *tek = tek_table_longest(&agent->teks, now_ms);
    uint64_t at = TIME_NEVER;
    if (tek != NULL)
        at = tek->expires_ms - lead_ms(agent, 1000u * (uint64_t)tek->tek.lifetime_s);
    if (agent->listen.active) {
        const struct rekey_listen *listen = &agent->listen;
        uint64_t kek_at = listen->expires_ms - lead_ms(agent, listen->expires_ms - listen->installed_ms);
        if (kek_at < at)
            at = kek_at;
    }
    agent->reregister_ms = at;
}

/* Policy, keys and SA of a finished registration become ours; only the SA if a rekey overtook the answer. */
static err_t take_registration(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    struct pull_member *pull = &agent->reg.pull;
    struct group_policy *policy = &pull->policy;
    bool overtaken =
        policy->has_kek && rekey_listen_overtook(&agent->listen, pull->seq, agent->reg.started_ms);
    if (overtaken) {
        /* the push brought newer keys */
    } else if (policy->has_kek) {
        err_t err =
            rekey_listen_open(&agent->listen, &policy->kek, pull->seq, agent->config->accept_dialect, now_ms);
        if (err != E_OK)
            return err;
    } else {
        rekey_listen_drop(&agent->listen);
    }
    agent_delete_idle_sa(agent, out);
    agent->idle_sa = agent->reg.sa;
    agent->idle_peer = agent->reg.server;
    agent->idle_until_ms = now_ms + 1000u * (uint64_t)agent->idle_sa.lifetime_s;
    if (overtaken)
        return E_OK;
    agent_take_policy(agent, policy);
    agent_take_time(agent, policy, false, now_ms);
    agent->sid_bits = policy->sid_bits;
    agent->sid_count = policy->sid_count;
    memcpy(agent->sids, policy->sids, sizeof(agent->sids));
    tek_table_register(&agent->teks, policy, now_ms);
    return E_OK;
}

static void on_done(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    char ks[ADDR_TEXT_MAX], self[ADDR_TEXT_MAX];
    const char *why = NULL;
    struct registration_effects failed = {.failed = true, .reason = E_UNSUPPORTED};
    if (!agent_policy_usable(agent, &agent->reg.pull.policy, &why)) {
        snprintf(agent->reg.why, sizeof(agent->reg.why), "its policy cannot be used: %s", why);
        agent_note_refused(agent, &agent->reg.pull.policy, out);
        on_failed(agent, &failed, now_ms, out);
        return;
    }
    err_t err = take_registration(agent, now_ms, out);
    if (err != E_OK) {
        snprintf(agent->reg.why, sizeof(agent->reg.why), "its rekey keys cannot be used: %s", err_text(err));
        if (err == E_NO_MEMORY) /* not the policy's fault: soon again */
            failed.reason = err;
        on_failed(agent, &failed, now_ms, out);
        return;
    }
    agent->registered = true;
    agent->registered_with = agent->reg.server;
    agent->registered_ms = now_ms;
    agent->failed_rounds = 0;
    agent->next_round_ms = TIME_NEVER;
    agent->stats.registrations++;
    agent->stats.rekeys_since = 0;
    agent->announce = true;
    registration_close(&agent->reg);
    agent_plan_reregistration(agent, now_ms);
    event(GM_REGS_COMPL, addr_format(&agent->registered_with.addr, ks), agent->config->group_name,
          addr_format(&agent->config->local.addr, self));
    out->apply = true;
}

void agent_registration_step(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    struct registration_effects *effects = &agent->reg_effects;
    if (effects->phase1_up) {
        char ks[ADDR_TEXT_MAX], suite[IKE_SUITE_TEXT_MAX];
        event(IKMP_SA_UP, addr_format(&agent->reg.server.addr, ks),
              ike_suite_format(&agent->reg.sa.suite, suite));
    }
    if (effects->send)
        agent_send(out, &agent->reg.server, effects->datagram);
    if (effects->compute) {
        out->compute = true;
        out->job = effects->job;
        out->job_id = agent->job_id;
        memset(&effects->job, 0, sizeof(effects->job));
    }
    if (effects->done) {
        on_done(agent, now_ms, out);
    } else if (effects->failed) {
        struct registration_effects failed = {
            .failed = true, .dead = effects->dead, .reason = effects->reason};
        on_failed(agent, &failed, now_ms, out);
    }
}

/* agent.c - the events of a member, one by one. */
#include "gm-agent/agent.h"

#include <string.h>

#include "base/event.h"
#include "gm-agent/agent_parts.h"

void agent_init(struct agent *agent, const struct gm_config *config, const struct rng *rng,
                err_t (*check)(const struct group_policy *policy, const char **why))
{
    memset(agent, 0, sizeof(*agent));
    agent->config = config;
    agent->rng = rng;
    agent->check = check;
    agent->next_round_ms = TIME_NEVER;
    agent->reregister_ms = TIME_NEVER;
    agent->apply_retry_ms = TIME_NEVER;
}

void agent_close(struct agent *agent)
{
    registration_close(&agent->reg);
    isakmp_sa_close(&agent->idle_sa);
    rekey_listen_close(&agent->listen);
    tek_table_clear(&agent->teks);
    secret_wipe(agent, sizeof(*agent));
}

uint64_t agent_random(const struct agent *agent, uint64_t bound)
{
    uint64_t value = 0;
    if (rng_fill(agent->rng, (uint8_t *)&value, sizeof(value)) != E_OK)
        return bound / 2;
    return value % bound;
}

void agent_send(struct agent_effects *out, const struct endpoint *to, struct bytes datagram)
{
    if (out->send_count == AGENT_SEND_MAX || datagram.len == 0 || datagram.len > ISAKMP_MESSAGE_MAX)
        return;
    struct agent_send *send = &out->sends[out->send_count++];
    send->to = *to;
    send->len = datagram.len;
    memcpy(send->data, datagram.data, datagram.len);
}

/* Informational messages under the SA that the latest registration left. */
static void on_idle_sa(struct agent *agent, const struct isakmp_header *header, struct bytes body,
                       struct agent_effects *out)
{
    struct informational info = {0};
    if (header->exchange != EXCHANGE_INFORMATIONAL ||
        informational_open(&agent->idle_sa, header, body, agent->plain, &info) != E_OK) {
        agent->stats.strays++;
        return;
    }
    if (info.kind == INFO_DELETE_SA) {
        isakmp_sa_close(&agent->idle_sa);
    } else if (info.kind == INFO_DPD_REQUEST) {
        uint8_t reply[ISAKMP_HEADER_LEN + 256];
        struct writer w = writer_over(reply, sizeof(reply));
        uint32_t message_id = (uint32_t)agent_random(agent, UINT32_MAX) + 1;
        if (informational_dpd(&agent->idle_sa, message_id, true, info.dpd_seq, &w) == E_OK)
            agent_send(out, &agent->idle_peer, writer_bytes(&w));
    }
}

static bool idle_sa_owns(const struct agent *agent, const struct isakmp_header *header)
{
    const struct isakmp_sa *sa = &agent->idle_sa;
    return sa->established && memcmp(header->cookie_i, sa->cookie_i, COOKIE_LEN) == 0 &&
           memcmp(header->cookie_r, sa->cookie_r, COOKIE_LEN) == 0;
}

static void on_datagram(struct agent *agent, const struct agent_event *event, uint64_t now_ms,
                        struct agent_effects *out)
{
    struct isakmp_header header;
    struct bytes body;
    bool marker;
    struct bytes datagram = non_esp_marker_strip(event->datagram, &marker);
    if (datagram.len > ISAKMP_MESSAGE_MAX || isakmp_header_decode(&header, &body, datagram) != E_OK) {
        agent->stats.strays++;
    } else if (header.exchange == EXCHANGE_PUSH) {
        agent_on_push(agent, &event->from, datagram, now_ms, out);
    } else if (registration_owns(&agent->reg, &header)) {
        registration_receive(&agent->reg, datagram, agent->plain, now_ms, &agent->reg_effects);
        agent_registration_step(agent, now_ms, out);
    } else if (idle_sa_owns(agent, &header)) {
        on_idle_sa(agent, &header, body, out);
    } else {
        agent->stats.strays++;
    }
}

static void on_dh_done(struct agent *agent, const struct agent_event *event, uint64_t now_ms,
                       struct agent_effects *out)
{
    if (event->job_id != agent->job_id) { /* of a registration that is over */
        dh_job_close(event->job);
        return;
    }
    registration_dh_done(&agent->reg, event->job, now_ms, &agent->reg_effects);
    agent_registration_step(agent, now_ms, out);
}

static void on_applied(struct agent *agent, const struct agent_event *event, uint64_t now_ms,
                       struct agent_effects *out)
{
    char ks[ADDR_TEXT_MAX], self[ADDR_TEXT_MAX];
    if (event->err != E_OK) {
        if (!agent->apply_failed)
            event(DATAPATH_ERROR, "policy", event->why != NULL ? event->why : err_text(event->err));
        agent->apply_failed = true;
        agent->apply_retry_ms = now_ms + AGENT_APPLY_RETRY_MS;
        return;
    }
    agent->apply_failed = false;
    agent->apply_retry_ms = TIME_NEVER;
    if (agent->announce) {
        agent->announce = false;
        event(GM_INSTALL_POLICIES_SUCCESS, addr_format(&agent->registered_with.addr, ks),
              agent->config->group_name, addr_format(&agent->config->local.addr, self));
    }
    if (agent->ack_len != 0)
        agent->ack_applied = true;
    agent_ack_flush(agent, now_ms, out);
}

static void on_clear(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    event(GM_CLEAR_REGISTER, agent->config->group_name);
    registration_close(&agent->reg);
    rekey_listen_drop(&agent->listen);
    tek_table_clear(&agent->teks);
    agent->sid_count = 0;
    agent->clock = (struct group_clock){0};
    agent->time_window_ms = 0;
    agent->ack_len = 0;
    agent->registered = false;
    agent->reregister_ms = TIME_NEVER;
    agent->failed_rounds = 0;
    out->apply = true;
    agent_round_at(agent, now_ms, now_ms);
}

/* Keys that have ended, keys that take over, the KEK that has ended. */
static void advance_keys(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    if (tek_table_advance(&agent->teks, now_ms))
        out->apply = true;
    if (agent->listen.active && now_ms >= agent->listen.expires_ms)
        rekey_listen_drop(&agent->listen);
    if (agent->idle_sa.established && now_ms >= agent->idle_until_ms)
        isakmp_sa_close(&agent->idle_sa);
}

static void on_timer(struct agent *agent, uint64_t now_ms, struct agent_effects *out)
{
    if (now_ms >= agent->apply_retry_ms) {
        agent->apply_retry_ms = TIME_NEVER;
        out->apply = true;
    }
    agent_ack_flush(agent, now_ms, out);
    if (registration_active(&agent->reg)) {
        registration_timer(&agent->reg, now_ms, &agent->reg_effects);
        agent_registration_step(agent, now_ms, out);
        return;
    }
    if (now_ms >= agent->reregister_ms) {
        agent->reregister_ms = TIME_NEVER;
        event(GM_RE_REGISTER, agent->config->group_name);
        agent_round_at(agent, now_ms, now_ms);
    }
    if (now_ms >= agent->next_round_ms)
        agent_round_start(agent, now_ms, out);
}

static void on_stop(struct agent *agent, struct agent_effects *out)
{
    agent->stopped = true;
    agent_delete_idle_sa(agent, out);
    registration_close(&agent->reg);
    agent->next_round_ms = agent->reregister_ms = TIME_NEVER;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t wake_at(const struct agent *agent, uint64_t now_ms)
{
    if (agent->stopped)
        return TIME_NEVER;
    uint64_t at = registration_wake_ms(&agent->reg);
    at = earlier(at, tek_table_next_ms(&agent->teks, now_ms));
    at = earlier(at, agent->apply_retry_ms);
    if (!registration_active(&agent->reg))
        at = earlier(at, earlier(agent->next_round_ms, agent->reregister_ms));
    if (agent->listen.active)
        at = earlier(at, agent->listen.expires_ms);
    if (agent->ack_len != 0 && agent->ack_applied)
        at = earlier(at, agent->ack_at_ms);
    return at;
}

void agent_step(struct agent *agent, const struct agent_event *event, uint64_t now_ms,
                struct agent_effects *out)
{
    out->send_count = 0;
    out->compute = out->apply = false;
    if (agent->stopped && event->kind != AGENT_EVENT_DH_DONE)
        return;
    if (event->kind != AGENT_EVENT_APPLIED)
        advance_keys(agent, now_ms, out);
    switch (event->kind) {
    case AGENT_EVENT_START:
        out->apply = true; /* closed, until there is a policy */
        agent_round_start(agent, now_ms, out);
        break;
    case AGENT_EVENT_TIMER:
        on_timer(agent, now_ms, out);
        break;
    case AGENT_EVENT_DATAGRAM:
        on_datagram(agent, event, now_ms, out);
        break;
    case AGENT_EVENT_DH_DONE:
        on_dh_done(agent, event, now_ms, out);
        break;
    case AGENT_EVENT_APPLIED:
        on_applied(agent, event, now_ms, out);
        break;
    case AGENT_EVENT_DEVICES:
        out->apply = true;
        break;
    case AGENT_EVENT_CLEAR:
        on_clear(agent, now_ms, out);
        break;
    case AGENT_EVENT_STOP:
        on_stop(agent, out);
        break;
    }
    out->wake_at_ms = wake_at(agent, now_ms);
}

/* Without a policy, or without keys when it is to go back to that state: closed, or open by choice. */
static void fill_policy(const struct agent *agent, struct datapath_state *out)
{
    const struct gm_datapath_config *config = &agent->config->datapath;
    bool without = agent->selector_count == 0 || (config->revert && agent->teks.count == 0);
    out->closed = without && !config->fail_open;
    if (!without) {
        out->selectors = agent->selectors;
        out->selector_count = agent->selector_count;
    }
    out->ipv6_closed =
        agent->ipv6_refused && !config->fail_open && config->direction != DATAPATH_RECEIVE_ONLY;
    out->denies = config->deny;
    out->deny_count = config->deny_count;
    out->direction = config->direction;
    out->group = agent->config->group_name;
    out->clock = agent->clock;
    out->time_window_ms = agent->time_window_ms;
}

void agent_datapath_state(const struct agent *agent, struct datapath_state *out)
{
    memset(out, 0, sizeof(*out));
    fill_policy(agent, out);
    for (size_t i = 0; i < agent->teks.count; i++)
        out->in[out->in_count++] = &agent->teks.entries[i].tek;
    const struct tek_entry *entry = tek_table_out(&agent->teks);
    out->out = entry != NULL ? &entry->tek : NULL;
    out->sid_bits = agent->sid_bits;
    out->sids = agent->sids;
    out->sid_count = agent->sid_count;
}

uint64_t agent_reregisters_in_ms(const struct agent *agent, uint64_t now_ms)
{
    uint64_t at = earlier(agent->reregister_ms, agent->next_round_ms);
    if (at == TIME_NEVER || at <= now_ms)
        return 0;
    return at - now_ms;
}

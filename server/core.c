#include "server/core.h"

#include <stdlib.h>

#include "server/core_parts.h"

err_t core_open(struct core **out, const struct core_options *options)
{
    *out = NULL;
    uint64_t seeds[4];
    err_t err = rng_fill(options->rng, (uint8_t *)seeds, sizeof(seeds));
    if (err != E_OK)
        return err;
    struct core *core = calloc(1, sizeof(*core));
    if (core == NULL)
        return E_NO_MEMORY;
    core->clock = options->clock;
    core->rng = options->rng;
    core->ports = options->ports;
    core->now_ms = core->key_missing_ms = clock_mono_ms(core->clock);
    ike_table_init(&core->table, &seeds[0]);
    admission_init(&core->admission, options->config->rate_per_s, options->config->rate_burst, &seeds[2]);
    core_configure(core, options->config);
    *out = core;
    return E_OK;
}

void core_free(struct core *core)
{
    if (core == NULL)
        return;
    rekey_engine_close(core);
    signing_close(core);
    minority_close(core);
    ike_table_close(&core->table);
    secret_wipe(core->plain, sizeof(core->plain));
    free(core);
}

void core_configure(struct core *core, const struct ksd_config *config)
{
    core->config = config;
    core->policy = config->ike;
    core->admission.rate_per_s = config->rate_per_s;
    core->admission.burst = config->rate_burst;
    state_sync_want(core);
    core_soon(core);
}

static void core_enter(struct core *core)
{
    core->now_ms = clock_mono_ms(core->clock);
    minority_look(core);
}

bool core_may_log(struct core *core, enum event_id id)
{
    bool may = admission_may_log(&core->admission, id, core->now_ms);
    if (!may)
        core_count(core, METRIC_EVENTS_HELD_BACK);
    return may;
}

void core_send(struct core *core, const struct ike_path *path, struct bytes datagram)
{
    core_count(core, METRIC_DATAGRAMS_OUT);
    core->ports.send(core->ports.context, path, datagram);
}

err_t core_message_id(const struct core *core, uint32_t *out)
{
    uint8_t raw[4];
    for (int i = 0; i < 8; i++) {
        err_t err = rng_fill(core->rng, raw, sizeof(raw));
        if (err != E_OK)
            return err;
        struct reader r = reader_over(BYTES_OF(raw));
        *out = read_u32(&r);
        if (*out != 0)
            return E_OK;
    }
    return E_CRYPTO; /* eight zeros in a row: no randomness */
}

const char *core_peer_text(const struct ike_path *path, char out[ADDR_TEXT_MAX])
{
    return addr_format(&path->peer.addr, out);
}

bool core_admit(struct core *core, const struct ike_path *path)
{
    char text[ADDR_TEXT_MAX];
    if (admission_allow(&core->admission, &path->peer.addr, core->now_ms))
        return true;
    core_count(core, METRIC_RATE_LIMITED);
    stranger_event(core, IKMP_RATE_LIMIT, core_peer_text(path, text));
    return false;
}

/* What nobody serves here. Aggressive mode would give the hash of a pre-shared key to anyone who asks
 * (PROTOCOL 7 row 5). */
static void refuse_exchange(struct core *core, const struct ike_path *path,
                            const struct isakmp_header *header)
{
    char text[ADDR_TEXT_MAX];
    bool aggressive = header->exchange == EXCHANGE_AGGRESSIVE;
    core_count(core, METRIC_EXCHANGE_REFUSED);
    if (!core_admit(core, path))
        return;
    stranger_event(core, IKMP_MODE_FAILURE, aggressive ? "Aggressive" : exchange_name(header->exchange),
                   core_peer_text(path, text), err_text(aggressive ? E_AGGRESSIVE : E_BAD_EXCHANGE));
    notices_refuse(core, path, header, notify_for_error(aggressive ? E_AGGRESSIVE : E_BAD_EXCHANGE));
}

static void malformed(struct core *core, const struct ike_path *path, err_t err)
{
    char text[ADDR_TEXT_MAX];
    core_count(core, METRIC_MALFORMED);
    stranger_event(core, IKMP_BAD_MESSAGE, core_peer_text(path, text), err_text(err));
}

void core_datagram(struct core *core, const struct ike_path *from, struct bytes datagram)
{
    struct ike_path path = *from;
    struct isakmp_header header;
    struct bytes body;
    core_enter(core);
    core_count(core, METRIC_DATAGRAMS_IN);
    datagram = non_esp_marker_strip(datagram, &path.marker);
    err_t err = isakmp_header_decode(&header, &body, datagram);
    if (err != E_OK) {
        malformed(core, &path, err);
        return;
    }
    datagram.len = header.length; /* what a sloppy peer sent behind it is not part of the message */
    switch (header.exchange) {
    case EXCHANGE_MAIN:
        phase1_datagram(core, &path, &header, datagram);
        break;
    case EXCHANGE_PULL:
        registration_datagram(core, &path, &header, datagram);
        break;
    case EXCHANGE_INFORMATIONAL:
        notices_datagram(core, &path, &header, body);
        break;
    case EXCHANGE_PUSH_ACK:
        push_engine_ack(core, &path, datagram);
        break;
    default:
        refuse_exchange(core, &path, &header);
    }
    secret_wipe(core->plain, body.len);
}

void core_job_done(struct core *core, struct job *job)
{
    core_enter(core);
    engine_watch_job_back(core);
    switch (job->kind) {
    case JOB_DH:
        phase1_job_done(core, job);
        break;
    case JOB_SIGN_KEY:
        signing_job_done(core, job);
        break;
    case JOB_SEAL:
        rekey_engine_job_done(core, job);
        break;
    }
    job_free(job);
    core_soon(core);
}

void core_applied(struct core *core, const struct command *command, const struct apply_result *result)
{
    core_enter(core);
    core_soon(core);
    if (result->err != E_OK)
        return;
    switch (command->type) {
    case CMD_GROUP_SET:
        if (result->changed || result->created)
            event(GROUP_CHANGED, result->group->record.config.name, result->group->record.policy_version);
        break;
    case CMD_GROUP_DELETE:
        event(GROUP_REMOVED, command->u.group_delete.name);
        break;
    case CMD_SIGNING_KEY:
        signing_applied(core, command, result);
        break;
    default:
        break;
    }
    rekey_engine_applied(core, command, result);
}

void core_member_removed(struct core *core, const struct ks_group *group, const struct ks_member *member)
{
    core_enter(core);
    char text[ID_TEXT_MAX];
    if (member->record.missed_in_row >= REKEY_LOST_AFTER)
        event(KS_GM_REVOKED, identity_format(&member->record.identity, text), group->record.config.name,
              (unsigned)REKEY_LOST_AFTER);
    push_engine_member_gone(core, group->record.id, member);
}

void core_ready(struct core *core, bool ready)
{
    core_enter(core);
    if (ready && !core->ready)
        state_sync_want(core);
    core->ready = ready;
    core_soon(core);
}

bool core_serves(const struct core *core)
{
    if (core->minority.serving && core_state(core)->initialised)
        return true;
    if (!core->ready || !core_state(core)->initialised)
        return false;
    return core->sync.once || !core->ports.is_primary(core->ports.context);
}

const char *core_not_serving(const struct core *core)
{
    const struct ks_state *state = core_state(core);
    uint64_t until_ms;
    if (core->watch.fault == engine_fault_worker)
        return core->watch.fault; /* nobody gets through phase 1 */
    if (core_minority_until(core, &until_ms))
        return NULL;
    if (core->minority.serving)
        return "no quorum, and the time to serve committed keys without one is over";
    if (!core->ready || !state->initialised)
        return "the cluster is not ready";
    if (!core_serves(core))
        return "the configuration is not committed yet";
    if (state->signing.version == 0)
        return "there is no signing key yet";
    for (size_t i = 0; i < state->group_count; i++)
        if (!state->groups[i]->record.has_kek)
            return "a group has no keys yet";
    return NULL;
}

void core_tick(struct core *core)
{
    core_enter(core);
    uint64_t next_ms = core->now_ms + CORE_TICK_MAX_MS;
    core->wake_ms = UINT64_MAX; /* what is called below may want to run soon again */
    phase1_tick(core);
    if (core->ready && core_state(core)->initialised) {
        state_sync_tick(core);
        signing_tick(core);
        rekey_engine_tick(core, &next_ms);
        minority_tick(core);
    }
    push_engine_tick(core, &next_ms);
    engine_watch_tick(core);
    if (next_ms < core->wake_ms)
        core->wake_ms = next_ms;
}

uint64_t core_wake_ms(const struct core *core)
{
    return core->wake_ms;
}

void core_lost(struct core *core, uint64_t count)
{
    metrics_add(&core->metrics, METRIC_DATAGRAMS_LOST, count);
}

const struct metrics *core_metrics(const struct core *core)
{
    return &core->metrics;
}

const char *core_engine_fault(const struct core *core)
{
    return core->watch.fault;
}

size_t core_sa_count(const struct core *core)
{
    return core->table.count - core->table.half_count;
}

size_t core_half_open(const struct core *core)
{
    return core->table.half_count;
}

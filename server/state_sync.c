/* state_sync.c - the groups and keys of the configuration file become committed state: compared when this
 * server is the ready primary, and after each change of the file; what differs is proposed. */
#include <string.h>

#include "server/core_parts.h"

err_t state_psk(const struct core *core, const struct addr *peer, struct secret *out)
{
    const struct psk_record *record = ks_state_psk(core_state(core), peer);
    if (record == NULL)
        return E_NOT_FOUND;
    return ks_psk_open(core_state(core), core->ports.wrap_key(core->ports.context), record, out);
}

void state_sync_want(struct core *core)
{
    core->sync.wanted = true;
    core->sync.rounds = 0;
    core->sync.refused = false;
    core->sync.retry_ms = 0;
}

static void on_done(void *context, const struct apply_result *result)
{
    struct core *core = context;
    core->sync.in_flight--;
    core_soon(core);
    if (result->err != E_OK && result->err != E_CANCELED && result->err != E_NO_QUORUM &&
        result->err != E_NOT_PRIMARY)
        core->sync.refused = true;
}

/* E_AGAIN: enough for this time. */
static err_t propose(struct core *core, struct command *command)
{
    if (core->sync.in_flight >= SYNC_FLIGHT_MAX)
        return E_AGAIN;
    command->time_ms = core_cluster_now(core);
    core->sync.in_flight++;
    err_t err = core->ports.propose(core->ports.context, command, on_done, core);
    if (err != E_OK)
        core->sync.in_flight--;
    return err;
}

static bool psk_is(const struct core *core, const struct ks_psk *have, const struct config_psk *want)
{
    struct secret secret = {0};
    err_t err =
        ks_psk_open(core_state(core), core->ports.wrap_key(core->ports.context), &have->record, &secret);
    bool same = err == E_OK && secret_equal(secret_view(&secret), secret_view(&want->secret));
    secret_close(&secret);
    return same;
}

static err_t set_psk(struct core *core, const struct config_psk *want)
{
    struct row_key key = psk_row_key(&want->peer);
    const struct ks_psk *have = map_find(&core_state(core)->psks, (struct bytes){key.data, key.len});
    if (have != NULL && psk_is(core, have, want))
        return E_OK;
    struct command command = {.type = CMD_PSK_SET};
    err_t err = ks_psk_seal(core_state(core), core->ports.wrap_key(core->ports.context), core->rng,
                            &want->peer, secret_view(&want->secret), &command.u.psk_set.psk);
    return err == E_OK ? propose(core, &command) : err;
}

static bool psk_is_wanted(const struct map *wanted, const struct ks_psk *have)
{
    return map_find(wanted, (struct bytes){(const uint8_t *)&have->record.peer, sizeof(have->record.peer)}) !=
           NULL;
}

static err_t delete_psks(struct core *core)
{
    const struct ksd_config *config = core->config;
    const struct ks_psk *have;
    struct map wanted;
    size_t at = 0;
    err_t err = E_OK;
    map_init(&wanted, PSK_MAX, core->admission.seed);
    for (size_t i = 0; i < config->psk_count && err == E_OK; i++)
        err = map_insert(&wanted,
                         (struct bytes){(const uint8_t *)&config->psks[i].peer, sizeof(config->psks[i].peer)},
                         &config->psks[i]);
    while (err == E_OK && (have = map_next(&core_state(core)->psks, &at)) != NULL) {
        if (have->record.enrolment.is_set || psk_is_wanted(&wanted, have))
            continue;
        struct command command = {.type = CMD_PSK_DELETE, .u.psk_delete.peer = have->record.peer};
        err = propose(core, &command);
    }
    map_close(&wanted);
    return err;
}

static const struct group_config *group_wanted(const struct core *core, const char *name)
{
    for (size_t i = 0; i < core->config->group_count; i++)
        if (strcmp(core->config->groups[i].name, name) == 0)
            return &core->config->groups[i];
    return NULL;
}

/* Deletes go first: an identity may have moved to another name. */
static err_t sync_groups(struct core *core)
{
    const struct ks_state *state = core_state(core);
    err_t err = E_OK;
    for (size_t i = 0; i < state->group_count && err == E_OK; i++) {
        struct command command = {.type = CMD_GROUP_DELETE};
        memcpy(command.u.group_delete.name, state->groups[i]->record.config.name, GROUP_NAME_MAX);
        if (group_wanted(core, command.u.group_delete.name) == NULL)
            err = propose(core, &command);
    }
    for (size_t i = 0; i < core->config->group_count && err == E_OK; i++) {
        const struct group_config *want = &core->config->groups[i];
        const struct ks_group *have = ks_state_group_by_name(state, want->name);
        if (have != NULL && group_config_equal(&have->record.config, want))
            continue;
        struct command command = {.type = CMD_GROUP_SET, .u.group_set.config = *want};
        err = propose(core, &command);
    }
    return err;
}

static err_t compare(struct core *core)
{
    err_t err = E_OK;
    for (size_t i = 0; i < core->config->psk_count && err == E_OK; i++)
        err = set_psk(core, &core->config->psks[i]);
    if (err == E_OK)
        err = delete_psks(core);
    if (err == E_OK)
        err = sync_groups(core);
    return err;
}

/* One comparison, then its proposals are waited for, then another, until nothing differs. */
void state_sync_tick(struct core *core)
{
    if (!core->sync.wanted || core->sync.in_flight != 0 || core->now_ms < core->sync.retry_ms ||
        !core->ports.is_primary(core->ports.context))
        return;
    /* In a cluster the file of one server is enough: the others leave groups and pre-shared keys out. */
    if (core->config->cluster.addr.family != 0 && core->config->group_count == 0 &&
        core->config->psk_count == 0) {
        core->sync.wanted = false;
        core->sync.once = true;
        return;
    }
    if (core->sync.refused && ++core->sync.rounds >= SYNC_ROUND_MAX) {
        event(CONFIG_ERROR, core->config->path, 0u,
              "groups or pre-shared keys were refused by the cluster: expected a configuration that it can "
              "take");
        core->sync.wanted = false;
        core->sync.once = true;
        return;
    }
    core->sync.refused = false;
    err_t err = compare(core);
    if (err != E_OK && err != E_AGAIN)
        core->sync.retry_ms = core->now_ms + SYNC_RETRY_MS;
    else if (err == E_OK && core->sync.in_flight == 0 && !core->sync.refused) {
        core->sync.wanted = false;
        core->sync.once = true;
    }
}

/* rekey_engine.c - which rekeys are due, and their way to a commit: draft on the loop, seal in the pool,
 * propose. Only the primary of the committed epoch does any of it (I4); what it makes leaves the server only
 * once committed (I1). */
#include <stdlib.h>
#include <string.h>

#include "cluster/ks_runway.h"
#include "server/core_parts.h"

struct group_work *group_work_find(struct core *core, uint32_t group_id)
{
    for (size_t i = 0; i < GROUP_MAX; i++)
        if (core->groups[i].group_id == group_id)
            return &core->groups[i];
    return NULL;
}

static void answer_asked(struct group_work *work, err_t err, uint32_t seq)
{
    core_rekey_fn asked = work->asked;
    void *context = work->asked_context;
    work->asked = NULL;
    work->asked_context = NULL;
    if (asked != NULL)
        asked(context, err, seq);
}

static void work_free(struct core *core, struct group_work *work)
{
    push_engine_stop(core, work);
    answer_asked(work, E_UNKNOWN_GROUP, 0);
    *work = (struct group_work){0};
}

struct group_work *group_work_of(struct core *core, uint32_t group_id)
{
    struct group_work *work = group_work_find(core, group_id);
    if (work == NULL)
        work = group_work_find(core, 0);
    if (work != NULL)
        work->group_id = group_id;
    return work;
}

/* What the plan does not know: a KEK whose members verify with a signing key that is not the current one. */
static size_t plan(struct core *core, struct rekey_due *due, uint64_t *next_ms)
{
    const struct ks_state *state = core_state(core);
    size_t count = rekey_plan(state, core_cluster_now(core), due, GROUP_MAX, next_ms);
    for (size_t i = 0; i < state->group_count; i++) {
        const struct ks_group *group = state->groups[i];
        bool planned = false;
        for (size_t j = 0; j < count; j++)
            planned = planned || due[j].group_id == group->record.id;
        if (!planned && !group->pushing && group->record.has_kek && count < GROUP_MAX &&
            group->record.kek.signing_version != state->signing.version)
            due[count++] = (struct rekey_due){.group_id = group->record.id,
                                              .kind = REKEY_KEK,
                                              .sid_reset = rekey_changes_sids(&group->record)};
    }
    return count;
}

static void drafted(struct group_work *work, err_t err, uint64_t now_ms)
{
    work->drafting = false;
    work->failed = err;
    if (err == E_OK)
        return;
    work->retry_ms = now_ms + DRAFT_RETRY_MS;
    answer_asked(work, err, 0);
}

/* What a proposal's callback must find again. */
struct proposed {
    struct core *core;
    uint32_t group_id;
};

static void on_rekey_done(void *context, const struct apply_result *result)
{
    struct proposed *proposed = context;
    struct core *core = proposed->core;
    struct group_work *work = group_work_find(core, proposed->group_id);
    free(proposed);
    core->now_ms = clock_mono_ms(core->clock);
    core_soon(core);
    if (work == NULL)
        return;
    drafted(work, result->err, core->now_ms);
    if (result->err != E_OK)
        return;
    core_count(core, METRIC_REKEYS);
    answer_asked(work, E_OK, result->group->record.seq);
}

static err_t propose(struct core *core, const struct rekey_draft *draft)
{
    struct command command;
    struct proposed *proposed = malloc(sizeof(*proposed));
    if (proposed == NULL)
        return E_NO_MEMORY;
    *proposed = (struct proposed){core, draft->command.group_id};
    rekey_draft_command(draft, core_cluster_now(core), &command);
    err_t err = core->ports.propose(core->ports.context, &command, on_rekey_done, proposed);
    if (err != E_OK)
        free(proposed);
    return err;
}

static err_t seal(struct core *core, const struct ks_group *group, struct rekey_draft *draft)
{
    struct signer *signer = signing_find(core, group->record.kek.signing_version);
    if (signer == NULL)
        signer = signing_find(core, core_state(core)->signing.version);
    if (signer == NULL)
        return E_STATE;
    struct job *job = job_new(JOB_SEAL);
    if (job == NULL)
        return E_NO_MEMORY;
    job->draft = draft;
    job->signer = signer;
    /* The members of this KEK verify with the key of its time, which may not be the current one. */
    draft->under.sig_alg = sign_key_alg(signer->key);
    draft->under.sig_key_bits = (uint16_t)sign_key_bits(signer->key);
    signer->refs++;
    err_t err = core_compute(core, job);
    if (err != E_OK) {
        core_count(core, METRIC_JOBS_REFUSED);
        job->draft = NULL; /* stays the caller's */
        job_free(job);
    }
    return err;
}

static void draft_begin(struct core *core, struct group_work *work, const struct rekey_due *due)
{
    struct rekey_draft *draft = NULL;
    const struct ks_group *group = ks_state_group(core_state(core), due->group_id);
    struct rekey_due now = *due;
    now.split = group != NULL && minority_contact(core, group) == CONTACT_SPLIT;
    err_t err = rekey_draft_make(core_state(core), &now, core->ports.wrap_key(core->ports.context), core->rng,
                                 core_cluster_now(core), &draft);
    work->drafting = true;
    if (err == E_OK && draft->needs_push) {
        err = seal(core, group, draft);
    } else if (err == E_OK) {
        err = propose(core, draft);
        rekey_draft_free(draft);
        draft = NULL;
    }
    if (err != E_OK) {
        rekey_draft_free(draft);
        drafted(work, err, core->now_ms);
    }
}

/* Committed, refused or lost: the next tick looks again. */
static void on_runway_done(void *context, const struct apply_result *result)
{
    struct proposed *proposed = context;
    struct core *core = proposed->core;
    struct group_work *work = group_work_find(core, proposed->group_id);
    free(proposed);
    core_soon(core);
    if (work == NULL)
        return;
    work->runway_making = false;
    work->failed = result->err;
    if (result->err != E_OK)
        work->retry_ms = clock_mono_ms(core->clock) + DRAFT_RETRY_MS;
}

/* The keys ahead are committed by a command of their own, behind the rekey that used one: they are in
 * nobody's way there. */
static void runway_begin(struct core *core, struct group_work *work)
{
    struct command command;
    struct proposed *proposed = malloc(sizeof(*proposed));
    err_t err = proposed != NULL ? E_OK : E_NO_MEMORY;
    if (err == E_OK) {
        *proposed = (struct proposed){core, work->group_id};
        err = ks_runway_make(core_state(core), work->group_id, core->ports.wrap_key(core->ports.context),
                             core->rng, core_cluster_now(core), &command);
    }
    work->runway_making = true;
    if (err == E_OK)
        err = core->ports.propose(core->ports.context, &command, on_runway_done, proposed);
    if (err == E_OK)
        return;
    free(proposed);
    work->runway_making = false;
    work->failed = err;
    work->retry_ms = core->now_ms + DRAFT_RETRY_MS;
}

static void start_runways(struct core *core, uint64_t *next_ms)
{
    const struct ks_state *state = core_state(core);
    for (size_t i = 0; i < state->group_count; i++) {
        const struct group_record *record = &state->groups[i]->record;
        struct group_work *work = ks_runway_due(record) ? group_work_of(core, record->id) : NULL;
        if (work == NULL || work->drafting || work->runway_making)
            continue;
        if (core->now_ms >= work->retry_ms)
            runway_begin(core, work);
        else if (work->retry_ms < *next_ms)
            *next_ms = work->retry_ms;
    }
}

void rekey_engine_job_done(struct core *core, struct job *job)
{
    struct group_work *work = group_work_find(core, job->draft->command.group_id);
    if (work == NULL)
        return; /* the group was removed */
    err_t err = job->draft->err;
    if (err == E_OK && !core->ports.is_primary(core->ports.context))
        err = E_NOT_PRIMARY;
    if (err == E_OK)
        err = propose(core, job->draft);
    if (err != E_OK)
        drafted(work, err, core->now_ms);
}

/* Without a signing key no group gets keys: say so once per group, unless the key is just being made. */
static void report_missing_key(struct core *core)
{
    const struct ks_state *state = core_state(core);
    bool missing = state->signing.version == 0;
    if (!missing)
        core->key_missing_ms = core->now_ms;
    bool long_missing = core->now_ms >= core->key_missing_ms + KEY_GRACE_MS;
    for (size_t i = 0; i < state->group_count; i++) {
        struct group_work *work = group_work_of(core, state->groups[i]->record.id);
        if (work == NULL || work->key_missing == long_missing)
            continue;
        work->key_missing = long_missing;
        if (long_missing)
            event(KS_NO_RSA_KEYS, state->groups[i]->record.config.name);
    }
}

/* Work of groups that are no more, also of those that a restored snapshot does not have. */
static void drop_removed(struct core *core)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        struct group_work *work = &core->groups[i];
        if (work->group_id != 0 && ks_state_group(core_state(core), work->group_id) == NULL)
            work_free(core, work);
    }
}

static void start_due(struct core *core, uint64_t *next_ms)
{
    struct rekey_due due[GROUP_MAX];
    uint64_t plan_next_ms;
    uint64_t cluster_ms = core_cluster_now(core);
    size_t count = plan(core, due, &plan_next_ms);
    for (size_t i = 0; i < GROUP_MAX; i++)
        core->groups[i].due = false;
    if (plan_next_ms != UINT64_MAX && plan_next_ms > cluster_ms &&
        core->now_ms + (plan_next_ms - cluster_ms) < *next_ms)
        *next_ms = core->now_ms + (plan_next_ms - cluster_ms);
    for (size_t i = 0; i < count; i++) {
        struct group_work *work = group_work_of(core, due[i].group_id);
        if (work == NULL)
            continue;
        work->due = true;
        if (work->drafting || work->runway_making)
            continue;
        if (core->now_ms >= work->retry_ms)
            draft_begin(core, work, &due[i]);
        else if (work->retry_ms < *next_ms)
            *next_ms = work->retry_ms;
    }
}

/* A push that nobody here works at: found after a restart, or when this server became the primary. */
static void take_over(struct core *core)
{
    const struct ks_state *state = core_state(core);
    for (size_t i = 0; i < state->group_count; i++)
        if (state->groups[i]->pushing)
            push_engine_begin(core, state->groups[i]);
}

void rekey_engine_tick(struct core *core, uint64_t *next_ms)
{
    drop_removed(core);
    report_missing_key(core);
    if (!core->ports.is_primary(core->ports.context)) {
        for (size_t i = 0; i < GROUP_MAX; i++)
            push_engine_stop(core, &core->groups[i]);
        return;
    }
    take_over(core);
    start_due(core, next_ms);
    start_runways(core, next_ms);
}

void rekey_engine_applied(struct core *core, const struct command *command, const struct apply_result *result)
{
    bool primary = core->ports.is_primary(core->ports.context);
    switch (command->type) {
    case CMD_REKEY:
        if (primary && result->group->pushing)
            push_engine_begin(core, result->group);
        break;
    case CMD_PUSH_DONE:
        push_engine_over(core, result);
        break;
    case CMD_MEMBER_REGISTERED:
        push_engine_member(core, result->group, result->member);
        break;
    case CMD_GROUP_DELETE: {
        struct group_work *work = group_work_find(core, result->group_id);
        if (work != NULL && result->group_id != 0)
            work_free(core, work);
        break;
    }
    default:
        break;
    }
}

void rekey_engine_close(struct core *core)
{
    for (size_t i = 0; i < GROUP_MAX; i++)
        work_free(core, &core->groups[i]);
}

err_t core_rekey(struct core *core, const char *name, core_rekey_fn done, void *context)
{
    core->now_ms = clock_mono_ms(core->clock);
    if (!core->ready || !core_state(core)->initialised)
        return E_STATE;
    const struct ks_group *group = ks_state_group_by_name(core_state(core), name);
    if (group == NULL)
        return E_NOT_FOUND;
    if (!core->ports.is_primary(core->ports.context))
        return E_NOT_PRIMARY;
    struct group_work *work = group_work_of(core, group->record.id);
    if (work == NULL || work->drafting || work->runway_making || group->pushing || work->asked != NULL)
        return E_AGAIN;
    if (!group->record.has_kek)
        return E_STATE;
    work->asked = done;
    work->asked_context = context;
    draft_begin(core, work, &(struct rekey_due){.group_id = group->record.id, .kind = REKEY_TEK});
    return E_OK;
}

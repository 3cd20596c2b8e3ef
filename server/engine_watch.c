/* engine_watch.c - is the rekey engine stuck? Then this server says that it is not well, and the Raft leader gives
 * the primary's role to another one (cluster/coop).
 *
 * Two things are watched. The pool: jobs are out and none came back for WORKER_STUCK_MS. Each group while this
 * server is primary: a rekey that is due is to be committed, a committed one to be sent, a sent one to be closed;
 * one that is at the same step for GROUP_STUCK_MS is stuck, whatever the cause. Waiting for acknowledgements is no
 * such step.
 *
 * What moves again is well at once. A server that lost the role cannot show it, so it rests for ENGINE_REST_MS and
 * may then be primary again: with all of them stuck, the role goes round slowly and not at all while they rest. */
#include "server/core_parts.h"

const char engine_fault_worker[] = "the threads that compute do not answer";

err_t core_compute(struct core *core, struct job *job)
{
    struct engine_watch *watch = &core->watch;
    err_t err = core->ports.compute(core->ports.context, job);
    if (err != E_OK)
        return err;
    if (watch->jobs++ == 0)
        watch->answered_ms = core->now_ms;
    return E_OK;
}

void engine_watch_job_back(struct core *core)
{
    core->watch.answered_ms = core->now_ms;
    if (core->watch.jobs > 0)
        core->watch.jobs--;
}

static bool worker_stuck(const struct core *core)
{
    uint64_t limit_ms = core->sign_key_making ? SIGN_KEY_STUCK_MS : WORKER_STUCK_MS;
    return core->watch.jobs > 0 && core->now_ms >= core->watch.answered_ms + limit_ms;
}

static struct rekey_step step_of(const struct ks_group *group, const struct group_work *work)
{
    const struct push_run *run = work->push;
    struct rekey_step step = {.generation = group->record.generation, .seq = group->record.seq};
    if (!group->pushing) {
        if (work->due || work->drafting || work->runway_making)
            step.fault = "a rekey that is due is not made";
        return step;
    }
    if (run == NULL || run->seq != group->rekey.seq) {
        step.fault = "a committed rekey is not sent";
        return step;
    }
    step.round = run->round;
    step.cursor = run->cursor;
    if (run->phase == PUSH_SENDING)
        step.fault = "a committed rekey is not sent";
    else if (run->phase == PUSH_OVER)
        step.fault = "the end of a rekey is not committed";
    return step;
}

static bool same_step(const struct rekey_step *a, const struct rekey_step *b)
{
    return a->fault == b->fault && a->generation == b->generation && a->seq == b->seq &&
           a->round == b->round && a->cursor == b->cursor;
}

static const char *group_stuck(struct core *core, const struct ks_group *group)
{
    struct group_work *work = group_work_find(core, group->record.id);
    if (work == NULL)
        return NULL;
    struct rekey_step step = step_of(group, work);
    if (step.fault == NULL || !same_step(&step, &work->step)) {
        work->step = step;
        work->step_ms = core->now_ms;
    }
    return core->now_ms >= work->step_ms + GROUP_STUCK_MS ? step.fault : NULL;
}

/* Of the first group that is stuck, which is *at then. */
static const char *find_fault(struct core *core, bool works, const struct ks_group **at)
{
    const struct ks_state *state = core_state(core);
    const char *fault = NULL;
    for (size_t i = 0; i < state->group_count && works; i++) {
        const char *stuck = group_stuck(core, state->groups[i]);
        if (stuck == NULL || fault != NULL)
            continue; /* all are looked at, so that the time of each is right */
        fault = stuck;
        *at = state->groups[i];
    }
    return fault;
}

static void tell_stuck(struct core *core, const struct ks_group *group, const char *fault)
{
    const struct group_work *work = group != NULL ? group_work_find(core, group->record.id) : NULL;
    err_t failed = work != NULL ? work->failed : E_OK;
    event(ENGINE_STUCK, group != NULL ? group->record.config.name : "any", fault,
          failed != E_OK ? err_text(failed) : "no error");
}

void engine_watch_tick(struct core *core)
{
    struct engine_watch *watch = &core->watch;
    const struct ks_group *group = NULL;
    bool works = core->ready && core->ports.is_primary(core->ports.context);
    for (size_t i = 0; i < GROUP_MAX && !works; i++)
        core->groups[i].step_ms = core->now_ms; /* whoever becomes primary has its time */
    const char *fault = find_fault(core, works, &group);
    if (worker_stuck(core)) {
        fault = engine_fault_worker;
        group = NULL;
    }
    if (fault != NULL) {
        watch->rest_ms = core->now_ms + ENGINE_REST_MS;
        if (watch->fault == NULL) {
            watch->since_ms = core->now_ms;
            core_count(core, METRIC_ENGINE_STUCK);
        }
        if (watch->fault != fault)
            tell_stuck(core, group, fault);
        watch->fault = fault;
    } else if (watch->fault != NULL &&
               (works || watch->fault == engine_fault_worker || core->now_ms >= watch->rest_ms)) {
        watch->fault = NULL;
        event(ENGINE_RECOVERED, (unsigned long long)(core->now_ms - watch->since_ms) / 1000);
    }
}

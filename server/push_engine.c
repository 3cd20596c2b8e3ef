/* push_engine.c - the pushes under way: from a committed REKEY to a committed PUSH_DONE. */
#include <stdlib.h>
#include <string.h>

#include "server/core_parts.h"

/* The KEK that a push is sealed under: the group's, or the one before when the push brings a new one. */
static const struct kek_record *sealing_kek(const struct ks_group *group)
{
    const struct group_record *r = &group->record;
    if (r->has_previous_kek && memcmp(r->previous_kek.spi, group->rekey.kek_spi, KEK_SPI_LEN) == 0)
        return &r->previous_kek;
    if (r->has_kek && memcmp(r->kek.spi, group->rekey.kek_spi, KEK_SPI_LEN) == 0)
        return &r->kek;
    return NULL;
}

static err_t run_open(struct core *core, const struct ks_group *group, struct push_run **out)
{
    struct kek under = {0};
    const struct kek_record *record = sealing_kek(group);
    err_t err = E_NOT_FOUND;
    if (record != NULL)
        err = ks_kek_open(core_state(core), group, record, core->ports.wrap_key(core->ports.context),
                          core_cluster_now(core), &under);
    err = push_run_open(out, group, err == E_OK ? &under : NULL, core->admission.seed, core->now_ms);
    secret_close(&under.iv_key);
    return err;
}

void push_engine_begin(struct core *core, const struct ks_group *group)
{
    char address[ADDR_TEXT_MAX];
    struct group_work *work = group_work_of(core, group->record.id);
    if (work == NULL || (work->push != NULL && work->push->seq == group->rekey.seq))
        return;
    push_run_free(work->push);
    work->push = NULL;
    work->done_proposed = false;
    if (run_open(core, group, &work->push) != E_OK)
        return; /* out of memory: the next tick finds it again */
    event(KS_SEND_UNICAST_REKEY, group->record.config.name,
          addr_format(&group->record.config.server_addr, address), (unsigned)group->rekey.seq);
}

void push_engine_stop(struct core *core, struct group_work *work)
{
    (void)core;
    push_run_free(work->push);
    work->push = NULL;
    work->done_proposed = false;
}

void push_engine_member(struct core *core, const struct ks_group *group, const struct ks_member *member)
{
    struct group_work *work = group_work_find(core, group->record.id);
    if (work == NULL || work->push == NULL || !group->pushing || work->push->seq != group->rekey.seq)
        return;
    err_t err = push_run_member(work->push, member, core->now_ms);
    core_soon(core);
    (void)err; /* out of memory: this member misses one rekey, and counts as having it; it registers again
                  before its keys end */
}

void push_engine_member_gone(struct core *core, uint32_t group_id, const struct ks_member *member)
{
    struct group_work *work = group_work_find(core, group_id);
    if (work != NULL && work->push != NULL)
        push_run_member_gone(work->push, &member->record.identity);
}

struct done_proposed {
    struct core *core;
    uint32_t group_id;
    uint32_t seq;
};

/* Applied: push_engine_over has seen to it. Else it is proposed again. */
static void on_done(void *context, const struct apply_result *result)
{
    struct done_proposed *proposed = context;
    struct group_work *work = group_work_find(proposed->core, proposed->group_id);
    if (result->err != E_OK && work != NULL && work->push != NULL && work->push->seq == proposed->seq) {
        work->done_proposed = false;
        work->push->next_ms = clock_mono_ms(proposed->core->clock) + DONE_RETRY_MS;
    }
    core_soon(proposed->core);
    free(proposed);
}

/* A list that is too long for one command is cut: who is left out counts as having it, until the next rekey.
 */
static err_t propose_done(struct core *core, const struct push_run *run, struct identity *silent,
                          size_t count)
{
    struct done_proposed *proposed = malloc(sizeof(*proposed));
    if (proposed == NULL)
        return E_NO_MEMORY;
    *proposed = (struct done_proposed){core, run->group_id, run->seq};
    struct command command = {.type = CMD_PUSH_DONE,
                              .time_ms = core_cluster_now(core),
                              .u.push_done = {.group_id = run->group_id,
                                              .seq = run->seq,
                                              .retransmits = run->retransmits,
                                              .silent = silent,
                                              .silent_count = count}};
    err_t err = core->ports.propose(core->ports.context, &command, on_done, proposed);
    while (err == E_LIMIT && command.u.push_done.silent_count > 0) {
        command.u.push_done.silent_count /= 2;
        err = core->ports.propose(core->ports.context, &command, on_done, proposed);
    }
    if (err != E_OK)
        free(proposed);
    return err;
}

static void run_done(struct core *core, struct group_work *work)
{
    struct push_run *run = work->push;
    struct identity *silent = NULL;
    size_t count = 0;
    err_t err = push_run_silent(run, &silent, &count);
    work->done_proposed = true;
    if (err == E_OK)
        err = propose_done(core, run, silent, count);
    free(silent);
    if (err != E_OK) {
        work->done_proposed = false;
        run->next_ms = core->now_ms + DONE_RETRY_MS;
    } else {
        run->next_ms = UINT64_MAX;
    }
}

static void run_step(struct core *core, struct group_work *work)
{
    struct push_run *run = work->push;
    struct push_sink sink = {core->ports.context, core->ports.send_many};
    uint32_t sent = run->sent;
    uint32_t retransmits = run->retransmits;
    push_run_step(run, &sink, core->now_ms);
    metrics_add(&core->metrics, METRIC_REKEY_DATAGRAMS, run->sent - sent);
    metrics_add(&core->metrics, METRIC_REKEY_RETRANSMITS, run->retransmits - retransmits);
}

/* A push that is over and committed stays a while, so that late acknowledgements are known as such. */
static bool is_finished(const struct core *core, const struct group_work *work)
{
    const struct ks_group *group = ks_state_group(core_state(core), work->group_id);
    return group == NULL || !group->pushing || group->rekey.seq != work->push->seq;
}

void push_engine_tick(struct core *core, uint64_t *next_ms)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        struct group_work *work = &core->groups[i];
        if (work->group_id == 0 || work->push == NULL)
            continue;
        if (is_finished(core, work)) {
            if (core->now_ms >= work->push->over_ms + PUSH_KEEP_MS)
                push_engine_stop(core, work);
            continue;
        }
        if (!core->ports.is_primary(core->ports.context))
            continue;
        run_step(core, work);
        bool retry_due = work->push->next_ms == UINT64_MAX || core->now_ms >= work->push->next_ms;
        if (work->push->phase == PUSH_OVER && !work->done_proposed && retry_due)
            run_done(core, work);
        if (work->push != NULL && work->push->next_ms < *next_ms)
            *next_ms = work->push->next_ms;
    }
}

/* PUSH_DONE was applied. */
void push_engine_over(struct core *core, const struct apply_result *result)
{
    const struct rekey_record *rekey = &result->group->rekey;
    struct group_work *work = group_work_find(core, result->group_id);
    event(REKEY_DONE, (unsigned)rekey->seq, result->group->record.config.name,
          (unsigned)(rekey->acked + rekey->silent), (unsigned)rekey->acked, (unsigned)rekey->silent,
          (unsigned)rekey->retransmits);
    if (work == NULL || work->push == NULL || work->push->seq != rekey->seq)
        return;
    work->done_proposed = false;
    work->push->phase = PUSH_OVER;
    work->push->over_ms = core->now_ms;
}

static struct group_work *work_of_spi(struct core *core, const uint8_t spi[KEK_SPI_LEN])
{
    for (size_t i = 0; i < GROUP_MAX; i++)
        if (core->groups[i].push != NULL && memcmp(core->groups[i].push->kek_spi, spi, KEK_SPI_LEN) == 0)
            return &core->groups[i];
    return NULL;
}

/* Counts only: an acknowledgement that is no good changes nothing, and any member can make as many as it
 * likes. */
void push_engine_ack(struct core *core, const struct ike_path *path, struct bytes datagram)
{
    struct push_ack ack;
    if (push_ack_decode(&ack, datagram) != E_OK) {
        core_count(core, METRIC_ACKS_BAD);
        return;
    }
    struct group_work *work = work_of_spi(core, ack.spi);
    if (work == NULL) {
        core_count(core, METRIC_ACKS_LATE); /* of a KEK that has no push now: an old one, or nobody's */
        return;
    }
    if (ack.seq != work->push->seq) {
        core_count(core, ack.seq < work->push->seq ? METRIC_ACKS_LATE : METRIC_ACKS_BAD);
        return;
    }
    err_t err = push_run_ack(work->push, &path->peer, &ack, datagram, core->now_ms);
    if (work->push->phase == PUSH_OVER && !work->done_proposed)
        core_soon(core);
    if (err == E_DUPLICATE)
        core_count(core, METRIC_ACKS_DUPLICATE);
    else if (err != E_OK)
        core_count(core, METRIC_ACKS_BAD);
    else
        core_count(core, is_finished(core, work) ? METRIC_ACKS_LATE : METRIC_ACKS);
}

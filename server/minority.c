/* minority.c - service without a quorum. A server that had the quorum and lost it goes on answering PULLs
 * from committed keys, for a bounded time: it makes no key, gives no number, changes nothing. Whom it served
 * is kept, and proposed once the quorum is back.
 *
 * The time counts from when the state was known to be current: while this process had the quorum, to its loss. A
 * process that was started without one has the state that the one before it left (cluster_contact sees to that),
 * and counts from the newest committed time in it. So no number of restarts makes the time longer.
 *
 * What that costs: who was removed or refused by the majority meanwhile is served here until the split is
 * over or the time is up. */
#include <stdlib.h>

#include "server/core_parts.h"

struct served {
    struct core *core;
    struct served *next;
    struct cmd_member_served command;
};

static enum ks_contact contact_now(const struct core *core)
{
    if (core->ports.contact != NULL)
        return core->ports.contact(core->ports.context);
    return core->ready ? CONTACT_WHOLE : CONTACT_NONE;
}

static uint64_t limit_ms(const struct core *core, const struct ks_group *group)
{
    uint64_t limit_s = core->config->minority_serve_s;
    if (limit_s == MINORITY_SERVE_DEFAULT)
        limit_s = (uint64_t)MINORITY_LIFETIMES * group->record.config.tek_lifetime_s;
    return limit_s * 1000;
}

/* What is left of the group's time. Wraps with lost_ms, so an age beyond the clock's own start is fine. */
static uint64_t left_ms(const struct core *core, const struct ks_group *group, uint64_t now_ms)
{
    uint64_t gone_ms = now_ms - core->minority.lost_ms, limit = limit_ms(core, group);
    return gone_ms < limit ? limit - gone_ms : 0;
}

static void tell_begin(const struct core *core)
{
    const struct ks_state *state = core_state(core);
    for (size_t i = 0; i < state->group_count; i++) {
        const char *name = state->groups[i]->record.config.name;
        uint64_t left = left_ms(core, state->groups[i], core->now_ms);
        if (left > 0)
            event(KS_MINORITY, name, (unsigned)(left / 1000));
        else
            event(KS_MINORITY_OLD, name, (unsigned)((core->now_ms - core->minority.lost_ms) / 1000));
    }
}

static void lose(struct core *core)
{
    struct minority *m = &core->minority;
    m->lost = true;
    m->since_ms = core->now_ms;
    if (m->was_ready)
        return; /* it counts from the last look before: a process that was stopped in between sees it late */
    uint64_t now_ms = core_cluster_now(core), current_ms = core_state(core)->cluster.time_ms;
    m->lost_ms = core->now_ms - (now_ms > current_ms ? now_ms - current_ms : 0);
}

void minority_look(struct core *core)
{
    struct minority *m = &core->minority;
    m->contact = contact_now(core);
    m->was_ready = m->was_ready || core->ready;
    /* The first moments of a process are no split. */
    if (m->contact == CONTACT_SPLIT || (m->contact == CONTACT_MINORITY && (m->was_ready || m->serving)))
        m->split_ms = core->now_ms;
    if (m->contact != CONTACT_MINORITY) {
        if (m->serving)
            event(KS_MINORITY_OVER, (unsigned)m->kept);
        m->serving = m->lost = false;
        if (m->contact != CONTACT_NONE)
            m->lost_ms = core->now_ms;
        return;
    }
    if (!m->lost)
        lose(core);
    /* An election takes a moment, too: that is no split. */
    if (m->serving || core->now_ms < m->since_ms + MINORITY_AFTER_MS || core->config->minority_serve_s == 0)
        return;
    m->serving = true;
    tell_begin(core);
}

enum ks_contact minority_contact(const struct core *core, const struct ks_group *group)
{
    const struct minority *m = &core->minority;
    if (m->contact == CONTACT_MINORITY)
        return m->serving && left_ms(core, group, core->now_ms) > 0 ? CONTACT_MINORITY : CONTACT_NONE;
    /* After a split some members come for their keys by themselves once more, as pushes do not reach all of
     * them. */
    uint64_t after_ms = (uint64_t)group->record.config.tek_lifetime_s * 1000;
    if (m->contact == CONTACT_WHOLE && m->split_ms != 0 && core->now_ms < m->split_ms + after_ms)
        return CONTACT_SPLIT;
    return m->contact;
}

bool core_minority_until(const struct core *core, uint64_t *until_ms)
{
    const struct ks_state *state = core_state(core);
    uint64_t now_ms = clock_mono_ms(core->clock), most_ms = 0;
    for (size_t i = 0; i < state->group_count && core->minority.serving; i++) {
        uint64_t left = left_ms(core, state->groups[i], now_ms);
        if (left > most_ms)
            most_ms = left;
    }
    *until_ms = core_cluster_now(core) + most_ms;
    return most_ms > 0;
}

bool core_in_minority(const struct core *core)
{
    return core->minority.serving;
}

static bool same_member(const struct cmd_member_served *a, const struct cmd_member_served *b)
{
    return a->group_id == b->group_id && identity_equal(&a->identity, &b->identity);
}

void minority_keep(struct core *core, const struct cmd_member_served *command)
{
    struct minority *m = &core->minority;
    for (struct served *s = m->first; s != NULL; s = s->next) {
        if (same_member(&s->command, command)) {
            s->command = *command;
            return;
        }
    }
    /* Who finds no room has its keys all the same, and is known when it comes again. */
    struct served *s = m->kept < MINORITY_KEPT_MAX ? calloc(1, sizeof(*s)) : NULL;
    if (s == NULL) {
        core_count(core, METRIC_MINORITY_FORGOTTEN);
        return;
    }
    *s = (struct served){.core = core, .next = m->first, .command = *command};
    m->first = s;
    m->kept++;
}

static void put_back(struct minority *m, struct served *s)
{
    s->next = m->first;
    m->first = s;
    m->kept++;
}

static void on_done(void *context, const struct apply_result *result)
{
    struct served *s = context;
    struct core *core = s->core;
    core->minority.in_flight--;
    core_soon(core);
    if (result->err == E_NO_QUORUM || result->err == E_CANCELED || result->err == E_NOT_PRIMARY)
        put_back(&core->minority, s);
    else
        free(s); /* committed, or it came to somebody with a quorum since, or is not wanted any more */
}

void minority_tick(struct core *core)
{
    struct minority *m = &core->minority;
    if (!core->ready || m->contact == CONTACT_MINORITY || m->contact == CONTACT_NONE)
        return;
    while (m->first != NULL && m->in_flight < MINORITY_FLIGHT_MAX) {
        struct served *s = m->first;
        struct command command = {
            .type = CMD_MEMBER_SERVED, .time_ms = core_cluster_now(core), .u.member_served = s->command};
        m->first = s->next;
        m->kept--;
        m->in_flight++;
        if (core->ports.propose(core->ports.context, &command, on_done, s) == E_OK)
            continue;
        m->in_flight--;
        put_back(m, s); /* the next tick tries again */
        return;
    }
}

void minority_close(struct core *core)
{
    while (core->minority.first != NULL) {
        struct served *s = core->minority.first;
        core->minority.first = s->next;
        free(s);
    }
}

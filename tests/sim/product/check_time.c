/* check_time.c - a group's pseudotime, as its servers tell it in registrations, rekeys and over REST: it
 * never runs back, over restarts and failovers and whatever wall clocks do, and servers that serve tell
 * nearly the same. What was committed is never told again.
 *
 * Where all who elect have lost their power, a new time begins (an era) by a wall clock. A server that was
 * alone meanwhile goes on with the time of before, and when they meet, one side's time becomes the other's:
 * then, and only from one era to another, what a server tells may be less than before
 * (docs/decisions/0006). */
#include "tests/sim/product/sim.h"

/* A server that comes back takes the leader's time within CLOCK_STEP_MS and makes up the rest slowly; a
 * follower is behind by what a sign of life takes. */
enum {
    BEHIND_MAX_MS = CLOCK_STEP_MS + 500,
    AHEAD_MAX_MS = 500,
    KNOWN_AFTER_MS = 2000,
    NEAR_MS = 500,
    RESTART_BACK_MS =
        300 /* a process that was restarted hears the leader's time, late by a message's journey */
};

static const struct ks_group *group_of(const struct sim_server *s)
{
    return ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP);
}

static uint64_t told_ms(struct sim_server *s, const struct ks_group *group)
{
    return ks_pseudotime_ms(&group->record, plant_wall(s, cluster_now_ms(s->cluster)));
}

static int64_t off_of(struct sim_server *s)
{
    const struct ks_group *group = group_of(s);
    return group != NULL ? (int64_t)(told_ms(s, group) - s->sim->now_ms) : 0;
}

static bool is_connected(const struct sim *sim, int a, int b)
{
    const struct sim_link *link = a < b ? &sim->links[a][b] : &sim->links[b][a];
    return link->up && link->pipe[0].told && link->pipe[1].told;
}

static uint64_t committed_ms(const struct sim_server *s, const struct ks_group *group)
{
    return ks_pseudotime_ms(&group->record, cluster_state(s->cluster)->cluster.time_ms);
}

static bool is_behind(struct sim_server *other, const struct sim_server *s)
{
    const struct ks_group *group = group_of(other);
    return group == NULL || told_ms(other, group) < committed_ms(s, group);
}

/* Has it the time of somebody who knew better than it did? Nobody knows better whose time is less than what is
 * committed. */
static bool has_heard(struct sim_server *s, int64_t off)
{
    struct sim *sim = s->sim;
    bool heard = false, missed = false;
    for (unsigned i = 0; i < sim->server_count; i++) {
        struct sim_server *other = &sim->servers[i];
        if (!other->up || other->trust <= s->trust || is_behind(other, s))
            continue;
        int64_t apart = off_of(other) - off;
        heard |= apart <= NEAR_MS && apart >= -NEAR_MS;
        missed |= is_connected(sim, s->index, (int)i) && sim->now_ms - other->up_ms > KNOWN_AFTER_MS;
    }
    SIM_CHECK(sim, "pseudotime", heard || !missed, "server %d leads by a guess, and others know better",
              s->index);
    return heard;
}

/* All who elected it have come back, and none had a clock that went on: a new time begins, near the old one
 * if its machine at least went on running. */
static void begin_anew(struct sim_server *s, int64_t off)
{
    struct sim *sim = s->sim;
    if (has_heard(s, off))
        return;
    SIM_CHECK(sim, "pseudotime",
              s->trust == CLOCK_GUESS ||
                  (off >= sim->pseudotime_low - BEHIND_MAX_MS && off <= sim->pseudotime_high + AHEAD_MAX_MS),
              "server %d kept its clock, and it is off by %lld ms", s->index,
              (long long)(off - sim->pseudotime_high));
    sim_trace(sim, "server %d: its clock counts, by %lld ms", s->index,
              (long long)(off - sim->pseudotime_high));
    if (off < sim->pseudotime_low)
        sim->pseudotime_low = off;
    if (off > sim->pseudotime_high)
        sim->pseudotime_high = off;
    SIM_CHECK(sim, "pseudotime", sim->era_count < SIM_ERA_MAX, "time begins anew for the %u. time", sim->era_count);
    sim->eras[sim->era_count++] = off;
    for (unsigned i = 0; i < sim->server_count; i++)
        sim->servers[i].pseudotime_ms = 0;
}

static uint64_t distance(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)(a - b) : (uint64_t)(b - a);
}

static unsigned nearest_era(const struct sim *sim, int64_t off)
{
    unsigned best = 0;
    for (unsigned i = 1; i < sim->era_count; i++)
        if (distance(sim->eras[i], off) < distance(sim->eras[best], off))
            best = i;
    return best;
}

static void check_told(struct sim_server *s, uint64_t told, int64_t off)
{
    struct sim *sim = s->sim;
    uint64_t back_ms = s->tells ? 0 : RESTART_BACK_MS;
    unsigned era = nearest_era(sim, off);
    if (era != s->era)
        s->pseudotime_ms = 0;
    s->era = era;
    s->tells = true;
    SIM_CHECK(sim, "pseudotime", told >= committed_ms(s, group_of(s)), "server %d tells %llu ms, and more is committed",
              s->index, (unsigned long long)told);
    SIM_CHECK(sim, "pseudotime", told + back_ms >= s->pseudotime_ms, "server %d runs back by %llu ms",
              s->index, (unsigned long long)(s->pseudotime_ms - told));
    s->pseudotime_ms = told;
    SIM_CHECK(sim, "pseudotime", off >= sim->pseudotime_low - BEHIND_MAX_MS, "server %d is %lld ms behind",
              s->index, (long long)(sim->pseudotime_low - off));
    SIM_CHECK(sim, "pseudotime", off <= sim->pseudotime_high + AHEAD_MAX_MS, "server %d is %lld ms ahead",
              s->index, (long long)(off - sim->pseudotime_high));
}

void time_step(struct sim_server *s)
{
    struct sim *sim = s->sim;
    enum clock_trust trust = s->cluster->clock.trust;
    const struct ks_group *group = group_of(s);
    if (group == NULL || sim->start_ms == 0)
        return;
    uint64_t told = told_ms(s, group);
    int64_t off = (int64_t)(told - sim->now_ms);
    if (sim->pseudotime_base_ms == 0) {
        sim->pseudotime_base_ms = group->record.pseudotime_base_ms;
        sim->pseudotime_low = sim->pseudotime_high = sim->eras[0] = off;
        sim->era_count = 1;
    } else if (trust == CLOCK_SET && s->trust != CLOCK_SET && raft_node_is_leader(s->cluster->node)) {
        begin_anew(s, off);
    }
    s->trust = trust;
    SIM_CHECK(sim, "pseudotime", group->record.pseudotime_base_ms == sim->pseudotime_base_ms,
              "the pseudotime began at %llu and now at %llu", (unsigned long long)sim->pseudotime_base_ms,
              (unsigned long long)group->record.pseudotime_base_ms);
    if (s->ready || core_in_minority(s->core)) /* else it tells nobody */
        check_told(s, told, off);
}

/* In the order of the log. */
void time_pushed(struct sim *sim, const struct policy_time *time)
{
    SIM_CHECK(sim, "pseudotime", time->pseudotime_us >= sim->pushed_us, "a push tells %llu us behind %llu",
              (unsigned long long)time->pseudotime_us, (unsigned long long)sim->pushed_us);
    sim->pushed_us = time->pseudotime_us;
}

void time_offered(struct sim_server *s, const struct policy_time *time)
{
    const struct ks_group *group = group_of(s);
    if (time->attribute == 0 || group == NULL)
        return;
    uint64_t told = told_ms(s, group);
    SIM_CHECK(s->sim, "pseudotime", time->pseudotime_us / 1000 == told, "server %d tells %llu ms at %llu",
              s->index, (unsigned long long)(time->pseudotime_us / 1000), (unsigned long long)told);
    s->sim->counts.times++;
}

/* check_minority.c - what a server without a quorum may do: for a bounded time it tells keys that are
 * committed, at the times that were planned when it was cut off. It allocates nothing, is primary no more,
 * and whom it served is known after it. */
#include <string.h>

#include "cluster/ks_runway.h"
#include "server/metrics.h"
#include "tests/sim/product/sim.h"

/* ---- who reaches whom ---- */

static bool works(const struct sim *sim, int server)
{
    const struct sim_server *s = &sim->servers[server];
    return s->up && !s->dying && s->paused_until_ms <= sim->now_ms;
}

static unsigned within_reach(const struct sim *sim, int server)
{
    unsigned reached = 1u << server, before = 0, count = 0;
    while (reached != before) {
        before = reached;
        for (int a = 0; a < (int)sim->server_count; a++)
            for (int b = 0; b < (int)sim->server_count; b++)
                if ((reached >> a & 1) != 0 && works(sim, b) && !net_is_cut(sim, a, b) &&
                    !net_is_cut(sim, b, a))
                    reached |= 1u << b;
    }
    for (unsigned i = 0; i < sim->server_count; i++)
        count += reached >> i & 1;
    return count;
}

static bool look(struct sim *sim, int server)
{
    struct sim_server *s = &sim->servers[server];
    bool alone = works(sim, server) && within_reach(sim, server) <= sim->server_count / 2;
    if (!alone)
        s->alone_ms = 0;
    else if (s->alone_ms == 0)
        s->alone_ms = sim->now_ms;
    return alone;
}

static void on_look(struct sim *sim, void *arg, bool live)
{
    (void)arg;
    if (!live)
        return;
    for (int i = 0; i < (int)sim->server_count; i++)
        look(sim, i);
    sim_at(sim, sim->now_ms + SIM_ALONE_LOOK_MS, -1, on_look, NULL);
}

void minority_begin(struct sim *sim)
{
    sim_at(sim, sim->now_ms, -1, on_look, NULL);
}

/* ---- what it may not do ---- */

/* It waits for a quorum as long as it takes: nothing is begun meanwhile. A leader begins in the step in which it is ready. */
void minority_proposed(struct sim_server *s, const struct command *command)
{
    SIM_CHECK(s->sim, "minority", s->lost_ms == 0 || s->ready || s->sim->now_ms - s->lost_ms <= SIM_CORE_LOOK_MS,
              "server %d is in a minority for %llu ms and has a %s taken", s->index,
              (unsigned long long)(s->sim->now_ms - s->lost_ms), command_name(command->type));
}

/* ---- when a key's life begins ---- */

static struct sim_spi *spi_find(struct sim *sim, uint32_t spi, bool kek)
{
    for (size_t i = 0; i < sim->spi_count; i++)
        if (sim->spis[i].kek == kek && sim->spis[i].spi == spi)
            return &sim->spis[i];
    return NULL;
}

static void plan(struct sim *sim, const struct tek_record *tek, uint64_t start_ms)
{
    struct sim_spi *spi = spi_find(sim, tek->spi, false);
    if (spi == NULL)
        return;
    if (spi->start_ms != 0 && spi->start_ms != start_ms)
        spi->moved_ms = sim->now_ms;
    spi->start_ms = start_ms;
    spi->lifetime_s = tek->lifetime_s;
}

void minority_planned(struct sim *sim, const struct ks_group *group)
{
    const struct group_record *r = &group->record;
    for (size_t i = 0; i < r->tek_count; i++)
        plan(sim, &r->teks[i], r->teks[i].created_ms);
    for (size_t i = 0; i < r->runway_count; i++)
        plan(sim, &r->runway[i], ks_runway_start_ms(r, i));
}

/* A rekey ahead of its time moves the plan, but not once a server is known to be away: that one could not
 * know. Where servers reach each other only over a third one, nobody may know. */
static bool may_differ(const struct sim_server *s, const struct sim_spi *spi)
{
    return s->alone_ms == 0 || (spi->moved_ms != 0 && spi->moved_ms <= s->alone_ms + SIM_STALE_PRIMARY_MS);
}

/* By a rekey that this server has applied, be it ahead of the key's time. */
static bool is_in_use(const struct sim_server *s, uint32_t spi)
{
    const struct ks_group *group = ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP);
    for (size_t i = 0; group != NULL && i < group->record.tek_count; i++)
        if (group->record.teks[i].spi == spi)
            return true;
    return false;
}

void minority_offered(struct sim_server *s, const struct group_policy *policy)
{
    struct sim *sim = s->sim;
    bool minority = cluster_contact(s->cluster) == CONTACT_MINORITY;
    uint64_t now_ms = cluster_now_ms(s->cluster);
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct tek *tek = &policy->teks[i];
        const struct sim_spi *spi = spi_find(sim, tek->spi, false);
        if (spi == NULL || tek->lifetime_s <= 1 || (minority && may_differ(s, spi)))
            continue;
        uint64_t end_ms = spi->start_ms + (uint64_t)spi->lifetime_s * 1000;
        uint64_t told_ms = now_ms + (uint64_t)tek->lifetime_s * 1000;
        SIM_CHECK(sim, "schedule", told_ms <= end_ms && told_ms + 1000 > end_ms,
                  "server %d tells %u s of SPI %08x, whose end is in %lld ms", s->index, tek->lifetime_s,
                  tek->spi, (long long)(end_ms - now_ms));
        SIM_CHECK(sim, "schedule", !minority || spi->start_ms <= now_ms || is_in_use(s, tek->spi),
                  "server %d tells SPI %08x %llu ms before its time", s->index, tek->spi,
                  (unsigned long long)(spi->start_ms - now_ms));
    }
}

/* ---- message 4 ---- */

static void check_known(struct sim_server *s, const struct group_policy *policy)
{
    struct sim *sim = s->sim;
    uint64_t index = s->cluster->applied_index;
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct sim_spi *spi = spi_find(sim, policy->teks[i].spi, false);
        SIM_CHECK(sim, "minority", spi != NULL && spi->index <= index,
                  "server %d tells SPI %08x and has it not from the log", s->index, policy->teks[i].spi);
    }
    SIM_CHECK(sim, "minority", policy->sid_count == 0, "server %d gives a sender id", s->index);
}

static void check_bound(struct sim_server *s)
{
    struct sim *sim = s->sim;
    uint64_t serve_s =
        sim->serve_s == MINORITY_SERVE_DEFAULT ? (uint64_t)SIM_MINORITY_LIFETIMES * SIM_TEK_S : sim->serve_s;
    uint64_t for_ms = sim->now_ms - s->lost_ms, since_ms = sim->now_ms - s->contact_ms;
    SIM_CHECK(sim, "bound", s->lost_ms != 0 && for_ms + SIM_CORE_LOOK_MS >= SIM_MINORITY_AFTER_MS,
              "server %d serves without a quorum after %llu ms", s->index, (unsigned long long)for_ms);
    SIM_CHECK(sim, "bound", since_ms <= serve_s * 1000 + SIM_CORE_LOOK_MS + CLOCK_MARK_OFF_MS,
              "server %d serves without a quorum for %llu ms", s->index, (unsigned long long)since_ms);
}

static uint64_t answers_of(const struct sim_server *s)
{
    return metrics_get(core_metrics(s->core), METRIC_MINORITY_REGISTRATIONS);
}

void minority_step(struct sim_server *s)
{
    struct sim *sim = s->sim;
    bool minority = cluster_contact(s->cluster) == CONTACT_MINORITY;
    s->minority_answers = answers_of(s);
    if (s->ready)
        s->contact_ms = sim->now_ms;
    if (!minority)
        s->lost_ms = 0;
    else if (s->lost_ms == 0)
        s->lost_ms = sim->now_ms;
    if (s->alone_ms == 0 || sim->now_ms - s->alone_ms <= SIM_STALE_PRIMARY_MS)
        return;
    SIM_CHECK(sim, "primary", !server_claims_primary(s) || !look(sim, s->index),
              "server %d has reached no majority for %llu ms and is primary", s->index,
              (unsigned long long)(sim->now_ms - s->alone_ms));
}

bool minority_told(struct sim_server *s, int member, const struct group_policy *policy)
{
    bool minority = answers_of(s) != s->minority_answers; /* one more since the last step */
    if (!minority)
        return false;
    s->sim->counts.minorities++;
    check_known(s, policy);
    check_bound(s);
    s->owes[member] = true;
    return true;
}

/* ---- after it ---- */

void minority_committed(struct sim_server *s, const struct cmd_member_served *c)
{
    struct sim *sim = s->sim;
    int member = check_member_by_identity(sim, &c->identity), by = check_server_by_id(sim, c->key_server);
    SIM_CHECK(sim, "members", member >= 0 && by >= 0, "a registration of nobody in a minority");
    sim->servers[by].owes[member] = false;
}

void minority_end(struct sim *sim)
{
    for (unsigned i = 0; i < sim->server_count; i++)
        for (unsigned m = 0; m < sim->member_count; m++)
            SIM_CHECK(sim, "no registration lost", !sim->servers[i].owes[m],
                      "server %u served member %u in a minority, and nobody knows", i, m);
}

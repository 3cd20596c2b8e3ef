/* upgrade.c - servers of two builds in one run, upgraded one after the other while other things go wrong. The
 * newer build has one command more, NODE_PRIORITY, which is none of the others' work; the operator asks for
 * it all the time.
 *
 * What must hold (invariant "level"): the level rises only when every server has the newer build, and never
 * falls; no server meets a command that its build does not know, and none ends for its build; in the end,
 * where all have been upgraded, the cluster is at the newer level. */
#include <string.h>

#include "tests/sim/product/sim.h"

enum { LEVEL_OLD = CLUSTER_LEVEL, LEVEL_NEW = LEVEL_OLD + 1, ASK_MS = 700, UPGRADE_MS = 4000 };

static const struct level_build *build_of(uint32_t level)
{
    static struct level_build builds[2];
    struct level_build *build = &builds[level - LEVEL_OLD];
    *build = level_own;
    build->level = level;
    build->of_command[CMD_NODE_PRIORITY] = LEVEL_NEW;
    return build;
}

/* By a dice of its own, so that the runs of one build are what they were before there were two. */
static unsigned dice(const struct sim *sim, unsigned number)
{
    uint64_t faces[] = {sim->seed, number};
    return (unsigned)(sim_hash(faces, sizeof(faces), 1212) >> 8);
}

void upgrade_init(struct sim *sim)
{
    sim->mixed = !sim->quiet && dice(sim, 0) % 2 == 0;
    sim->stays = dice(sim, 1) % 4 == 0 ? (int)(dice(sim, 2) % sim->server_count) : -1;
    for (unsigned i = 0; i < sim->server_count && sim->mixed; i++) {
        bool newer = dice(sim, 10 + i) % 3 == 0 && (int)i != sim->stays && (i > 0 || dice(sim, 3) % 4 == 0);
        sim->servers[i].build = build_of(newer ? LEVEL_NEW : LEVEL_OLD);
    }
}

static void to_newer(struct sim_server *s)
{
    if (!s->sim->mixed || s->build->level == LEVEL_NEW || s->index == s->sim->stays)
        return;
    s->build = build_of(LEVEL_NEW);
    s->sim->counts.upgrades++;
    sim_trace(s->sim, "server %d: has the newer build", s->index);
}

/* A cluster of the newer level takes no older build in. */
void upgrade_before_join(struct sim_server *s, const struct sim_server *by)
{
    if (s->sim->mixed && cluster_state(by->cluster)->level > s->build->level) {
        s->sim->stays = -1;
        to_newer(s);
    }
}

/* Who comes back may come back as the newer build. */
void upgrade_boot(struct sim_server *s)
{
    if (s->sim->mixed && s->boots_seen++ > 0 && sim_chance(s->sim, 200))
        to_newer(s);
}

static void on_upgrade(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    if (!live || sim->calm)
        return;
    if (s->build->level == LEVEL_OLD && s->up && !s->dying && !s->stopping) {
        to_newer(s);
        server_stop(s, 50 + sim_below(sim, 1000));
    }
    sim_at_any(sim, sim->now_ms + UPGRADE_MS + sim_below(sim, UPGRADE_MS), s->index, on_upgrade, s);
}

static void ignore(void *context, const struct apply_result *result)
{
    (void)context;
    (void)result;
}

/* As the operator of each server in turn. With priority 0 nothing else changes. */
static void on_ask(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = &sim->servers[sim_below(sim, sim->server_count)];
    struct command command = {.type = CMD_NODE_PRIORITY};
    (void)arg;
    if (!live || sim->calm)
        return;
    if (s->up && s->ready && !s->dying && !s->stopping) {
        command.time_ms = cluster_now_ms(s->cluster);
        memcpy(command.u.node_priority.id, s->node_id, NODE_ID_LEN);
        err_t err = server_propose(s, &command, ignore, NULL);
        bool allowed = cluster_state(s->cluster)->level == LEVEL_NEW;
        SIM_CHECK(sim, "level", allowed ? err != E_UNSUPPORTED : err != E_OK,
                  "server %d at level %u is asked for the newer command: %s", s->index,
                  cluster_state(s->cluster)->level, err_text(err));
        sim->counts.waits += err == E_UNSUPPORTED;
        plant_level(s);
    }
    sim_at(sim, sim->now_ms + ASK_MS, -1, on_ask, NULL);
}

void upgrade_begin(struct sim *sim)
{
    for (unsigned i = 0; i < sim->server_count && sim->mixed; i++)
        sim_at_any(sim, sim->now_ms + sim_below(sim, SIM_STORM_MS), (int)i, on_upgrade, &sim->servers[i]);
    if (sim->mixed)
        sim_at(sim, sim->now_ms + ASK_MS, -1, on_ask, NULL);
}

/* Applied at a server, whoever saw it first. */
void upgrade_applied(struct sim_server *s, const struct command *c, const struct apply_result *result)
{
    SIM_CHECK(s->sim, "level", result->err == E_UNSUPPORTED || level_knows(s->cluster->build, c->type),
              "server %d applies a command that its build does not know: %s", s->index,
              command_name(c->type));
}

/* Committed, seen for the first time. */
void upgrade_committed(struct sim *sim, const struct command *c)
{
    uint32_t before = sim->level != 0 ? sim->level : 1;
    SIM_CHECK(sim, "level", !sim->mixed || level_of_command(build_of(LEVEL_NEW), c->type) <= before,
              "a command above level %u was committed: %s", before, command_name(c->type));
    if (c->type != CMD_CLUSTER_LEVEL_SET)
        return;
    uint32_t level = c->u.cluster_level_set.level;
    SIM_CHECK(sim, "level", level > before, "the level goes from %u to %u", before, level);
    for (unsigned i = 0; i < sim->server_count; i++)
        SIM_CHECK(sim, "level",
                  !sim->mixed || sim->servers[i].boots_seen == 0 || sim->servers[i].build->level >= level,
                  "the level rises to %u while server %u has an older build", level, i);
    sim->level = level;
    sim->counts.levels++;
    sim_trace(sim, "committed: level %u", level);
}

void upgrade_end(struct sim *sim)
{
    bool all = sim->mixed;
    for (unsigned i = 0; i < sim->server_count; i++)
        all &= !sim->mixed || sim->servers[i].build->level == LEVEL_NEW;
    for (unsigned i = 0; i < sim->server_count; i++)
        SIM_CHECK(sim, "level",
                  cluster_state(sim->servers[i].cluster)->level == (all ? LEVEL_NEW : LEVEL_OLD),
                  "server %u is at level %u", i, cluster_state(sim->servers[i].cluster)->level);
}

/* split.c - a run with a split and nothing else: both sides have members, nothing is lost and nobody dies. So
 * what docs/decisions/0006 promises can be asked for at every moment: each member can read what each other
 * one sends, during the split and behind it.
 *
 * Not promised, and not asked: a split that begins between a push, or the second before one in which nobody
 * has noticed it, and the key's activation; rekeys ahead of their time (KEK, policy, operator) in a split,
 * whose keys wait until the old ones end, while the other side cannot have them yet. */
#include "cluster/ks_runway.h"
#include "cluster/rekey_plan.h"
#include "tests/sim/product/sim.h"

enum {
    LOOK_MS = 200,
    SETTLE_MS = 15000,    /* a member that came back has keys by then, though no server answers at first */
    NOTICED_MS = 2000,    /* until servers know that others are away */
    PUSH_TAKES_MS = 6000, /* until all send on its key, where nothing is split */
    FIRST_MS = 4000,      /* of the split: no operator comes before */
    WAIT_MAX_MS = 40000,
};

void split_draw_sides(struct sim *sim)
{
    uint32_t left = 1 + sim_below(sim, (sim->server_count - 1) / 2), side = 0;
    while (left > 0) {
        unsigned bit = 1u << sim_below(sim, sim->server_count);
        left -= (side & bit) == 0;
        side |= bit;
    }
    unsigned alone = sim_below(sim, sim->member_count); /* somebody on each side */
    unsigned other = (alone + 1) % sim->member_count;
    for (unsigned i = 0; i < sim->member_count; i++)
        if (i == alone || (i != other && sim_chance(sim, 500)))
            side |= 1u << sim_member_end((int)i);
    sim->split_side = side;
}

bool split_is_same_side(const struct sim *sim, int a, int b)
{
    return (sim->split_side >> a & 1) == (sim->split_side >> b & 1);
}

/* ---- what must hold ---- */

static bool is_settled(const struct sim_member *m)
{
    return m->up && m->sim->now_ms >= m->began_ms + SETTLE_MS;
}

static bool receives(const struct sim_member *m, uint32_t spi)
{
    struct datapath_state state;
    agent_datapath_state(&m->agent, &state);
    for (size_t i = 0; i < state.in_count; i++)
        if (state.in[i]->spi == spi)
            return true;
    return false;
}

static void check_pairs(struct sim *sim)
{
    if (sim->serve_s != MINORITY_SERVE_DEFAULT)
        return; /* some come for their keys in vain */
    for (unsigned a = 0; a < sim->member_count; a++) {
        const struct sim_member *from = &sim->members[a];
        if (!is_settled(from))
            continue;
        SIM_CHECK(sim, "shared-key", from->has_out, "member %u has no key to send on", a);
        for (unsigned b = 0; b < sim->member_count; b++)
            SIM_CHECK(sim, "shared-key",
                      !is_settled(&sim->members[b]) || receives(&sim->members[b], from->out_spi),
                      "member %u sends on %08x, which member %u has not", a, from->out_spi, b);
        sim->counts.pairs += sim->member_count - 1;
    }
}

/* ---- what happens meanwhile ---- */

static void happen(struct sim *sim)
{
    struct sim_member *m = &sim->members[sim_below(sim, sim->member_count)];
    switch (sim_below(sim, 3)) {
    case 0:
        if (m->up)
            member_clear(m);
        break;
    case 1:
        if (m->up)
            member_restart(m);
        break;
    default:
        server_step_clock(&sim->servers[sim_below(sim, sim->server_count)]);
    }
}

static void watch(struct sim *sim, uint64_t until_ms, bool busy)
{
    uint64_t next_ms = sim->now_ms + FIRST_MS + sim_below(sim, 8000);
    while (sim->now_ms < until_ms) {
        sim_run(sim, sim->now_ms + LOOK_MS);
        check_pairs(sim);
        if (!busy || sim->now_ms < next_ms)
            continue;
        happen(sim);
        next_ms = sim->now_ms + 1000 + sim_below(sim, 8000);
    }
}

/* No key is about to change. */
static bool is_quiet(const struct sim *sim)
{
    const struct sim_server *s = &sim->servers[0];
    const struct ks_group *group = ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP);
    const struct group_record *r = &group->record;
    uint64_t now_ms = cluster_now_ms(s->cluster);
    uint64_t kek_ms = r->kek.created_ms + (uint64_t)(r->kek.lifetime_s - kek_lead_s(&r->config)) * 1000;
    const struct sim_push *last = &sim->pushes[sim->push_count - 1];
    return !ks_runway_due(r) && ks_runway_start_ms(r, 0) > now_ms + NOTICED_MS &&
           kek_ms > now_ms + NOTICED_MS && last->at_ms + PUSH_TAKES_MS < sim->now_ms;
}

void split_run(struct sim *sim)
{
    sim_run(sim, sim->now_ms + SETTLE_MS + sim_below(sim, SIM_PERIOD_MS));
    uint64_t limit_ms = sim->now_ms + WAIT_MAX_MS;
    while (!is_quiet(sim) && sim->now_ms < limit_ms)
        sim_run(sim, sim->now_ms + LOOK_MS);
    bool split = is_quiet(sim);
    sim->counts.cuts += split;
    if (split)
        sim->split_until_ms = sim->now_ms + SIM_TEK_S * 500 + sim_below(sim, SIM_TEK_S * 1000);
    sim_trace(sim, "split %x until %llu", sim->split_side, (unsigned long long)sim->split_until_ms);
    watch(sim, split ? sim->split_until_ms : sim->now_ms, true);
    sim_trace(sim, "healed");
    sim->healed_ms = sim->now_ms;
    watch(sim, sim->now_ms + SIM_CALM_MS, false);
}

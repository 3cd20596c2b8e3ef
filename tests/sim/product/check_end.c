/* check_end.c - when everything is whole again: all servers have the same, one of them is primary, no
 * registration is lost, and the members are on the current key. */
#include "tests/sim/product/sim.h"

static bool alike(const struct sim *sim)
{
    const struct cluster *first = sim->servers[0].cluster;
    for (unsigned i = 0; i < sim->server_count; i++) {
        const struct sim_server *s = &sim->servers[i];
        if (!s->up || !s->ready || s->cluster->applied_index != first->applied_index)
            return false;
    }
    return true;
}

static void check_servers(struct sim *sim)
{
    unsigned leaders = 0, primaries = 0;
    for (unsigned i = 0; i < sim->server_count; i++) {
        struct sim_server *s = &sim->servers[i];
        leaders += raft_node_is_leader(s->cluster->node);
        primaries += cluster_is_primary(s->cluster);
        const struct ks_group *group = ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP);
        SIM_CHECK(sim, "convergence", group != NULL, "server %u has no group", i);
        for (unsigned m = 0; m < sim->member_count; m++) {
            struct identity identity = identity_from_addr(&sim->members[m].addr);
            SIM_CHECK(sim, "no registration lost",
                      (ks_group_member(group, &identity) != NULL) == sim->member_of[m],
                      "member %u is %sof the group on server %u", m, sim->member_of[m] ? "not " : "", i);
        }
    }
    SIM_CHECK(sim, "convergence", leaders == 1 && primaries == 1, "%u leaders, %u primaries", leaders,
              primaries);
}

/* The key that everybody must send on by now: the newest whose push and activation are over. */
static size_t current_push(const struct sim *sim)
{
    uint64_t sent_ms = (SIM_RETRANSMIT_S * (SIM_RETRANSMITS + 1) + 1) * 1000u;
    for (size_t i = sim->push_count; i-- > 0;) {
        uint64_t taken_ms = sim->pushes[i].at_ms + sent_ms + sim->pushes[i].activation_s * 1000u;
        if (sim->pushes[i].tek_spi != 0 && taken_ms <= sim->now_ms)
            return i;
    }
    return 0;
}

/* The newest key came after the storm, or it is not over the half of its life yet: rekeys ahead of their time
 * in a split move the next one away. */
static bool is_rekeyed(const struct sim *sim)
{
    const struct sim_push *newest = &sim->pushes[sim->push_count - 1];
    if (sim->pushes[current_push(sim)].at_ms >= sim->healed_ms)
        return true;
    for (size_t i = 0; i < sim->spi_count; i++)
        if (!sim->spis[i].kek && sim->spis[i].spi == newest->tek_spi)
            return newest->at_ms >= sim->healed_ms ||
                   cluster_now_ms(sim->servers[0].cluster) < sim->spis[i].start_ms + SIM_PERIOD_MS + 1000;
    return false;
}

static void check_members(struct sim *sim)
{
    size_t current = current_push(sim);
    SIM_CHECK(sim, "liveness", is_rekeyed(sim), "no rekey since %llu ms",
              (unsigned long long)sim->pushes[current].at_ms);
    for (unsigned m = 0; m < sim->member_count; m++) {
        const struct sim_member *member = &sim->members[m];
        bool on_it = false;
        for (size_t i = current; i < sim->push_count && member->has_out; i++)
            on_it |= sim->pushes[i].tek_spi == member->out_spi;
        SIM_CHECK(sim, "liveness", on_it, "member %u sends on %08x and not on %08x, %u registrations", m,
                  member->has_out ? member->out_spi : 0, sim->pushes[current].tek_spi, member->registrations);
    }
}

void check_end(struct sim *sim)
{
    uint64_t limit = sim->now_ms + 3000;
    while (!alike(sim) && sim_step(sim, limit)) {
    }
    for (unsigned i = 0; i < sim->server_count; i++) {
        const struct sim_server *s = &sim->servers[i];
        SIM_CHECK(sim, "convergence", alike(sim), "server %u: %s, %s, applied %llu", i, s->up ? "up" : "down",
                  s->ready ? "ready" : "not ready",
                  s->up ? (unsigned long long)s->cluster->applied_index : 0ull);
    }
    check_servers(sim);
    check_members(sim);
    upgrade_end(sim);
    minority_end(sim);
    if (sim->seed % 8 == 0)
        check_files(sim);
}

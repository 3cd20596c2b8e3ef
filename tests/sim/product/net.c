/* net.c - datagrams: lost, doubled, late, out of order, changed on the way. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

struct flight {
    int from, to;
    size_t len;
    uint8_t *data;
};

bool net_is_cut(const struct sim *sim, int from, int to)
{
    bool apart = (sim->split_side >> from & 1) != (sim->split_side >> to & 1);
    return sim->cut[from][to] || (apart && sim->now_ms < sim->split_until_ms);
}

struct addr net_addr(const struct sim *sim, int end)
{
    return end < SIM_SERVER_MAX ? sim->servers[end].addr : sim->members[end - SIM_SERVER_MAX].addr;
}

int net_end_of(const struct sim *sim, const struct addr *addr)
{
    for (int i = 0; i < (int)sim->server_count; i++)
        if (addr_equal(&sim->servers[i].addr, addr))
            return i;
    for (int i = 0; i < (int)sim->member_count; i++)
        if (addr_equal(&sim->members[i].addr, addr))
            return sim_member_end(i);
    return -1;
}

static void on_arrival(struct sim *sim, void *arg, bool live)
{
    struct flight *f = arg;
    if (live) {
        struct addr from = net_addr(sim, f->from);
        struct bytes datagram = {f->data, f->len};
        if (f->to < SIM_SERVER_MAX)
            server_datagram(&sim->servers[f->to], &from, datagram);
        else
            member_datagram(&sim->members[f->to - SIM_SERVER_MAX], &from, datagram);
    }
    free(f->data);
    free(f);
}

/* Some octet differs, or the end is missing: whoever takes it must stay upright. */
static void mangle(struct sim *sim, struct flight *f)
{
    sim->counts.mangled++;
    if (sim_chance(sim, 300))
        f->len = sim_below(sim, (uint32_t)f->len) + 1;
    else
        for (uint32_t n = 1 + sim_below(sim, 4); n > 0; n--)
            f->data[sim_below(sim, (uint32_t)f->len)] ^= (uint8_t)(1 + sim_below(sim, 255));
    uint8_t *exact = sim_copy((struct bytes){f->data, f->len});
    free(f->data);
    f->data = exact;
}

void net_send(struct sim *sim, int from, int to, struct bytes datagram)
{
    if (datagram.len == 0 || net_is_cut(sim, from, to))
        return;
    unsigned copies = !sim->calm && sim_chance(sim, sim->dup) ? 2 : 1;
    for (unsigned i = 0; i < copies; i++) {
        if (!sim->calm && sim_chance(sim, sim->loss))
            continue;
        struct flight *f = sim_alloc(sizeof(*f));
        *f = (struct flight){from, to, datagram.len, sim_copy(datagram)};
        if (!sim->calm && sim_chance(sim, sim->mangle))
            mangle(sim, f);
        sim_at_any(sim, sim->now_ms + 1 + sim_below(sim, sim->calm ? 5 : sim->delay_ms), to, on_arrival, f);
    }
}

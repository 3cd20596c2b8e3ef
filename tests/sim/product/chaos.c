/* chaos.c - what goes wrong in a run, and its end. Each kind comes with a rate of its own, drawn from the
 * seed; a third of the runs has some of them not at all, so that others show alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

enum chaos {
    CHAOS_KILL,
    CHAOS_POWER,
    CHAOS_KILL_IN_WRITE,
    CHAOS_STOP,
    CHAOS_PAUSE,
    CHAOS_CUT_ONE_WAY,
    CHAOS_PARTITION,
    CHAOS_SPLIT,
    CHAOS_HEAL,
    CHAOS_DISK_FULL,
    CHAOS_DISK_BROKEN,
    CHAOS_DISK_SLOW,
    CHAOS_CLOCK,
    CHAOS_MEMBER_RESTART,
    CHAOS_MEMBER_CLEAR,
    CHAOS_MEMBER_REMOVED,
    CHAOS_REKEY,
    CHAOS_STRANGERS,
    CHAOS_LOAD,
    CHAOS_COUNT,
};

static unsigned weight_of(struct sim *sim, enum chaos kind)
{
    static const unsigned weights[CHAOS_COUNT] = {
        [CHAOS_KILL] = 10,          [CHAOS_POWER] = 8,        [CHAOS_KILL_IN_WRITE] = 10, [CHAOS_STOP] = 4,
        [CHAOS_PAUSE] = 8,          [CHAOS_CUT_ONE_WAY] = 10, [CHAOS_PARTITION] = 8,      [CHAOS_HEAL] = 20,
        [CHAOS_DISK_FULL] = 3,      [CHAOS_DISK_BROKEN] = 3,  [CHAOS_DISK_SLOW] = 5,      [CHAOS_CLOCK] = 6,
        [CHAOS_MEMBER_RESTART] = 4, [CHAOS_MEMBER_CLEAR] = 4, [CHAOS_MEMBER_REMOVED] = 3, [CHAOS_REKEY] = 6,
        [CHAOS_STRANGERS] = 4,      [CHAOS_LOAD] = 4,         [CHAOS_SPLIT] = 5};
    uint64_t dice = sim->seed * 31 + kind;
    return sim_hash(&dice, sizeof(dice), 77) % 3 == 1 && kind != CHAOS_HEAL ? 0 : weights[kind];
}

static enum chaos draw(struct sim *sim)
{
    unsigned total = 0;
    for (int i = 0; i < CHAOS_COUNT; i++)
        total += weight_of(sim, i);
    unsigned at = sim_below(sim, total);
    for (int i = 0; i < CHAOS_COUNT; i++) {
        if (at < weight_of(sim, i))
            return i;
        at -= weight_of(sim, i);
    }
    return CHAOS_HEAL;
}

static struct sim_server *some_server(struct sim *sim)
{
    struct sim_server *s = &sim->servers[sim_below(sim, sim->server_count)];
    return s->up && !s->dying && !s->stopping ? s : NULL;
}

static void cut_some(struct sim *sim, bool partition)
{
    int ends = (int)(SIM_SERVER_MAX + sim->member_count);
    unsigned side = sim_below(sim, 1u << ends);
    if (!partition) {
        int from = (int)sim_below(sim, (uint32_t)ends), to = (int)sim_below(sim, (uint32_t)ends);
        sim->cut[from][to] = true;
        sim_trace(sim, "cut %d -> %d", from, to);
        return;
    }
    sim->counts.cuts++;
    for (int a = 0; a < ends; a++)
        for (int b = 0; b < ends; b++)
            sim->cut[a][b] = (side >> a & 1) != (side >> b & 1);
    sim_trace(sim, "partition %x", side);
}

/* A minority of the servers and some members for so long that they must live on the keys they have. */
static void split(struct sim *sim)
{
    uint32_t count = sim->server_count, left = 1 + sim_below(sim, (count - 1) / 2);
    if (sim->now_ms < sim->split_until_ms)
        return;
    unsigned side = sim_below(sim, 1u << sim->member_count) << SIM_SERVER_MAX;
    while (left > 0) {
        unsigned bit = 1u << sim_below(sim, count);
        left -= (side & bit) == 0;
        side |= bit;
    }
    sim->counts.cuts++;
    sim->split_side = side;
    sim->split_until_ms = sim->now_ms + 4000 + sim_below(sim, 14000);
    sim_trace(sim, "split %x until %llu", side, (unsigned long long)sim->split_until_ms);
}

static void rekey_now(struct sim *sim)
{
    struct sim_server *s = some_server(sim);
    if (s == NULL)
        return;
    err_t err = core_rekey(s->core, SIM_GROUP, NULL, NULL);
    sim_trace(sim, "operator: rekey at server %d: %s", s->index, err_text(err));
    shell_turn_soon(s);
}

static void ignore(void *context, const struct apply_result *result)
{
    (void)context;
    (void)result;
}

static void remove_member(struct sim *sim)
{
    struct sim_server *s = some_server(sim);
    const struct ks_group *group =
        s != NULL ? ks_state_group_by_name(cluster_state(s->cluster), SIM_GROUP) : NULL;
    if (group == NULL)
        return;
    struct command command = {.type = CMD_MEMBER_REMOVED, .time_ms = cluster_now_ms(s->cluster)};
    command.u.member_removed.group_id = group->record.id;
    command.u.member_removed.identity =
        identity_from_addr(&sim->members[sim_below(sim, sim->member_count)].addr);
    if (server_propose(s, &command, ignore, NULL) == E_OK)
        sim_trace(sim, "operator: removes a member at server %d", s->index);
}

struct load {
    unsigned left;
    uint64_t gap_ms;
};

/* Many entries in the log, so that who was away needs a snapshot. */
static void on_load(struct sim *sim, void *arg, bool live)
{
    struct load *load = arg;
    struct sim_server *s = live && load->left > 0 ? some_server(sim) : NULL;
    struct command command = {.type = CMD_PSK_SET};
    struct prefix nobody;
    if (s != NULL && s->ready && prefix_parse(&nobody, "10.98.0.0/16") == E_OK &&
        ks_psk_seal(cluster_state(s->cluster), cluster_wrap_key(s->cluster), &s->rng, &nobody,
                    bytes_of_text("nobody has this one"), &command.u.psk_set.psk) == E_OK) {
        command.time_ms = cluster_now_ms(s->cluster);
        if (server_propose(s, &command, ignore, NULL) != E_OK)
            load->left /= 2;
    }
    if (!live || load->left == 0 || sim->calm) {
        free(load);
        return;
    }
    load->left--;
    sim_at(sim, sim->now_ms + load->gap_ms, -1, on_load, load);
}

static void begin_load(struct sim *sim)
{
    struct load *load = sim_alloc(sizeof(*load));
    *load = (struct load){100 + sim_below(sim, 500), 1 + sim_below(sim, 10)};
    sim_trace(sim, "operator: %u changes", load->left);
    struct sim_server *away = sim_chance(sim, 600) ? some_server(sim) : NULL;
    if (away != NULL)
        server_crash(away, sim_chance(sim, 300), 3000 + sim_below(sim, 8000));
    on_load(sim, load, true);
}

/* Datagrams of nobody we know, to everyone. */
static void strangers(struct sim *sim)
{
    uint8_t junk[300];
    for (int i = 0; i < 20; i++) {
        size_t len = 1 + sim_below(sim, sizeof(junk));
        for (size_t j = 0; j < len; j++)
            junk[j] = (uint8_t)sim_random(sim);
        if (sim_chance(sim, 700) && len > 28) { /* with a header that looks like one */
            static const uint8_t exchanges[] = {2, 4, 5, 32, 33, 35};
            junk[16] = (uint8_t)sim_below(sim, 24);
            junk[17] = 0x10;
            junk[18] = exchanges[sim_below(sim, sizeof(exchanges))];
            junk[24] = junk[25] = 0;
            junk[26] = (uint8_t)(len >> 8);
            junk[27] = (uint8_t)len;
        }
        int from = sim_member_end((int)sim_below(sim, sim->member_count));
        int to = (int)sim_below(sim, sim->server_count);
        if (sim_chance(sim, 300))
            net_send(sim, to, from, (struct bytes){junk, len});
        else
            net_send(sim, from, to, (struct bytes){junk, len});
    }
}

static void trouble_with_disk(struct sim *sim, struct sim_server *s, enum chaos kind)
{
    if (kind == CHAOS_DISK_SLOW) {
        s->disk_delay_ms = 50 + sim_below(sim, 400);
    } else if (kind == CHAOS_KILL_IN_WRITE) {
        s->disk.crash_after = (int)sim_below(sim, 12);
    } else {
        s->disk.fails = kind == CHAOS_DISK_FULL ? ENOSPC : EIO;
        sim_trace(sim, "server %d: disk %s", s->index, kind == CHAOS_DISK_FULL ? "full" : "broken");
    }
}

static void harm_server(struct sim *sim, enum chaos kind)
{
    struct sim_server *s = some_server(sim);
    if (s == NULL)
        return;
    switch (kind) {
    case CHAOS_KILL:
    case CHAOS_POWER:
        server_crash(s, kind == CHAOS_POWER, 20 + sim_below(sim, sim_chance(sim, 300) ? 8000 : 800));
        break;
    case CHAOS_STOP:
        server_stop(s, 20 + sim_below(sim, 2000));
        break;
    case CHAOS_PAUSE:
        s->paused_until_ms = sim->now_ms + 100 + sim_below(sim, sim_chance(sim, 300) ? 9000 : 1500);
        sim->counts.pauses++;
        sim_trace(sim, "server %d: paused until %llu", s->index, (unsigned long long)s->paused_until_ms);
        break;
    case CHAOS_CLOCK:
        server_step_clock(s);
        break;
    default:
        trouble_with_disk(sim, s, kind);
    }
}

/* The network heals, the disks are replaced or emptied. */
static void mend(struct sim *sim)
{
    memset(sim->cut, 0, sizeof(sim->cut));
    for (unsigned i = 0; i < sim->server_count; i++) {
        sim->servers[i].disk.fails = 0;
        sim->servers[i].disk.crash_after = -1;
        sim->servers[i].disk_delay_ms = sim_below(sim, 6);
    }
}

static void do_harm(struct sim *sim, enum chaos kind)
{
    struct sim_member *m = &sim->members[sim_below(sim, sim->member_count)];
    switch (kind) {
    case CHAOS_CUT_ONE_WAY:
    case CHAOS_PARTITION:
        cut_some(sim, kind == CHAOS_PARTITION);
        break;
    case CHAOS_SPLIT:
        split(sim);
        break;
    case CHAOS_HEAL:
        mend(sim);
        break;
    case CHAOS_MEMBER_RESTART:
        if (m->up)
            member_restart(m);
        break;
    case CHAOS_MEMBER_CLEAR:
        if (m->up)
            member_clear(m);
        break;
    case CHAOS_MEMBER_REMOVED:
        remove_member(sim);
        break;
    case CHAOS_REKEY:
        rekey_now(sim);
        break;
    case CHAOS_STRANGERS:
        strangers(sim);
        break;
    case CHAOS_LOAD:
        if (!sim->by_file) /* the file would take them away again */
            begin_load(sim);
        break;
    default:
        harm_server(sim, kind);
    }
}

static void on_chaos(struct sim *sim, void *arg, bool live)
{
    (void)arg;
    if (!live || sim->calm)
        return;
    do_harm(sim, draw(sim));
    sim_at(sim, sim->now_ms + 50 + sim_below(sim, 1500), -1, on_chaos, NULL);
}

void chaos_begin(struct sim *sim)
{
    sim->loss = sim_below(sim, 3) * 50;
    sim->dup = sim_below(sim, 3) * 30;
    sim->mangle = sim_below(sim, 2) * 10;
    sim->delay_ms = 3 + sim_below(sim, 3) * 40;
    sim_at(sim, sim->now_ms + sim_below(sim, 5000), -1, on_chaos, NULL);
}

/* Nothing goes wrong any more: what is down comes back by itself. */
void chaos_heal(struct sim *sim)
{
    sim_trace(sim, "calm");
    mend(sim);
    sim->split_until_ms = 0;
    sim->calm = true;
    sim->healed_ms = sim->now_ms;
    for (unsigned i = 0; i < sim->server_count; i++)
        if (sim->servers[i].paused_until_ms > sim->now_ms)
            sim->servers[i].paused_until_ms = sim->now_ms;
}

/* member.c - one group member: the agent's core, and a data path that only notes what it was told. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

static void step(struct sim_member *m, const struct agent_event *event);

static uint64_t mono(const struct sim_member *m)
{
    return m->sim->now_ms + (uint64_t)m->mono_shift;
}

struct computing {
    struct sim_member *member;
    struct dh_job job;
    uint64_t id;
};

static void on_computed(struct sim *sim, void *arg, bool live)
{
    struct computing *c = arg;
    (void)sim;
    if (live) {
        dh_job_run(&c->job);
        step(c->member, &(struct agent_event){.kind = AGENT_EVENT_DH_DONE, .job = &c->job, .job_id = c->id});
    } else {
        dh_job_close(&c->job);
    }
    free(c);
}

static void compute(struct sim_member *m)
{
    struct computing *c = sim_alloc(sizeof(*c));
    c->member = m;
    c->id = m->effects.job_id;
    c->job = m->effects.job;
    memset(&m->effects.job, 0, sizeof(m->effects.job));
    sim_at(m->sim, m->sim->now_ms + 1 + sim_below(m->sim, 5), sim_member_end(m->index), on_computed, c);
}

static void on_wake(struct sim *sim, void *arg, bool live)
{
    struct sim_member *m = arg;
    if (!live || m->wake_ms > sim->now_ms)
        return;
    m->wake_ms = UINT64_MAX;
    step(m, &(struct agent_event){.kind = AGENT_EVENT_TIMER});
}

static void arm(struct sim_member *m)
{
    uint64_t wake = m->effects.wake_at_ms, now = mono(m);
    uint64_t at = m->sim->now_ms + (wake > now ? wake - now : 1);
    if (wake == TIME_NEVER || at >= m->wake_ms)
        return;
    m->wake_ms = at;
    sim_at(m->sim, at, sim_member_end(m->index), on_wake, m);
}

static void apply(struct sim_member *m)
{
    struct datapath_state state;
    bool refuses = !m->sim->calm && sim_chance(m->sim, 10);
    agent_datapath_state(&m->agent, &state);
    if (!refuses) {
        m->has_out = state.out != NULL;
        m->out_spi = state.out != NULL ? state.out->spi : 0;
        check_member_keys(m);
    }
    step(m, &(struct agent_event){.kind = AGENT_EVENT_APPLIED,
                                  .err = refuses ? E_IO : E_OK,
                                  .why = "the simulated kernel is busy"});
}

static void note_registration(struct sim_member *m)
{
    unsigned now = m->agent.stats.registrations;
    if (now == m->seen)
        return;
    m->registrations += now - m->seen;
    m->sim->counts.registrations += now - m->seen;
    m->seen = now;
    sim_trace(m->sim, "member %d: registered", m->index);
}

static void step(struct sim_member *m, const struct agent_event *event)
{
    agent_step(&m->agent, event, mono(m), &m->effects);
    bool wants = m->effects.apply;
    for (size_t i = 0; i < m->effects.send_count; i++) {
        struct agent_send *send = &m->effects.sends[i];
        int to = net_end_of(m->sim, &send->to.addr);
        if (to >= 0)
            net_send(m->sim, sim_member_end(m->index), to, (struct bytes){send->data, send->len});
    }
    if (m->effects.compute)
        compute(m);
    note_registration(m);
    if (wants)
        apply(m);
    arm(m);
}

/* As a branch lists them: who is near comes first, and nobody is waited for long. */
static void near_first(struct sim_member *m, unsigned first)
{
    struct sim *sim = m->sim;
    unsigned at = 0;
    for (unsigned i = 0; i < 2 * sim->server_count; i++) {
        unsigned server = (first + i) % sim->server_count;
        bool near = split_is_same_side(sim, (int)server, sim_member_end(m->index));
        if (near == (i < sim->server_count))
            m->config.servers[at++] = (struct endpoint){sim->servers[server].addr, GDOI_PORT};
    }
    m->config.request_timeout_s = 1;
    m->config.retry_max_s = 2;
}

void member_init(struct sim *sim, int index)
{
    struct sim_member *m = &sim->members[index];
    *m = (struct sim_member){.sim = sim, .index = index, .lifetime = 1};
    m->addr = addr_v4(10, 1, 20, (uint8_t)(2 + index));
    struct gm_config *c = &m->config;
    memcpy(c->group_name, SIM_GROUP, sizeof(SIM_GROUP));
    c->group = identity_from_number(sim_group_number);
    c->local = (struct endpoint){m->addr, GDOI_PORT};
    secret_copy(&c->psk, &sim->psk.secret);
    if (ike_policy_add(&c->ike, "aes128-sha256-ecp256") != E_OK)
        abort();
    c->ike.lifetime_s = 600;
    c->datapath.backend = GM_BACKEND_NONE;
    c->datapath.time_attribute = sim->group.replay_attribute;
    c->reregister_before_s = 5;
    c->retry_first_s = 1;
    c->retry_max_s = 4;
    c->request_timeout_s = 4;
    c->retransmit_ms = 300;
    c->server_count = sim->server_count;
    unsigned first = sim_below(sim, sim->server_count);
    for (unsigned i = 0; i < sim->server_count; i++)
        c->servers[i] = (struct endpoint){sim->servers[(first + i) % sim->server_count].addr, GDOI_PORT};
    if (sim->quiet)
        near_first(m, first);
}

void member_start(struct sim_member *m)
{
    m->rng = rng_seeded_init(&m->seeded, sim_random(m->sim));
    m->mono_shift = (int64_t)sim_below(m->sim, 1000000);
    m->wake_ms = UINT64_MAX;
    m->seen = 0;
    m->has_out = false;
    m->up = true;
    m->began_ms = m->sim->now_ms;
    agent_init(&m->agent, &m->config, &m->rng, datapath_user_check);
    step(m, &(struct agent_event){.kind = AGENT_EVENT_START});
}

static void on_start(struct sim *sim, void *arg, bool live)
{
    (void)sim;
    if (live)
        member_start(arg);
}

void member_restart(struct sim_member *m)
{
    sim_trace(m->sim, "member %d: restarts", m->index);
    member_close(m);
    m->lifetime++;
    sim_at(m->sim, m->sim->now_ms + 100 + sim_below(m->sim, 1000), sim_member_end(m->index), on_start, m);
}

void member_clear(struct sim_member *m)
{
    sim_trace(m->sim, "member %d: cleared", m->index);
    m->began_ms = m->sim->now_ms;
    step(m, &(struct agent_event){.kind = AGENT_EVENT_CLEAR});
}

void member_datagram(struct sim_member *m, const struct addr *from, struct bytes datagram)
{
    if (m->up)
        step(m, &(struct agent_event){
                    .kind = AGENT_EVENT_DATAGRAM, .from = {*from, GDOI_PORT}, .datagram = datagram});
}

void member_close(struct sim_member *m)
{
    if (m->up)
        agent_close(&m->agent);
    dh_job_close(&m->effects.job);
    m->up = false;
    m->has_out = false;
}

/* engine_three_test.c - three servers, core and cluster each, in one process: a rekey engine that is stuck costs the
 * primary its role, and the next one makes the rekeys. */
#include "server/core_parts.h"
#include "tests/unit/cluster/three_fixture.h"

enum {
    FAST = 20, /* the cores' clocks run so much faster: a stuck engine shows within a second */
    TURN_MS = 10,
    JOBS_MAX = 64,
};

struct upper {
    struct ks *ks;
    struct core *core;
    struct clock clock;
    struct ksd_config config;
    struct group_config group;
    uv_timer_t turn;
    struct job *jobs[JOBS_MAX];
    size_t job_count;
    bool refuses; /* its pool takes nothing */
    bool hangs;   /* its pool takes, and gives nothing back */
};

static uint64_t fast_mono(void *context)
{
    (void)context;
    return clock_mono_ms(&clock_system) * FAST;
}

static uint64_t fast_wall(void *context)
{
    (void)context;
    return clock_wall_ms(&clock_system);
}

static void port_send(void *context, const struct ike_path *path, struct bytes datagram)
{
    (void)context;
    (void)path;
    (void)datagram;
}

static size_t port_send_many(void *context, const struct addr *local, struct bytes datagram,
                             const struct endpoint *to, size_t count)
{
    (void)context;
    (void)local;
    (void)datagram;
    (void)to;
    return count;
}

static err_t port_compute(void *context, struct job *job)
{
    struct upper *u = context;
    if (u->refuses || u->job_count == JOBS_MAX)
        return E_FULL;
    u->jobs[u->job_count++] = job;
    return E_OK;
}

static err_t port_propose(void *context, const struct command *command, cluster_done_fn done, void *done_context)
{
    return cluster_propose(((struct upper *)context)->ks->cluster, command, done, done_context);
}

static const struct ks_state *port_state(void *context)
{
    return cluster_state(((struct upper *)context)->ks->cluster);
}

static const struct wrap_key *port_wrap_key(void *context)
{
    return cluster_wrap_key(((struct upper *)context)->ks->cluster);
}

static bool port_is_primary(void *context)
{
    return cluster_is_primary(((struct upper *)context)->ks->cluster);
}

static uint64_t port_now_ms(void *context)
{
    return cluster_now_ms(((struct upper *)context)->ks->cluster);
}

static const uint8_t *port_node_id(void *context)
{
    return cluster_node_id(((struct upper *)context)->ks->cluster);
}

static void above_ready(void *context, bool ready)
{
    core_ready(((struct upper *)context)->core, ready);
}

static void above_applied(void *context, const struct command *command, const struct apply_result *result)
{
    core_applied(((struct upper *)context)->core, command, result);
}

static bool above_healthy(void *context)
{
    return core_engine_fault(((struct upper *)context)->core) == NULL;
}

static const struct ks_above above = {above_ready, above_applied, above_healthy};

static void on_turn(uv_timer_t *timer)
{
    struct upper *u = timer->data;
    size_t count = u->hangs ? 0 : u->job_count;
    if (!u->ks->open)
        return;
    for (size_t i = 0; i < count; i++) {
        job_run(u->jobs[i]);
        core_job_done(u->core, u->jobs[i]);
    }
    /* What a finished job asked for stands behind it. */
    memmove(u->jobs, u->jobs + count, (u->job_count - count) * sizeof(u->jobs[0]));
    u->job_count -= count;
    if (core_wake_ms(u->core) <= fast_mono(NULL))
        core_tick(u->core);
}

/* A rekey every three seconds of cluster time. */
static void upper_configure(struct upper *u)
{
    u->config = (struct ksd_config){.path = "ksd.conf",
                                    .listen = {own_host(), GDOI_PORT},
                                    .cluster = {own_host(), u->ks->port},
                                    .half_open_max = 64,
                                    .rate_per_s = 20,
                                    .rate_burst = 60,
                                    .sign_alg = SIGN_ECDSA_256};
    ike_policy_default(&u->config.ike);
    u->group = group_named("G1", 3333);
    u->group.short_lifetimes = true;
    u->group.selector_count = 1;
    assert_ok(prefix_parse(&u->group.selectors[0].src, "10.0.0.0/8"));
    assert_ok(prefix_parse(&u->group.selectors[0].dst, "10.0.0.0/8"));
    u->group.kek_lifetime_s = 3600;
    u->group.tek_lifetime_s = 6;
    if (u->ks == &u->ks->all->ks[0]) {
        u->config.groups = &u->group;
        u->config.group_count = 1;
    }
}

static void upper_open(struct upper *u, struct ks *ks)
{
    *u = (struct upper){.ks = ks, .clock = {fast_mono, fast_wall, NULL}};
    upper_configure(u);
    struct core_options options = {.config = &u->config,
                                   .clock = &u->clock,
                                   .rng = &rng_system,
                                   .ports = {.context = u,
                                             .send = port_send,
                                             .send_many = port_send_many,
                                             .compute = port_compute,
                                             .propose = port_propose,
                                             .state = port_state,
                                             .wrap_key = port_wrap_key,
                                             .is_primary = port_is_primary,
                                             .cluster_now_ms = port_now_ms,
                                             .node_id = port_node_id}};
    assert_ok(core_open(&u->core, &options));
    ks->above = &above;
    ks->above_context = u;
    uv_timer_init(&ks->all->loop, &u->turn);
    u->turn.data = u;
    uv_timer_start(&u->turn, on_turn, TURN_MS, TURN_MS);
}

static void upper_close(struct upper *u)
{
    if (u->ks->open)
        ks_close(u->ks);
    for (size_t i = 0; i < u->job_count; i++)
        job_free(u->jobs[i]);
    core_free(u->core);
    uv_close((uv_handle_t *)&u->turn, NULL);
}

static uint32_t seq_at(const struct ks *ks)
{
    const struct ks_group *group = ks_state_group_by_name(cluster_state(ks->cluster), "G1");
    return group != NULL ? group->record.seq : 0;
}

static void form(struct three *t, struct upper u[SERVERS])
{
    for (size_t i = 0; i < SERVERS; i++)
        upper_open(&u[i], &t->ks[i]);
    three_form(t);
    for (size_t i = 0; i < SERVERS; i++)
        until(t, row_of(&t->ks[0], &t->ks[i])->priority == 100 - i * 10);
    until(t, cluster_is_primary(t->ks[0].cluster) && seq_at(&t->ks[0]) > 0);
    assert_int_equal(epoch_of(&t->ks[0]), 1);
}

/* The second takes over and makes rekeys; the first still serves, and has the role no more. */
static void the_second_makes_rekeys(struct three *t)
{
    until(t, cluster_is_primary(t->ks[1].cluster));
    assert_int_equal(epoch_of(&t->ks[1]), 2);
    uint32_t seq = seq_at(&t->ks[1]);
    until(t, seq_at(&t->ks[1]) > seq + 1 && seq_at(&t->ks[0]) > seq + 1);
    assert_int_equal(primaries(t), 1);
    assert_true(t->ks[0].ready);
}

static void a_primary_whose_rekeys_are_not_made_loses_the_role(void **state)
{
    struct three *t = *state;
    struct upper u[SERVERS];
    form(t, u);
    u[0].refuses = true;
    until(t, core_engine_fault(u[0].core) != NULL);
    the_second_makes_rekeys(t);
    u[0].refuses = false;
    until(t, core_engine_fault(u[0].core) == NULL); /* it has rested; no pre-emption */
    assert_int_equal(epoch_of(&t->ks[0]), 2);
    for (size_t i = SERVERS; i > 0; i--)
        upper_close(&u[i - 1]);
}

static void a_primary_whose_threads_do_not_answer_loses_the_role(void **state)
{
    struct three *t = *state;
    struct upper u[SERVERS];
    form(t, u);
    u[0].hangs = true;
    until(t, core_engine_fault(u[0].core) == engine_fault_worker);
    the_second_makes_rekeys(t);
    assert_string_equal(core_not_serving(u[0].core), engine_fault_worker);
    u[0].hangs = false;
    until(t, core_engine_fault(u[0].core) == NULL);
    for (size_t i = SERVERS; i > 0; i--)
        upper_close(&u[i - 1]);
}

int main(int argc, char **argv)
{
    bool loud = argc > 1 && strcmp(argv[1], "-v") == 0;
    if (loud && event_add_sink(event_sink_stderr, NULL) != E_OK)
        return 1;
#define THREE(test) cmocka_unit_test_setup_teardown(test, three_setup, three_teardown)
    const struct CMUnitTest tests[] = {
        THREE(a_primary_whose_rekeys_are_not_made_loses_the_role),
        THREE(a_primary_whose_threads_do_not_answer_loses_the_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

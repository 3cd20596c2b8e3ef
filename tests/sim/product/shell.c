/* shell.c - what cluster_loop_uv.c and cluster_join_loop_uv.c are in a daemon: turns, one timer, jobs on
 * other threads, the port for join requests. The program links these instead. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

/* ---- turns ---- */

static void on_turn(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    (void)sim;
    if (!live)
        return;
    s->turning = false;
    shell_turn(s);
}

/* Some time passes: what comes meanwhile is of the same turn. */
void shell_turn_soon(struct sim_server *s)
{
    if (!s->up || s->turning)
        return;
    s->turning = true;
    sim_at(s->sim, s->sim->now_ms + sim_below(s->sim, 2), s->index, on_turn, s);
}

static void on_wake(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    if (!live || s->wake_ms > sim->now_ms)
        return;
    s->wake_ms = UINT64_MAX;
    shell_turn(s);
}

static void arm_core(struct sim_server *s)
{
    uint64_t wake = core_wake_ms(s->core), mono = server_mono(s);
    uint64_t at = s->sim->now_ms + (wake > mono ? wake - mono : 1);
    if (wake == UINT64_MAX || at >= s->wake_ms)
        return;
    s->wake_ms = at;
    sim_at(s->sim, at, s->index, on_wake, s);
}

void shell_turn(struct sim_server *s)
{
    enum { ROUNDS = 4 };
    if (!s->up || s->loop == NULL || !s->loop->started)
        return;
    s->loop->callbacks.turn(s->loop->callbacks.context);
    for (int i = 0; i < ROUNDS && s->up && s->core != NULL && core_wake_ms(s->core) <= server_mono(s); i++) {
        core_tick(s->core);
        s->loop->callbacks.turn(s->loop->callbacks.context);
    }
    if (s->up && s->core != NULL)
        arm_core(s);
}

/* ---- cluster_loop.h ---- */

err_t cluster_loop_open(struct cluster_loop **out, struct uv_loop_s *loop,
                        const struct cluster_loop_callbacks *callbacks)
{
    struct sim_server *s = (struct sim_server *)(void *)loop;
    *out = s->loop = sim_alloc(sizeof(**out));
    **out = (struct cluster_loop){.server = s, .callbacks = *callbacks};
    return E_OK;
}

err_t cluster_loop_start(struct cluster_loop *loop)
{
    loop->started = true;
    return E_OK;
}

struct sim_timer {
    struct sim_server *server;
    uint64_t number;
};

static void on_timer(struct sim *sim, void *arg, bool live)
{
    struct sim_timer *t = arg;
    struct cluster_loop *loop = t->server->loop;
    (void)sim;
    if (live && loop != NULL && loop->armed == t->number) {
        loop->callbacks.timer(loop->callbacks.context);
        shell_turn_soon(t->server);
    }
    free(t);
}

void cluster_loop_arm(struct cluster_loop *loop, uint64_t delay_ms)
{
    struct sim_server *s = loop->server;
    struct sim_timer *t = sim_alloc(sizeof(*t));
    *t = (struct sim_timer){s, ++loop->armed};
    sim_at(s->sim, s->sim->now_ms + (delay_ms < 600000 ? delay_ms : 600000), s->index, on_timer, t);
}

struct sim_lane {
    struct sim_server *server;
    enum cluster_lane lane;
};

static void on_job(struct sim *sim, void *arg, bool live)
{
    struct sim_lane *l = arg;
    (void)sim;
    if (live) {
        struct cluster_job *job = l->server->loop->pending[l->lane];
        l->server->loop->pending[l->lane] = NULL;
        job->work(job->context);
        job->done(job->context);
        shell_turn_soon(l->server);
    }
    free(l);
}

void cluster_loop_run(struct cluster_loop *loop, enum cluster_lane lane, struct cluster_job *job)
{
    struct sim_server *s = loop->server;
    struct sim_lane *l = sim_alloc(sizeof(*l));
    *l = (struct sim_lane){s, lane};
    loop->pending[lane] = job;
    sim_at(s->sim, s->sim->now_ms + sim_below(s->sim, s->disk_delay_ms + 1), s->index, on_job, l);
}

/* A disk job that was under way: nothing of it, or some operations. The snapshot's must run, for it holds a
 * transaction. */
void shell_drop(struct sim_server *s)
{
    struct cluster_loop *loop = s->loop;
    if (loop == NULL)
        return;
    for (int lane = 0; lane < 2; lane++) {
        struct cluster_job *job = loop->pending[lane];
        if (job == NULL)
            continue;
        if (!s->disk.dead)
            s->disk.crash_after = (int)sim_below(s->sim, 4);
        job->work(job->context);
        loop->pending[lane] = NULL;
    }
    s->disk.dead = true;
}

struct sim_closed {
    void (*closed)(void *context);
    void *context;
    struct cluster_loop *loop; /* free after it, or NULL */
};

static void on_closed(struct sim *sim, void *arg, bool live)
{
    struct sim_closed *c = arg;
    (void)sim;
    if (live) {
        c->closed(c->context);
        free(c->loop); /* a server that died in between has closed it at once */
    }
    free(c);
}

static void call_later(struct sim_server *s, void (*closed)(void *context), void *context,
                       struct cluster_loop *loop)
{
    struct sim_closed *c = sim_alloc(sizeof(*c));
    *c = (struct sim_closed){closed, context, loop};
    sim_at(s->sim, s->sim->now_ms + 1, s->index, on_closed, c);
}

void cluster_loop_close(struct cluster_loop *loop, void (*closed)(void *context), void *context)
{
    loop->server->loop = NULL;
    if (closed != NULL)
        call_later(loop->server, closed, context, loop);
    else
        free(loop);
}

/* ---- the port for join requests ---- */

struct cluster_join {
    struct sim_server *server;
    struct cluster *cluster;
};

err_t cluster_join_open(struct cluster_join **out, struct cluster *c, struct uv_loop_s *loop,
                        const struct endpoint *at)
{
    struct sim_server *s = (struct sim_server *)(void *)loop;
    (void)at;
    *out = s->join = sim_alloc(sizeof(**out));
    **out = (struct cluster_join){s, c};
    return E_OK;
}

void cluster_join_stop(struct cluster_join *join, void (*done)(void *context), void *context)
{
    call_later(join->server, done, context, NULL);
    join->server->join = NULL;
    free(join);
}

void shell_join_drop(struct sim_server *s)
{
    free(s->join);
    s->join = NULL;
}

struct asking {
    uint8_t *answer;
    size_t len;
    bool done;
};

static void on_answer(void *context, struct bytes answer)
{
    struct asking *a = context;
    if (a->answer == NULL)
        return; /* nobody waits any more */
    memcpy(a->answer, answer.data, answer.len);
    a->len = answer.len;
    a->done = true;
}

static struct sim *asking_sim; /* a joining server blocks: the world goes on beneath it */

err_t cluster_join_ask(const struct endpoint *at, struct bytes request, uint8_t answer[JOIN_ANSWER_MAX],
                       size_t *answer_len, unsigned limit_ms)
{
    static struct asking a;
    struct sim *sim = asking_sim;
    int end = net_end_of(sim, &at->addr);
    if (end < 0 || end >= SIM_SERVER_MAX || sim->servers[end].join == NULL)
        return E_IO;
    struct sim_server *by = &sim->servers[end];
    a = (struct asking){.answer = answer};
    cluster_join_request(by->join->cluster, request, "10.1.0.1", on_answer, &a);
    shell_turn_soon(by);
    uint64_t limit = sim->now_ms + limit_ms;
    while (!a.done && sim_step(sim, limit)) {
    }
    *answer_len = a.len;
    a.answer = NULL;
    return a.done ? (a.len > 0 ? E_OK : E_IO) : E_TIMEOUT;
}

void shell_asking(struct sim *sim)
{
    asking_sim = sim;
}

/* server_ports.c - what the core of a simulated server has of its world: the network, a pool of threads, and
 * the cluster. */
#include <stdlib.h>

#include "tests/sim/product/sim.h"

enum { SIM_POOL_MAX = 2048 };

static void send_one(struct sim_server *s, int to, struct bytes datagram)
{
    uint8_t more[2 * ISAKMP_MESSAGE_MAX];
    if (s->dying || to < 0)
        return;
    if (s->sim->plant != PLANT_NONE)
        datagram = (struct bytes){more, plant_sending(s, datagram, more, sizeof(more))};
    check_sent(s, to, datagram);
    net_send(s->sim, s->index, to, datagram);
    if (s->sim->plant != PLANT_NONE)
        plant_pushed(s, to, datagram);
}

static void port_send(void *context, const struct ike_path *path, struct bytes datagram)
{
    struct sim_server *s = context;
    send_one(s, net_end_of(s->sim, &path->peer.addr), datagram);
}

static size_t port_send_many(void *context, const struct addr *local, struct bytes datagram,
                             const struct endpoint *to, size_t count)
{
    struct sim_server *s = context;
    (void)local;
    if (count > 1 && !s->sim->calm && sim_chance(s->sim, 100))
        count = 1 + sim_below(s->sim, (uint32_t)count - 1); /* the socket takes no more now */
    for (size_t i = 0; i < count; i++)
        send_one(s, net_end_of(s->sim, &to[i].addr), datagram);
    return count;
}

struct computing {
    struct sim_server *server;
    struct job *job;
};

static void on_computed(struct sim *sim, void *arg, bool live)
{
    struct computing *c = arg;
    (void)sim;
    if (live) {
        c->server->jobs--;
        plant_job(c->server, c->job, true);
        job_run(c->job);
        plant_job(c->server, c->job, false);
        core_job_done(c->server->core, c->job);
        shell_turn_soon(c->server);
    } else {
        job_free(c->job);
    }
    free(c);
}

static err_t port_compute(void *context, struct job *job)
{
    struct sim_server *s = context;
    if (s->dying || s->jobs >= SIM_POOL_MAX || (!s->sim->calm && sim_chance(s->sim, 10)))
        return E_FULL;
    struct computing *c = sim_alloc(sizeof(*c));
    *c = (struct computing){s, job};
    s->jobs++;
    sim_at(s->sim, s->sim->now_ms + 1 + sim_below(s->sim, s->sim->calm ? 3 : 20), s->index, on_computed, c);
    return E_OK;
}

/* A proposal's answer comes before on_applied of the same command, and what it sends is checked: so the log
 * is looked at already here. */
struct proposed {
    struct sim_server *server;
    cluster_done_fn done;
    void *context;
    size_t len;
    uint8_t *encoded;
};

static void on_done(void *context, const struct apply_result *result)
{
    struct proposed *p = context;
    struct command command;
    struct reader r = reader_over((struct bytes){p->encoded, p->len});
    bool applied = result->err != E_CANCELED && result->err != E_NO_QUORUM;
    if (applied && command_decode(&r, &command) == E_OK) {
        plant_applied(p->server, &command, result);
        check_applied(p->server, &command, result);
        p->server->looked = true;
        command_close(&command);
    }
    p->done(p->context, result);
    free(p->encoded);
    free(p);
}

err_t server_propose(struct sim_server *s, const struct command *command, cluster_done_fn done, void *context)
{
    static uint8_t buf[BATCH_LEN_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    if (s->dying)
        return E_STATE;
    if (command_encode(&w, command) != E_OK)
        return E_LIMIT;
    struct proposed *p = sim_alloc(sizeof(*p));
    *p = (struct proposed){s, done, context, w.len, sim_copy(writer_bytes(&w))};
    err_t err = cluster_propose(s->cluster, command, on_done, p);
    if (err == E_OK) {
        shell_turn_soon(s);
    } else {
        free(p->encoded);
        free(p);
    }
    return err;
}

static err_t port_propose(void *context, const struct command *command, cluster_done_fn done,
                          void *done_context)
{
    struct sim_server *s = context;
    err_t err = s->sim->plant != PLANT_NONE ? plant_propose(s, command, done, done_context)
                                            : server_propose(s, command, done, done_context);
    if (err == E_OK)
        minority_proposed(s, command);
    return err;
}

static const struct ks_state *port_state(void *context)
{
    return cluster_state(((struct sim_server *)context)->cluster);
}

static const struct wrap_key *port_wrap_key(void *context)
{
    return cluster_wrap_key(((struct sim_server *)context)->cluster);
}

bool server_claims_primary(struct sim_server *s)
{
    return plant_is_primary(s, cluster_is_primary(s->cluster));
}

static bool port_is_primary(void *context)
{
    return server_claims_primary(context);
}

static uint64_t port_cluster_now_ms(void *context)
{
    struct sim_server *s = context;
    return plant_time(s, plant_wall(s, cluster_now_ms(s->cluster)));
}

static enum ks_contact port_contact(void *context)
{
    struct sim_server *s = context;
    return plant_contact(s, cluster_contact(s->cluster));
}

static const uint8_t *port_node_id(void *context)
{
    return cluster_node_id(((struct sim_server *)context)->cluster);
}

struct core_ports server_ports(struct sim_server *s)
{
    return (struct core_ports){.context = s,
                               .send = port_send,
                               .send_many = port_send_many,
                               .compute = port_compute,
                               .propose = port_propose,
                               .state = port_state,
                               .wrap_key = port_wrap_key,
                               .is_primary = port_is_primary,
                               .cluster_now_ms = port_cluster_now_ms,
                               .node_id = port_node_id,
                               .contact = port_contact};
}

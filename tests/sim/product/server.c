/* server.c - one key server: what loop_uv.c is in a daemon, with a way to die. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/product/sim.h"

enum { SIM_ELECTION_MS = 500, SIM_SEGMENT = 64 << 10, SIM_POOL_MAX = 2048, SIM_MARKER_MAX = 64 };

/* ---- clock ---- */

static uint64_t mono(void *context)
{
    const struct sim_server *s = context;
    return s->sim->now_ms + (uint64_t)s->mono_shift;
}

static uint64_t wall(void *context)
{
    const struct sim_server *s = context;
    return sim_epoch_ms + s->sim->now_ms + (uint64_t)s->wall_shift;
}

uint64_t server_mono(const struct sim_server *s)
{
    return s->sim->now_ms + (uint64_t)s->mono_shift;
}

/* ---- ports of the core ---- */

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

/* ---- callbacks of the cluster ---- */

static bool is_healthy(void *context)
{
    const struct sim_server *s = context;
    return s->up && !s->dying && !s->stopping && core_engine_fault(s->core) == NULL;
}

static void on_applied(void *context, const struct command *command, const struct apply_result *result)
{
    struct sim_server *s = context;
    if (!s->looked) {
        plant_applied(s, command, result);
        check_applied(s, command, result);
    }
    s->looked = false;
    core_applied(s->core, command, result);
}

static void on_member_removed(void *context, const struct ks_group *group, const struct ks_member *member)
{
    struct sim_server *s = context;
    check_member_removed(s, group, member);
    core_member_removed(s->core, group, member);
}

static void on_ready(void *context, bool ready, const char *reason)
{
    struct sim_server *s = context;
    sim_trace(s->sim, "server %d: %sready, %s", s->index, ready ? "" : "not ", reason);
    s->ready = ready;
    if (ready || s->sim->plant != PLANT_MINORITY)
        core_ready(s->core, ready);
}

static void on_death(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    if (live)
        server_crash(s, sim_chance(sim, 500), 50 + sim_below(sim, 3000));
}

/* The daemon ends, and its service manager starts it again. */
static void on_fatal(void *context, err_t err, const char *reason)
{
    struct sim_server *s = context;
    sim_trace(s->sim, "server %d: fatal, %s: %s", s->index, reason, err_text(err));
    SIM_CHECK(s->sim, "no needless death", s->disk.dead || s->disk.fails != 0 || s->dying,
              "server %d: %s: %s", s->index, reason, err_text(err));
    s->dying = true;
    sim_at(s->sim, s->sim->now_ms, s->index, on_death, s);
}

/* ---- life ---- */

/* A machine that starts counts its time from somewhere below: so another boot is known from a restart of the
 * process. Its wall clock is what a battery kept, which now and then is far off. */
static void new_boot(struct sim_server *s)
{
    enum { BOOTS_MAX = 1000, BOOT_MS = 10000000 };
    s->mono_shift = (int64_t)(BOOTS_MAX - s->boots++) * BOOT_MS + (int64_t)sim_below(s->sim, 1000000);
    s->wall_shift = (int64_t)sim_below(s->sim, 4000) - 2000;
    if (s->boots > 1 && sim_chance(s->sim, 200))
        server_step_clock(s);
}

/* What NTP, an operator or a flat battery does to a wall clock. Further back than this the certificates of a
 * cluster that is just made are not valid yet (CERT_BACKDATE_S). */
void server_step_clock(struct sim_server *s)
{
    enum { OFF_MAX_MS = 59 * 60 * 1000 };
    s->wall_shift = (int64_t)sim_below(s->sim, 2 * OFF_MAX_MS) - OFF_MAX_MS;
    sim_trace(s->sim, "server %d: wall clock is off by %lld ms", s->index, (long long)s->wall_shift);
}

void server_init(struct sim *sim, int index)
{
    struct sim_server *s = &sim->servers[index];
    *s = (struct sim_server){.sim = sim, .index = index, .founder = index == 0, .lifetime = 1};
    s->addr = addr_v4(10, 1, 11, (uint8_t)(2 + index));
    snprintf(s->dir, sizeof(s->dir), "%.90s/ks%d", sim->dir, index);
    snprintf(s->key, sizeof(s->key), "%.90s/ks%d.key", sim->dir, index);
    s->clock = (struct clock){mono, wall, s};
    new_boot(s);
    s->disk_delay_ms = sim_below(sim, 6);
    sim_disk_init(&s->disk, sim);
    s->config = (struct ksd_config){.path = "ksd.conf",
                                    .listen = {s->addr, GDOI_PORT},
                                    .cluster = {s->addr, CLUSTER_PORT_DEFAULT},
                                    .half_open_max = 64,
                                    .rate_per_s = 200,
                                    .rate_burst = 200,
                                    .minority_serve_s = plant_serve_s(sim, sim->serve_s),
                                    .sign_alg = SIGN_ECDSA_256};
    if (ike_policy_add(&s->config.ike, "aes128-sha256-ecp256") != E_OK)
        abort();
    s->config.ike.lifetime_s = 60 + sim_below(sim, 600);
    if (index == 0 && sim->by_file) {
        s->config.groups = &sim->group;
        s->config.psks = &sim->psk;
        s->config.group_count = s->config.psk_count = 1;
    }
}

static err_t open_core(struct sim_server *s)
{
    struct core_options options = {.config = &s->config,
                                   .clock = &s->clock,
                                   .rng = &s->rng,
                                   .ports = {.context = s,
                                             .send = port_send,
                                             .send_many = port_send_many,
                                             .compute = port_compute,
                                             .propose = port_propose,
                                             .state = port_state,
                                             .wrap_key = port_wrap_key,
                                             .is_primary = port_is_primary,
                                             .cluster_now_ms = port_cluster_now_ms,
                                             .node_id = port_node_id,
                                             .contact = port_contact}};
    return core_open(&s->core, &options);
}

static err_t open_cluster(struct sim_server *s)
{
    struct cluster_options options = {.data_dir = s->dir,
                                      .node_key_file = s->key,
                                      .clock = &s->clock,
                                      .rng = &s->rng,
                                      .loop = (struct uv_loop_s *)(void *)s,
                                      .snapshot_entries = 40,
                                      .wal_segment_len = SIM_SEGMENT,
                                      .disk = &s->disk.ops,
                                      .listen = s->config.cluster,
                                      .priority = (uint8_t)(100 - 10 * s->index),
                                      .election_ms = SIM_ELECTION_MS,
                                      .join = s->join_at,
                                      .join_token = s->token[0] != '\0' ? s->token : NULL,
                                      .is_healthy = is_healthy,
                                      .context = s,
                                      .on_applied = on_applied,
                                      .on_member_removed = on_member_removed,
                                      .on_ready = on_ready,
                                      .on_fatal = on_fatal};
    shell_asking(s->sim);
    return cluster_open(&s->cluster, &options);
}

bool server_boot(struct sim_server *s)
{
    struct sim *sim = s->sim;
    s->rng = rng_seeded_init(&s->seeded, sim_random(sim));
    s->disk.dead = false;
    s->disk.crash_after = -1;
    s->turning = s->dying = s->ready = s->stopping = false;
    s->wake_ms = UINT64_MAX;
    s->jobs = 0;
    s->at_index = s->at_k = 0;
    s->hashed_index = 0;
    memset(s->last_pull, 0, sizeof(s->last_pull));
    memset(s->last_offer, 0, sizeof(s->last_offer));
    err_t err = open_core(s);
    if (err == E_OK)
        err = open_cluster(s);
    if (err == E_OK) {
        memcpy(s->node_id, cluster_node_id(s->cluster), NODE_ID_LEN);
        s->up = true;
        s->up_ms = sim->now_ms;
        s->trust = s->cluster->clock.trust;
        s->tells = false;
        s->at_index = s->cluster->applied_index;
        err = cluster_start(s->cluster);
    }
    sim_trace(sim, "server %d: boots: %s", s->index, err_text(err));
    if (err == E_OK) {
        shell_turn_soon(s);
        return true;
    }
    bool excused = s->disk.dead || s->disk.fails != 0;
    SIM_CHECK(sim, "durability", excused, "server %d does not start: %s", s->index, err_text(err));
    return false;
}

static void on_boot(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    if (!live || s->up)
        return;
    if (!server_boot(s))
        server_crash(s, false, 500 + sim_below(sim, 1000));
}

/* What the store's marker said, so that an end that is none looks like one. */
static size_t marker_read(const struct sim_server *s, char out[SIM_MARKER_MAX])
{
    char path[SIM_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/store/open-in-boot", s->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? read(fd, out, SIM_MARKER_MAX) : -1;
    if (fd >= 0)
        close(fd);
    return len > 0 ? (size_t)len : 0;
}

static void marker_write(const struct sim_server *s, const char *text, size_t len)
{
    char path[SIM_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/store/open-in-boot", s->dir);
    int fd = len > 0 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
        abort();
    if (fd >= 0)
        close(fd);
}

/* Without a sync nothing can be said of the store's pages: here they are rubbish. */
static void spoil_store(struct sim_server *s)
{
    char path[SIM_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/store/data.mdb", s->dir);
    if (sim_chance(s->sim, 500) && truncate(path, (off_t)(4096 * sim_below(s->sim, 12))) != 0)
        return;
    marker_write(s, "another boot", 12);
}

static void let_go(struct sim_server *s)
{
    if (s->cluster != NULL) {
        cluster_drop_proposals(s->cluster, E_CANCELED);
        cluster_forward_drop(s->cluster, E_CANCELED);
        cluster_free(s->cluster);
    }
    s->cluster = NULL;
    shell_join_drop(s);
    core_free(s->core);
    s->core = NULL;
    s->up = s->ready = false;
    s->lost_ms = s->minority_answers = 0;
    memset(s->owes, 0, sizeof(s->owes));
}

void server_crash(struct sim_server *s, bool power, uint64_t back_ms)
{
    char marker[SIM_MARKER_MAX];
    sim_trace(s->sim, "server %d: %s", s->index, power ? "power fails" : "killed");
    s->sim->counts.crashes++;
    s->sim->counts.powers += power;
    s->dying = true;
    shell_drop(s);
    size_t len = marker_read(s, marker);
    link_server_died(s->sim, s->index);
    let_go(s);
    s->lifetime++;
    marker_write(s, marker, len);
    if (power) {
        new_boot(s);
        sim_disk_lose(&s->disk);
        if (len > 0)
            spoil_store(s);
    }
    sim_at(s->sim, s->sim->now_ms + back_ms, s->index, on_boot, s);
}

static void on_stopped_event(struct sim *sim, void *arg, bool live)
{
    struct sim_server *s = arg;
    if (!live)
        return;
    link_server_died(sim, s->index);
    let_go(s);
    s->lifetime++;
    sim_at(sim, sim->now_ms + s->back_ms, s->index, on_boot, s);
}

static void on_cluster_stopped(void *context)
{
    struct sim_server *s = context;
    sim_at(s->sim, s->sim->now_ms, s->index, on_stopped_event, s);
}

void server_stop(struct sim_server *s, uint64_t back_ms)
{
    sim_trace(s->sim, "server %d: is stopped", s->index);
    s->back_ms = back_ms;
    s->stopping = true;
    cluster_stop(s->cluster, on_cluster_stopped, s);
    shell_turn_soon(s);
}

void server_close(struct sim_server *s)
{
    s->dying = true;
    shell_drop(s);
    let_go(s);
    sim_disk_close(&s->disk);
}

void server_datagram(struct sim_server *s, const struct addr *from, struct bytes datagram)
{
    if (!s->up || s->dying || s->stopping)
        return;
    struct ike_path path = {.peer = {*from, GDOI_PORT}, .local = s->addr};
    plant_datagram(s, datagram);
    core_datagram(s->core, &path, datagram);
    shell_turn_soon(s);
}

/* server.c - one key server: what loop_uv.c is in a daemon, with a way to die. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/product/sim.h"

enum { SIM_ELECTION_MS = 500, SIM_SEGMENT = 64 << 10, SIM_MARKER_MAX = 64 };

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
    SIM_CHECK(s->sim, "level", err != E_OLD_BUILD, "server %d ends: %s", s->index, reason);
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
    struct core_options options = {
        .config = &s->config, .clock = &s->clock, .rng = &s->rng, .ports = server_ports(s)};
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
                                      .build = s->build,
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
    upgrade_boot(s);
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
    SIM_CHECK(sim, "level", err != E_OLD_BUILD, "server %d does not start", s->index);
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

#include "server/loop_uv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/sandbox.h"
#include "server/loop_uv_parts.h"

/* ---- ports of the core ---- */

static void port_send(void *context, const struct ike_path *path, struct bytes datagram)
{
    struct server *server = context;
    if (server->udp != NULL)
        udp_queue(server->udp, path, datagram);
}

static size_t port_send_many(void *context, const struct addr *local, struct bytes datagram,
                             const struct endpoint *to, size_t count)
{
    struct server *server = context;
    if (server->udp == NULL)
        return count;       /* nobody is primary without the socket */
    udp_flush(server->udp); /* message 4 of a member that joins goes before its push */
    return udp_send_many(server->udp, local, datagram, to, count);
}

static err_t port_compute(void *context, struct job *job)
{
    return crypto_pool_submit(((struct server *)context)->pool, job);
}

static err_t port_propose(void *context, const struct command *command, cluster_done_fn done,
                          void *done_context)
{
    return cluster_propose(((struct server *)context)->cluster, command, done, done_context);
}

static const struct ks_state *port_state(void *context)
{
    return cluster_state(((struct server *)context)->cluster);
}

static const struct wrap_key *port_wrap_key(void *context)
{
    return cluster_wrap_key(((struct server *)context)->cluster);
}

static bool port_is_primary(void *context)
{
    return cluster_is_primary(((struct server *)context)->cluster);
}

static uint64_t port_cluster_now_ms(void *context)
{
    return cluster_now_ms(((struct server *)context)->cluster);
}

static const uint8_t *port_node_id(void *context)
{
    return cluster_node_id(((struct server *)context)->cluster);
}

static enum ks_contact port_contact(void *context)
{
    const struct server *server = context;
    return server->udp != NULL ? cluster_contact(server->cluster) : CONTACT_NONE; /* it serves nobody */
}

/* ---- what comes in ---- */

static void on_job(void *context, struct job *job)
{
    core_job_done(((struct server *)context)->core, job);
}

static void on_applied(void *context, const struct command *command, const struct apply_result *result)
{
    core_applied(((struct server *)context)->core, command, result);
}

static void on_member_removed(void *context, const struct ks_group *group, const struct ks_member *member)
{
    core_member_removed(((struct server *)context)->core, group, member);
}

/* The role is known by the time that the node table is here. */
static void look_at_role(struct server *server)
{
    err_t err = server->stopping ? E_OK : server_ike_look(server);
    if (err == E_OK)
        return;
    server->result = err;
    server_stop(server, "the port for members cannot be opened");
}

static void on_ready(void *context, bool ready, const char *reason)
{
    struct server *server = context;
    server->not_ready = ready ? "" : reason;
    look_at_role(server);
    core_ready(server->core, ready);
    server_health_update(server);
    server_notify_state(server);
}

static void on_fatal(void *context, err_t err, const char *reason)
{
    struct server *server = context;
    server->result = err; /* the cluster has said why */
    server_stop(server, reason);
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* the turn's end does the work */
}

/* The end of a turn: what is due, then one system call for all that is to be sent, then the next wake-up. */
static void turn_end(struct server *server)
{
    if (server->stopping)
        return;
    uint64_t now_ms = clock_mono_ms(&clock_system);
    if (core_wake_ms(server->core) <= now_ms) {
        core_tick(server->core);
        if (server->health.ready != (core_not_serving(server->core) == NULL))
            server_health_update(server);
    }
    if (server->udp != NULL)
        udp_flush(server->udp);
    uint64_t wake_ms = core_wake_ms(server->core);
    uv_update_time(&server->loop);
    uv_timer_start(&server->timer, on_timer, wake_ms > now_ms ? wake_ms - now_ms : 0, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    turn_end(prepare->data);
}

static void on_check(uv_check_t *check)
{
    struct server *server = check->data;
    if (!server->stopping && server->udp != NULL)
        udp_flush(server->udp);
}

static void on_second(uv_timer_t *timer)
{
    struct server *server = timer->data;
    look_at_role(server);
    if (server->stopping)
        return;
    if (server->udp != NULL) {
        core_lost(server->core, udp_lost(server->udp) - server->lost);
        server->lost = udp_lost(server->udp);
    }
    server_health_update(server);
    server_peers_update(server);
    server_watchdog(server);
}

/* What is bound or opened once stays as it is until the next start, and that is said. */
static bool needs_restart(const struct ksd_config *now, const struct ksd_config *new)
{
    return !endpoint_equal(&now->listen, &new->listen) || !endpoint_equal(&now->api, &new->api) ||
           strcmp(now->data_dir, new->data_dir) != 0 || strcmp(now->node_key_file, new->node_key_file) != 0;
}

static void reload(struct server *server)
{
    struct ksd_config *config = server->options.reload(server->options.context);
    if (config == NULL)
        return;
    if (needs_restart(server->config, config))
        event(CONFIG_ERROR, config->path, 0u,
              "node or api differ: expected a restart for them; the rest is taken over");
    core_configure(server->core, config);
    config_free(server->config);
    server->config = config;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;
    if (number == SIGHUP)
        reload(server);
    else
        server_stop(server, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* ---- start ---- */

static err_t open_core(struct server *server)
{
    struct core_options options = {.config = server->config,
                                   .clock = &clock_system,
                                   .rng = &rng_system,
                                   .ports = {.context = server,
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
    return core_open(&server->core, &options);
}

static bool is_healthy(void *context)
{
    const struct server *server = context;
    return (server->udp != NULL || server_is_witness(server)) && server->core != NULL && !server->stopping &&
           core_engine_fault(server->core) == NULL;
}

static err_t read_token(const struct server *server, char out[JOIN_TOKEN_TEXT_MAX])
{
    const char *given = server->options.join_token;
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = E_OK;
    if (given == NULL && server->config->token_file[0] != '\0') {
        err = disk_read(server->config->token_file, JOIN_TOKEN_TEXT_MAX, &data, &len);
        if (err == E_NOT_FOUND)
            err = E_OK; /* removed after the join */
    } else if (given != NULL) {
        len = strlen(given);
    }
    const char *text = data != NULL ? (const char *)data : given;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' '))
        len--;
    if (len >= JOIN_TOKEN_TEXT_MAX)
        err = E_LIMIT;
    if (err == E_OK && len > 0)
        memcpy(out, text, len);
    out[err == E_OK ? len : 0] = '\0';
    if (data != NULL)
        secret_wipe(data, len);
    free(data);
    return err;
}

static err_t open_cluster(struct server *server)
{
    char token[JOIN_TOKEN_TEXT_MAX];
    err_t err = read_token(server, token);
    if (err != E_OK) {
        event(JOIN_FAILED, err_text(err));
        return err;
    }
    struct cluster_options options = {.data_dir = server->config->data_dir,
                                      .node_key_file = server->config->node_key_file,
                                      .clock = &clock_system,
                                      .rng = &rng_system,
                                      .loop = &server->loop,
                                      .listen = server->config->cluster,
                                      .advertise = server->config->advertise,
                                      .priority = server->config->priority,
                                      .election_ms = server->config->election_ms,
                                      .join = server->config->join,
                                      .join_token = token[0] != '\0' ? token : NULL,
                                      .is_healthy = is_healthy,
                                      .context = server,
                                      .on_applied = on_applied,
                                      .on_member_removed = on_member_removed,
                                      .on_ready = on_ready,
                                      .on_fatal = on_fatal};
    err = cluster_open(&server->cluster, &options);
    secret_wipe(token, sizeof(token));
    if (err != E_OK && err != E_OLD_BUILD) /* which was told */
        event(STORAGE_FAILED, server->config->data_dir, err_text(err));
    return err;
}

static void init_handles(struct server *server)
{
    static const int signals[SERVER_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    uv_timer_init(&server->loop, &server->timer);
    uv_timer_init(&server->loop, &server->second);
    uv_prepare_init(&server->loop, &server->prepare);
    uv_check_init(&server->loop, &server->check);
    server->timer.data = server->second.data = server->prepare.data = server->check.data = server;
    for (size_t i = 0; i < SERVER_SIGNALS; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
        uv_signal_start(&server->signals[i], on_signal, signals[i]);
    }
    server->handles = true;
    server_ike_watch(server);
}

/* A kernel that takes no filter is no reason not to serve. */
static void enter_sandbox(const struct server *server)
{
    err_t err = sandbox_enter(server_may_be_witness(server) ? SANDBOX_JOINER : SANDBOX_SERVER);
    if (err != E_OK)
        event(SANDBOX_OPEN, "ksd", err_text(err));
}

static err_t open_all(struct server *server)
{
    err_t err = server_may_be_witness(server) ? E_OK : server_ike_bind(server);
    if (err == E_OK)
        err = server_api_bind(server);
    if (err == E_OK)
        enter_sandbox(server);
    if (err == E_OK)
        err = crypto_pool_open(&server->pool, &server->loop, on_job, server);
    if (err == E_OK)
        err = open_core(server);
    if (err == E_OK)
        err = open_cluster(server);
    if (err == E_OK)
        err = server_ike_look(server); /* known already, unless the table comes from the others */
    if (err == E_OK)
        err = server_api_open(server);
    if (err != E_OK)
        return err;
    init_handles(server);
    return cluster_start(server->cluster);
}

err_t server_open(struct server **out, const struct server_options *options)
{
    *out = NULL;
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return E_NO_MEMORY;
    server->options = *options;
    server->config = options->config;
    server->not_ready = "starting";
    server->started_ms = clock_mono_ms(&clock_system);
    server->started_wall_ms = clock_wall_ms(&clock_system);
    pthread_mutex_init(&server->health_lock, NULL);
    crypto_pool_threads();
    err_t err = uv_loop_init(&server->loop) == 0 ? E_OK : E_IO;
    server->loop_open = err == E_OK;
    if (err == E_OK)
        err = open_all(server);
    if (err != E_OK) {
        server_free(server);
        return err;
    }
    *out = server;
    return E_OK;
}

err_t server_run(struct server *server)
{
    char text[ADDR_TEXT_MAX];
    uv_timer_start(&server->second, on_second, 0, 1000);
    uv_prepare_start(&server->prepare, on_prepare);
    uv_check_start(&server->check, on_check);
    struct endpoint listen = server->udp != NULL ? udp_endpoint(server->udp) : (struct endpoint){0};
    event(STARTED, "ksd", QUORATE_VERSION,
          server->udp != NULL ? endpoint_format(&listen, text) : "no port for members");
    server_notify_ready(server);
    uv_run(&server->loop, UV_RUN_DEFAULT);
    return server->result;
}

/* ---- stop ---- */

static void close_handles(struct server *server)
{
    if (!server->handles)
        return;
    server->handles = false;
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->second, NULL);
    uv_close((uv_handle_t *)&server->prepare, NULL);
    uv_close((uv_handle_t *)&server->check, NULL);
    server_ike_unwatch(server);
    for (size_t i = 0; i < SERVER_SIGNALS; i++)
        uv_close((uv_handle_t *)&server->signals[i], NULL);
}

static void on_stopped(void *context)
{
    struct server *server = context;
    server->cluster_stopped = true;
}

void server_stop(struct server *server, const char *reason)
{
    if (server->stopping)
        return;
    event(STOPPED, "ksd", reason);
    server_notify_stopping(server);
    server->stopping = true;
    if (server->udp != NULL)
        udp_flush(server->udp);
    server_api_close(server);
    crypto_pool_stop(server->pool);
    close_handles(server);
    cluster_stop(server->cluster, on_stopped, server);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    server->stopping = true;
    server_api_close(server);
    close_handles(server);
    if (server->pool != NULL)
        crypto_pool_stop(server->pool);
    if (server->cluster != NULL && !server->cluster_stopped)
        cluster_stop(server->cluster, on_stopped, server);
    if (server->loop_open)
        uv_run(&server->loop, UV_RUN_DEFAULT);
    cluster_free(server->cluster);
    core_free(server->core);
    crypto_pool_free(server->pool);
    udp_free(server->udp);
    if (server->loop_open)
        uv_loop_close(&server->loop);
    config_free(server->config);
    pthread_mutex_destroy(&server->health_lock);
    free(server);
}

/* api_loop_uv.c - what the loop has to do with the outside that manages it: the REST API's mailbox and
 * health, and systemd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "server/loop_uv_parts.h"

/* ---- mailbox ---- */

struct asked {
    struct server *server;
    uint64_t id;
};

static void answer(struct server *server, uint64_t id, err_t err, uint32_t seq)
{
    struct cluster_status status = {0};
    cluster_status(server->cluster, &status);
    struct mail_answer out = {.err = err, .seq = seq, .index = status.applied_index};
    mailbox_answer(server->mailbox, id, &out);
}

static void on_rekey(void *context, err_t err, uint32_t seq)
{
    struct asked *asked = context;
    if (asked->server->mailbox != NULL)
        answer(asked->server, asked->id, err, seq);
    free(asked);
}

static void take(struct server *server, const struct mail *mail)
{
    struct asked *asked = malloc(sizeof(*asked));
    err_t err = asked == NULL ? E_NO_MEMORY : E_UNSUPPORTED;
    if (asked != NULL)
        *asked = (struct asked){server, mail->id};
    if (asked != NULL && mail->kind == MAIL_REKEY)
        err = core_rekey(server->core, mail->group, on_rekey, asked);
    if (err != E_OK) {
        free(asked);
        answer(server, mail->id, err, 0);
    }
}

static void on_mail(uv_async_t *async)
{
    struct server *server = async->data;
    struct mail mail;
    while (!server->stopping && mailbox_take(server->mailbox, &mail))
        take(server, &mail);
}

/* HTTP thread. */
static void wake(void *context)
{
    uv_async_send(&((struct server *)context)->mail_wake);
}

/* ---- health ---- */

void server_health_update(struct server *server)
{
    struct cluster_status status = {0};
    struct api_health health = {.live = true,
                                .primary = cluster_is_primary(server->cluster),
                                .listen = udp_endpoint(server->udp),
                                .started_ms = server->started_wall_ms};
    const char *why = cluster_ready(server->cluster) ? core_not_serving(server->core) : server->not_ready;
    health.ready = why == NULL;
    cluster_status(server->cluster, &status);
    snprintf(health.reason, sizeof(health.reason), "%s", health.ready ? "" : why);
    snprintf(health.raft_role, sizeof(health.raft_role), "%s", status.role != NULL ? status.role : "");
    health.term = status.term;
    health.commit_index = status.commit_index;
    health.applied_index = status.applied_index;
    health.coop_epoch = status.coop_epoch;
    memcpy(health.node_id, cluster_node_id(server->cluster), NODE_ID_LEN);
    pthread_mutex_lock(&server->health_lock);
    server->health = health;
    server->health_mono_ms = clock_mono_ms(&clock_system);
    server->health_cluster_ms = cluster_now_ms(server->cluster);
    pthread_mutex_unlock(&server->health_lock);
}

/* HTTP thread. */
static void health_read(void *context, struct api_health *out)
{
    struct server *server = context;
    pthread_mutex_lock(&server->health_lock);
    *out = server->health;
    out->live = clock_mono_ms(&clock_system) - server->health_mono_ms < LIVE_MS;
    pthread_mutex_unlock(&server->health_lock);
}

/* HTTP thread. */
static uint64_t cluster_time(void *context)
{
    struct server *server = context;
    pthread_mutex_lock(&server->health_lock);
    uint64_t now_ms = server->health_cluster_ms + (clock_mono_ms(&clock_system) - server->health_mono_ms);
    pthread_mutex_unlock(&server->health_lock);
    return now_ms;
}

/* ---- the server ---- */

err_t server_api_bind(struct server *server)
{
    if (uv_async_init(&server->loop, &server->mail_wake, on_mail) != 0)
        return E_IO;
    server->mail_wake.data = server;
    server->mail_open = true;
    return mailbox_open(&server->mailbox, wake, server);
}

err_t server_api_open(struct server *server)
{
    char text[ADDR_TEXT_MAX];
    struct api_options options = {.listen = server->config->api,
                                  .store = cluster_store(server->cluster),
                                  .ring = server->options.ring,
                                  .mailbox = server->mailbox,
                                  .context = server,
                                  .health = health_read,
                                  .now_ms = cluster_time};
    server_health_update(server);
    err_t err = http_server_open(&server->http, &options);
    if (err != E_OK) {
        event(SOCKET_ERROR, "REST API", endpoint_format(&server->config->api, text), err_text(err));
        return err;
    }
    struct endpoint listen = http_server_endpoint(server->http);
    event(API_LISTENING, endpoint_format(&listen, text));
    return E_OK;
}

void server_api_close(struct server *server)
{
    http_server_free(server->http); /* joins its thread: nobody wakes us after it */
    server->http = NULL;
    if (server->mail_open)
        uv_close((uv_handle_t *)&server->mail_wake, NULL);
    server->mail_open = false;
    mailbox_free(server->mailbox);
    server->mailbox = NULL;
}

/* ---- systemd ---- */

void server_notify_ready(struct server *server)
{
    uint64_t watchdog_us = 0;
    if (sd_watchdog_enabled(0, &watchdog_us) > 0)
        server->watchdog_ms = watchdog_us / 1000;
    sd_notify(0, "READY=1");
}

void server_notify_state(struct server *server)
{
    sd_notifyf(0, "STATUS=%s", server->not_ready[0] == '\0' ? "serving" : server->not_ready);
}

void server_notify_stopping(struct server *server)
{
    (void)server;
    sd_notify(0, "STOPPING=1");
}

/* Each second: that is often enough for any WatchdogSec of two seconds and more. */
void server_watchdog(struct server *server)
{
    if (server->watchdog_ms != 0)
        sd_notify(0, "WATCHDOG=1");
}

/* api_loop_uv.c - what the loop has to do with the outside that manages it: the REST API's mailbox and
 * health, and systemd. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/hex.h"
#include "server/loop_uv_parts.h"

/* ---- mailbox ---- */

struct asked {
    struct server *server;
    uint64_t id;
};

/* A command that waits for the upgrade of other servers says so, with its numbers. */
static void level_text(const struct cluster_status *status, err_t err, char out[MAIL_TEXT_MAX])
{
    if (err == E_UNSUPPORTED && status->level_refused != 0)
        snprintf(out, MAIL_TEXT_MAX,
                 "all key servers must run a build of level %u first; the cluster is at %u",
                 status->level_refused, status->level);
}

static void answer(struct server *server, uint64_t id, err_t err, uint32_t seq)
{
    struct cluster_status status = {0};
    cluster_status(server->cluster, &status);
    struct mail_answer out = {.err = err, .seq = seq, .index = status.applied_index};
    level_text(&status, err, out.text);
    mailbox_answer(server->mailbox, id, &out);
}

static void on_rekey(void *context, err_t err, uint32_t seq)
{
    struct asked *asked = context;
    if (asked->server->mailbox != NULL)
        answer(asked->server, asked->id, err, seq);
    free(asked);
}

/* A proposal of an operator, with what is to be told when it is committed. */
struct proposed {
    struct server *server;
    uint64_t id;
    enum mailbox_kind kind;
    char text[MAIL_TEXT_MAX];
};

static void on_proposed(void *context, const struct apply_result *result)
{
    struct proposed *p = context;
    struct cluster_status status = {0};
    cluster_status(p->server->cluster, &status);
    const struct cluster_record *cluster = &cluster_state(p->server->cluster)->cluster;
    struct mail_answer out = {.err = result->err, .index = status.applied_index, .seq = cluster->coop_epoch};
    memcpy(out.text, p->text, sizeof(out.text));
    if (p->kind == MAIL_STEP_DOWN)
        (void)hex_text(out.text, cluster->primary_id, NODE_ID_LEN);
    if (p->kind == MAIL_TRANSFER)
        snprintf(out.text, sizeof(out.text), "%016llx", (unsigned long long)status.leader);
    level_text(&status, result->err, out.text);
    if (p->server->mailbox != NULL)
        mailbox_answer(p->server->mailbox, p->id, &out);
    secret_wipe(p, sizeof(*p));
    free(p);
}

static err_t ask_cluster(struct server *server, const struct mail *mail, const uint8_t *id,
                         struct proposed *p)
{
    switch (mail->kind) {
    case MAIL_JOIN_TOKEN:
        return cluster_token_make(server->cluster, (enum join_role)mail->number, p->text, on_proposed, p);
    case MAIL_ENROL_TOKEN:
        return cluster_enrol_token(server->cluster, mail->group, &mail->member, p->text, on_proposed, p);
    case MAIL_ENROL_REVOKE:
        return cluster_enrol_revoke(server->cluster, &mail->member, on_proposed, p);
    case MAIL_NODE_REMOVE:
        return cluster_node_remove(server->cluster, id, on_proposed, p);
    case MAIL_TRANSFER:
        return cluster_transfer(server->cluster, mail->group[0] != '\0' ? id : NULL, on_proposed, p);
    case MAIL_STEP_DOWN:
        return cluster_step_down(server->cluster, on_proposed, p);
    case MAIL_PRIORITY:
        return cluster_priority(server->cluster, id, (uint8_t)mail->number, on_proposed, p);
    case MAIL_STATE_MARK:
        return cluster_mark(server->cluster, on_proposed, p);
    default:
        return E_UNSUPPORTED;
    }
}

static void take_cluster(struct server *server, const struct mail *mail)
{
    struct proposed *p = calloc(1, sizeof(*p));
    uint8_t id[NODE_ID_LEN] = {0};
    err_t err = p == NULL ? E_NO_MEMORY : E_OK;
    if (p != NULL)
        *p = (struct proposed){.server = server, .id = mail->id, .kind = mail->kind};
    bool named = mail->group[0] != '\0' && mail->kind != MAIL_ENROL_TOKEN; /* whose group is a group */
    for (size_t i = 0; i < 2 * NODE_ID_LEN && named; i++) {
        char c = mail->group[i];
        id[i / 2] = (uint8_t)(id[i / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
    }
    if (err == E_OK && mail->kind == MAIL_CERT_RENEW) {
        free(p); /* nothing is waited for: the server's row tells when it is done */
        answer(server, mail->id, cluster_cert_renew(server->cluster, id), 0);
        return;
    }
    if (err == E_OK)
        err = ask_cluster(server, mail, id, p);
    if (err == E_OK)
        return;
    free(p);
    answer(server, mail->id, err, 0);
}

static void on_backup(void *context, err_t err, uint64_t index, uint8_t *file, size_t len)
{
    struct asked *asked = context;
    struct mail_answer out = {.err = err, .index = index, .octets = file, .octets_len = len};
    if (asked->server->mailbox != NULL)
        mailbox_answer(asked->server->mailbox, asked->id, &out);
    else
        free(file);
    free(asked);
}

static void take_backup(struct server *server, const struct mail *mail)
{
    struct asked *asked = malloc(sizeof(*asked));
    err_t err = asked == NULL ? E_NO_MEMORY : E_OK;
    if (asked != NULL) {
        *asked = (struct asked){server, mail->id};
        err = cluster_backup(server->cluster, server->config->backup_key_file, on_backup, asked);
    }
    if (err == E_OK)
        return;
    free(asked);
    answer(server, mail->id, err, 0);
}

static void take(struct server *server, const struct mail *mail)
{
    if (mail->kind == MAIL_BACKUP) {
        take_backup(server, mail);
        return;
    }
    if (mail->kind != MAIL_REKEY && mail->kind != MAIL_SIGNING_ROTATE) {
        take_cluster(server, mail);
        return;
    }
    struct asked *asked = malloc(sizeof(*asked));
    err_t err = E_NO_MEMORY;
    if (asked != NULL)
        *asked = (struct asked){server, mail->id};
    if (asked != NULL && mail->kind == MAIL_REKEY)
        err = core_rekey(server->core, mail->group, on_rekey, asked);
    else if (asked != NULL)
        err = core_signing_rotate(server->core, on_rekey, asked);
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

/* Ready, but degraded: probes leave the server where it is, people see why. Empty when it is not so. */
static void degraded_text(const struct server *server, char out[API_REASON_MAX])
{
    const char *fault = core_engine_fault(server->core);
    if (out[0] == '\0' && fault != NULL)
        snprintf(out, API_REASON_MAX, "degraded: rekey engine: %s", fault);
}

/* The same. until_ms 0: it is not so. */
static bool minority_text(uint64_t until_ms, char out[API_REASON_MAX])
{
    char when[32] = "";
    struct tm tm;
    out[0] = '\0';
    if (until_ms == 0)
        return false;
    time_t seconds = (time_t)(until_ms / 1000);
    if (gmtime_r(&seconds, &tm) != NULL && strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        when[0] = '\0';
    snprintf(out, API_REASON_MAX, "minority: serving committed keys until %s", when);
    return true;
}

static uint64_t minority_ms(const struct server *server)
{
    uint64_t until_ms;
    return core_minority_until(server->core, &until_ms) ? until_ms : 0;
}

/* Why members are not served; NULL: they are. */
static const char *why_not(struct server *server, bool degraded)
{
    const char *why = core_not_serving(server->core);
    if (why == NULL || degraded || core_in_minority(server->core) || cluster_ready(server->cluster))
        return why;
    const char *alone = cluster_alone(server->cluster);
    if (alone == NULL || clock_mono_ms(&clock_system) < server->started_ms + ALONE_AFTER_MS)
        return server->not_ready;
    if (!server->alone_told && !server_is_witness(server))
        event(KS_ALONE, alone);
    server->alone_told = true;
    return alone;
}

void server_health_update(struct server *server)
{
    struct cluster_status status = {0};
    struct api_health health = {.live = true,
                                .primary = cluster_is_primary(server->cluster),
                                .witness = server_is_witness(server),
                                .started_ms = server->started_wall_ms};
    char minority[API_REASON_MAX];
    if (server->udp != NULL)
        health.listen = udp_endpoint(server->udp);
    health.minority_ms = minority_ms(server);
    bool degraded = minority_text(health.minority_ms, minority);
    degraded_text(server, minority);
    const char *why = why_not(server, degraded);
    if (health.witness)
        why = cluster_ready(server->cluster) ? NULL : server->not_ready;
    health.ready = why == NULL;
    cluster_status(server->cluster, &status);
    if (health.witness)
        snprintf(minority, sizeof(minority), "witness: votes and stores, serves no members");
    snprintf(health.reason, sizeof(health.reason), "%s", health.ready ? minority : why);
    snprintf(health.raft_role, sizeof(health.raft_role), "%s", status.role != NULL ? status.role : "");
    health.term = status.term;
    health.commit_index = status.commit_index;
    health.applied_index = status.applied_index;
    health.voters = status.voters;
    health.coop_epoch = status.coop_epoch;
    memcpy(health.node_id, cluster_node_id(server->cluster), NODE_ID_LEN);
    pthread_mutex_lock(&server->health_lock);
    server->health = health;
    server->health_mono_ms = clock_mono_ms(&clock_system);
    server->health_cluster_ms = cluster_now_ms(server->cluster);
    pthread_mutex_unlock(&server->health_lock);
}

/* Each second. The hash reads the whole state, so it is taken only while somebody looks at it. */
void server_peers_update(struct server *server)
{
    struct api_cluster next = server->peers; /* only this thread writes it */
    struct cluster_peer_status peers[KS_NODE_MAX];
    struct cluster_status status = {0};
    if (server->stopping)
        return;
    const struct ks_state *state = cluster_state(server->cluster);
    cluster_status(server->cluster, &status);
    next.node_count = cluster_peers(server->cluster, peers);
    for (size_t i = 0; i < next.node_count; i++)
        next.nodes[i] =
            (struct api_node){peers[i].node,      peers[i].self,     peers[i].primary,       peers[i].leader,
                              peers[i].connected, peers[i].heard_ms, peers[i].applied_index, peers[i].level};
    memcpy(next.cluster_id, state->cluster.cluster_id, CLUSTER_ID_LEN);
    next.coop_epoch = state->cluster.coop_epoch;
    next.term = status.term;
    next.voters = status.voters;
    memcpy(next.mark_hash, status.mark.hash, sizeof(next.mark_hash));
    next.mark_index = status.mark.index;
    next.diverged = status.diverged;
    next.divergences = status.divergences;
    next.disk_slow = status.disk_slow;
    next.join_refused = status.join_refused;
    next.level = status.level;
    next.minority_ms = minority_ms(server);
    bool looked_at = atomic_load(&server->peers_read_ms) + HASH_LOOK_MS > clock_mono_ms(&clock_system);
    if (looked_at && next.hash_index != status.applied_index && ks_state_hash(state, next.state_hash) == E_OK)
        next.hash_index = status.applied_index;
    pthread_mutex_lock(&server->health_lock);
    server->peers = next;
    pthread_mutex_unlock(&server->health_lock);
}

/* HTTP thread. */
static void peers_read(void *context, struct api_cluster *out)
{
    struct server *server = context;
    atomic_store(&server->peers_read_ms, clock_mono_ms(&clock_system));
    pthread_mutex_lock(&server->health_lock);
    *out = server->peers;
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

/* HTTP thread; the counters are atomic. */
static char *metrics_read(void *context)
{
    struct server *server = context;
    struct api_health health;
    health_read(context, &health);
    return metrics_text(core_metrics(server->core), &health);
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
                                  .cluster = peers_read,
                                  .metrics = metrics_read,
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

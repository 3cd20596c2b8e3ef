/* loop_uv_parts.h - the inside of the shell: loop_uv.c (loop and core) and api_loop_uv.c (REST, health,
 * service manager). */
#ifndef SERVER_LOOP_UV_PARTS_H
#define SERVER_LOOP_UV_PARTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "api/http_server.h"
#include "server/core.h"
#include "server/crypto_pool.h"
#include "server/loop_uv.h"
#include "server/udp.h"

enum {
    SERVER_SIGNALS = 3,
    HASH_LOOK_MS = 10000, /* the state's hash is kept up for that long after somebody looked at it */
    ALONE_AFTER_MS = 3000, /* without a quorum since the start for so long: why nobody is served is told */
    LIVE_MS = 5000,       /* the loop counts as alive for that long after a turn */
};

struct server {
    struct server_options options;
    struct ksd_config *config;
    uv_loop_t loop;
    bool loop_open;
    bool handles; /* the ones below are open */
    uv_poll_t poll; /* of the socket for members, while polling */
    bool polling;
    bool role_known; /* with or without that socket: it was decided */
    uv_timer_t timer;
    uv_timer_t second;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_signal_t signals[SERVER_SIGNALS];
    uv_async_t mail_wake;
    bool mail_open;
    struct udp *udp; /* NULL: a witness, or the role is not known yet */
    uint64_t lost; /* datagrams lost and counted */
    struct crypto_pool *pool;
    struct cluster *cluster;
    struct core *core;
    struct mailbox *mailbox;
    struct http_server *http;
    bool stopping;
    bool cluster_stopped;
    err_t result;
    const char *not_ready; /* static text, empty when ready */
    uint64_t started_wall_ms;
    uint64_t started_ms; /* monotonic */
    bool alone_told;
    uint64_t watchdog_ms; /* 0: the service manager wants none */
    pthread_mutex_t health_lock;
    struct api_health health;            /* under the lock */
    struct api_cluster peers;            /* under the lock */
    atomic_uint_least64_t peers_read_ms; /* when somebody looked at them last */
    uint64_t health_mono_ms;             /* of its last update */
    uint64_t health_cluster_ms;          /* cluster time then */
};

void server_stop(struct server *server, const char *reason);

/* ike_loop_uv.c: the socket for members. Bind it; E_IO was told. Have it read, once the handles are there; no more. */
err_t server_ike_bind(struct server *server) MUST_USE;
void server_ike_watch(struct server *server);
void server_ike_unwatch(struct server *server);
/* Binds it, or closes it, once the role is known. As server_ike_bind. */
err_t server_ike_look(struct server *server) MUST_USE;
bool server_may_be_witness(const struct server *server); /* its file says that it joined, or is to */
bool server_is_witness(const struct server *server);

/* REST: the mailbox before privileges go, the server once the store is open. */
err_t server_api_bind(struct server *server) MUST_USE;
err_t server_api_open(struct server *server) MUST_USE;
void server_api_close(struct server *server);
void server_health_update(struct server *server);
void server_peers_update(struct server *server);

/* systemd: sd_notify(3); without a service manager these do nothing. */
void server_notify_ready(struct server *server);
void server_notify_state(struct server *server);
void server_notify_stopping(struct server *server);
void server_watchdog(struct server *server);

#endif

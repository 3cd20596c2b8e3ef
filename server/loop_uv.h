/* loop_uv.h - the shell around the core: one libuv loop with the UDP socket, the timer, the pool, the
 * cluster, the mailbox of the API and the signals. What a turn wants sent goes out together at its end. */
#ifndef SERVER_LOOP_UV_H
#define SERVER_LOOP_UV_H

#include "base/event.h"
#include "server/config.h"

struct server_options {
    struct ksd_config *config; /* taken */
    struct event_ring *ring;
    const char *join_token; /* first start: join with it; NULL: as the configuration says */
    /* SIGHUP: another configuration, or NULL if the file is wrong (it has been reported then). */
    struct ksd_config *(*reload)(void *context);
    void *context;
};

struct server;
/* Binds sockets, drops privileges, opens the cluster. Reports what fails as an event. */
err_t server_open(struct server **out, const struct server_options *options) MUST_USE;
/* Until SIGTERM, SIGINT or a fatal error. E_OK after an orderly stop. */
err_t server_run(struct server *server) MUST_USE;
void server_free(struct server *server); /* NULL is fine */

#endif

/* The shell around the hub: a listener, sockets and one timer in the loop. What a turn of the loop wants sent
 * leaves before the loop waits again. */
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_transport_uv.h"

static void on_handle_closed(uv_handle_t *handle)
{
    struct raft_transport *t = handle->data;
    if (--t->handles != 0)
        return;
    t->closed = true;
    if (t->done != NULL)
        t->done(t->done_context);
}

static void close_handles(struct raft_transport *t)
{
    uv_close((uv_handle_t *)&t->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&t->timer, on_handle_closed);
    if (t->listening)
        uv_close((uv_handle_t *)&t->listener, on_handle_closed);
    t->listening = false;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer; /* turn comes right after */
}

static void do_slot(struct raft_transport *t, int slot)
{
    struct conn *conn = t->slots[slot];
    switch (t->hub->slots[slot].state) {
    case SLOT_DIAL:
        conn_dial(t, slot);
        break;
    case SLOT_LINK:
    case SLOT_DRAIN:
        if (conn != NULL)
            conn_flush(conn);
        break;
    case SLOT_DEAD:
        if (conn != NULL)
            conn_close(conn);
        else
            hub_released(t->hub, slot);
        break;
    default:
        break;
    }
}

/* Is there something to do in the next turn, without any event? */
static bool has_more(const struct raft_transport *t, int slot)
{
    const struct conn *conn = t->slots[slot];
    const struct hub_slot *s = &t->hub->slots[slot];
    if (s->state == SLOT_DEAD || s->state == SLOT_DIAL)
        return true;
    return conn != NULL && conn->is_open && !conn->writing && !conn->shut && s->link != NULL &&
           transport_link_has_output(s->link);
}

static void turn(uv_prepare_t *prepare)
{
    struct raft_transport *t = prepare->data;
    uint64_t now = uv_now(t->loop);
    if (uv_is_closing((uv_handle_t *)prepare))
        return;
    if (t->accept_waits)
        conn_accept(t);
    if (now >= hub_deadline(t->hub))
        hub_tick(t->hub, now);
    bool again = false;
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        do_slot(t, i);
        again = again || has_more(t, i);
    }
    if (t->stopping && t->conns == 0 && hub_is_idle(t->hub)) {
        close_handles(t);
        return;
    }
    uint64_t deadline = hub_deadline(t->hub);
    uv_timer_start(&t->timer, on_timer, again || deadline <= now ? 0 : deadline - now, 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct raft_transport *t = listener->data;
    if (status == 0)
        conn_accept(t);
}

static err_t uv_err(int status)
{
    switch (status) {
    case UV_EADDRINUSE:
        return E_EXISTS;
    case UV_EACCES:
    case UV_EPERM:
        return E_PERMISSION;
    case UV_ENOMEM:
        return E_NO_MEMORY;
    default:
        return E_IO;
    }
}

static err_t listen_at(struct raft_transport *t, const struct endpoint *endpoint)
{
    struct sockaddr_storage sa;
    if (endpoint_to_sockaddr(endpoint, &sa) == 0)
        return E_OK;
    int status = uv_tcp_init(t->loop, &t->listener);
    if (status != 0)
        return uv_err(status);
    t->listener.data = t;
    t->listening = true;
    t->handles++;
    status = uv_tcp_bind(&t->listener, (const struct sockaddr *)&sa, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&t->listener, LISTEN_BACKLOG, on_connection);
    return status == 0 ? E_OK : uv_err(status);
}

/* An open that failed half-way: the handles go with the next turns of the loop, and the memory with them. */
static void on_failed_closed(uv_handle_t *handle)
{
    struct raft_transport *t = handle->data;
    if (--t->handles == 0)
        free(t);
}

err_t raft_transport_open(struct raft_transport **out, const struct raft_transport_options *options)
{
    struct raft_transport *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        transport_tls_free(options->tls);
        return E_NO_MEMORY;
    }
    t->loop = options->loop;
    err_t err = hub_open(&t->hub, options, uv_now(options->loop));
    if (err != E_OK) {
        free(t);
        return err;
    }
    err = listen_at(t, &options->listen);
    if (err != E_OK) {
        hub_free(t->hub);
        if (t->listening)
            uv_close((uv_handle_t *)&t->listener, on_failed_closed);
        else
            free(t);
        return err;
    }
    uv_prepare_init(t->loop, &t->prepare);
    uv_timer_init(t->loop, &t->timer);
    t->prepare.data = t->timer.data = t;
    t->handles += 2;
    uv_prepare_start(&t->prepare, turn);
    *out = t;
    return E_OK;
}

void raft_transport_stop(struct raft_transport *t, void (*done)(void *context), void *context)
{
    if (t->stopping)
        return;
    t->stopping = true;
    t->done = done;
    t->done_context = context;
    if (t->listening)
        uv_close((uv_handle_t *)&t->listener, on_handle_closed);
    t->listening = false;
    t->accept_waits = false;
    hub_stop(t->hub, uv_now(t->loop));
}

void raft_transport_free(struct raft_transport *t)
{
    if (t == NULL)
        return;
    hub_free(t->hub);
    free(t);
}

struct endpoint raft_transport_listening(const struct raft_transport *t)
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    if (!t->listening || uv_tcp_getsockname(&t->listener, (struct sockaddr *)&sa, &len) != 0)
        return (struct endpoint){0};
    return endpoint_from_sockaddr((const struct sockaddr *)&sa);
}

err_t raft_transport_set_peers(struct raft_transport *t, const struct transport_peer *peers, size_t count)
{
    return hub_set_peers(t->hub, uv_now(t->loop), peers, count);
}

err_t raft_transport_set_revoked(struct raft_transport *t, const uint8_t (*ids)[NODE_ID_LEN], size_t count)
{
    return hub_set_revoked(t->hub, uv_now(t->loop), ids, count);
}

err_t raft_transport_renew(struct raft_transport *t, struct transport_tls *tls)
{
    return hub_renew(t->hub, tls);
}

err_t raft_transport_send(struct raft_transport *t, const uint8_t id[NODE_ID_LEN], uint8_t kind,
                          struct bytes body)
{
    return hub_send(t->hub, id, kind, body);
}

err_t raft_transport_send_snapshot(struct raft_transport *t, const uint8_t id[NODE_ID_LEN], uint64_t index,
                                   struct bytes message, const struct snapshot_source *source)
{
    return hub_send_snapshot(t->hub, id, index, message, source);
}

err_t raft_transport_peer_stats(const struct raft_transport *t, const uint8_t id[NODE_ID_LEN],
                                struct transport_peer_stats *out)
{
    return hub_peer_stats(t->hub, id, out);
}

void raft_transport_stats(const struct raft_transport *t, struct transport_stats *out)
{
    hub_stats(t->hub, out);
}

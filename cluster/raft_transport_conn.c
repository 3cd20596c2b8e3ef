/* One socket of the transport. */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_transport_uv.h"

static uint64_t now_of(const struct raft_transport *t)
{
    return uv_now(t->loop);
}

static struct conn *conn_make(struct raft_transport *t)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL)
        return NULL;
    conn->transport = t;
    conn->slot = -1;
    conn->tcp.data = conn->connect.data = conn->resolve.data = conn->write.data = conn->shutdown.data = conn;
    t->conns++;
    return conn;
}

static void let_go(struct conn *conn)
{
    if (conn->holds != 0)
        return;
    conn->transport->conns--;
    free(conn);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    conn->holds--;
    let_go(conn);
}

void conn_close(struct conn *conn)
{
    struct raft_transport *t = conn->transport;
    if (conn->slot >= 0) {
        t->slots[conn->slot] = NULL;
        hub_released(t->hub, conn->slot);
        conn->slot = -1;
    }
    if (conn->resolving)
        uv_cancel((uv_req_t *)&conn->resolve); /* its callback comes in any case */
    if (conn->is_open) {
        conn->is_open = false;
        uv_close((uv_handle_t *)&conn->tcp, on_closed);
    }
    let_go(conn);
}

/* Everything that is read is used up at once, so one buffer serves all. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *conn = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)conn->transport->in, CONN_READ_LEN);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;
    struct raft_transport *t = conn->transport;
    if (conn->slot < 0 || len == 0)
        return;
    if (len > 0) {
        hub_input(t->hub, now_of(t), conn->slot, (struct bytes){(const uint8_t *)buf->base, (size_t)len});
        return;
    }
    uv_read_stop(stream);
    hub_ended(t->hub, now_of(t), conn->slot, len == UV_EOF ? REASON_HUNG_UP : REASON_NETWORK);
}

static void tune(struct conn *conn)
{
    int fd = -1, unsent = CONN_UNSENT_MAX;
    uv_tcp_nodelay(&conn->tcp, 1);
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static bool open_tcp(struct conn *conn)
{
    if (uv_tcp_init(conn->transport->loop, &conn->tcp) != 0)
        return false;
    conn->tcp.data = conn;
    conn->is_open = true;
    conn->holds++;
    return true;
}

static void remote_text(const struct conn *conn, char out[ADDR_TEXT_MAX])
{
    struct sockaddr_storage sa;
    int len = sizeof(sa);
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&sa, &len) != 0) {
        snprintf(out, ADDR_TEXT_MAX, "an unknown address");
        return;
    }
    struct endpoint endpoint = endpoint_from_sockaddr((const struct sockaddr *)&sa);
    endpoint_format(&endpoint, out);
}

void conn_accept(struct raft_transport *t)
{
    char remote[ADDR_TEXT_MAX];
    struct conn *conn = conn_make(t);
    t->accept_waits = conn == NULL; /* libuv gives the next one only after this */
    if (conn == NULL)
        return;
    if (!open_tcp(conn) || uv_accept((uv_stream_t *)&t->listener, (uv_stream_t *)&conn->tcp) != 0) {
        conn_close(conn);
        return;
    }
    remote_text(conn, remote);
    conn->slot = hub_accept(t->hub, now_of(t), remote);
    if (conn->slot < 0) {
        conn_close(conn);
        return;
    }
    t->slots[conn->slot] = conn;
    tune(conn);
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0)
        hub_ended(t->hub, now_of(t), conn->slot, REASON_NETWORK);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct conn *conn = req->data;
    struct raft_transport *t = conn->transport;
    if (conn->slot < 0)
        return;
    bool success = status == 0 && uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) == 0;
    if (success)
        tune(conn);
    hub_connected(t->hub, now_of(t), conn->slot, success);
}

static void connect_to(struct conn *conn, const struct sockaddr *sa)
{
    struct raft_transport *t = conn->transport;
    if (!open_tcp(conn) || uv_tcp_connect(&conn->connect, &conn->tcp, sa, on_connect) != 0)
        hub_connected(t->hub, now_of(t), conn->slot, false);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct conn *conn = req->data;
    struct raft_transport *t = conn->transport;
    const struct addrinfo *chosen = list;
    unsigned count = 0;
    conn->resolving = false;
    conn->holds--;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        count++;
    for (unsigned i = 0; count != 0 && i < t->dials % count; i++)
        chosen = chosen->ai_next; /* another one each time */
    if (conn->slot < 0)
        let_go(conn);
    else if (status != 0 || chosen == NULL)
        hub_connected(t->hub, now_of(t), conn->slot, false);
    else
        connect_to(conn, chosen->ai_addr);
    uv_freeaddrinfo(list);
}

void conn_dial(struct raft_transport *t, int slot)
{
    struct conn *conn = conn_make(t);
    const struct transport_peer *peer = hub_dial_target(t->hub, slot);
    struct endpoint endpoint = {.port = peer->port};
    struct sockaddr_storage sa;
    hub_dialing(t->hub, slot);
    if (conn == NULL) {
        hub_connected(t->hub, now_of(t), slot, false);
        return;
    }
    conn->slot = slot;
    t->slots[slot] = conn;
    t->dials++;
    if (addr_parse(&endpoint.addr, peer->host) == E_OK && endpoint_to_sockaddr(&endpoint, &sa) != 0) {
        connect_to(conn, (const struct sockaddr *)&sa);
        return;
    }
    char port[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    snprintf(port, sizeof(port), "%u", peer->port);
    if (uv_getaddrinfo(t->loop, &conn->resolve, on_resolved, peer->host, port, &hints) != 0) {
        hub_connected(t->hub, now_of(t), slot, false);
        return;
    }
    conn->resolving = true;
    conn->holds++;
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *conn = req->data;
    struct raft_transport *t = conn->transport;
    conn->writing = false;
    if (conn->slot < 0)
        return;
    if (status != 0)
        hub_ended(t->hub, now_of(t), conn->slot, REASON_NETWORK);
    else
        hub_written(t->hub, conn->slot, conn->write_len);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req, (void)status; /* now the other side ends it, or the drain timer */
}

/* True if the socket takes more right away. */
static bool write_some(struct conn *conn, size_t len)
{
    struct raft_transport *t = conn->transport;
    uv_buf_t buf = uv_buf_init((char *)conn->out, (unsigned)len);
    int sent = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);
    if (sent == UV_EAGAIN)
        sent = 0;
    if (sent < 0) {
        hub_ended(t->hub, now_of(t), conn->slot, REASON_NETWORK);
        return false;
    }
    if ((size_t)sent == len) {
        hub_written(t->hub, conn->slot, len);
        return true;
    }
    buf = uv_buf_init((char *)conn->out + sent, (unsigned)(len - (size_t)sent));
    conn->write_len = len;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) != 0)
        hub_ended(t->hub, now_of(t), conn->slot, REASON_NETWORK);
    else
        conn->writing = true;
    return false;
}

void conn_flush(struct conn *conn)
{
    struct raft_transport *t = conn->transport;
    if (!conn->is_open || conn->shut)
        return;
    for (int i = 0; i < CONN_WRITES_A_TURN && !conn->writing; i++) {
        size_t len = hub_output(t->hub, now_of(t), conn->slot, conn->out, sizeof(conn->out));
        if (len != 0) {
            if (!write_some(conn, len))
                return;
            continue;
        }
        if (t->hub->slots[conn->slot].state == SLOT_DRAIN) {
            conn->shut = true;
            if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->tcp, on_shutdown) != 0)
                hub_ended(t->hub, now_of(t), conn->slot, REASON_NETWORK);
        }
        return;
    }
}

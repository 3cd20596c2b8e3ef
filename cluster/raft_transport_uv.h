/* raft_transport_uv.h - the inside of the shell: raft_transport_uv.c (loop) and raft_transport_conn.c (one
 * socket). */
#ifndef CLUSTER_RAFT_TRANSPORT_UV_H
#define CLUSTER_RAFT_TRANSPORT_UV_H

#include <uv.h>

#include "cluster/raft_transport_hub.h"

enum {
    CONN_WRITE_LEN = 64 << 10,
    CONN_READ_LEN = 64 << 10,
    CONN_UNSENT_MAX =
        128 << 10, /* octets that the kernel holds unsent: a heartbeat must not wait behind more */
    CONN_WRITES_A_TURN = 16,
    LISTEN_BACKLOG = 64,
};

/* A socket of a slot. It outlives the slot until libuv has let go of it. */
struct conn {
    struct raft_transport *transport;
    int slot;       /* -1: on its way out */
    unsigned holds; /* of libuv: the open handle, the name lookup */
    bool is_open;   /* tcp was initialized and not closed */
    bool resolving, writing, shut;
    size_t write_len;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uint8_t out[CONN_WRITE_LEN];
};

struct raft_transport {
    struct hub *hub;
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_prepare_t prepare;
    uv_timer_t timer;
    bool listening;
    bool accept_waits; /* a connection that there was no memory for */
    unsigned handles;  /* open ones of the three above */
    unsigned conns;
    unsigned dials;
    struct conn *slots[HUB_SLOT_MAX];
    bool stopping, closed;
    void (*done)(void *context);
    void *done_context;
    uint8_t in[CONN_READ_LEN];
};

void conn_accept(struct raft_transport *t);
void conn_dial(struct raft_transport *t, int slot);
void conn_flush(struct conn *conn);
void conn_close(struct conn *conn);

#endif

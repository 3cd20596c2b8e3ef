/* raft_transport_link.h - one connection between two key servers, as a machine over bytes: ciphertext in,
 * events out; messages in, ciphertext out. No socket, no clock.
 *
 *   SHAKING     TLS handshake
 *   IDENTIFIED  the certificate is good; the hub decides whether its node may come: transport_link_admit or
 * _close GREETING    the dialling side has sent its HELLO and waits for the other one; the accepting side
 * waits for it GREETED     HELLO fits; the hub decides between connections of the same node:
 * transport_link_open or _close OPEN        messages CLOSED      with a reason; what is left to send (an
 * alert, GOODBYE) is still there */
#ifndef CLUSTER_RAFT_TRANSPORT_LINK_H
#define CLUSTER_RAFT_TRANSPORT_LINK_H

#include "cluster/raft_transport_queue.h"
#include "cluster/raft_transport_tls.h"

enum link_state { LINK_SHAKING, LINK_IDENTIFIED, LINK_GREETING, LINK_GREETED, LINK_OPEN, LINK_CLOSED };
enum {
    LINK_CONTROL_MAX = 192,
    LINK_KEY_RECORDS = 1 << 22 /* sent under one key: RFC 8446 5.5 allows 2^24.5 */
};

struct link_snapshot_out {
    bool active;
    uint64_t index;
    uint64_t offset;
    struct snapshot_source source;
    struct queued_frame *begin; /* not taken yet */
    bool abort;                 /* say so before the next */
};

struct transport_link {
    enum link_state state;
    bool dialed;
    bool closed_told;
    enum transport_reason reason; /* CLOSED */
    bool peer_closed;             /* GOODBYE came: reason is the peer's word */
    SSL *ssl;
    BIO *in, *to_peer; /* of ssl */
    struct transport_limits limits;
    struct frame_hello hello; /* ours */
    struct frame_hello peer_hello;
    struct cert_name name; /* the peer's, from IDENTIFIED on */
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint64_t began_ms, opened_ms, heard_ms, wrote_ms, pinged_ms;
    struct frame_reader reader;
    struct snapshot_assembly assembly;
    bool snapshot_told;
    struct send_queue queue;
    struct queued_frame *current; /* taken from the queue, sent up to current_at */
    size_t current_at;
    bool current_is_chunk;
    uint8_t control[LINK_CONTROL_MAX];
    size_t control_len;
    struct link_snapshot_out snapshot;
    bool stopped;     /* WRITE_HIGH was reached */
    bool mute;        /* TLS writes no more */
    size_t in_flight; /* ciphertext that the shell holds */
    uint32_t key_records;
    uint64_t sent, received, sent_bytes, received_bytes, rtt_ms;
    /* A snapshot's end, for the hub to tell. */
    bool sent_told;
    uint64_t sent_index;
    err_t sent_err;
};

struct link_options {
    const struct transport_tls *tls;
    bool dialed;
    uint64_t wall_s;
    uint64_t epoch, boot, session;
    struct transport_limits limits; /* complete */
};
err_t transport_link_make(struct transport_link **out, const struct link_options *options,
                          uint64_t now_ms) MUST_USE;
void transport_link_free(struct transport_link *link); /* NULL is fine */

/* Ciphertext from the socket; then take the events until LINK_NOTHING. E_NO_MEMORY. */
err_t transport_link_input(struct transport_link *link, uint64_t now_ms, struct bytes ciphertext) MUST_USE;

enum link_event_kind {
    LINK_NOTHING,
    LINK_HAS_NAME,     /* now IDENTIFIED */
    LINK_HAS_HELLO,    /* now GREETED */
    LINK_HAS_MESSAGE,  /* kind, body */
    LINK_HAS_SNAPSHOT, /* index, message in body, stream */
    LINK_HAS_SENT,     /* index, err: a snapshot left or was given up */
    LINK_HAS_CLOSED,   /* once */
};
struct link_event {
    uint8_t kind;
    uint64_t index;
    err_t err;
    struct bytes body;
    struct bytes stream;
};
/* Views are borrowed until the next call. */
enum link_event_kind transport_link_next(struct transport_link *link, uint64_t now_ms,
                                         struct link_event *out);

void transport_link_admit(struct transport_link *link);
void transport_link_open(struct transport_link *link, uint64_t now_ms);
/* From any state; tells the peer if that is possible. */
void transport_link_close(struct transport_link *link, enum transport_reason reason);

/* Errors of raft_transport_send and _send_snapshot. */
err_t transport_link_send(struct transport_link *link, uint8_t kind, struct bytes body) MUST_USE;
err_t transport_link_send_snapshot(struct transport_link *link, uint64_t index, struct bytes message,
                                   const struct snapshot_source *source) MUST_USE;

/* Moves ciphertext for the socket to out and returns how much; transport_link_written when it has left. */
size_t transport_link_output(struct transport_link *link, uint64_t now_ms, uint8_t *out, size_t cap);
void transport_link_written(struct transport_link *link, size_t len);
bool transport_link_has_output(const struct transport_link *link);

/* Timers: handshake, keepalive, silence. */
void transport_link_tick(struct transport_link *link, uint64_t now_ms);
uint64_t transport_link_deadline(const struct transport_link *link); /* UINT64_MAX: none */
/* We were not running for a while: the peer's silence since then counts for nothing. */
void transport_link_forgive(struct transport_link *link, uint64_t now_ms);

/* raft_transport_send.c: the sending half */
void link_control(struct transport_link *link, const struct writer *frame);
void link_cancel_snapshot(struct transport_link *link, err_t err);

#endif

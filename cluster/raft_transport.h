/* raft_transport.h - how key servers reach each other: framed messages over mutual TLS 1.3, one duplex
 * connection per pair.
 *
 * Who a peer is stands in its certificate (certs.h) and nowhere else. The node with the lower id dials, the
 * other accepts. Each connection begins with HELLO frames: cluster, protocol version and epoch must be equal,
 * or it is refused, counted and reported. Of two connections of one node the newer counts (by the session
 * number of HELLO, within one process of the peer). Messages may get lost, as Raft expects, but arrive whole,
 * unchanged and in order on one connection. Nothing is kept for a peer that is not connected. A peer that
 * reads too slowly loses the oldest whole messages. raft_transport_hub is the core (no socket, no clock),
 * raft_transport_uv.c the shell. Everything runs on the loop thread. */
#ifndef CLUSTER_RAFT_TRANSPORT_H
#define CLUSTER_RAFT_TRANSPORT_H

#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"
#include "cluster/certs.h"
#include "cluster/raft_frame.h"

enum {
    TRANSPORT_PEER_MAX = 16,
    TRANSPORT_REVOKED_MAX = 256,
    TRANSPORT_HOST_MAX = 254, /* bytes with NUL: a DNS name or an address */
    TRANSPORT_UNFINISHED_MAX =
        32, /* accepted connections that have not been admitted; beyond: the oldest goes */
    TRANSPORT_QUEUE_MAX = 16 << 20,   /* octets waiting for one peer */
    TRANSPORT_SNAPSHOT_MAX = 1 << 30, /* octets of a snapshot that is taken from a peer, in memory */
    TRANSPORT_CHUNK = 128 << 10,      /* octets of a snapshot between two looks at the messages that wait */
    TRANSPORT_WRITE_HIGH =
        256 << 10,                  /* octets of ciphertext that wait for the socket: no more is encrypted */
    TRANSPORT_WRITE_LOW = 64 << 10, /* ... until there are no more than these */
    TRANSPORT_HANDSHAKE_MS = 3000,  /* from the first SYN to both HELLOs */
    TRANSPORT_KEEPALIVE_MS = 500,
    TRANSPORT_SILENT_MS = 3000,
    TRANSPORT_BACKOFF_MIN_MS = 100, /* doubles with each failure, and half of it is random */
    TRANSPORT_BACKOFF_MAX_MS = 2000,
    TRANSPORT_STABLE_MS = 2000, /* a connection that lived so long resets it */
};

enum transport_reason {
#define REASON(name, text) REASON_##name,
#include "cluster/raft_transport_reason.def"
#undef REASON
    REASON_COUNT
};
const char *transport_reason_text(enum transport_reason reason); /* static; "?" outside the table */

/* Our certificate, key and the authorities whose nodes are believed (more than one while an authority is
 * replaced). Copied. E_LIMIT, E_BAD_KEY (not the certificate's), E_AUTH (by none of these authorities),
 * E_MISSING, E_BAD_ID, E_EXPIRED, E_NO_MEMORY. */
struct transport_tls;
err_t transport_tls_open(struct transport_tls **out, const struct cert *cert, const struct cert_key *key,
                         const struct cert *const *cas, size_t ca_count, uint64_t now_s) MUST_USE;
void transport_tls_free(struct transport_tls *tls); /* connections made with it go on */

struct transport_peer {
    uint8_t id[NODE_ID_LEN];
    char host[TRANSPORT_HOST_MAX];
    uint16_t port;
};

/* What the transport reports, from the loop. Any call of this header but raft_transport_free is allowed
 * inside. */
struct transport_handler {
    void *context;
    void (*on_up)(void *context, const uint8_t id[NODE_ID_LEN]);
    void (*on_down)(void *context, const uint8_t id[NODE_ID_LEN], enum transport_reason reason);
    /* kind is FRAME_USER or above; body is borrowed for the call. */
    void (*on_message)(void *context, const uint8_t id[NODE_ID_LEN], uint8_t kind, struct bytes body);
    /* A whole snapshot with the message it was sent with; borrowed for the call. */
    void (*on_snapshot)(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, struct bytes message,
                        struct bytes stream);
    /* The last octet of it went to the socket, or it was given up (E_CANCELED, or what the source's read
     * gave). */
    void (*on_snapshot_sent)(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, err_t err);
};

/* 0 everywhere: the named defaults. */
struct transport_limits {
    uint32_t handshake_ms;
    uint32_t keepalive_ms;
    uint32_t silent_ms;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    size_t queue_max;
    uint64_t snapshot_max;
};

struct uv_loop_s;
struct raft_transport_options {
    struct uv_loop_s *loop;
    struct transport_tls
        *tls;       /* taken, also when open fails: our node id and cluster id are those of its certificate */
    uint64_t epoch; /* of the cluster; another one is refused. Changes by restore or forced recovery only */
    struct endpoint listen;    /* family 0: this node only dials */
    const struct clock *clock; /* wall time, for certificates; timers run on the loop's time */
    const struct rng *rng;
    struct transport_limits limits;
    struct transport_handler handler;
};

struct raft_transport;
/* Binds and listens. E_IO, E_EXISTS (address in use), E_PERMISSION, E_NO_MEMORY. */
err_t raft_transport_open(struct raft_transport **out, const struct raft_transport_options *options) MUST_USE;
/* Says goodbye and closes everything; 'done' comes from the loop, then raft_transport_free. */
void raft_transport_stop(struct raft_transport *transport, void (*done)(void *context), void *context);
void raft_transport_free(struct raft_transport *transport);

struct endpoint
raft_transport_listening(const struct raft_transport *transport); /* the port that was got for port 0 */

/* The other members of the cluster: nobody else is admitted. Those that are gone are disconnected, a new
 * address takes effect with the next dial. Our own id in it is skipped. E_LIMIT beyond TRANSPORT_PEER_MAX,
 * E_DUPLICATE, E_RANGE (no host or port); nothing is changed then. */
err_t raft_transport_set_peers(struct raft_transport *transport, const struct transport_peer *peers,
                               size_t count) MUST_USE;
/* Nodes that never come back under their id. Beats the list of peers. E_LIMIT. */
err_t raft_transport_set_revoked(struct raft_transport *transport, const uint8_t (*ids)[NODE_ID_LEN],
                                 size_t count) MUST_USE;
/* New connections present this certificate; those that live go on. Taken, also on error. E_BAD_ID: of another
 * node or cluster. */
err_t raft_transport_renew(struct raft_transport *transport, struct transport_tls *tls) MUST_USE;

/* One message, copied. E_AGAIN: not connected (nothing is kept); E_LIMIT: beyond FRAME_BODY_MAX; E_RANGE:
 * kind; E_NOT_FOUND: no peer; E_NO_MEMORY. E_OK is no promise: see above. */
err_t raft_transport_send(struct raft_transport *transport, const uint8_t id[NODE_ID_LEN], uint8_t kind,
                          struct bytes body) MUST_USE;

/* Where a snapshot is read from, chunk by chunk, as fast as the peer takes it. read must fill out; close runs
 * once, when it was sent or given up, before on_snapshot_sent. */
struct snapshot_source {
    void *context;
    uint64_t total;
    err_t (*read)(void *context, uint64_t offset, uint8_t *out, size_t len);
    void (*close)(void *context); /* may be NULL */
};
/* message: the Raft message it goes with. Errors of raft_transport_send, and E_EXISTS: this snapshot or a
 * newer one is on its way already; a newer one replaces it. On error the source is not closed. */
err_t raft_transport_send_snapshot(struct raft_transport *transport, const uint8_t id[NODE_ID_LEN],
                                   uint64_t index, struct bytes message,
                                   const struct snapshot_source *source) MUST_USE;

struct transport_peer_stats {
    bool connected;
    bool slow;               /* messages were dropped and the queue has not drained since */
    uint64_t since_ms;       /* loop time of the last change */
    uint64_t sent, received; /* messages */
    uint64_t sent_bytes, received_bytes;
    uint64_t dropped, dropped_bytes; /* for a full queue */
    uint64_t connects, dial_failures;
    uint64_t queued_bytes; /* waiting now, without ciphertext */
    uint64_t queued_bytes_peak;
    uint64_t rtt_ms;            /* of the last keepalive */
    uint64_t heard_ms;          /* loop time of the last octet */
    enum transport_reason last; /* why it was lost or refused last */
};
struct transport_stats {
    uint64_t accepted;
    uint64_t refused; /* all reasons */
    uint64_t refused_for[REASON_COUNT];
    uint64_t evicted;
    uint32_t connections;   /* open now, finished or not */
    int64_t cert_expires_s; /* our certificate's end, since 1970 */
};
err_t raft_transport_peer_stats(const struct raft_transport *transport, const uint8_t id[NODE_ID_LEN],
                                struct transport_peer_stats *out) MUST_USE; /* E_NOT_FOUND */
void raft_transport_stats(const struct raft_transport *transport, struct transport_stats *out);

#endif

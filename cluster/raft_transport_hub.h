/* raft_transport_hub.h - the core of raft_transport: peers, connections and the rules between them. No
 * socket; loop time is given, the wall clock (for certificates) comes by its interface. The shell carries
 * sockets for slots and asks each slot what it wants after everything that it told the hub. */
#ifndef CLUSTER_RAFT_TRANSPORT_HUB_H
#define CLUSTER_RAFT_TRANSPORT_HUB_H

#include "cluster/raft_transport_link.h"

enum {
    HUB_SLOT_MAX = TRANSPORT_UNFINISHED_MAX + 3 * TRANSPORT_PEER_MAX,
    HUB_REMOTE_MAX = TRANSPORT_HOST_MAX + 8, /* "[host]:port" with NUL */
    HUB_DRAIN_MS = 1000,                     /* for the last words of a closed connection */
    HUB_NOTICE_BURST = 32,                   /* events about strangers at once, then one per HUB_NOTICE_MS */
    HUB_NOTICE_MS = 1000,
    HUB_NODE_TEXT_MAX = 17,
    HUB_CERT_WARN_DAYS = 14, /* before our certificate expires: an event a day */
    HUB_CERT_WARN_MS = 86400000,
};

enum hub_slot_state {
    SLOT_FREE,
    SLOT_DIAL, /* the shell shall connect */
    SLOT_CONNECTING,
    SLOT_LINK,
    SLOT_DRAIN, /* closed: the shell sends what is left */
    SLOT_DEAD,  /* the shell shall close the socket, then hub_released */
};

struct hub_slot {
    enum hub_slot_state state;
    bool dialed;
    int peer; /* whose: the dialled one, or the admitted one; -1 */
    uint64_t began_ms;
    uint64_t deadline_ms; /* CONNECTING, DRAIN */
    struct transport_link *link;
    char remote[HUB_REMOTE_MAX];
};

struct hub_peer {
    bool used;
    struct transport_peer peer;
    int slot;    /* open connection, or -1 */
    int dialing; /* slot that is on its way, or -1 */
    unsigned failures;
    uint64_t next_dial_ms;
    bool told_unreachable;
    struct transport_peer_stats
        stats;          /* of links that are gone, and of the present one where it has no own counter */
    uint64_t slow_from; /* dropped messages of the link that were reported */
};

struct hub {
    struct transport_tls *tls;
    uint64_t epoch;
    const struct clock *clock;
    const struct rng *rng;
    struct transport_limits limits;
    struct transport_handler handler;
    uint64_t boot, session;
    struct hub_peer peers[TRANSPORT_PEER_MAX];
    struct hub_slot slots[HUB_SLOT_MAX];
    uint8_t revoked[TRANSPORT_REVOKED_MAX][NODE_ID_LEN];
    size_t revoked_count;
    struct transport_stats stats;
    uint64_t ticked_ms;
    unsigned notices; /* left in the bucket */
    uint64_t notices_ms;
    uint64_t cert_warned_ms; /* 0: not yet */
    bool stopping;
};

/* tls is taken, also on error. E_NO_MEMORY, E_CRYPTO (rng). */
err_t hub_open(struct hub **out, const struct raft_transport_options *options, uint64_t now_ms) MUST_USE;
void hub_free(struct hub *hub);
/* Closes everything; what is left to send leaves as usual. */
void hub_stop(struct hub *hub, uint64_t now_ms);
bool hub_is_idle(const struct hub *hub); /* all slots free */

err_t hub_set_peers(struct hub *hub, uint64_t now_ms, const struct transport_peer *peers,
                    size_t count) MUST_USE;
err_t hub_set_revoked(struct hub *hub, uint64_t now_ms, const uint8_t (*ids)[NODE_ID_LEN],
                      size_t count) MUST_USE;
err_t hub_renew(struct hub *hub, struct transport_tls *tls) MUST_USE;
err_t hub_send(struct hub *hub, const uint8_t id[NODE_ID_LEN], uint8_t kind, struct bytes body) MUST_USE;
err_t hub_send_snapshot(struct hub *hub, const uint8_t id[NODE_ID_LEN], uint64_t index, struct bytes message,
                        const struct snapshot_source *source) MUST_USE;
err_t hub_peer_stats(const struct hub *hub, const uint8_t id[NODE_ID_LEN],
                     struct transport_peer_stats *out) MUST_USE;
void hub_stats(const struct hub *hub, struct transport_stats *out);

/* A socket was accepted: its slot, or -1 (close it). */
int hub_accept(struct hub *hub, uint64_t now_ms, const char *remote);
const struct transport_peer *hub_dial_target(const struct hub *hub, int slot); /* of a SLOT_DIAL */
void hub_dialing(struct hub *hub, int slot);
/* The socket that a SLOT_CONNECTING waits for. */
void hub_connected(struct hub *hub, uint64_t now_ms, int slot, bool success);
void hub_input(struct hub *hub, uint64_t now_ms, int slot, struct bytes ciphertext);
/* The socket ended: REASON_HUNG_UP or REASON_NETWORK. */
void hub_ended(struct hub *hub, uint64_t now_ms, int slot, enum transport_reason reason);
size_t hub_output(struct hub *hub, uint64_t now_ms, int slot, uint8_t *out, size_t cap);
void hub_written(struct hub *hub, int slot, size_t len);
/* The socket of a SLOT_DEAD is closed. */
void hub_released(struct hub *hub, int slot);

void hub_tick(struct hub *hub, uint64_t now_ms);
uint64_t hub_deadline(const struct hub *hub);

/* Between the hub's files. */
int hub_find(const struct hub *hub, const uint8_t id[NODE_ID_LEN]); /* peer, or -1 */
bool hub_is_revoked(const struct hub *hub, const uint8_t id[NODE_ID_LEN]);
void hub_pump(struct hub *hub, uint64_t now_ms, int slot);
void hub_close_slot(struct hub *hub, uint64_t now_ms, int slot, enum transport_reason reason);
int hub_take_slot(struct hub *hub, uint64_t now_ms);
void hub_dial_failed(struct hub *hub, uint64_t now_ms, struct hub_peer *peer, enum transport_reason reason);
const char *hub_address_text(const struct hub_peer *peer, char out[HUB_REMOTE_MAX]); /* returns out */
void hub_notice_refused(struct hub *hub, uint64_t now_ms, const char *remote, enum transport_reason reason);
void hub_notice_refused_us(struct hub *hub, uint64_t now_ms, const struct hub_peer *peer,
                           enum transport_reason reason);
void hub_notice_up(const struct hub_peer *peer);
void hub_notice_lost(const struct hub_peer *peer, enum transport_reason reason);
void hub_notice_unreachable(const struct hub_peer *peer, enum transport_reason reason);
void hub_notice_renewed(const struct hub *hub);
void hub_check_cert(struct hub *hub, uint64_t now_ms);
void hub_check_slow(struct hub_peer *peer, const struct transport_link *link);

#endif

/* Connections of the hub: who is admitted, and how one ends. */
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_transport_hub.h"

static void mark_drain(struct hub *hub, uint64_t now_ms, struct hub_slot *slot)
{
    bool has_socket = slot->state == SLOT_LINK;
    slot->deadline_ms = now_ms + HUB_DRAIN_MS;
    bool has_words = has_socket && (transport_link_has_output(slot->link) || slot->link->in_flight != 0);
    slot->state = has_words ? SLOT_DRAIN : SLOT_DEAD;
    hub->stats.connections--;
}

/* An accepted connection that was not admitted yet, or one that only drains: the oldest goes when there are
 * too many. */
static int oldest_unfinished(const struct hub *hub, unsigned *count)
{
    int oldest = -1;
    *count = 0;
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        const struct hub_slot *slot = &hub->slots[i];
        bool unfinished = slot->state == SLOT_LINK && !slot->dialed && slot->link->state != LINK_OPEN;
        if (!unfinished && slot->state != SLOT_DRAIN)
            continue;
        ++*count;
        if (oldest < 0 || slot->began_ms < hub->slots[oldest].began_ms)
            oldest = i;
    }
    return oldest;
}

int hub_take_slot(struct hub *hub, uint64_t now_ms)
{
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        struct hub_slot *slot = &hub->slots[i];
        if (slot->state != SLOT_FREE)
            continue;
        *slot = (struct hub_slot){.peer = -1, .began_ms = now_ms};
        hub->stats.connections++;
        return i;
    }
    return -1;
}

static err_t start_link(struct hub *hub, uint64_t now_ms, struct hub_slot *slot)
{
    struct link_options options = {
        .tls = hub->tls,
        .dialed = slot->dialed,
        .wall_s = clock_wall_ms(hub->clock) / 1000,
        .epoch = hub->epoch,
        .boot = hub->boot,
        .session = ++hub->session,
        .limits = hub->limits,
    };
    err_t err = transport_link_make(&slot->link, &options, now_ms);
    if (err == E_OK)
        slot->state = SLOT_LINK;
    return err;
}

int hub_accept(struct hub *hub, uint64_t now_ms, const char *remote)
{
    unsigned unfinished;
    hub->stats.accepted++;
    if (hub->stopping)
        return -1;
    int oldest = oldest_unfinished(hub, &unfinished);
    if (unfinished >= TRANSPORT_UNFINISHED_MAX && oldest >= 0) {
        hub->stats.evicted++;
        hub_close_slot(hub, now_ms, oldest, REASON_EVICTED);
        hub->slots[oldest].state = SLOT_DEAD; /* without last words */
    }
    int i = hub_take_slot(hub, now_ms);
    if (i < 0) {
        hub_notice_refused(hub, now_ms, remote, REASON_EVICTED);
        return -1;
    }
    struct hub_slot *slot = &hub->slots[i];
    size_t len = strnlen(remote, HUB_REMOTE_MAX - 1);
    memcpy(slot->remote, remote, len);
    slot->remote[len] = '\0';
    if (start_link(hub, now_ms, slot) != E_OK) {
        hub->stats.connections--;
        slot->state = SLOT_FREE;
        hub_notice_refused(hub, now_ms, remote, REASON_NO_MEMORY);
        return -1;
    }
    return i;
}

const struct transport_peer *hub_dial_target(const struct hub *hub, int slot)
{
    return &hub->peers[hub->slots[slot].peer].peer;
}

void hub_dialing(struct hub *hub, int slot)
{
    hub->slots[slot].state = SLOT_CONNECTING;
}

void hub_connected(struct hub *hub, uint64_t now_ms, int at, bool success)
{
    struct hub_slot *slot = &hub->slots[at];
    if (slot->state != SLOT_CONNECTING)
        return;
    if (!success) {
        hub_close_slot(hub, now_ms, at, REASON_UNREACHABLE);
        return;
    }
    if (start_link(hub, now_ms, slot) != E_OK) {
        hub_close_slot(hub, now_ms, at, REASON_NO_MEMORY);
        return;
    }
    hub_pump(hub, now_ms, at); /* the ClientHello */
}

static void keep_counters(struct hub_peer *peer, const struct transport_link *link)
{
    struct transport_peer_stats *stats = &peer->stats;
    stats->sent += link->sent;
    stats->received += link->received;
    stats->sent_bytes += link->sent_bytes;
    stats->received_bytes += link->received_bytes;
    stats->dropped += link->queue.dropped;
    stats->dropped_bytes += link->queue.dropped_bytes;
    stats->rtt_ms = link->rtt_ms;
    stats->heard_ms = link->heard_ms;
    if (link->queue.peak > stats->queued_bytes_peak)
        stats->queued_bytes_peak = link->queue.peak;
}

static uint64_t backoff(const struct hub *hub, unsigned failures)
{
    uint8_t raw[4] = {0};
    uint64_t delay = hub->limits.backoff_min_ms;
    for (unsigned i = 1; i < failures && delay < hub->limits.backoff_max_ms; i++)
        delay *= 2;
    if (delay > hub->limits.backoff_max_ms)
        delay = hub->limits.backoff_max_ms;
    if (rng_fill(hub->rng, raw, sizeof(raw)) != E_OK)
        return delay;
    struct reader r = reader_over(BYTES_OF(raw));
    return delay / 2 + read_u32(&r) % (delay / 2 + 1); /* so that the nodes do not come all at once */
}

void hub_dial_failed(struct hub *hub, uint64_t now_ms, struct hub_peer *peer, enum transport_reason reason)
{
    peer->failures++;
    peer->stats.dial_failures++;
    peer->stats.last = reason;
    peer->next_dial_ms = now_ms + backoff(hub, peer->failures);
    if (reason == REASON_REMOVED || reason == REASON_REVOKED_NODE || reason == REASON_STOPPED ||
        peer->told_unreachable)
        return; /* our own will, or told before */
    hub_notice_unreachable(peer, reason);
    peer->told_unreachable = true;
}

/* An open connection ended: the peer is down. */
static void lose(struct hub *hub, uint64_t now_ms, int at, const struct hub_slot *slot,
                 enum transport_reason reason)
{
    struct hub_peer *peer = &hub->peers[at];
    uint8_t id[NODE_ID_LEN];
    memcpy(id, peer->peer.id, NODE_ID_LEN);
    peer->slot = -1;
    peer->stats.connected = false;
    peer->stats.slow = false;
    peer->stats.since_ms = now_ms;
    peer->stats.last = reason;
    keep_counters(peer, slot->link);
    peer->failures = now_ms - slot->link->opened_ms >= TRANSPORT_STABLE_MS ? 0 : peer->failures + 1;
    peer->next_dial_ms = now_ms + backoff(hub, peer->failures);
    hub_notice_lost(peer, reason);
    if (hub->handler.on_down != NULL)
        hub->handler.on_down(hub->handler.context, id, reason);
}

/* What we found wrong with the peer, and not what just happens to connections. */
static bool is_refusal(enum transport_reason reason)
{
    switch (reason) {
    case REASON_TLS_REFUSED:
    case REASON_HUNG_UP:
    case REASON_NETWORK:
    case REASON_UNREACHABLE:
    case REASON_SILENT:
    case REASON_REPLACED:
    case REASON_REMOVED:
    case REASON_STOPPED:
    case REASON_NO_MEMORY:
        return false;
    default:
        return true;
    }
}

/* The link is closed: tell everybody once. */
static void on_closed(struct hub *hub, uint64_t now_ms, int at)
{
    struct hub_slot *slot = &hub->slots[at];
    enum transport_reason reason = slot->link->reason;
    bool by_peer = slot->link->peer_closed || reason == REASON_TLS_REFUSED;
    int peer = slot->peer;
    mark_drain(hub, now_ms, slot);
    bool refused = is_refusal(reason) || reason == REASON_TLS_REFUSED;
    if (refused && !slot->link->peer_closed && !(by_peer && slot->dialed))
        hub_notice_refused(hub, now_ms, slot->remote, reason);
    if (peer < 0)
        return;
    if (refused && by_peer)
        hub_notice_refused_us(hub, now_ms, &hub->peers[peer], reason);
    if (hub->peers[peer].slot == at) {
        lose(hub, now_ms, peer, slot, reason);
    } else if (hub->peers[peer].dialing == at) {
        hub->peers[peer].dialing = -1;
        hub_dial_failed(hub, now_ms, &hub->peers[peer], reason);
    }
}

void hub_close_slot(struct hub *hub, uint64_t now_ms, int at, enum transport_reason reason)
{
    struct hub_slot *slot = &hub->slots[at];
    if (slot->state == SLOT_LINK) {
        transport_link_close(slot->link, reason);
        hub_pump(hub, now_ms, at);
    } else if (slot->state == SLOT_DIAL || slot->state == SLOT_CONNECTING) {
        mark_drain(hub, now_ms, slot);
        if (slot->peer >= 0 && hub->peers[slot->peer].dialing == at) {
            hub->peers[slot->peer].dialing = -1;
            hub_dial_failed(hub, now_ms, &hub->peers[slot->peer], reason);
        }
    } else if (slot->state == SLOT_DRAIN && reason == REASON_STOPPED) {
        slot->state = SLOT_DEAD;
    }
}

/* The certificate is the cluster's: does its node belong here, and on this side? */
static enum transport_reason judge(const struct hub *hub, const struct hub_slot *slot)
{
    const uint8_t *id = slot->link->name.node_id;
    if (hub_is_revoked(hub, id))
        return REASON_REVOKED_NODE;
    if (slot->dialed)
        return slot->peer >= 0 && memcmp(hub->peers[slot->peer].peer.id, id, NODE_ID_LEN) == 0
                   ? REASON_NONE
                   : REASON_OTHER_NODE;
    if (hub_find(hub, id) < 0)
        return REASON_UNKNOWN_NODE;
    return memcmp(id, hub->tls->name.node_id, NODE_ID_LEN) < 0 ? REASON_NONE : REASON_WRONG_DIRECTION;
}

static void on_name(struct hub *hub, struct hub_slot *slot)
{
    enum transport_reason reason = judge(hub, slot);
    if (reason != REASON_NONE) {
        transport_link_close(slot->link, reason);
        return;
    }
    transport_link_admit(slot->link);
}

/* HELLO fits: this connection counts, unless the peer's process has made a newer one. */
static void on_hello(struct hub *hub, uint64_t now_ms, int at)
{
    struct hub_slot *slot = &hub->slots[at];
    int found = hub_find(hub, slot->link->name.node_id);
    if (found < 0) { /* removed meanwhile */
        transport_link_close(slot->link, REASON_UNKNOWN_NODE);
        return;
    }
    struct hub_peer *peer = &hub->peers[found];
    if (peer->slot >= 0) {
        const struct frame_hello *now_hello = &slot->link->peer_hello;
        const struct frame_hello *old_hello = &hub->slots[peer->slot].link->peer_hello;
        if (now_hello->boot == old_hello->boot && now_hello->session < old_hello->session) {
            transport_link_close(slot->link, REASON_DUPLICATE);
            return;
        }
        hub_close_slot(hub, now_ms, peer->slot, REASON_REPLACED);
        if (hub_find(hub, slot->link->name.node_id) != found || peer->slot >= 0) {
            transport_link_close(slot->link, REASON_REMOVED); /* the handler changed the peers */
            return;
        }
    }
    if (peer->dialing == at)
        peer->dialing = -1;
    peer->slot = at;
    slot->peer = found;
    peer->told_unreachable = false;
    peer->slow_from = 0;
    peer->stats.connected = true;
    peer->stats.since_ms = now_ms;
    peer->stats.connects++;
    transport_link_open(slot->link, now_ms);
    hub_notice_up(peer);
    if (hub->handler.on_up != NULL)
        hub->handler.on_up(hub->handler.context, slot->link->name.node_id);
}

static void tell(struct hub *hub, const struct hub_slot *slot, enum link_event_kind kind,
                 const struct link_event *event)
{
    const struct transport_handler *handler = &hub->handler;
    const uint8_t *id = slot->link->name.node_id;
    if (kind == LINK_HAS_MESSAGE && handler->on_message != NULL)
        handler->on_message(handler->context, id, event->kind, event->body);
    if (kind == LINK_HAS_SNAPSHOT && handler->on_snapshot != NULL)
        handler->on_snapshot(handler->context, id, event->index, event->body, event->stream);
    if (kind == LINK_HAS_SENT && handler->on_snapshot_sent != NULL)
        handler->on_snapshot_sent(handler->context, id, event->index, event->err);
}

/* Handlers may close, remove and send; the link itself stays until the shell has closed its socket. */
void hub_pump(struct hub *hub, uint64_t now_ms, int at)
{
    struct hub_slot *slot = &hub->slots[at];
    struct link_event event;
    enum link_event_kind kind;
    if (slot->link == NULL)
        return;
    while ((kind = transport_link_next(slot->link, now_ms, &event)) != LINK_NOTHING) {
        if (kind == LINK_HAS_NAME)
            on_name(hub, slot);
        else if (kind == LINK_HAS_HELLO)
            on_hello(hub, now_ms, at);
        else if (kind == LINK_HAS_CLOSED)
            on_closed(hub, now_ms, at);
        else
            tell(hub, slot, kind, &event);
    }
}

void hub_input(struct hub *hub, uint64_t now_ms, int at, struct bytes ciphertext)
{
    struct hub_slot *slot = &hub->slots[at];
    if (slot->state != SLOT_LINK)
        return; /* what comes while the last words leave is of no interest */
    if (transport_link_input(slot->link, now_ms, ciphertext) != E_OK)
        transport_link_close(slot->link, REASON_NO_MEMORY);
    hub_pump(hub, now_ms, at);
}

void hub_ended(struct hub *hub, uint64_t now_ms, int at, enum transport_reason reason)
{
    struct hub_slot *slot = &hub->slots[at];
    hub_close_slot(hub, now_ms, at, reason);
    if (slot->state != SLOT_FREE)
        slot->state = SLOT_DEAD;
}

size_t hub_output(struct hub *hub, uint64_t now_ms, int at, uint8_t *out, size_t cap)
{
    struct hub_slot *slot = &hub->slots[at];
    if (slot->link == NULL || slot->state == SLOT_DEAD)
        return 0;
    size_t len = transport_link_output(slot->link, now_ms, out, cap);
    hub_pump(hub, now_ms, at); /* a snapshot may have left */
    return len;
}

void hub_written(struct hub *hub, int at, size_t len)
{
    struct hub_slot *slot = &hub->slots[at];
    if (slot->link == NULL)
        return;
    transport_link_written(slot->link, len);
    if (slot->peer >= 0 && hub->peers[slot->peer].slot == at)
        hub_check_slow(&hub->peers[slot->peer], slot->link);
}

void hub_released(struct hub *hub, int at)
{
    struct hub_slot *slot = &hub->slots[at];
    transport_link_free(slot->link);
    *slot = (struct hub_slot){.peer = -1};
}

#include "cluster/raft_transport_hub.h"

#include <stdlib.h>
#include <string.h>

static void set_default32(uint32_t *value, uint32_t usual)
{
    if (*value == 0)
        *value = usual;
}

static void complete(struct transport_limits *limits)
{
    set_default32(&limits->handshake_ms, TRANSPORT_HANDSHAKE_MS);
    set_default32(&limits->keepalive_ms, TRANSPORT_KEEPALIVE_MS);
    set_default32(&limits->silent_ms, TRANSPORT_SILENT_MS);
    set_default32(&limits->backoff_min_ms, TRANSPORT_BACKOFF_MIN_MS);
    set_default32(&limits->backoff_max_ms, TRANSPORT_BACKOFF_MAX_MS);
    if (limits->queue_max == 0)
        limits->queue_max = TRANSPORT_QUEUE_MAX;
    if (limits->snapshot_max == 0)
        limits->snapshot_max = TRANSPORT_SNAPSHOT_MAX;
}

err_t hub_open(struct hub **out, const struct raft_transport_options *options, uint64_t now_ms)
{
    err_t err = E_NO_MEMORY;
    uint8_t boot[8];
    struct hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL)
        goto failed;
    err = rng_fill(options->rng, boot, sizeof(boot));
    if (err != E_OK)
        goto failed;
    struct reader r = reader_over(BYTES_OF(boot));
    hub->boot = read_u64(&r);
    hub->tls = options->tls;
    hub->epoch = options->epoch;
    hub->clock = options->clock;
    hub->rng = options->rng;
    hub->limits = options->limits;
    complete(&hub->limits);
    hub->handler = options->handler;
    hub->ticked_ms = hub->notices_ms = now_ms;
    hub->notices = HUB_NOTICE_BURST;
    *out = hub;
    return E_OK;
failed:
    free(hub);
    transport_tls_free(options->tls);
    return err;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL)
        return;
    for (int i = 0; i < HUB_SLOT_MAX; i++)
        transport_link_free(hub->slots[i].link);
    transport_tls_free(hub->tls);
    free(hub);
}

void hub_stop(struct hub *hub, uint64_t now_ms)
{
    hub->stopping = true;
    for (int i = 0; i < HUB_SLOT_MAX; i++)
        hub_close_slot(hub, now_ms, i, REASON_STOPPED);
}

bool hub_is_idle(const struct hub *hub)
{
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        if (hub->slots[i].state != SLOT_FREE)
            return false;
    }
    return true;
}

int hub_find(const struct hub *hub, const uint8_t id[NODE_ID_LEN])
{
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        if (hub->peers[i].used && memcmp(hub->peers[i].peer.id, id, NODE_ID_LEN) == 0)
            return i;
    }
    return -1;
}

bool hub_is_revoked(const struct hub *hub, const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < hub->revoked_count; i++) {
        if (memcmp(hub->revoked[i], id, NODE_ID_LEN) == 0)
            return true;
    }
    return false;
}

static bool is_own(const struct hub *hub, const uint8_t id[NODE_ID_LEN])
{
    return memcmp(hub->tls->name.node_id, id, NODE_ID_LEN) == 0;
}

static bool listed(const struct transport_peer *peers, size_t count, const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(peers[i].id, id, NODE_ID_LEN) == 0)
            return true;
    }
    return false;
}

static err_t check_peers(const struct hub *hub, const struct transport_peer *peers, size_t count)
{
    size_t others = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_own(hub, peers[i].id))
            continue;
        if (peers[i].port == 0 || peers[i].host[0] == '\0' ||
            memchr(peers[i].host, '\0', TRANSPORT_HOST_MAX) == NULL)
            return E_RANGE;
        if (listed(peers, i, peers[i].id))
            return E_DUPLICATE;
        others++;
    }
    return others > TRANSPORT_PEER_MAX ? E_LIMIT : E_OK;
}

static void forget(struct hub *hub, uint64_t now_ms, int at, enum transport_reason reason)
{
    struct hub_peer *peer = &hub->peers[at];
    uint8_t id[NODE_ID_LEN];
    memcpy(id, peer->peer.id, NODE_ID_LEN);
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        if (hub->slots[i].peer == at && hub->slots[i].state != SLOT_FREE)
            hub_close_slot(hub, now_ms, i, reason);
    }
    for (int i = 0; i < HUB_SLOT_MAX; i++) { /* those that still drain are nobody's now */
        if (hub->slots[i].peer == at)
            hub->slots[i].peer = -1;
    }
    if (peer->used && memcmp(peer->peer.id, id, NODE_ID_LEN) == 0)
        *peer = (struct hub_peer){.slot = -1, .dialing = -1};
}

static void add(struct hub *hub, uint64_t now_ms, const struct transport_peer *peer)
{
    int at = hub_find(hub, peer->id);
    if (at >= 0) { /* perhaps with a new address */
        if (strcmp(hub->peers[at].peer.host, peer->host) != 0 || hub->peers[at].peer.port != peer->port)
            hub->peers[at].next_dial_ms = now_ms;
        hub->peers[at].peer = *peer;
        return;
    }
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        if (hub->peers[i].used)
            continue;
        hub->peers[i] =
            (struct hub_peer){.used = true, .peer = *peer, .slot = -1, .dialing = -1, .next_dial_ms = now_ms};
        hub->peers[i].stats.since_ms = now_ms;
        return;
    }
}

err_t hub_set_peers(struct hub *hub, uint64_t now_ms, const struct transport_peer *peers, size_t count)
{
    err_t err = check_peers(hub, peers, count);
    if (err != E_OK)
        return err;
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        if (hub->peers[i].used && !listed(peers, count, hub->peers[i].peer.id))
            forget(hub, now_ms, i, REASON_REMOVED);
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_own(hub, peers[i].id))
            add(hub, now_ms, &peers[i]);
    }
    return E_OK;
}

err_t hub_set_revoked(struct hub *hub, uint64_t now_ms, const uint8_t (*ids)[NODE_ID_LEN], size_t count)
{
    if (count > TRANSPORT_REVOKED_MAX)
        return E_LIMIT;
    if (count != 0)
        memcpy(hub->revoked, ids, count * NODE_ID_LEN);
    hub->revoked_count = count;
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        struct hub_peer *peer = &hub->peers[i];
        if (!peer->used || !hub_is_revoked(hub, peer->peer.id))
            continue;
        if (peer->slot >= 0)
            hub_close_slot(hub, now_ms, peer->slot, REASON_REVOKED_NODE);
        if (peer->dialing >= 0)
            hub_close_slot(hub, now_ms, peer->dialing, REASON_REVOKED_NODE);
    }
    return E_OK;
}

err_t hub_renew(struct hub *hub, struct transport_tls *tls)
{
    if (!cert_name_equal(&hub->tls->name, &tls->name)) {
        transport_tls_free(tls);
        return E_BAD_ID;
    }
    transport_tls_free(hub->tls);
    hub->tls = tls;
    hub->cert_warned_ms = 0;
    hub_notice_renewed(hub);
    return E_OK;
}

static struct transport_link *link_of(const struct hub *hub, int peer)
{
    return hub->peers[peer].slot < 0 ? NULL : hub->slots[hub->peers[peer].slot].link;
}

err_t hub_send(struct hub *hub, const uint8_t id[NODE_ID_LEN], uint8_t kind, struct bytes body)
{
    int at = hub_find(hub, id);
    if (at < 0)
        return E_NOT_FOUND;
    if (kind < FRAME_USER)
        return E_RANGE;
    if (body.len > FRAME_BODY_MAX)
        return E_LIMIT;
    struct transport_link *link = link_of(hub, at);
    if (link == NULL)
        return E_AGAIN;
    err_t err = transport_link_send(link, kind, body);
    hub_check_slow(&hub->peers[at], link);
    return err;
}

err_t hub_send_snapshot(struct hub *hub, const uint8_t id[NODE_ID_LEN], uint64_t index, struct bytes message,
                        const struct snapshot_source *source)
{
    int at = hub_find(hub, id);
    if (at < 0)
        return E_NOT_FOUND;
    struct transport_link *link = link_of(hub, at);
    return link == NULL ? E_AGAIN : transport_link_send_snapshot(link, index, message, source);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool may_dial(const struct hub *hub, const struct hub_peer *peer)
{
    return peer->used && peer->slot < 0 && peer->dialing < 0 && !hub->stopping &&
           memcmp(hub->tls->name.node_id, peer->peer.id, NODE_ID_LEN) < 0 &&
           !hub_is_revoked(hub, peer->peer.id);
}

static void dial(struct hub *hub, uint64_t now_ms, int at)
{
    struct hub_peer *peer = &hub->peers[at];
    int i = hub_take_slot(hub, now_ms);
    if (i < 0) {
        peer->next_dial_ms = now_ms + hub->limits.backoff_min_ms;
        return;
    }
    struct hub_slot *slot = &hub->slots[i];
    slot->state = SLOT_DIAL;
    slot->dialed = true;
    slot->peer = at;
    hub_address_text(peer, slot->remote);
    slot->deadline_ms = now_ms + hub->limits.handshake_ms;
    peer->dialing = i;
}

/* If we were stopped for a while ourselves, what the peers sent meanwhile still waits in the sockets. */
static bool was_asleep(struct hub *hub, uint64_t now_ms)
{
    uint64_t slept = now_ms - hub->ticked_ms;
    hub->ticked_ms = now_ms;
    return slept > hub->limits.silent_ms / 2;
}

void hub_tick(struct hub *hub, uint64_t now_ms)
{
    bool asleep = was_asleep(hub, now_ms);
    hub_check_cert(hub, now_ms);
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        struct hub_slot *slot = &hub->slots[i];
        if (slot->state == SLOT_LINK) {
            if (asleep)
                transport_link_forgive(slot->link, now_ms);
            transport_link_tick(slot->link, now_ms);
            hub_pump(hub, now_ms, i);
        } else if ((slot->state == SLOT_DIAL || slot->state == SLOT_CONNECTING) &&
                   now_ms >= slot->deadline_ms) {
            hub_close_slot(hub, now_ms, i, REASON_HANDSHAKE_TIMEOUT);
        } else if (slot->state == SLOT_DRAIN && now_ms >= slot->deadline_ms) {
            slot->state = SLOT_DEAD;
        }
    }
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        if (may_dial(hub, &hub->peers[i]) && now_ms >= hub->peers[i].next_dial_ms)
            dial(hub, now_ms, i);
    }
}

uint64_t hub_deadline(const struct hub *hub)
{
    uint64_t at = hub->ticked_ms + hub->limits.silent_ms / 4; /* so that was_asleep can tell */
    for (int i = 0; i < HUB_SLOT_MAX; i++) {
        const struct hub_slot *slot = &hub->slots[i];
        if (slot->state == SLOT_LINK)
            at = earlier(at, transport_link_deadline(slot->link));
        else if (slot->state == SLOT_DIAL || slot->state == SLOT_CONNECTING || slot->state == SLOT_DRAIN)
            at = earlier(at, slot->deadline_ms);
    }
    for (int i = 0; i < TRANSPORT_PEER_MAX; i++) {
        if (may_dial(hub, &hub->peers[i]))
            at = earlier(at, hub->peers[i].next_dial_ms);
    }
    return at;
}

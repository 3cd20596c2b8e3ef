/* What the hub reports and counts. */
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "cluster/raft_transport_hub.h"

static const char *const reason_texts[REASON_COUNT] = {
#define REASON(name, text) [REASON_##name] = text,
#include "cluster/raft_transport_reason.def"
#undef REASON
};

const char *transport_reason_text(enum transport_reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reason_texts[reason] : "?";
}

static const char *node_text(const struct hub_peer *peer, char out[HUB_NODE_TEXT_MAX])
{
    snprintf(out, HUB_NODE_TEXT_MAX, "%016llx", (unsigned long long)node_raft_id(peer->peer.id));
    return out;
}

const char *hub_address_text(const struct hub_peer *peer, char out[HUB_REMOTE_MAX])
{
    bool is_v6 = strchr(peer->peer.host, ':') != NULL;
    snprintf(out, HUB_REMOTE_MAX, is_v6 ? "[%s]:%u" : "%s:%u", peer->peer.host, peer->peer.port);
    return out;
}

/* Whoever floods the port must not flood the log. */
static bool may_notice(struct hub *hub, uint64_t now_ms)
{
    uint64_t gained = (now_ms - hub->notices_ms) / HUB_NOTICE_MS;
    if (gained != 0) {
        hub->notices_ms += gained * HUB_NOTICE_MS;
        hub->notices =
            hub->notices + gained > HUB_NOTICE_BURST ? HUB_NOTICE_BURST : hub->notices + (unsigned)gained;
    }
    if (hub->notices == 0)
        return false;
    hub->notices--;
    return true;
}

void hub_notice_refused(struct hub *hub, uint64_t now_ms, const char *remote, enum transport_reason reason)
{
    hub->stats.refused++;
    hub->stats.refused_for[reason]++;
    if (may_notice(hub, now_ms))
        event(PEER_REFUSED, remote, transport_reason_text(reason));
}

void hub_notice_refused_us(struct hub *hub, uint64_t now_ms, const struct hub_peer *peer,
                           enum transport_reason reason)
{
    char node[HUB_NODE_TEXT_MAX], address[HUB_REMOTE_MAX];
    if (may_notice(hub, now_ms))
        event(PEER_REFUSED_US, node_text(peer, node), hub_address_text(peer, address),
              transport_reason_text(reason));
}

void hub_notice_up(const struct hub_peer *peer)
{
    char node[HUB_NODE_TEXT_MAX], address[HUB_REMOTE_MAX];
    event(PEER_CONNECTED, node_text(peer, node), hub_address_text(peer, address));
}

void hub_notice_lost(const struct hub_peer *peer, enum transport_reason reason)
{
    char node[HUB_NODE_TEXT_MAX], address[HUB_REMOTE_MAX];
    event(PEER_LOST, node_text(peer, node), hub_address_text(peer, address), transport_reason_text(reason));
}

void hub_notice_unreachable(const struct hub_peer *peer, enum transport_reason reason)
{
    char node[HUB_NODE_TEXT_MAX], address[HUB_REMOTE_MAX];
    event(PEER_UNREACHABLE, node_text(peer, node), hub_address_text(peer, address),
          transport_reason_text(reason));
}

static long long days_left(const struct hub *hub)
{
    return (hub->tls->expires_s - (int64_t)(clock_wall_ms(hub->clock) / 1000)) / 86400;
}

void hub_notice_renewed(const struct hub *hub)
{
    event(CERT_RENEWED, hub->tls->serial, days_left(hub));
}

void hub_check_cert(struct hub *hub, uint64_t now_ms)
{
    if (hub->cert_warned_ms != 0 && now_ms - hub->cert_warned_ms < HUB_CERT_WARN_MS)
        return;
    if (days_left(hub) >= HUB_CERT_WARN_DAYS)
        return;
    hub->cert_warned_ms = now_ms;
    event(CERT_EXPIRES, hub->tls->serial, days_left(hub));
}

/* Once when the first message is dropped, and again only after the queue was down to a quarter. */
void hub_check_slow(struct hub_peer *peer, const struct transport_link *link)
{
    char node[HUB_NODE_TEXT_MAX], address[HUB_REMOTE_MAX];
    if (peer->stats.slow && link->queue.bytes <= link->queue.bytes_max / 4)
        peer->stats.slow = false;
    if (link->queue.dropped == peer->slow_from)
        return;
    peer->slow_from = link->queue.dropped;
    if (!peer->stats.slow)
        event(PEER_SLOW, node_text(peer, node), hub_address_text(peer, address),
              (unsigned long long)link->queue.bytes_max);
    peer->stats.slow = true;
}

err_t hub_peer_stats(const struct hub *hub, const uint8_t id[NODE_ID_LEN], struct transport_peer_stats *out)
{
    int at = hub_find(hub, id);
    if (at < 0)
        return E_NOT_FOUND;
    const struct hub_peer *peer = &hub->peers[at];
    *out = peer->stats;
    const struct transport_link *link = peer->slot >= 0 ? hub->slots[peer->slot].link : NULL;
    if (link == NULL)
        return E_OK;
    out->sent += link->sent;
    out->received += link->received;
    out->sent_bytes += link->sent_bytes;
    out->received_bytes += link->received_bytes;
    out->dropped += link->queue.dropped;
    out->dropped_bytes += link->queue.dropped_bytes;
    out->queued_bytes = link->queue.bytes;
    if (link->queue.peak > out->queued_bytes_peak)
        out->queued_bytes_peak = link->queue.peak;
    out->rtt_ms = link->rtt_ms;
    out->heard_ms = link->heard_ms;
    return E_OK;
}

void hub_stats(const struct hub *hub, struct transport_stats *out)
{
    *out = hub->stats;
    out->cert_expires_s = hub->tls->expires_s;
}

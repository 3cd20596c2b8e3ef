/* cluster_peer.c - the other key servers: who they are, what they send, what they are told. */
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"
#include "cluster/node_key.h"

enum {
    HEALTH_VERSION = 3, /* 1: without the time; 2: without the levels */
    HEALTH_LEN = 2 + 8 + 8 + 8 + 32 + 8 + 4 + 4,
    HEALTH_WELL = 1,
    HEALTH_LEADS = 2,
    HEALTH_TIME_SET = 4, /* trust in its clock */
    HEALTH_TIME_KEPT = 8,
    KEY_MESSAGE_LEN = 4 + KEYWRAP_KEY_LEN,
};

struct addr cluster_own_address(const struct cluster *c)
{
    return c->options.advertise.family != 0 ? c->options.advertise : c->options.listen.addr;
}

struct peer *cluster_peer(struct cluster *c, const uint8_t id[NODE_ID_LEN])
{
    for (size_t i = 0; i < c->peer_count; i++) {
        if (memcmp(c->peers[i].id, id, NODE_ID_LEN) == 0)
            return &c->peers[i];
    }
    return NULL;
}

bool cluster_peer_fresh(const struct cluster *c, const struct peer *peer)
{
    return peer->up && peer->heard_ms != 0 && cluster_mono_ms(c) - peer->heard_ms < cluster_dead_ms(c);
}

static void tell_groups(const struct cluster *c, const struct addr *addr, bool reach)
{
    char text[ADDR_TEXT_MAX];
    addr_format(addr, text);
    for (size_t i = 0; i < c->state.group_count; i++) {
        if (reach)
            event(COOP_KS_REACH, text, c->state.groups[i]->record.config.name);
        else
            event(COOP_KS_UNREACH, text, c->state.groups[i]->record.config.name);
    }
}

static void note_reach(struct cluster *c, struct peer *peer)
{
    bool lost = !cluster_peer_fresh(c, peer);
    if (lost == peer->told_lost)
        return;
    peer->told_lost = lost;
    tell_groups(c, &peer->at.addr, !lost);
}

static void list_peers(const struct cluster *c, struct transport_peer list[KS_NODE_MAX])
{
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < c->peer_count; i++) {
        list[i] = (struct transport_peer){.port = c->peers[i].at.port};
        memcpy(list[i].id, c->peers[i].id, NODE_ID_LEN);
        addr_format(&c->peers[i].at.addr, text);
        memcpy(list[i].host, text, strlen(text) + 1);
    }
}

/* On disk beside the state: after a power failure that is empty until a leader has said how far the log is
 * committed, and without peers nobody could. */
static void keep_peers(struct cluster *c, const struct peer *old, size_t count)
{
    struct transport_peer list[KS_NODE_MAX];
    bool same = count == c->peer_count;
    for (size_t i = 0; i < c->peer_count && same; i++)
        same = memcmp(old[i].id, c->peers[i].id, NODE_ID_LEN) == 0 &&
               endpoint_equal(&old[i].at, &c->peers[i].at);
    if (same)
        return;
    list_peers(c, list);
    err_t err = cluster_peers_file_write(c, list, c->peer_count);
    if (err != E_OK)
        cluster_fatal(c, err, "the peers of the cluster cannot be written");
}

static void give_transport_peers(struct cluster *c)
{
    struct transport_peer list[KS_NODE_MAX];
    if (c->transport == NULL)
        return;
    list_peers(c, list);
    err_t err = raft_transport_set_peers(c->transport, list, c->peer_count);
    if (err != E_OK)
        cluster_fatal(c, err, "the peers of the cluster cannot be set");
}

static void add_peer(struct cluster *c, const struct peer *old, size_t old_count,
                     const uint8_t id[NODE_ID_LEN], const struct endpoint *at)
{
    if (memcmp(id, c->node_id, NODE_ID_LEN) == 0 || c->peer_count == KS_NODE_MAX)
        return;
    struct peer *peer = &c->peers[c->peer_count++];
    *peer = (struct peer){.raft_id = node_raft_id(id), .at = *at};
    memcpy(peer->id, id, NODE_ID_LEN);
    for (size_t i = 0; i < old_count; i++) {
        if (memcmp(old[i].id, id, NODE_ID_LEN) == 0) {
            *peer = old[i];
            peer->at = *at;
        }
    }
}

void cluster_peers_refresh(struct cluster *c)
{
    struct peer old[KS_NODE_MAX];
    size_t count = c->peer_count;
    c->peers_stale = false;
    if (c->state.node_count == 0)
        return; /* those of the join answer */
    memcpy(old, c->peers, sizeof(old));
    c->peer_count = 0;
    for (size_t i = 0; i < c->state.node_count; i++)
        add_peer(c, old, count, c->state.nodes[i].id, &c->state.nodes[i].cluster);
    keep_peers(c, old, count);
    give_transport_peers(c);
}

/* ---- what is sent ---- */

const struct peer *cluster_peer_by_raft(const struct cluster *c, uint64_t raft_id)
{
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].raft_id == raft_id)
            return &c->peers[i];
    }
    return NULL;
}

struct stream {
    uint8_t *data;
    struct bytes view;
};

static err_t stream_read(void *context, uint64_t offset, uint8_t *out, size_t len)
{
    const struct stream *s = context;
    if (offset > s->view.len || len > s->view.len - offset)
        return E_RANGE;
    memcpy(out, s->view.data + offset, len);
    return E_OK;
}

static void stream_close(void *context)
{
    struct stream *s = context;
    free(s->data);
    free(s);
}

/* The newest snapshot may be newer than the one meant: then Raft asks again. */
static void send_snapshot(struct cluster *c, const struct peer *peer, const struct raft_node_message *message)
{
    struct snapshot_meta meta;
    char file[DISK_PATH_MAX];
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return;
    err_t err = snapshot_load(c->wal_dir, &meta, &s->data, &s->view, file);
    if (err == E_OK && meta.index != message->snapshot_index)
        err = E_NOT_FOUND;
    struct snapshot_source source = {s, s->view.len, stream_read, stream_close};
    if (err == E_OK)
        err = raft_transport_send_snapshot(c->transport, peer->id, meta.index, message->body, &source);
    if (err != E_OK)
        stream_close(s);
}

void cluster_send_messages(struct cluster *c, const struct raft_node_update *update)
{
    for (size_t i = 0; i < update->message_count && c->transport != NULL; i++) {
        const struct raft_node_message *message = &update->messages[i];
        const struct peer *peer = cluster_peer_by_raft(c, message->to);
        if (peer == NULL || !peer->up)
            continue;
        if (message->with_snapshot)
            send_snapshot(c, peer, message);
        else if (raft_transport_send(c->transport, peer->id, MSG_RAFT, message->body) != E_OK)
            continue; /* lost: Raft repeats it */
    }
}

/* A new leader knows what is committed only once the first entry of its own term is: until then its commit
 * index may be one of before an election, and a follower that trusts it would serve, or push, from the past.
 * Nor does it know what time it is while its clock is a guess. */
static bool leads_and_knows(const struct cluster *c)
{
    return cluster_leads(c) && raft_node_commit(c->node) >= c->ready_index && c->clock.trust == CLOCK_SET;
}

static void send_health(struct cluster *c)
{
    static const uint8_t trust_flags[] = {
        [CLOCK_GUESS] = 0, [CLOCK_KEPT] = HEALTH_TIME_KEPT, [CLOCK_SET] = HEALTH_TIME_SET};
    uint8_t buf[HEALTH_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    c->told_leads = leads_and_knows(c);
    write_u8(&w, HEALTH_VERSION);
    write_u8(&w, (uint8_t)((cluster_is_well(c) ? HEALTH_WELL : 0) | (c->told_leads ? HEALTH_LEADS : 0) |
                           trust_flags[c->clock.trust]));
    write_u64(&w, c->applied_index);
    write_u64(&w, raft_node_commit(c->node));
    write_u64(&w, c->mark.index);
    write_bytes(&w, BYTES_OF(c->mark.hash));
    write_u64(&w, cluster_now_ms(c));
    write_u32(&w, c->build->level);
    write_u32(&w, c->state.level);
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].up &&
            raft_transport_send(c->transport, c->peers[i].id, MSG_HEALTH, writer_bytes(&w)) != E_OK)
            continue; /* the next one will do */
    }
}

/* ---- what comes ---- */

static void hear_time(struct cluster *c, const struct peer *peer, uint8_t flags, uint64_t time_ms)
{
    bool leader = peer->leads && peer->raft_id == raft_node_leader(c->node);
    enum clock_trust trust = (flags & HEALTH_TIME_SET) != 0 || leader ? CLOCK_SET
                             : (flags & HEALTH_TIME_KEPT) != 0        ? CLOCK_KEPT
                                                                      : CLOCK_GUESS;
    if (leader)
        cluster_clock_hear(&c->clock, peer->raft_id, time_ms, peer->heard_ms, trust);
    else
        cluster_clock_hear_peer(&c->clock, peer->raft_id, time_ms, peer->heard_ms, trust, cluster_in_contact(c));
}

static void on_health(struct cluster *c, struct peer *peer, struct bytes body)
{
    struct reader r = reader_over(body);
    uint8_t version = read_u8(&r), flags = read_u8(&r);
    uint64_t applied = read_u64(&r), commit = read_u64(&r);
    struct state_mark mark = {.index = read_u64(&r)};
    read_into(&r, mark.hash, sizeof(mark.hash));
    uint64_t time_ms = version >= 2 ? read_u64(&r) : 0;
    uint32_t level = version >= 3 ? read_u32(&r) : 1, cluster_level = version >= 3 ? read_u32(&r) : 1;
    if (version > HEALTH_VERSION)
        (void)read_rest(&r); /* a newer build tells more */
    if (reader_end(&r) != E_OK || version < 1)
        return;
    peer->heard_ms = cluster_mono_ms(c);
    peer->applied = applied;
    peer->commit = commit;
    peer->leads = (flags & HEALTH_LEADS) != 0;
    cluster_level_hear(c, peer, level, cluster_level);
    if (c->dead)
        return;
    if (version >= 2)
        hear_time(c, peer, flags, time_ms);
    if ((flags & HEALTH_WELL) != 0)
        peer->healthy_ms = peer->heard_ms;
    note_reach(c, peer);
    bool news = peer->mark.index != mark.index;
    peer->mark = mark;
    if (news)
        cluster_mark_compare(c);
}

/* Only a node of the table is connected at all, by its certificate, and TLS hides the key from everybody
 * else. */
static void on_key_ask(struct cluster *c, const struct peer *peer)
{
    uint8_t buf[KEY_MESSAGE_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    if (!c->have_key || ks_state_node(&c->state, peer->id) == NULL)
        return;
    write_u32(&w, c->wrap->version);
    write_bytes(&w, secret_view(&c->wrap->key));
    if (writer_end(&w) == E_OK &&
        raft_transport_send(c->transport, peer->id, MSG_KEY, writer_bytes(&w)) != E_OK)
        w.err = E_AGAIN; /* it asks again */
    secret_wipe(buf, sizeof(buf));
}

static void on_key(struct cluster *c, struct bytes body)
{
    struct secret node_key = {0};
    struct reader r = reader_over(body);
    if (c->have_key)
        return;
    uint32_t version = read_u32(&r);
    struct bytes key = read_bytes(&r, KEYWRAP_KEY_LEN);
    if (reader_end(&r) != E_OK)
        return;
    c->wrap->version = version;
    c->wrap->key.len = KEYWRAP_KEY_LEN;
    memcpy(c->wrap->key.data, key.data, KEYWRAP_KEY_LEN);
    err_t err = node_key_open(c->options.node_key_file, c->disk, c->options.rng, false, &node_key);
    if (err == E_OK)
        err = data_key_store(c->data_dir, c->disk, c->options.rng, c->node_id, &node_key, c->wrap);
    secret_close(&node_key);
    if (err != E_OK) {
        cluster_fatal(c, err, "the data key cannot be stored");
        return;
    }
    c->have_key = true;
}

static void take_raft(struct cluster *c, struct peer *peer, struct bytes body, struct bytes stream)
{
    struct raft_node_update update;
    err_t err = raft_node_receive(c->node, cluster_mono_ms(c), peer->raft_id, body, stream, &update);
    if (err == E_OK && cluster_leads(c))
        peer->answered_ms = cluster_mono_ms(c);
    if (err == E_OK)
        cluster_take(c, &update);
    else if (err != E_CORRUPT && err != E_LIMIT)
        cluster_fatal(c, err, "the consensus core fails");
}

static void on_message(void *context, const uint8_t id[NODE_ID_LEN], uint8_t kind, struct bytes body)
{
    struct cluster *c = context;
    struct peer *peer = cluster_peer(c, id);
    if (peer == NULL || c->dead || c->stopping)
        return;
    switch (kind) {
    case MSG_RAFT:
        take_raft(c, peer, body, (struct bytes){0});
        break;
    case MSG_FORWARD:
        cluster_forward_take(c, id, body);
        break;
    case MSG_HEALTH:
        on_health(c, peer, body);
        break;
    case MSG_KEY_ASK:
        on_key_ask(c, peer);
        break;
    case MSG_KEY:
        on_key(c, body);
        break;
    case MSG_LEAD:
        cluster_lead_take(c, peer, body);
        break;
    case MSG_CERT_ASK:
        cluster_cert_ask_take(c, peer, body);
        break;
    case MSG_CERT:
        cluster_cert_take(c, peer, body);
        break;
    case MSG_CERT_DUE:
        cluster_cert_due_take(c);
        break;
    default: /* of a newer version */
        return;
    }
    cluster_pump(c);
}

static void on_snapshot(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, struct bytes message,
                        struct bytes stream)
{
    struct cluster *c = context;
    struct peer *peer = cluster_peer(c, id);
    (void)index; /* it stands in the message */
    if (peer == NULL || c->dead || c->stopping)
        return;
    take_raft(c, peer, message, stream);
    cluster_pump(c);
}

static void on_snapshot_sent(void *context, const uint8_t id[NODE_ID_LEN], uint64_t index, err_t err)
{
    (void)context; /* Raft hears of it from the peer */
    (void)id;
    (void)index;
    (void)err;
}

static void on_up(void *context, const uint8_t id[NODE_ID_LEN])
{
    struct cluster *c = context;
    struct peer *peer = cluster_peer(c, id);
    if (peer != NULL) {
        peer->up = true;
        peer->gone_ms = 0;
        peer->level = 0;
    }
    c->health_ms = c->key_ask_ms = 0;
}

static void on_down(void *context, const uint8_t id[NODE_ID_LEN], enum transport_reason reason)
{
    struct cluster *c = context;
    struct peer *peer = cluster_peer(c, id);
    if (peer == NULL)
        return;
    peer->up = false;
    /* So a process that was killed or stopped ends, and not one that is slow or cut off. */
    if (reason == REASON_HUNG_UP || reason == REASON_NETWORK || reason == REASON_STOPPED)
        cluster_peer_gone(c, peer);
}

/* ---- certificates, opening ---- */

bool cluster_has_certificate(const struct cluster *c)
{
    char path[DISK_PATH_MAX];
    struct cert *cert = NULL;
    bool has = disk_path(path, c->data_dir, "cluster.crt") == E_OK && cert_load(path, &cert) == E_OK;
    cert_free(cert);
    return has;
}

err_t cluster_transport_open(struct cluster *c)
{
    struct raft_transport_options options = {
        .loop = c->options.loop,
        .epoch = 1,
        .listen = c->options.listen,
        .clock = c->options.clock,
        .rng = c->options.rng,
        .handler = {c, on_up, on_down, on_message, on_snapshot, on_snapshot_sent},
    };
    err_t err = cluster_open_tls(c, &options.tls);
    if (err == E_OK)
        err = raft_transport_open(&c->transport, &options);
    struct endpoint at = c->options.listen;
    at.port++;
    if (err == E_OK)
        err = cluster_join_open(&c->join, c, c->options.loop, &at);
    if (err != E_OK)
        return err;
    cluster_peers_refresh(c);
    give_transport_peers(c);
    return E_OK;
}

/* ---- time ---- */

static void ask_key(struct cluster *c, uint64_t now_ms)
{
    if (c->have_key || now_ms < c->key_ask_ms)
        return;
    c->key_ask_ms = now_ms + KEY_ASK_MS;
    for (size_t i = 0; i < c->peer_count; i++) {
        if (c->peers[i].up &&
            raft_transport_send(c->transport, c->peers[i].id, MSG_KEY_ASK, (struct bytes){0}) != E_OK)
            continue;
    }
}

void cluster_peer_tick(struct cluster *c)
{
    uint64_t now_ms = cluster_mono_ms(c);
    if (c->transport == NULL || c->dead || c->stopping ||
        (now_ms < c->health_ms && c->told_leads == leads_and_knows(c)))
        return;
    c->health_ms = now_ms + HEALTH_MS;
    send_health(c);
    ask_key(c, now_ms);
    for (size_t i = 0; i < c->peer_count; i++)
        note_reach(c, &c->peers[i]);
    cluster_forward_tick(c, now_ms);
    cluster_lead_tick(c, now_ms);
    cluster_mark_tick(c, now_ms);
    cluster_cert_tick(c, now_ms);
}

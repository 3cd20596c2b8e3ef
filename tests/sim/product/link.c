/* link.c - raft_transport.h between simulated servers: one connection per pair, whole messages in order or
 * not at all, none kept for who is not connected. What raft_transport_hub does with sockets and TLS is not
 * here: it has tests of its own. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/product/sim.h"

enum { LINK_LOOK_MS = 100, LINK_HEAD_OF_LINE_MS = 10 };

struct raft_transport {
    struct sim_server *server;
    struct transport_tls *tls;
    struct transport_handler handler;
    uint8_t peers[KS_NODE_MAX][NODE_ID_LEN];
    size_t peer_count;
    bool stopped;
};

static struct sim_link *link_of(struct sim *sim, int a, int b)
{
    return a < b ? &sim->links[a][b] : &sim->links[b][a];
}

static struct sim_pipe *pipe_from(struct sim *sim, int from, int to)
{
    return &link_of(sim, from, to)->pipe[from < to ? 0 : 1];
}

static void message_free(struct sim_message *m)
{
    free(m->body);
    free(m->stream);
    free(m);
}

static void pipe_clear(struct sim_pipe *pipe)
{
    while (pipe->head != NULL) {
        struct sim_message *m = pipe->head;
        pipe->head = m->next;
        message_free(m);
    }
    pipe->tail = NULL;
    pipe->octets = 0;
}

static bool knows(const struct raft_transport *t, const struct sim_server *other)
{
    for (size_t i = 0; i < t->peer_count; i++)
        if (memcmp(t->peers[i], other->node_id, NODE_ID_LEN) == 0)
            return true;
    return false;
}

static bool may_connect(struct sim *sim, int a, int b)
{
    struct sim_server *x = &sim->servers[a], *y = &sim->servers[b];
    return x->up && y->up && x->transport != NULL && y->transport != NULL && !x->transport->stopped &&
           !y->transport->stopped && x->paused_until_ms <= sim->now_ms && y->paused_until_ms <= sim->now_ms &&
           knows(x->transport, y) && knows(y->transport, x);
}

/* ---- up and down ---- */

struct tell {
    struct sim_server *to;
    int about;
    uint32_t conn;
    bool up;
};

static void on_tell(struct sim *sim, void *arg, bool live)
{
    struct tell *t = arg;
    struct sim_link *link = link_of(sim, t->to->index, t->about);
    struct sim_pipe *pipe = pipe_from(sim, t->to->index, t->about);
    struct sim_server *about = &sim->servers[t->about];
    /* The end of an older connection, told late to a server that was paused, says nothing about this one:
     * nobody dials before both ends know of the end. */
    bool current = link->conn == t->conn;
    bool now = t->up && link->up;
    if (live && current && t->to->transport != NULL && pipe->told != now && (now || !t->up || !link->up)) {
        struct transport_handler *h = &t->to->transport->handler;
        pipe->told = now;
        sim_trace(sim, "server %d: connection to %d %s", t->to->index, t->about, now ? "up" : "down");
        if (now)
            h->on_up(h->context, about->node_id);
        else
            h->on_down(h->context, about->node_id, REASON_NETWORK);
        shell_turn_soon(t->to);
    }
    free(t);
}

static void tell(struct sim *sim, int to, int about, bool up, uint64_t at_ms)
{
    struct tell *t = sim_alloc(sizeof(*t));
    *t = (struct tell){&sim->servers[to], about, link_of(sim, to, about)->conn, up};
    sim_at(sim, at_ms, to, on_tell, t);
}

static void link_break(struct sim *sim, int a, int b, uint64_t told_after_ms)
{
    struct sim_link *link = link_of(sim, a, b);
    if (!link->up)
        return;
    link->up = false;
    pipe_clear(&link->pipe[0]);
    pipe_clear(&link->pipe[1]);
    tell(sim, a, b, false, sim->now_ms + told_after_ms);
    tell(sim, b, a, false, sim->now_ms + told_after_ms + sim_below(sim, 5));
    link->next_dial_ms = sim->now_ms + told_after_ms + 50 + sim_below(sim, 300);
}

static bool is_cut(struct sim *sim, int a, int b)
{
    return net_is_cut(sim, a, b) || net_is_cut(sim, b, a) || sim->servers[a].paused_until_ms > sim->now_ms ||
           sim->servers[b].paused_until_ms > sim->now_ms;
}

uint64_t link_whole_ms(struct sim *sim, int a, int b)
{
    const struct sim_link *link = link_of(sim, a, b);
    return link->cut_since_ms != 0 || is_cut(sim, a, b) ? 0 : sim->now_ms - link->whole_since_ms;
}

static void look_at(struct sim *sim, int a, int b)
{
    struct sim_link *link = link_of(sim, a, b);
    bool cut = is_cut(sim, a, b);
    if (cut && link->cut_since_ms == 0)
        link->cut_since_ms = sim->now_ms;
    if (!cut && link->cut_since_ms != 0) {
        link->cut_since_ms = 0;
        link->whole_since_ms = sim->now_ms;
    }
    if (link->up && cut && sim->now_ms - link->cut_since_ms >= SIM_LINK_SILENT_MS)
        link_break(sim, a, b, 1);
    if (link->up || cut || sim->now_ms < link->next_dial_ms || !may_connect(sim, a, b) ||
        link->pipe[0].told || link->pipe[1].told)
        return;
    link->up = true;
    link->conn++;
    tell(sim, a, b, true, sim->now_ms + 1 + sim_below(sim, 5));
    tell(sim, b, a, true, sim->now_ms + 1 + sim_below(sim, 5));
}

static void on_look(struct sim *sim, void *arg, bool live)
{
    (void)arg;
    if (!live)
        return;
    for (int a = 0; a < (int)sim->server_count; a++)
        for (int b = a + 1; b < (int)sim->server_count; b++)
            look_at(sim, a, b);
    sim_at(sim, sim->now_ms + LINK_LOOK_MS, -1, on_look, NULL);
}

void link_init(struct sim *sim)
{
    sim_at(sim, sim->now_ms, -1, on_look, NULL);
}

void link_server_died(struct sim *sim, int server)
{
    for (int other = 0; other < (int)sim->server_count; other++) {
        if (other == server)
            continue;
        bool cut = net_is_cut(sim, server, other);
        pipe_from(sim, server, other)->told = false;
        link_break(sim, server, other, cut ? SIM_LINK_SILENT_MS : 1 + sim_below(sim, 5));
    }
}

void link_close(struct sim *sim)
{
    for (int a = 0; a < SIM_SERVER_MAX; a++)
        for (int b = a + 1; b < SIM_SERVER_MAX; b++) {
            pipe_clear(&sim->links[a][b].pipe[0]);
            pipe_clear(&sim->links[a][b].pipe[1]);
        }
}

/* ---- messages ---- */

struct pump {
    struct sim_server *from, *to;
    uint32_t conn;
};

static void deliver(struct sim *sim, struct sim_server *from, struct sim_server *to, struct sim_message *m)
{
    struct transport_handler *h = &to->transport->handler;
    const uint8_t *id = from->node_id;
    struct bytes body = {m->body, m->len};
    /* A peer whose frame is cut short: refused, and Raft goes on without this one. */
    if (!sim->calm && m->kind != MSG_FORWARD && body.len > 0 && sim_chance(sim, 1)) {
        sim->counts.mangled++;
        body.len = sim_below(sim, (uint32_t)body.len);
        uint8_t *exact = sim_copy(body);
        free(m->body);
        m->body = exact;
        body.data = exact;
    }
    if (m->snapshot) {
        sim->counts.snapshots++;
        h->on_snapshot(h->context, id, m->index, body, (struct bytes){m->stream, m->stream_len});
    } else {
        h->on_message(h->context, id, m->kind, body);
    }
    shell_turn_soon(to);
}

static void on_pump(struct sim *sim, void *arg, bool live)
{
    struct pump *p = arg;
    struct sim_link *link = link_of(sim, p->from->index, p->to->index);
    struct sim_pipe *pipe = pipe_from(sim, p->from->index, p->to->index);
    bool blocked = live && link->up && link->conn == p->conn && net_is_cut(sim, p->from->index, p->to->index);
    if (blocked) { /* TCP sends again until the path is back, or the silence too long */
        sim_at(sim, sim->now_ms + LINK_HEAD_OF_LINE_MS, p->to->index, on_pump, p);
        return;
    }
    while (live && link->up && link->conn == p->conn && pipe->head != NULL &&
           pipe->head->due_ms <= sim->now_ms && p->to->up && p->to->transport != NULL) {
        struct sim_message *m = pipe->head;
        pipe->head = m->next;
        if (pipe->head == NULL)
            pipe->tail = NULL;
        pipe->octets -= m->len;
        deliver(sim, p->from, p->to, m);
        message_free(m);
    }
    free(p);
}

static int server_by_id(const struct sim *sim, const uint8_t *id)
{
    for (int i = 0; i < (int)sim->server_count; i++)
        if (memcmp(sim->servers[i].node_id, id, NODE_ID_LEN) == 0)
            return i;
    return -1;
}

static void enqueue(struct sim *sim, struct sim_server *from, int to, struct sim_message *m)
{
    struct sim_pipe *pipe = pipe_from(sim, from->index, to);
    m->due_ms = sim->now_ms + 1 + sim_below(sim, sim->calm ? 3 : sim->delay_ms);
    if (pipe->tail != NULL && pipe->tail->due_ms > m->due_ms)
        m->due_ms = pipe->tail->due_ms;
    if (pipe->tail != NULL)
        pipe->tail->next = m;
    else
        pipe->head = m;
    pipe->tail = m;
    pipe->octets += m->len;
    SIM_CHECK(sim, "I5", pipe->octets <= TRANSPORT_QUEUE_MAX, "%zu octets wait for server %d", pipe->octets,
              to);
    struct pump *p = sim_alloc(sizeof(*p));
    *p = (struct pump){from, &sim->servers[to], link_of(sim, from->index, to)->conn};
    sim_at(sim, m->due_ms, to, on_pump, p);
}

static err_t connected(const struct raft_transport *t, const uint8_t *id, int *to)
{
    struct sim *sim = t->server->sim;
    *to = server_by_id(sim, id);
    if (*to < 0 || *to == t->server->index || t->stopped)
        return E_AGAIN;
    bool up = link_of(sim, t->server->index, *to)->up && pipe_from(sim, t->server->index, *to)->told;
    return up ? E_OK : E_AGAIN;
}

err_t raft_transport_send(struct raft_transport *t, const uint8_t id[NODE_ID_LEN], uint8_t kind,
                          struct bytes body)
{
    struct sim *sim = t->server->sim;
    int to;
    err_t err = connected(t, id, &to);
    if (err != E_OK)
        return err;
    if (body.len > FRAME_BODY_MAX)
        return E_LIMIT;
    if (!sim->calm && sim_chance(sim, 5))
        return E_OK; /* the queue was full: the oldest went */
    struct sim_message *m = sim_alloc(sizeof(*m));
    *m = (struct sim_message){.kind = kind, .len = body.len, .body = sim_copy(body)};
    enqueue(sim, t->server, to, m);
    return E_OK;
}

err_t raft_transport_send_snapshot(struct raft_transport *t, const uint8_t id[NODE_ID_LEN], uint64_t index,
                                   struct bytes message, const struct snapshot_source *source)
{
    struct sim *sim = t->server->sim;
    int to;
    err_t err = connected(t, id, &to);
    if (err != E_OK)
        return err;
    struct sim_message *m = sim_alloc(sizeof(*m));
    *m = (struct sim_message){.snapshot = true,
                              .index = index,
                              .len = message.len,
                              .body = sim_copy(message),
                              .stream_len = source->total};
    m->stream = sim_alloc(source->total + 1);
    err = source->read(source->context, 0, m->stream, source->total);
    if (err != E_OK) {
        message_free(m);
        return err;
    }
    if (source->close != NULL)
        source->close(source->context);
    enqueue(sim, t->server, to, m);
    return E_OK;
}

/* ---- the rest of raft_transport.h ---- */

err_t raft_transport_open(struct raft_transport **out, const struct raft_transport_options *options)
{
    struct sim_server *s = (struct sim_server *)(void *)options->loop;
    *out = s->transport = sim_alloc(sizeof(**out));
    **out = (struct raft_transport){.server = s, .tls = options->tls, .handler = options->handler};
    return E_OK;
}

struct stopping {
    void (*done)(void *context);
    void *context;
};

static void on_stopped(struct sim *sim, void *arg, bool live)
{
    struct stopping *s = arg;
    (void)sim;
    if (live)
        s->done(s->context);
    free(s);
}

void raft_transport_stop(struct raft_transport *t, void (*done)(void *context), void *context)
{
    struct stopping *s = sim_alloc(sizeof(*s));
    *s = (struct stopping){done, context};
    t->stopped = true;
    link_server_died(t->server->sim, t->server->index);
    sim_at(t->server->sim, t->server->sim->now_ms + 2, t->server->index, on_stopped, s);
}

void raft_transport_free(struct raft_transport *t)
{
    if (t == NULL)
        return;
    t->server->transport = NULL;
    transport_tls_free(t->tls);
    free(t);
}

err_t raft_transport_set_peers(struct raft_transport *t, const struct transport_peer *peers, size_t count)
{
    SIM_CHECK(t->server->sim, "I5", count <= KS_NODE_MAX, "%zu peers", count);
    t->peer_count = 0;
    for (size_t i = 0; i < count; i++)
        memcpy(t->peers[t->peer_count++], peers[i].id, NODE_ID_LEN);
    return E_OK;
}

err_t raft_transport_set_revoked(struct raft_transport *t, const uint8_t (*ids)[NODE_ID_LEN], size_t count)
{
    (void)t;
    (void)ids;
    return count <= TRANSPORT_REVOKED_MAX ? E_OK : E_LIMIT;
}

err_t raft_transport_renew(struct raft_transport *t, struct transport_tls *tls)
{
    transport_tls_free(t->tls);
    t->tls = tls;
    return E_OK;
}

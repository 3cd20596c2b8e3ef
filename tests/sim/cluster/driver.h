/* driver.h - one simulated server: carries out what raft_node asks for, crashes and comes back. */
#ifndef TESTS_SIM_CLUSTER_DRIVER_H
#define TESTS_SIM_CLUSTER_DRIVER_H

#include "tests/sim/cluster/world.h"

static inline void take_update(struct world *w, struct sim_node *n, const struct raft_node_update *u);

static inline void sim_send(struct world *w, struct sim_node *n, const struct raft_node_message *m)
{
    unsigned to = 0;
    while (to < w->count && w->nodes[to]->id != m->to)
        to++;
    CHECK(w, to < w->count);
    unsigned copies = w->calm || !sim_chance(w, w->dup_percent) ? 1 : 2;
    for (unsigned i = 0; i < copies; i++) {
        if (w->net_count == NET_MAX || (!w->calm && (w->cut[n->at][to] || sim_chance(w, w->loss_percent))))
            continue;
        struct sim_message *slot = &w->net[w->net_count++];
        *slot =
            (struct sim_message){.at_ms = w->now_ms + 1 + sim_below(w, w->delay_ms), .from = n->at, .to = to};
        slot->body = sim_copy(m->body);
        slot->len = m->body.len;
        if (m->with_snapshot) {
            CHECK(w, n->disk.snapshot.index >= m->snapshot_index);
            slot->stream = sim_copy((struct bytes){n->disk.stream, n->disk.stream_len});
            slot->stream_len = n->disk.stream_len;
        }
    }
}

/* A message of ours beside Raft's; the net treats it the same way. */
static inline void sim_tell(struct world *w, struct sim_node *n, unsigned to, enum sim_kind kind,
                            uint64_t request, struct bytes body)
{
    if (w->net_count == NET_MAX || (!w->calm && (w->cut[n->at][to] || sim_chance(w, w->loss_percent))))
        return;
    w->net[w->net_count++] = (struct sim_message){.at_ms = w->now_ms + 1 + sim_below(w, w->delay_ms),
                                                  .kind = kind,
                                                  .request = request,
                                                  .from = n->at,
                                                  .to = to,
                                                  .body = sim_copy(body),
                                                  .len = body.len};
}

static inline struct sim_write *new_write(struct world *w, struct sim_node *n)
{
    CHECK(w, n->write_count < WRITE_MAX);
    struct sim_write *write = calloc(1, sizeof(*write));
    uint64_t after = n->write_count > 0 ? n->writes[n->write_count - 1]->done_ms : w->now_ms;
    write->done_ms =
        (after > w->now_ms ? after : w->now_ms) + sim_below(w, 1 + (w->calm ? 2 : w->disk_ms[n->at]));
    n->writes[n->write_count++] = write;
    return write;
}

static inline void queue_entries(struct world *w, struct sim_node *n, uint64_t first, size_t count)
{
    struct sim_write *write = new_write(w, n);
    CHECK(w, count <= RAFT_APPEND_MAX);
    write->first = first;
    for (size_t i = 0; i < count; i++) {
        const struct raft_node_entry *e = raft_node_entry(n->raft, first + i);
        CHECK(w, e != NULL);
        write->entries[write->count++] =
            (struct sim_entry){e->term, (uint8_t)e->kind, sim_copy(e->data), e->data.len};
    }
}

static inline void check_leader(struct world *w, struct sim_node *n)
{
    if (!raft_node_is_leader(n->raft))
        return;
    uint64_t term = raft_node_term(n->raft);
    CHECK(w, term < LOG_MAX);
    CHECK(w, w->leader_of_term[term] == 0 || w->leader_of_term[term] == n->id);
    w->elections += w->leader_of_term[term] == 0;
    w->leader_of_term[term] = n->id;
}

static inline void apply_ready(struct world *w, struct sim_node *n)
{
    uint64_t target;
    while ((target = raft_node_applicable(n->raft)) > n->applied) {
        uint64_t index = n->applied + 1;
        const struct raft_node_entry *e = raft_node_entry(n->raft, index);
        CHECK(w, e != NULL);
        bool change = e->kind == ENTRY_CHANGE;
        apply_entry(w, n, index, (uint8_t)e->kind, e->data);
        if (change) {
            struct raft_node_update u;
            CHECK_OK(w, raft_node_applied(n->raft, w->now_ms, index, &u));
            take_update(w, n, &u);
        }
    }
}

static inline void maybe_snapshot(struct world *w, struct sim_node *n)
{
    struct snapshot_meta meta;
    uint64_t have = n->disk.snapshot.index;
    if (n->snapshotting || n->applied < have + SIM_SNAPSHOT_EVERY)
        return;
    if (raft_node_snapshot_meta(n->raft, n->applied, &meta) != E_OK)
        return;
    struct sim_write *write = new_write(w, n);
    write->own_snapshot = true;
    write->meta = meta;
    write->stream = sim_copy((struct bytes){n->history, n->history_len});
    write->stream_len = n->history_len;
    n->snapshotting = true;
}

static inline void take_update(struct world *w, struct sim_node *n, const struct raft_node_update *u)
{
    if (u->term_changed) {
        n->disk.term = u->term;
        n->disk.vote = u->vote;
    }
    if (u->install) {
        struct sim_write *write = new_write(w, n);
        write->install = true;
        write->meta = u->install_meta;
        write->stream = sim_copy(u->install_stream);
        write->stream_len = u->install_stream.len;
        w->installs++;
    }
    if (u->first_index != 0)
        queue_entries(w, n, u->first_index, u->entry_count);
    for (size_t i = 0; i < u->message_count; i++)
        sim_send(w, n, &u->messages[i]);
    check_leader(w, n);
}

static inline void after_event(struct world *w, struct sim_node *n)
{
    apply_ready(w, n);
    maybe_snapshot(w, n);
    n->wake_ms = raft_node_deadline(n->raft);
    sim_note(w, n->id + raft_node_commit(n->raft) * 7 + raft_node_term(n->raft) * 13);
}

/* ---- disk ---- */

static inline void free_entry(struct sim_entry *e)
{
    free(e->data);
}

static inline void disk_truncate(struct sim_disk *d, uint64_t first)
{
    size_t keep = first > d->first ? (size_t)(first - d->first) : 0;
    for (size_t i = keep; i < d->count; i++)
        free_entry(&d->entries[i]);
    if (keep < d->count)
        d->count = keep;
}

static inline void disk_reset(struct sim_disk *d, uint64_t next)
{
    disk_truncate(d, 0);
    d->count = 0;
    d->first = next;
}

/* As a frame of the log: all of it or nothing. */
static inline void disk_do(struct world *w, struct sim_node *n, struct sim_write *write)
{
    struct sim_disk *d = &n->disk;
    if (write->install || write->own_snapshot) {
        free(d->stream);
        d->snapshot = write->meta;
        d->stream = sim_copy((struct bytes){write->stream, write->stream_len});
        d->stream_len = write->stream_len;
        if (write->install)
            disk_reset(d, write->meta.index + 1);
        return;
    }
    CHECK(w, write->first >= d->first && write->first <= d->first + d->count);
    disk_truncate(d, write->first);
    for (size_t i = 0; i < write->count; i++) {
        CHECK(w, d->count < LOG_MAX);
        struct sim_entry *e = &write->entries[i];
        d->entries[d->count++] =
            (struct sim_entry){e->term, e->kind, sim_copy((struct bytes){e->data, e->len}), e->len};
    }
}

static inline void free_write(struct sim_write *write)
{
    for (size_t i = 0; i < write->count; i++)
        free_entry(&write->entries[i]);
    free(write->stream);
    free(write);
}

static inline void disk_discard(struct sim_disk *d, uint64_t up_to)
{
    size_t gone = up_to >= d->first ? (size_t)(up_to - d->first + 1) : 0;
    if (gone > d->count)
        gone = d->count;
    for (size_t i = 0; i < gone; i++)
        free_entry(&d->entries[i]);
    memmove(d->entries, d->entries + gone, (d->count - gone) * sizeof(d->entries[0]));
    d->count -= gone;
    d->first += gone;
}

static inline void write_done(struct world *w, struct sim_node *n)
{
    struct sim_write *write = n->writes[0];
    struct raft_node_update u;
    memmove(n->writes, n->writes + 1, --n->write_count * sizeof(n->writes[0]));
    disk_do(w, n, write);
    if (write->install) {
        restore(w, n, (struct bytes){write->stream, write->stream_len});
        CHECK(w, n->applied == write->meta.index);
        CHECK_OK(w, raft_node_installed(n->raft, w->now_ms, &u));
    } else if (write->own_snapshot) {
        n->snapshotting = false;
        CHECK_OK(w, raft_node_snapshot_done(n->raft, w->now_ms, &write->meta, SIM_TRAILING, &u));
        if (write->meta.index > SIM_TRAILING)
            disk_discard(&n->disk, write->meta.index - SIM_TRAILING);
    } else {
        CHECK_OK(w, raft_node_persisted(n->raft, w->now_ms, &u));
    }
    free_write(write);
    take_update(w, n, &u);
    after_event(w, n);
}

/* ---- life and death ---- */

static inline void boot(struct world *w, struct sim_node *n)
{
    struct raft_node_options options = {n->id, sim_below(w, UINT32_MAX), SIM_ELECTION_MS, SIM_HEARTBEAT_MS};
    struct sim_disk *d = &n->disk;
    struct raft_node_update u;
    bool dropped;
    CHECK_OK(w, raft_node_open(&n->raft, &options));
    CHECK_OK(w, raft_node_load_reset(n->raft, d->first));
    for (size_t i = 0; i < d->count; i++) {
        struct raft_node_entry e = {
            d->entries[i].term, d->entries[i].kind, {d->entries[i].data, d->entries[i].len}};
        CHECK_OK(w, raft_node_load(n->raft, d->first + i, &e));
    }
    restore(w, n, (struct bytes){d->stream, d->stream_len});
    n->up = true;
    n->snapshotting = false;
    CHECK_OK(w, raft_node_start(n->raft, w->now_ms, d->term, d->vote,
                                d->snapshot.index > 0 ? &d->snapshot : NULL, &dropped, &u));
    if (dropped)
        disk_reset(d, d->snapshot.index + 1);
    take_update(w, n, &u);
    after_event(w, n);
}

/* The write under way may have reached the disk, those behind it have not. */
static inline void crash(struct world *w, struct sim_node *n)
{
    if (n->write_count > 0 && sim_chance(w, 50))
        disk_do(w, n, n->writes[0]);
    for (size_t i = 0; i < n->write_count; i++)
        free_write(n->writes[i]);
    n->write_count = 0;
    raft_node_free(n->raft);
    n->raft = NULL;
    n->up = false;
    n->wake_ms = w->now_ms + 10 + sim_below(w, 1500);
    for (size_t i = 0; i < n->forward_count; i++)
        free(n->forwards[i].data);
    n->forward_count = 0;
    n->request = 0;
    memset(w->proposed[n->at], 0, sizeof(w->proposed[n->at]));
    w->crashes++;
}

#endif

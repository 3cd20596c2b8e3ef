#include "cluster/cluster.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"

uint64_t cluster_mono_ms(const struct cluster *c)
{
    return clock_mono_ms(c->options.clock);
}

bool cluster_leads(const struct cluster *c)
{
    return c->started && !c->dead && raft_node_is_leader(c->node);
}

void cluster_set_ready(struct cluster *c, bool ready, const char *reason)
{
    if (c->ready == ready)
        return;
    c->ready = ready;
    c->was_ready = c->was_ready || ready;
    if (c->options.on_ready != NULL)
        c->options.on_ready(c->options.context, ready, reason);
}

void cluster_fatal(struct cluster *c, err_t err, const char *reason)
{
    if (c->dead)
        return;
    c->dead = true;
    if (err == E_OLD_BUILD)
        cluster_level_tell_old(c);
    else
        event(STORAGE_FAILED, reason, err_text(err));
    cluster_set_ready(c, false, reason);
    cluster_drop_proposals(c, E_CANCELED);
    cluster_forward_drop(c, E_CANCELED);
    cluster_lead_drop(c, E_CANCELED);
    if (c->options.on_fatal != NULL)
        c->options.on_fatal(c->options.context, err, reason);
}

/* The key in a page of its own, kept out of swap and core dumps where the limits allow. */
static struct wrap_key *wrap_key_alloc(void)
{
    void *page =
        mmap(NULL, sizeof(struct wrap_key), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    (void)mlock(page, sizeof(struct wrap_key));
    (void)madvise(page, sizeof(struct wrap_key), MADV_DONTDUMP);
    return page;
}

static void wrap_key_free(struct wrap_key *wrap)
{
    if (wrap == NULL)
        return;
    secret_close(&wrap->key);
    munmap(wrap, sizeof(*wrap));
}

static void on_turn(void *context)
{
    struct cluster *c = context;
    cluster_flush(c);
    cluster_pump(c);
}

static void on_timer(void *context)
{
    struct cluster *c = context;
    struct raft_node_update update;
    if (c->dead)
        return;
    if (cluster_mono_ms(c) >= raft_node_deadline(c->node)) {
        err_t err = raft_node_timeout(c->node, cluster_mono_ms(c), &update);
        if (err == E_OK)
            cluster_take(c, &update);
        else
            cluster_fatal(c, err, "the consensus core fails");
    }
    cluster_disk_watch(c, cluster_mono_ms(c));
    cluster_peer_tick(c);
    c->armed_ms = UINT64_MAX; /* nothing is armed */
    cluster_pump(c);
}

void cluster_arm(struct cluster *c)
{
    if (c->dead || c->stopping)
        return;
    uint64_t now = cluster_mono_ms(c), deadline = raft_node_deadline(c->node);
    if (c->transport != NULL && c->health_ms < deadline)
        deadline = c->health_ms;
    if (deadline == c->armed_ms)
        return;
    c->armed_ms = deadline;
    cluster_loop_arm(c->loop, deadline > now ? deadline - now : 0);
}

err_t cluster_open(struct cluster **out, const struct cluster_options *options)
{
    *out = NULL;
    struct cluster *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return E_NO_MEMORY;
    c->options = *options;
    c->disk = options->disk != NULL ? options->disk : &disk_real;
    c->build = options->build != NULL ? options->build : &level_own;
    c->role = "follower";
    c->armed_ms = UINT64_MAX;
    wal_batch_init(&c->log_job.batch);
    c->wrap = wrap_key_alloc();
    c->entry = malloc(BATCH_LEN_MAX);
    struct cluster_loop_callbacks callbacks = {on_turn, on_timer, c};
    err_t err = c->wrap != NULL && c->entry != NULL ? E_OK : E_NO_MEMORY;
    if (err == E_OK)
        err = cluster_recover(c);
    if (err == E_OK)
        err = cluster_loop_open(&c->loop, options->loop, &callbacks);
    if (err != E_OK) {
        cluster_free(c);
        return err;
    }
    cluster_time_open(c);
    cluster_mark_open(c);
    c->wal_octets = wal_bytes(c->wal);
    *out = c;
    return E_OK;
}

static void note_role(struct cluster *c)
{
    const char *role = raft_node_role(c->node);
    if (strcmp(role, c->role) == 0 && c->started)
        return;
    c->role = role;
    event(RAFT_ROLE, role, (unsigned long long)raft_node_term(c->node));
    if (raft_node_is_leader(c->node)) {
        c->ready_index = raft_node_last(c->node);
        c->leader_since_ms = cluster_mono_ms(c);
        for (size_t i = 0; i < c->peer_count; i++)
            c->peers[i].level = 0; /* it may have been another build then */
        return;
    }
    cluster_set_ready(c, false, "no longer the leader");
    cluster_drop_proposals(c, E_NO_QUORUM);
}

void cluster_take(struct cluster *c, const struct raft_node_update *update)
{
    if (c->dead)
        return;
    if (update->term_changed) {
        c->meta.term = update->term;
        c->meta.vote = update->vote;
        /* On the loop, since nothing may leave before it: an election is rare. */
        err_t err = wal_meta_write(c->wal_dir, c->disk, c->node_id, &c->meta);
        if (err != E_OK) {
            cluster_fatal(c, err, "term and vote cannot be written");
            return;
        }
    }
    if (update->first_index != 0) {
        struct log_write *write = &c->writes[(c->write_head + c->write_count) % RAFT_PENDING_MAX];
        *write = (struct log_write){update->first_index, update->entry_count};
        c->write_count++; /* raft_node has the same bound and keeps it */
    }
    if (update->install) {
        c->install = *update;
        c->installing = true;
    }
    cluster_send_messages(c, update);
    if (update->role_changed)
        note_role(c);
}

void cluster_pump(struct cluster *c)
{
    if (!c->started)
        return;
    if (!c->dead) {
        cluster_install_start(c);
        cluster_apply(c);
        cluster_lead_watch(c);
        if (!c->stopping)
            cluster_keep_house(c);
        cluster_log_start(c);
        cluster_snapshot_start(c);
        cluster_judge_ready(c);
        cluster_arm(c);
    }
    if (c->stopping)
        cluster_finish_stop(c);
}

err_t cluster_start(struct cluster *c)
{
    bool dropped;
    struct raft_node_update update;
    err_t err = cluster_loop_start(c->loop);
    if (err != E_OK)
        return err;
    err = raft_node_start(c->node, cluster_mono_ms(c), c->meta.term, c->meta.vote,
                          c->snapshot.index > 0 ? &c->snapshot : NULL, &dropped, &update);
    if (err == E_OK && dropped) {
        err = wal_batch_reset(&c->log_job.batch, c->snapshot.index + 1);
        if (err == E_OK)
            err = wal_append(c->wal, &c->log_job.batch);
    }
    if (err != E_OK)
        return err;
    note_role(c);
    c->started = true;
    update.role_changed = false;
    cluster_take(c, &update);
    if (cluster_has_peers(c) && cluster_has_certificate(c) && !c->dead) {
        err = cluster_transport_open(c);
        if (err != E_OK)
            return err;
    }
    cluster_pump(c);
    return c->dead ? E_IO : E_OK;
}

err_t cluster_propose(struct cluster *c, const struct command *command, cluster_done_fn done, void *context)
{
    if (c->dead || c->stopping || !c->ready)
        return E_STATE;
    if (!cluster_leads(c))
        return c->transport != NULL ? cluster_forward(c, command, done, context) : E_NOT_PRIMARY;
    return cluster_queue(c, command, done, context);
}

static void loop_closed(void *context)
{
    struct cluster *c = context;
    c->loop = NULL;
    void (*stopped)(void *context) = c->stopped;
    if (stopped != NULL)
        stopped(c->stopped_context);
}

void cluster_finish_stop(struct cluster *c)
{
    if (c->transport != NULL && !c->transport_stopped)
        return;
    if (c->join != NULL && !c->join_stopped)
        return;
    bool writing = c->log_job.running || (c->write_count > 0 && !c->dead);
    if (writing || c->snapshot_job.running || c->backup_job.running || c->loop == NULL || c->role == NULL)
        return;
    c->role = NULL; /* once */
    cluster_drop_proposals(c, E_CANCELED);
    cluster_forward_drop(c, E_CANCELED);
    cluster_lead_drop(c, E_CANCELED);
    store_close(c->store);
    c->store = NULL;
    cluster_loop_close(c->loop, loop_closed, c);
}

static void transport_stopped(void *context)
{
    struct cluster *c = context;
    c->transport_stopped = true;
    cluster_pump(c);
}

static void join_stopped(void *context)
{
    struct cluster *c = context;
    c->join_stopped = true;
    cluster_pump(c);
}

void cluster_stop(struct cluster *c, void (*done)(void *context), void *context)
{
    if (c->stopping)
        return;
    cluster_flush(c); /* what was accepted is still brought to an end */
    c->stopping = true;
    c->stopped = done;
    c->stopped_context = context;
    cluster_set_ready(c, false, "this server stops");
    c->started = true;
    if (cluster_has_peers(c)) { /* nothing is committed any more, and the join port waits for its answers */
        cluster_drop_proposals(c, E_CANCELED);
        cluster_forward_drop(c, E_CANCELED);
    }
    if (c->transport != NULL)
        raft_transport_stop(c->transport, transport_stopped, c);
    if (c->join != NULL)
        cluster_join_stop(c->join, join_stopped, c);
    cluster_pump(c);
}

void cluster_free(struct cluster *c)
{
    if (c == NULL)
        return;
    if (c->loop != NULL)
        cluster_loop_close(c->loop, NULL, NULL);
    store_close(c->store);
    wal_close(c->wal);
    wal_batch_close(&c->log_job.batch);
    raft_transport_free(c->transport);
    raft_node_free(c->node);
    ks_state_close(&c->state);
    wrap_key_free(c->wrap);
    cert_key_free(c->next_key);
    free(c->queue);
    free(c->entry);
    free(c);
}

#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"
#include "cluster/snapshot_file.h"

/* On the log's thread: nothing of the cluster but the job, the log and constants is touched here. */
static void log_work(void *context)
{
    struct cluster *c = context;
    struct log_job *job = &c->log_job;
    job->err = wal_append(c->wal, &job->batch);
    if (job->err == E_OK && job->prune_index > 0)
        job->err = wal_prune(c->wal, job->prune_index);
    if (job->err == E_OK && job->prune_index > 0)
        job->err = snapshot_prune(c->wal_dir, job->snapshot_index);
    job->octets = wal_bytes(c->wal);
}

static void log_done(void *context)
{
    struct cluster *c = context;
    struct log_job *job = &c->log_job;
    job->running = false;
    c->wal_octets = job->octets;
    if (job->err != E_OK) {
        cluster_fatal(c, job->err, "the log cannot be written");
    } else {
        for (size_t i = 0; i < job->writes && !c->dead; i++) {
            struct raft_node_update update;
            c->write_head = (c->write_head + 1) % RAFT_PENDING_MAX;
            c->write_count--;
            err_t err = raft_node_persisted(c->node, cluster_mono_ms(c), &update);
            if (err == E_OK)
                cluster_take(c, &update);
            else
                cluster_fatal(c, err, "the consensus core fails");
        }
    }
    cluster_pump(c);
}

void cluster_disk_watch(struct cluster *c, uint64_t now_ms)
{
    const struct log_job *job = &c->log_job;
    unsigned limit_ms = c->options.disk_slow_ms != 0 ? c->options.disk_slow_ms : DISK_SLOW_MS;
    bool slow = job->running && now_ms - job->started_ms >= limit_ms;
    if (slow == c->disk_slow)
        return;
    c->disk_slow = slow;
    if (slow)
        c->disk_slow_since_ms = job->started_ms;
    if (slow)
        event(DISK_SLOW, (unsigned long long)limit_ms);
    else
        event(DISK_RECOVERED, (unsigned long long)(now_ms - c->disk_slow_since_ms));
}

/* All entries of one write, or none when they do not fit any more. */
static err_t add_write(struct cluster *c, const struct log_write *write)
{
    struct wal_batch *batch = &c->log_job.batch;
    struct wal_batch before = *batch;
    for (size_t i = 0; i < write->count; i++) {
        const struct raft_node_entry *from = raft_node_entry(c->node, write->first + i);
        if (from == NULL)
            break; /* replaced by a shorter log before it was written: a later write brings that one */
        struct wal_entry entry = {write->first + i, from->term, (uint8_t)from->kind, from->data};
        err_t err = wal_batch_add(batch, &entry);
        if (err == E_OK)
            continue;
        batch->len = before.count > 0 ? before.len : 0;
        batch->count = before.count;
        batch->last_index = before.last_index;
        return err;
    }
    return E_OK;
}

/* What gathered while the last write was on its way goes in one: group commit without waiting for it. */
void cluster_log_start(struct cluster *c)
{
    struct log_job *job = &c->log_job;
    if (job->running || c->dead || c->installing || (c->write_count == 0 && c->prune_due == 0))
        return;
    job->writes = 0;
    job->prune_index = c->prune_due;
    job->snapshot_index = c->snapshot_index;
    c->prune_due = 0;
    while (job->writes < c->write_count) {
        err_t err = add_write(c, &c->writes[(c->write_head + job->writes) % RAFT_PENDING_MAX]);
        if (err == E_FULL && job->writes > 0)
            break;
        if (err != E_OK) {
            cluster_fatal(c, err, "an entry cannot be put into the log");
            return;
        }
        job->writes++;
    }
    job->job = (struct cluster_job){log_work, log_done, c};
    job->running = true;
    job->started_ms = cluster_mono_ms(c);
    cluster_loop_run(c->loop, LANE_LOG, &job->job);
}

/* In the pool: reads its own view of the store, writes its own file. */
static void snapshot_work(void *context)
{
    struct cluster *c = context;
    struct snapshot_job *job = &c->snapshot_job;
    struct snapshot_writer w;
    job->err = snapshot_writer_open(&w, c->wal_dir, c->disk, &job->meta);
    if (job->err == E_OK)
        job->err = store_dump(job->txn, snapshot_writer_chunk, &w);
    if (job->err != E_OK && w.err == E_OK)
        w.err = job->err;
    err_t err = snapshot_writer_close(&w);
    if (job->err == E_OK)
        job->err = err;
    store_abort(job->txn);
    job->txn = NULL;
}

static void snapshot_done(void *context)
{
    struct cluster *c = context;
    struct snapshot_job *job = &c->snapshot_job;
    struct raft_node_update update;
    job->running = false;
    err_t err = job->err;
    if (err == E_OK && !c->dead)
        err = raft_node_snapshot_done(c->node, cluster_mono_ms(c), &job->meta, SNAPSHOT_TRAILING, &update);
    if (err != E_OK) {
        cluster_fatal(c, err, "a snapshot cannot be written");
    } else if (!c->dead) {
        c->snapshot_index = job->meta.index;
        c->prune_due = job->meta.index > SNAPSHOT_TRAILING ? job->meta.index - SNAPSHOT_TRAILING : 1;
        cluster_take(c, &update);
    }
    cluster_pump(c);
}

void cluster_snapshot_start(struct cluster *c)
{
    struct snapshot_job *job = &c->snapshot_job;
    uint64_t every = c->options.snapshot_entries != 0 ? c->options.snapshot_entries : SNAPSHOT_ENTRIES;
    bool due =
        c->applied_index - c->snapshot_index >= every || raft_node_log_bytes(c->node) >= snapshot_log_octets;
    if (job->running || c->backup_job.running || c->dead || c->stopping || c->installing || !due)
        return;
    err_t err = raft_node_snapshot_meta(c->node, c->applied_index, &job->meta);
    if (err == E_STATE)
        return;
    if (err == E_OK)
        err = store_begin_read(c->store, &job->txn);
    if (err != E_OK) {
        cluster_fatal(c, err, "a snapshot cannot be begun");
        return;
    }
    job->job = (struct cluster_job){snapshot_work, snapshot_done, c};
    job->running = true;
    cluster_loop_run(c->loop, LANE_SNAPSHOT, &job->job);
}

static err_t install_write(struct cluster *c)
{
    struct snapshot_writer w;
    struct bytes stream = c->install.install_stream;
    err_t err = snapshot_writer_open(&w, c->wal_dir, c->disk, &c->install.install_meta);
    for (size_t at = 0; at < stream.len && err == E_OK; at += STORE_CHUNK_MAX) {
        size_t len = stream.len - at < STORE_CHUNK_MAX ? stream.len - at : STORE_CHUNK_MAX;
        err = snapshot_writer_chunk(&w, (struct bytes){stream.data + at, len});
    }
    err_t end = snapshot_writer_close(&w);
    return err == E_OK ? end : err;
}

/* Writes that wait are of the log that the snapshot replaces: raft_node counts them for nothing, in order. */
static err_t drop_writes(struct cluster *c)
{
    while (c->write_count > 0) {
        struct raft_node_update update;
        c->write_head = (c->write_head + 1) % RAFT_PENDING_MAX;
        c->write_count--;
        err_t err = raft_node_persisted(c->node, cluster_mono_ms(c), &update);
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

static err_t install(struct cluster *c, struct raft_node_update *update)
{
    uint64_t index = c->install.install_meta.index;
    err_t err = install_write(c);
    if (err == E_OK)
        err = store_restore(c->store, c->install.install_stream);
    if (err == E_OK)
        err = cluster_load_state(c);
    if (err == E_OK)
        err = drop_writes(c);
    if (err == E_OK)
        err = wal_batch_reset(&c->log_job.batch, index + 1);
    if (err == E_OK)
        err = wal_append(c->wal, &c->log_job.batch);
    if (err != E_OK)
        return err;
    c->applied_index = c->snapshot_index = index;
    c->peers_stale = true;
    return raft_node_installed(c->node, cluster_mono_ms(c), update);
}

/* On the loop, since it is rare: a server that was away for long or is new, and serves nobody meanwhile. */
void cluster_install_start(struct cluster *c)
{
    struct raft_node_update update;
    if (!c->installing || c->log_job.running || c->snapshot_job.running ||
        c->backup_job.running || c->dead)
        return;
    cluster_set_ready(c, false, "the state is taken over from another key server");
    err_t err = install(c, &update);
    c->installing = false;
    if (err == E_OK)
        cluster_take(c, &update);
    else
        cluster_fatal(c, err, "a snapshot cannot be installed");
}

/* cluster_internal.h - what cluster*.c share. */
#ifndef CLUSTER_CLUSTER_INTERNAL_H
#define CLUSTER_CLUSTER_INTERNAL_H

#include "cluster/cluster.h"
#include "cluster/cluster_loop.h"
#include "cluster/raft_node.h"
#include "cluster/wal.h"

enum {
    BATCH_VERSION = 1,
    BATCH_HEAD = 8,          /* version u8, 0 u8, commands u16, octets of them u32 */
    SNAPSHOT_TRAILING = 256, /* entries kept behind a snapshot, for peers that are a little late */
    APPLY_MAX = 512,         /* entries applied in one store transaction */
};
/* Entries in memory weigh so much: a snapshot is due whatever their number. */
static const uint64_t snapshot_log_octets = (uint64_t)64 << 20;

/* A command on its way. In order: what was submitted first, then what waits to be. */
struct proposal {
    cluster_done_fn done; /* may be NULL: the cluster's own */
    void *context;
    uint32_t len;   /* octets, encoded */
    uint64_t index; /* of its entry; 0: waits */
    uint64_t term;
};

/* A group of entries that the log must have on disk, in order. */
struct log_write {
    uint64_t first;
    size_t count;
};

struct log_job {
    struct cluster_job job;
    bool running;
    struct wal_batch batch;
    size_t writes;           /* how many of the log_writes are in the batch */
    uint64_t prune_index;    /* 0: none */
    uint64_t snapshot_index; /* older snapshots go too */
    uint64_t octets;         /* of the log, after */
    err_t err;
};

struct snapshot_job {
    struct cluster_job job;
    bool running;
    struct snapshot_meta meta;
    struct store_txn *txn;
    err_t err;
};

struct cluster {
    struct cluster_options options;
    const struct disk *disk;
    char data_dir[DISK_PATH_MAX];
    char wal_dir[DISK_PATH_MAX];
    char store_dir[DISK_PATH_MAX];
    uint8_t node_id[NODE_ID_LEN];
    uint64_t raft_id;
    struct wrap_key *wrap; /* in a page of its own, locked */
    struct store *store;
    struct ks_state state;
    struct raft_node *node;
    struct wal *wal;
    struct wal_meta meta;
    struct snapshot_meta snapshot; /* at open; index 0: none */
    struct cluster_loop *loop;

    uint64_t base_ms; /* cluster time minus monotonic time */
    uint64_t applied_index;
    uint64_t snapshot_index;
    uint64_t prune_due; /* entries up to here may leave the disk; 0: nothing to do */
    uint64_t wal_octets;
    uint64_t ready_index; /* what must be applied before this leader serves */
    bool started;
    bool ready;
    bool dead; /* after on_fatal */
    bool stopping;
    bool housekeeping; /* CLUSTER_INIT or ELECT of our own is on its way */
    const char *role;

    struct proposal proposals[PROPOSAL_MAX]; /* ring */
    size_t proposal_head;
    size_t proposal_count;
    size_t proposal_flying; /* submitted ones among them */
    uint8_t *queue;         /* encoded commands that wait, back to back */
    size_t queue_len;
    size_t queue_cap;
    uint8_t *entry; /* the batch that is being put together: BATCH_LEN_MAX octets */

    struct log_write writes[RAFT_PENDING_MAX]; /* ring */
    size_t write_head;
    size_t write_count;
    struct log_job log_job;
    struct snapshot_job snapshot_job;
    void (*stopped)(void *context);
    void *stopped_context;
};

uint64_t cluster_mono_ms(const struct cluster *c);
/* Ends service for good: event, callbacks, proposals dropped. Only the first one counts. */
void cluster_fatal(struct cluster *c, err_t err, const char *reason);
/* What raft_node asked for. Then cluster_pump. */
void cluster_take(struct cluster *c, const struct raft_node_update *update);
/* Starts what can start: log writes, applies, snapshots; tells readiness. */
void cluster_pump(struct cluster *c);
void cluster_flush(struct cluster *c); /* what waits becomes entries */
err_t cluster_queue(struct cluster *c, const struct command *command, cluster_done_fn done,
                    void *context) MUST_USE;
/* Everything that has no outcome yet ends with err. */
void cluster_drop_proposals(struct cluster *c, err_t err);
void cluster_apply(struct cluster *c);
void cluster_log_start(struct cluster *c); /* a log job if there is work and none runs */
void cluster_snapshot_start(struct cluster *c);
void cluster_arm(struct cluster *c);
void cluster_finish_stop(struct cluster *c); /* when nothing is on its way any more */
/* Directories, keys, store, log: everything up to raft_node_start. */
err_t cluster_recover(struct cluster *c) MUST_USE;
bool cluster_leads(const struct cluster *c);

#endif

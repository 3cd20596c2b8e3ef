#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "cluster/cluster_internal.h"
#include "cluster/node_key.h"

static err_t make_dirs(struct cluster *c)
{
    int len = snprintf(c->data_dir, sizeof(c->data_dir), "%s", c->options.data_dir);
    if (len >= (int)sizeof(c->data_dir))
        return E_LIMIT;
    err_t err = disk_path(c->wal_dir, c->data_dir, "wal");
    if (err == E_OK)
        err = disk_path(c->store_dir, c->data_dir, "store");
    if (err == E_OK)
        err = disk_make_dir(c->data_dir);
    if (err == E_OK)
        err = disk_make_dir(c->wal_dir);
    return err == E_OK ? disk_make_dir(c->store_dir) : err;
}

/* Is this the first start, or one that did not get as far as its first entry? Then nothing was promised to
 * anybody yet. The order of making is id, meta file, log: whatever is there while something before it is
 * missing was made by an older life of the node, and starting anew beside it would break that one's promises.
 */
static err_t find_first(struct cluster *c, bool *first)
{
    static const uint8_t nobody[NODE_ID_LEN];
    uint8_t id[NODE_ID_LEN];
    bool log = false;
    *first = false;
    err_t err = wal_found(c->wal_dir, &log);
    if (err != E_OK)
        return err;
    err_t id_err = node_id_open(c->data_dir, c->disk, c->options.rng, false, id);
    if (id_err != E_OK && id_err != E_NOT_FOUND)
        return id_err;
    err = wal_meta_read(c->wal_dir, id_err == E_OK ? id : nobody, &c->meta);
    if (err == E_NOT_FOUND)
        *first = !log;
    else if (err == E_OK && id_err == E_OK)
        *first = !c->meta.bootstrapped;
    else
        return err == E_OK ? E_CORRUPT : err;
    return *first || err == E_OK ? E_OK : E_CORRUPT;
}

/* A server that joined gets the data key from the others, once it is connected. */
static err_t open_data_key(struct cluster *c, bool first, const struct secret *node_key)
{
    err_t err = data_key_open(c->data_dir, c->disk, c->options.rng, c->node_id, node_key, first && !c->joined,
                              c->wrap);
    c->have_key = err == E_OK;
    return err == E_NOT_FOUND && c->joined ? E_OK : err;
}

/* Did this server join, or is it to? */
static err_t find_joined(struct cluster *c, bool first)
{
    if (!cluster_has_peers(c))
        return E_OK;
    err_t err = cluster_peers_file_read(c);
    c->joined = err == E_OK || (first && c->options.join_token != NULL);
    /* Configured to join, and nothing left of it: a cluster of its own would be a second truth. */
    if (first && !c->joined && c->options.join.addr.family != 0) {
        event(JOIN_FAILED, "cluster.join is set, but there is no token");
        return E_MISSING;
    }
    return err == E_NOT_FOUND ? E_OK : err;
}

static err_t open_keys(struct cluster *c, bool first)
{
    struct secret node_key = {0};
    const struct rng *rng = c->options.rng;
    err_t err = node_id_open(c->data_dir, c->disk, rng, first, c->node_id);
    if (err == E_OK)
        err = node_key_open(c->options.node_key_file, c->disk, rng, first, &node_key);
    if (err == E_OK)
        err = find_joined(c, first);
    if (err == E_OK)
        err = open_data_key(c, first, &node_key);
    secret_close(&node_key);
    struct reader r = reader_over(BYTES_OF(c->node_id));
    c->raft_id = read_u64(&r);
    return err == E_NOT_FOUND ? E_CORRUPT : err; /* gone, though the log is there */
}

static err_t on_entry(void *context, const struct wal_entry *entry)
{
    struct cluster *c = context;
    struct raft_node_entry copy = {entry->term, entry->type, entry->data};
    return raft_node_load(c->node, entry->index, &copy);
}

static err_t on_reset(void *context, uint64_t next_index)
{
    struct cluster *c = context;
    return raft_node_load_reset(c->node, next_index);
}

static err_t on_truncate(void *context, uint64_t index)
{
    struct cluster *c = context;
    return raft_node_load_truncate(c->node, index);
}

static err_t open_log(struct cluster *c, bool first)
{
    struct wal_options options = {.dir = c->wal_dir,
                                  .disk = c->disk,
                                  .node_id = c->node_id,
                                  .segment_len = c->options.wal_segment_len,
                                  .first = first};
    struct wal_reader reader = {c, on_entry, on_reset, on_truncate};
    struct wal_report report;
    err_t err = wal_open(&c->wal, &options, &reader, &report);
    if (err == E_CORRUPT)
        event(WAL_DAMAGED, report.file, (unsigned long long)report.offset,
              report.reason != NULL ? report.reason : err_text(err));
    else if (err == E_OK && report.cut_octets > 0)
        event(WAL_TORN_TAIL, (unsigned long long)report.cut_octets, report.file);
    return err;
}

/* The log of a new cluster begins with its only voter; only once that is on disk it counts as begun. */
static err_t bootstrap(struct cluster *c)
{
    uint8_t *conf;
    size_t len;
    c->meta = (struct wal_meta){.term = 1};
    err_t err = raft_node_bootstrap(&c->raft_id, 1, &conf, &len);
    if (err != E_OK)
        return err;
    struct wal_entry entry = {.index = 1, .term = 1, .type = ENTRY_CHANGE, .data = {conf, len}};
    err = wal_batch_add(&c->log_job.batch, &entry);
    if (err == E_OK)
        err = wal_append(c->wal, &c->log_job.batch);
    if (err == E_OK)
        err = on_entry(c, &entry);
    free(conf);
    c->meta.bootstrapped = true;
    return err == E_OK ? wal_meta_write(c->wal_dir, c->disk, c->node_id, &c->meta) : err;
}

static err_t read_applied(struct cluster *c, uint64_t *term)
{
    struct store_txn *txn;
    err_t err = store_begin_read(c->store, &txn);
    if (err != E_OK)
        return err;
    err = store_applied(txn, &c->applied_index, term);
    store_abort(txn);
    return err;
}

/* Does what the store holds lie on this log? A store that knows more than the log, or another history, is of
 * no use. */
static bool store_fits(const struct cluster *c, uint64_t term)
{
    if (c->applied_index < c->snapshot.index || c->applied_index > raft_node_last(c->node))
        return c->applied_index == 0 && c->snapshot.index == 0;
    const struct raft_node_entry *entry = raft_node_entry(c->node, c->applied_index);
    if (entry != NULL)
        return entry->term == term;
    return c->applied_index == c->snapshot.index && c->snapshot.term == term;
}

err_t cluster_load_state(struct cluster *c)
{
    uint64_t seed[2];
    struct store_txn *txn;
    err_t err = rng_fill(c->options.rng, (uint8_t *)seed, sizeof(seed));
    if (err != E_OK)
        return err;
    ks_state_close(&c->state);
    ks_state_init(&c->state, seed);
    c->state.build = c->build;
    err = store_begin_read(c->store, &txn);
    if (err != E_OK)
        return err;
    err = ks_state_load(&c->state, txn);
    store_abort(txn);
    return err;
}

static err_t fill_store(struct cluster *c, struct bytes stream)
{
    bool rebuilt;
    uint64_t term = 0;
    err_t err = store_open(&c->store, c->store_dir, &rebuilt);
    if (err == E_OK)
        err = read_applied(c, &term);
    if (err != E_OK)
        return err;
    err = store_fits(c, term) ? cluster_load_state(c) : E_CORRUPT;
    if (err == E_OLD_BUILD)
        return err; /* nothing is wrong with the store */
    if (err != E_OK) {
        if (c->snapshot.index == 0) {
            err = store_wipe(c->store);
        } else {
            err = store_restore(c->store, stream);
        }
        rebuilt = true;
        if (err == E_OK)
            err = read_applied(c, &term);
        if (err == E_OK && c->applied_index != c->snapshot.index)
            err = E_CORRUPT;
        if (err == E_OK)
            err = cluster_load_state(c);
    }
    c->rebuilt = rebuilt;
    if (err == E_OK && rebuilt && raft_node_last(c->node) > 1)
        event(STORE_REBUILT, "it was of another boot, of another log or damaged");
    return err;
}

/* A joining server has no log of its own making: the leader sends it. */
static err_t begin_joined(struct cluster *c)
{
    c->meta.bootstrapped = true;
    return wal_meta_write(c->wal_dir, c->disk, c->node_id, &c->meta);
}

static err_t recover_data(struct cluster *c, bool first)
{
    struct raft_node_options options = {.id = c->raft_id};
    if (cluster_has_peers(c)) {
        options.election_ms = c->options.election_ms != 0 ? c->options.election_ms : CLUSTER_ELECTION_MS;
        options.heartbeat_ms = options.election_ms / 5;
    }
    err_t err = rng_fill(c->options.rng, (uint8_t *)&options.seed, sizeof(options.seed));
    if (err == E_OK)
        err = raft_node_open(&c->node, &options);
    if (err == E_OK)
        err = open_log(c, first);
    if (err == E_OK && first)
        err = c->joined ? begin_joined(c) : bootstrap(c);
    if (err != E_OK)
        return err;
    uint8_t *data = NULL;
    struct bytes stream = {0};
    char file[DISK_PATH_MAX];
    if (!first)
        err = snapshot_load(c->wal_dir, &c->snapshot, &data, &stream, file);
    if (err == E_CORRUPT)
        event(WAL_DAMAGED, file, 0ull, "the snapshot does not check");
    if (err == E_NOT_FOUND)
        err = E_OK;
    if (err == E_OK)
        err = fill_store(c, stream);
    free(data);
    c->snapshot_index = c->snapshot.index;
    return err;
}

err_t cluster_recover(struct cluster *c)
{
    bool first = false;
    err_t err = make_dirs(c);
    if (err == E_OK)
        err = find_first(c, &first);
    if (err == E_OK)
        err = open_keys(c, first);
    if (err != E_OK)
        return err;
    if (first && c->joined && !cluster_has_certificate(c)) {
        err = cluster_join_fetch(c);
        if (err == E_OK)
            err = cluster_peers_file_read(c);
        if (err != E_OK) {
            event(JOIN_FAILED, err_text(err));
            return err;
        }
    }
    if (first) { /* from here on this id has a log */
        c->meta = (struct wal_meta){.term = 1};
        err = wal_meta_write(c->wal_dir, c->disk, c->node_id, &c->meta);
    }
    if (err == E_OK)
        err = recover_data(c, first);
    if (err == E_OLD_BUILD)
        cluster_level_tell_old(c);
    return err;
}

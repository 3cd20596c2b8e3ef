#include "cluster/restore.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cluster/certs.h"
#include "cluster/cluster_clock.h"
#include "cluster/ks_restore.h"
#include "cluster/node_key.h"
#include "cluster/raft_node.h"
#include "cluster/snapshot_file.h"
#include "cluster/wal.h"

enum {
    FIRST_INDEX = 8, /* of the snapshot. Not 1: libraft takes that for a configuration that anybody has, and
                        sends no snapshot */
    FIRST_TERM = 1,
    DEPTH_MAX = 2,
};

struct restore {
    const struct restore_options *options;
    char wal_dir[DISK_PATH_MAX], store_dir[DISK_PATH_MAX];
    uint8_t node_id[NODE_ID_LEN];
    struct wrap_key old_key, new_key;
    struct ks_state state;
    struct store *store;
    bool made; /* the data directory holds what we made, and nothing else */
};

static bool is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* A file system's own lost+found does not count. */
static err_t require_empty(const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return errno == ENOENT ? E_OK : disk_err(errno);
    err_t err = E_OK;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        if (is_entry(entry) && strcmp(entry->d_name, "lost+found") != 0)
            err = E_EXISTS;
    closedir(d);
    return err;
}

/* What we made in a directory that was empty: files, and directories with files. */
static void clear(const char *dir, unsigned depth)
{
    char path[DISK_PATH_MAX];
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (!is_entry(entry) || strcmp(entry->d_name, "lost+found") == 0 ||
            disk_path(path, dir, entry->d_name) != E_OK || unlink(path) == 0)
            continue;
        if (depth < DEPTH_MAX)
            clear(path, depth + 1);
        (void)rmdir(path);
    }
    closedir(d);
}

static err_t make_dirs(struct restore *r)
{
    const char *dir = r->options->data_dir;
    err_t err = disk_path(r->wal_dir, dir, "wal");
    if (err == E_OK)
        err = disk_path(r->store_dir, dir, "store");
    if (err == E_OK)
        err = disk_make_dir(dir);
    r->made = err == E_OK;
    if (err == E_OK)
        err = disk_make_dir(r->wal_dir);
    return err == E_OK ? disk_make_dir(r->store_dir) : err;
}

static err_t make_keys(struct restore *r)
{
    const struct restore_options *o = r->options;
    struct secret node_key = {0};
    err_t err = node_id_open(o->data_dir, o->disk, o->rng, true, r->node_id);
    if (err == E_OK)
        err = node_key_open(o->node_key_file, o->disk, o->rng, true, &node_key);
    if (err == E_OK)
        err = data_key_open(o->data_dir, o->disk, o->rng, r->node_id, &node_key, true, &r->new_key);
    secret_close(&node_key);
    return err;
}

static err_t load(struct restore *r, struct bytes stream)
{
    uint64_t seed[2];
    bool rebuilt;
    struct store_txn *txn;
    err_t err = rng_fill(r->options->rng, (uint8_t *)seed, sizeof(seed));
    if (err == E_OK)
        err = store_open(&r->store, r->store_dir, &rebuilt);
    if (err == E_OK)
        err = store_restore(r->store, stream);
    if (err == E_OK)
        err = store_begin_read(r->store, &txn);
    if (err != E_OK)
        return err;
    ks_state_init(&r->state, seed);
    if (r->options->build != NULL)
        r->state.build = r->options->build;
    err = ks_state_load(&r->state, txn);
    store_abort(txn);
    return err;
}

/* The rows of the new cluster, and nothing of the old. */
static err_t put_rows(struct restore *r)
{
    struct store_txn *txn;
    err_t err = store_wipe(r->store);
    if (err == E_OK)
        err = store_begin_write(r->store, &txn);
    if (err != E_OK)
        return err;
    ks_restore_rows(&r->state, txn);
    store_set_applied(txn, FIRST_INDEX, FIRST_TERM);
    return store_commit(txn);
}

static err_t make_meta(const struct restore *r, struct snapshot_meta *meta)
{
    uint64_t raft_id = node_raft_id(r->node_id);
    uint8_t *conf;
    size_t len;
    *meta = (struct snapshot_meta){.index = FIRST_INDEX, .term = FIRST_TERM, .conf_index = FIRST_INDEX};
    err_t err = raft_node_bootstrap(&raft_id, 1, &conf, &len);
    if (err != E_OK)
        return err;
    if (len <= sizeof(meta->conf)) {
        memcpy(meta->conf, conf, len);
        meta->conf_len = (uint16_t)len;
    } else {
        err = E_LIMIT;
    }
    free(conf);
    return err;
}

static err_t write_snapshot(const struct restore *r)
{
    struct snapshot_meta *meta = malloc(sizeof(*meta));
    struct snapshot_writer w;
    struct store_txn *txn;
    err_t err = meta == NULL ? E_NO_MEMORY : make_meta(r, meta);
    if (err == E_OK)
        err = store_begin_read(r->store, &txn);
    if (err == E_OK) {
        err = snapshot_writer_open(&w, r->wal_dir, r->options->disk, meta);
        if (err == E_OK)
            err = store_dump(txn, snapshot_writer_chunk, &w);
        if (err != E_OK && w.err == E_OK)
            w.err = err;
        err = snapshot_writer_close(&w);
        store_abort(txn);
    }
    free(meta);
    return err;
}

/* A log is never read here: it is new. */
static err_t no_entry(void *context, const struct wal_entry *entry)
{
    (void)context;
    (void)entry;
    return E_CORRUPT;
}

static err_t no_index(void *context, uint64_t index)
{
    (void)context;
    (void)index;
    return E_CORRUPT;
}

/* It begins behind the snapshot: whoever joins needs that first. */
static err_t begin_log(const struct restore *r)
{
    struct wal_options options = {
        .dir = r->wal_dir, .disk = r->options->disk, .node_id = r->node_id, .first = true};
    struct wal_reader reader = {NULL, no_entry, no_index, no_index};
    struct wal_report report;
    struct wal_batch batch;
    struct wal *wal = NULL;
    wal_batch_init(&batch);
    err_t err = wal_open(&wal, &options, &reader, &report);
    if (err == E_OK)
        err = wal_batch_reset(&batch, FIRST_INDEX + 1);
    if (err == E_OK)
        err = wal_append(wal, &batch);
    wal_batch_close(&batch);
    wal_close(wal);
    return err;
}

/* How the lost cluster's clock stood to the wall clock: pseudotime goes on from there. */
static err_t write_clock(const struct restore *r, const struct backup_head *head)
{
    uint8_t buf[CLOCK_MARK_LEN];
    struct clock_mark mark = {.cluster_ms = head->cluster_ms, .wall_ms = head->wall_ms};
    struct writer w = writer_over(buf, sizeof(buf));
    memset(mark.boot, 0xff, sizeof(mark.boot)); /* no boot of any machine */
    clock_mark_encode(&w, &mark);
    err_t err = writer_end(&w);
    return err == E_OK ? disk_replace(r->options->disk, r->options->data_dir, "clock", writer_bytes(&w))
                       : err;
}

/* The log before the meta file: with one and without the other no ksd starts, so a restore that was cut short
 * is no cluster. */
static err_t write_all(struct restore *r, const struct backup_head *head, struct bytes stream)
{
    err_t err = make_dirs(r);
    if (err == E_OK)
        err = make_keys(r);
    if (err == E_OK)
        err = begin_log(r);
    if (err == E_OK)
        err = load(r, stream);
    if (err == E_OK)
        err = ks_restore(&r->state, &r->old_key, &r->new_key, r->options->rng);
    if (err == E_OK)
        err = put_rows(r);
    if (err == E_OK)
        err = write_snapshot(r);
    if (err == E_OK)
        err = write_clock(r, head);
    store_close(r->store);
    if (err != E_OK)
        return err;
    struct wal_meta meta = {.term = FIRST_TERM, .bootstrapped = true};
    return wal_meta_write(r->wal_dir, r->options->disk, r->node_id, &meta);
}

err_t cluster_restore(const struct restore_options *options, struct bytes file, const struct secret *key,
                      struct restore_report *out)
{
    *out = (struct restore_report){0};
    struct restore *r = calloc(1, sizeof(*r));
    uint8_t *plain = NULL;
    size_t plain_len = 0;
    struct bytes stream;
    if (r == NULL)
        return E_NO_MEMORY;
    r->options = options;
    err_t err = backup_check(file, &out->head);
    if (err == E_OK)
        err = require_empty(options->data_dir);
    if (err == E_OK)
        err = backup_open(file, key, &out->head, &r->old_key, &plain, &plain_len, &stream);
    if (err == E_OK)
        err = write_all(r, &out->head, stream);
    if (err != E_OK && r->made)
        clear(options->data_dir, 0);
    memcpy(out->cluster_id, r->state.cluster.cluster_id, CLUSTER_ID_LEN);
    if (plain != NULL)
        secret_wipe(plain, plain_len);
    free(plain);
    ks_state_close(&r->state);
    secret_close(&r->old_key.key);
    secret_close(&r->new_key.key);
    free(r);
    return err;
}

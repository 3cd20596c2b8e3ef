/* restore.h - a new cluster of one server out of a backup, written into an empty data directory while no ksd
 * runs on it. Blocking. What cluster_open finds there afterwards is what a server that took over a snapshot
 * has: the state as a snapshot at a low index, an empty log behind it, and this server as its only voter. */
#ifndef CLUSTER_RESTORE_H
#define CLUSTER_RESTORE_H

#include "cluster/backup_file.h"
#include "cluster/disk.h"
#include "cluster/level.h"

struct restore_options {
    const char *data_dir;      /* made if absent; E_EXISTS if anything is in it */
    const char *node_key_file; /* made if absent */
    const struct disk *disk;
    const struct rng *rng;
    const struct level_build *build; /* NULL: level_own */
};

struct restore_report {
    struct backup_head head;
    uint8_t cluster_id[CLUSTER_ID_LEN]; /* the new one */
};

/* Nothing is written before the backup has been opened and checked, and what was written is removed after an
 * error. Errors of backup_open; E_EXISTS; E_CORRUPT: not a state of ours; E_LIMIT (ks_restore);
 * E_OLD_BUILD: of a cluster whose level is above this build's; of disk and store. */
err_t cluster_restore(const struct restore_options *options, struct bytes file, const struct secret *key,
                      struct restore_report *out) MUST_USE;

#endif

/* snapshot_file.h - a snapshot of the state on disk: what it stands for (index, term, voters) and the store's
 * stream. Written in the pool, synced and then renamed into place, so that a file under its final name is
 * whole. Blocking. */
#ifndef CLUSTER_SNAPSHOT_FILE_H
#define CLUSTER_SNAPSHOT_FILE_H

#include "cluster/disk.h"

enum { SNAPSHOT_CONF_MAX = 4096 }; /* octets of an encoded Raft configuration */

struct snapshot_meta {
    uint64_t index; /* last entry that is in it */
    uint64_t term;
    uint64_t conf_index;
    uint16_t conf_len;
    uint8_t conf[SNAPSHOT_CONF_MAX]; /* opaque: of raft_node */
};

struct snapshot_writer {
    char dir[DISK_PATH_MAX];
    const struct disk *disk;
    int fd;
    uint64_t at;
    uint64_t index;
    uint32_t crc;
    err_t err; /* of the first failure; sticks */
};

/* DIR/snapshot-INDEX.tmp; the data follows in chunks (the signature is that of store_chunk_fn). */
err_t snapshot_writer_open(struct snapshot_writer *w, const char *dir, const struct disk *disk,
                           const struct snapshot_meta *meta) MUST_USE;
err_t snapshot_writer_chunk(void *writer, struct bytes chunk) MUST_USE;
/* Syncs and renames, or removes after an error. Returns the first error. */
err_t snapshot_writer_close(struct snapshot_writer *w) MUST_USE;

/* The newest snapshot; *data is heap, the stream is data[*offset ..]. E_NOT_FOUND: none. E_CORRUPT: file
 * (DISK_PATH_MAX, set whenever there is one) is damaged. Leftovers of an unfinished write are removed. */
err_t snapshot_load(const char *dir, struct snapshot_meta *meta, uint8_t **data, struct bytes *stream,
                    char file[DISK_PATH_MAX]) MUST_USE;
/* Removes those older than index. */
err_t snapshot_prune(const char *dir, uint64_t index) MUST_USE;

#endif

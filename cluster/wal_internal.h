/* wal_internal.h - what wal*.c share: the segments of an open log. */
#ifndef CLUSTER_WAL_INTERNAL_H
#define CLUSTER_WAL_INTERNAL_H

#include "cluster/wal_frame.h"

enum { WAL_SEGMENT_HEAD = 64 };

struct wal_segment {
    uint64_t number;
    uint64_t len;       /* octets of the file */
    uint64_t max_index; /* highest entry that was ever written to it */
};

struct wal {
    char dir[DISK_PATH_MAX];
    const struct disk *disk;
    uint8_t node_id[NODE_ID_LEN];
    uint64_t segment_len;
    struct wal_segment *segments; /* oldest first, the last is written to */
    size_t segment_count;
    int fd;      /* of the last one */
    uint64_t at; /* where the next frame goes */
    uint64_t next_frame;
    uint32_t previous_crc;
    err_t failed; /* of the first write or sync that failed */
};

err_t wal_segment_path(const struct wal *wal, uint64_t number, char out[DISK_PATH_MAX]) MUST_USE;
/* Makes the segment with that number, synced under its name, and writes to it from now on. */
err_t wal_segment_make(struct wal *wal, uint64_t number, uint64_t len) MUST_USE;
/* Reads and checks every segment that is there, into wal and reader; opens the last for writing. E_NOT_FOUND:
 * there is none. */
err_t wal_recover(struct wal *wal, const struct wal_reader *reader, struct wal_report *report) MUST_USE;
/* Removes every segment: of a first start that did not finish. */
err_t wal_remove_all(const struct wal *wal) MUST_USE;

#endif

/* wal.h - the Raft log on disk: numbered, preallocated segments of checksummed frames.
 * One frame is one write and one sync, whatever it carries: that is the group commit. At most one is ever in
 * flight, so a frame is begun only after the one before it is on disk. Therefore an unfinished last frame is
 * a torn write and is cut off, while anything wrong before the last frame, or a last frame that was
 * completely written and does not check, is damage: the log is refused with file and offset, since the node
 * may have promised what is lost. Blocking, one caller at a time: start-up and one pool job. */
#ifndef CLUSTER_WAL_H
#define CLUSTER_WAL_H

#include "cluster/disk.h"
#include "storage/record.h"

enum {
    WAL_SEGMENT_LEN = 16 << 20, /* octets, default */
    WAL_FRAME_MAX =
        8 << 20, /* octets of one frame: more than RAFT_MESSAGE_MAX, so that what one message brings fits */
    WAL_ENTRY_MAX = 1 << 20, /* octets of one entry's data */
    WAL_SEGMENT_MAX = 4096,  /* segments; E_LIMIT beyond */
};

/* type is the Raft entry's, opaque here. data.len is a multiple of 8. */
struct wal_entry {
    uint64_t index;
    uint64_t term;
    uint8_t type;
    struct bytes data;
};

/* What is written next. An entry whose index is not above the last one replaces that one and all behind it.
 */
struct wal_batch {
    uint8_t *data; /* heap */
    size_t len;
    size_t cap;
    uint32_t count;
    uint64_t last_index; /* highest that was added, for pruning */
};
void wal_batch_init(struct wal_batch *batch);
void wal_batch_close(struct wal_batch *batch);
/* E_FULL: write this batch first. E_LIMIT: longer than WAL_ENTRY_MAX. E_NO_MEMORY. */
err_t wal_batch_add(struct wal_batch *batch, const struct wal_entry *entry) MUST_USE;
/* The log is empty from here on, the next entry has that index (a snapshot replaces what was there). E_FULL,
 * E_NO_MEMORY. */
err_t wal_batch_reset(struct wal_batch *batch, uint64_t next_index) MUST_USE;
/* Entries from index on are void. */
err_t wal_batch_truncate(struct wal_batch *batch, uint64_t index) MUST_USE;

/* What open found; file and reason are for the event. */
struct wal_report {
    uint64_t cut_octets; /* torn tail, 0 if none */
    uint64_t offset;     /* of the tail or the damage */
    char file[DISK_PATH_MAX];
    const char *reason; /* of E_CORRUPT; static text */
};

/* Replay, in order of writing. Data is borrowed for the call. */
struct wal_reader {
    void *context;
    err_t (*entry)(void *context, const struct wal_entry *entry); /* replaces those from its index on */
    err_t (*reset)(void *context, uint64_t next_index);
    err_t (*truncate)(void *context, uint64_t index);
};

struct wal_options {
    const char *dir; /* exists */
    const struct disk *disk;
    const uint8_t *node_id; /* NODE_ID_LEN: a log of another node is E_CORRUPT */
    uint64_t segment_len;   /* 0: WAL_SEGMENT_LEN */
    bool first;             /* no segment is there and that is right; else E_CORRUPT */
};

struct wal;
err_t wal_open(struct wal **out, const struct wal_options *options, const struct wal_reader *reader,
               struct wal_report *report) MUST_USE;
/* On disk when this returns E_OK. After an error the log refuses everything with the same error: what a
 * failed sync left on disk is unknown. The batch is emptied in any case. An empty batch is fine. */
err_t wal_append(struct wal *wal, struct wal_batch *batch) MUST_USE;
/* Removes segments that hold only entries up to that index. */
err_t wal_prune(struct wal *wal, uint64_t index) MUST_USE;
/* Is there any segment in the directory? */
err_t wal_found(const char *dir, bool *out) MUST_USE;
uint64_t wal_bytes(const struct wal *wal); /* octets of all segments */
void wal_close(struct wal *wal);

/* Term and vote, written whole or not at all before anything that depends on them. */
struct wal_meta {
    uint64_t term;
    uint64_t vote;     /* Raft id, 0 none */
    bool bootstrapped; /* the log was begun: from then on it must be there */
};
/* DIR/raft.meta. E_NOT_FOUND before the first write; E_CORRUPT. */
err_t wal_meta_read(const char *dir, const uint8_t node_id[NODE_ID_LEN], struct wal_meta *out) MUST_USE;
err_t wal_meta_write(const char *dir, const struct disk *disk, const uint8_t node_id[NODE_ID_LEN],
                     const struct wal_meta *meta) MUST_USE;

#endif

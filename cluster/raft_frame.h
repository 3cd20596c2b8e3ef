/* raft_frame.h - what key servers say to each other inside TLS, as bytes. Pure; decoding never trusts what it
 * reads.
 *
 * frame: length u32 (of kind and body) | kind u8 | body
 *   HELLO           version u16 | cluster id 16 | epoch u64 | boot u64 | session u64
 *   PING, PONG      mark u64: a PONG repeats the mark of its PING
 *   GOODBYE         reason u8: why the sender closes (enum transport_reason)
 *   SNAPSHOT_BEGIN  index u64 | total u64 | message ..: the Raft message that the snapshot goes with
 *   SNAPSHOT_CHUNK  index u64 | total u64 | offset u64 | crc u32 (CRC-32C of the data) | data ..
 *   SNAPSHOT_ABORT  empty: the sender could not read on
 *   USER and above  the caller's own
 * HELLO is the first frame of each side, the dialling one first. It carries no node id: that comes from the
 * certificate. */
#ifndef CLUSTER_RAFT_FRAME_H
#define CLUSTER_RAFT_FRAME_H

#include <stdbool.h>

#include "base/wire.h"
#include "storage/record.h"

enum {
    FRAME_HEAD = 5,
    FRAME_BODY_MAX = (4 << 20) + 64, /* octets: a Raft message and the snapshot's numbers */
    FRAME_FIRST_MAX = 64,            /* octets of a body while the peer has not been admitted */
    FRAME_CHUNK_MAX = 1 << 20,       /* octets of data in one snapshot chunk */
    FRAME_CHUNK_HEAD = 8 + 8 + 8 + 4,
    FRAME_BEGIN_HEAD = 8 + 8,
    FRAME_VERSION = 1,           /* of this protocol */
    FRAME_BUFFER_MIN = 32 << 10, /* octets that a reader holds on to */
};

enum frame_kind {
    FRAME_HELLO = 1,
    FRAME_PING = 2,
    FRAME_PONG = 3,
    FRAME_GOODBYE = 4,
    FRAME_SNAPSHOT_BEGIN = 5,
    FRAME_SNAPSHOT_CHUNK = 6,
    FRAME_SNAPSHOT_ABORT = 7,
    FRAME_USER = 16, /* kinds 16 .. 255 belong to the caller */
};

struct frame {
    uint8_t kind;
    struct bytes body;
};

struct frame_hello {
    uint16_t version;
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint64_t epoch;   /* of the cluster: changes by restore or forced recovery, not by a join */
    uint64_t boot;    /* random per process */
    uint64_t session; /* rises with each connection of that process */
};

struct frame_begin {
    uint64_t index;
    uint64_t total;
    struct bytes message;
};

struct frame_chunk {
    uint64_t index;
    uint64_t total;
    uint64_t offset;
    struct bytes data;
};

/* Appends the head of a frame whose body of body_len octets follows. E_LIMIT in the writer beyond
 * FRAME_BODY_MAX. */
void frame_head_encode(struct writer *w, uint8_t kind, size_t body_len);
void frame_hello_encode(struct writer *w, const struct frame_hello *hello); /* with head, as the next ones */
void frame_mark_encode(struct writer *w, enum frame_kind kind, uint64_t mark);
void frame_goodbye_encode(struct writer *w, uint8_t reason);
void frame_begin_encode(struct writer *w, const struct frame_begin *begin);
/* Head and numbers of a chunk whose data (chunk->data) follows; its CRC is computed here. */
void frame_chunk_head_encode(struct writer *w, const struct frame_chunk *chunk);

/* Bodies. E_TRUNCATED, E_TRAILING, E_RANGE. A HELLO of another version decodes to its version alone, with
 * E_BAD_VERSION. */
err_t frame_hello_decode(struct frame_hello *out, struct bytes body) MUST_USE;
err_t frame_mark_decode(uint64_t *out, struct bytes body) MUST_USE;
err_t frame_goodbye_decode(uint8_t *out, struct bytes body) MUST_USE;
err_t frame_begin_decode(struct frame_begin *out, struct bytes body) MUST_USE;
/* E_CORRUPT: the CRC is wrong. */
err_t frame_chunk_decode(struct frame_chunk *out, struct bytes body) MUST_USE;

/* Reassembly of frames from a stream. Zeroed is empty; body_max must be set. */
struct frame_reader {
    uint8_t *buf;
    size_t cap;
    size_t start; /* of what was not handed out yet */
    size_t end;
    size_t body_max;
};

/* Room for at least one octet; what is written there counts after frame_reader_added. Invalidates frames
 * handed out. E_NO_MEMORY. */
err_t frame_reader_room(struct frame_reader *reader, uint8_t **out, size_t *out_len) MUST_USE;
void frame_reader_added(struct frame_reader *reader, size_t len);
/* The next whole frame, borrowed until frame_reader_room. E_AGAIN: not there yet; E_LIMIT: longer than
 * body_max; E_BAD_LENGTH: not even a kind. After an error other than E_AGAIN the stream is lost. */
err_t frame_reader_next(struct frame_reader *reader, struct frame *out) MUST_USE;
void frame_reader_close(struct frame_reader *reader);

/* A snapshot that arrives in chunks. Zeroed is idle; total_max must be set. */
struct snapshot_assembly {
    uint64_t total_max;
    bool active;
    uint64_t index;
    uint64_t total;
    uint64_t filled;
    size_t cap;
    uint8_t *data;
    uint8_t *message;
    size_t message_len;
};

/* Starts over, whatever was there. E_LIMIT beyond total_max, E_NO_MEMORY. */
err_t snapshot_assembly_begin(struct snapshot_assembly *assembly, const struct frame_begin *begin) MUST_USE;
/* The next chunk. E_UNEXPECTED: not the one that must come now; E_NO_MEMORY. Memory grows with what has come,
 * not with what was announced. */
err_t snapshot_assembly_add(struct snapshot_assembly *assembly, const struct frame_chunk *chunk) MUST_USE;
bool snapshot_assembly_complete(const struct snapshot_assembly *assembly);
/* Forgets it; ready for the next. */
void snapshot_assembly_close(struct snapshot_assembly *assembly);

#endif

/* wal_frame.h - frames of wal.h as bytes. Pure; decoding never trusts what it reads.
 *
 * frame: magic u32 | header CRC u32 | body CRC u32 | length u32 | records u32 | body CRC of the frame before
 * u32 | number u64 | records ... | end mark of 8 octets, the last not zero record: kind u8 | entry type u8 |
 * 0 u16 | data length u32 | index u64 | term u64 | data, padded to 8 The header CRC covers the fields behind
 * it but not the body; the body CRC covers records and end mark. */
#ifndef CLUSTER_WAL_FRAME_H
#define CLUSTER_WAL_FRAME_H

#include "cluster/wal.h"

enum {
    WAL_FRAME_HEAD = 32,
    WAL_FRAME_TAIL = 8,
    WAL_RECORD_HEAD = 24,
    WAL_SECTOR = 512, /* disks write at least so much at once */
};
enum wal_record { WAL_ENTRY = 1, WAL_RESET = 2, WAL_TRUNCATE = 3 };

struct wal_frame {
    uint32_t len;
    uint32_t count;
    uint32_t body_crc;
    uint32_t previous_crc;
    uint64_t number;
    struct bytes records;
};

/* Completes a frame whose records lie behind WAL_FRAME_HEAD octets of room: fills header and end mark in. buf
 * has room for the tail too. Returns the frame's length. */
size_t wal_frame_seal(uint8_t *buf, size_t records_end, uint32_t count, uint32_t previous_crc,
                      uint64_t number, uint32_t *body_crc);
/* The frame at the beginning of data. E_CORRUPT. */
err_t wal_frame_open(struct wal_frame *out, struct bytes data) MUST_USE;
/* Hands the records to the reader, in order. E_CORRUPT, or what the reader gave. max_index: raised to the
 * highest entry index. */
err_t wal_frame_read(const struct wal_frame *frame, const struct wal_reader *reader,
                     uint64_t *max_index) MUST_USE;

/* What stands where no valid frame does. */
enum wal_tail {
    WAL_TAIL_CLEAN,   /* zeros to the end: never written */
    WAL_TAIL_TORN,    /* a write that did not finish */
    WAL_TAIL_DAMAGED, /* a finished write that changed since, or a valid frame behind it */
};
/* data: from the first octet that is no valid frame to the end of the segment; at: its offset in the file.
 * *used: octets up to the last that is not zero. *reason: static text, for damage. */
enum wal_tail wal_tail_judge(struct bytes data, uint64_t at, size_t *used, const char **reason);

#endif

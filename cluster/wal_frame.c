#include "cluster/wal_frame.h"

#include <string.h>

#include "storage/crc32c.h"

static const uint32_t frame_magic = 0x51574c46u; /* "QWLF" */
static const uint8_t end_mark[WAL_FRAME_TAIL] = {'Q', 'W', 'L', 'F', '-', 'E', 'N', 'D'};
enum { OFFSET_HEADER_CRC = 4, OFFSET_BODY_CRC = 8 };

size_t wal_frame_seal(uint8_t *buf, size_t records_end, uint32_t count, uint32_t previous_crc,
                      uint64_t number, uint32_t *body_crc)
{
    memcpy(buf + records_end, end_mark, WAL_FRAME_TAIL);
    size_t len = records_end + WAL_FRAME_TAIL;
    *body_crc = crc32c(0, (struct bytes){buf + WAL_FRAME_HEAD, len - WAL_FRAME_HEAD});
    struct writer w = writer_over(buf, WAL_FRAME_HEAD);
    write_u32(&w, frame_magic);
    write_u32(&w, 0);
    write_u32(&w, *body_crc);
    write_u32(&w, (uint32_t)len);
    write_u32(&w, count);
    write_u32(&w, previous_crc);
    write_u64(&w, number);
    writer_patch_u32(&w, OFFSET_HEADER_CRC,
                     crc32c(0, (struct bytes){buf + OFFSET_BODY_CRC, WAL_FRAME_HEAD - OFFSET_BODY_CRC}));
    return len;
}

static err_t open_header(struct wal_frame *out, struct bytes data)
{
    struct reader r = reader_over(bytes_slice(data, 0, WAL_FRAME_HEAD));
    uint32_t magic = read_u32(&r), header_crc = read_u32(&r);
    out->body_crc = read_u32(&r);
    out->len = read_u32(&r);
    out->count = read_u32(&r);
    out->previous_crc = read_u32(&r);
    out->number = read_u64(&r);
    if (reader_end(&r) != E_OK || magic != frame_magic)
        return E_CORRUPT;
    if (header_crc != crc32c(0, bytes_slice(data, OFFSET_BODY_CRC, WAL_FRAME_HEAD - OFFSET_BODY_CRC)))
        return E_CORRUPT;
    bool sane = out->len >= WAL_FRAME_HEAD + WAL_FRAME_TAIL && out->len <= WAL_FRAME_MAX && out->len % 8 == 0;
    return sane ? E_OK : E_CORRUPT;
}

err_t wal_frame_open(struct wal_frame *out, struct bytes data)
{
    *out = (struct wal_frame){0};
    if (open_header(out, data) != E_OK || out->len > data.len)
        return E_CORRUPT;
    struct bytes body = bytes_slice(data, WAL_FRAME_HEAD, out->len - WAL_FRAME_HEAD);
    struct bytes mark = bytes_slice(body, body.len - WAL_FRAME_TAIL, WAL_FRAME_TAIL);
    if (crc32c(0, body) != out->body_crc || !bytes_equal(mark, BYTES_OF(end_mark)))
        return E_CORRUPT;
    out->records = (struct bytes){body.data, body.len - WAL_FRAME_TAIL};
    return E_OK;
}

static err_t read_record(struct reader *r, const struct wal_reader *reader, uint64_t *max_index)
{
    uint8_t kind = read_u8(r);
    struct wal_entry entry = {.type = read_u8(r)};
    reader_require(r, read_u16(r) == 0);
    uint32_t len = read_u32(r);
    entry.index = read_u64(r);
    entry.term = read_u64(r);
    reader_require(r, len <= WAL_ENTRY_MAX && len % 8 == 0 && entry.index > 0);
    entry.data = read_bytes(r, r->err == E_OK ? len : 0);
    if (r->err != E_OK)
        return E_CORRUPT;
    switch (kind) {
    case WAL_ENTRY:
        if (entry.index > *max_index)
            *max_index = entry.index;
        return reader->entry(reader->context, &entry);
    case WAL_RESET:
        return reader->reset(reader->context, entry.index);
    case WAL_TRUNCATE:
        return reader->truncate(reader->context, entry.index);
    default:
        return E_CORRUPT;
    }
}

err_t wal_frame_read(const struct wal_frame *frame, const struct wal_reader *reader, uint64_t *max_index)
{
    struct reader r = reader_over(frame->records);
    err_t err = E_OK;
    for (uint32_t i = 0; i < frame->count && err == E_OK; i++)
        err = read_record(&r, reader, max_index);
    if (err == E_OK && reader_end(&r) != E_OK)
        err = E_CORRUPT;
    return err;
}

static bool is_zero(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.data[i] != 0)
            return false;
    }
    return true;
}

static size_t used_len(struct bytes data)
{
    size_t used = data.len;
    while (used > 0 && data.data[used - 1] == 0)
        used--;
    return used;
}

/* Frames are aligned to 8 octets. */
static bool valid_frame_behind(struct bytes data, size_t used)
{
    for (size_t at = 8; at + WAL_FRAME_HEAD <= used; at += 8) {
        struct wal_frame frame;
        if (wal_frame_open(&frame, bytes_slice(data, at, data.len)) == E_OK)
            return true;
    }
    return false;
}

/* Does a sector (or a part of one at either end) of the extent hold only zeros, as if it had not been
 * written? */
static bool has_hole(struct bytes extent, uint64_t at)
{
    for (size_t pos = 0; pos < extent.len;) {
        size_t part = WAL_SECTOR - (size_t)((at + pos) % WAL_SECTOR);
        struct bytes piece = bytes_slice(extent, pos, part);
        if (is_zero(piece))
            return true;
        pos += piece.len;
    }
    return false;
}

enum wal_tail wal_tail_judge(struct bytes data, uint64_t at, size_t *used, const char **reason)
{
    *reason = NULL;
    *used = used_len(data);
    if (*used == 0)
        return WAL_TAIL_CLEAN;
    struct wal_frame frame = {0};
    *reason = "a frame does not check, valid ones follow";
    if (valid_frame_behind(data, *used))
        return WAL_TAIL_DAMAGED;
    if (open_header(&frame, data) == E_OK) {
        /* The length can be trusted: was all of it written? */
        *reason = "the last frame was written completely and does not check";
        if (*used > frame.len)
            return WAL_TAIL_DAMAGED;
        return *used < frame.len || has_hole(bytes_slice(data, 0, frame.len), at) ? WAL_TAIL_TORN
                                                                                  : WAL_TAIL_DAMAGED;
    }
    *reason = "a frame's header does not check";
    if (*used > WAL_FRAME_MAX)
        return WAL_TAIL_DAMAGED; /* one write in flight is not that long */
    bool torn = *used < WAL_FRAME_HEAD || has_hole(bytes_slice(data, 0, WAL_FRAME_HEAD), at);
    return torn ? WAL_TAIL_TORN : WAL_TAIL_DAMAGED;
}

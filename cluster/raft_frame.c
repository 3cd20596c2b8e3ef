#include "cluster/raft_frame.h"

#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"

enum { HELLO_LEN = 2 + CLUSTER_ID_LEN + 8 + 8 + 8 };

_Static_assert((int)HELLO_LEN <= FRAME_FIRST_MAX, "a HELLO fits where nothing else is taken");
_Static_assert(FRAME_CHUNK_HEAD + FRAME_CHUNK_MAX <= FRAME_BODY_MAX, "a chunk fits a frame");

void frame_head_encode(struct writer *w, uint8_t kind, size_t body_len)
{
    if (body_len > FRAME_BODY_MAX) {
        writer_fail(w, E_LIMIT);
        return;
    }
    write_u32(w, (uint32_t)body_len + 1);
    write_u8(w, kind);
}

void frame_hello_encode(struct writer *w, const struct frame_hello *hello)
{
    frame_head_encode(w, FRAME_HELLO, HELLO_LEN);
    write_u16(w, hello->version);
    write_bytes(w, BYTES_OF(hello->cluster_id));
    write_u64(w, hello->epoch);
    write_u64(w, hello->boot);
    write_u64(w, hello->session);
}

void frame_mark_encode(struct writer *w, enum frame_kind kind, uint64_t mark)
{
    frame_head_encode(w, (uint8_t)kind, 8);
    write_u64(w, mark);
}

void frame_goodbye_encode(struct writer *w, uint8_t reason)
{
    frame_head_encode(w, FRAME_GOODBYE, 1);
    write_u8(w, reason);
}

void frame_begin_encode(struct writer *w, const struct frame_begin *begin)
{
    frame_head_encode(w, FRAME_SNAPSHOT_BEGIN, FRAME_BEGIN_HEAD + begin->message.len);
    write_u64(w, begin->index);
    write_u64(w, begin->total);
    write_bytes(w, begin->message);
}

void frame_chunk_head_encode(struct writer *w, const struct frame_chunk *chunk)
{
    if (chunk->data.len > FRAME_CHUNK_MAX)
        writer_fail(w, E_LIMIT);
    frame_head_encode(w, FRAME_SNAPSHOT_CHUNK, FRAME_CHUNK_HEAD + chunk->data.len);
    write_u64(w, chunk->index);
    write_u64(w, chunk->total);
    write_u64(w, chunk->offset);
    write_u32(w, crc32c(0, chunk->data));
}

err_t frame_hello_decode(struct frame_hello *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = (struct frame_hello){.version = read_u16(&r)};
    if (r.err == E_OK && out->version != FRAME_VERSION)
        return E_BAD_VERSION; /* what follows is for those who know it */
    read_into(&r, out->cluster_id, sizeof(out->cluster_id));
    out->epoch = read_u64(&r);
    out->boot = read_u64(&r);
    out->session = read_u64(&r);
    return reader_end(&r);
}

err_t frame_mark_decode(uint64_t *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = read_u64(&r);
    return reader_end(&r);
}

err_t frame_goodbye_decode(uint8_t *out, struct bytes body)
{
    struct reader r = reader_over(body);
    *out = read_u8(&r);
    return reader_end(&r);
}

err_t frame_begin_decode(struct frame_begin *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->index = read_u64(&r);
    out->total = read_u64(&r);
    out->message = read_rest(&r);
    reader_require(&r, out->index != 0);
    return reader_end(&r);
}

err_t frame_chunk_decode(struct frame_chunk *out, struct bytes body)
{
    struct reader r = reader_over(body);
    out->index = read_u64(&r);
    out->total = read_u64(&r);
    out->offset = read_u64(&r);
    uint32_t crc = read_u32(&r);
    out->data = read_rest(&r);
    reader_require(&r, out->data.len >= 1 && out->data.len <= FRAME_CHUNK_MAX);
    reader_require(&r, out->offset < out->total && out->data.len <= out->total - out->offset);
    err_t err = reader_end(&r);
    if (err == E_OK && crc32c(0, out->data) != crc)
        err = E_CORRUPT;
    return err;
}

/* Octets that the frame at the front needs in all, as far as that is known. */
static size_t wanted(const struct frame_reader *reader)
{
    if (reader->end - reader->start < 4)
        return FRAME_HEAD;
    struct reader r = reader_over((struct bytes){reader->buf + reader->start, 4});
    size_t len = read_u32(&r);
    return len > reader->body_max + 1 ? FRAME_HEAD : 4 + len;
}

static err_t resize(struct frame_reader *reader, size_t cap)
{
    uint8_t *buf = malloc(cap);
    if (buf == NULL)
        return E_NO_MEMORY;
    size_t held = reader->end - reader->start;
    if (held != 0)
        memcpy(buf, reader->buf + reader->start, held);
    free(reader->buf);
    reader->buf = buf;
    reader->cap = cap;
    reader->start = 0;
    reader->end = held;
    return E_OK;
}

err_t frame_reader_room(struct frame_reader *reader, uint8_t **out, size_t *out_len)
{
    size_t held = reader->end - reader->start;
    err_t err = E_OK;
    if (held == 0)
        reader->start = reader->end = 0;
    if (reader->cap == 0 || (held == 0 && reader->cap > FRAME_BUFFER_MIN)) {
        err = resize(reader, FRAME_BUFFER_MIN); /* what a big frame took is given back */
    } else if (reader->end == reader->cap && reader->start != 0) {
        memmove(reader->buf, reader->buf + reader->start, held);
        reader->start = 0;
        reader->end = held;
    } else if (reader->end == reader->cap) {
        /* Doubling: a length alone reserves nothing. */
        size_t want = wanted(reader), cap = 2 * reader->cap;
        err = resize(reader, cap > want && want > held ? want : cap);
    }
    if (err != E_OK)
        return err;
    *out = reader->buf + reader->end;
    *out_len = reader->cap - reader->end;
    return E_OK;
}

void frame_reader_added(struct frame_reader *reader, size_t len)
{
    reader->end += len;
}

err_t frame_reader_next(struct frame_reader *reader, struct frame *out)
{
    size_t held = reader->end - reader->start;
    if (held < 4)
        return E_AGAIN;
    struct reader r = reader_over((struct bytes){reader->buf + reader->start, held});
    size_t len = read_u32(&r);
    if (len == 0)
        return E_BAD_LENGTH;
    if (len - 1 > reader->body_max)
        return E_LIMIT;
    if (reader_left(&r) < len)
        return E_AGAIN;
    out->kind = read_u8(&r);
    out->body = read_bytes(&r, len - 1);
    reader->start += 4 + len;
    return E_OK;
}

void frame_reader_close(struct frame_reader *reader)
{
    free(reader->buf);
    *reader = (struct frame_reader){.body_max = reader->body_max};
}

err_t snapshot_assembly_begin(struct snapshot_assembly *assembly, const struct frame_begin *begin)
{
    snapshot_assembly_close(assembly);
    if (begin->total > assembly->total_max)
        return E_LIMIT;
    if (begin->message.len != 0) {
        assembly->message = malloc(begin->message.len);
        if (assembly->message == NULL)
            return E_NO_MEMORY;
        memcpy(assembly->message, begin->message.data, begin->message.len);
    }
    assembly->message_len = begin->message.len;
    assembly->index = begin->index;
    assembly->total = begin->total;
    assembly->active = true;
    return E_OK;
}

err_t snapshot_assembly_add(struct snapshot_assembly *assembly, const struct frame_chunk *chunk)
{
    if (!assembly->active || chunk->index != assembly->index || chunk->total != assembly->total ||
        chunk->offset != assembly->filled || chunk->data.len > assembly->total - assembly->filled)
        return E_UNEXPECTED;
    uint64_t need = assembly->filled + chunk->data.len;
    if (need > assembly->cap) {
        uint64_t cap = 2 * need > assembly->total ? assembly->total : 2 * need;
        uint8_t *data = realloc(assembly->data, (size_t)cap);
        if (data == NULL)
            return E_NO_MEMORY;
        assembly->data = data;
        assembly->cap = (size_t)cap;
    }
    memcpy(assembly->data + assembly->filled, chunk->data.data, chunk->data.len);
    assembly->filled = need;
    return E_OK;
}

bool snapshot_assembly_complete(const struct snapshot_assembly *assembly)
{
    return assembly->active && assembly->filled == assembly->total;
}

void snapshot_assembly_close(struct snapshot_assembly *assembly)
{
    free(assembly->data);
    free(assembly->message);
    *assembly = (struct snapshot_assembly){.total_max = assembly->total_max};
}

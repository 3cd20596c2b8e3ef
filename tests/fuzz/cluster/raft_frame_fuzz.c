/* raft_frame_fuzz.c - a peer's stream, cut as its first octets say: frames, their bodies and a snapshot put
 * together from them. What is taken must encode to itself, and memory must follow what came. */
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 1 << 16, SNAPSHOT_MAX = 1 << 16 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_same(const struct writer *w, const struct frame *frame)
{
    struct bytes got = writer_bytes(w);
    require(writer_end(w) == E_OK && got.len >= FRAME_HEAD && got.data[4] == frame->kind);
    require(bytes_equal(bytes_slice(got, FRAME_HEAD, got.len),
                        bytes_slice(frame->body, 0, got.len - FRAME_HEAD)));
}

static void try_small(const struct frame *frame)
{
    uint8_t buf[128];
    struct writer w = writer_over(buf, sizeof(buf));
    struct frame_hello hello;
    uint64_t mark;
    uint8_t reason;
    if (frame->kind == FRAME_HELLO && frame_hello_decode(&hello, frame->body) == E_OK)
        frame_hello_encode(&w, &hello);
    else if ((frame->kind == FRAME_PING || frame->kind == FRAME_PONG) &&
             frame_mark_decode(&mark, frame->body) == E_OK)
        frame_mark_encode(&w, frame->kind, mark);
    else if (frame->kind == FRAME_GOODBYE && frame_goodbye_decode(&reason, frame->body) == E_OK)
        frame_goodbye_encode(&w, reason);
    else
        return;
    require(w.len == FRAME_HEAD + frame->body.len);
    require_same(&w, frame);
}

static void try_snapshot(struct snapshot_assembly *assembly, const struct frame *frame, uint64_t *received)
{
    struct frame_begin begin;
    struct frame_chunk chunk;
    uint8_t buf[64];
    struct writer w = writer_over(buf, sizeof(buf));
    if (frame->kind == FRAME_SNAPSHOT_BEGIN && frame_begin_decode(&begin, frame->body) == E_OK) {
        *received = 0;
        require(snapshot_assembly_begin(assembly, &begin) == (begin.total > SNAPSHOT_MAX ? E_LIMIT : E_OK));
    } else if (frame->kind == FRAME_SNAPSHOT_CHUNK && frame_chunk_decode(&chunk, frame->body) == E_OK) {
        frame_chunk_head_encode(&w, &chunk);
        require_same(&w, frame);
        if (snapshot_assembly_add(assembly, &chunk) == E_OK)
            *received += chunk.data.len;
    }
    require(!assembly->active || assembly->filled == *received);
    require(assembly->cap <= 2 * *received && assembly->filled <= assembly->total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_reader reader = {.body_max = BODY_MAX};
    struct snapshot_assembly assembly = {.total_max = SNAPSHOT_MAX};
    uint64_t received = 0;
    size_t step = size == 0 ? 1 : 1 + data[0], at = size == 0 ? 0 : 1;
    err_t err = E_AGAIN;
    while (err == E_AGAIN && at < size) {
        uint8_t *room;
        size_t len, part = size - at < step ? size - at : step;
        struct frame frame;
        if (frame_reader_room(&reader, &room, &len) != E_OK)
            break;
        require(len > 0);
        part = part < len ? part : len;
        memcpy(room, data + at, part);
        frame_reader_added(&reader, part);
        at += part;
        while ((err = frame_reader_next(&reader, &frame)) == E_OK) {
            require(frame.body.len <= BODY_MAX);
            try_small(&frame);
            try_snapshot(&assembly, &frame, &received);
        }
        require(reader.cap <= 2 * size + 2 * FRAME_BUFFER_MIN);
    }
    frame_reader_close(&reader);
    snapshot_assembly_close(&assembly);
    return 0;
}

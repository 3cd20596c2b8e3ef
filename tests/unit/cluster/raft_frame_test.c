/* raft_frame_test.c - frames of the peer transport: fields, lengths, streams cut anywhere, snapshots in
 * chunks. */
#include "cluster/raft_frame.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/raft_transport_queue.h"
#include "tests/lib/test.h"

static struct frame_hello sample_hello(void)
{
    struct frame_hello hello = {
        .version = FRAME_VERSION, .epoch = 0x0102030405060708u, .boot = 0x1112131415161718u, .session = 3};
    memset(hello.cluster_id, 0xc1, sizeof(hello.cluster_id));
    return hello;
}

/* The body of the one frame in the writer, by way of a reader. */
static struct frame only_frame(struct frame_reader *reader, const struct writer *w)
{
    struct frame frame;
    uint8_t *room;
    size_t len;
    assert_ok(writer_end(w));
    assert_ok(frame_reader_room(reader, &room, &len));
    assert_true(len >= w->len);
    memcpy(room, w->buf, w->len);
    frame_reader_added(reader, w->len);
    assert_ok(frame_reader_next(reader, &frame));
    struct frame none;
    assert_err(frame_reader_next(reader, &none), E_AGAIN);
    return frame;
}

static void every_frame_stands_on_the_wire_as_written_down(void **state)
{
    (void)state;
    uint8_t buf[512];
    struct frame_hello hello = sample_hello();
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    assert_bytes(writer_bytes(&w),
                 "0000002b 01 0001 c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 0102030405060708 1112131415161718"
                 "0000000000000003");
    w = writer_over(buf, sizeof(buf));
    frame_mark_encode(&w, FRAME_PING, 5);
    frame_mark_encode(&w, FRAME_PONG, 6);
    frame_goodbye_encode(&w, 9);
    frame_begin_encode(&w, &(struct frame_begin){.index = 1, .total = 2, .message = bytes_of_text("m")});
    assert_bytes(writer_bytes(&w), "00000009 02 0000000000000005 00000009 03 0000000000000006 00000002 04 09"
                                   "00000012 05 0000000000000001 0000000000000002 6d");
    /* CRC-32C of "123456789" is e3069283 */
    struct frame_chunk chunk = {.index = 1, .total = 20, .offset = 3, .data = bytes_of_text("123456789")};
    w = writer_over(buf, sizeof(buf));
    frame_chunk_head_encode(&w, &chunk);
    assert_bytes(writer_bytes(&w), "00000026 06 0000000000000001 0000000000000014 0000000000000003 e3069283");
}

static void a_hello_is_read_back_and_every_cut_refused(void **state)
{
    (void)state;
    uint8_t buf[128];
    struct frame_hello hello = sample_hello(), back;
    struct frame_reader reader = {.body_max = FRAME_FIRST_MAX};
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &hello);
    struct frame frame = only_frame(&reader, &w);
    assert_int_equal(frame.kind, FRAME_HELLO);
    assert_ok(frame_hello_decode(&back, frame.body));
    assert_int_equal(back.version, hello.version);
    assert_memory_equal(back.cluster_id, hello.cluster_id, CLUSTER_ID_LEN);
    assert_true(back.epoch == hello.epoch && back.boot == hello.boot && back.session == hello.session);
    for (size_t i = 0; i < frame.body.len; i++)
        assert_err(frame_hello_decode(&back, (struct bytes){frame.body.data, i}), E_TRUNCATED);
    memcpy(buf + 64, frame.body.data, frame.body.len);
    assert_err(frame_hello_decode(&back, (struct bytes){buf + 64, frame.body.len + 1}), E_TRAILING);
    buf[65] = FRAME_VERSION + 1;
    assert_err(frame_hello_decode(&back, (struct bytes){buf + 64, 2}), E_BAD_VERSION); /* whatever follows */
    assert_int_equal(back.version, FRAME_VERSION + 1);
    frame_reader_close(&reader);
}

static void a_chunk_must_fit_its_numbers_and_its_checksum(void **state)
{
    (void)state;
    uint8_t buf[128];
    struct frame_chunk chunk = {.index = 1, .total = 9, .offset = 0, .data = bytes_of_text("123456789")},
                       back;
    struct frame_reader reader = {.body_max = FRAME_BODY_MAX};
    struct writer w = writer_over(buf, sizeof(buf));
    frame_chunk_head_encode(&w, &chunk);
    write_bytes(&w, chunk.data);
    struct frame frame = only_frame(&reader, &w);
    assert_ok(frame_chunk_decode(&back, frame.body));
    assert_true(bytes_equal(back.data, chunk.data));
    uint8_t body[64];
    for (size_t i = 0; i < frame.body.len; i++) {
        assert_true(frame_chunk_decode(&back, (struct bytes){frame.body.data, i}) != E_OK);
        memcpy(body, frame.body.data, frame.body.len);
        body[i] ^= 0x80;
        err_t err = frame_chunk_decode(&back, (struct bytes){body, frame.body.len});
        if (i >= 24)
            assert_err(err, E_CORRUPT);
        else if (i >= 16) /* an offset beyond total */
            assert_err(err, E_RANGE);
    }
    frame_reader_close(&reader);
}

/* The same frames, however the stream was cut. */
static void frames_come_out_of_a_stream_cut_anywhere(void **state)
{
    (void)state;
    enum { COUNT = 300, STEP_MAX = 977 };
    static uint8_t stream[COUNT * 400];
    struct writer w = writer_over(stream, sizeof(stream));
    for (uint32_t i = 0; i < COUNT; i++) {
        size_t len = (i * 37) % 390;
        frame_head_encode(&w, (uint8_t)(FRAME_USER + i % 7), len);
        for (size_t k = 0; k < len; k++)
            write_u8(&w, (uint8_t)(i + k));
    }
    assert_ok(writer_end(&w));
    for (size_t step = 1; step < STEP_MAX; step += 61) {
        struct frame_reader reader = {.body_max = 400};
        uint32_t seen = 0;
        for (size_t at = 0; at < w.len;) {
            uint8_t *room;
            size_t len, part = w.len - at < step ? w.len - at : step;
            struct frame frame;
            assert_ok(frame_reader_room(&reader, &room, &len));
            assert_true(len > 0);
            part = part < len ? part : len;
            memcpy(room, stream + at, part);
            frame_reader_added(&reader, part);
            at += part;
            while (frame_reader_next(&reader, &frame) == E_OK) {
                assert_int_equal(frame.kind, FRAME_USER + seen % 7);
                assert_int_equal(frame.body.len, (seen * 37) % 390);
                if (frame.body.len != 0)
                    assert_int_equal(frame.body.data[frame.body.len - 1],
                                     (uint8_t)(seen + frame.body.len - 1));
                seen++;
            }
        }
        assert_int_equal(seen, COUNT);
        frame_reader_close(&reader);
    }
}

static void feed(struct frame_reader *reader, const uint8_t *data, size_t len)
{
    while (len > 0) {
        uint8_t *room;
        size_t space;
        assert_ok(frame_reader_room(reader, &room, &space));
        size_t part = len < space ? len : space;
        memcpy(room, data, part);
        frame_reader_added(reader, part);
        data += part;
        len -= part;
    }
}

static void memory_follows_what_came_and_is_given_back(void **state)
{
    (void)state;
    struct frame_reader reader = {.body_max = FRAME_BODY_MAX};
    struct frame frame;
    uint8_t head[FRAME_HEAD], *zeros = calloc(1, FRAME_BODY_MAX);
    assert_non_null(zeros);
    struct writer w = writer_over(head, sizeof(head));
    frame_head_encode(&w, FRAME_USER, FRAME_BODY_MAX);
    feed(&reader, head, sizeof(head));
    feed(&reader, zeros, 100);
    assert_err(frame_reader_next(&reader, &frame), E_AGAIN);
    assert_true(reader.cap <= FRAME_BUFFER_MIN); /* 4 MiB were announced, nothing is reserved */
    feed(&reader, zeros, FRAME_BODY_MAX - 100);
    assert_ok(frame_reader_next(&reader, &frame));
    assert_int_equal(frame.body.len, FRAME_BODY_MAX);
    assert_true(reader.cap <= 2 * (FRAME_BODY_MAX + FRAME_HEAD));
    uint8_t *room;
    size_t len;
    assert_ok(frame_reader_room(&reader, &room, &len));
    assert_int_equal(reader.cap, FRAME_BUFFER_MIN);
    frame_reader_close(&reader);
    free(zeros);
}

static void lengths_out_of_bounds_end_the_stream(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        err_t err;
    } rows[] = {{"\x00\x00\x00\x00", E_BAD_LENGTH},
                {"\x00\x00\x00\x42", E_LIMIT},
                {"\xff\xff\xff\xff", E_LIMIT},
                {"\x00\x00\x00\x41", E_AGAIN}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct frame_reader reader = {.body_max = 64};
        struct frame frame;
        feed(&reader, (const uint8_t *)rows[i].head, 4);
        assert_err(frame_reader_next(&reader, &frame), rows[i].err);
        frame_reader_close(&reader);
    }
    uint8_t buf[16];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_head_encode(&w, FRAME_USER, FRAME_BODY_MAX + 1);
    assert_err(writer_end(&w), E_LIMIT);
}

static void a_snapshot_takes_its_chunks_in_order_only(void **state)
{
    (void)state;
    struct snapshot_assembly a = {.total_max = 1000};
    struct frame_chunk chunk = {.index = 7, .total = 10, .offset = 0, .data = bytes_of_text("01234")};
    struct frame_begin begin = {.index = 7, .total = 10, .message = bytes_of_text("msg")};
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED);
    assert_ok(snapshot_assembly_begin(&a, &begin));
    assert_ok(snapshot_assembly_add(&a, &chunk));
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED); /* again */
    chunk.offset = 6;
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED); /* a gap */
    chunk.offset = 5;
    chunk.index = 8;
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED); /* of another */
    chunk.index = 7;
    chunk.total = 11;
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED);
    chunk.total = 10;
    assert_false(snapshot_assembly_complete(&a));
    assert_ok(snapshot_assembly_add(&a, &chunk));
    assert_true(snapshot_assembly_complete(&a));
    assert_memory_equal(a.data, "0123401234", 10);
    assert_memory_equal(a.message, "msg", 3);
    assert_err(snapshot_assembly_add(&a, &chunk), E_UNEXPECTED); /* beyond the end */
    begin.total = 1001;
    assert_err(snapshot_assembly_begin(&a, &begin), E_LIMIT);
    assert_false(a.active);
    begin.total = 1000;
    assert_ok(snapshot_assembly_begin(&a, &begin));
    assert_int_equal(a.cap, 0); /* announced only */
    snapshot_assembly_close(&a);
}

static void allocation_failures_leave_reader_and_snapshot_usable(void **state)
{
    (void)state;
    struct frame_reader reader = {.body_max = 100};
    struct snapshot_assembly a = {.total_max = 1000};
    struct frame_chunk chunk = {.index = 7, .total = 5, .offset = 0, .data = bytes_of_text("01234")};
    struct frame_begin begin = {.index = 7, .total = 5, .message = bytes_of_text("msg")};
    struct queued_frame *frame;
    uint8_t *room;
    size_t len;
    heap_fault_after(0);
    assert_err(frame_reader_room(&reader, &room, &len), E_NO_MEMORY);
    heap_fault_after(0);
    assert_err(snapshot_assembly_begin(&a, &begin), E_NO_MEMORY);
    heap_fault_after(-1);
    assert_ok(frame_reader_room(&reader, &room, &len));
    assert_ok(snapshot_assembly_begin(&a, &begin));
    heap_fault_after(0);
    assert_err(snapshot_assembly_add(&a, &chunk), E_NO_MEMORY);
    heap_fault_after(0);
    assert_err(queued_frame_make(&frame, FRAME_USER, bytes_of_text("x")), E_NO_MEMORY);
    heap_fault_after(-1);
    assert_ok(snapshot_assembly_add(&a, &chunk));
    assert_true(snapshot_assembly_complete(&a));
    frame_reader_close(&reader);
    snapshot_assembly_close(&a);
}

static void push(struct send_queue *queue, uint8_t mark, size_t len)
{
    uint8_t body[256] = {mark};
    struct queued_frame *frame;
    assert_ok(queued_frame_make(&frame, FRAME_USER, (struct bytes){body, len}));
    send_queue_push(queue, frame);
}

static void a_full_queue_drops_the_oldest_whole_frames(void **state)
{
    (void)state;
    struct send_queue queue = {.bytes_max = 10 * 105};
    for (uint8_t i = 0; i < 15; i++)
        push(&queue, i, 100);
    assert_int_equal(queue.bytes, 10 * 105);
    assert_int_equal(queue.dropped, 5);
    assert_int_equal(queue.dropped_bytes, 5 * 105);
    push(&queue, 15, 200); /* takes the room of two */
    assert_int_equal(queue.dropped, 7);
    for (uint8_t i = 7; i < 16; i++) {
        struct queued_frame *frame = send_queue_pop(&queue);
        assert_non_null(frame);
        assert_int_equal(frame->data[FRAME_HEAD], i);
        free(frame);
    }
    assert_null(send_queue_pop(&queue));
    assert_int_equal(queue.bytes, 0);
    assert_true(queue.peak <= queue.bytes_max);
    struct send_queue tiny = {.bytes_max = 50};
    push(&tiny, 1, 10);
    push(&tiny, 2, 100); /* longer than the queue: not even alone */
    assert_null(tiny.first);
    assert_int_equal(tiny.dropped, 2);
    push(&tiny, 3, 10);
    assert_int_equal(tiny.bytes, 15);
    send_queue_close(&tiny);
    assert_null(tiny.first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frame_stands_on_the_wire_as_written_down),
        cmocka_unit_test(a_hello_is_read_back_and_every_cut_refused),
        cmocka_unit_test(a_chunk_must_fit_its_numbers_and_its_checksum),
        cmocka_unit_test(frames_come_out_of_a_stream_cut_anywhere),
        cmocka_unit_test(memory_follows_what_came_and_is_given_back),
        cmocka_unit_test(lengths_out_of_bounds_end_the_stream),
        cmocka_unit_test(a_snapshot_takes_its_chunks_in_order_only),
        cmocka_unit_test(allocation_failures_leave_reader_and_snapshot_usable),
        cmocka_unit_test(a_full_queue_drops_the_oldest_whole_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

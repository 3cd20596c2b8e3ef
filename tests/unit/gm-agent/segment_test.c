/* Long packets cut, as a network card would. */
#include "flow.h"

#include <stdlib.h>

enum { SIZE = 1300 };

/* A frame of one packet with that payload, its checksums as the kernel leaves them. Returns its length. */
static size_t make_frame(struct flow *f, uint8_t *frame, size_t payload, uint16_t size)
{
    size_t at = flow_transport_at(f), head_len = flow_head_len(f), len = head_len + payload;
    uint8_t *packet = frame + SEGMENT_HEAD_LEN;
    uint16_t offset = f->udp ? UDP_AT_CHECKSUM : TCP_AT_CHECKSUM;
    struct virtio_net_hdr head = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                  .gso_type = size == 0 ? VIRTIO_NET_HDR_GSO_NONE
                                              : f->udp  ? VIRTIO_NET_HDR_GSO_UDP_L4
                                              : f->v6   ? VIRTIO_NET_HDR_GSO_TCPV6
                                                        : VIRTIO_NET_HDR_GSO_TCPV4,
                                  .hdr_len = (uint16_t)head_len,
                                  .gso_size = size,
                                  .csum_start = (uint16_t)at,
                                  .csum_offset = offset};
    struct flow whole = *f;
    flow_packet(&whole, packet, 0);
    if (f->v6)
        field_put_u16(packet + IP6_AT_LEN, (uint32_t)(len - IP6_LEN));
    else
        field_put_u16(packet + IP4_AT_LEN, (uint32_t)len);
    flow_seal(f, packet, at + (f->udp ? UDP_LEN : TCP_MIN_LEN));
    for (size_t done = 0; done < payload; done += SIZE) { /* as the pieces that flow_packet makes */
        struct flow piece = *f;
        piece.seq += (uint32_t)done;
        piece.id = (uint16_t)(piece.id + done / SIZE);
        for (size_t i = 0; i < SIZE && done + i < payload; i++)
            packet[head_len + done + i] = (uint8_t)(piece.seq + i * 7 + piece.id);
    }
    uint8_t protocol = f->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
    if (f->udp)
        field_put_u16(packet + at + UDP_AT_LEN, (uint32_t)(len - at));
    field_put_u16(packet + at + offset, ip_sum_fold(ip_sum_pseudo(packet, protocol, len - at)));
    memcpy(frame, &head, sizeof(head));
    return SEGMENT_HEAD_LEN + len;
}

static void cut_and_compare(bool v6, bool udp, size_t payload)
{
    static uint8_t frame[SEGMENT_FRAME_MAX], room[FLOW_CAP], want[FLOW_CAP];
    struct flow f = flow_new(v6, udp);
    struct segment segment;
    struct bytes piece;
    f.flags = TCP_ACK | TCP_PSH;
    size_t len = make_frame(&f, frame, payload, SIZE);
    assert_ok(segment_open(&segment, frame, len));
    for (size_t left = payload; left != 0;) {
        size_t part = left < SIZE ? left : SIZE;
        left -= part;
        f.flags = left == 0 ? TCP_ACK | TCP_PSH : TCP_ACK;
        if (udp)
            f.seq = 0xfffffff0 + (uint32_t)(payload - left - part);
        size_t want_len = flow_packet(&f, want, part);
        assert_true(segment_next(&segment, room, sizeof(room), &piece));
        assert_int_equal(piece.len, want_len);
        assert_memory_equal(piece.data, want, want_len);
    }
    assert_false(segment_next(&segment, room, sizeof(room), &piece));
}

static void a_long_packet_becomes_the_ones_that_a_card_would_send(void **state)
{
    (void)state;
    static const size_t payloads[] = {1, SIZE, SIZE + 1, 5 * SIZE, 40 * SIZE + 17};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++)
        for (unsigned kind = 0; kind < 4; kind++)
            cut_and_compare(kind & 1, kind & 2, payloads[i]);
}

static void a_short_one_passes_with_its_checksum_finished(void **state)
{
    (void)state;
    static uint8_t frame[SEGMENT_FRAME_MAX], room[8], want[FLOW_CAP];
    for (unsigned kind = 0; kind < 4; kind++) {
        struct flow f = flow_new(kind & 1, kind & 2);
        struct segment segment;
        struct bytes piece;
        size_t len = make_frame(&f, frame, 100, 0);
        size_t want_len = flow_packet(&f, want, 100);
        assert_ok(segment_open(&segment, frame, len));
        assert_true(segment_next(&segment, room, sizeof(room), &piece));
        assert_int_equal(piece.len, want_len);
        assert_memory_equal(piece.data, want, want_len);
        assert_false(segment_next(&segment, room, sizeof(room), &piece));
    }
}

static void one_without_anything_to_do_is_not_touched(void **state)
{
    (void)state;
    uint8_t frame[SEGMENT_HEAD_LEN + 60] = {0}, was[sizeof(frame)];
    struct segment segment;
    struct bytes piece;
    memset(frame + SEGMENT_HEAD_LEN, 0x45, 60);
    memcpy(was, frame, sizeof(frame));
    assert_ok(segment_open(&segment, frame, sizeof(frame)));
    assert_true(segment_next(&segment, NULL, 0, &piece));
    assert_ptr_equal(piece.data, frame + SEGMENT_HEAD_LEN);
    assert_int_equal(piece.len, 60);
    assert_memory_equal(frame, was, sizeof(frame));
}

static err_t open_changed(size_t at, uint8_t low, uint8_t high, size_t len)
{
    static uint8_t frame[SEGMENT_FRAME_MAX];
    struct flow f = flow_new(false, false);
    struct segment segment;
    size_t whole = make_frame(&f, frame, 4000, SIZE);
    frame[at] = low;
    frame[at + 1] = high;
    uint8_t *exact = malloc(len != 0 ? len : whole); /* so that the sanitizer sees its end */
    assert_non_null(exact);
    memcpy(exact, frame, len != 0 ? len : whole);
    err_t err = segment_open(&segment, exact, len != 0 ? len : whole);
    free(exact);
    return err;
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    enum { GSO_SIZE = 4, CSUM_START = 6, TCP_OFFSET = SEGMENT_HEAD_LEN + IP4_MIN_LEN + TCP_AT_OFFSET };
    assert_int_equal(open_changed(GSO_SIZE, 0, 0, 0), E_BAD_LENGTH);
    assert_int_equal(open_changed(CSUM_START, 0xff, 0xff, 0), E_BAD_LENGTH);
    assert_int_equal(open_changed(CSUM_START, 19, 0, 0), E_BAD_LENGTH); /* within the IP header */
    assert_int_equal(open_changed(TCP_OFFSET, 0x40, TCP_ACK, 0), E_BAD_LENGTH);
    assert_int_equal(open_changed(TCP_OFFSET, 0xf0, TCP_ACK, SEGMENT_HEAD_LEN + 60), E_BAD_LENGTH);
    assert_int_equal(open_changed(0, 0, VIRTIO_NET_HDR_GSO_TCPV4, 0), E_UNSUPPORTED); /* finished, but long */
    assert_int_equal(open_changed(0, 1, VIRTIO_NET_HDR_GSO_UDP, 0), E_UNSUPPORTED);
    assert_int_equal(open_changed(0, 1, VIRTIO_NET_HDR_GSO_TCPV6, 0), E_UNSUPPORTED);
    assert_int_equal(open_changed(0, 1, VIRTIO_NET_HDR_GSO_NONE, SEGMENT_HEAD_LEN + 37), E_BAD_LENGTH);
    assert_int_equal(open_changed(0, 1, VIRTIO_NET_HDR_GSO_TCPV4, SEGMENT_HEAD_LEN + 19), E_TRUNCATED);
    assert_int_equal(open_changed(0, 1, VIRTIO_NET_HDR_GSO_TCPV4, 3), E_TRUNCATED);
}

static void a_piece_that_has_no_room_ends_it(void **state)
{
    (void)state;
    static uint8_t frame[SEGMENT_FRAME_MAX], room[SIZE];
    struct flow f = flow_new(false, false);
    struct segment segment;
    struct bytes piece;
    assert_ok(segment_open(&segment, frame, make_frame(&f, frame, 4000, SIZE)));
    assert_false(segment_next(&segment, room, sizeof(room), &piece));
    assert_false(segment_next(&segment, room, sizeof(room), &piece));
}

static uint16_t slow_checksum(struct bytes data)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < data.len; i++)
        sum += (uint32_t)data.data[i] << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void sums_are_those_of_the_slow_way(void **state)
{
    (void)state;
    static uint8_t data[4000];
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 3);
    for (unsigned i = 0; i < 300; i++) {
        uint16_t where[2];
        assert_ok(rng_fill(&rng, data, sizeof(data)));
        assert_ok(rng_fill(&rng, (uint8_t *)where, sizeof(where)));
        struct bytes part = {data + where[0] % 9, where[1] % 3900};
        if (i == 0)
            memset(data, 0xff, sizeof(data));
        assert_int_equal(ip_checksum(part), slow_checksum(part));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_packet_becomes_the_ones_that_a_card_would_send),
        cmocka_unit_test(a_short_one_passes_with_its_checksum_finished),
        cmocka_unit_test(one_without_anything_to_do_is_not_touched),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(a_piece_that_has_no_room_ends_it),
        cmocka_unit_test(sums_are_those_of_the_slow_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Packets of a flow joined, and cut again: the same packets. */
#include "flow.h"

static struct coalesce c;
static uint8_t packets[COALESCE_MAX][FLOW_CAP], was[COALESCE_MAX][FLOW_CAP];
static size_t lens[COALESCE_MAX], count;

static void start(void)
{
    memset(&c, 0, sizeof(c));
    c.tcp = c.udp = true;
    count = 0;
}

static void add(size_t len)
{
    memcpy(was[count], packets[count], len);
    lens[count] = len;
    assert_true(coalesce_add(&c, packets[count], len));
    count++;
}

static void add_payload(struct flow *f, size_t payload)
{
    add(flow_packet(f, packets[count], payload));
}

/* Writes all frames and cuts each again: packets come out in this order. */
static size_t back(uint8_t out[COALESCE_MAX][FLOW_CAP], size_t out_len[COALESCE_MAX])
{
    static uint8_t frame[SEGMENT_FRAME_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c.frame_count; i++) {
        struct virtio_net_hdr head;
        struct iovec parts[COALESCE_PARTS_MAX];
        struct segment segment;
        struct bytes piece;
        uint8_t room[FLOW_CAP];
        size_t len = 0, part_count = coalesce_frame(&c, i, &head, parts);
        for (size_t k = 0; k < part_count; k++) {
            assert_true(len + parts[k].iov_len <= sizeof(frame));
            memcpy(frame + len, parts[k].iov_base, parts[k].iov_len);
            len += parts[k].iov_len;
        }
        assert_ok(segment_open(&segment, frame, len));
        while (segment_next(&segment, room, sizeof(room), &piece)) {
            assert_true(n < COALESCE_MAX);
            memcpy(out[n], piece.data, piece.len);
            out_len[n++] = piece.len;
        }
    }
    return n;
}

/* What comes out is what went in, in the order of its flow (by source port); frames: how many were written.
 */
static void expect_back(size_t frames)
{
    static uint8_t out[COALESCE_MAX][FLOW_CAP];
    static size_t out_len[COALESCE_MAX];
    bool taken[COALESCE_MAX] = {false};
    if (frames != 0)
        assert_int_equal(c.frame_count, frames);
    assert_int_equal(back(out, out_len), count);
    for (size_t i = 0; i < count; i++) {
        size_t at = (out[i][0] >> 4 == 6 ? IP6_LEN : IP4_MIN_LEN), first = 0;
        while (first < count &&
               (taken[first] || was[first][0] != out[i][0] || memcmp(was[first] + at, out[i] + at, 2) != 0))
            first++; /* the first of its flow that was not seen yet */
        assert_true(first < count);
        taken[first] = true;
        assert_int_equal(out_len[i], lens[first]);
        assert_memory_equal(out[i], was[first], lens[first]);
    }
}

static void a_stream_becomes_one_packet(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        struct flow f = flow_new(kind & 1, kind & 2);
        start();
        for (unsigned i = 0; i < 20; i++)
            add_payload(&f, 1300);
        add_payload(&f, 17);
        expect_back(1);
    }
}

static void it_stays_shorter_than_an_ip_packet_may_be(void **state)
{
    (void)state;
    struct flow f = flow_new(false, false);
    start();
    for (unsigned i = 0; i < COALESCE_MAX; i++)
        add_payload(&f, 1400);
    expect_back(2);
    assert_false(coalesce_add(&c, packets[0], lens[0]));
    coalesce_clear(&c);
    assert_true(coalesce_add(&c, packets[0], lens[0]));
}

static void a_shorter_or_a_pushed_one_ends_it(void **state)
{
    (void)state;
    struct flow f = flow_new(false, false);
    start();
    add_payload(&f, 1000);
    add_payload(&f, 900);
    add_payload(&f, 900);
    f.flags |= TCP_PSH;
    add_payload(&f, 900);
    f.flags = TCP_ACK;
    add_payload(&f, 900);
    add_payload(&f, 901); /* a longer one begins anew */
    expect_back(4);
}

/* Two packets of one stream between which something differs, and that is not lost. */
static void apart(bool v6, bool udp, void (*change)(struct flow *f, uint8_t *packet))
{
    struct flow f = flow_new(v6, udp);
    start();
    add_payload(&f, 500);
    size_t len = flow_packet(&f, packets[count], 500);
    change(&f, packets[count]);
    add(len);
    expect_back(2);
}

static void change_flags(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_AT_FLAGS] |= TCP_FIN;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_ecn_echo(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_AT_FLAGS] |= 0x40;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_seq(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_AT_SEQ + 3]++;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_ack(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_AT_ACK]++;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_window(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_AT_FLAGS + 1]++;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_option(struct flow *f, uint8_t *p)
{
    p[flow_transport_at(f) + TCP_MIN_LEN + 5]++;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_tos(struct flow *f, uint8_t *p)
{
    p[IP4_AT_TOS] ^= 0x10; /* in IPv6 the traffic class as well */
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_ttl(struct flow *f, uint8_t *p)
{
    p[f->v6 ? IP6_AT_HOPS : IP4_AT_TTL]--;
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void change_data(struct flow *f, uint8_t *p)
{
    p[flow_head_len(f) + 100]++; /* the checksum stays: it is wrong, and must stay so */
}

static void drop_checksum(struct flow *f, uint8_t *p)
{
    field_put_u16(p + flow_transport_at(f) + UDP_AT_CHECKSUM, 0);
}

static void change_fragment(struct flow *f, uint8_t *p)
{
    field_put_u16(p + IP4_AT_FRAGMENT, 0x2000);
    flow_seal(f, p, 500 + flow_head_len(f));
}

static void what_means_more_is_left_alone(void **state)
{
    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        apart(v6, false, change_flags);
        apart(v6, false, change_ecn_echo);
        apart(v6, false, change_seq);
        apart(v6, false, change_ack);
        apart(v6, false, change_window);
        apart(v6, false, change_option);
        for (unsigned udp = 0; udp < 2; udp++) {
            apart(v6, udp, change_tos);
            apart(v6, udp, change_ttl);
            apart(v6, udp, change_data);
        }
        apart(v6, true, drop_checksum);
    }
    apart(false, false, change_fragment);
    apart(false, true, change_fragment);
}

static void a_wrong_checksum_at_first_is_kept_too(void **state)
{
    (void)state;
    struct flow f = flow_new(false, false);
    start();
    size_t len = flow_packet(&f, packets[0], 700);
    change_data(&f, packets[0]);
    add(len);
    add_payload(&f, 700);
    expect_back(2);
}

static void identifications_count_on_where_fragments_may_be(void **state)
{
    (void)state;
    struct flow f = flow_new(false, true);
    f.may_fragment = true;
    start();
    add_payload(&f, 300);
    add_payload(&f, 300);
    f.id++;
    add_payload(&f, 300);
    expect_back(2);
}

static void flows_keep_their_order(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 11);
    unsigned joined = 0;
    for (unsigned round = 0; round < 200; round++) {
        struct flow flows[4];
        start();
        for (unsigned i = 0; i < 4; i++) {
            flows[i] = flow_new(i & 1, i & 2);
            flows[i].port = (uint16_t)(6000 + i);
        }
        for (unsigned i = 0; i < COALESCE_MAX; i++) {
            uint8_t dice[3];
            assert_ok(rng_fill(&rng, dice, sizeof(dice)));
            struct flow *f = &flows[dice[0] % 4];
            f->flags = dice[1] < 40 ? TCP_ACK | TCP_PSH : dice[1] < 60 ? TCP_ACK | TCP_FIN : TCP_ACK;
            add_payload(f, dice[2] < 30 ? dice[2] : 600);
        }
        joined += c.frame_count < COALESCE_MAX;
        expect_back(0);
    }
    assert_int_equal(joined, 200);
}

static void without_leave_nothing_is_joined(void **state)
{
    (void)state;
    struct flow tcp = flow_new(false, false), udp = flow_new(false, true);
    udp.port = 4000;
    start();
    c.udp = false;
    for (unsigned i = 0; i < 3; i++) {
        add_payload(&tcp, 800);
        add_payload(&udp, 800);
    }
    expect_back(4);
    start();
    c.tcp = c.udp = false;
    add_payload(&tcp, 800);
    add_payload(&tcp, 800);
    expect_back(2);
}

static void headers_that_end_early_are_no_flow(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++)
        for (size_t cut = 1; cut < 60; cut++) {
            struct flow f = flow_new(kind & 1, kind & 2);
            start();
            uint8_t whole[FLOW_CAP];
            size_t len = flow_packet(&f, whole, 0);
            if (cut > len)
                continue;
            uint8_t *exact = test_malloc(cut); /* the sanitizer sees its end */
            memcpy(exact, whole, cut);
            if (kind & 1 && cut > IP6_LEN)
                field_put_u16(exact + IP6_AT_LEN, (uint32_t)(cut - IP6_LEN));
            else if (!(kind & 1) && cut > IP4_AT_LEN + 1)
                field_put_u16(exact + IP4_AT_LEN, (uint32_t)cut);
            assert_true(coalesce_add(&c, exact, cut));
            assert_true(coalesce_add(&c, exact, cut));
            assert_int_equal(c.frame_count, 2);
            test_free(exact);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_becomes_one_packet),
        cmocka_unit_test(it_stays_shorter_than_an_ip_packet_may_be),
        cmocka_unit_test(a_shorter_or_a_pushed_one_ends_it),
        cmocka_unit_test(what_means_more_is_left_alone),
        cmocka_unit_test(a_wrong_checksum_at_first_is_kept_too),
        cmocka_unit_test(identifications_count_on_where_fragments_may_be),
        cmocka_unit_test(flows_keep_their_order),
        cmocka_unit_test(without_leave_nothing_is_joined),
        cmocka_unit_test(headers_that_end_early_are_no_flow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

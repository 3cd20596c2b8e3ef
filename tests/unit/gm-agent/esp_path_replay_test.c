/* The packet path against captured packets: per-sender windows, and time that no wall clock can move. */
#include "esp_side.h"

enum { PACKETS = 3000, START_US = 500000000 };

/* Each machine's own clocks: monotonic from its boot, wall as NTP likes. */
struct machine {
    uint64_t mono_ms, wall_ms;
};

static uint64_t machine_mono(void *context)
{
    return ((const struct machine *)context)->mono_ms;
}

static uint64_t machine_wall(void *context)
{
    return ((const struct machine *)context)->wall_ms;
}

struct member {
    struct side *side;
    struct machine machine;
    struct clock clock;
    struct group_clock group;
};

struct pair {
    struct group group;
    uint32_t window_ms;
    struct member a, b;
};

static void member_apply(struct pair *p, struct member *m, uint32_t sid)
{
    struct datapath_state state = {.selectors = p->group.selectors,
                                   .selector_count = p->group.selector_count,
                                   .in = {&p->group.teks[0]},
                                   .in_count = 1,
                                   .out = &p->group.teks[0],
                                   .sid_bits = p->group.sid_bits,
                                   .sids = &sid,
                                   .sid_count = 1,
                                   .clock = m->group,
                                   .time_window_ms = p->window_ms};
    assert_ok(esp_path_apply(&m->side->path, &state));
}

static void member_open(struct pair *p, struct member *m, uint32_t sid, uint64_t boot_ms)
{
    m->side = side_open(&p->group, sid);
    m->machine = (struct machine){boot_ms, 1700000000000};
    m->clock = (struct clock){machine_mono, machine_wall, &m->machine};
    m->side->path.clock = &m->clock;
    group_clock_pull(&m->group, START_US, boot_ms, boot_ms);
    member_apply(p, m, sid);
}

static struct pair *pair_open(uint32_t window_ms)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->group = group_gcm();
    p->window_ms = window_ms;
    member_open(p, &p->a, 1, 5000);
    member_open(p, &p->b, 2, 777000);
    return p;
}

static void pair_close(struct pair *p)
{
    side_close(p->a.side);
    side_close(p->b.side);
    free(p);
}

static void pass(struct pair *p, uint64_t ms)
{
    p->a.machine.mono_ms += ms;
    p->a.machine.wall_ms += ms;
    p->b.machine.mono_ms += ms;
    p->b.machine.wall_ms += ms;
}

struct wire {
    uint8_t data[512];
    size_t len;
};

static void send_one(struct member *m, struct wire *out)
{
    uint8_t clear[CAP];
    struct esp_note note;
    assert_int_equal(esp_path_encapsulate(&m->side->path, good_packet(clear, 100), out->data,
                                          sizeof(out->data), &out->len, &note),
                     ESP_TO_WAN);
}

static enum esp_verdict get_one(struct member *m, const struct wire *w, struct esp_note *note)
{
    uint8_t out[CAP];
    size_t len = 0;
    return side_in(m->side, (struct bytes){w->data, w->len}, out, &len, note);
}

static void captured_packets_pass_within_the_window_of_time_and_not_behind_it(void **state)
{
    (void)state;
    enum { W_MS = 4000 };
    struct pair *p = pair_open(W_MS);
    struct esp_note note;
    struct wire captured;
    send_one(&p->a, &captured);
    const struct {
        uint64_t after_ms;
        enum esp_verdict verdict;
    } cases[] = {{0, ESP_TO_LAN}, {W_MS - 1000, ESP_TO_LAN}, {W_MS, ESP_TO_LAN}, {W_MS + 1000, ESP_DROP}};
    uint64_t now = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        pass(p, cases[i].after_ms - now);
        now = cases[i].after_ms;
        assert_int_equal(get_one(&p->b, &captured, &note), cases[i].verdict);
    }
    assert_int_equal(note.why, DP_TIME_REPLAY);
    assert_true(note.sampled);
    assert_int_equal(note.time.peer_us, START_US);
    assert_int_equal(note.time.mine_us, START_US + 5000000);
    assert_int_equal(counted(p->b.side, DP_TIME_REPLAY), 1);
    pair_close(p);
}

static void with_per_sender_windows_no_captured_packet_passes_at_all(void **state)
{
    (void)state;
    struct pair *p = pair_open(4000);
    struct esp_note note;
    struct wire captured;
    assert_ok(esp_path_set_replay(&p->b.side->path, 1024));
    send_one(&p->a, &captured);
    assert_int_equal(get_one(&p->b, &captured, &note), ESP_TO_LAN);
    assert_int_equal(get_one(&p->b, &captured, &note), ESP_DROP);
    assert_int_equal(note.why, DP_REPLAY);
    assert_int_equal(note.seq, 1);
    pass(p, 3000);
    assert_int_equal(get_one(&p->b, &captured, &note), ESP_DROP);
    pass(p, 3000);
    assert_int_equal(get_one(&p->b, &captured, &note), ESP_DROP);
    assert_int_equal(note.why, DP_TIME_REPLAY);
    pair_close(p);
}

static void reordering_by_a_thousand_loses_none(void **state)
{
    (void)state;
    enum { BY = 1000 };
    static struct wire wires[PACKETS];
    struct pair *p = pair_open(1000);
    struct esp_note note;
    assert_ok(esp_path_set_replay(&p->b.side->path, 1024));
    for (size_t i = 0; i < PACKETS; i++)
        send_one(&p->a, &wires[i]);
    for (size_t block = 0; block < PACKETS; block += BY) /* each thousand comes from behind */
        for (size_t i = BY; i-- > 0;)
            assert_int_equal(get_one(&p->b, &wires[block + i], &note), ESP_TO_LAN);
    for (size_t i = 0; i < PACKETS; i++)
        assert_int_equal(get_one(&p->b, &wires[i], &note), ESP_DROP);
    assert_int_equal(counted(p->b.side, DP_DECAPS), PACKETS);
    pair_close(p);
}

static void steps_of_ntp_on_either_side_drop_no_good_packet(void **state)
{
    (void)state;
    static const int64_t steps_ms[] = {3600000, -3600000, 7200000, -3600000};
    struct pair *p = pair_open(1000);
    struct esp_note note;
    struct wire w;
    for (size_t i = 0; i < 2000; i++) {
        struct member *from = i % 2 ? &p->a : &p->b, *to = i % 2 ? &p->b : &p->a;
        if (i % 100 == 0)
            p->a.machine.wall_ms += (uint64_t)steps_ms[i / 100 % ARRAY_LEN(steps_ms)];
        if (i % 130 == 0)
            p->b.machine.wall_ms += (uint64_t)steps_ms[(i / 130 + 1) % ARRAY_LEN(steps_ms)];
        send_one(from, &w);
        pass(p, 10);
        assert_int_equal(get_one(to, &w, &note), ESP_TO_LAN);
    }
    pair_close(p);
}

static void a_sender_cannot_be_moved_into_another_window(void **state)
{
    (void)state;
    struct pair *p = pair_open(0);
    struct esp_note note;
    struct wire w;
    assert_ok(esp_path_set_replay(&p->b.side->path, 64));
    send_one(&p->a, &w);
    assert_int_equal(get_one(&p->b, &w, &note), ESP_TO_LAN);
    w.data[28] ^= 0x10; /* another sender id in the IV */
    assert_int_equal(get_one(&p->b, &w, &note), ESP_DROP);
    assert_int_equal(note.why, DP_VERIFY_ERROR);
    assert_int_equal(replay_table_count(&p->b.side->path.replay), 1);
    pair_close(p);
}

static void without_sender_ids_the_source_address_is_the_sender(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1), *c = side_open(&g, 3), *b = side_open(&g, 2);
    uint8_t clear[CAP], esp[CAP], out[CAP];
    struct esp_note note;
    size_t len = 0, out_len = 0;
    assert_ok(esp_path_set_replay(&b->path, 64));
    struct side *from[] = {a, c};
    const char *hosts[] = {"192.168.13.10", "192.168.13.20"};
    for (unsigned i = 0; i < 200; i++) { /* two members whose numbers are the same */
        packet(clear, hosts[i % 2], "192.168.14.10", 17, 1, 2, 100);
        assert_int_equal(side_out(from[i % 2], (struct bytes){clear, 100}, esp, &len, &note), ESP_TO_WAN);
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_TO_LAN);
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_DROP);
    }
    assert_int_equal(counted(b, DP_REPLAY), 200);
    side_close(a);
    side_close(b);
    side_close(c);
}

static void a_used_up_sender_id_gives_way_to_the_next_one(void **state)
{
    (void)state;
    struct group g = group_gcm();
    struct side *a = side_open(&g, 1);
    static const uint32_t sids[] = {5, 6};
    struct datapath_state wanted = {.selectors = g.selectors,
                                    .selector_count = 2,
                                    .in = {&g.teks[0]},
                                    .in_count = 1,
                                    .out = &g.teks[0],
                                    .sid_bits = 12,
                                    .sids = sids,
                                    .sid_count = 2};
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    assert_ok(esp_path_apply(&a->path, &wanted));
    a->path.ledger.counters[a->path.counter].ssiv = (UINT64_C(1) << 52) - 2;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
        assert_int_equal(esp[28] << 4 | esp[29] >> 4, i == 0 ? 5 : 6);
        assert_ok(esp_path_apply(&a->path, &wanted)); /* it stays so over the next apply */
    }
    side_close(a);
}

struct keeper {
    unsigned writes;
    err_t err;
    struct send_ledger written;
};

static err_t keep(void *context, const struct send_ledger *ledger)
{
    struct keeper *k = context;
    k->writes++;
    if (k->err == E_OK)
        k->written = *ledger;
    return k->err;
}

static void a_disk_that_fails_stops_sending_and_is_not_asked_for_every_packet(void **state)
{
    (void)state;
    struct pair *p = pair_open(0);
    struct esp_path *path = &p->a.side->path;
    struct keeper keeper = {.err = E_IO};
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    path->ledger = (struct send_ledger){.kept = true};
    path->keep = keep;
    path->keep_context = &keeper;
    member_apply(p, &p->a, 1);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(esp_path_encapsulate(path, good_packet(clear, 100), esp, CAP, &len, &note),
                         ESP_DROP);
        assert_int_equal(note.why, DP_NO_KEY);
    }
    assert_int_equal(keeper.writes, 1);
    keeper.err = E_OK;
    pass(p, 1000);
    assert_int_equal(esp_path_encapsulate(path, good_packet(clear, 100), esp, CAP, &len, &note), ESP_TO_WAN);
    assert_int_equal(keeper.writes, 2);
    assert_true(keeper.written.counters[0].ssiv_reserved >= START_US + 1000000);
    pair_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_packets_pass_within_the_window_of_time_and_not_behind_it),
        cmocka_unit_test(with_per_sender_windows_no_captured_packet_passes_at_all),
        cmocka_unit_test(reordering_by_a_thousand_loses_none),
        cmocka_unit_test(steps_of_ntp_on_either_side_drop_no_good_packet),
        cmocka_unit_test(a_sender_cannot_be_moved_into_another_window),
        cmocka_unit_test(without_sender_ids_the_source_address_is_the_sender),
        cmocka_unit_test(a_used_up_sender_id_gives_way_to_the_next_one),
        cmocka_unit_test(a_disk_that_fails_stops_sending_and_is_not_asked_for_every_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

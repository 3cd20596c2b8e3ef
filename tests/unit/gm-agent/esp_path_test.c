/* The packet path: sealing and opening, counters and keys. */
#include "esp_side.h"

static void packets_of_every_length_go_through_in_every_suite(void **state)
{
    (void)state;
    static const struct esp_suite suites[] = {
        {ESP_AES_CBC, 128, AUTH_HMAC_SHA256}, {ESP_AES_CBC, 192, AUTH_HMAC_SHA384},
        {ESP_AES_CBC, 256, AUTH_HMAC_SHA512}, {ESP_AES_GCM_8, 128, AUTH_NONE},
        {ESP_AES_GCM_12, 192, AUTH_NONE},     {ESP_AES_GCM_16, 256, AUTH_NONE},
    };
    for (size_t k = 0; k < ARRAY_LEN(suites); k++) {
        struct group g = group_gcm();
        g.teks[0] = tek(0x3001, suites[k].transform, suites[k].key_bits, suites[k].auth);
        all_lengths_go_through(&g, good_packet, 24);
    }
}

static void the_outer_header_is_the_inner_one_with_esp_and_a_fresh_id(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    uint16_t last_id = 0;
    for (unsigned i = 0; i < 3; i++) {
        size_t len = 0;
        struct esp_note note;
        struct ip_packet outer;
        assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
        assert_ok(ip_packet_decode(&outer, (struct bytes){esp, len}));
        assert_memory_equal(outer.src.bytes, clear + 12, 4);
        assert_memory_equal(outer.dst.bytes, clear + 16, 4);
        assert_int_equal(outer.tos, 0xb8);
        assert_true(outer.dont_fragment);
        assert_int_equal(outer.protocol, 50);
        assert_int_equal(esp[8], IP_OUTER_TTL);
        assert_int_equal(ip_checksum((struct bytes){esp, 20}), 0);
        uint16_t id = (uint16_t)(esp[4] << 8 | esp[5]);
        assert_true(i == 0 || id != last_id);
        last_id = id;
        assert_int_equal(esp[20 + 7], i + 1); /* sequence numbers 1, 2, 3 */
    }
    side_close(a);
}

static void gcm_ivs_begin_with_the_sender_id_and_never_repeat_over_key_changes(void **state)
{
    (void)state;
    struct group g = group_gcm();
    struct side *a = side_open(&g, 0xabc);
    uint8_t clear[CAP], esp[CAP];
    uint64_t last = 0;
    for (unsigned i = 0; i < 100; i++) {
        size_t len = 0;
        struct esp_note note;
        if (i == 50) { /* the key goes, as after "clear", and the same one comes back */
            struct group none = g;
            none.tek_count = 0;
            side_apply(a, &none, NULL, 0xabc);
            assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
            side_apply(a, &g, &g.teks[0], 0xabc);
        }
        assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
        struct reader r = reader_over((struct bytes){esp + 28, 8});
        uint64_t iv = read_u64(&r);
        assert_int_equal(iv >> 52, 0xabc);
        assert_true(iv > last);
        last = iv;
    }
    side_close(a);
}

static void without_a_sender_id_nothing_is_sent_under_gcm(void **state)
{
    (void)state;
    struct group g = group_gcm();
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    struct side *a = side_open(&g, 1);
    g.sid_bits = 0;
    side_apply(a, &g, &g.teks[0], 1);
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_NO_KEY);
    g.sid_bits = 8;
    side_apply(a, &g, &g.teks[0], 0x1ff); /* it does not fit its width: another member's, cut */
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
    side_close(a);
}

static void the_counter_of_a_sender_id_stops_at_its_end(void **state)
{
    (void)state;
    struct group g = group_gcm();
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    struct side *a = side_open(&g, 1);
    a->path.ledger.counters[a->path.counter].ssiv = (UINT64_C(1) << 52) - 2;
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_NO_KEY);
    side_close(a);
}

static void cbc_ivs_are_drawn_anew_for_each_packet(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP], ivs[300][16];
    for (unsigned i = 0; i < 300; i++) {
        size_t len = 0;
        struct esp_note note;
        assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
        memcpy(ivs[i], esp + 28, 16);
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(ivs[i], ivs[k], 16);
    }
    side_close(a);
}

static void without_a_key_protected_packets_are_dropped_and_counted(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    side_apply(a, &g, NULL, 1);
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
    assert_int_equal(counted(a, DP_NO_KEY), 1);
    assert_memory_equal(a->path.counters[DP_NO_KEY].first_src.bytes, clear + 12, 4);
    assert_memory_equal(a->path.counters[DP_NO_KEY].last_dst.bytes, clear + 16, 4);
    side_close(a);
}

static void every_flipped_bit_of_an_esp_packet_is_noticed(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    uint8_t clear[CAP], esp[CAP];
    size_t len = every_flip_is_dropped(a, b, good_packet(clear, 100), esp);
    assert_int_equal(counted(b, DP_INVALID_SPI), 32);
    assert_int_equal(counted(b, DP_VERIFY_ERROR), (len - 24) * 8);
    side_close(a);
    side_close(b);
}

static void cut_packets_are_dropped(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    uint8_t clear[CAP], esp[CAP], out[CAP];
    size_t len = 0, out_len = 0;
    struct esp_note note;
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut != 0 ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, esp, cut);
        enum esp_verdict verdict = side_in(b, (struct bytes){copy, cut}, out, &out_len, &note);
        assert_true(verdict == ESP_DROP || verdict == ESP_IGNORE);
        if (cut >= 24) { /* now with a total length that fits */
            copy[2] = (uint8_t)(cut >> 8);
            copy[3] = (uint8_t)cut;
            assert_int_equal(side_in(b, (struct bytes){copy, cut}, out, &out_len, &note), ESP_DROP);
        }
        free(copy);
    }
    side_close(a);
    side_close(b);
}

static void rollover_loses_nothing_while_sides_switch_at_different_times(void **state)
{
    (void)state;
    struct group g = group_cbc();
    g.teks[1] = tek(0x1002, ESP_AES_GCM_16, 128, AUTH_NONE);
    g.sid_bits = 8;
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    g.tek_count = 2;
    side_apply(a, &g, &g.teks[0], 1);
    side_apply(b, &g, &g.teks[0], 2);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t clear[CAP], esp[CAP], out[CAP];
        size_t len = 0, out_len = 0;
        struct esp_note note;
        if (i == 10)
            side_apply(a, &g, &g.teks[1], 1);
        if (i == 30)
            side_apply(b, &g, &g.teks[1], 2);
        struct side *from = i % 2 ? a : b, *to = i % 2 ? b : a;
        assert_int_equal(side_out(from, good_packet(clear, 200), esp, &len, &note), ESP_TO_WAN);
        assert_int_equal(side_in(to, (struct bytes){esp, len}, out, &out_len, &note), ESP_TO_LAN);
    }
    side_close(a);
    side_close(b);
}

static void a_key_that_cannot_be_used_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    struct tek bad = tek(0x1009, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
    bad.key.len = 5;
    struct datapath_state wanted = {
        .selectors = g.selectors, .selector_count = 1, .in = {&g.teks[0], &bad}, .in_count = 2, .out = &bad};
    assert_err(esp_path_apply(&a->path, &wanted), E_BAD_KEY);
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
    assert_int_equal(a->path.policy.count, POLICY_CONTROL_MAX + 2);
    side_close(a);
}

static void no_memory_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    g.teks[1] = tek(0x1002, ESP_AES_GCM_16, 128, AUTH_NONE);
    struct datapath_state wanted = {.selectors = g.selectors,
                                    .selector_count = 2,
                                    .in = {&g.teks[0], &g.teks[1]},
                                    .in_count = 2,
                                    .out = &g.teks[0]};
    for (long n = 0;; n++) {
        heap_fault_after(n);
        err_t err = esp_path_apply(&a->path, &wanted);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        if (!hit) {
            assert_err(err, E_OK);
            break;
        }
        assert_int_equal(a->path.sa_count, err == E_OK ? 2 : 1);
        assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
        if (err == E_OK)
            break;
    }
    side_close(a);
}

static void the_inner_mtu_fits_the_wan_exactly(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    size_t mtu = esp_path_inner_mtu(&a->path, AF_INET, 1500);
    assert_true(20 + esp_sealed_len(&g.teks[0].suite, mtu) <= 1500);
    assert_true(20 + esp_sealed_len(&g.teks[0].suite, mtu + 1) > 1500);
    g = group_gcm();
    side_apply(a, &g, &g.teks[0], 1);
    assert_int_equal(esp_path_inner_mtu(&a->path, AF_INET, 1500), 1446); /* DATAPATH 7: overhead 54 */
    assert_int_equal(esp_path_inner_mtu(&a->path, AF_INET6, 1500), 1426);
    side_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_every_length_go_through_in_every_suite),
        cmocka_unit_test(the_outer_header_is_the_inner_one_with_esp_and_a_fresh_id),
        cmocka_unit_test(gcm_ivs_begin_with_the_sender_id_and_never_repeat_over_key_changes),
        cmocka_unit_test(without_a_sender_id_nothing_is_sent_under_gcm),
        cmocka_unit_test(the_counter_of_a_sender_id_stops_at_its_end),
        cmocka_unit_test(cbc_ivs_are_drawn_anew_for_each_packet),
        cmocka_unit_test(without_a_key_protected_packets_are_dropped_and_counted),
        cmocka_unit_test(every_flipped_bit_of_an_esp_packet_is_noticed),
        cmocka_unit_test(cut_packets_are_dropped),
        cmocka_unit_test(rollover_loses_nothing_while_sides_switch_at_different_times),
        cmocka_unit_test(a_key_that_cannot_be_used_leaves_all_as_it_was),
        cmocka_unit_test(no_memory_leaves_all_as_it_was),
        cmocka_unit_test(the_inner_mtu_fits_the_wan_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The packet path with IPv6: the same as with IPv4, under the hosts' own header. */
#include "esp_side.h"

static void packets_of_every_length_go_through_in_both_modes(void **state)
{
    (void)state;
    for (unsigned cbc = 0; cbc < 2; cbc++) {
        struct group g = group_six();
        if (cbc)
            g.teks[0] = tek(0x1001, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
        all_lengths_go_through(&g, six_packet, 44);
    }
}

static void the_outer_header_has_the_hosts_addresses_class_and_flow_label(void **state)
{
    (void)state;
    struct group g = group_six();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    struct ip_packet outer;
    assert_int_equal(side_out(a, six_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
    assert_ok(ip_packet_decode(&outer, (struct bytes){esp, len}));
    assert_int_equal(outer.whole.len, len);
    assert_memory_equal(esp + 8, clear + 8, 32);
    assert_memory_equal(esp, clear, 4); /* version, class, label */
    assert_int_equal(esp[6], IP_PROTOCOL_ESP);
    assert_int_equal(esp[7], IP_OUTER_TTL);
    side_close(a);
}

static void every_flipped_bit_of_an_esp_packet_is_noticed(void **state)
{
    (void)state;
    struct group g = group_six();
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    uint8_t clear[CAP], esp[CAP], out[CAP];
    size_t len = every_flip_is_dropped(a, b, six_packet(clear, 100), esp), out_len = 0;
    struct esp_note note;
    for (size_t at = 8; at < 40; at++) { /* other hosts than inside */
        esp[at] ^= 1;
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_DROP);
        assert_int_equal(note.why, DP_NO_POLICY);
        esp[at] ^= 1;
    }
    side_close(a);
    side_close(b);
}

/* What a member with the key could seal: the family, and what ESP says of it, must be the outer one's. */
static void one_family_does_not_travel_in_the_other(void **state)
{
    (void)state;
    struct group g = group_six();
    g.teks[0] = tek(0x1001, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
    g.selectors[2] = selector("192.168.13.0/24", "192.168.14.0/24");
    g.selector_count = 3;
    struct side *b = side_open(&g, 2);
    struct esp_context *context = NULL;
    assert_ok(esp_context_open(&g.teks[0].suite, secret_view(&g.teks[0].key),
                               secret_view(&g.teks[0].integrity), &context));
    const struct {
        bool outer_six, inner_six;
        uint8_t next;
        enum esp_verdict verdict;
    } rows[] = {
        {true, true, 41, ESP_TO_LAN}, {true, true, 4, ESP_DROP},   {true, false, 4, ESP_DROP},
        {true, false, 41, ESP_DROP},  {false, true, 41, ESP_DROP}, {false, false, 4, ESP_TO_LAN},
        {true, true, 59, ESP_IGNORE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t six[CAP], four[CAP], esp[CAP], out[CAP], iv[ESP_IV_MAX] = {0};
        struct bytes v6 = six_packet(six, 100), v4 = good_packet(four, 100);
        struct ip_packet like;
        size_t len = 0, out_len = 0;
        struct esp_note note;
        assert_ok(ip_packet_decode(&like, rows[i].outer_six ? v6 : v4));
        size_t outer_len = ip_outer_len(like.src.family);
        assert_ok(esp_seal(context, 0x1001, 1, iv, rows[i].next, rows[i].inner_six ? v6 : v4, esp + outer_len,
                           CAP - outer_len, &len));
        ip_outer_write(esp, &like, len, 1);
        assert_int_equal(side_in(b, (struct bytes){esp, outer_len + len}, out, &out_len, &note),
                         rows[i].verdict);
    }
    esp_context_free(context);
    side_close(b);
}

static void neighbour_discovery_and_all_of_a_link_is_left_alone(void **state)
{
    (void)state;
    struct group g = group_six();
    g.selectors[0] = selector("::/0", "::/0");
    struct side *a = side_open(&g, 1);
    static const char *const pairs[][2] = {{"fe80::1", "ff02::1:ff00:10"},
                                           {"::", "ff02::16"},
                                           {"2001:db8:13::10", "ff02::1:ff00:10"},
                                           {"fe80::1", "2001:db8:13::10"}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        uint8_t clear[CAP], esp[CAP];
        size_t len = 0;
        struct esp_note note;
        struct bytes p = packet(clear, pairs[i][0], pairs[i][1], IP_PROTOCOL_ICMPV6, 0x8700, 0, 72);
        assert_int_equal(side_out(a, p, esp, &len, &note), ESP_IGNORE);
        assert_int_equal(esp_path_guard(&a->path, p, &note), ESP_IGNORE);
    }
    for (int i = 0; i < DP_COUNTER_COUNT; i++)
        assert_int_equal(counted(a, (enum datapath_counter_id)i), 0);
    side_close(a);
}

static void clear_packets_from_the_wan_are_dropped(void **state)
{
    (void)state;
    struct group g = group_six();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP];
    struct esp_note note;
    assert_int_equal(esp_path_guard(&a->path, six_packet(clear, 100), &note), ESP_DROP);
    assert_int_equal(note.why, DP_NOT_IPSEC);
    assert_int_equal(a->path.counters[DP_NOT_IPSEC].first_src.family, AF_INET6);
    struct bytes other = packet(clear, "2001:db8:99::1", "2001:db8:13::10", 17, 1, 2, 100);
    assert_int_equal(esp_path_guard(&a->path, other, &note), ESP_PASS);
    side_close(a);
}

/* Behind such a header anything could go out in clear past a selector with ports. */
static void what_hides_its_transport_header_goes_nowhere(void **state)
{
    (void)state;
    struct group g = group_six();
    g.selectors[0].protocol = 17;
    g.selectors[0].dst_port = 6000;
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    struct bytes p = six_packet(clear, 100);
    assert_int_equal(side_out(a, p, esp, &len, &note), ESP_TO_WAN);
    clear[6] = 60;  /* destination options ... */
    clear[40] = 17; /* ... before UDP ... */
    clear[41] = 99; /* ... longer than the packet */
    assert_int_equal(side_out(a, p, esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_MALFORMED);
    assert_int_equal(esp_path_guard(&a->path, p, &note), ESP_DROP);
    side_close(a);
}

static void without_a_policy_nothing_of_ipv6_leaves(void **state)
{
    (void)state;
    struct group g = group_six();
    struct side *a = side_open(&g, 1);
    struct datapath_state closed = {.closed = true};
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    assert_ok(esp_path_apply(&a->path, &closed));
    assert_int_equal(side_out(a, six_packet(clear, 100), esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_NO_KEY);
    struct bytes gdoi = packet(clear, "2001:db8:13::10", "2001:db8:14::10", 17, 848, 848, 100);
    assert_int_equal(side_out(a, gdoi, esp, &len, &note), ESP_PASS);
    side_close(a);
}

/* Two hosts whose addresses have the same last octets count for themselves, and a copy is seen. */
static void copies_are_dropped_by_sender(void **state)
{
    (void)state;
    struct group g = group_six();
    g.teks[0] = tek(0x1001, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
    g.sid_bits = 0;
    g.selectors[0] = selector("2001:db8::/32", "2001:db8::/32");
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2), *c = side_open(&g, 3);
    assert_ok(esp_path_set_replay(&c->path, 64));
    static const char *const hosts[] = {"2001:db8:1::10", "2001:db8:2::10"};
    struct side *members[] = {a, b};
    for (unsigned i = 0; i < 4; i++) {
        uint8_t clear[CAP], esp[CAP], out[CAP];
        size_t len = 0, out_len = 0;
        struct esp_note note;
        struct bytes p = packet(clear, hosts[i % 2], "2001:db8:3::1", 17, 1, 2, 100);
        assert_int_equal(side_out(members[i % 2], p, esp, &len, &note), ESP_TO_WAN);
        struct bytes sent = {esp, len};
        assert_int_equal(side_in(c, sent, out, &out_len, &note), ESP_TO_LAN);
        assert_int_equal(side_in(c, sent, out, &out_len, &note), ESP_DROP);
        assert_int_equal(note.why, DP_REPLAY);
    }
    side_close(a);
    side_close(b);
    side_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_every_length_go_through_in_both_modes),
        cmocka_unit_test(the_outer_header_has_the_hosts_addresses_class_and_flow_label),
        cmocka_unit_test(every_flipped_bit_of_an_esp_packet_is_noticed),
        cmocka_unit_test(one_family_does_not_travel_in_the_other),
        cmocka_unit_test(neighbour_discovery_and_all_of_a_link_is_left_alone),
        cmocka_unit_test(clear_packets_from_the_wan_are_dropped),
        cmocka_unit_test(what_hides_its_transport_header_goes_nowhere),
        cmocka_unit_test(without_a_policy_nothing_of_ipv6_leaves),
        cmocka_unit_test(copies_are_dropped_by_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The packet path: what is allowed inside, what stays clear, what is left alone. */
#include "esp_side.h"

/* A sealed packet with an inner packet of the caller's choice, and an outer header of hostA -> hostB. */
static size_t seal_raw(const struct tek *t, const uint8_t outer_of[20], struct bytes inner,
                       uint8_t next_header, uint8_t *out)
{
    struct esp_context *context = NULL;
    uint8_t iv[ESP_IV_MAX] = {1};
    size_t len = 0;
    struct ip_packet like;
    assert_ok(ip_packet_decode(&like, (struct bytes){outer_of, (size_t)(outer_of[2] << 8 | outer_of[3])}));
    assert_ok(esp_context_open(&t->suite, secret_view(&t->key), secret_view(&t->integrity), &context));
    assert_ok(esp_seal(context, t->spi, 1, iv, next_header, inner, out + 20, CAP - 20, &len));
    esp_context_free(context);
    ip_outer_write(out, &like, len, 7);
    return len + 20;
}

static void inner_packets_that_do_not_belong_there_are_refused(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *b = side_open(&g, 2);
    uint8_t outer[CAP], inner[CAP], esp[CAP], out[CAP];
    size_t out_len = 0;
    struct esp_note note;
    good_packet(outer, 100);
    struct {
        struct bytes inner;
        uint8_t next_header;
        enum esp_verdict verdict;
        enum datapath_counter_id why;
    } cases[] = {
        {packet(inner, "192.168.13.11", "192.168.14.10", 17, 1, 2, 100), 4, ESP_DROP, DP_NO_POLICY},
        {packet(inner + 200, "192.168.13.10", "192.168.14.11", 17, 1, 2, 100), 4, ESP_DROP, DP_NO_POLICY},
        {packet(inner + 400, "192.168.13.10", "192.168.14.10", 17, 1, 2, 100), 41, ESP_DROP, DP_MALFORMED},
        {packet(inner + 600, "192.168.13.10", "192.168.14.10", 17, 1, 2, 100), 59, ESP_IGNORE, DP_MALFORMED},
        {{inner + 400, 10}, 4, ESP_DROP, DP_MALFORMED},
        {{inner + 400, 60}, 4, ESP_DROP, DP_MALFORMED}, /* shorter than its total length says */
        {{inner + 400, 0}, 4, ESP_DROP, DP_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = seal_raw(&g.teks[0], outer, cases[i].inner, cases[i].next_header, esp);
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), cases[i].verdict);
        if (cases[i].verdict == ESP_DROP)
            assert_int_equal(note.why, cases[i].why);
        assert_int_equal(out_len, 0);
    }
    side_close(b);
}

static void padding_behind_the_inner_packet_is_cut_off(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *b = side_open(&g, 2);
    uint8_t inner[CAP] = {0}, esp[CAP], out[CAP];
    size_t out_len = 0;
    struct esp_note note;
    good_packet(inner, 100);
    size_t len = seal_raw(&g.teks[0], inner, (struct bytes){inner, 300}, 4, esp); /* RFC 4303 2.7 */
    assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_TO_LAN);
    assert_int_equal(out_len, 100);
    side_close(b);
}

static void congestion_on_the_way_is_told_to_the_hosts(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    static const struct {
        uint8_t inner, outer, want;
        enum esp_verdict verdict;
    } cases[] = {
        {0, 0, 0, ESP_TO_LAN}, {1, 1, 1, ESP_TO_LAN}, {2, 3, 3, ESP_TO_LAN},
        {1, 3, 3, ESP_TO_LAN}, {3, 3, 3, ESP_TO_LAN}, {0, 3, 0, ESP_DROP}, /* RFC 6040 figure 4 */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t clear[CAP], esp[CAP], out[CAP];
        size_t len = 0, out_len = 0;
        struct esp_note note;
        struct bytes sent = good_packet(clear, 100);
        clear[1] = cases[i].inner;
        clear[10] = clear[11] = 0;
        struct writer w = {clear, 20, 20, E_OK};
        writer_patch_u16(&w, 10, ip_checksum((struct bytes){clear, 20}));
        assert_int_equal(side_out(a, sent, esp, &len, &note), ESP_TO_WAN);
        assert_int_equal(esp[1], cases[i].inner);
        esp[1] = cases[i].outer;
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), cases[i].verdict);
        if (cases[i].verdict != ESP_TO_LAN)
            continue;
        assert_int_equal(out[1], cases[i].want);
        assert_int_equal(ip_checksum((struct bytes){out, 20}), 0);
    }
    side_close(a);
    side_close(b);
}

static void ports_divide_protected_from_clear(void **state)
{
    (void)state;
    struct group g = group_cbc();
    g.selector_count = 1;
    g.selectors[0].protocol = 17;
    g.selectors[0].dst_port = 6000;
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_TO_WAN);
    packet(clear, "192.168.13.10", "192.168.14.10", 17, 5000, 6001, 100);
    assert_int_equal(side_out(a, (struct bytes){clear, 100}, esp, &len, &note), ESP_PASS);
    packet(clear, "192.168.13.10", "192.168.14.10", 6, 5000, 6000, 100);
    assert_int_equal(side_out(a, (struct bytes){clear, 100}, esp, &len, &note), ESP_PASS);
    /* a later fragment has no ports: rather protected than in clear */
    good_packet(clear, 100);
    clear[6] = 0x20;
    clear[7] = 0x10;
    assert_int_equal(side_out(a, (struct bytes){clear, 100}, esp, &len, &note), ESP_TO_WAN);
    /* a first fragment too short for its ports hides something */
    packet(clear, "192.168.13.10", "192.168.14.10", 17, 0, 0, 22);
    clear[3] = 22;
    assert_int_equal(side_out(a, (struct bytes){clear, 22}, esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_MALFORMED);
    side_close(a);
}

static void clear_packets_from_the_wan_are_dropped_unless_policy_lets_them_be_clear(void **state)
{
    (void)state;
    struct group g = group_cbc();
    g.selectors[0].protocol = 17;
    g.selectors[0].dst_port = 6000;
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP];
    struct esp_note note;
    assert_int_equal(esp_path_guard(&a->path, good_packet(clear, 100), &note), ESP_DROP);
    assert_int_equal(note.why, DP_NOT_IPSEC);
    assert_int_equal(note.protocol, 17);
    packet(clear, "192.168.13.10", "192.168.14.10", 17, 5000, 6001, 100);
    assert_int_equal(esp_path_guard(&a->path, (struct bytes){clear, 100}, &note), ESP_PASS);
    assert_int_equal(counted(a, DP_NOT_IPSEC), 1);
    g.selector_count = 0; /* before the first policy: rules of the last run led it here */
    side_apply(a, &g, NULL, 1);
    assert_int_equal(esp_path_guard(&a->path, (struct bytes){clear, 100}, &note), ESP_DROP);
    side_close(a);
}

static void packets_of_others_are_left_alone(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP], six[60] = {0x60};
    size_t len = 0;
    struct esp_note note;
    packet(clear, "10.9.9.9", "10.8.8.8", 50, 0, 99, 100); /* ordinary IPsec of this machine */
    assert_int_equal(side_in(a, (struct bytes){clear, 100}, esp, &len, &note), ESP_IGNORE);
    assert_int_equal(side_out(a, (struct bytes){six, 60}, esp, &len, &note), ESP_IGNORE);
    packet(clear, "10.9.9.9", "10.8.8.8", 17, 0, 99, 100); /* somebody routed it here */
    assert_int_equal(side_out(a, (struct bytes){clear, 100}, esp, &len, &note), ESP_DROP);
    assert_int_equal(note.why, DP_NO_POLICY);
    side_close(a);
}

static void a_closed_door_is_closed_in_every_direction_of_a_migration(void **state)
{
    (void)state;
    struct group g = group_cbc();
    uint8_t raw[CAP], out[CAP];
    size_t out_len = 0;
    struct esp_note note;
    for (int direction = DATAPATH_BOTH; direction <= DATAPATH_RECEIVE_ONLY; direction++) {
        struct side *a = side_open(&g, 1);
        struct datapath_state closed = {.closed = true, .direction = (enum datapath_direction)direction};
        assert_ok(esp_path_apply(&a->path, &closed));
        struct bytes p = good_packet(raw, 100);
        assert_int_equal(side_out(a, p, out, &out_len, &note), ESP_DROP);
        assert_int_equal(note.why, DP_NO_KEY);
        assert_int_equal(esp_path_guard(&a->path, p, &note), ESP_DROP);
        side_close(a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inner_packets_that_do_not_belong_there_are_refused),
        cmocka_unit_test(padding_behind_the_inner_packet_is_cut_off),
        cmocka_unit_test(congestion_on_the_way_is_told_to_the_hosts),
        cmocka_unit_test(ports_divide_protected_from_clear),
        cmocka_unit_test(clear_packets_from_the_wan_are_dropped_unless_policy_lets_them_be_clear),
        cmocka_unit_test(packets_of_others_are_left_alone),
        cmocka_unit_test(a_closed_door_is_closed_in_every_direction_of_a_migration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

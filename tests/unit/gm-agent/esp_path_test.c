/* The packet path: what is sealed, opened, dropped and counted. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/esp_path.h"
#include "tests/lib/test.h"

enum { CAP = 4096 };

static uint64_t wall(void *context)
{
    (void)context;
    return 1700000000000;
}
static const struct clock fake_clock = {wall, wall, NULL};

struct side {
    struct esp_path path;
    struct rng_seeded seeded;
    struct rng rng;
};

struct group {
    struct selector selectors[4];
    size_t selector_count;
    struct tek teks[4];
    size_t tek_count;
    uint16_t sid_bits;
};

static struct selector selector(const char *src, const char *dst)
{
    struct selector s = {0};
    assert_ok(prefix_parse(&s.src, src));
    assert_ok(prefix_parse(&s.dst, dst));
    return s;
}

static struct tek tek(uint32_t spi, uint8_t transform, uint16_t bits, uint16_t auth)
{
    struct tek t = {.spi = spi, .suite = {transform, bits, auth}};
    uint8_t raw[SECRET_LEN_MAX];
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(i * 7 + spi);
    assert_ok(secret_set(&t.key, (struct bytes){raw, esp_key_len(&t.suite)}));
    assert_ok(secret_set(&t.integrity, (struct bytes){raw, esp_integrity_len(&t.suite)}));
    return t;
}

static struct group group_cbc(void)
{
    struct group g = {.selector_count = 2, .tek_count = 1};
    g.selectors[0] = selector("192.168.13.0/24", "192.168.14.0/24");
    g.selectors[1] = selector("192.168.14.0/24", "192.168.13.0/24");
    g.teks[0] = tek(0x1001, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
    return g;
}

static struct group group_gcm(void)
{
    struct group g = group_cbc();
    g.teks[0] = tek(0x2001, ESP_AES_GCM_16, 256, AUTH_NONE);
    g.sid_bits = 12;
    return g;
}

static void side_apply(struct side *side, const struct group *g, const struct tek *out, uint32_t sid)
{
    struct datapath_state state = {
        .selectors = g->selectors, .selector_count = g->selector_count, .out = out};
    for (size_t i = 0; i < g->tek_count; i++)
        state.in[state.in_count++] = &g->teks[i];
    state.sid_bits = g->sid_bits;
    state.sids = &sid;
    state.sid_count = g->sid_bits != 0 ? 1 : 0;
    assert_ok(esp_path_apply(&side->path, &state));
}

static struct side *side_open(const struct group *g, uint32_t sid)
{
    struct side *side = calloc(1, sizeof(*side));
    assert_non_null(side);
    side->rng = rng_seeded_init(&side->seeded, sid + 5);
    esp_path_init(&side->path, &side->rng, &fake_clock);
    side_apply(side, g, &g->teks[0], sid);
    return side;
}

static void side_close(struct side *side)
{
    esp_path_close(&side->path);
    free(side);
}

/* An IPv4 packet of that total length with a good checksum; ports stand in front of the payload. */
static struct bytes packet(uint8_t *out, const char *src, const char *dst, uint8_t protocol,
                           uint16_t src_port, uint16_t dst_port, size_t len)
{
    struct addr from, to;
    assert_ok(addr_parse(&from, src));
    assert_ok(addr_parse(&to, dst));
    struct writer w = writer_over(out, CAP);
    write_u8(&w, 0x45);
    write_u8(&w, 0xb8); /* DSCP EF */
    write_u16(&w, (uint16_t)len);
    write_u16(&w, 0x1234);
    write_u16(&w, 0x4000);
    write_u8(&w, 63);
    write_u8(&w, protocol);
    write_u16(&w, 0);
    write_bytes(&w, addr_bytes(&from));
    write_bytes(&w, addr_bytes(&to));
    writer_patch_u16(&w, 10, ip_checksum(writer_bytes(&w)));
    if (len >= 24) {
        write_u16(&w, src_port);
        write_u16(&w, dst_port);
        for (size_t i = 24; i < len; i++)
            write_u8(&w, (uint8_t)i);
    }
    assert_ok(writer_end(&w));
    return writer_bytes(&w);
}

static struct bytes good_packet(uint8_t *out, size_t len)
{
    return packet(out, "192.168.13.10", "192.168.14.10", 17, 5000, 6000, len);
}

static uint64_t counted(const struct side *side, enum datapath_counter_id id)
{
    return side->path.counters[id].count;
}

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
        struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
        for (size_t len = 24; len < 1500; len += 1 + len / 40) {
            uint8_t clear[CAP], esp[CAP], out[CAP];
            size_t esp_len = 0, out_len = 0;
            struct esp_note note;
            struct bytes sent = good_packet(clear, len);
            assert_int_equal(esp_path_encapsulate(&a->path, sent, esp, CAP, &esp_len, &note), ESP_TO_WAN);
            assert_int_equal(esp_len, IP_HEADER_LEN + esp_sealed_len(&g.teks[0].suite, len));
            assert_int_equal(
                esp_path_decapsulate(&b->path, (struct bytes){esp, esp_len}, out, esp_len, &out_len, &note),
                ESP_TO_LAN);
            assert_int_equal(out_len, len);
            assert_memory_equal(out, clear, len);
        }
        assert_int_equal(counted(a, DP_ENCAPS), counted(b, DP_DECAPS));
        side_close(a);
        side_close(b);
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
        assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                         ESP_TO_WAN);
        assert_ok(ip_packet_decode(&outer, (struct bytes){esp, len}));
        assert_memory_equal(outer.src, clear + 12, 4);
        assert_memory_equal(outer.dst, clear + 16, 4);
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
            assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                             ESP_DROP);
            side_apply(a, &g, &g.teks[0], 0xabc);
        }
        assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                         ESP_TO_WAN);
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
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_DROP);
    assert_int_equal(note.why, DP_NO_KEY);
    g.sid_bits = 8;
    side_apply(a, &g, &g.teks[0], 0x1ff); /* it does not fit its width: another member's, cut */
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_DROP);
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
    a->path.ledger[a->path.counter].ssiv = (UINT64_C(1) << 52) - 2;
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_TO_WAN);
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_DROP);
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
        assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                         ESP_TO_WAN);
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
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_DROP);
    assert_int_equal(counted(a, DP_NO_KEY), 1);
    assert_memory_equal(a->path.counters[DP_NO_KEY].first_src, clear + 12, 4);
    assert_memory_equal(a->path.counters[DP_NO_KEY].last_dst, clear + 16, 4);
    side_close(a);
}

static void every_flipped_bit_of_an_esp_packet_is_noticed(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1), *b = side_open(&g, 2);
    uint8_t clear[CAP], esp[CAP], out[CAP];
    size_t len = 0, out_len = 0;
    struct esp_note note;
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_TO_WAN);
    for (size_t bit = 20 * 8; bit < len * 8; bit++) {
        esp[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(esp_path_decapsulate(&b->path, (struct bytes){esp, len}, out, CAP, &out_len, &note),
                         ESP_DROP);
        esp[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
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
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_TO_WAN);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut != 0 ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, esp, cut);
        enum esp_verdict verdict =
            esp_path_decapsulate(&b->path, (struct bytes){copy, cut}, out, CAP, &out_len, &note);
        assert_true(verdict == ESP_DROP || verdict == ESP_IGNORE);
        if (cut >= 24) { /* now with a total length that fits */
            copy[2] = (uint8_t)(cut >> 8);
            copy[3] = (uint8_t)cut;
            assert_int_equal(
                esp_path_decapsulate(&b->path, (struct bytes){copy, cut}, out, CAP, &out_len, &note),
                ESP_DROP);
        }
        free(copy);
    }
    side_close(a);
    side_close(b);
}

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
        assert_int_equal(esp_path_decapsulate(&b->path, (struct bytes){esp, len}, out, CAP, &out_len, &note),
                         cases[i].verdict);
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
    assert_int_equal(esp_path_decapsulate(&b->path, (struct bytes){esp, len}, out, CAP, &out_len, &note),
                     ESP_TO_LAN);
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
        assert_int_equal(esp_path_encapsulate(&a->path, sent, esp, CAP, &len, &note), ESP_TO_WAN);
        assert_int_equal(esp[1], cases[i].inner);
        esp[1] = cases[i].outer;
        assert_int_equal(esp_path_decapsulate(&b->path, (struct bytes){esp, len}, out, CAP, &out_len, &note),
                         cases[i].verdict);
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
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_TO_WAN);
    packet(clear, "192.168.13.10", "192.168.14.10", 17, 5000, 6001, 100);
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){clear, 100}, esp, CAP, &len, &note),
                     ESP_PASS);
    packet(clear, "192.168.13.10", "192.168.14.10", 6, 5000, 6000, 100);
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){clear, 100}, esp, CAP, &len, &note),
                     ESP_PASS);
    /* a later fragment has no ports: rather protected than in clear */
    good_packet(clear, 100);
    clear[6] = 0x20;
    clear[7] = 0x10;
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){clear, 100}, esp, CAP, &len, &note),
                     ESP_TO_WAN);
    /* a first fragment too short for its ports hides something */
    packet(clear, "192.168.13.10", "192.168.14.10", 17, 0, 0, 22);
    clear[3] = 22;
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){clear, 22}, esp, CAP, &len, &note),
                     ESP_DROP);
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
    assert_int_equal(esp_path_decapsulate(&a->path, (struct bytes){clear, 100}, esp, CAP, &len, &note),
                     ESP_IGNORE);
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){six, 60}, esp, CAP, &len, &note),
                     ESP_IGNORE);
    packet(clear, "10.9.9.9", "10.8.8.8", 17, 0, 99, 100); /* somebody routed it here */
    assert_int_equal(esp_path_encapsulate(&a->path, (struct bytes){clear, 100}, esp, CAP, &len, &note),
                     ESP_DROP);
    assert_int_equal(note.why, DP_NO_POLICY);
    side_close(a);
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
        assert_int_equal(esp_path_encapsulate(&from->path, good_packet(clear, 200), esp, CAP, &len, &note),
                         ESP_TO_WAN);
        assert_int_equal(esp_path_decapsulate(&to->path, (struct bytes){esp, len}, out, CAP, &out_len, &note),
                         ESP_TO_LAN);
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
    assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                     ESP_TO_WAN);
    assert_int_equal(a->path.selector_count, 2);
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
        assert_int_equal(esp_path_encapsulate(&a->path, good_packet(clear, 100), esp, CAP, &len, &note),
                         ESP_TO_WAN);
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
    size_t mtu = esp_path_inner_mtu(&a->path, 1500);
    assert_true(20 + esp_sealed_len(&g.teks[0].suite, mtu) <= 1500);
    assert_true(20 + esp_sealed_len(&g.teks[0].suite, mtu + 1) > 1500);
    g = group_gcm();
    side_apply(a, &g, &g.teks[0], 1);
    assert_int_equal(esp_path_inner_mtu(&a->path, 1500), 1446); /* DATAPATH 7: overhead 54 */
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
        cmocka_unit_test(inner_packets_that_do_not_belong_there_are_refused),
        cmocka_unit_test(padding_behind_the_inner_packet_is_cut_off),
        cmocka_unit_test(congestion_on_the_way_is_told_to_the_hosts),
        cmocka_unit_test(ports_divide_protected_from_clear),
        cmocka_unit_test(clear_packets_from_the_wan_are_dropped_unless_policy_lets_them_be_clear),
        cmocka_unit_test(packets_of_others_are_left_alone),
        cmocka_unit_test(rollover_loses_nothing_while_sides_switch_at_different_times),
        cmocka_unit_test(a_key_that_cannot_be_used_leaves_all_as_it_was),
        cmocka_unit_test(no_memory_leaves_all_as_it_was),
        cmocka_unit_test(the_inner_mtu_fits_the_wan_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

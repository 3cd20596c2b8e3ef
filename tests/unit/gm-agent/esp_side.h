/* esp_side.h - the packet paths of members with fixed keys, packets for them, and what holds for both
 * families. */
#ifndef TESTS_UNIT_GM_AGENT_ESP_SIDE_H
#define TESTS_UNIT_GM_AGENT_ESP_SIDE_H

#include <stdlib.h>
#include <string.h>

#include "gm-agent/esp_path.h"
#include "tests/lib/test.h"

enum { CAP = 4096 };

static UNUSED uint64_t wall(void *context)
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

static UNUSED struct selector selector(const char *src, const char *dst)
{
    struct selector s = {0};
    assert_ok(prefix_parse(&s.src, src));
    assert_ok(prefix_parse(&s.dst, dst));
    return s;
}

static UNUSED struct tek tek(uint32_t spi, uint8_t transform, uint16_t bits, uint16_t auth)
{
    struct tek t = {.spi = spi, .suite = {transform, bits, auth}};
    uint8_t raw[SECRET_LEN_MAX];
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)(i * 7 + spi);
    assert_ok(secret_set(&t.key, (struct bytes){raw, esp_key_len(&t.suite)}));
    assert_ok(secret_set(&t.integrity, (struct bytes){raw, esp_integrity_len(&t.suite)}));
    return t;
}

static UNUSED struct group group_cbc(void)
{
    struct group g = {.selector_count = 2, .tek_count = 1};
    g.selectors[0] = selector("192.168.13.0/24", "192.168.14.0/24");
    g.selectors[1] = selector("192.168.14.0/24", "192.168.13.0/24");
    g.teks[0] = tek(0x1001, ESP_AES_CBC, 256, AUTH_HMAC_SHA256);
    return g;
}

static UNUSED struct group group_gcm(void)
{
    struct group g = group_cbc();
    g.teks[0] = tek(0x2001, ESP_AES_GCM_16, 256, AUTH_NONE);
    g.sid_bits = 12;
    return g;
}

static UNUSED void side_apply(struct side *side, const struct group *g, const struct tek *out, uint32_t sid)
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

static UNUSED struct side *side_open(const struct group *g, uint32_t sid)
{
    struct side *side = calloc(1, sizeof(*side));
    assert_non_null(side);
    side->rng = rng_seeded_init(&side->seeded, sid + 5);
    esp_path_init(&side->path, &side->rng, &fake_clock);
    side_apply(side, g, &g->teks[0], sid);
    return side;
}

static UNUSED void side_close(struct side *side)
{
    esp_path_close(&side->path);
    free(side);
}

/* A packet of a host, on its way to the WAN: esp has CAP octets. */
static UNUSED enum esp_verdict side_out(struct side *side, struct bytes clear, uint8_t *esp, size_t *len,
                                        struct esp_note *note)
{
    return esp_path_encapsulate(&side->path, clear, esp, CAP, len, note);
}

/* A packet from the WAN, on its way to a host: out has CAP octets. */
static UNUSED enum esp_verdict side_in(struct side *side, struct bytes esp, uint8_t *out, size_t *len,
                                       struct esp_note *note)
{
    return esp_path_decapsulate(&side->path, esp, out, CAP, len, note);
}

static UNUSED struct group group_six(void)
{
    struct group g = group_gcm();
    g.selectors[0] = selector("2001:db8:13::/48", "2001:db8:14::/48");
    g.selectors[1] = selector("2001:db8:14::/48", "2001:db8:13::/48");
    return g;
}

/* The fixed header, with DSCP EF and a flow label; further headers and payload are the caller's. */
static UNUSED void write_ip6_header(struct writer *w, const struct addr *from, const struct addr *to,
                                    uint8_t next, size_t payload_len)
{
    write_u32(w, 0x6b8abcde);
    write_u16(w, (uint16_t)payload_len);
    write_u8(w, next);
    write_u8(w, 63);
    write_bytes(w, addr_bytes(from));
    write_bytes(w, addr_bytes(to));
}

/* A packet of that total length, of the addresses' family (IPv4 with a good checksum); ports stand in front
 * of the payload. */
static UNUSED struct bytes packet(uint8_t *out, const char *src, const char *dst, uint8_t protocol,
                                  uint16_t src_port, uint16_t dst_port, size_t len)
{
    struct addr from, to;
    assert_ok(addr_parse(&from, src));
    assert_ok(addr_parse(&to, dst));
    struct writer w = writer_over(out, CAP);
    if (from.family == AF_INET6) {
        assert_true(len >= 44);
        write_ip6_header(&w, &from, &to, protocol, len - 40);
        write_u16(&w, src_port);
        write_u16(&w, dst_port);
        for (size_t i = 44; i < len; i++)
            write_u8(&w, (uint8_t)i);
        assert_ok(writer_end(&w));
        return writer_bytes(&w);
    }
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

static UNUSED struct bytes good_packet(uint8_t *out, size_t len)
{
    return packet(out, "192.168.13.10", "192.168.14.10", 17, 5000, 6000, len);
}

static UNUSED struct bytes six_packet(uint8_t *out, size_t len)
{
    return packet(out, "2001:db8:13::10", "2001:db8:14::10", 17, 5000, 6000, len);
}

typedef struct bytes (*packet_fn)(uint8_t *out, size_t len); /* good_packet or six_packet */

static UNUSED uint64_t counted(const struct side *side, enum datapath_counter_id id)
{
    return side->path.counters[id].count;
}

/* Packets of all lengths from the shortest on come out of the other side as they were. */
static UNUSED void all_lengths_go_through(const struct group *g, packet_fn make, size_t shortest)
{
    struct side *a = side_open(g, 1), *b = side_open(g, 2);
    for (size_t len = shortest; len < 1500; len += 1 + len / 40) {
        uint8_t clear[CAP], esp[CAP], out[CAP];
        size_t esp_len = 0, out_len = 0;
        struct esp_note note;
        struct ip_packet sent;
        assert_ok(ip_packet_decode(&sent, make(clear, len)));
        assert_int_equal(side_out(a, sent.whole, esp, &esp_len, &note), ESP_TO_WAN);
        size_t outer_len = ip_outer_len(sent.src.family);
        assert_int_equal(esp_len, outer_len + esp_sealed_len(&g->teks[0].suite, len));
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

/* Seals a packet at a and flips every bit behind its outer header in turn: b drops them all. The packet is in
 * esp, whole; returns its length. */
static UNUSED size_t every_flip_is_dropped(struct side *a, struct side *b, struct bytes clear, uint8_t *esp)
{
    uint8_t out[CAP];
    size_t len = 0, out_len = 0;
    struct esp_note note;
    struct ip_packet sent;
    assert_ok(ip_packet_decode(&sent, clear));
    assert_int_equal(side_out(a, clear, esp, &len, &note), ESP_TO_WAN);
    for (size_t bit = ip_outer_len(sent.src.family) * 8; bit < len * 8; bit++) {
        esp[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_DROP);
        esp[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return len;
}

#endif

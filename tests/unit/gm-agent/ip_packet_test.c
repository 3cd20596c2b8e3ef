/* IPv6 headers: the chain behind the first, fragments, checksums, ECN. IPv4 is tested with esp_path. */
#include "esp_side.h"

enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* Headers by their numbers, each of its shortest form, then UDP from port 5000 to 6000. */
static struct bytes chain(uint8_t *out, const uint8_t *headers, size_t count, uint16_t fragment)
{
    struct addr from, to;
    struct writer w = writer_over(out, CAP);
    assert_ok(addr_parse(&from, "2001:db8:13::10"));
    assert_ok(addr_parse(&to, "2001:db8:14::10"));
    write_ip6_header(&w, &from, &to, count != 0 ? headers[0] : 17, 8 * count + 8);
    for (size_t i = 0; i < count; i++) {
        write_u8(&w, i + 1 < count ? headers[i + 1] : 17);
        write_u8(&w, 0);
        write_u16(&w, headers[i] == FRAGMENT ? fragment : 0x0104);
        write_u32(&w, 0);
    }
    write_u16(&w, 5000);
    write_u16(&w, 6000);
    write_u32(&w, 8u << 16);
    assert_ok(writer_end(&w));
    return writer_bytes(&w);
}

static struct ip_packet decoded(struct bytes raw)
{
    struct ip_packet p;
    assert_ok(ip_packet_decode(&p, raw));
    return p;
}

static void addresses_class_label_and_ports_are_read(void **state)
{
    (void)state;
    uint8_t raw[CAP];
    char text[ADDR_TEXT_MAX];
    struct ip_packet p = decoded(chain(raw, NULL, 0, 0));
    assert_string_equal(addr_format(&p.src, text), "2001:db8:13::10");
    assert_string_equal(addr_format(&p.dst, text), "2001:db8:14::10");
    assert_int_equal(p.tos, 0xb8);
    assert_int_equal(p.flow_label, 0xabcde);
    assert_int_equal(p.protocol, 17);
    assert_true(p.has_ports && p.first_fragment && p.dont_fragment && !p.fragment && !p.obscured);
    assert_int_equal(p.src_port, 5000);
    assert_int_equal(p.dst_port, 6000);
}

static void extension_headers_are_looked_through(void **state)
{
    (void)state;
    static const uint8_t headers[] = {HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, DESTINATION};
    uint8_t raw[CAP];
    for (size_t count = 0; count <= ARRAY_LEN(headers); count++) {
        struct ip_packet p = decoded(chain(raw, headers, count, 0));
        assert_int_equal(p.protocol, 17);
        assert_int_equal(p.header_len, 40 + 8 * count);
        assert_true(p.has_ports && p.dst_port == 6000 && !p.fragment && !p.obscured);
    }
}

static void a_chain_without_an_end_is_obscured(void **state)
{
    (void)state;
    uint8_t raw[CAP], headers[IP6_EXTENSIONS_MAX + 1];
    memset(headers, DESTINATION, sizeof(headers));
    assert_false(decoded(chain(raw, headers, IP6_EXTENSIONS_MAX, 0)).obscured);
    assert_true(decoded(chain(raw, headers, IP6_EXTENSIONS_MAX + 1, 0)).obscured);
    struct bytes two = chain(raw, headers, 2, 0);
    raw[49] = 200; /* longer than the packet */
    assert_true(decoded(two).obscured);
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    static const uint8_t headers[] = {HOP_BY_HOP, DESTINATION};
    uint8_t raw[CAP];
    struct ip_packet p;
    struct bytes whole = chain(raw, headers, 2, 0);
    for (size_t len = 0; len < whole.len; len++) {
        assert_err(ip_packet_decode(&p, bytes_slice(whole, 0, len)), E_TRUNCATED);
        if (len < 40)
            continue;
        uint8_t *copy = malloc(len); /* now with a length that fits */
        assert_non_null(copy);
        memcpy(copy, raw, len);
        copy[5] = (uint8_t)(len - 40);
        assert_ok(ip_packet_decode(&p, (struct bytes){copy, len}));
        assert_int_equal(p.obscured, len < 56);
        assert_int_equal(p.has_ports, len >= 60);
        free(copy);
    }
}

static void fragments_are_told_apart(void **state)
{
    (void)state;
    static const uint8_t headers[] = {FRAGMENT, DESTINATION};
    uint8_t raw[CAP];
    struct ip_packet p = decoded(chain(raw, headers, 1, 1));
    assert_true(p.fragment && p.first_fragment && p.has_ports);
    p = decoded(chain(raw, headers, 1, 8));
    assert_true(p.fragment && !p.first_fragment && !p.has_ports && !p.obscured);
    assert_int_equal(p.protocol, 17);
    p = decoded(chain(raw, headers, 2, 1));
    assert_true(p.has_ports);
    p = decoded(chain(raw, headers, 2, 8)); /* what stands behind the options is in the first one */
    assert_true(p.obscured && !p.has_ports);
}

static void addresses_of_a_link_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst;
        bool of_link;
    } rows[] = {
        {"fe80::1", "fe80::2", true},      {"2001:db8::1", "fe80::2", true},
        {"fe80::1", "2001:db8::2", true},  {"2001:db8::1", "ff02::1:ff00:2", true},
        {"::", "ff02::16", true},          {"2001:db8::1", "ff01::1", true},
        {"2001:db8::1", "ff05::2", false}, {"2001:db8::1", "2001:db8::2", false},
        {"fec0::1", "2001:db8::2", false}, {"169.254.1.1", "10.1.1.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ip_packet p = {0};
        assert_ok(addr_parse(&p.src, rows[i].src));
        assert_ok(addr_parse(&p.dst, rows[i].dst));
        assert_int_equal(ip_packet_is_of_link(&p), rows[i].of_link);
    }
}

/* RFC 8200 8.1, by hand: an echo request from ::1 to ::2. */
static void checksums_have_the_pseudo_header(void **state)
{
    (void)state;
    struct addr from, to;
    uint8_t raw[CAP];
    struct writer w = writer_over(raw, CAP);
    assert_ok(addr_parse(&from, "2001:db8::1"));
    assert_ok(addr_parse(&to, "2001:db8::2"));
    write_ip6_header(&w, &from, &to, 58, 8);
    write_u32(&w, 0x80000000);
    write_u32(&w, 0x00010001);
    struct ip_packet p = decoded(writer_bytes(&w));
    /* 2 * (2001 + 0db8) + 1 + 2 + 8 + 58 + 8000 + 1 + 1 = db b9, complemented */
    uint32_t sum = 2 * (0x2001 + 0x0db8) + 1 + 2 + 8 + 58 + 0x8000 + 1 + 1;
    assert_int_equal(ip6_checksum(&p), (uint16_t)~sum);
    writer_patch_u16(&w, 42, ip6_checksum(&p));
    assert_int_equal(ip6_checksum(&p), 0);
}

static void congestion_outside_is_told_inside(void **state)
{
    (void)state;
    for (uint8_t inner = 0; inner < 4; inner++) {
        uint8_t raw[CAP];
        struct bytes whole = chain(raw, NULL, 0, 0);
        raw[1] |= (uint8_t)(inner << 4);
        assert_true(ip_ecn_decapsulate(raw, 40, 0xb8 | 1));
        assert_int_equal(decoded(whole).tos, 0xb8 | inner);
        assert_int_equal(ip_ecn_decapsulate(raw, 40, 0xb8 | 3), inner != 0);
        assert_int_equal(decoded(whole).tos, inner != 0 ? 0xb8 | 3 : 0xb8);
        assert_int_equal(decoded(whole).flow_label, 0xabcde);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_class_label_and_ports_are_read),
        cmocka_unit_test(extension_headers_are_looked_through),
        cmocka_unit_test(a_chain_without_an_end_is_obscured),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(fragments_are_told_apart),
        cmocka_unit_test(addresses_of_a_link_are_known),
        cmocka_unit_test(checksums_have_the_pseudo_header),
        cmocka_unit_test(congestion_outside_is_told_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

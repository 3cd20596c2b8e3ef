/* Complaints of routers: read, remembered, forgotten. */
#include "gm-agent/path_mtu.h"
#include "tests/unit/gm-agent/complaint.h"

static bool reads(struct path_mtu_hint *hint, const uint8_t *raw, size_t len)
{
    return path_mtu_read(hint, (struct bytes){raw, len});
}

static void a_complaint_names_router_hosts_key_and_length(void **state)
{
    (void)state;
    const struct addr router = addr_v4(10, 1, 13, 1), src = addr_v4(192, 168, 13, 10),
                      dst = addr_v4(192, 168, 14, 10);
    struct path_mtu_hint hint;
    uint8_t raw[COMPLAINT_LEN];
    complain(raw, 1300);
    assert_true(reads(&hint, raw, sizeof(raw)));
    assert_true(addr_equal(&hint.router, &router));
    assert_true(addr_equal(&hint.src, &src));
    assert_true(addr_equal(&hint.dst, &dst));
    assert_int_equal(hint.spi, 0x01020304);
    assert_int_equal(hint.mtu, 1300);
}

static void an_old_router_that_names_no_length_is_guessed_for(void **state)
{
    (void)state;
    struct path_mtu_hint hint;
    uint8_t raw[COMPLAINT_LEN];
    complain(raw, 0);
    assert_true(reads(&hint, raw, sizeof(raw)));
    assert_int_equal(hint.mtu, 1006);
}

static void what_is_no_complaint_about_esp_is_none(void **state)
{
    (void)state;
    struct path_mtu_hint hint;
    uint8_t raw[COMPLAINT_LEN];
    complain(raw, 1400); /* would have fitted */
    assert_false(reads(&hint, raw, sizeof(raw)));
    const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{9, 17},           {7, 1},
                   {ICMP_AT, 11},     {ICMP_AT + 1, 3},
                   {QUOTED_AT, 0x65}, {QUOTED_AT, 0x44},
                   {QUOTED_AT, 0x4f}, {QUOTED_AT + 9, 6}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        complain(raw, 1300);
        raw[changes[i].at] = changes[i].value;
        sum_again(raw);
        assert_false(reads(&hint, raw, sizeof(raw)));
    }
    complain(raw, 1300);
    raw[ICMP_AT + 2] ^= 1; /* a bad checksum */
    assert_false(reads(&hint, raw, sizeof(raw)));
    for (size_t len = 0; len < COMPLAINT_LEN; len++) {
        complain(raw, 1300);
        assert_false(reads(&hint, raw, len));
    }
}

static void only_a_narrower_way_is_news_and_it_is_forgotten_in_time(void **state)
{
    (void)state;
    static struct path_mtu table;
    const struct addr dst = addr_v4(192, 168, 14, 10);
    struct addr gone;
    assert_true(path_mtu_learn(&table, &dst, 1300, 1000));
    assert_false(path_mtu_learn(&table, &dst, 1300, 2000));
    assert_false(path_mtu_learn(&table, &dst, 1400, 2000));
    assert_true(path_mtu_learn(&table, &dst, 1200, 2000));
    assert_int_equal(table.count, 1);
    assert_false(path_mtu_forget(&table, 1000 + PATH_MTU_LIFE_MS, &gone));
    assert_true(path_mtu_forget(&table, 2000 + PATH_MTU_LIFE_MS, &gone));
    assert_true(addr_equal(&gone, &dst));
    assert_true(path_mtu_learn(&table, &dst, 1400, 0));
}

static void nobody_can_make_ways_arbitrarily_narrow_or_the_table_long(void **state)
{
    (void)state;
    static struct path_mtu table;
    struct addr dst = addr_v4(10, 0, 0, 0);
    assert_false(path_mtu_learn(&table, &dst, PATH_MTU_MIN - 1, 0));
    for (unsigned i = 0; i < PATH_MTU_HOSTS_MAX; i++) {
        dst.bytes[3] = (uint8_t)i;
        assert_true(path_mtu_learn(&table, &dst, PATH_MTU_MIN, 0));
    }
    dst.bytes[0] = 11;
    assert_false(path_mtu_learn(&table, &dst, 1000, 0));
    assert_int_equal(table.count, PATH_MTU_HOSTS_MAX);
}

enum { COMPLAINT6_LEN = 40 + 8 + 40 + 8 };

/* Router 2001:db8:99::1 to host 2001:db8:13::10: ESP of 1400 octets to 2001:db8:14::10 does not fit into mtu.
 */
static void complain_6(uint8_t raw[COMPLAINT6_LEN], uint32_t mtu)
{
    struct addr router, src, dst;
    struct ip_packet ip;
    struct writer w = writer_over(raw, COMPLAINT6_LEN);
    assert_ok(addr_parse(&router, "2001:db8:99::1"));
    assert_ok(addr_parse(&src, "2001:db8:13::10"));
    assert_ok(addr_parse(&dst, "2001:db8:14::10"));
    w.len = IP6_HEADER_LEN;
    ip6_header_write(raw, &router, &src, 0, IP_PROTOCOL_ICMPV6, COMPLAINT6_LEN - 40);
    write_u32(&w, 0x02000000);
    write_u32(&w, mtu);
    ip6_header_write(raw + w.len, &src, &dst, 0, IP_PROTOCOL_ESP, 1360);
    w.len += IP6_HEADER_LEN;
    write_u32(&w, 0x01020304);
    write_u32(&w, 9);
    assert_ok(writer_end(&w));
    assert_ok(ip_packet_decode(&ip, writer_bytes(&w)));
    writer_patch_u16(&w, 42, ip6_checksum(&ip));
}

static void packet_too_big_is_read_alike(void **state)
{
    (void)state;
    static struct path_mtu table;
    struct path_mtu_hint hint;
    uint8_t raw[COMPLAINT6_LEN];
    char router[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    complain_6(raw, 1300);
    assert_true(reads(&hint, raw, sizeof(raw)));
    assert_string_equal(addr_format(&hint.router, router), "2001:db8:99::1");
    assert_string_equal(addr_format(&hint.dst, dst), "2001:db8:14::10");
    assert_int_equal(hint.src.bytes[5], 0x13);
    assert_int_equal(hint.spi, 0x01020304);
    assert_int_equal(hint.mtu, 1300);
    assert_true(path_mtu_learn(&table, &hint.dst, IP6_MTU_MIN, 0));
    assert_false(path_mtu_learn(&table, &hint.router, IP6_MTU_MIN - 1, 0)); /* RFC 8201 4 */
    for (size_t len = 0; len < sizeof(raw); len++)
        assert_false(reads(&hint, raw, len));
    raw[43] ^= 1; /* a bad checksum */
    assert_false(reads(&hint, raw, sizeof(raw)));
    complain_6(raw, 1400); /* would have fitted */
    assert_false(reads(&hint, raw, sizeof(raw)));
    complain_6(raw, 0x10000 + 1300); /* no more so */
    assert_false(reads(&hint, raw, sizeof(raw)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complaint_names_router_hosts_key_and_length),
        cmocka_unit_test(an_old_router_that_names_no_length_is_guessed_for),
        cmocka_unit_test(what_is_no_complaint_about_esp_is_none),
        cmocka_unit_test(packet_too_big_is_read_alike),
        cmocka_unit_test(only_a_narrower_way_is_news_and_it_is_forgotten_in_time),
        cmocka_unit_test(nobody_can_make_ways_arbitrarily_narrow_or_the_table_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

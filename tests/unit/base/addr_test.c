#include "base/addr.h"

#include <arpa/inet.h>
#include <string.h>

#include "tests/lib/test.h"

static struct addr parsed(const char *text)
{
    struct addr out;
    assert_ok(addr_parse(&out, text));
    return out;
}

static struct prefix net(const char *text)
{
    struct prefix out;
    assert_ok(prefix_parse(&out, text));
    return out;
}

static void addresses_parse_and_print_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0.0.0.0",
        "192.0.2.1",
        "255.255.255.255",
        "::",
        "::1",
        "2001:db8::1",
        "fe80::1:2:3:4",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:192.0.2.1",
    };
    char out[ADDR_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct addr addr = parsed(texts[i]);
        assert_string_equal(addr_format(&addr, out), texts[i]);
    }
}

static void what_is_no_address_is_refused_and_gives_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1.1",
        "192.0.2.1 ",
        " 192.0.2.1",
        "192.000.2.1",
        "0x7f000001",
        "::1::",
        "fe80::1%lo",
        "2001:db8::g",
        "host",
        "192.0.2.1/32",
        "[::1]",
        "1:2:3:4:5:6:7:8:9",
    };
    char out[ADDR_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct addr addr = addr_v4(1, 2, 3, 4);
        assert_err(addr_parse(&addr, texts[i]), E_RANGE);
        assert_int_equal(addr.family, 0);
        assert_string_equal(addr_format(&addr, out), "none");
    }
}

static void bytes_of_four_or_sixteen_make_an_address(void **state)
{
    (void)state;
    uint8_t raw[17] = {192, 0, 2, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    for (size_t len = 0; len <= sizeof(raw); len++) {
        struct addr addr;
        bool fits = len == 4 || len == 16;
        assert_err(addr_from_bytes(&addr, (struct bytes){raw, len}), fits ? E_OK : E_BAD_LENGTH);
        assert_int_equal(addr_len(&addr), fits ? len : 0);
        assert_true(bytes_equal(addr_bytes(&addr), (struct bytes){raw, fits ? len : 0}));
    }
    struct addr v4 = addr_v4(192, 0, 2, 1);
    assert_bytes(addr_bytes(&v4), "c0000201");
}

static void addresses_are_ordered_by_family_then_value(void **state)
{
    (void)state;
    static const char *const order[] = {"0.0.0.1", "9.255.255.255", "10.0.0.0",  "200.1.1.1",
                                        "::",      "::1",           "2001:db8::"};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        for (size_t j = 0; j < ARRAY_LEN(order); j++) {
            struct addr a = parsed(order[i]);
            struct addr b = parsed(order[j]);
            int got = addr_compare(&a, &b);
            assert_int_equal(got < 0 ? -1 : got > 0, i < j ? -1 : i > j);
            assert_int_equal(addr_equal(&a, &b), i == j);
        }
    }
    struct addr none = {0};
    struct addr zero = parsed("0.0.0.0");
    assert_true(addr_compare(&none, &zero) < 0);
    assert_true(addr_equal(&none, &none));
}

static void multicast_is_224_slash_4_and_ff00_slash_8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        {"223.255.255.255", false}, {"224.0.0.0", true}, {"239.192.1.1", true}, {"240.0.0.0", false},
        {"ff02::1", true},          {"ff00::", true},    {"feff::1", false},    {"::", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr addr = parsed(rows[i].text);
        assert_int_equal(addr_is_multicast(&addr), rows[i].is);
    }
    struct addr none = {0};
    assert_false(addr_is_multicast(&none));
}

static void end_points_print_with_brackets_around_v6(void **state)
{
    (void)state;
    char out[ADDR_TEXT_MAX];
    struct endpoint v4 = {parsed("192.0.2.1"), 848};
    struct endpoint v6 = {parsed("2001:db8::1"), 848};
    struct endpoint longest = {parsed("1111:2222:3333:4444:5555:6666:7777:8888"), 65535};
    struct endpoint none = {0};
    assert_string_equal(endpoint_format(&v4, out), "192.0.2.1:848");
    assert_string_equal(endpoint_format(&v6, out), "[2001:db8::1]:848");
    assert_string_equal(endpoint_format(&longest, out), "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
    assert_string_equal(endpoint_format(&none, out), "none:0");
    assert_true(endpoint_equal(&v4, &v4));
    assert_false(endpoint_equal(&v4, &v6));
    struct endpoint other = v4;
    other.port = 849;
    assert_false(endpoint_equal(&v4, &other));
}

static void end_points_pass_through_socket_addresses(void **state)
{
    (void)state;
    struct sockaddr_storage storage;
    struct endpoint v4 = {parsed("192.0.2.1"), 848};
    assert_int_equal(endpoint_to_sockaddr(&v4, &storage), sizeof(struct sockaddr_in));
    assert_int_equal(((struct sockaddr_in *)&storage)->sin_port, htons(848));
    struct endpoint back = endpoint_from_sockaddr((struct sockaddr *)&storage);
    assert_true(endpoint_equal(&v4, &back));
    struct endpoint v6 = {parsed("2001:db8::1"), 500};
    assert_int_equal(endpoint_to_sockaddr(&v6, &storage), sizeof(struct sockaddr_in6));
    back = endpoint_from_sockaddr((struct sockaddr *)&storage);
    assert_true(endpoint_equal(&v6, &back));
    struct endpoint none = {0};
    assert_int_equal(endpoint_to_sockaddr(&none, &storage), 0);
    struct sockaddr other = {.sa_family = AF_UNIX};
    back = endpoint_from_sockaddr(&other);
    assert_true(endpoint_equal(&none, &back));
}

static void a_prefix_prints_as_it_was_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"0.0.0.0/0", "10.0.0.0/8",    "10.1.2.0/23",    "192.0.2.1/32",
                                        "::/0",      "2001:db8::/32", "2001:db8::1/128"};
    char out[PREFIX_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct prefix prefix = net(texts[i]);
        assert_string_equal(prefix_format(&prefix, out), texts[i]);
    }
    struct prefix host = net("192.0.2.1");
    assert_int_equal(host.bits, 32);
    host = net("2001:db8::1");
    assert_int_equal(host.bits, 128);
    struct prefix none = {0};
    assert_string_equal(prefix_format(&none, out), "none");
}

static void a_malformed_prefix_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0.0/8 ",
        "10.0.0.0/8/8",
        "10.0.0.0/256",
        "10.0.0.0/4294967304",
        "10.0.0.0/255.0.0.0",
        "10.0.0.1/8",
        "2001:db8::1/64",
        "2001:db8::/129",
        "::/1000",
        "10.0.0.0 /8",
        "11111111111111111111111111111111111111111111111111111111111111111111111111111/8",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct prefix prefix = {addr_v4(1, 2, 3, 4), 32};
        assert_err(prefix_parse(&prefix, texts[i]), E_RANGE);
        assert_int_equal(addr_len(&prefix.addr), 0);
    }
}

static void a_prefix_has_exactly_its_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        const char *addr;
        bool has;
    } rows[] = {
        {"10.1.0.0/16", "10.1.0.0", true},      {"10.1.0.0/16", "10.1.255.255", true},
        {"10.1.0.0/16", "10.2.0.0", false},     {"10.1.0.0/16", "10.0.255.255", false},
        {"10.1.2.0/23", "10.1.3.255", true},    {"10.1.2.0/23", "10.1.4.0", false},
        {"0.0.0.0/0", "255.1.2.3", true},       {"0.0.0.0/0", "::", false},
        {"192.0.2.1/32", "192.0.2.1", true},    {"192.0.2.1/32", "192.0.2.0", false},
        {"2001:db8::/33", "2001:db8::1", true}, {"2001:db8::/33", "2001:db8:8000::", false},
        {"::/0", "192.0.2.1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct prefix prefix = net(rows[i].prefix);
        struct addr addr = parsed(rows[i].addr);
        assert_int_equal(prefix_has(&prefix, &addr), rows[i].has);
    }
    struct prefix no_prefix = {0};
    struct addr none = {0};
    assert_false(prefix_has(&no_prefix, &none));
}

static void every_mask_length_survives_the_wire_form(void **state)
{
    (void)state;
    for (size_t len = 4; len <= 16; len += 12) {
        for (unsigned bits = 0; bits <= len * 8; bits++) {
            uint8_t zero[16] = {0};
            uint8_t mask[16];
            struct prefix prefix = {{0}, (uint8_t)bits};
            prefix.addr.family = len == 4 ? AF_INET : AF_INET6;
            prefix_mask(&prefix, mask);
            unsigned ones = 0;
            for (size_t i = 0; i < sizeof(mask); i++)
                ones += (unsigned)__builtin_popcount(mask[i]);
            assert_int_equal(ones, bits);
            struct prefix back;
            assert_ok(prefix_from_mask(&back, (struct bytes){zero, len}, (struct bytes){mask, len}));
            assert_true(prefix_equal(&prefix, &back));
        }
    }
}

static void a_mask_with_a_hole_or_host_bits_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        const char *mask;
        err_t err;
    } rows[] = {
        {"0a010000", "ffff0000", E_OK},     {"0a010000", "ff00ff00", E_RANGE},
        {"0a010000", "00000001", E_RANGE},  {"0a010001", "ffff0000", E_RANGE},
        {"0a010000", "fffe0000", E_RANGE},  {"0a010000", "ffff00", E_BAD_LENGTH},
        {"0a0100", "ffff00", E_BAD_LENGTH}, {"", "", E_BAD_LENGTH},
        {"0a010000", "7fff0000", E_RANGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t addr[16];
        uint8_t mask[16];
        struct prefix out;
        struct bytes a = hex(rows[i].addr, addr, sizeof(addr));
        struct bytes m = hex(rows[i].mask, mask, sizeof(mask));
        assert_err(prefix_from_mask(&out, a, m), rows[i].err);
        assert_int_equal(out.bits, rows[i].err == E_OK ? 16 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_parse_and_print_the_same),
        cmocka_unit_test(what_is_no_address_is_refused_and_gives_none),
        cmocka_unit_test(bytes_of_four_or_sixteen_make_an_address),
        cmocka_unit_test(addresses_are_ordered_by_family_then_value),
        cmocka_unit_test(multicast_is_224_slash_4_and_ff00_slash_8),
        cmocka_unit_test(end_points_print_with_brackets_around_v6),
        cmocka_unit_test(end_points_pass_through_socket_addresses),
        cmocka_unit_test(a_prefix_prints_as_it_was_written),
        cmocka_unit_test(a_malformed_prefix_is_refused),
        cmocka_unit_test(a_prefix_has_exactly_its_addresses),
        cmocka_unit_test(every_mask_length_survives_the_wire_form),
        cmocka_unit_test(a_mask_with_a_hole_or_host_bits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SAT (RFC 6407 5.5) and the traps of PROTOCOL.md 2.5 and 2.6. */
#include "tests/lib/test.h"

#include "tests/unit/proto/wire/gdoi_parts_in_sa.h"

#define IDS "01 0000 04 0a00e025 01 0000 04 ef010101"
#define HEAD "01 00" IDS "14 c0ffee01"

static err_t decode(const char *text)
{
    return decode_part(PAYLOAD_SAT, text);
}

static void the_reference_bytes_are_read(void **state)
{
    (void)state;
    assert_ok(decode("01 00 01 0000 04 0a00e025 01 0000 04 ef010101 03 1122aabb"
                     "8004 0002 8005 0002 8001 0001 8002 003c"));
    const struct gdoi_sat *sat = &sa.sats[0];
    assert_int_equal(sat->protocol, SAT_ESP);
    assert_int_equal(sat->ip_protocol, 0);
    assert_bytes(sat->src.data, "0a00e025");
    assert_bytes(sat->dst.data, "ef010101");
    assert_int_equal(sat->transform, ESP_3DES);
    assert_int_equal(sat->spi, 0x1122aabb);
    assert_int_equal(sat->encapsulation, ENCAP_TRANSPORT);
    assert_int_equal(sat->auth, AUTH_HMAC_SHA1);
    assert_int_equal(sat->lifetime_s, 60);
    assert_int_equal(sat->preservation, 0);
    assert_int_equal(sat->direction, 0);
}

static void id_data_lengths_have_one_octet_here_too(void **state)
{
    (void)state;
    assert_err(decode("01 00 01 0000 0004 0a00e025 01 0000 0004 ef010101 14 c0ffee01"), E_TRUNCATED);
}

static void a_dst_prot_octet_as_in_the_text_is_not_taken(void **state)
{
    (void)state;
    assert_err(decode("01 00 01 0000 04 0a00e025 01 00 0000 04 ef010101 14 c0ffee01"), E_TRUNCATED);
    assert_err(decode("01 00 01 0000 04 0a00e025 01 11 0050 04 ef010101 14 c0ffee01"), E_TRUNCATED);
}

static void three_octets_of_zero_are_any_source(void **state)
{
    (void)state;
    assert_ok(decode("01 00 01 0000 03 000000 01 0000 04 ef010101 14 c0ffee01"));
    assert_int_equal(sa.sats[0].src.data.len, 0);
    assert_err(decode("01 00 01 0000 03 000001 01 0000 04 ef010101 14 c0ffee01"), E_BAD_LENGTH);
    assert_ok(decode("01 00 01 0000 00 01 0000 04 ef010101 14 c0ffee01"));
    assert_int_equal(sa.sats[0].src.data.len, 0);
}

static void subnets_of_both_families_are_read(void **state)
{
    (void)state;
    assert_ok(
        decode("01 06 04 0050 08 0a010000ffff0000"
               "06 01bb 20 20010db8000000000000000000000000 ffffffff000000000000000000000000 14 c0ffee01"));
    assert_int_equal(sa.sats[0].ip_protocol, 6);
    assert_int_equal(sa.sats[0].src.port, 80);
    assert_bytes(sa.sats[0].src.data, "0a010000ffff0000");
    assert_int_equal(sa.sats[0].dst.port, 443);
    assert_int_equal(sa.sats[0].dst.data.len, 32);
}

static void an_unknown_attribute_is_only_counted(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80040001 80070001 fd010001 fd010002 7d020004 01020304"));
    assert_int_equal(sa.sats[0].encapsulation, ENCAP_TUNNEL);
    assert_int_equal(sa.sats[0].unknown_attributes, 4);
    assert_bytes(encode_part(), HEAD "80040001"); /* and never repeated */
}

static void the_group_description_is_ignored(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "8003000e 80040001"));
    assert_int_equal(sa.sats[0].unknown_attributes, 0);
    assert_ok(decode(HEAD "8003000e 8003000f 00030000"));
    assert_int_equal(sa.sats[0].unknown_attributes, 0);
    assert_bytes(encode_part(), HEAD);
}

static void both_lifetimes_are_read(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80010001 00020004 00000e10 80010002 00020004 00465000"));
    assert_int_equal(sa.sats[0].lifetime_s, 3600);
    assert_int_equal(sa.sats[0].lifetime_kb, 4608000);
    assert_ok(decode(HEAD "80010002 8002ffff 80010001 80020e10"));
    assert_int_equal(sa.sats[0].lifetime_s, 3600);
    assert_int_equal(sa.sats[0].lifetime_kb, 65535);
}

static void a_lifetime_is_a_type_and_then_a_duration(void **state)
{
    (void)state;
    assert_err(decode(HEAD "80020e10"), E_MISSING);
    assert_err(decode(HEAD "80010001"), E_MISSING);
    assert_err(decode(HEAD "80020e10 80010001"), E_MISSING);
    assert_err(decode(HEAD "80010001 80010002 80020e10"), E_MISSING);
    assert_err(decode(HEAD "80010001 80020e10 80020e10"), E_MISSING);
    assert_err(decode(HEAD "80010000 80020e10"), E_RANGE);
    assert_err(decode(HEAD "80010001 80020e10 80010001 80020e11"), E_DUPLICATE);
    assert_ok(decode(HEAD "80010001 80040001 80020e10")); /* others may stand between */
    assert_int_equal(sa.sats[0].lifetime_s, 3600);
}

static void an_unknown_kind_of_lifetime_is_only_counted(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80010003 80020e10 80010001 8002003c"));
    assert_int_equal(sa.sats[0].lifetime_s, 60);
    assert_int_equal(sa.sats[0].unknown_attributes, 1);
}

static void every_attribute_is_read(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80040001 80050005 80060100 800b0001 800e0004 800f0003"));
    const struct gdoi_sat *sat = &sa.sats[0];
    assert_int_equal(sat->encapsulation, ENCAP_TUNNEL);
    assert_int_equal(sat->auth, AUTH_HMAC_SHA256);
    assert_int_equal(sat->key_bits, 256);
    assert_true(sat->esn);
    assert_int_equal(sat->preservation, PRESERVE_BOTH);
    assert_int_equal(sat->direction, DIRECTION_SYMMETRIC);
}

static void an_attribute_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode(HEAD "80040001 80040001"), E_DUPLICATE);
    assert_err(decode(HEAD "80060080 00060002 0100"), E_DUPLICATE);
}

static void lengths_and_sizes_are_checked(void **state)
{
    (void)state;
    assert_err(decode(HEAD "80010001 00020005 0000000e10"), E_BAD_LENGTH);
    assert_err(decode(HEAD "00060000"), E_BAD_LENGTH);
    assert_err(decode(HEAD "00060004 00010000"), E_RANGE);
    assert_err(decode(HEAD "0006ffff 0100"), E_TRUNCATED);
    assert_err(decode(HEAD "8006"), E_TRUNCATED);
    assert_err(decode("01 00" IDS "14 c0ffee"), E_TRUNCATED);
    assert_err(decode(""), E_TRUNCATED);
}

static void ah_has_the_same_layout(void **state)
{
    (void)state;
    assert_ok(decode("02 00" IDS "05 c0ffee01 80040001 80050005"));
    assert_int_equal(sa.sats[0].protocol, SAT_AH);
    assert_int_equal(sa.sats[0].transform, 5);
}

static void other_protocols_are_unsupported(void **state)
{
    (void)state;
    assert_err(decode("03 0d 060b2a864886"), E_UNSUPPORTED);
    assert_err(decode("00" IDS), E_UNSUPPORTED);
    assert_err(decode("80"), E_UNSUPPORTED);
}

static void a_type_comes_before_its_duration_when_written(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80010002 8002ffff 80010001 80020e10 80060100 80040001"));
    assert_bytes(encode_part(), HEAD "80040001 80060100 80010001 0002000400000e10 80010002 000200040000ffff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_bytes_are_read),
        cmocka_unit_test(id_data_lengths_have_one_octet_here_too),
        cmocka_unit_test(a_dst_prot_octet_as_in_the_text_is_not_taken),
        cmocka_unit_test(three_octets_of_zero_are_any_source),
        cmocka_unit_test(subnets_of_both_families_are_read),
        cmocka_unit_test(an_unknown_attribute_is_only_counted),
        cmocka_unit_test(the_group_description_is_ignored),
        cmocka_unit_test(both_lifetimes_are_read),
        cmocka_unit_test(a_lifetime_is_a_type_and_then_a_duration),
        cmocka_unit_test(an_unknown_kind_of_lifetime_is_only_counted),
        cmocka_unit_test(every_attribute_is_read),
        cmocka_unit_test(an_attribute_twice_is_a_duplicate),
        cmocka_unit_test(lengths_and_sizes_are_checked),
        cmocka_unit_test(ah_has_the_same_layout),
        cmocka_unit_test(other_protocols_are_unsupported),
        cmocka_unit_test(a_type_comes_before_its_duration_when_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/payload.h"

static uint8_t raw[4096];
static struct payload_list list;

static err_t decode(uint8_t first, const char *text)
{
    return payload_list_decode(&list, first, hex(text, raw, sizeof(raw)));
}

static void a_chain_gives_types_and_views(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0a00 0006 aabb 0000 0005 cc"));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[0].type, PAYLOAD_HASH);
    assert_bytes(list.items[0].whole, "0a000006aabb");
    assert_bytes(list.items[0].body, "aabb");
    assert_int_equal(list.items[1].type, PAYLOAD_NONCE);
    assert_bytes(list.items[1].body, "cc");
    assert_int_equal(list.consumed, 11);
}

static void encryption_padding_behind_the_last_payload_is_not_consumed(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0000 0006 aabb 00000000000000000000"));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.consumed, 6);
    assert_ok(decode(PAYLOAD_HASH,
                     "0000 0006 aabb 0102030405060708 090a0b0c0d0e0f10")); /* a whole block, not zero */
    assert_int_equal(list.consumed, 6);
}

static void no_first_payload_is_an_empty_list(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_NONE, "0102"));
    assert_int_equal(list.count, 0);
    assert_int_equal(list.consumed, 0);
    assert_ok(payload_list_decode(&list, PAYLOAD_NONE, (struct bytes){0}));
}

static void reserved_octets_are_ignored(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "00ff 0005 aa"));
    assert_bytes(list.items[0].whole, "00ff0005aa"); /* as hashed: what was received */
}

static void an_empty_payload_is_one(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_CERTREQ, "0000 0004"));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].body.len, 0);
}

static void lengths_below_4_are_bad_and_leave_nothing(void **state)
{
    (void)state;
    for (uint8_t len = 0; len < PAYLOAD_HEADER_LEN; len++) {
        uint8_t two[] = {PAYLOAD_NONCE, 0, 0, 4, 0, 0, 0, len};
        assert_err(payload_list_decode(&list, PAYLOAD_HASH, BYTES_OF(two)), E_BAD_LENGTH);
        assert_int_equal(list.count, 0);
        assert_int_equal(list.consumed, 0);
    }
}

static void a_payload_that_is_cut_off_is_truncated(void **state)
{
    (void)state;
    assert_err(decode(PAYLOAD_HASH, "0000 0006 aa"), E_TRUNCATED);
    assert_err(decode(PAYLOAD_HASH, "0000 ffff aabb"), E_TRUNCATED);
    assert_err(decode(PAYLOAD_HASH, "0000 00"), E_TRUNCATED);
    assert_err(decode(PAYLOAD_HASH, "0a00 0004"), E_TRUNCATED); /* names one more */
    assert_err(decode(PAYLOAD_HASH, ""), E_TRUNCATED);
    assert_int_equal(list.count, 0);
}

static void the_65th_payload_is_one_too_many(void **state)
{
    (void)state;
    uint8_t many[(PAYLOAD_MAX + 1) * PAYLOAD_HEADER_LEN] = {0};
    for (size_t i = 0; i <= PAYLOAD_MAX; i++) {
        many[4 * i] = PAYLOAD_VENDOR;
        many[4 * i + 3] = PAYLOAD_HEADER_LEN;
    }
    assert_err(payload_list_decode(&list, PAYLOAD_VENDOR, BYTES_OF(many)), E_LIMIT);
    many[4 * (PAYLOAD_MAX - 1)] = PAYLOAD_NONE;
    assert_ok(payload_list_decode(&list, PAYLOAD_VENDOR, BYTES_OF(many)));
    assert_int_equal(list.count, PAYLOAD_MAX);
}

static void payloads_are_found_by_type_and_number(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_VENDOR, "0a00 0005 01 0d00 0005 02 0000 0005 03"));
    assert_bytes(payload_find(&list, PAYLOAD_VENDOR, 0)->body, "01");
    assert_bytes(payload_find(&list, PAYLOAD_VENDOR, 1)->body, "03");
    assert_null(payload_find(&list, PAYLOAD_VENDOR, 2));
    assert_null(payload_find(&list, PAYLOAD_SA, 0));
    assert_int_equal(payload_count(&list, PAYLOAD_VENDOR), 2);
    assert_int_equal(payload_count(&list, PAYLOAD_SA), 0);
}

static const struct payload_rule rule = {
    .need = P(HASH) | P(NONCE), .may = P(VENDOR) | P(ID) | P(GAP), .many = P(VENDOR)};

static void a_rule_takes_what_it_names(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 0d00 0004 0d00 0004 0500 0004 0000 0004"));
    assert_ok(payload_rule_check(&rule, &list));
}

static void a_rule_misses_what_it_needs(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0000 0004"));
    assert_err(payload_rule_check(&rule, &list), E_MISSING);
    assert_ok(decode(PAYLOAD_NONE, ""));
    assert_err(payload_rule_check(&rule, &list), E_MISSING);
}

static void a_rule_refuses_what_it_does_not_name(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 0c00 0004 0000 0004"));
    assert_err(payload_rule_check(&rule, &list), E_UNEXPECTED);
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 8400 0004 0000 0004")); /* 132 is beyond the mask */
    assert_err(payload_rule_check(&rule, &list), E_UNEXPECTED);
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 4800 0004 0000 0004")); /* 72 = 64 + 8 is not HASH */
    assert_err(payload_rule_check(&rule, &list), E_UNEXPECTED);
}

static void a_rule_refuses_a_second_one(void **state)
{
    (void)state;
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 0a00 0004 0000 0004"));
    assert_err(payload_rule_check(&rule, &list), E_DUPLICATE);
    assert_ok(decode(PAYLOAD_HASH, "0a00 0004 0500 0004 0500 0004 0000 0004"));
    assert_err(payload_rule_check(&rule, &list), E_DUPLICATE);
}

static void a_chain_is_written_with_its_next_payload_octets(void **state)
{
    (void)state;
    uint8_t out[64];
    struct writer w = writer_over(out, sizeof(out));
    size_t first_at = write_reserve(&w, 1);
    struct payload_chain chain = payload_chain_over(&w, first_at);
    size_t begun = payload_begin(&chain, PAYLOAD_HASH);
    write_u16(&w, 0xaabb);
    payload_end(&chain, begun);
    payload_put(&chain, PAYLOAD_NONCE, bytes_of_text("no"));
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w), "08 0a000006aabb 000000066e6f");
}

static void a_payload_beyond_16_bits_is_not_written(void **state)
{
    (void)state;
    static uint8_t out[1 << 17];
    struct writer w = writer_over(out, sizeof(out));
    struct payload_chain chain = payload_chain_over(&w, write_reserve(&w, 1));
    size_t begun = payload_begin(&chain, PAYLOAD_KD);
    write_zeros(&w, UINT16_MAX - PAYLOAD_HEADER_LEN);
    payload_end(&chain, begun);
    assert_ok(writer_end(&w)); /* 65535 are fine */
    begun = payload_begin(&chain, PAYLOAD_KD);
    write_zeros(&w, UINT16_MAX - PAYLOAD_HEADER_LEN + 1);
    payload_end(&chain, begun);
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_gives_types_and_views),
        cmocka_unit_test(encryption_padding_behind_the_last_payload_is_not_consumed),
        cmocka_unit_test(no_first_payload_is_an_empty_list),
        cmocka_unit_test(reserved_octets_are_ignored),
        cmocka_unit_test(an_empty_payload_is_one),
        cmocka_unit_test(lengths_below_4_are_bad_and_leave_nothing),
        cmocka_unit_test(a_payload_that_is_cut_off_is_truncated),
        cmocka_unit_test(the_65th_payload_is_one_too_many),
        cmocka_unit_test(payloads_are_found_by_type_and_number),
        cmocka_unit_test(a_rule_takes_what_it_names),
        cmocka_unit_test(a_rule_misses_what_it_needs),
        cmocka_unit_test(a_rule_refuses_what_it_does_not_name),
        cmocka_unit_test(a_rule_refuses_a_second_one),
        cmocka_unit_test(a_chain_is_written_with_its_next_payload_octets),
        cmocka_unit_test(a_payload_beyond_16_bits_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

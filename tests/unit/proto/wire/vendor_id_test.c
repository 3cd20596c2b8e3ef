#include "tests/lib/test.h"

#include "proto/wire/vendor_id.h"

static uint8_t raw[64];

static enum vendor_id classify(const char *text)
{
    return vendor_id_classify(hex(text, raw, sizeof(raw)));
}

static void known_ids_are_recognised(void **state)
{
    (void)state;
    assert_int_equal(classify("afcad71368a1f1c96b8696fc77570100"), VENDOR_DPD);
    assert_int_equal(classify("4a131c81070358455c5728f20e95452f"), VENDOR_NATT_RFC3947);
    assert_int_equal(classify("09002689dfd6b712"), VENDOR_XAUTH);
}

static void unity_has_any_version(void **state)
{
    (void)state;
    assert_int_equal(classify("12f5f28c457168a9702d9fe274cc 0100"), VENDOR_CISCO_UNITY);
    assert_int_equal(classify("12f5f28c457168a9702d9fe274cc 0204"), VENDOR_CISCO_UNITY);
    assert_int_equal(classify("12f5f28c457168a9702d9fe274cc"), VENDOR_UNKNOWN);
}

static void fragmentation_has_flags_or_none(void **state)
{
    (void)state;
    assert_int_equal(classify("4048b7d56ebce88525e7de7f00d6c2d3"), VENDOR_FRAGMENTATION);
    assert_int_equal(classify("4048b7d56ebce88525e7de7f00d6c2d3 80000000"), VENDOR_FRAGMENTATION);
    assert_int_equal(classify("4048b7d56ebce88525e7de7f00d6c2d3 c0000000"), VENDOR_FRAGMENTATION);
    assert_int_equal(classify("4048b7d56ebce88525e7de7f00d6c2d3 80"), VENDOR_UNKNOWN);
}

static void others_are_unknown(void **state)
{
    (void)state;
    assert_int_equal(vendor_id_classify((struct bytes){0}), VENDOR_UNKNOWN);
    assert_int_equal(classify("af"), VENDOR_UNKNOWN);
    assert_int_equal(classify("afcad71368a1f1c96b8696fc77570101"), VENDOR_UNKNOWN);
    assert_int_equal(classify("afcad71368a1f1c96b8696fc7757010000"), VENDOR_UNKNOWN);
}

static void what_we_send_is_what_we_recognise(void **state)
{
    (void)state;
    for (unsigned bit = VENDOR_DPD; bit <= VENDOR_QUORATE; bit <<= 1) {
        struct bytes body = vendor_id_bytes((enum vendor_id)bit);
        assert_true(body.len >= 8);
        assert_int_equal(vendor_id_classify(body), bit);
    }
    assert_int_equal(vendor_id_bytes(VENDOR_UNKNOWN).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_ids_are_recognised),          cmocka_unit_test(unity_has_any_version),
        cmocka_unit_test(fragmentation_has_flags_or_none),   cmocka_unit_test(others_are_unknown),
        cmocka_unit_test(what_we_send_is_what_we_recognise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/attribute.h"

static uint8_t raw[1024];
static struct attribute attribute;

static err_t number(const char *text, uint32_t *out)
{
    struct reader r = reader_over(hex(text, raw, sizeof(raw)));
    assert_true(attribute_next(&r, &attribute));
    return attribute_u32(&attribute, out);
}

static void tv_and_tlv_are_told_apart(void **state)
{
    (void)state;
    struct reader r = reader_over(hex("800b0001 000c0004 00007080", raw, sizeof(raw)));
    assert_true(attribute_next(&r, &attribute));
    assert_int_equal(attribute.type, 11);
    assert_true(attribute.basic);
    assert_int_equal(attribute.value, 1);
    assert_bytes(attribute.body, "0001");
    assert_true(attribute_next(&r, &attribute));
    assert_int_equal(attribute.type, 12);
    assert_false(attribute.basic);
    assert_int_equal(attribute.value, 0);
    assert_bytes(attribute.body, "00007080");
    assert_false(attribute_next(&r, &attribute));
    assert_ok(reader_end(&r));
}

static void an_empty_value_is_one(void **state)
{
    (void)state;
    struct reader r = reader_over(hex("00040000", raw, sizeof(raw)));
    assert_true(attribute_next(&r, &attribute));
    assert_int_equal(attribute.body.len, 0);
    assert_false(attribute_next(&r, &attribute));
    assert_ok(reader_end(&r));
}

static void a_value_that_is_cut_off_ends_the_list(void **state)
{
    (void)state;
    static const char *const cut[] = {"80",     "800b",     "800b00",         "000c",
                                      "000c00", "000c0004", "000c0004 000070"};
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        struct reader r = reader_over(hex(cut[i], raw, sizeof(raw)));
        assert_false(attribute_next(&r, &attribute));
        assert_err(reader_end(&r), E_TRUNCATED);
        assert_false(attribute_next(&r, &attribute));
    }
}

static void numbers_of_1_to_4_octets_are_read_from_both_forms(void **state)
{
    (void)state;
    uint32_t value;
    assert_ok(number("8004003c", &value));
    assert_int_equal(value, 60);
    assert_ok(number("0004 0001 3c", &value));
    assert_int_equal(value, 60);
    assert_ok(number("0004 0003 000102", &value));
    assert_int_equal(value, 0x102);
    assert_ok(number("0004 0004 ffffffff", &value));
    assert_int_equal(value, UINT32_MAX);
}

static void numbers_of_no_octet_or_more_than_4_are_bad(void **state)
{
    (void)state;
    uint32_t value = 7;
    assert_err(number("0004 0000", &value), E_BAD_LENGTH);
    assert_int_equal(value, 0);
    assert_err(number("0004 0005 0000000001", &value), E_BAD_LENGTH);
}

static void a_class_stands_once_in_a_walk(void **state)
{
    (void)state;
    struct attribute_walk walk = attribute_walk_over(hex("80020001 80030001 80020001", raw, sizeof(raw)), 0);
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_false(attribute_walk_next(&walk, &attribute));
    assert_err(reader_end(&walk.r), E_DUPLICATE);
}

static void a_class_in_both_forms_is_the_same_class(void **state)
{
    (void)state;
    struct attribute_walk walk = attribute_walk_over(hex("80020001 00020001 01", raw, sizeof(raw)), 0);
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_false(attribute_walk_next(&walk, &attribute));
    assert_err(reader_end(&walk.r), E_DUPLICATE);
}

static void repeatable_and_private_classes_may_come_again(void **state)
{
    (void)state;
    struct bytes list = hex("80020001 80020001 fd000001 fd000001", raw, sizeof(raw));
    struct attribute_walk walk = attribute_walk_over(list, UINT64_C(1) << 2);
    while (attribute_walk_next(&walk, &attribute))
        assert_true(attribute.basic);
    assert_ok(reader_end(&walk.r));
    assert_int_equal(walk.count, 4);
}

static void the_33rd_attribute_is_one_too_many(void **state)
{
    (void)state;
    uint8_t list[4 * (ATTRIBUTE_MAX + 1)];
    struct writer w = writer_over(list, sizeof(list));
    for (uint16_t i = 0; i <= ATTRIBUTE_MAX; i++)
        attribute_put_basic(&w, i, 1);
    struct attribute_walk walk = attribute_walk_over(bytes_slice(writer_bytes(&w), 0, 4 * ATTRIBUTE_MAX), 0);
    while (attribute_walk_next(&walk, &attribute))
        continue;
    assert_ok(reader_end(&walk.r));
    walk = attribute_walk_over(writer_bytes(&w), 0);
    while (attribute_walk_next(&walk, &attribute))
        continue;
    assert_err(reader_end(&walk.r), E_LIMIT);
}

static void a_number_beyond_16_bits_fails_the_walk(void **state)
{
    (void)state;
    struct attribute_walk walk = attribute_walk_over(hex("0006 0004 0000ffff", raw, sizeof(raw)), 0);
    assert_true(attribute_walk_next(&walk, &attribute));
    assert_int_equal(attribute_walk_u16(&walk, &attribute), UINT16_MAX);
    assert_ok(reader_end(&walk.r));
    walk = attribute_walk_over(hex("0006 0004 00010000", raw, sizeof(raw)), 0);
    assert_true(attribute_walk_next(&walk, &attribute));
    (void)attribute_walk_u16(&walk, &attribute);
    assert_err(reader_end(&walk.r), E_RANGE);
}

static void attributes_are_written_as_the_figure_has_them(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    attribute_put_basic(&w, 14, 256);
    attribute_put_u32(&w, 4, 86400);
    attribute_put_bytes(&w, 1, bytes_of_text("key"));
    attribute_put_bytes(&w, 2, (struct bytes){0});
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w), "800e0100 0004000400015180 000100036b6579 00020000");
}

static void a_value_beyond_16_bits_of_length_is_not_written(void **state)
{
    (void)state;
    static uint8_t out[1 << 17], body[UINT16_MAX + 1];
    struct writer w = writer_over(out, sizeof(out));
    attribute_put_bytes(&w, 1, (struct bytes){body, UINT16_MAX});
    assert_ok(writer_end(&w));
    attribute_put_bytes(&w, 1, BYTES_OF(body));
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tv_and_tlv_are_told_apart),
        cmocka_unit_test(an_empty_value_is_one),
        cmocka_unit_test(a_value_that_is_cut_off_ends_the_list),
        cmocka_unit_test(numbers_of_1_to_4_octets_are_read_from_both_forms),
        cmocka_unit_test(numbers_of_no_octet_or_more_than_4_are_bad),
        cmocka_unit_test(a_class_stands_once_in_a_walk),
        cmocka_unit_test(a_class_in_both_forms_is_the_same_class),
        cmocka_unit_test(repeatable_and_private_classes_may_come_again),
        cmocka_unit_test(the_33rd_attribute_is_one_too_many),
        cmocka_unit_test(a_number_beyond_16_bits_fails_the_walk),
        cmocka_unit_test(attributes_are_written_as_the_figure_has_them),
        cmocka_unit_test(a_value_beyond_16_bits_of_length_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

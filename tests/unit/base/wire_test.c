#include "tests/lib/test.h"

#include <string.h>

static const uint8_t ramp[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
                               0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14};

static void fields_are_read_in_network_order(void **state)
{
    (void)state;
    struct reader r = reader_over(BYTES_OF(ramp));
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0203);
    assert_int_equal(read_u32(&r), 0x04050607);
    assert_true(read_u64(&r) == 0x08090a0b0c0d0e0full);
    assert_int_equal(reader_left(&r), 5);
    assert_bytes(read_bytes(&r, 2), "1011");
    uint8_t two[2];
    read_into(&r, two, sizeof(two));
    assert_bytes(BYTES_OF(two), "1213");
    assert_err(reader_end(&r), E_TRAILING);
    read_skip(&r, 1);
    assert_ok(reader_end(&r));
}

static void reading_past_the_end_is_sticky_and_gives_zeros(void **state)
{
    (void)state;
    struct reader r = reader_over((struct bytes){ramp, 3});
    assert_int_equal(read_u32(&r), 0);
    assert_int_equal(r.err, E_TRUNCATED);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_u8(&r), 0); /* three bytes are there, but the error stays */
    assert_int_equal(read_u64(&r), 0);
    assert_int_equal(read_bytes(&r, 1).len, 0);
    assert_int_equal(read_bytes(&r, 0).len, 0);
    assert_int_equal(read_rest(&r).len, 0);
    uint8_t out[4] = {9, 9, 9, 9};
    read_into(&r, out, sizeof(out));
    assert_bytes(BYTES_OF(out), "00000000");
    read_skip(&r, 0);
    assert_err(reader_end(&r), E_TRUNCATED);
}

static void a_view_of_a_huge_length_is_truncated_not_wrapped(void **state)
{
    (void)state;
    struct reader r = reader_over(BYTES_OF(ramp));
    assert_int_equal(read_bytes(&r, SIZE_MAX).len, 0);
    assert_err(reader_end(&r), E_TRUNCATED);
    r = reader_over(BYTES_OF(ramp));
    read_skip(&r, SIZE_MAX - 4);
    assert_err(reader_end(&r), E_TRUNCATED);
}

static void an_empty_body_reads_as_empty(void **state)
{
    (void)state;
    struct reader r = reader_over((struct bytes){NULL, 0});
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(read_rest(&r).len, 0);
    read_into(&r, NULL, 0);
    assert_ok(reader_end(&r));
    assert_int_equal(read_u8(&r), 0);
    assert_err(reader_end(&r), E_TRUNCATED);
}

static void the_first_error_of_a_reader_stays(void **state)
{
    (void)state;
    struct reader r = reader_over(BYTES_OF(ramp));
    reader_require(&r, true);
    assert_int_equal(r.err, E_OK);
    reader_require(&r, false);
    reader_fail(&r, E_DUPLICATE);
    (void)read_bytes(&r, 100);
    assert_err(reader_end(&r), E_RANGE);
    r = reader_over(BYTES_OF(ramp));
    reader_fail(&r, E_BAD_LENGTH);
    reader_require(&r, false);
    assert_err(reader_end(&r), E_BAD_LENGTH);
}

static void the_rest_is_everything_left(void **state)
{
    (void)state;
    struct reader r = reader_over((struct bytes){ramp, 6});
    read_skip(&r, 2);
    struct bytes rest = read_rest(&r);
    assert_ptr_equal(rest.data, ramp + 2);
    assert_int_equal(rest.len, 4);
    assert_ok(reader_end(&r));
}

static void fields_are_written_in_network_order(void **state)
{
    (void)state;
    uint8_t buf[32];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 0x01);
    write_u16(&w, 0x0203);
    write_u32(&w, 0x04050607);
    write_u64(&w, 0x08090a0b0c0d0e0full);
    write_bytes(&w, (struct bytes){ramp, 2});
    write_zeros(&w, 3);
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w), "0102030405060708090a0b0c0d0e0f 0102 000000");
}

static void a_full_buffer_is_sticky_and_nothing_is_written_behind_it(void **state)
{
    (void)state;
    uint8_t buf[6] = {0xee, 0xee, 0xee, 0xee, 0xee, 0xee};
    struct writer w = writer_over(buf, 5);
    write_u32(&w, 1);
    write_u16(&w, 0xffff);
    assert_err(writer_end(&w), E_FULL);
    write_u8(&w, 0xff); /* one byte is free, but the error stays */
    write_bytes(&w, (struct bytes){ramp, 1});
    write_zeros(&w, 1);
    assert_int_equal(writer_bytes(&w).len, 0);
    assert_bytes(BYTES_OF(buf), "00000001eeee");
    assert_err(writer_end(&w), E_FULL);
}

static void a_buffer_may_be_filled_to_its_last_byte(void **state)
{
    (void)state;
    uint8_t buf[4];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, 0xa1b2c3d4);
    write_bytes(&w, (struct bytes){NULL, 0});
    write_zeros(&w, 0);
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w), "a1b2c3d4");
    write_zeros(&w, SIZE_MAX);
    assert_err(writer_end(&w), E_FULL);
}

static void a_writer_without_a_buffer_takes_nothing(void **state)
{
    (void)state;
    struct writer w = writer_over(NULL, 0);
    write_bytes(&w, (struct bytes){NULL, 0});
    assert_ok(writer_end(&w));
    assert_int_equal(writer_bytes(&w).len, 0);
    write_u8(&w, 1);
    assert_err(writer_end(&w), E_FULL);
}

static void reserved_fields_are_zero_until_patched(void **state)
{
    (void)state;
    uint8_t buf[16];
    memset(buf, 0xee, sizeof(buf));
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 0xaa);
    size_t small = write_reserve(&w, 1);
    size_t middle = write_reserve(&w, 2);
    size_t large = write_reserve(&w, 4);
    assert_int_equal(small, 1);
    assert_int_equal(middle, 2);
    assert_int_equal(large, 4);
    assert_bytes(writer_bytes(&w), "aa 00 0000 00000000");
    writer_patch_u32(&w, large, 0x11223344);
    writer_patch_u16(&w, middle, 0x5566);
    writer_patch_u8(&w, small, 0x77);
    assert_bytes(writer_bytes(&w), "aa 77 5566 11223344");
    assert_ok(writer_end(&w));
}

static void patching_what_is_not_written_is_an_error(void **state)
{
    (void)state;
    uint8_t buf[8] = {0};
    struct writer w = writer_over(buf, sizeof(buf));
    write_u16(&w, 1);
    writer_patch_u32(&w, 0, 0xffffffff);
    assert_err(writer_end(&w), E_INTERNAL);
    assert_bytes(BYTES_OF(buf), "0001000000000000");
    w = writer_over(buf, sizeof(buf));
    write_u16(&w, 1);
    writer_patch_u8(&w, SIZE_MAX, 0xff);
    assert_err(writer_end(&w), E_INTERNAL);
}

static void patching_after_an_error_changes_nothing(void **state)
{
    (void)state;
    uint8_t buf[4] = {0};
    struct writer w = writer_over(buf, sizeof(buf));
    write_u16(&w, 0x0102);
    writer_fail(&w, E_STATE);
    writer_fail(&w, E_FULL);
    writer_patch_u16(&w, 0, 0xffff);
    assert_bytes(BYTES_OF(buf), "01020000");
    assert_err(writer_end(&w), E_STATE);
}

static void bytes_compare_by_length_and_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of_text("abc"), bytes_of_text("abc")));
    assert_false(bytes_equal(bytes_of_text("abc"), bytes_of_text("abd")));
    assert_false(bytes_equal(bytes_of_text("abc"), bytes_of_text("ab")));
    assert_true(bytes_equal((struct bytes){NULL, 0}, bytes_of_text("")));
}

static void a_slice_is_cut_to_what_is_there(void **state)
{
    (void)state;
    struct bytes b = {ramp, 4};
    assert_bytes(bytes_slice(b, 1, 2), "0203");
    assert_bytes(bytes_slice(b, 2, 100), "0304");
    assert_bytes(bytes_slice(b, 0, SIZE_MAX), "01020304");
    assert_int_equal(bytes_slice(b, 4, 1).len, 0);
    assert_int_equal(bytes_slice(b, SIZE_MAX, SIZE_MAX).len, 0);
    assert_int_equal(bytes_slice((struct bytes){NULL, 0}, 0, 1).len, 0);
}

static void what_was_written_reads_back_at_every_cut(void **state)
{
    (void)state;
    uint8_t buf[15];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 0xfe);
    write_u16(&w, 0xfedc);
    write_u32(&w, 0xfedcba98);
    write_u64(&w, 0xfedcba9876543210ull);
    assert_ok(writer_end(&w));
    for (size_t len = 0; len <= sizeof(buf); len++) {
        struct reader r = reader_over((struct bytes){buf, len});
        uint8_t a = read_u8(&r);
        uint16_t b = read_u16(&r);
        uint32_t c = read_u32(&r);
        uint64_t d = read_u64(&r);
        assert_err(reader_end(&r), len == sizeof(buf) ? E_OK : E_TRUNCATED);
        assert_int_equal(a, len >= 1 ? 0xfe : 0);
        assert_int_equal(b, len >= 3 ? 0xfedc : 0);
        assert_int_equal(c, len >= 7 ? 0xfedcba98 : 0);
        assert_true(d == (len >= 15 ? 0xfedcba9876543210ull : 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_in_network_order),
        cmocka_unit_test(reading_past_the_end_is_sticky_and_gives_zeros),
        cmocka_unit_test(a_view_of_a_huge_length_is_truncated_not_wrapped),
        cmocka_unit_test(an_empty_body_reads_as_empty),
        cmocka_unit_test(the_first_error_of_a_reader_stays),
        cmocka_unit_test(the_rest_is_everything_left),
        cmocka_unit_test(fields_are_written_in_network_order),
        cmocka_unit_test(a_full_buffer_is_sticky_and_nothing_is_written_behind_it),
        cmocka_unit_test(a_buffer_may_be_filled_to_its_last_byte),
        cmocka_unit_test(a_writer_without_a_buffer_takes_nothing),
        cmocka_unit_test(reserved_fields_are_zero_until_patched),
        cmocka_unit_test(patching_what_is_not_written_is_an_error),
        cmocka_unit_test(patching_after_an_error_changes_nothing),
        cmocka_unit_test(bytes_compare_by_length_and_content),
        cmocka_unit_test(a_slice_is_cut_to_what_is_there),
        cmocka_unit_test(what_was_written_reads_back_at_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

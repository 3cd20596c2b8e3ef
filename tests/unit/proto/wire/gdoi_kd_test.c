/* KD (RFC 6407 5.6) and SEQ (5.7). */
#include "tests/lib/test.h"

#include "proto/wire/gdoi_kd.h"

#define KEK_SPI "6162636465666768 3031323334353637"
#define TEK "01 00 0015 04 c0ffee01 00010008 0102030405060708"
#define KEK "02 00 0023 10" KEK_SPI "0001000a 0102030405060708090a"
#define SID "04 00 000e 00 80010008 00020001 2a"

static uint8_t raw[4096];
static struct gdoi_kd kd;

static err_t decode(const char *text)
{
    return gdoi_kd_decode(&kd, hex(text, raw, sizeof(raw)));
}

static void kek_teks_and_sids_are_read(void **state)
{
    (void)state;
    assert_ok(decode("0003 0000" KEK TEK SID));
    assert_true(kd.has_kek);
    assert_bytes(BYTES_OF(kd.kek.spi), KEK_SPI);
    assert_bytes(kd.kek.iv_and_key, "0102030405060708090a");
    assert_int_equal(kd.kek.sig_key.len, 0);
    assert_int_equal(kd.tek_count, 1);
    assert_int_equal(kd.teks[0].protocol_spi_len, 4);
    assert_int_equal(kd.teks[0].spi, 0xc0ffee01);
    assert_bytes(kd.teks[0].key, "0102030405060708");
    assert_int_equal(kd.teks[0].integrity.len, 0);
    assert_true(kd.has_sid);
    assert_int_equal(kd.sid_bits, 8);
    assert_int_equal(kd.sid_count, 1);
    assert_int_equal(kd.sids[0], 0x2a);
}

static void packets_come_in_any_order_and_may_be_none(void **state)
{
    (void)state;
    assert_ok(decode("0003 ffff" SID TEK KEK)); /* RESERVED2 is ignored */
    assert_true(kd.has_kek && kd.has_sid);
    assert_ok(decode("0000 0000"));
    assert_false(kd.has_kek || kd.has_sid);
    assert_int_equal(kd.tek_count, 0);
}

static void the_number_of_packets_is_right(void **state)
{
    (void)state;
    assert_err(decode("0002 0000" TEK), E_TRUNCATED);
    assert_err(decode("ffff 0000" TEK), E_TRUNCATED);
    assert_err(decode("0001 0000" TEK SID), E_TRAILING);
    assert_err(decode("0000 0000 00"), E_TRAILING);
}

static void packet_lengths_are_checked(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 0003 04 c0ffee01"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 01 00 0000"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 01 00 0004"), E_TRUNCATED); /* no SPI size */
    assert_err(decode("0001 0000 01 00 0016 04 c0ffee01 00010008 0102030405060708"), E_TRUNCATED);
    assert_err(decode("0001 0000 01 00 0014 04 c0ffee01 00010008 0102030405060708"), E_TRUNCATED);
}

static void spi_sizes_are_those_of_the_packet_type(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 0014 03 c0ffee 00010008 0102030405060708"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 02 00 0015 04 c0ffee01 00010008 0102030405060708"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 04 00 0012 04 c0ffee01 80010008 00020001 2a"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 01 00 0015 ff c0ffee01 00010008 0102030405060708"), E_TRUNCATED);
}

static void a_second_kek_or_sid_packet_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode("0002 0000" KEK KEK), E_DUPLICATE);
    assert_err(decode("0002 0000" SID SID), E_DUPLICATE);
}

static void the_same_tek_spi_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode("0002 0000" TEK TEK), E_DUPLICATE);
}

static void an_attribute_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 0013 04 c0ffee01 00010001 aa 00010001 bb"), E_DUPLICATE);
    assert_err(decode("0001 0000 04 00 0012 00 80010008 80010008 00020001 2a"), E_DUPLICATE);
}

static void lkh_and_source_authentication_are_unsupported(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 03 00 0019 10" KEK_SPI "00010000"), E_UNSUPPORTED);
    assert_err(decode("0001 0000 01 00 000e 04 c0ffee01 00030001 aa"), E_UNSUPPORTED);
}

static void unknown_attributes_and_packets_abort(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 000e 04 c0ffee01 00040001 aa"), E_UNKNOWN_CRITICAL);
    assert_err(decode("0001 0000 02 00 001a 10" KEK_SPI "00030001 aa"), E_UNKNOWN_CRITICAL);
    assert_err(decode("0001 0000 04 00 0012 00 80010008 00020001 2a 80030001"), E_UNKNOWN_CRITICAL);
    assert_err(decode("0001 0000 05 00 0005 00"), E_UNKNOWN_CRITICAL);
    assert_err(decode("0001 0000 80 00 0005 00"), E_UNKNOWN_CRITICAL);
}

static void a_packet_without_its_key_misses_it(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 0009 04 c0ffee01"), E_MISSING);
    assert_err(decode("0001 0000 02 00 0015 10" KEK_SPI), E_MISSING);
    assert_err(decode("0001 0000 02 00 001a 10" KEK_SPI "00020001 aa"), E_MISSING); /* a signing key alone */
    assert_err(decode("0001 0000 04 00 0009 00 80010008"), E_MISSING);
    assert_err(decode("0001 0000 04 00 000a 00 00020001 2a"), E_MISSING);
}

static void integrity_alone_is_a_key_too(void **state)
{
    (void)state;
    assert_ok(decode("0001 0000 01 00 000e 04 c0ffee01 00020001 aa")); /* AH */
    assert_int_equal(kd.teks[0].key.len, 0);
    assert_bytes(kd.teks[0].integrity, "aa");
}

static void a_key_is_variable_and_not_empty(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 01 00 000d 04 c0ffee01 8001aabb"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 01 00 000d 04 c0ffee01 00010000"), E_BAD_LENGTH);
    assert_err(decode("0001 0000 02 00 001e 10" KEK_SPI "00010001 aa 00020000"), E_BAD_LENGTH);
}

static void the_17th_tek_is_one_too_many(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, (KD_TEK_MAX + 1u) << 16);
    for (uint32_t spi = 1; spi <= KD_TEK_MAX + 1; spi++) {
        write_u32(&w, 0x0100000e);
        write_u8(&w, TEK_SPI_LEN);
        write_u32(&w, spi);
        write_u32(&w, 0x00010001);
        write_u8(&w, 0xaa);
    }
    assert_err(gdoi_kd_decode(&kd, writer_bytes(&w)), E_LIMIT);
    writer_patch_u16(&w, 0, KD_TEK_MAX);
    assert_ok(gdoi_kd_decode(&kd, bytes_slice(writer_bytes(&w), 0, w.len - 14)));
    assert_int_equal(kd.tek_count, KD_TEK_MAX);
}

/* count SIDs of one octet each, from 0 on. */
static err_t decode_sids(size_t count)
{
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, 0x00010000);
    write_u32(&w, 0x04000000 | (uint32_t)(9 + 5 * count));
    write_u8(&w, 0);
    write_u32(&w, 0x80010008);
    for (size_t i = 0; i < count; i++) {
        write_u32(&w, 0x00020001);
        write_u8(&w, (uint8_t)i);
    }
    return gdoi_kd_decode(&kd, writer_bytes(&w));
}

static void the_17th_sid_is_one_too_many(void **state)
{
    (void)state;
    assert_ok(decode_sids(KD_SID_MAX));
    assert_int_equal(kd.sid_count, KD_SID_MAX);
    assert_err(decode_sids(KD_SID_MAX + 1), E_LIMIT);
}

static void sids_have_8_12_or_16_bits(void **state)
{
    (void)state;
    for (uint8_t bits = 1; bits <= 32; bits++) {
        struct bytes body = hex("0001 0000 04 00 000e 00 80010000 00020001 01", raw, sizeof(raw));
        raw[12] = bits;
        err_t want = bits == 8 || bits == 12 || bits == 16 ? E_OK : E_RANGE;
        assert_err(gdoi_kd_decode(&kd, body), want);
    }
}

static void a_sid_fits_its_bits(void **state)
{
    (void)state;
    assert_ok(decode("0001 0000 04 00 0011 00 80010008 00020004 000000ff"));
    assert_err(decode("0001 0000 04 00 0011 00 80010008 00020004 00000100"), E_RANGE);
    assert_ok(decode("0001 0000 04 00 000f 00 8001000c 00020002 0fff"));
    assert_err(decode("0001 0000 04 00 000f 00 8001000c 00020002 1000"), E_RANGE);
    assert_err(decode("0001 0000 04 00 0011 00 80010010 00020004 00010000"), E_RANGE);
    assert_err(decode("0001 0000 04 00 0012 00 80010010 00020005 0000000001"), E_BAD_LENGTH);
}

static void a_sid_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode("0001 0000 04 00 0014 00 80010008 00020001 2a 00020002 002a"), E_DUPLICATE);
}

static void sids_are_written_in_as_few_octets_as_hold_them(void **state)
{
    (void)state;
    kd = (struct gdoi_kd){.has_sid = true, .sid_bits = 8, .sids = {0x2a}, .sid_count = 1};
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_kd_encode(&w, &kd);
    assert_bytes(writer_bytes(&w), "0001 0000" SID);
    kd.sid_bits = 12;
    w = writer_over(raw, sizeof(raw));
    gdoi_kd_encode(&w, &kd);
    assert_bytes(writer_bytes(&w), "0001 0000 04 00 000f 00 8001000c 00020002 002a");
}

static void sids_that_would_collide_are_not_written(void **state)
{
    (void)state;
    static const struct gdoi_kd bad[] = {
        {.has_sid = true, .sid_bits = 8, .sids = {0x100}, .sid_count = 1},
        {.has_sid = true, .sid_bits = 10, .sids = {1}, .sid_count = 1},
        {.has_sid = true, .sid_bits = 24, .sids = {1}, .sid_count = 1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct writer w = writer_over(raw, sizeof(raw));
        gdoi_kd_encode(&w, &bad[i]);
        assert_err(writer_end(&w), E_RANGE);
    }
    static const struct gdoi_kd none = {.has_sid = true, .sid_bits = 8};
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_kd_encode(&w, &none);
    assert_err(writer_end(&w), E_MISSING);
}

static void more_keys_than_a_struct_has_are_not_written(void **state)
{
    (void)state;
    kd = (struct gdoi_kd){.tek_count = KD_TEK_MAX + 1};
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_kd_encode(&w, &kd);
    assert_err(writer_end(&w), E_LIMIT);
}

static void a_key_packet_beyond_16_bits_is_not_written(void **state)
{
    (void)state;
    static uint8_t key[UINT16_MAX], out[1 << 17];
    kd = (struct gdoi_kd){.tek_count = 1, .teks = {{.spi = 256, .key = BYTES_OF(key)}}};
    struct writer w = writer_over(out, sizeof(out));
    gdoi_kd_encode(&w, &kd);
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

static void a_sequence_number_has_exactly_4_octets(void **state)
{
    (void)state;
    uint32_t seq;
    assert_ok(gdoi_seq_decode(&seq, hex("fffffffe", raw, sizeof(raw))));
    assert_int_equal(seq, 0xfffffffe);
    assert_err(gdoi_seq_decode(&seq, hex("000001", raw, sizeof(raw))), E_TRUNCATED);
    assert_err(gdoi_seq_decode(&seq, hex("0000000001", raw, sizeof(raw))), E_TRAILING);
    struct writer w = writer_over(raw, sizeof(raw));
    gdoi_seq_encode(&w, 7);
    assert_bytes(writer_bytes(&w), "00000007");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kek_teks_and_sids_are_read),
        cmocka_unit_test(packets_come_in_any_order_and_may_be_none),
        cmocka_unit_test(the_number_of_packets_is_right),
        cmocka_unit_test(packet_lengths_are_checked),
        cmocka_unit_test(spi_sizes_are_those_of_the_packet_type),
        cmocka_unit_test(a_second_kek_or_sid_packet_is_a_duplicate),
        cmocka_unit_test(the_same_tek_spi_twice_is_a_duplicate),
        cmocka_unit_test(an_attribute_twice_is_a_duplicate),
        cmocka_unit_test(lkh_and_source_authentication_are_unsupported),
        cmocka_unit_test(unknown_attributes_and_packets_abort),
        cmocka_unit_test(a_packet_without_its_key_misses_it),
        cmocka_unit_test(integrity_alone_is_a_key_too),
        cmocka_unit_test(a_key_is_variable_and_not_empty),
        cmocka_unit_test(the_17th_tek_is_one_too_many),
        cmocka_unit_test(the_17th_sid_is_one_too_many),
        cmocka_unit_test(sids_have_8_12_or_16_bits),
        cmocka_unit_test(a_sid_fits_its_bits),
        cmocka_unit_test(a_sid_twice_is_a_duplicate),
        cmocka_unit_test(sids_are_written_in_as_few_octets_as_hold_them),
        cmocka_unit_test(sids_that_would_collide_are_not_written),
        cmocka_unit_test(more_keys_than_a_struct_has_are_not_written),
        cmocka_unit_test(a_key_packet_beyond_16_bits_is_not_written),
        cmocka_unit_test(a_sequence_number_has_exactly_4_octets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

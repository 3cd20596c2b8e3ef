#include "tests/lib/test.h"

#include "proto/wire/notify.h"

#define SPI16 "957e3b86f602b129 232f5e1e4f192e67"

static uint8_t raw[2048];
static struct notify_payload notify;
static struct delete_payload del;

static err_t decode_notify(const char *text)
{
    return notify_decode(&notify, hex(text, raw, sizeof(raw)));
}

static err_t decode_delete(const char *text)
{
    return delete_decode(&del, hex(text, raw, sizeof(raw)));
}

static void a_dpd_probe_is_read(void **state)
{
    (void)state;
    assert_ok(decode_notify("00000001 01 10 8d28" SPI16 "0000002a"));
    assert_int_equal(notify.protocol, PROTO_ISAKMP);
    assert_int_equal(notify.type, NOTIFY_DPD_R_U_THERE);
    assert_bytes(notify.spi, SPI16);
    assert_bytes(notify.data, "0000002a");
}

static void the_doi_of_a_notify_is_not_checked(void **state)
{
    (void)state;
    static const uint32_t dois[] = {DOI_ISAKMP, DOI_IPSEC, DOI_GDOI, 77};
    for (size_t i = 0; i < sizeof(dois) / sizeof(dois[0]); i++) {
        struct bytes body = hex("00000000 01 00 000e", raw, sizeof(raw));
        raw[3] = (uint8_t)dois[i];
        assert_ok(notify_decode(&notify, body));
        assert_int_equal(notify.doi, dois[i]);
    }
}

static void a_notify_of_nothing_but_a_type_is_fine(void **state)
{
    (void)state;
    assert_ok(decode_notify("00000001 01 00 000e"));
    assert_int_equal(notify.type, NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_int_equal(notify.spi.len, 0);
    assert_int_equal(notify.data.len, 0);
}

static void a_spi_longer_than_the_notify_is_truncated(void **state)
{
    (void)state;
    assert_err(decode_notify("00000001 01 11 6002" SPI16), E_TRUNCATED);
    assert_err(decode_notify("00000001 01 ff 6002"), E_TRUNCATED);
    assert_err(decode_notify("00000001 01 10 60"), E_TRUNCATED);
}

static void a_spi_of_256_octets_is_not_written(void **state)
{
    (void)state;
    static const uint8_t spi[256];
    struct writer w = writer_over(raw, sizeof(raw));
    notify = (struct notify_payload){.spi = {spi, UINT8_MAX}};
    notify_encode(&w, &notify);
    assert_ok(writer_end(&w));
    notify.spi = BYTES_OF(spi);
    notify_encode(&w, &notify);
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

static void teks_are_deleted_by_protocol_and_spi(void **state)
{
    (void)state;
    assert_ok(decode_delete("00000002 01 04 0002 c0ffee01 c0ffee02"));
    assert_int_equal(del.doi, DOI_GDOI);
    assert_int_equal(del.protocol, SAT_ESP);
    assert_int_equal(del.spi_len, TEK_SPI_LEN);
    assert_int_equal(del.count, 2);
    assert_bytes(del.spis, "c0ffee01 c0ffee02");
}

static void a_kek_is_deleted_with_protocol_0(void **state)
{
    (void)state;
    assert_ok(decode_delete("00000002 00 10 0001" SPI16));
    assert_int_equal(del.protocol, 0);
    assert_int_equal(del.spi_len, KEK_SPI_LEN);
}

static void spi_0_means_all_and_is_given_as_it_stands(void **state)
{
    (void)state;
    assert_ok(decode_delete("00000002 01 04 0001 00000000"));
    assert_bytes(del.spis, "00000000");
}

static void spis_fill_the_body_exactly(void **state)
{
    (void)state;
    assert_err(decode_delete("00000002 01 04 0002 c0ffee01 c0ffee"), E_BAD_LENGTH);
    assert_err(decode_delete("00000002 01 04 0002 c0ffee01 c0ffee02 00"), E_BAD_LENGTH);
    assert_err(decode_delete("00000002 01 04 0001 c0ffee01 c0ffee02"), E_BAD_LENGTH);
    assert_err(decode_delete("00000002 01 04 0001"), E_BAD_LENGTH);
    assert_err(decode_delete("00000002 01 04 00"), E_TRUNCATED);
}

static void sizes_and_counts_are_in_range(void **state)
{
    (void)state;
    assert_err(decode_delete("00000002 01 00 0001"), E_RANGE);
    assert_err(decode_delete("00000002 01 04 0000"), E_RANGE);
    assert_err(decode_delete("00000002 01 11 0001" SPI16 "00"), E_RANGE);
    assert_err(decode_delete("00000002 01 04 ffff c0ffee01"), E_LIMIT);
}

static void the_65th_spi_is_one_too_many(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, DOI_GDOI);
    write_u8(&w, SAT_ESP);
    write_u8(&w, TEK_SPI_LEN);
    write_u16(&w, DELETE_SPI_MAX);
    write_zeros(&w, DELETE_SPI_MAX * TEK_SPI_LEN);
    assert_ok(delete_decode(&del, writer_bytes(&w)));
    writer_patch_u16(&w, 6, DELETE_SPI_MAX + 1);
    write_zeros(&w, TEK_SPI_LEN);
    assert_err(delete_decode(&del, writer_bytes(&w)), E_LIMIT);
}

static void a_delete_that_we_would_refuse_is_not_written(void **state)
{
    (void)state;
    static const uint8_t spis[8];
    struct writer w = writer_over(raw, sizeof(raw));
    del = (struct delete_payload){
        .doi = DOI_GDOI, .protocol = SAT_ESP, .spi_len = 4, .count = 1, .spis = BYTES_OF(spis)};
    delete_encode(&w, &del);
    assert_err(writer_end(&w), E_BAD_LENGTH);
    assert_int_equal(w.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dpd_probe_is_read),
        cmocka_unit_test(the_doi_of_a_notify_is_not_checked),
        cmocka_unit_test(a_notify_of_nothing_but_a_type_is_fine),
        cmocka_unit_test(a_spi_longer_than_the_notify_is_truncated),
        cmocka_unit_test(a_spi_of_256_octets_is_not_written),
        cmocka_unit_test(teks_are_deleted_by_protocol_and_spi),
        cmocka_unit_test(a_kek_is_deleted_with_protocol_0),
        cmocka_unit_test(spi_0_means_all_and_is_given_as_it_stands),
        cmocka_unit_test(spis_fill_the_body_exactly),
        cmocka_unit_test(sizes_and_counts_are_in_range),
        cmocka_unit_test(the_65th_spi_is_one_too_many),
        cmocka_unit_test(a_delete_that_we_would_refuse_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

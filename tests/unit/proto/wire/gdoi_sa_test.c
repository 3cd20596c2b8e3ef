/* The SA payload around its parts: head, order, bounds. See gdoi_sak_test.c, gdoi_sat_test.c,
 * gdoi_gap_test.c. */
#include "tests/lib/test.h"

#include "proto/wire/gdoi_sa.h"
#include "proto/wire/payload.h"

#define HEAD "00000002 00000000"
#define SPI "6162636465666768 3031323334353637"
/* Smallest parts: no addresses, the attributes that must stand. */
#define SAK(next) next "00 0029 11 01 0000 00 01 0000 00" SPI "00000000 80020003 80060001"
#define GAP(next) next "00 0008 8001000f"
#define SAT(next, spi) next "00 0013 01 00 01 0000 00 01 0000 00 14" spi
#define SAT_ONE SAT("00", "c0ffee01")

static uint8_t raw[16384];
static struct gdoi_sa sa;

static err_t decode(const char *text)
{
    return gdoi_sa_decode(&sa, hex(text, raw, sizeof(raw)));
}

static void sak_gap_and_sats_stand_in_this_order(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "000f 0000" SAK("16") GAP("10") SAT("10", "c0ffee01") SAT("00", "c0ffee02")));
    assert_true(sa.has_sak);
    assert_true(sa.has_gap);
    assert_int_equal(sa.gap.activation_s, 15);
    assert_int_equal(sa.sat_count, 2);
    assert_int_equal(sa.sats[1].spi, 0xc0ffee02);
}

static void parts_in_another_order_are_unexpected(void **state)
{
    (void)state;
    assert_err(decode(HEAD "0010 0000" SAT("0f", "c0ffee01") SAK("00")), E_UNEXPECTED);
    assert_err(decode(HEAD "0016 0000" GAP("0f") SAK("00")), E_UNEXPECTED);
    assert_err(decode(HEAD "0010 0000" SAT("16", "c0ffee01") GAP("00")), E_UNEXPECTED);
}

static void a_second_sak_or_gap_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode(HEAD "000f 0000" SAK("0f") SAK("10") SAT_ONE), E_DUPLICATE);
    assert_err(decode(HEAD "0016 0000" GAP("16") GAP("10") SAT_ONE), E_DUPLICATE);
}

static void a_sak_alone_or_a_sat_alone_is_policy(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "000f 0000" SAK("00")));
    assert_int_equal(sa.sat_count, 0);
    assert_ok(decode(HEAD "0010 0000" SAT_ONE));
    assert_false(sa.has_sak);
    assert_ok(decode(HEAD "0016 0000" GAP("10") SAT_ONE)); /* RFC 6407 5.4: GAP first when there is no SAK */
}

static void neither_sak_nor_sat_is_no_policy(void **state)
{
    (void)state;
    assert_err(decode(HEAD "0000 0000"), E_MISSING);
    assert_err(decode(HEAD "0016 0000" GAP("00")), E_MISSING);
}

static void the_doi_is_2_and_the_situation_0(void **state)
{
    (void)state;
    assert_err(decode("00000001 00000000 0010 0000" SAT_ONE), E_BAD_DOI);
    assert_err(decode("00000002 00000001 0010 0000" SAT_ONE), E_RANGE);
}

static void the_first_type_has_two_octets(void **state)
{
    (void)state;
    assert_err(decode(HEAD "0110 0000" SAT_ONE), E_UNKNOWN_CRITICAL); /* not 16 in the low one */
    assert_err(decode(HEAD "1000 0000" SAT_ONE), E_UNKNOWN_CRITICAL);
}

static void reserved2_of_the_sa_is_ignored(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "0010 ffff" SAT_ONE));
}

static void unknown_parts_are_critical(void **state)
{
    (void)state;
    assert_err(decode(HEAD "0015 0000 0000 0008 00000000"), E_UNKNOWN_CRITICAL);
    assert_err(decode(HEAD "0010 0000" SAT("11", "c0ffee01") "0000 0008 00000000"), E_UNKNOWN_CRITICAL);
}

static void the_chain_fills_the_payload_exactly(void **state)
{
    (void)state;
    assert_err(decode(HEAD "0010 0000" SAT_ONE "00"), E_TRAILING);
    assert_err(decode(HEAD "0010 0000" SAT("10", "c0ffee01")), E_TRUNCATED);
    assert_err(decode(HEAD "0010 0000 0000 0014 01 00 01 0000 00 01 0000 00 14 c0ffee01"), E_TRUNCATED);
    assert_err(decode(HEAD "0010 0000 0000 0003 01"), E_BAD_LENGTH);
    assert_err(decode(HEAD "0010 00"), E_TRUNCATED);
}

static void the_101st_sat_is_one_too_many(void **state)
{
    (void)state;
    static const uint8_t sat[] = {PAYLOAD_SAT, 0, 0, 19, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 1};
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, DOI_GDOI);
    write_u32(&w, SITUATION_GDOI);
    write_u32(&w, (uint32_t)PAYLOAD_SAT << 16);
    for (size_t i = 0; i <= GDOI_SAT_MAX; i++)
        write_bytes(&w, BYTES_OF(sat));
    writer_patch_u8(&w, 12 + GDOI_SAT_MAX * sizeof(sat), PAYLOAD_NONE);
    assert_err(gdoi_sa_decode(&sa, writer_bytes(&w)), E_LIMIT);

    writer_patch_u8(&w, 12 + (GDOI_SAT_MAX - 1) * sizeof(sat), PAYLOAD_NONE);
    assert_ok(gdoi_sa_decode(&sa, bytes_slice(writer_bytes(&w), 0, 12 + GDOI_SAT_MAX * sizeof(sat))));
    assert_int_equal(sa.sat_count, GDOI_SAT_MAX);
}

static void a_hundred_sats_with_everything_fit_one_message(void **state)
{
    (void)state;
    static const uint8_t subnet[8] = {10, 1, 0, 0, 255, 255, 0, 0};
    sa = (struct gdoi_sa){.doi = DOI_GDOI, .sat_count = GDOI_SAT_MAX};
    for (size_t i = 0; i < GDOI_SAT_MAX; i++)
        sa.sats[i] = (struct gdoi_sat){.protocol = SAT_ESP,
                                       .src = {ID_IPV4_ADDR_SUBNET, 0, BYTES_OF(subnet)},
                                       .dst = {ID_IPV4_ADDR_SUBNET, 0, BYTES_OF(subnet)},
                                       .transform = ESP_AES_CBC,
                                       .spi = 256,
                                       .lifetime_s = 3600,
                                       .encapsulation = ENCAP_TUNNEL,
                                       .auth = AUTH_HMAC_SHA256,
                                       .key_bits = 256,
                                       .preservation = PRESERVE_BOTH};
    struct writer w = writer_over(raw, 10240 - 200); /* ISAKMP_MESSAGE_MAX less header, HASH, NONCE, SAK */
    gdoi_sa_encode(&w, &sa);
    assert_ok(writer_end(&w));
}

static void more_sats_than_a_struct_has_are_not_written(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    sa.sat_count = GDOI_SAT_MAX + 1;
    gdoi_sa_encode(&w, &sa);
    assert_err(writer_end(&w), E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sak_gap_and_sats_stand_in_this_order),
        cmocka_unit_test(parts_in_another_order_are_unexpected),
        cmocka_unit_test(a_second_sak_or_gap_is_a_duplicate),
        cmocka_unit_test(a_sak_alone_or_a_sat_alone_is_policy),
        cmocka_unit_test(neither_sak_nor_sat_is_no_policy),
        cmocka_unit_test(the_doi_is_2_and_the_situation_0),
        cmocka_unit_test(the_first_type_has_two_octets),
        cmocka_unit_test(reserved2_of_the_sa_is_ignored),
        cmocka_unit_test(unknown_parts_are_critical),
        cmocka_unit_test(the_chain_fills_the_payload_exactly),
        cmocka_unit_test(the_101st_sat_is_one_too_many),
        cmocka_unit_test(a_hundred_sats_with_everything_fit_one_message),
        cmocka_unit_test(more_sats_than_a_struct_has_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

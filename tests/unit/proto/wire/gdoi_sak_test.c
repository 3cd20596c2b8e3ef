/* SAK (RFC 6407 5.3) and the traps of PROTOCOL.md 2.5. */
#include "tests/lib/test.h"

#include <string.h>

#include "tests/unit/proto/wire/gdoi_parts_in_sa.h"

#define SRC "01 0350 04 0a00e02c"
#define DST "01 0350 04 ef0a0101"
#define SPI "6162636465666768 3031323334353637"
#define HEAD "11" SRC DST SPI "00000000"
#define NEEDED "80020003 80060001"

static err_t decode(const char *text)
{
    return decode_part(PAYLOAD_SAK, text);
}

static void the_reference_bytes_have_no_dst_prot_octet(void **state)
{
    (void)state;
    assert_ok(decode("11 01 0350 04 0a00e02c 01 0350 04 ef0a0101 6162636465666768 3031323334353637 00000000"
                     "8002 0002 8005 0002 8006 0001"));
    assert_bytes(sa.sak.dst.data, "ef0a0101");
    assert_bytes(BYTES_OF(sa.sak.spi), SPI);
    assert_bytes(encode_part(),
                 "11 01 0350 04 0a00e02c 01 0350 04 ef0a0101 6162636465666768 3031323334353637 00000000"
                 "8002 0002 8005 0002 8006 0001");
}

static void a_dst_prot_octet_as_in_the_text_is_not_taken(void **state)
{
    (void)state;
    assert_err(decode("11" SRC "01 11 0350 04 ef0a0101" SPI "00000000" NEEDED), E_TRUNCATED);
}

static void id_data_lengths_have_one_octet(void **state)
{
    (void)state;
    assert_err(decode("11 01 0350 0004 0a00e02c" DST SPI "00000000" NEEDED), E_TRUNCATED);
}

static void id_data_has_the_length_of_its_type_or_none(void **state)
{
    (void)state;
    assert_err(decode("11 01 0350 05 0a00e02c00" DST SPI "00000000" NEEDED), E_BAD_LENGTH);
    assert_err(decode("11 05 0350 04 0a00e02c" DST SPI "00000000" NEEDED), E_BAD_LENGTH);
    assert_err(decode("11" SRC "01 0350 ff ef0a0101" SPI "00000000" NEEDED), E_TRUNCATED);
    assert_ok(decode("11 01 0350 00" DST SPI "00000000" NEEDED));
    assert_int_equal(sa.sak.src.data.len, 0);
    assert_ok(decode("11 02 0350 03 6b7331" DST SPI "00000000" NEEDED)); /* a name may have any */
    assert_bytes(sa.sak.src.data, "6b7331");
}

static void reserved2_may_hold_what_rfc_3547_had_there(void **state)
{
    (void)state;
    assert_ok(decode("11" SRC DST SPI "00010400" NEEDED)); /* POP with RSA, 1024 bits */
    assert_int_equal(sa.sak.algorithm, KEK_ALG_AES);
    assert_bytes(bytes_slice(encode_part(), 1 + 16 + 16, 4), "00000000"); /* we send zero */
}

static void the_kek_lifetime_is_taken_as_tv_and_as_tlv(void **state)
{
    (void)state;
    assert_ok(decode(HEAD NEEDED "00040004 00015180"));
    assert_int_equal(sa.sak.lifetime_s, 86400);
    assert_ok(decode(HEAD NEEDED "80040e10"));
    assert_int_equal(sa.sak.lifetime_s, 3600);
    assert_ok(decode(HEAD NEEDED "00040002 0e10"));
    assert_int_equal(sa.sak.lifetime_s, 3600);
    assert_err(decode(HEAD NEEDED "00040008 0000000000000e10"), E_BAD_LENGTH);
}

static void the_kek_lifetime_is_sent_as_tlv_of_4_octets(void **state)
{
    (void)state;
    assert_ok(decode(HEAD NEEDED "80040e10"));
    assert_bytes(bytes_slice(encode_part(), 37, 64), "80020003 0004000400000e10 80060001");
}

static void the_kek_lifetime_is_sent_as_tv_for_the_dialect_that_wants_it(void **state)
{
    (void)state;
    assert_ok(decode(HEAD NEEDED "80040e10"));
    assert_false(sa.sak.lifetime_basic);
    sa.sak.lifetime_basic = true;
    assert_bytes(bytes_slice(encode_part(), 37, 64), "80020003 80040e10 80060001");
    sa.sak.lifetime_s = 86400; /* does not fit */
    assert_bytes(bytes_slice(encode_part(), 37, 64), "80020003 0004000400015180 80060001");
}

static void an_unknown_attribute_aborts(void **state)
{
    (void)state;
    assert_err(decode(HEAD NEEDED "80080001"), E_UNKNOWN_CRITICAL); /* reserved: RFC 3547's KE_OAKLEY_GROUP */
    assert_err(decode(HEAD NEEDED "800a0001"), E_UNKNOWN_CRITICAL);
    assert_err(decode(HEAD NEEDED "80800001"), E_UNKNOWN_CRITICAL); /* private */
    assert_err(decode(HEAD NEEDED "00800000"), E_UNKNOWN_CRITICAL);
    assert_err(decode(HEAD NEEDED "fd010001"), E_UNKNOWN_CRITICAL);
    assert_err(decode(HEAD NEEDED "80000001"), E_UNKNOWN_CRITICAL);
}

static void every_attribute_is_read(void **state)
{
    (void)state;
    assert_ok(decode(HEAD "80010001 80020003 80030080 80040e10 80050003 80060004 80071130 80090003"));
    assert_int_equal(sa.sak.protocol, 17);
    assert_int_equal(sa.sak.management, 1);
    assert_int_equal(sa.sak.algorithm, KEK_ALG_AES);
    assert_int_equal(sa.sak.key_bits, 128);
    assert_int_equal(sa.sak.sig_hash, SIG_HASH_SHA256);
    assert_int_equal(sa.sak.sig_algorithm, SIG_ALG_ECDSA_256);
    assert_int_equal(sa.sak.sig_key_bits, 4400); /* eight times a DER length: only shown */
    assert_int_equal(sa.sak.ack, KEK_ACK_SHA512);
}

static void algorithm_and_signature_algorithm_must_stand(void **state)
{
    (void)state;
    assert_err(decode(HEAD), E_MISSING);
    assert_err(decode(HEAD "80020003"), E_MISSING);
    assert_err(decode(HEAD "80060001"), E_MISSING);
    assert_ok(decode(HEAD NEEDED));
    assert_int_equal(sa.sak.lifetime_s, 0);
    assert_int_equal(sa.sak.ack, KEK_ACK_NONE);
}

static void an_attribute_twice_is_a_duplicate(void **state)
{
    (void)state;
    assert_err(decode(HEAD NEEDED "80020003"), E_DUPLICATE);
    assert_err(decode(HEAD NEEDED "80040e10 0004000400000e10"), E_DUPLICATE);
}

static void a_number_beyond_16_bits_is_out_of_range(void **state)
{
    (void)state;
    assert_err(decode(HEAD NEEDED "00030004 00010080"), E_RANGE);
}

static void an_id_of_256_octets_is_not_written(void **state)
{
    (void)state;
    static const uint8_t name[256];
    static uint8_t out[1024];
    assert_ok(decode(HEAD NEEDED));
    sa.sak.src = (struct gdoi_id){.type = 2, .data = BYTES_OF(name)};
    struct writer w = writer_over(out, sizeof(out));
    gdoi_sa_encode(&w, &sa);
    assert_err(writer_end(&w), E_BAD_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_bytes_have_no_dst_prot_octet),
        cmocka_unit_test(a_dst_prot_octet_as_in_the_text_is_not_taken),
        cmocka_unit_test(id_data_lengths_have_one_octet),
        cmocka_unit_test(id_data_has_the_length_of_its_type_or_none),
        cmocka_unit_test(reserved2_may_hold_what_rfc_3547_had_there),
        cmocka_unit_test(the_kek_lifetime_is_taken_as_tv_and_as_tlv),
        cmocka_unit_test(the_kek_lifetime_is_sent_as_tlv_of_4_octets),
        cmocka_unit_test(the_kek_lifetime_is_sent_as_tv_for_the_dialect_that_wants_it),
        cmocka_unit_test(an_unknown_attribute_aborts),
        cmocka_unit_test(every_attribute_is_read),
        cmocka_unit_test(algorithm_and_signature_algorithm_must_stand),
        cmocka_unit_test(an_attribute_twice_is_a_duplicate),
        cmocka_unit_test(a_number_beyond_16_bits_is_out_of_range),
        cmocka_unit_test(an_id_of_256_octets_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

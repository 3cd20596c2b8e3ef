/* The sample payloads of RFC 8052 appendix A (IEC 61850 groups), with the octets that its figures leave open
 * filled in: lengths, keys, and 0x0e10 for 3600 seconds, where figure 8 has 0x0e01. */
#include "tests/lib/test.h"

#include "proto/wire/gdoi_kd.h"
#include "proto/wire/gdoi_sa.h"
#include "proto/wire/id_payload.h"

#define OID "0d 060b2a864886ce5683e31a080102"
#define ADDRESS "0006 0404e9fc0001" /* "DER for 233.252.0.1": an OCTET STRING here */
#define KEY16 "000102030405060708090a0b0c0d0e0f"

static uint8_t raw[1024], again[1024];

static void figure_7_is_an_identity_of_type_oid(void **state)
{
    (void)state;
    struct id_payload id;
    struct identity identity;
    char text[ID_TEXT_MAX];
    assert_ok(id_payload_decode(&id, hex("0d 000000" OID ADDRESS, raw, sizeof(raw))));
    assert_int_equal(id.type, ID_OID);
    assert_int_equal(id.protocol, 0);
    assert_int_equal(id.port, 0);
    assert_ok(identity_from_payload(&identity, &id));
    assert_string_equal(identity_format(&identity, text), "0x0d060b2a864886ce5683e31a08010200060404e9fc0001");
}

static void figure_8_is_a_kind_of_sat_that_we_do_not_serve(void **state)
{
    (void)state;
    static struct gdoi_sa sa;
    /* DOI, situation, first part SAT; SAT of protocol 3: OID, address, SPI 1, HMAC-SHA256-128, AES-CBC-128,
     * 3600 s */
    assert_err(gdoi_sa_decode(&sa, hex("00000002 00000000 0010 0000"
                                       "0000 0028 03" OID ADDRESS "00000001 0001 0002 00000e10",
                                       raw, sizeof(raw))),
               E_UNSUPPORTED);
}

static void figure_9_has_its_integrity_key_first(void **state)
{
    (void)state;
    static struct gdoi_kd kd;
    assert_ok(gdoi_kd_decode(&kd, hex("0002 0000"
                                      "01 00 0041 04 00000001 0002 0020" KEY16 KEY16 "0001 0010" KEY16
                                      "01 00 0021 04 00000002 0001 0014" KEY16 "a0a1a2a3",
                                      raw, sizeof(raw))));
    assert_int_equal(kd.tek_count, 2);
    assert_int_equal(kd.teks[0].spi, 1);
    assert_int_equal(kd.teks[0].integrity.len, 32);
    assert_bytes(kd.teks[0].key, KEY16);
    assert_int_equal(kd.teks[1].spi, 2);
    assert_bytes(kd.teks[1].key, KEY16 "a0a1a2a3"); /* AES-GCM-128: key, then salt */
    assert_int_equal(kd.teks[1].integrity.len, 0);

    struct writer w = writer_over(again, sizeof(again));
    gdoi_kd_encode(&w, &kd); /* our order: cipher key first */
    assert_bytes(writer_bytes(&w), "0002 0000"
                                   "01 00 0041 04 00000001 0001 0010" KEY16 "0002 0020" KEY16 KEY16
                                   "01 00 0021 04 00000002 0001 0014" KEY16 "a0a1a2a3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figure_7_is_an_identity_of_type_oid),
        cmocka_unit_test(figure_8_is_a_kind_of_sat_that_we_do_not_serve),
        cmocka_unit_test(figure_9_has_its_integrity_key_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

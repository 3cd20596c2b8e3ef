#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/attribute.h"
#include "proto/wire/payload.h"
#include "proto/wire/sa_payload.h"

/* One transform: AES-256, SHA-256, group 14, PSK, a day. */
#define T_HEAD(next, len, number) next "00" len number "01 0000"
#define T_ATTRIBUTES "80010007 800e0100 80020004 8004000e 80030001 800b0001 000c000400015180"
#define T_LAST T_HEAD("00", "0028", "01") T_ATTRIBUTES
#define SA_HEAD "00000001 00000001"

static uint8_t raw[16384];
static struct ike_offer offer;

static err_t decode(const char *text)
{
    return ike_offer_decode(&offer, hex(text, raw, sizeof(raw)));
}

/* An offer of one transform with the given attributes. */
static err_t decode_attributes(const char *text)
{
    struct bytes attributes = hex(text, raw, sizeof(raw));
    static uint8_t out[1024];
    struct writer w = writer_over(out, sizeof(out));
    write_u32(&w, DOI_IPSEC);
    write_u32(&w, SITUATION_IDENTITY_ONLY);
    size_t proposal = write_reserve(&w, PAYLOAD_HEADER_LEN);
    write_u32(&w, 0x01010001);
    write_u32(&w, (uint32_t)(8 + attributes.len));
    write_u32(&w, 0x01010000);
    write_bytes(&w, attributes);
    writer_patch_u16(&w, proposal + 2, (uint16_t)(w.len - proposal));
    return ike_offer_decode(&offer, writer_bytes(&w));
}

static void a_modern_offer_is_read(void **state)
{
    (void)state;
    assert_ok(decode(SA_HEAD "0000 0030 01 01 00 01" T_LAST));
    assert_int_equal(offer.count, 1);
    assert_int_equal(offer.spi_len, 0);
    const struct ike_transform *t = &offer.transforms[0];
    assert_int_equal(t->proposal, 1);
    assert_int_equal(t->number, 1);
    assert_int_equal(t->encryption, IKE_ENC_AES);
    assert_int_equal(t->key_bits, 256);
    assert_int_equal(t->hash, IKE_HASH_SHA256);
    assert_int_equal(t->group, IKE_GROUP_MODP2048);
    assert_int_equal(t->auth, IKE_AUTH_PSK);
    assert_int_equal(t->life_type, LIFE_SECONDS);
    assert_int_equal(t->life_duration, 86400);
    assert_false(t->unknown);
}

static void doi_1_and_2_are_taken_with_situations_0_and_1(void **state)
{
    (void)state;
    for (uint8_t doi = 1; doi <= 2; doi++) {
        for (uint8_t situation = 0; situation <= 1; situation++) {
            struct bytes body = hex(SA_HEAD "0000 0030 01 01 00 01" T_LAST, raw, sizeof(raw));
            raw[3] = doi;
            raw[7] = situation;
            assert_ok(ike_offer_decode(&offer, body));
            assert_int_equal(offer.doi, doi);
            assert_int_equal(offer.situation, situation);
        }
    }
}

static void other_domains_and_situations_are_refused(void **state)
{
    (void)state;
    assert_err(decode("00000000 00000000 0000 0030 01 01 00 01" T_LAST), E_BAD_DOI);
    assert_err(decode("00000003 00000001 0000 0030 01 01 00 01" T_LAST), E_BAD_DOI);
    assert_err(decode("00000001 00000002 0000 0030 01 01 00 01" T_LAST),
               E_RANGE); /* secrecy: labels follow */
    assert_err(decode("00000001 00000004 0000 0030 01 01 00 01" T_LAST), E_RANGE);
}

static void a_proposal_spi_is_tolerated_and_ignored(void **state)
{
    (void)state;
    assert_ok(decode(SA_HEAD "0000 0038 01 01 08 01 ffffffffffffffff" T_LAST));
    assert_int_equal(offer.spi_len, 8);
    assert_int_equal(offer.count, 1);
    assert_ok(decode(SA_HEAD "0000 0040 01 01 10 01 ffffffffffffffffffffffffffffffff" T_LAST));
    assert_int_equal(offer.spi_len, 16);
    assert_err(decode(SA_HEAD "0000 0041 01 01 11 01 ffffffffffffffffffffffffffffffffff" T_LAST),
               E_BAD_LENGTH);
}

static void many_proposals_are_read_into_one_list(void **state)
{
    (void)state;
    assert_ok(decode(SA_HEAD "0200 0030 01 01 00 01" T_LAST "0200 0030 02 01 00 01" T_LAST
                             "0000 0058 07 01 00 02" T_HEAD("03", "0028", "01")
                                 T_ATTRIBUTES T_HEAD("00", "0028", "02") T_ATTRIBUTES));
    assert_int_equal(offer.count, 4);
    assert_int_equal(offer.transforms[0].proposal, 1);
    assert_int_equal(offer.transforms[1].proposal, 2);
    assert_int_equal(offer.transforms[2].proposal, 7);
    assert_int_equal(offer.transforms[3].proposal, 7);
    assert_int_equal(offer.transforms[3].number, 2);
}

static void proposals_of_other_protocols_are_skipped(void **state)
{
    (void)state;
    assert_ok(decode(SA_HEAD "0200 000c 01 03 04 00 11223344"
                             "0000 0030 02 01 00 01" T_LAST));
    assert_int_equal(offer.count, 1);
    assert_int_equal(offer.transforms[0].proposal, 2);
    assert_ok(decode(SA_HEAD "0000 000c 01 03 04 00 11223344"));
    assert_int_equal(offer.count, 0);
}

static void the_33rd_proposal_is_one_too_many(void **state)
{
    (void)state;
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, DOI_IPSEC);
    write_u32(&w, SITUATION_IDENTITY_ONLY);
    for (size_t i = 0; i <= IKE_PROPOSAL_MAX; i++) {
        write_u32(&w, (i < IKE_PROPOSAL_MAX ? 0x02000000u : 0) | 8);
        write_u32(&w, 0x01020000); /* number 1, protocol AH, nothing in it */
    }
    assert_err(ike_offer_decode(&offer, writer_bytes(&w)), E_LIMIT);
    raw[8 + 8 * (IKE_PROPOSAL_MAX - 1)] = PAYLOAD_NONE;
    assert_ok(ike_offer_decode(&offer, bytes_slice(writer_bytes(&w), 0, 8 + 8 * IKE_PROPOSAL_MAX)));
}

/* Transforms without attributes, in proposals of up to 100. */
static err_t decode_transforms(size_t count)
{
    struct writer w = writer_over(raw, sizeof(raw));
    write_u32(&w, DOI_IPSEC);
    write_u32(&w, SITUATION_IDENTITY_ONLY);
    while (count > 0) {
        size_t here = count < 100 ? count : 100;
        count -= here;
        write_u32(&w, (count > 0 ? 0x02000000u : 0) | (uint32_t)(8 + 8 * here));
        write_u32(&w, 0x01010000 | (uint32_t)here);
        for (size_t i = 1; i <= here; i++) {
            write_u32(&w, (i < here ? 0x03000000u : 0) | 8);
            write_u32(&w, 0x01010000);
        }
    }
    assert_ok(writer_end(&w));
    return ike_offer_decode(&offer, writer_bytes(&w));
}

static void the_129th_transform_is_one_too_many(void **state)
{
    (void)state;
    assert_ok(decode_transforms(IKE_TRANSFORM_MAX));
    assert_int_equal(offer.count, IKE_TRANSFORM_MAX);
    assert_err(decode_transforms(IKE_TRANSFORM_MAX + 1), E_LIMIT);
    assert_int_equal(offer.count, 0);
}

static void a_wrong_number_of_transforms_is_bad(void **state)
{
    (void)state;
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 02" T_LAST), E_BAD_LENGTH);
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 00" T_LAST), E_BAD_LENGTH);
    assert_err(decode(SA_HEAD "0000 0008 01 01 00 00"), E_TRUNCATED); /* a proposal of nothing */
}

static void chains_hold_only_their_own_kind(void **state)
{
    (void)state;
    assert_err(decode(SA_HEAD "0400 0030 01 01 00 01" T_LAST), E_RANGE);
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 01" T_HEAD("02", "0028", "01") T_ATTRIBUTES), E_RANGE);
    assert_err(decode(SA_HEAD "0200 0030 01 01 00 01" T_LAST), E_TRUNCATED);
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 01" T_LAST "00"), E_TRAILING);
    assert_err(decode(SA_HEAD), E_TRUNCATED);
}

static void lengths_that_reach_out_are_refused(void **state)
{
    (void)state;
    assert_err(decode(SA_HEAD "0000 0031 01 01 00 01" T_LAST), E_TRUNCATED);
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 01" T_HEAD("00", "0029", "01") T_ATTRIBUTES), E_TRUNCATED);
    assert_err(decode(SA_HEAD "0000 0030 01 01 00 01" T_HEAD("00", "0003", "01") T_ATTRIBUTES), E_BAD_LENGTH);
    assert_err(decode(SA_HEAD "0000 0030 01 01 ff 01" T_LAST), E_TRUNCATED); /* SPI size */
    assert_err(decode_attributes("80010007 000cffff 00015180"), E_TRUNCATED);
}

static void an_attribute_twice_is_refused(void **state)
{
    (void)state;
    assert_err(decode_attributes("80010007 80010005"), E_DUPLICATE);
    assert_err(decode_attributes("80010007 000100020005"), E_DUPLICATE);
    assert_err(decode_attributes("800b0001 800c003c 800b0001 800c003d"), E_DUPLICATE);
}

static void unknown_attributes_and_values_mark_the_transform_only(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "80010007 80790001",          /* an unassigned class */
        "80010007 fd010001 fd010001", /* private, twice */
        "80010007 800d0001",          /* a prf: none is defined */
        "80010007 0002000400010004",  /* a hash of more than 16 bits */
        "80010007 800b0003 800c0001", /* a lifetime in an unknown unit */
        "80010007 800c003c",          /* a duration without type */
        "80010007 800b0001",          /* a type without duration */
        "80010007 800b0001 800b0002", /* two types in a row */
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_ok(decode_attributes(texts[i]));
        assert_int_equal(offer.count, 1);
        assert_true(offer.transforms[0].unknown);
        assert_int_equal(offer.transforms[0].encryption, IKE_ENC_AES);
    }
    assert_ok(decode(SA_HEAD "0000 0030 01 01 00 01"
                             "0000 0028 01 02 0000" T_ATTRIBUTES)); /* not KEY_IKE */
    assert_true(offer.transforms[0].unknown);
}

static void basic_classes_in_the_variable_form_are_taken(void **state)
{
    (void)state;
    assert_ok(decode_attributes("0001 0002 0007 000e 0004 00000100 0003 0001 01"));
    assert_int_equal(offer.transforms[0].encryption, IKE_ENC_AES);
    assert_int_equal(offer.transforms[0].key_bits, 256);
    assert_int_equal(offer.transforms[0].auth, IKE_AUTH_PSK);
    assert_false(offer.transforms[0].unknown);
    assert_err(decode_attributes("000c 0008 0000000000007080"), E_BAD_LENGTH);
}

static void seconds_win_over_kilobytes(void **state)
{
    (void)state;
    assert_ok(decode_attributes("800b0002 000c0004 00465000 800b0001 800c7080"));
    assert_int_equal(offer.transforms[0].life_type, LIFE_SECONDS);
    assert_int_equal(offer.transforms[0].life_duration, 28800);
    assert_ok(decode_attributes("800b0001 800c7080 800b0002 000c0004 00465000"));
    assert_int_equal(offer.transforms[0].life_type, LIFE_SECONDS);
    assert_int_equal(offer.transforms[0].life_duration, 28800);
    assert_ok(decode_attributes("800b0002 000c0004 00465000"));
    assert_int_equal(offer.transforms[0].life_type, LIFE_KILOBYTES);
    assert_false(offer.transforms[0].unknown);
}

static void an_offer_is_written_as_peers_expect_it(void **state)
{
    (void)state;
    assert_ok(decode(SA_HEAD "0000 0038 01 01 08 01 ffffffffffffffff" T_LAST));
    static uint8_t out[128];
    struct writer w = writer_over(out, sizeof(out));
    ike_offer_encode(&w, &offer);
    assert_ok(writer_end(&w));
    assert_bytes(writer_bytes(&w),
                 SA_HEAD "0000 0030 01 01 00 01"
                         "0000 0028 01 01 0000"
                         "80010007 800e0100 80020004 8004000e 80030001 800b0001 000c000400015180");
}

static void an_offer_of_nothing_is_not_written(void **state)
{
    (void)state;
    static uint8_t out[8192];
    struct writer w = writer_over(out, sizeof(out));
    offer = (struct ike_offer){.doi = DOI_GDOI};
    ike_offer_encode(&w, &offer);
    assert_err(writer_end(&w), E_MISSING);
    offer.count = 1;
    offer.transforms[0].unknown = true;
    w = writer_over(out, sizeof(out));
    ike_offer_encode(&w, &offer);
    assert_err(writer_end(&w), E_MISSING);
    offer.count = IKE_TRANSFORM_MAX + 1;
    w = writer_over(out, sizeof(out));
    ike_offer_encode(&w, &offer);
    assert_err(writer_end(&w), E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_modern_offer_is_read),
        cmocka_unit_test(doi_1_and_2_are_taken_with_situations_0_and_1),
        cmocka_unit_test(other_domains_and_situations_are_refused),
        cmocka_unit_test(a_proposal_spi_is_tolerated_and_ignored),
        cmocka_unit_test(many_proposals_are_read_into_one_list),
        cmocka_unit_test(proposals_of_other_protocols_are_skipped),
        cmocka_unit_test(the_33rd_proposal_is_one_too_many),
        cmocka_unit_test(the_129th_transform_is_one_too_many),
        cmocka_unit_test(a_wrong_number_of_transforms_is_bad),
        cmocka_unit_test(chains_hold_only_their_own_kind),
        cmocka_unit_test(lengths_that_reach_out_are_refused),
        cmocka_unit_test(an_attribute_twice_is_refused),
        cmocka_unit_test(unknown_attributes_and_values_mark_the_transform_only),
        cmocka_unit_test(basic_classes_in_the_variable_form_are_taken),
        cmocka_unit_test(seconds_win_over_kilobytes),
        cmocka_unit_test(an_offer_is_written_as_peers_expect_it),
        cmocka_unit_test(an_offer_of_nothing_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

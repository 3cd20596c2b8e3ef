/* What the reference implementation really sent, decoded by all our codecs together, and written again. */
#include "tests/lib/test.h"

#include "proto/wire/gdoi_kd.h"
#include "proto/wire/gdoi_sa.h"
#include "proto/wire/id_payload.h"
#include "proto/wire/isakmp_header.h"
#include "proto/wire/notify.h"
#include "proto/wire/payload.h"
#include "proto/wire/sa_payload.h"
#include "proto/wire/vendor_id.h"
#include "tests/unit/proto/wire/reference_bytes.h"

static uint8_t raw[2048];
static uint8_t again[2048];
static struct payload_list list;
static struct gdoi_sa sa;
static struct gdoi_kd kd;

static struct bytes body_of(uint8_t type, size_t n)
{
    const struct payload *payload = payload_find(&list, type, n);
    assert_non_null(payload);
    return payload->body;
}

static void the_phase_1_offer_has_doi_2(void **state)
{
    (void)state;
    static struct ike_offer offer;
    assert_ok(ike_offer_decode(&offer, hex(REF_SAI_B, raw, sizeof(raw))));
    assert_int_equal(offer.doi, DOI_GDOI);
    assert_int_equal(offer.situation, SITUATION_GDOI);
    assert_int_equal(offer.count, 1);
    const struct ike_transform *t = &offer.transforms[0];
    assert_int_equal(t->proposal, 1);
    assert_int_equal(t->number, 0);
    assert_int_equal(t->encryption, IKE_ENC_3DES);
    assert_int_equal(t->hash, IKE_HASH_SHA1);
    assert_int_equal(t->auth, IKE_AUTH_PSK);
    assert_int_equal(t->group, IKE_GROUP_MODP1024);
    assert_int_equal(t->life_type, LIFE_SECONDS);
    assert_int_equal(t->life_duration, 60);
    assert_false(t->unknown);
}

static void message_5_carries_a_notify_of_doi_1_under_doi_2(void **state)
{
    (void)state;
    struct notify_payload notify;
    struct id_payload id;
    assert_ok(payload_list_decode(&list, PAYLOAD_ID, hex(REF_MM5, raw, sizeof(raw))));
    assert_int_equal(list.count, 3);
    assert_ok(id_payload_decode(&id, body_of(PAYLOAD_ID, 0)));
    assert_int_equal(id.type, ID_IPV4_ADDR);
    assert_bytes(id.data, "0a00e025");
    assert_ok(notify_decode(&notify, body_of(PAYLOAD_NOTIFY, 0)));
    assert_int_equal(notify.doi, DOI_IPSEC);
    assert_int_equal(notify.type, NOTIFY_INITIAL_CONTACT);
    assert_bytes(notify.spi, "957e3b86f602b129 232f5e1e4f192e67");
    assert_int_equal(notify.data.len, 0);
}

static void the_group_is_a_key_id_of_4_octets(void **state)
{
    (void)state;
    struct id_payload id;
    struct identity identity, group = identity_from_number(1234);
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, hex(REF_PULL1, raw, sizeof(raw))));
    assert_int_equal(body_of(PAYLOAD_NONCE, 0).len, 16);
    assert_ok(id_payload_decode(&id, body_of(PAYLOAD_ID, 0)));
    assert_ok(identity_from_payload(&identity, &id));
    assert_true(identity_equal(&identity, &group));
}

static void the_sa_of_the_pull_is_decoded(void **state)
{
    (void)state;
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, hex(REF_PULL2, raw, sizeof(raw))));
    assert_ok(gdoi_sa_decode(&sa, body_of(PAYLOAD_SA, 0)));
    assert_true(sa.has_sak);
    assert_false(sa.has_gap);
    assert_int_equal(sa.sak.protocol, 17);
    assert_int_equal(sa.sak.src.type, ID_IPV4_ADDR);
    assert_int_equal(sa.sak.src.port, 848);
    assert_bytes(sa.sak.src.data, "0a00e02c");
    assert_int_equal(sa.sak.dst.port, 848);
    assert_bytes(sa.sak.dst.data, "ef0a0101");
    assert_memory_equal(sa.sak.spi, "abcdefgh01234567", KEK_SPI_LEN);
    assert_int_equal(sa.sak.algorithm, KEK_ALG_3DES);
    assert_int_equal(sa.sak.sig_hash, SIG_HASH_SHA1);
    assert_int_equal(sa.sak.sig_algorithm, SIG_ALG_RSA);
    assert_int_equal(sa.sat_count, 2);
    assert_int_equal(sa.sats[0].protocol, SAT_ESP);
    assert_int_equal(sa.sats[0].transform, ESP_3DES);
    assert_int_equal(sa.sats[0].spi, 0x1122aabb);
    assert_bytes(sa.sats[0].src.data, "0a00e025");
    assert_bytes(sa.sats[0].dst.data, "ef010101");
    assert_int_equal(sa.sats[1].spi, 0x3344ccdd);
    assert_int_equal(sa.sats[1].encapsulation, ENCAP_TRANSPORT);
    assert_int_equal(sa.sats[1].auth, AUTH_HMAC_SHA1);
    assert_int_equal(sa.sats[1].lifetime_s, 60);
    assert_int_equal(sa.sats[1].unknown_attributes, 0);
}

static void the_keys_of_the_pull_are_decoded_and_padding_is_left_alone(void **state)
{
    (void)state;
    uint32_t seq = 99;
    struct bytes plain = hex(REF_PULL4, raw, sizeof(raw));
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, plain));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.consumed, plain.len - 7);
    assert_ok(gdoi_seq_decode(&seq, body_of(PAYLOAD_SEQ, 0)));
    assert_int_equal(seq, 0);
    assert_ok(gdoi_kd_decode(&kd, body_of(PAYLOAD_KD, 0)));
    assert_true(kd.has_kek);
    assert_memory_equal(kd.kek.spi, "abcdefgh01234567", KEK_SPI_LEN);
    assert_int_equal(kd.kek.iv_and_key.len, 32);
    assert_memory_equal(kd.kek.iv_and_key.data, "IVIVIVIVABCDEFGHIJKLMNOPQRSTUVWX", 32);
    assert_int_equal(kd.kek.sig_key.len, 162);
    assert_int_equal(kd.tek_count, 2);
    assert_int_equal(kd.teks[0].spi, 0x1122aabb);
    assert_int_equal(kd.teks[0].key.len, 24);
    assert_int_equal(kd.teks[0].integrity.len, 20);
    assert_memory_equal(kd.teks[1].integrity.data, "01234567890123456789", 20);
    assert_false(kd.has_sid);
}

/* Their KD has our order and forms, so what we write is what they wrote, octet for octet. */
static void the_kd_is_written_again_octet_for_octet(void **state)
{
    (void)state;
    assert_ok(payload_list_decode(&list, PAYLOAD_HASH, hex(REF_PULL4, raw, sizeof(raw))));
    struct bytes body = body_of(PAYLOAD_KD, 0);
    assert_ok(gdoi_kd_decode(&kd, body));
    struct writer w = writer_over(again, sizeof(again));
    gdoi_kd_encode(&w, &kd);
    assert_ok(writer_end(&w));
    assert_true(bytes_equal(writer_bytes(&w), body));
}

static void a_push_without_sak_is_decoded(void **state)
{
    (void)state;
    uint32_t seq;
    struct bytes plain = hex(REF_PUSH, raw, sizeof(raw));
    assert_ok(payload_list_decode(&list, PAYLOAD_SEQ, plain));
    assert_int_equal(list.count, 4);
    assert_int_equal(list.consumed, plain.len - 4);
    assert_ok(gdoi_seq_decode(&seq, body_of(PAYLOAD_SEQ, 0)));
    assert_int_equal(seq, 1);
    assert_ok(gdoi_sa_decode(&sa, body_of(PAYLOAD_SA, 0)));
    assert_false(sa.has_sak);
    assert_int_equal(sa.sat_count, 2);
    assert_ok(gdoi_kd_decode(&kd, body_of(PAYLOAD_KD, 0)));
    assert_false(kd.has_kek);
    assert_int_equal(kd.tek_count, 2);
    assert_int_equal(kd.teks[0].spi, sa.sats[0].spi);
    assert_int_equal(kd.teks[1].spi, sa.sats[1].spi);
    assert_int_equal(body_of(PAYLOAD_SIG, 0).len, 128);
}

static void the_push_header_has_the_kek_spi_for_cookies(void **state)
{
    (void)state;
    struct isakmp_header header;
    struct bytes body;
    size_t len = hex(REF_PUSH_HEADER, raw, sizeof(raw)).len;
    struct bytes all = {raw, len + hex(REF_PUSH, raw + len, sizeof(raw) - len).len};
    assert_ok(isakmp_header_decode(&header, &body, all));
    assert_memory_equal(header.cookie_i, "abcdefgh", COOKIE_LEN);
    assert_memory_equal(header.cookie_r, "01234567", COOKIE_LEN);
    assert_int_equal(header.next_payload, PAYLOAD_SEQ);
    assert_int_equal(header.exchange, EXCHANGE_PUSH);
    assert_int_equal(header.flags, ISAKMP_FLAG_ENCRYPTED);
    assert_int_equal(header.message_id, 0);
    assert_int_equal(header.length, 400);
    assert_int_equal(body.len, 400 - ISAKMP_HEADER_LEN); /* the four octets behind are cut off */
}

static void charon_offers_under_doi_1_and_says_what_it_can(void **state)
{
    (void)state;
    static struct ike_offer offer;
    struct isakmp_header header;
    struct bytes body;
    assert_ok(isakmp_header_decode(&header, &body, hex(REF_CHARON_MAIN1, raw, sizeof(raw))));
    assert_true(cookie_is_zero(header.cookie_r));
    assert_ok(payload_list_decode(&list, header.next_payload, body));
    assert_ok(ike_offer_decode(&offer, body_of(PAYLOAD_SA, 0)));
    assert_int_equal(offer.doi, DOI_IPSEC);
    assert_int_equal(offer.situation, SITUATION_IDENTITY_ONLY);
    assert_int_equal(offer.count, 1);
    assert_int_equal(offer.transforms[0].encryption, IKE_ENC_AES);
    assert_int_equal(offer.transforms[0].key_bits, 128);
    assert_int_equal(offer.transforms[0].group, IKE_GROUP_MODP2048);
    assert_int_equal(offer.transforms[0].life_duration, 15840);
    assert_int_equal(payload_count(&list, PAYLOAD_VENDOR), 5);
    assert_int_equal(vendor_id_classify(body_of(PAYLOAD_VENDOR, 0)), VENDOR_XAUTH);
    assert_int_equal(vendor_id_classify(body_of(PAYLOAD_VENDOR, 1)), VENDOR_DPD);
    assert_int_equal(vendor_id_classify(body_of(PAYLOAD_VENDOR, 2)), VENDOR_FRAGMENTATION);
    assert_int_equal(vendor_id_classify(body_of(PAYLOAD_VENDOR, 3)), VENDOR_NATT_RFC3947);
    assert_int_equal(vendor_id_classify(body_of(PAYLOAD_VENDOR, 4)), VENDOR_UNKNOWN); /* a draft of NAT-T */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_phase_1_offer_has_doi_2),
        cmocka_unit_test(message_5_carries_a_notify_of_doi_1_under_doi_2),
        cmocka_unit_test(the_group_is_a_key_id_of_4_octets),
        cmocka_unit_test(the_sa_of_the_pull_is_decoded),
        cmocka_unit_test(the_keys_of_the_pull_are_decoded_and_padding_is_left_alone),
        cmocka_unit_test(the_kd_is_written_again_octet_for_octet),
        cmocka_unit_test(a_push_without_sak_is_decoded),
        cmocka_unit_test(charon_offers_under_doi_1_and_says_what_it_can),
        cmocka_unit_test(the_push_header_has_the_kek_spi_for_cookies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* push_kat_test.c - GROUPKEY-PUSH of the reference implementation, taken by our member: the one of
 * gdoi_kat.json, and the four of the AES capture, which show each of its dialects. */
#include "proto/gdoi/push_message.h"
#include "tests/vectors/proto/recorded.h"

static uint8_t plain[2048];

static void kek_of_log(struct kek *kek)
{
    memset(kek, 0, sizeof(*kek));
    struct bytes wire = kat_bytes("push_wire");
    memcpy(kek->spi, wire.data, KEK_SPI_LEN);
    kek->cipher = CIPHER_3DES_CBC;
    kek->sig_hash = HASH_SHA1;
    kek->sig_alg = SIGN_RSA;
    kek->lifetime_s = KEK_LIFETIME_DEFAULT_S;
    uint8_t iv_key[32];
    kat_copy("kek_iv", iv_key, 8);
    kat_copy("kek", iv_key + 8, 24);
    assert_ok(secret_set(&kek->iv_key, BYTES_OF(iv_key)));
    struct bytes spki = kat_bytes("sig_pub_spki_der");
    memcpy(kek->public_key, spki.data, spki.len);
    kek->public_len = (uint16_t)spki.len;
}

static void trap_3_the_hashed_header_has_the_length_without_padding(void **state)
{
    (void)state;
    struct bytes clear = kat_bytes("push_plain");
    struct bytes signature = kat_bytes("push_sig");
    struct bytes wire = kat_bytes("push_wire");
    size_t padding = 4;
    size_t signed_len = clear.len - padding - signature.len - PAYLOAD_HEADER_LEN;
    struct isakmp_header header = push_header(wire.data, PAYLOAD_SEQ, 28 + (uint32_t)(clear.len - padding));
    uint8_t raw[ISAKMP_HEADER_LEN], digest[HASH_LEN_MAX];
    struct writer w = writer_over(raw, sizeof(raw));
    isakmp_header_encode(&w, &header);
    assert_same(writer_bytes(&w), kat_bytes("push_hash_input_header"));
    assert_ok(push_digest(HASH_SHA1, &header, bytes_slice(clear, 0, signed_len), digest));
    assert_same((struct bytes){digest, 20}, kat_bytes("push_sha1"));
}

static void trap_4_the_iv_is_the_one_delivered_with_the_kek(void **state)
{
    (void)state;
    struct kek kek;
    uint8_t iv[CIPHER_BLOCK_MAX], clear[1024];
    kek_of_log(&kek);
    struct bytes wire = kat_bytes("push_wire");
    memcpy(clear, wire.data + ISAKMP_HEADER_LEN, wire.len - ISAKMP_HEADER_LEN);
    push_iv(&kek, iv);
    assert_ok(cipher_decrypt(kek.cipher, kek_key(&kek), iv, clear, wire.len - ISAKMP_HEADER_LEN));
    assert_same((struct bytes){clear, wire.len - ISAKMP_HEADER_LEN}, kat_bytes("push_plain"));
}

static void trap_5_a_signature_without_digest_info_is_taken_in_any_dialect(void **state)
{
    (void)state;
    struct kek kek;
    struct push_member member;
    struct push_received got = {0};
    kek_of_log(&kek);
    assert_ok(push_member_open(&member, &kek, 0, true));
    assert_ok(push_member_open_message(&member, kat_bytes("push_wire"), plain, &got));
    assert_int_equal(got.seq, 1);
    assert_true(got.has_policy);
    assert_false(got.policy.has_kek);
    assert_int_equal(got.policy.tek_count, 2);
    assert_int_equal(got.policy.teks[0].spi, 0x2e22fbb7);
    assert_int_equal(got.policy.teks[1].spi, 0x2123d5f2);
    assert_bytes(secret_view(&got.policy.teks[1].key), "d367b868d95d7f3f345ae02af74f79325e945454a0dfef4d");
    assert_bytes(secret_view(&got.policy.teks[1].integrity), "10815b13a8274909f6f8cd0d05b1d75294638a2e");
    assert_ok(push_member_accept(&member, &got));
    assert_int_equal(member.last_seq, 1);

    push_received_close(&got);
    member.any_dialect = false; /* and else not */
    member.last_seq = 0;
    assert_err(push_member_open_message(&member, kat_bytes("push_wire"), plain, &got), E_BAD_SIGNATURE);
    push_member_close(&member);
    assert_err(push_member_open(&member, &kek, 0, false), E_BAD_KEY); /* RSA-1024 */
}

/* The KEK of the AES capture, as its PULL brought it. */
static void kek_of_capture(const struct recorded_aes *aes, struct kek *kek)
{
    uint8_t raw[32];
    memset(kek, 0, sizeof(*kek));
    memcpy(kek->spi, aes->push[0].data, KEK_SPI_LEN);
    kek->cipher = CIPHER_AES_CBC_128;
    assert_ok(
        secret_set(&kek->iv_key, hex("e7c18a3f93af185e68a8dc7099c836e5 e42238435b9836c5e2449630cd30aeda", raw,
                                     sizeof(raw))));
    kek->sig_hash = HASH_SHA256;
    kek->sig_alg = SIGN_RSA;
    /* The public key stands in each push; take it out of the first one's clear text. */
    static const uint8_t head[] = {0x00, 0x02, 0x01, 0x26, 0x30, 0x82};
    uint8_t iv[CIPHER_BLOCK_MAX];
    size_t len = aes->push[0].len - ISAKMP_HEADER_LEN;
    memcpy(plain, aes->push[0].data + ISAKMP_HEADER_LEN, len);
    push_iv(kek, iv);
    assert_ok(cipher_decrypt(kek->cipher, kek_key(kek), iv, plain, len));
    const uint8_t *at = memmem(plain, len, head, sizeof(head));
    assert_non_null(at);
    kek->public_len = 0x126;
    memcpy(kek->public_key, at + 4, kek->public_len);
}

static void take(struct push_member *member, struct bytes datagram, struct push_received *got)
{
    push_received_close(got);
    assert_ok(push_member_open_message(member, datagram, plain, got));
    assert_ok(push_member_accept(member, got));
}

static void dialects_1_2_and_3_the_pushes_of_the_aes_capture_are_followed_over_a_new_kek(void **state)
{
    (void)state;
    struct recorded_aes aes;
    struct kek kek;
    struct push_member member;
    struct push_received got = {0};
    recorded_aes_open(&aes);
    kek_of_capture(&aes, &kek);
    assert_ok(push_member_open(&member, &kek, 0, true)); /* dialect 3: bare signatures */

    take(&member, aes.push[0], &got);
    assert_int_equal(got.seq, 1);
    assert_int_equal(got.policy.tek_count, 2); /* the one in use again, and the next */
    assert_int_equal(got.policy.teks[0].spi, 0x95b0fe8d);
    assert_int_equal(got.policy.teks[1].spi, 0xd15f7b73);
    assert_bytes(secret_view(&got.policy.teks[1].key), "ac18083dc8aed7141d51929ae88620e1");
    take(&member, aes.push[1], &got);
    assert_int_equal(got.policy.teks[0].spi, 0x41e8ed69);

    take(&member, aes.push[2], &got); /* dialect 1: the new KEK's key packet is under the old SPI */
    assert_int_equal(got.seq, 3);
    assert_int_equal(got.policy.tek_count, 0);
    assert_bytes(BYTES_OF(member.kek.spi), "8d9b909cb95f664c525f66567e1d4d8b");
    assert_bytes(kek_key(&member.kek), "5dad8fa8fa8f2785f52a7a14e438ad11");

    take(&member, aes.push[3], &got); /* dialect 2: the sequence goes on under the new KEK */
    assert_int_equal(got.seq, 4);
    assert_int_equal(got.policy.teks[0].spi, 0xbd54cc71);
    assert_int_equal(member.last_seq, 4);

    assert_err(push_member_open_message(&member, aes.push[1], plain, &got),
               E_UNKNOWN_SPI); /* the old KEK is gone */
    push_received_close(&got);
    push_member_close(&member);
    recorded_aes_close(&aes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trap_3_the_hashed_header_has_the_length_without_padding),
        cmocka_unit_test(trap_4_the_iv_is_the_one_delivered_with_the_kek),
        cmocka_unit_test(trap_5_a_signature_without_digest_info_is_taken_in_any_dialect),
        cmocka_unit_test(dialects_1_2_and_3_the_pushes_of_the_aes_capture_are_followed_over_a_new_kek),
    };
    return cmocka_run_group_tests(tests, recorded_kat_open, recorded_kat_close);
}

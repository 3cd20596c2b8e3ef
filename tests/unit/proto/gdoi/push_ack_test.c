/* The acknowledgement of a push, at both ends. Its numbers are checked in tests/vectors. */
#include "tests/lib/gdoi_forge.h"
#include "tests/lib/test.h"

static struct kek kek;
static struct push_ack_key key;
static uint8_t buf[PUSH_ACK_LEN_MAX];
static const struct addr member = {AF_INET, {192, 0, 2, 77}};

static int setup(void **state)
{
    (void)state;
    fixture_kek(&kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    must(push_ack_key_derive(&key, &kek));
    return 0;
}

static struct bytes build(uint32_t seq, const struct addr *addr, bool short_length)
{
    struct writer w = writer_over(buf, sizeof(buf));
    must(push_ack_build(&key, seq, addr, short_length, &w));
    return writer_bytes(&w);
}

/* Both steps of the key server. */
static err_t take(struct bytes datagram, struct push_ack *ack)
{
    err_t err = push_ack_decode(ack, datagram);
    return err == E_OK ? push_ack_verify(&key, datagram) : err;
}

static void an_acknowledgement_names_seq_and_member_and_proves_them(void **state)
{
    (void)state;
    struct push_ack ack;
    assert_ok(take(build(17, &member, false), &ack));
    assert_memory_equal(ack.spi, kek.spi, KEK_SPI_LEN);
    assert_int_equal(ack.seq, 17);
    assert_true(addr_equal(&ack.member, &member));
}

static void the_header_is_that_of_rfc_8263(void **state)
{
    (void)state;
    struct isakmp_header header;
    struct bytes body, datagram = build(17, &member, false);
    assert_ok(isakmp_header_decode(&header, &body, datagram));
    assert_memory_equal(datagram.data, kek.spi, KEK_SPI_LEN);
    assert_int_equal(header.next_payload, PAYLOAD_HASH);
    assert_int_equal(header.version, 0x10);
    assert_int_equal(header.exchange, 35);
    assert_int_equal(header.flags, 0); /* not encrypted */
    assert_int_equal(header.message_id, 0);
    assert_int_equal(header.length, datagram.len);
}

static void an_ipv6_member_and_sha_512_fit_the_bound(void **state)
{
    (void)state;
    struct push_ack ack;
    struct addr six;
    must(addr_parse(&six, "2001:db8::77"));
    kek.ack = KEK_ACK_SHA512;
    must(push_ack_key_derive(&key, &kek));
    struct bytes datagram = build(UINT32_MAX, &six, false);
    assert_int_equal(datagram.len, 28 + 4 + 64 + 8 + 24);
    assert_ok(take(datagram, &ack));
    assert_true(addr_equal(&ack.member, &six));
    assert_int_equal(ack.seq, UINT32_MAX);
}

static void trap_6_either_reading_of_l_is_taken(void **state)
{
    (void)state;
    static const enum kek_ack modes[] = {KEK_ACK_SHA256, KEK_ACK_SHA512};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct push_ack ack;
        uint8_t first[PUSH_ACK_LEN_MAX];
        kek.ack = modes[i];
        must(push_ack_key_derive(&key, &kek));
        assert_false(secret_equal(secret_view(&key.keys[0]), secret_view(&key.keys[1])));
        struct bytes datagram = build(17, &member, false);
        memcpy(first, datagram.data, datagram.len);
        assert_ok(take(datagram, &ack));
        datagram = build(17, &member, true);
        assert_memory_not_equal(first, datagram.data, datagram.len);
        assert_ok(take(datagram, &ack));
    }
}

static void modes_that_we_cannot_do_have_no_key(void **state)
{
    (void)state;
    static const enum kek_ack modes[] = {KEK_ACK_NONE, LKH_ACK_SHA256, LKH_ACK_SHA512};
    struct writer w = writer_over(buf, sizeof(buf));
    struct push_ack_key none;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        kek.ack = modes[i];
        assert_err(push_ack_key_derive(&none, &kek), E_UNSUPPORTED);
        assert_err(push_ack_build(&none, 1, &member, false, &w), E_UNSUPPORTED);
    }
    setup(NULL);
    struct bytes datagram = build(17, &member, false);
    assert_err(push_ack_verify(&none, datagram), E_UNSUPPORTED);
    kek.iv_key.len = 16; /* only an IV */
    assert_err(push_ack_key_derive(&none, &kek), E_BAD_KEY);
    assert_true(fixture_is_zero(&none.keys, sizeof(none.keys)));
}

static void a_member_without_an_address_acknowledges_nothing(void **state)
{
    (void)state;
    struct writer w = writer_over(buf, sizeof(buf));
    const struct addr none = {0};
    assert_err(push_ack_build(&key, 1, &none, false, &w), E_BAD_ID);
    w = writer_over(buf, 60);
    assert_err(push_ack_build(&key, 1, &member, false, &w), E_FULL);
}

static void an_acknowledgement_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct push_ack ack = {.seq = 4711};
    struct bytes datagram = build(17, &member, false);
    for (size_t len = 0; len < datagram.len; len++) {
        uint8_t *cut = malloc(len != 0 ? len : 1);
        assert_non_null(cut);
        memcpy(cut, datagram.data, len);
        assert_err(take((struct bytes){cut, len}, &ack), E_TRUNCATED);
        if (len >= ISAKMP_HEADER_LEN) {
            cut[27] = (uint8_t)len;
            assert_err(take((struct bytes){cut, len}, &ack), E_TRUNCATED);
            assert_err(push_ack_verify(&key, (struct bytes){cut, len}), E_TRUNCATED);
        }
        free(cut);
    }
    assert_int_equal(ack.seq, 4711);
}

static void an_acknowledgement_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    enum { MINOR_VERSION_BITS = 4 };
    struct push_ack ack;
    struct bytes datagram = build(17, &member, false);
    for (size_t bit = 0; bit < 8 * datagram.len; bit++) {
        if (bit / 8 == 17 && bit % 8 < MINOR_VERSION_BITS)
            continue; /* RFC 2408 3.1: a minor version is not looked at */
        if (bit / 8 == ISAKMP_HEADER_LEN + 1)
            continue; /* RESERVED of the HASH payload, the one octet that neither is looked at nor hashed */
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(take(datagram, &ack), E_OK);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_ok(take(datagram, &ack));
}

static void the_key_of_another_kek_verifies_nothing(void **state)
{
    (void)state;
    struct bytes datagram = build(17, &member, false);
    struct kek other;
    fixture_kek(&other, 2, CIPHER_AES_CBC_256, SIGN_RSA);
    must(push_ack_key_derive(&key, &other));
    assert_err(push_ack_verify(&key, datagram), E_UNKNOWN_SPI);
    memcpy(other.spi, kek.spi, KEK_SPI_LEN);
    must(push_ack_key_derive(&key, &other));
    assert_err(push_ack_verify(&key, datagram), E_BAD_HASH);
    kek.ack = KEK_ACK_SHA512; /* another prf */
    must(push_ack_key_derive(&key, &kek));
    assert_err(push_ack_verify(&key, datagram), E_BAD_HASH);
}

/* An acknowledgement of any payloads with a HASH that is right for them. */
static uint8_t forged_clear[512], forged[512];
static struct forge forge;

static struct bytes seal_forged(uint8_t flags, size_t hash_octets)
{
    uint8_t hash[64];
    struct bytes payloads = writer_bytes(&forge.w);
    must(prf_parts(HASH_SHA256, secret_view(&key.keys[0]), &payloads, 1, hash));
    struct isakmp_header header = {.next_payload = PAYLOAD_HASH,
                                   .version = ISAKMP_VERSION,
                                   .exchange = EXCHANGE_PUSH_ACK,
                                   .flags = flags};
    memcpy(header.cookie_i, kek.spi, COOKIE_LEN);
    memcpy(header.cookie_r, kek.spi + COOKIE_LEN, COOKIE_LEN);
    struct writer w = writer_over(forged, sizeof(forged));
    isakmp_header_encode(&w, &header);
    write_u8(&w, forge.first);
    write_u8(&w, 0);
    write_u16(&w, (uint16_t)(4 + hash_octets));
    write_bytes(&w, (struct bytes){hash, hash_octets});
    write_bytes(&w, payloads);
    isakmp_message_end(&w, 0);
    return writer_bytes(&w);
}

static const uint8_t seq_17[] = {0, 0, 0, 17}, id_v4[] = {1, 0, 0, 0, 192, 0, 2, 77};

static err_t take_payloads(uint8_t first, struct bytes a, uint8_t second, struct bytes b)
{
    struct push_ack ack;
    forge = (struct forge){.w = writer_over(forged_clear, sizeof(forged_clear))};
    forge_add(&forge, first, a);
    forge_add(&forge, second, b);
    return take(seal_forged(0, 32), &ack);
}

static void only_seq_and_an_address_are_acknowledged(void **state)
{
    (void)state;
    enum { Q = PAYLOAD_SEQ, I = PAYLOAD_ID };
    const struct bytes seq = BYTES_OF(seq_17), id = BYTES_OF(id_v4);
    uint8_t bent[] = {1, 0, 0, 0, 192, 0, 2, 77, 9};
    assert_ok(take_payloads(Q, seq, I, id));
    assert_err(take_payloads(I, id, Q, seq), E_UNEXPECTED);
    assert_err(take_payloads(Q, seq, Q, seq), E_DUPLICATE);
    assert_err(take_payloads(Q, seq, PAYLOAD_NONCE, id), E_UNEXPECTED);
    assert_err(take_payloads(Q, seq, PAYLOAD_HASH, id), E_DUPLICATE);
    assert_err(take_payloads(Q, bytes_slice(seq, 0, 3), I, id), E_TRUNCATED);
    assert_err(take_payloads(Q, seq, I, bytes_slice(id, 0, 7)), E_BAD_LENGTH);
    assert_err(take_payloads(Q, seq, I, BYTES_OF(bent)), E_BAD_LENGTH);
    bent[1] = 17;
    assert_err(take_payloads(Q, seq, I, (struct bytes){bent, 8}), E_RANGE); /* "MUST be set to 0" */
    bent[1] = 0;
    bent[3] = 1;
    assert_err(take_payloads(Q, seq, I, (struct bytes){bent, 8}), E_RANGE);
    bent[3] = 0;
    bent[0] = ID_OID;
    assert_err(take_payloads(Q, seq, I, (struct bytes){bent, 8}), E_BAD_ID);
    bent[0] = ID_FQDN;
    assert_err(take_payloads(Q, seq, I, (struct bytes){bent, 8}), E_BAD_ID);
}

static void other_forms_are_refused(void **state)
{
    (void)state;
    struct push_ack ack;
    forge = (struct forge){.w = writer_over(forged_clear, sizeof(forged_clear))};
    forge_add(&forge, PAYLOAD_SEQ, BYTES_OF(seq_17));
    assert_err(take(seal_forged(0, 32), &ack), E_MISSING);
    forge_add(&forge, PAYLOAD_ID, BYTES_OF(id_v4));
    assert_ok(take(seal_forged(0, 32), &ack));
    assert_err(take(seal_forged(ISAKMP_FLAG_ENCRYPTED, 32), &ack), E_UNEXPECTED);
    assert_err(take(seal_forged(0, 16), &ack), E_BAD_HASH); /* a HASH cut short proves nothing */
    assert_err(take(seal_forged(0, 0), &ack), E_BAD_HASH);
    write_zeros(&forge.w, 4); /* something behind the last payload */
    assert_err(take(seal_forged(0, 32), &ack), E_TRAILING);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(an_acknowledgement_names_seq_and_member_and_proves_them),
        T(the_header_is_that_of_rfc_8263),
        T(an_ipv6_member_and_sha_512_fit_the_bound),
        T(trap_6_either_reading_of_l_is_taken),
        T(modes_that_we_cannot_do_have_no_key),
        T(a_member_without_an_address_acknowledges_nothing),
        T(an_acknowledgement_cut_anywhere_is_refused),
        T(an_acknowledgement_with_any_bit_flipped_is_refused),
        T(the_key_of_another_kek_verifies_nothing),
        T(only_seq_and_an_address_are_acknowledged),
        T(other_forms_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

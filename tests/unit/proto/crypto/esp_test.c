/* ESP packets: RFC 3602 4, the AES-GCM packets of draft-mcgrew-gcm-test, and what must be refused. */
#include "proto/crypto/esp.h"

#include <string.h>

#include "base/secret.h"
#include "proto/crypto/cipher.h"
#include "proto/crypto/prf.h"
#include "tests/lib/test.h"

enum { PACKET_MAX = ESP_PAYLOAD_MAX + ESP_OVERHEAD_MAX };

static const struct esp_suite suites[] = {
    {ESP_AES_GCM_16, 128, AUTH_NONE},     {ESP_AES_GCM_16, 192, AUTH_NONE},
    {ESP_AES_GCM_16, 256, AUTH_NONE},     {ESP_AES_GCM_12, 128, AUTH_NONE},
    {ESP_AES_GCM_12, 256, AUTH_NONE},     {ESP_AES_GCM_8, 128, AUTH_NONE},
    {ESP_AES_GCM_8, 256, AUTH_NONE},      {ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
    {ESP_AES_CBC, 192, AUTH_HMAC_SHA384}, {ESP_AES_CBC, 256, AUTH_HMAC_SHA512},
    {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
};

static uint8_t packet[PACKET_MAX];
static uint8_t opened[PACKET_MAX];
static uint8_t inner[PACKET_MAX];

static struct esp_context *open_hex(const struct esp_suite *suite, const char *key_hex,
                                    const char *integrity_hex)
{
    uint8_t k[64];
    uint8_t a[64];
    struct esp_context *context = NULL;
    assert_ok(
        esp_context_open(suite, hex(key_hex, k, sizeof(k)), hex(integrity_hex, a, sizeof(a)), &context));
    return context;
}

/* Keys of the right lengths: octets counting up from first. */
static struct esp_context *open_counting(const struct esp_suite *suite, uint8_t first)
{
    uint8_t k[128];
    struct esp_context *context = NULL;
    for (size_t i = 0; i < sizeof(k); i++)
        k[i] = (uint8_t)(first + i);
    assert_ok(esp_context_open(suite, (struct bytes){k, esp_key_len(suite)},
                               (struct bytes){k + 64, esp_integrity_len(suite)}, &context));
    return context;
}

static size_t seal_counting(struct esp_context *context, size_t len)
{
    uint8_t iv[ESP_IV_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    size_t sealed = 0;
    for (size_t i = 0; i < len; i++)
        inner[i] = (uint8_t)(i * 3);
    assert_ok(esp_seal(context, 0x11223344, 77, iv, 4, (struct bytes){inner, len}, packet, sizeof(packet),
                       &sealed));
    return sealed;
}

struct esp_case {
    struct esp_suite suite;
    const char *key;
    const char *integrity;
    uint32_t spi;
    uint32_t seq;
    const char *iv;
    uint8_t next_header;
    const char *inner;
    const char *packet;
};

#define CBC_AUTH_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static const struct esp_case esp_cases[] = {
    /* RFC 3602 cases 5 to 7; their packets have no ICV, so it was added under CBC_AUTH_KEY by another
       implementation */
    {{ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
     "90d382b410eeba7ad938c46cec1a82bf",
     CBC_AUTH_KEY,
     0x4321,
     1,
     "e96e8c08ab465763fd098d45dd3ff893",
     1,
     "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f1011121314151617"
     "18191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637",
     "0000432100000001e96e8c08ab465763fd098d45dd3ff893"
     "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856"
     "a4699e523a55db080b59ec3a8e4b7e52775b07d1db34ed9c538ab50c551b874a"
     "a269add047ad2d5913ac19b7cfbad4a629dcb883222069e2a5465186d6e51f05"},
    {{ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
     "90d382b410eeba7ad938c46cec1a82bf",
     CBC_AUTH_KEY,
     0x4321,
     8,
     "69d08df7d203329db093fc4924e5bd80",
     1,
     "0800b5e8a80a0500a69c083d0b660e00777777777777777777777777",
     "000043210000000869d08df7d203329db093fc4924e5bd80"
     "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f752dee6856179d3dd217f1f6920feed2b8"},
    {{ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
     "0123456789abcdef0123456789abcdef",
     CBC_AUTH_KEY,
     0x8765,
     2,
     "f4e765244f6407adf13dc1380f673f37",
     4,
     "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d"
     "02a2040008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
     "2425262728292a2b2c2d2e2f3031323334353637",
     "0000876500000002f4e765244f6407adf13dc1380f673f37"
     "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8"
     "e4ecaec78ac53aad7a0f022b859243c647752e94a859352b8a4d4d2decd136e5"
     "c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d771b0a4d2be28767cb0b5c901fcc563e"},
    /* draft-mcgrew-gcm-test-01: no padding, and two octets of it */
    {{ESP_AES_GCM_16, 128, AUTH_NONE},
     "feffe9928665731c6d6a8f9467308308cafebabe",
     "",
     0xa5f8,
     10,
     "facedbaddecaf888",
     1,
     "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100"
     "0001000000000000037369700963796265726369747902646b0000010001",
     "0000a5f80000000afacedbaddecaf888"
     "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
     "3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1"
     "83b70d3aa8bc6ee4c309e9d85a41ad4a"},
    {{ESP_AES_GCM_16, 256, AUTH_NONE},
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
     "",
     0x4a2cbfe3,
     2,
     "0102030405060708",
     1,
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
     "7002400020bf0000020405b401010402",
     "4a2cbfe3000000020102030405060708"
     "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
     "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"
     "15956c96"},
    /* shorter ICVs are the front of the long one (NIST SP 800-38D 5.2.1.2) */
    {{ESP_AES_GCM_12, 256, AUTH_NONE},
     "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
     "",
     0x4a2cbfe3,
     2,
     "0102030405060708",
     1,
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
     "7002400020bf0000020405b401010402",
     "4a2cbfe3000000020102030405060708"
     "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
     "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"},
    {{ESP_AES_GCM_8, 128, AUTH_NONE},
     "feffe9928665731c6d6a8f9467308308cafebabe",
     "",
     0xa5f8,
     10,
     "facedbaddecaf888",
     1,
     "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100"
     "0001000000000000037369700963796265726369747902646b0000010001",
     "0000a5f80000000afacedbaddecaf888"
     "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
     "3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1"
     "83b70d3aa8bc6ee4"},
};

static void packets_equal_those_of_the_documents(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(esp_cases); n++) {
        const struct esp_case *c = &esp_cases[n];
        struct esp_context *context = open_hex(&c->suite, c->key, c->integrity);
        uint8_t iv[ESP_IV_MAX];
        size_t len = 0;
        uint8_t next_header = 0;
        assert_int_equal(hex(c->iv, iv, sizeof(iv)).len, esp_iv_len(&c->suite));
        struct bytes plain = hex(c->inner, inner, sizeof(inner));
        assert_ok(esp_seal(context, c->spi, c->seq, iv, c->next_header, plain, packet, sizeof(packet), &len));
        assert_bytes(((struct bytes){packet, len}), c->packet);
        assert_int_equal(len, esp_sealed_len(&c->suite, plain.len));
        assert_ok(esp_open(context, (struct bytes){packet, len}, opened, &len, &next_header));
        assert_bytes(((struct bytes){opened, len}), c->inner);
        assert_int_equal(next_header, c->next_header);
        esp_context_free(context);
    }
}

static void every_suite_carries_payloads_of_every_length(void **state)
{
    (void)state;
    const size_t long_lengths[] = {1400, 1499, ESP_PAYLOAD_MAX - 1, ESP_PAYLOAD_MAX};
    enum { SHORT = 70 };
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        for (size_t i = 0; i < SHORT + ARRAY_LEN(long_lengths); i++) {
            size_t len = i < SHORT ? i : long_lengths[i - SHORT];
            size_t sealed = seal_counting(context, len);
            size_t got = 0;
            uint8_t next_header = 0;
            assert_int_equal(sealed, esp_sealed_len(&suites[n], len));
            assert_true(sealed <= len + ESP_OVERHEAD_MAX);
            assert_ok(esp_open(context, (struct bytes){packet, sealed}, opened, &got, &next_header));
            assert_int_equal(got, len);
            assert_int_equal(next_header, 4);
            assert_memory_equal(opened, inner, len);
        }
        esp_context_free(context);
    }
}

/* RFC 4868 2.3: the first half of the HMAC over SPI .. ciphertext. */
static void the_cbc_icv_is_half_of_the_hmac(void **state)
{
    (void)state;
    const struct {
        uint16_t auth;
        enum hash_alg hash;
        size_t icv_len;
    } cases[] = {
        {AUTH_HMAC_SHA256, HASH_SHA256, 16},
        {AUTH_HMAC_SHA384, HASH_SHA384, 24},
        {AUTH_HMAC_SHA512, HASH_SHA512, 32},
    };
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        struct esp_suite suite = {ESP_AES_CBC, 256, cases[n].auth};
        struct esp_context *context = open_counting(&suite, 0);
        size_t len = seal_counting(context, 1408);
        uint8_t key[64];
        uint8_t mac[HASH_LEN_MAX];
        for (size_t i = 0; i < sizeof(key); i++)
            key[i] = (uint8_t)(64 + i);
        assert_int_equal(esp_icv_len(&suite), cases[n].icv_len);
        struct bytes covered = {packet, len - cases[n].icv_len};
        assert_ok(prf_parts(cases[n].hash, (struct bytes){key, hash_len(cases[n].hash)}, &covered, 1, mac));
        assert_memory_equal(packet + covered.len, mac, cases[n].icv_len);
        esp_context_free(context);
    }
}

static void every_flipped_bit_is_found_and_nothing_is_let_out(void **state)
{
    (void)state;
    static const uint8_t zeros[128];
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        size_t sealed = seal_counting(context, 40);
        size_t text = sealed - ESP_HEADER_LEN - esp_iv_len(&suites[n]) - esp_icv_len(&suites[n]);
        for (size_t bit = 0; bit < sealed * 8; bit++) {
            size_t len = 1;
            uint8_t next_header = 99;
            memset(opened, 0, sizeof(zeros));
            packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_err(esp_open(context, (struct bytes){packet, sealed}, opened, &len, &next_header), E_AUTH);
            assert_int_equal(len, 0);
            assert_int_equal(next_header, 99);
            assert_memory_equal(opened, zeros, text);
            packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        size_t len = 0;
        uint8_t next_header = 0;
        assert_ok(esp_open(context, (struct bytes){packet, sealed}, opened, &len, &next_header));
        esp_context_free(context);
    }
}

static void truncated_and_lengthened_packets_are_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        size_t sealed = seal_counting(context, 40);
        size_t align = suites[n].transform == ESP_AES_CBC ? 16 : 4;
        size_t frame = ESP_HEADER_LEN + esp_iv_len(&suites[n]) + esp_icv_len(&suites[n]);
        memset(packet + sealed, 0, 32);
        for (size_t cut = 0; cut < sealed + 32; cut++) {
            size_t len = 0;
            uint8_t next_header = 0;
            err_t want = cut < frame + align          ? E_TRUNCATED
                         : (cut - frame) % align != 0 ? E_BAD_LENGTH
                                                      : E_AUTH;
            assert_err(esp_open(context, (struct bytes){packet, cut}, opened, &len, &next_header),
                       cut == sealed ? E_OK : want);
        }
        size_t len = 0;
        uint8_t next_header = 0;
        assert_err(esp_open(context, (struct bytes){packet, 1u << 20}, opened, &len, &next_header),
                   E_BAD_LENGTH);
        esp_context_free(context);
    }
}

static void another_key_does_not_open_it(void **state)
{
    (void)state;
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        struct esp_context *other = open_counting(&suites[n], 10);
        size_t sealed = seal_counting(context, 100);
        size_t len = 0;
        uint8_t next_header = 0;
        assert_err(esp_open(other, (struct bytes){packet, sealed}, opened, &len, &next_header), E_AUTH);
        assert_ok(esp_open(context, (struct bytes){packet, sealed}, opened, &len, &next_header));
        esp_context_free(context);
        esp_context_free(other);
    }
}

/* One block of chosen trailer, encrypted and authenticated as a member that holds the key could. */
static err_t open_forged(const uint8_t block[16])
{
    const struct esp_suite suite = {ESP_AES_CBC, 128, AUTH_HMAC_SHA256};
    const uint8_t key[16] = {1};
    const uint8_t integrity[32] = {2};
    struct esp_context *context = NULL;
    uint8_t iv[ESP_IV_MAX] = {3};
    uint8_t mac[HASH_LEN_MAX];
    size_t len = 0;
    uint8_t next_header = 0;
    assert_ok(esp_context_open(&suite, BYTES_OF(key), BYTES_OF(integrity), &context));
    memset(packet, 0, ESP_HEADER_LEN);
    memcpy(packet + 8, iv, 16);
    memcpy(packet + 24, block, 16);
    assert_ok(cipher_encrypt(CIPHER_AES_CBC_128, BYTES_OF(key), iv, packet + 24, 16));
    struct bytes covered = {packet, 40};
    assert_ok(prf_parts(HASH_SHA256, BYTES_OF(integrity), &covered, 1, mac));
    memcpy(packet + 40, mac, 16);
    err_t err = esp_open(context, (struct bytes){packet, 56}, opened, &len, &next_header);
    esp_context_free(context);
    return err;
}

static void padding_that_does_not_count_up_is_refused(void **state)
{
    (void)state;
    uint8_t block[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 4};
    assert_ok(open_forged(block));
    block[13] = 4;
    assert_err(open_forged(block), E_BAD_PADDING);
    block[13] = 3;
    block[11] = 0;
    assert_err(open_forged(block), E_BAD_PADDING);
    block[11] = 1;
    block[14] = 2; /* 2, 3 instead of 1, 2 */
    assert_err(open_forged(block), E_BAD_PADDING);
    block[14] = 0;
    assert_ok(open_forged(block));
    block[14] = 14;
    assert_err(open_forged(block), E_BAD_PADDING);
    for (uint8_t i = 0; i < 14; i++)
        block[i] = (uint8_t)(i + 1);
    assert_ok(open_forged(block)); /* nothing but padding */
    block[14] = 15;
    assert_err(open_forged(block), E_BAD_PADDING); /* longer than the text */
    block[14] = 255;
    assert_err(open_forged(block), E_BAD_PADDING);
}

static void a_short_buffer_is_left_alone(void **state)
{
    (void)state;
    uint8_t iv[ESP_IV_MAX] = {0};
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        size_t need = esp_sealed_len(&suites[n], 100);
        size_t len = 1;
        memset(packet, 0xee, need + 1);
        assert_err(esp_seal(context, 1, 1, iv, 4, (struct bytes){inner, 100}, packet, need - 1, &len),
                   E_FULL);
        assert_int_equal(len, 0);
        assert_int_equal(packet[0], 0xee);
        assert_ok(esp_seal(context, 1, 1, iv, 4, (struct bytes){inner, 100}, packet, need, &len));
        assert_int_equal(len, need);
        assert_int_equal(packet[need], 0xee);
        assert_err(esp_seal(context, 1, 1, iv, 4, (struct bytes){inner, ESP_PAYLOAD_MAX + 1}, packet,
                            sizeof(packet), &len),
                   E_BAD_LENGTH);
        esp_context_free(context);
    }
}

static void a_payload_may_be_sealed_where_it_lies(void **state)
{
    (void)state;
    static uint8_t apart[2048];
    uint8_t iv[ESP_IV_MAX] = {4};
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        struct esp_context *context = open_counting(&suites[n], 9);
        for (size_t offset = 0; offset <= 32; offset += 8) {
            size_t len = 0;
            size_t apart_len = 0;
            for (size_t i = 0; i < 1000; i++)
                inner[i] = packet[offset + i] = (uint8_t)(i ^ 0x5a);
            assert_ok(esp_seal(context, 1, 2, iv, 4, (struct bytes){inner, 1000}, apart, sizeof(apart),
                               &apart_len));
            assert_ok(esp_seal(context, 1, 2, iv, 4, (struct bytes){packet + offset, 1000}, packet,
                               sizeof(packet), &len));
            assert_int_equal(len, apart_len);
            assert_memory_equal(packet, apart, len);
        }
        esp_context_free(context);
    }
}

static void unknown_suites_are_refused(void **state)
{
    (void)state;
    const struct esp_suite unknown[] = {
        {ESP_3DES, 192, AUTH_HMAC_SHA256},
        {ESP_AES_CTR, 128, AUTH_HMAC_SHA256},
        {ESP_NULL_AES_GMAC, 128, AUTH_NONE},
        {ESP_AES_CBC, 128, AUTH_NONE},
        {ESP_AES_CBC, 128, AUTH_HMAC_SHA1},
        {ESP_AES_CBC, 0, AUTH_HMAC_SHA256},
        {ESP_AES_CBC, 129, AUTH_HMAC_SHA256},
        {ESP_AES_GCM_16, 512, AUTH_NONE},
        {ESP_AES_GCM_16, 128, AUTH_HMAC_SHA256},
        {0, 128, AUTH_NONE},
        {255, 256, 65535},
    };
    for (size_t n = 0; n < ARRAY_LEN(unknown); n++) {
        struct esp_context *context = NULL;
        const uint8_t key[64] = {0};
        assert_int_equal(esp_key_len(&unknown[n]), 0);
        assert_int_equal(esp_integrity_len(&unknown[n]), 0);
        assert_int_equal(esp_iv_len(&unknown[n]), 0);
        assert_int_equal(esp_icv_len(&unknown[n]), 0);
        assert_int_equal(esp_sealed_len(&unknown[n], 10), 0);
        assert_err(esp_context_open(&unknown[n], BYTES_OF(key), BYTES_OF(key), &context), E_UNSUPPORTED);
        assert_null(context);
    }
}

static void keys_of_wrong_lengths_are_refused(void **state)
{
    (void)state;
    const uint8_t k[128] = {0};
    for (size_t n = 0; n < ARRAY_LEN(suites); n++) {
        size_t key_len = esp_key_len(&suites[n]);
        size_t integrity_len = esp_integrity_len(&suites[n]);
        struct esp_context *context = NULL;
        struct bytes key = {k, key_len};
        struct bytes integrity = {k, integrity_len};
        assert_int_equal(key_len, suites[n].key_bits / 8 + (suites[n].transform == ESP_AES_CBC ? 0 : 4));
        assert_err(esp_context_open(&suites[n], (struct bytes){k, key_len - 1}, integrity, &context),
                   E_BAD_KEY);
        assert_err(esp_context_open(&suites[n], (struct bytes){k, key_len + 1}, integrity, &context),
                   E_BAD_KEY);
        assert_err(esp_context_open(&suites[n], (struct bytes){NULL, 0}, integrity, &context), E_BAD_KEY);
        assert_err(esp_context_open(&suites[n], key, (struct bytes){k, integrity_len + 1}, &context),
                   E_BAD_KEY);
        if (integrity_len != 0)
            assert_err(esp_context_open(&suites[n], key, (struct bytes){k, integrity_len - 1}, &context),
                       E_BAD_KEY);
        assert_null(context);
    }
}

static void a_failed_allocation_is_reported(void **state)
{
    (void)state;
    const uint8_t k[36] = {0};
    struct esp_context *context = NULL;
    heap_fault_after(0);
    err_t err = esp_context_open(&suites[2], BYTES_OF(k), (struct bytes){NULL, 0}, &context);
    assert_int_equal(heap_fault_hit(), 1);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(context);
    esp_context_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_equal_those_of_the_documents),
        cmocka_unit_test(every_suite_carries_payloads_of_every_length),
        cmocka_unit_test(the_cbc_icv_is_half_of_the_hmac),
        cmocka_unit_test(every_flipped_bit_is_found_and_nothing_is_let_out),
        cmocka_unit_test(truncated_and_lengthened_packets_are_refused),
        cmocka_unit_test(another_key_does_not_open_it),
        cmocka_unit_test(padding_that_does_not_count_up_is_refused),
        cmocka_unit_test(a_short_buffer_is_left_alone),
        cmocka_unit_test(a_payload_may_be_sealed_where_it_lies),
        cmocka_unit_test(unknown_suites_are_refused),
        cmocka_unit_test(keys_of_wrong_lengths_are_refused),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

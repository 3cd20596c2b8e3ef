/* ESP packets: RFC 3602 4, the AES-GCM packets of draft-mcgrew-gcm-test, and every suite at every length. */
#include <string.h>

#include "proto/crypto/prf.h"
#include "tests/unit/proto/crypto/esp_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_equal_those_of_the_documents),
        cmocka_unit_test(every_suite_carries_payloads_of_every_length),
        cmocka_unit_test(the_cbc_icv_is_half_of_the_hmac),
        cmocka_unit_test(a_short_buffer_is_left_alone),
        cmocka_unit_test(a_payload_may_be_sealed_where_it_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

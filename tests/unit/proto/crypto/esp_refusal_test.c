/* ESP packets and contexts that must be refused: damage, cuts, wrong keys, bad padding, unknown suites. */
#include <string.h>

#include "proto/crypto/cipher.h"
#include "proto/crypto/prf.h"
#include "tests/unit/proto/crypto/esp_fixture.h"

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
        cmocka_unit_test(every_flipped_bit_is_found_and_nothing_is_let_out),
        cmocka_unit_test(truncated_and_lengthened_packets_are_refused),
        cmocka_unit_test(another_key_does_not_open_it),
        cmocka_unit_test(padding_that_does_not_count_up_is_refused),
        cmocka_unit_test(unknown_suites_are_refused),
        cmocka_unit_test(keys_of_wrong_lengths_are_refused),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

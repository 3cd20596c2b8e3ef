/* AES-CBC of RFC 3602 4 and NIST SP 800-38A F.2, 3DES-CBC, and AES-256-GCM of the GCM specification. */
#include "proto/crypto/cipher.h"

#include <string.h>

#include "tests/lib/test.h"

struct cbc_case {
    enum cipher_alg alg;
    const char *key;
    const char *iv;
    const char *plain;
    const char *sealed;
};

static const struct cbc_case cbc_cases[] = {
    {CIPHER_AES_CBC_128, "06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
     "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a"},
    {CIPHER_AES_CBC_128, "c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
    {CIPHER_AES_CBC_128, "56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
     "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
     "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
     "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e"
     "35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
    {CIPHER_AES_CBC_192, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
     "000102030405060708090a0b0c0d0e0f", "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
     "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"},
    {CIPHER_AES_CBC_256, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "000102030405060708090a0b0c0d0e0f", "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51",
     "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"},
    /* first block of the sample of NIST SP 800-67, "The qufc"; with a zero IV CBC is ECB here */
    {CIPHER_3DES_CBC, "0123456789abcdef23456789abcdef01456789abcdef0123", "0000000000000000",
     "5468652071756663", "a826fd8ce53b855f"},
};

static void cbc_gives_the_known_answers_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cbc_cases); i++) {
        const struct cbc_case *c = &cbc_cases[i];
        uint8_t k[CIPHER_KEY_MAX];
        uint8_t iv[CIPHER_BLOCK_MAX] = {0};
        uint8_t data[64];
        struct bytes key = hex(c->key, k, sizeof(k));
        size_t len = hex(c->plain, data, sizeof(data)).len;
        size_t block = cipher_block_len(c->alg);
        hex(c->iv, iv, block);
        assert_int_equal(key.len, cipher_key_len(c->alg));
        assert_ok(cipher_encrypt(c->alg, key, iv, data, len));
        assert_bytes(((struct bytes){data, len}), c->sealed);
        assert_memory_equal(iv, data + len - block, block);
        hex(c->iv, iv, block);
        uint8_t last[CIPHER_BLOCK_MAX];
        memcpy(last, data + len - block, block);
        assert_ok(cipher_decrypt(c->alg, key, iv, data, len));
        assert_bytes(((struct bytes){data, len}), c->plain);
        assert_memory_equal(iv, last, block);
    }
}

static void the_iv_chains_one_message_to_the_next(void **state)
{
    (void)state;
    const struct cbc_case *c = &cbc_cases[2];
    uint8_t k[CIPHER_KEY_MAX];
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t data[64];
    struct bytes key = hex(c->key, k, sizeof(k));
    hex(c->iv, iv, sizeof(iv));
    hex(c->plain, data, sizeof(data));
    assert_ok(cipher_encrypt(c->alg, key, iv, data, 16));
    assert_ok(cipher_encrypt(c->alg, key, iv, data + 16, 32));
    assert_ok(cipher_encrypt(c->alg, key, iv, data + 48, 16));
    assert_bytes(BYTES_OF(data), c->sealed);
    hex(c->iv, iv, sizeof(iv));
    assert_ok(cipher_decrypt(c->alg, key, iv, data, 48));
    assert_ok(cipher_decrypt(c->alg, key, iv, data + 48, 16));
    assert_bytes(BYTES_OF(data), c->plain);
}

static void cbc_refuses_part_blocks_wrong_keys_and_unknown_ciphers(void **state)
{
    (void)state;
    uint8_t k[CIPHER_KEY_MAX] = {1};
    uint8_t iv[CIPHER_BLOCK_MAX] = {2};
    uint8_t data[32] = {3};
    for (enum cipher_alg alg = CIPHER_3DES_CBC; alg <= CIPHER_AES_CBC_256; alg++) {
        struct bytes key = {k, cipher_key_len(alg)};
        struct bytes shorter = {k, key.len - 1};
        assert_err(cipher_encrypt(alg, key, iv, data, 31), E_BAD_LENGTH);
        assert_err(cipher_decrypt(alg, key, iv, data, 1), E_BAD_LENGTH);
        assert_err(cipher_encrypt(alg, shorter, iv, data, 16), E_BAD_KEY);
        assert_err(cipher_decrypt(alg, (struct bytes){NULL, 0}, iv, data, 16), E_BAD_KEY);
        assert_ok(cipher_encrypt(alg, key, iv, NULL, 0));
    }
    assert_int_equal(iv[0], 2);
    assert_int_equal(data[0], 3);
    assert_err(cipher_encrypt(CIPHER_NONE, BYTES_OF(k), iv, data, 16), E_CRYPTO);
    assert_err(cipher_decrypt((enum cipher_alg)99, BYTES_OF(k), iv, data, 16), E_CRYPTO);
    assert_int_equal(cipher_block_len(CIPHER_NONE), 0);
    assert_int_equal(cipher_key_len((enum cipher_alg)99), 0);
}

/* Test case 16 of the GCM specification. */
#define GCM_KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define GCM_NONCE "cafebabefacedbaddecaf888"
#define GCM_AAD "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define GCM_PLAIN                                                                                            \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                                       \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_SEALED                                                                                           \
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                                       \
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"

static void aead_gives_the_known_answers_of_gcm(void **state)
{
    (void)state;
    uint8_t k[32] = {0};
    uint8_t nonce[AEAD_NONCE_LEN] = {0};
    uint8_t out[96];
    uint8_t p[64] = {0};
    uint8_t a[32];
    struct bytes none = {NULL, 0};
    assert_ok(aead_seal(BYTES_OF(k), nonce, none, none, out)); /* case 13 */
    assert_bytes(((struct bytes){out, 16}), "530f8afbc74536b9a963b4f1c4cb738b");
    assert_ok(aead_open(BYTES_OF(k), nonce, none, (struct bytes){out, 16}, p));
    assert_ok(aead_seal(BYTES_OF(k), nonce, none, (struct bytes){p, 16}, out)); /* case 14 */
    assert_bytes(((struct bytes){out, 32}),
                 "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    struct bytes key = hex(GCM_KEY, k, sizeof(k));
    hex(GCM_NONCE, nonce, sizeof(nonce));
    struct bytes aad = hex(GCM_AAD, a, sizeof(a));
    struct bytes plain = hex(GCM_PLAIN, p, sizeof(p));
    assert_ok(aead_seal(key, nonce, aad, plain, out));
    struct bytes sealed = {out, plain.len + AEAD_TAG_LEN};
    assert_bytes(sealed, GCM_SEALED);
    uint8_t opened[64];
    assert_ok(aead_open(key, nonce, aad, sealed, opened));
    assert_memory_equal(opened, p, plain.len);
}

static void aead_opens_and_seals_in_place(void **state)
{
    (void)state;
    uint8_t k[32];
    uint8_t nonce[AEAD_NONCE_LEN];
    uint8_t a[32];
    uint8_t data[96];
    struct bytes key = hex(GCM_KEY, k, sizeof(k));
    hex(GCM_NONCE, nonce, sizeof(nonce));
    struct bytes aad = hex(GCM_AAD, a, sizeof(a));
    struct bytes plain = hex(GCM_PLAIN, data, sizeof(data));
    assert_ok(aead_seal(key, nonce, aad, plain, data));
    assert_bytes(((struct bytes){data, plain.len + AEAD_TAG_LEN}), GCM_SEALED);
    assert_ok(aead_open(key, nonce, aad, (struct bytes){data, plain.len + AEAD_TAG_LEN}, data));
    assert_bytes(plain, GCM_PLAIN);
}

static void every_flipped_bit_is_found_and_nothing_is_let_out(void **state)
{
    (void)state;
    uint8_t k[32];
    uint8_t nonce[AEAD_NONCE_LEN];
    uint8_t a[32];
    uint8_t s[96];
    uint8_t out[96];
    const uint8_t zeros[96] = {0};
    struct bytes key = hex(GCM_KEY, k, sizeof(k));
    hex(GCM_NONCE, nonce, sizeof(nonce));
    struct bytes aad = hex(GCM_AAD, a, sizeof(a));
    struct bytes sealed = hex(GCM_SEALED, s, sizeof(s));
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        memset(out, 0xff, sizeof(out));
        s[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(aead_open(key, nonce, aad, sealed, out), E_CORRUPT);
        assert_memory_equal(out, zeros, sealed.len - AEAD_TAG_LEN);
        s[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    a[0] ^= 1;
    assert_err(aead_open(key, nonce, aad, sealed, out), E_CORRUPT);
    a[0] ^= 1;
    assert_err(aead_open(key, nonce, bytes_slice(aad, 0, 19), sealed, out), E_CORRUPT);
    nonce[11] ^= 1;
    assert_err(aead_open(key, nonce, aad, sealed, out), E_CORRUPT);
    nonce[11] ^= 1;
    k[31] ^= 1;
    assert_err(aead_open(key, nonce, aad, sealed, out), E_CORRUPT);
    k[31] ^= 1;
    assert_ok(aead_open(key, nonce, aad, sealed, out));
}

static void aead_refuses_short_input_and_wrong_keys(void **state)
{
    (void)state;
    uint8_t k[32] = {0};
    uint8_t nonce[AEAD_NONCE_LEN] = {0};
    uint8_t data[32] = {0};
    struct bytes none = {NULL, 0};
    assert_err(aead_open(BYTES_OF(k), nonce, none, (struct bytes){data, 15}, data), E_TRUNCATED);
    assert_err(aead_open(BYTES_OF(k), nonce, none, none, data), E_TRUNCATED);
    assert_err(aead_open((struct bytes){k, 31}, nonce, none, BYTES_OF(data), data), E_BAD_KEY);
    assert_err(aead_seal((struct bytes){k, 16}, nonce, none, none, data), E_BAD_KEY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cbc_gives_the_known_answers_both_ways),
        cmocka_unit_test(the_iv_chains_one_message_to_the_next),
        cmocka_unit_test(cbc_refuses_part_blocks_wrong_keys_and_unknown_ciphers),
        cmocka_unit_test(aead_gives_the_known_answers_of_gcm),
        cmocka_unit_test(aead_opens_and_seals_in_place),
        cmocka_unit_test(every_flipped_bit_is_found_and_nothing_is_let_out),
        cmocka_unit_test(aead_refuses_short_input_and_wrong_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* isakmp_sa_test.c - sealing, opening and hashing; the known answers of the derivation stand in
 * tests/vectors. */
#include "tests/lib/test.h"

#include <string.h>

#include "proto/ike/isakmp_sa.h"

static struct isakmp_sa sa;
static uint8_t buffer[512];

static int setup(void **state)
{
    (void)state;
    heap_fault_after(-1);
    memset(&sa, 0, sizeof(sa));
    sa.suite = (struct ike_suite){CIPHER_AES_CBC_256, HASH_SHA256, IKE_GROUP_ECP256, IKE_AUTH_PSK};
    return isakmp_sa_derive(&sa, bytes_of_text("psk"), bytes_of_text("nonce i"), bytes_of_text("nonce r"),
                            bytes_of_text("shared"));
}

static int teardown(void **state)
{
    (void)state;
    isakmp_sa_close(&sa);
    return 0;
}

/* A header and len octets of payload behind an offset. */
static struct writer message(size_t start, size_t len)
{
    struct isakmp_header header = {.version = ISAKMP_VERSION, .exchange = EXCHANGE_PULL, .message_id = 7};
    struct writer w = writer_over(buffer, sizeof(buffer));
    write_zeros(&w, start);
    isakmp_header_encode(&w, &header);
    for (size_t i = 0; i < len; i++)
        write_u8(&w, (uint8_t)(i + 1));
    return w;
}

static void what_is_sealed_opens_with_zeros_to_the_block(void **state)
{
    (void)state;
    for (size_t start = 0; start <= 4; start += 4) { /* 4: behind a non-ESP marker */
        for (size_t len = 1; len <= 48; len++) {
            uint8_t iv[CIPHER_BLOCK_MAX] = {9}, iv_open[CIPHER_BLOCK_MAX] = {9};
            struct writer w = message(start, len);
            assert_ok(isakmp_sa_seal(&sa, iv, &w, start));
            size_t padded = (len + 15) / 16 * 16;
            assert_int_equal(w.len, start + ISAKMP_HEADER_LEN + padded);
            struct isakmp_header header;
            struct bytes body, clear;
            uint8_t plain[64];
            assert_ok(isakmp_header_decode(&header, &body, (struct bytes){buffer + start, w.len - start}));
            assert_int_equal(header.length, w.len - start);
            assert_int_equal(header.flags, ISAKMP_FLAG_ENCRYPTED);
            assert_memory_equal(iv, buffer + w.len - 16, 16); /* chained: the last block */
            assert_ok(isakmp_sa_open(&sa, iv_open, body, plain, &clear));
            assert_memory_equal(iv, iv_open, 16);
            assert_int_equal(clear.len, padded);
            for (size_t i = 0; i < padded; i++)
                assert_int_equal(clear.data[i], i < len ? i + 1 : 0);
        }
    }
}

static void an_sa_without_keys_does_neither(void **state)
{
    (void)state;
    struct isakmp_sa empty = {0};
    uint8_t iv[CIPHER_BLOCK_MAX] = {0}, plain[64], hash[HASH_LEN_MAX];
    struct bytes clear;
    struct writer w = message(0, 16);
    assert_err(isakmp_sa_seal(&empty, iv, &w, 0), E_STATE);
    assert_int_equal(writer_bytes(&w).len, 0); /* nothing goes out in clear */
    assert_err(isakmp_sa_open(&empty, iv, (struct bytes){buffer, 32}, plain, &clear), E_STATE);
    assert_err(isakmp_sa_hash(&empty, 1, NULL, 0, hash), E_STATE);
    empty.suite = sa.suite; /* a suite, no key */
    w = message(0, 16);
    assert_true(isakmp_sa_seal(&empty, iv, &w, 0) != E_OK);
    assert_int_equal(writer_bytes(&w).len, 0);
    assert_true(isakmp_sa_open(&empty, iv, (struct bytes){buffer, 32}, plain, &clear) != E_OK);
    assert_int_equal(clear.len, 0);
}

static void only_whole_blocks_open(void **state)
{
    (void)state;
    uint8_t iv[CIPHER_BLOCK_MAX] = {0}, plain[64];
    struct bytes clear;
    for (size_t len = 0; len <= 48; len++)
        assert_err(isakmp_sa_open(&sa, iv, (struct bytes){buffer, len}, plain, &clear),
                   len != 0 && len % 16 == 0 ? E_OK : E_BAD_LENGTH);
}

static void a_message_that_does_not_fit_is_not_sealed(void **state)
{
    (void)state;
    uint8_t iv[CIPHER_BLOCK_MAX] = {0}, before[CIPHER_BLOCK_MAX] = {0};
    struct writer w = message(0, 17);
    w.cap = w.len + 3; /* 15 octets of padding are due */
    assert_err(isakmp_sa_seal(&sa, iv, &w, 0), E_FULL);
    assert_memory_equal(iv, before, sizeof(iv));
    w = writer_over(buffer, sizeof(buffer));
    assert_err(isakmp_sa_seal(&sa, iv, &w, 0), E_STATE); /* no header */
}

static void a_hash_covers_id_and_parts_in_order(void **state)
{
    (void)state;
    struct bytes parts[9] = {bytes_of_text("one"), bytes_of_text("two")};
    struct bytes swapped[2] = {parts[1], parts[0]};
    uint8_t hash[HASH_LEN_MAX];
    assert_ok(isakmp_sa_hash(&sa, 77, parts, 2, hash));
    struct bytes good = {hash, 32};
    assert_ok(isakmp_sa_check_hash(&sa, 77, parts, 2, good));
    assert_err(isakmp_sa_check_hash(&sa, 78, parts, 2, good), E_BAD_HASH);
    assert_err(isakmp_sa_check_hash(&sa, 77, swapped, 2, good), E_BAD_HASH);
    assert_err(isakmp_sa_check_hash(&sa, 77, parts, 1, good), E_BAD_HASH);
    assert_err(isakmp_sa_check_hash(&sa, 77, parts, 2, bytes_slice(good, 0, 31)), E_BAD_HASH);
    assert_err(isakmp_sa_check_hash(&sa, 77, parts, 2, (struct bytes){0}), E_BAD_HASH);
    assert_ok(isakmp_sa_hash(&sa, 77, parts, 8, hash));
    assert_err(isakmp_sa_hash(&sa, 77, parts, 9, hash), E_LIMIT);
}

/* Each key differs from the others and depends on every input. */
static void keys_depend_on_everything(void **state)
{
    (void)state;
    struct isakmp_sa other = sa;
    assert_int_equal(sa.key.len, 32);
    assert_memory_equal(sa.key.data, sa.skeyid_e.data, 32); /* long enough: its first octets */
    assert_memory_not_equal(sa.skeyid_d.data, sa.skeyid_a.data, 32);
    assert_memory_not_equal(sa.skeyid_a.data, sa.skeyid_e.data, 32);
    other.cookie_r[7] ^= 1;
    assert_ok(isakmp_sa_derive(&other, bytes_of_text("psk"), bytes_of_text("nonce i"),
                               bytes_of_text("nonce r"), bytes_of_text("shared")));
    assert_memory_equal(other.skeyid.data, sa.skeyid.data, 32);
    assert_memory_not_equal(other.skeyid_d.data, sa.skeyid_d.data, 32);
    assert_memory_not_equal(other.key.data, sa.key.data, 32);
    assert_ok(isakmp_sa_derive(&other, bytes_of_text("psk"), bytes_of_text("nonce i"),
                               bytes_of_text("nonce s"), bytes_of_text("shared")));
    assert_memory_not_equal(other.skeyid.data, sa.skeyid.data, 32);
    isakmp_sa_close(&other);
}

/* RFC 2409 appendix B: 32 octets out of SHA-1's 20. The same values by hand, in parts. */
static void a_short_skeyid_e_is_expanded(void **state)
{
    (void)state;
    struct isakmp_sa other = {.suite = {CIPHER_AES_CBC_256, HASH_SHA1, IKE_GROUP_MODP1024, IKE_AUTH_PSK}};
    assert_ok(isakmp_sa_derive(&other, bytes_of_text("psk"), bytes_of_text("i"), bytes_of_text("r"),
                               bytes_of_text("shared")));
    uint8_t k[40];
    const uint8_t zero = 0;
    struct bytes in = {&zero, 1};
    assert_ok(prf_parts(HASH_SHA1, secret_view(&other.skeyid_e), &in, 1, k));
    in = (struct bytes){k, 20};
    assert_ok(prf_parts(HASH_SHA1, secret_view(&other.skeyid_e), &in, 1, k + 20));
    assert_int_equal(other.key.len, 32);
    assert_memory_equal(other.key.data, k, 32);
    isakmp_sa_close(&other);
}

static void a_failed_derivation_leaves_no_keys(void **state)
{
    (void)state;
    struct isakmp_sa other = {.suite = {CIPHER_NONE, HASH_SHA256, IKE_GROUP_ECP256, IKE_AUTH_PSK}};
    assert_err(isakmp_sa_derive(&other, bytes_of_text("psk"), bytes_of_text("i"), bytes_of_text("r"),
                                bytes_of_text("shared")),
               E_BAD_KEY);
    assert_int_equal(
        other.skeyid.len + other.skeyid_d.len + other.skeyid_a.len + other.skeyid_e.len + other.key.len, 0);
    other.suite = (struct ike_suite){CIPHER_AES_CBC_128, HASH_NONE, IKE_GROUP_ECP256, IKE_AUTH_PSK};
    assert_true(isakmp_sa_derive(&other, bytes_of_text("psk"), bytes_of_text("i"), bytes_of_text("r"),
                                 bytes_of_text("shared")) != E_OK);
}

static void ivs_differ_by_message_id_and_last_block(void **state)
{
    (void)state;
    uint8_t one[CIPHER_BLOCK_MAX], two[CIPHER_BLOCK_MAX];
    assert_ok(isakmp_sa_exchange_iv(&sa, 1, one));
    assert_ok(isakmp_sa_exchange_iv(&sa, 2, two));
    assert_memory_not_equal(one, two, 16);
    sa.last_block[0] ^= 1;
    assert_ok(isakmp_sa_exchange_iv(&sa, 1, two));
    assert_memory_not_equal(one, two, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sealed_opens_with_zeros_to_the_block, setup, teardown),
        cmocka_unit_test_setup_teardown(an_sa_without_keys_does_neither, setup, teardown),
        cmocka_unit_test_setup_teardown(only_whole_blocks_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_that_does_not_fit_is_not_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hash_covers_id_and_parts_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_depend_on_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_skeyid_e_is_expanded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_derivation_leaves_no_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(ivs_differ_by_message_id_and_last_block, setup, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/isakmp_sa", tests, NULL, NULL);
}

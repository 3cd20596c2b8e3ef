/* Known answers of RFC 4231, as RFC 4868 2.7.1 prints them, and what the prf does at its edges. */
#include "proto/crypto/prf.h"

#include <string.h>

#include "tests/lib/test.h"

static struct bytes filled(uint8_t *buf, uint8_t value, size_t len)
{
    memset(buf, value, len);
    return (struct bytes){buf, len};
}

static void assert_prf(enum hash_alg alg, struct bytes key, struct bytes data, const char *want)
{
    uint8_t out[HASH_LEN_MAX];
    assert_ok(prf_parts(alg, key, &data, 1, out));
    assert_bytes(((struct bytes){out, hash_len(alg)}), want);
    /* the same in pieces, with an empty one */
    struct bytes parts[] = {bytes_slice(data, 0, 3), {NULL, 0}, bytes_slice(data, 3, data.len)};
    memset(out, 0, sizeof(out));
    assert_ok(prf_parts(alg, key, parts, ARRAY_LEN(parts), out));
    assert_bytes(((struct bytes){out, hash_len(alg)}), want);
}

static void the_prf_gives_the_answers_of_rfc_4231_for_short_keys(void **state)
{
    (void)state;
    uint8_t k[64];
    uint8_t d[64];
    struct bytes key = filled(k, 0x0b, 20);
    struct bytes data = bytes_of_text("Hi There");
    assert_prf(HASH_SHA256, key, data, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_prf(
        HASH_SHA384, key, data,
        "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6");
    assert_prf(HASH_SHA512, key, data,
               "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
               "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854");
    key = bytes_of_text("Jefe");
    data = bytes_of_text("what do ya want for nothing?");
    assert_prf(HASH_SHA1, key, data, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"); /* RFC 2202 3 */
    assert_prf(HASH_SHA256, key, data, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_prf(
        HASH_SHA384, key, data,
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649");
    assert_prf(HASH_SHA512, key, data,
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    key = filled(k, 0xaa, 20);
    data = filled(d, 0xdd, 50);
    assert_prf(HASH_SHA256, key, data, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
}

static void a_key_longer_than_the_block_is_hashed_first(void **state)
{
    (void)state;
    uint8_t k[131];
    struct bytes key = filled(k, 0xaa, sizeof(k));
    struct bytes data = bytes_of_text("Test Using Larger Than Block-Size Key - Hash Key First");
    assert_prf(HASH_SHA256, key, data, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_prf(
        HASH_SHA384, key, data,
        "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
    assert_prf(HASH_SHA512, key, data,
               "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
               "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598");
}

/* The keys of ESP are as long as the hash; RFC 4868 2.7.2 sends the first half of these. */
static void authenticators_give_the_answers_of_rfc_4868(void **state)
{
    (void)state;
    uint8_t k[64];
    struct bytes data = bytes_of_text("Hi There");
    assert_prf(HASH_SHA256, filled(k, 0x0b, 32), data,
               "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    assert_prf(
        HASH_SHA384, filled(k, 0x0b, 48), data,
        "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee9737a959796489bddbc4c5df61d5b3297b4fb68dab9f1b582c2");
    assert_prf(HASH_SHA512, filled(k, 0x0b, 64), data,
               "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"
               "ac2878ebd5803f6f0b61dbce5e251ff8789a4722c1be65aea45fd464e89f8f5b");
}

static void hashes_give_the_answers_of_fips_180(void **state)
{
    (void)state;
    struct bytes parts[] = {bytes_of_text("a"), bytes_of_text("bc")};
    uint8_t out[HASH_LEN_MAX];
    assert_ok(hash_parts(HASH_SHA1, parts, 2, out));
    assert_bytes(((struct bytes){out, 20}), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_ok(hash_parts(HASH_SHA256, parts, 2, out));
    assert_bytes(((struct bytes){out, 32}),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(hash_parts(HASH_SHA384, parts, 2, out));
    assert_bytes(
        ((struct bytes){out, 48}),
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    assert_ok(hash_parts(HASH_SHA512, parts, 2, out));
    assert_bytes(((struct bytes){out, 64}),
                 "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void no_parts_hash_like_an_empty_message(void **state)
{
    (void)state;
    uint8_t out[HASH_LEN_MAX];
    assert_ok(hash_parts(HASH_SHA256, NULL, 0, out));
    assert_bytes(((struct bytes){out, 32}),
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /* HMAC-SHA-256 of an empty message under an empty key */
    assert_ok(prf_parts(HASH_SHA256, (struct bytes){NULL, 0}, NULL, 0, out));
    assert_bytes(((struct bytes){out, 32}),
                 "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void one_call_leaves_no_key_to_the_next(void **state)
{
    (void)state;
    uint8_t out[HASH_LEN_MAX];
    struct bytes data = bytes_of_text("x");
    assert_ok(prf_parts(HASH_SHA256, bytes_of_text("secret"), &data, 1, out));
    assert_ok(prf_parts(HASH_SHA256, (struct bytes){NULL, 0}, NULL, 0, out));
    assert_bytes(((struct bytes){out, 32}),
                 "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void a_secret_may_be_its_own_key_and_input(void **state)
{
    (void)state;
    struct secret own = {0};
    struct secret other = {0};
    assert_ok(secret_set(&own, bytes_of_text("some key")));
    struct bytes data = bytes_of_text("some key");
    assert_ok(prf_secret(HASH_SHA384, bytes_of_text("some key"), &data, 1, &other));
    data = secret_view(&own);
    assert_ok(prf_secret(HASH_SHA384, secret_view(&own), &data, 1, &own));
    assert_int_equal(own.len, 48);
    assert_true(secret_equal(secret_view(&own), secret_view(&other)));
    secret_close(&own);
    secret_close(&other);
}

static void an_unknown_hash_has_no_length_and_is_refused(void **state)
{
    (void)state;
    uint8_t out[HASH_LEN_MAX];
    struct secret secret = {0};
    enum hash_alg wrong[] = {HASH_NONE, (enum hash_alg)(HASH_SHA512 + 1)};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(hash_len(wrong[i]), 0);
        assert_err(hash_parts(wrong[i], NULL, 0, out), E_CRYPTO);
        assert_err(prf_parts(wrong[i], bytes_of_text("k"), NULL, 0, out), E_CRYPTO);
        assert_err(prf_secret(wrong[i], bytes_of_text("k"), NULL, 0, &secret), E_CRYPTO);
        assert_int_equal(secret.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prf_gives_the_answers_of_rfc_4231_for_short_keys),
        cmocka_unit_test(a_key_longer_than_the_block_is_hashed_first),
        cmocka_unit_test(authenticators_give_the_answers_of_rfc_4868),
        cmocka_unit_test(hashes_give_the_answers_of_fips_180),
        cmocka_unit_test(no_parts_hash_like_an_empty_message),
        cmocka_unit_test(one_call_leaves_no_key_to_the_next),
        cmocka_unit_test(a_secret_may_be_its_own_key_and_input),
        cmocka_unit_test(an_unknown_hash_has_no_length_and_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

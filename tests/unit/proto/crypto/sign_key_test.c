/* Keys of rekey signatures: what is made, what opens and what is refused. */
#include "proto/crypto/sign.h"

#include <string.h>

#include "tests/lib/test.h"
#include "tests/unit/proto/crypto/sign_vectors.h"

enum { HEX_MAX = 4096 };

static struct bytes digest_of(enum hash_alg hash, const char *text, uint8_t *out)
{
    struct bytes part = bytes_of_text(text);
    assert_ok(hash_parts(hash, &part, 1, out));
    return (struct bytes){out, hash_len(hash)};
}

static void refuse_public(const char *spki_hex, err_t any)
{
    uint8_t buf[HEX_MAX];
    struct bytes spki = hex(spki_hex, buf, sizeof(buf));
    struct verify_key *key = NULL;
    assert_err(verify_key_open(spki, &key), E_BAD_KEY);
    assert_null(key);
    assert_err(verify_key_open_any(spki, &key), any);
    verify_key_free(key);
}

static void weak_strange_and_hostile_public_keys_are_refused(void **state)
{
    (void)state;
    refuse_public(RSA_1024_PUBLIC, E_OK);
    refuse_public(RSA_512_PUBLIC, E_BAD_KEY);
    refuse_public(RSA_4120_PUBLIC, E_BAD_KEY);
    refuse_public(RSA_PUBLIC_E1, E_BAD_KEY);
    refuse_public(RSA_PUBLIC_E_EVEN, E_BAD_KEY);
    refuse_public(RSA_PUBLIC_E_LONG, E_BAD_KEY);
    refuse_public(RSA_PSS_PUBLIC, E_BAD_KEY);
    refuse_public(P521_PUBLIC, E_BAD_KEY);
    refuse_public(SECP256K1_PUBLIC, E_BAD_KEY);
    refuse_public(P256_EXPLICIT_PUBLIC, E_BAD_KEY);
    refuse_public(ED25519_PUBLIC, E_BAD_KEY);
    refuse_public(RSA_PRIVATE, E_BAD_KEY);
    refuse_public("", E_BAD_KEY);
}

static void damaged_public_keys_are_refused(void **state)
{
    (void)state;
    const char *good[] = {RSA_PUBLIC, P256_PUBLIC, P384_PUBLIC};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint8_t buf[HEX_MAX] = {0};
        struct bytes spki = hex(good[i], buf, sizeof(buf));
        struct verify_key *key = NULL;
        for (size_t len = 0; len < spki.len; len++)
            assert_err(verify_key_open(bytes_slice(spki, 0, len), &key), E_BAD_KEY);
        assert_err(verify_key_open((struct bytes){buf, spki.len + 1}, &key), E_BAD_KEY);
        assert_err(verify_key_open((struct bytes){buf, SIGN_PUBLIC_MAX + 1}, &key), E_BAD_KEY);
        if (i > 0) {
            buf[spki.len - 1] ^= 1; /* y: off the curve */
            assert_err(verify_key_open(spki, &key), E_BAD_KEY);
        }
        assert_null(key);
    }
}

static void damaged_and_weak_private_keys_are_refused(void **state)
{
    (void)state;
    const char *good[] = {RSA_PRIVATE, P256_PRIVATE};
    struct sign_key *key = NULL;
    uint8_t buf[HEX_MAX] = {0};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        memset(buf, 0, sizeof(buf));
        struct bytes der = hex(good[i], buf, sizeof(buf));
        for (size_t len = 0; len < der.len; len++)
            assert_err(sign_key_open(bytes_slice(der, 0, len), &key), E_BAD_KEY);
        assert_err(sign_key_open((struct bytes){buf, der.len + 1}, &key), E_BAD_KEY);
    }
    assert_err(sign_key_open((struct bytes){buf, SIGN_PRIVATE_MAX + 1}, &key), E_BAD_KEY);
    assert_err(sign_key_open(hex(RSA_1024_PRIVATE, buf, sizeof(buf)), &key), E_BAD_KEY);
    assert_err(sign_key_open(hex(RSA_PUBLIC, buf, sizeof(buf)), &key), E_BAD_KEY);
    assert_null(key);
}

static void assert_made_key_works(enum sign_alg alg, unsigned bits, enum hash_alg hash)
{
    uint8_t priv[SIGN_PRIVATE_MAX];
    uint8_t pub[SIGN_PUBLIC_MAX];
    size_t priv_len = 0;
    size_t pub_len = 0;
    struct sign_key *key = NULL;
    struct verify_key *public = NULL;
    uint8_t d[HASH_LEN_MAX];
    uint8_t out[SIGNATURE_MAX];
    size_t len = 0;
    assert_ok(sign_key_make(alg, bits, priv, &priv_len, pub, &pub_len));
    assert_ok(sign_key_open((struct bytes){priv, priv_len}, &key));
    assert_ok(verify_key_open((struct bytes){pub, pub_len}, &public));
    assert_int_equal(sign_key_alg(key), alg);
    assert_int_equal(sign_key_bits(key), bits);
    assert_int_equal(verify_key_bits(public), bits);
    struct bytes digest = digest_of(hash, "a rekey", d);
    assert_ok(sign_digest(key, hash, false, digest, out, &len));
    assert_int_equal(len, sign_key_signature_len(key));
    assert_ok(verify_digest(public, hash, false, digest, (struct bytes){out, len}));
    sign_key_free(key);
    verify_key_free(public);
}

static void made_keys_fit_their_buffers_and_work(void **state)
{
    (void)state;
    assert_made_key_works(SIGN_RSA, 2048, HASH_SHA256);
    assert_made_key_works(SIGN_RSA, 4096, HASH_SHA512);
    assert_made_key_works(SIGN_ECDSA_256, 256, HASH_SHA256);
    assert_made_key_works(SIGN_ECDSA_384, 384, HASH_SHA384);
}

static void keys_of_unknown_kinds_and_sizes_are_not_made(void **state)
{
    (void)state;
    uint8_t priv[SIGN_PRIVATE_MAX];
    uint8_t pub[SIGN_PUBLIC_MAX];
    size_t priv_len = 1;
    size_t pub_len = 1;
    assert_err(sign_key_make(SIGN_RSA, 2047, priv, &priv_len, pub, &pub_len), E_UNSUPPORTED);
    assert_err(sign_key_make(SIGN_RSA, 4097, priv, &priv_len, pub, &pub_len), E_UNSUPPORTED);
    assert_err(sign_key_make(SIGN_NONE, 2048, priv, &priv_len, pub, &pub_len), E_UNSUPPORTED);
    assert_int_equal(priv_len + pub_len, 0);
}

static void a_failed_allocation_is_reported(void **state)
{
    (void)state;
    uint8_t buf[HEX_MAX];
    struct sign_key *key = NULL;
    struct verify_key *public = NULL;
    struct bytes der = hex(P256_PRIVATE, buf, sizeof(buf));
    heap_fault_after(0);
    err_t err = sign_key_open(der, &key);
    assert_int_equal(heap_fault_hit(), 1);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(key);
    der = hex(P256_PUBLIC, buf, sizeof(buf));
    heap_fault_after(0);
    err = verify_key_open(der, &public);
    assert_int_equal(heap_fault_hit(), 1);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(public);
    sign_key_free(NULL);
    verify_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weak_strange_and_hostile_public_keys_are_refused),
        cmocka_unit_test(damaged_public_keys_are_refused),
        cmocka_unit_test(damaged_and_weak_private_keys_are_refused),
        cmocka_unit_test(made_keys_fit_their_buffers_and_work),
        cmocka_unit_test(keys_of_unknown_kinds_and_sizes_are_not_made),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

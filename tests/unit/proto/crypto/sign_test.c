/* Signatures of rekeys: RFC 4754 8, signatures of another implementation, and everything that must be
 * refused. */
#include "proto/crypto/sign.h"

#include <pthread.h>
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

static struct sign_key *private_key(const char *pkcs8_hex)
{
    uint8_t buf[HEX_MAX];
    struct sign_key *key = NULL;
    assert_ok(sign_key_open(hex(pkcs8_hex, buf, sizeof(buf)), &key));
    return key;
}

static struct verify_key *public_key(const char *spki_hex)
{
    uint8_t buf[HEX_MAX];
    struct verify_key *key = NULL;
    assert_ok(verify_key_open(hex(spki_hex, buf, sizeof(buf)), &key));
    return key;
}

static err_t verify_hex(const struct verify_key *key, enum hash_alg hash, bool allow_bare,
                        const char *signature_hex)
{
    uint8_t d[HASH_LEN_MAX];
    uint8_t s[SIGNATURE_MAX];
    return verify_digest(key, hash, allow_bare, digest_of(hash, "abc", d), hex(signature_hex, s, sizeof(s)));
}

static void rsa_signatures_equal_those_of_another_implementation(void **state)
{
    (void)state;
    const struct {
        enum hash_alg hash;
        const char *signature;
    } cases[] = {
        {HASH_SHA1, RSA_SIGNATURE_SHA1},
        {HASH_SHA256, RSA_SIGNATURE_SHA256},
        {HASH_SHA384, RSA_SIGNATURE_SHA384},
        {HASH_SHA512, RSA_SIGNATURE_SHA512},
    };
    struct sign_key *key = private_key(RSA_PRIVATE);
    struct verify_key *public = public_key(RSA_PUBLIC);
    assert_int_equal(sign_key_alg(key), SIGN_RSA);
    assert_int_equal(sign_key_bits(key), 2048);
    assert_int_equal(sign_key_signature_len(key), 256);
    assert_int_equal(verify_key_alg(public), SIGN_RSA);
    assert_int_equal(verify_key_bits(public), 2048);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t d[HASH_LEN_MAX];
        uint8_t out[SIGNATURE_MAX];
        size_t len = 0;
        assert_ok(sign_digest(key, cases[i].hash, false, digest_of(cases[i].hash, "abc", d), out, &len));
        assert_bytes(((struct bytes){out, len}), cases[i].signature);
        assert_ok(verify_hex(public, cases[i].hash, false, cases[i].signature));
        assert_ok(verify_hex(public, cases[i].hash, true, cases[i].signature));
    }
    sign_key_free(key);
    verify_key_free(public);
}

static void a_bare_signature_is_taken_only_where_it_is_allowed(void **state)
{
    (void)state;
    struct sign_key *key = private_key(RSA_PRIVATE);
    struct verify_key *public = public_key(RSA_PUBLIC);
    uint8_t d[HASH_LEN_MAX];
    uint8_t out[SIGNATURE_MAX];
    size_t len = 0;
    assert_ok(sign_digest(key, HASH_SHA256, true, digest_of(HASH_SHA256, "abc", d), out, &len));
    assert_bytes(((struct bytes){out, len}), RSA_SIGNATURE_BARE);
    assert_ok(verify_hex(public, HASH_SHA256, true, RSA_SIGNATURE_BARE));
    assert_err(verify_hex(public, HASH_SHA256, false, RSA_SIGNATURE_BARE), E_BAD_SIGNATURE);
    sign_key_free(key);
    verify_key_free(public);
}

static void encodings_that_only_look_right_are_refused(void **state)
{
    (void)state;
    struct verify_key *public = public_key(RSA_PUBLIC);
    for (int bare = 0; bare <= 1; bare++) {
        assert_err(verify_hex(public, HASH_SHA256, bare, RSA_SIGNATURE_TRAILING), E_BAD_SIGNATURE);
        assert_err(verify_hex(public, HASH_SHA256, bare, RSA_SIGNATURE_NO_NULL), E_BAD_SIGNATURE);
        assert_err(verify_hex(public, HASH_SHA256, bare, RSA_SIGNATURE_TYPE_2), E_BAD_SIGNATURE);
        /* right signature, other hash */
        assert_err(verify_hex(public, HASH_SHA384, bare, RSA_SIGNATURE_SHA256), E_BAD_SIGNATURE);
        assert_err(verify_hex(public, HASH_SHA1, bare, RSA_SIGNATURE_SHA256), E_BAD_SIGNATURE);
    }
    verify_key_free(public);
}

static const struct {
    const char *private_hex;
    const char *public_hex;
    enum sign_alg alg;
    enum hash_alg hash;
    const char *signature;
} ecdsa[] = {
    {P256_PRIVATE, P256_PUBLIC, SIGN_ECDSA_256, HASH_SHA256,
     "CB28E0999B9C7715FD0A80D8E47A77079716CBBF917DD72E97566EA1C066957C"
     "86FA3BB4E26CAD5BF90B7F81899256CE7594BB1EA0C89212748BFF3B3D5B0315"},
    {P384_PRIVATE, P384_PUBLIC, SIGN_ECDSA_384, HASH_SHA384,
     "FB017B914E29149432D8BAC29A514640B46F53DDAB2C69948084E2930F1C8F7E08E07C9C63F2D21A07DCB56A6AF56EB3"
     "B263A1305E057F984D38726A1B46874109F417BCA112674C528262A40A629AF1CBB9F516CE0FA7D2FF630863A00E8B9F"},
};

static void ecdsa_takes_the_signatures_of_rfc_4754(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ecdsa); i++) {
        struct verify_key *public = public_key(ecdsa[i].public_hex);
        assert_int_equal(verify_key_alg(public), ecdsa[i].alg);
        assert_ok(verify_hex(public, ecdsa[i].hash, false, ecdsa[i].signature));
        assert_ok(verify_hex(public, ecdsa[i].hash, true, ecdsa[i].signature));
        verify_key_free(public);
    }
}

/* Signatures are random, so some have an r or s with leading zeros: the width must stay. */
static void ecdsa_signatures_have_a_fixed_width_and_verify(void **state)
{
    (void)state;
    enum { ROUNDS = 600 };
    for (size_t i = 0; i < ARRAY_LEN(ecdsa); i++) {
        struct sign_key *key = private_key(ecdsa[i].private_hex);
        struct verify_key *public = public_key(ecdsa[i].public_hex);
        uint8_t d[HASH_LEN_MAX];
        struct bytes digest = digest_of(ecdsa[i].hash, "abc", d);
        size_t want = ecdsa[i].alg == SIGN_ECDSA_256 ? 64 : 96;
        assert_int_equal(sign_key_signature_len(key), want);
        assert_int_equal(sign_key_bits(key), want * 4);
        for (int n = 0; n < ROUNDS >> i; n++) {
            uint8_t out[SIGNATURE_MAX];
            size_t len = 0;
            assert_ok(sign_digest(key, ecdsa[i].hash, n % 2, digest, out, &len));
            assert_int_equal(len, want);
            assert_ok(verify_digest(public, ecdsa[i].hash, false, digest, (struct bytes){out, len}));
        }
        sign_key_free(key);
        verify_key_free(public);
    }
}

static void every_tampered_signature_is_refused(void **state)
{
    (void)state;
    const struct {
        const char *public_hex;
        enum hash_alg hash;
        const char *signature;
    } cases[] = {
        {RSA_PUBLIC, HASH_SHA256, RSA_SIGNATURE_SHA256},
        {RSA_PUBLIC, HASH_SHA256, RSA_SIGNATURE_BARE},
        {P256_PUBLIC, HASH_SHA256, ecdsa[0].signature},
        {P384_PUBLIC, HASH_SHA384, ecdsa[1].signature},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct verify_key *public = public_key(cases[i].public_hex);
        uint8_t d[HASH_LEN_MAX];
        uint8_t s[SIGNATURE_MAX + 1] = {0};
        struct bytes digest = digest_of(cases[i].hash, "abc", d);
        struct bytes signature = hex(cases[i].signature, s, SIGNATURE_MAX);
        for (size_t at = 0; at < signature.len; at++) {
            s[at] ^= 0x40;
            assert_err(verify_digest(public, cases[i].hash, true, digest, signature), E_BAD_SIGNATURE);
            s[at] ^= 0x40;
        }
        d[0] ^= 1;
        assert_err(verify_digest(public, cases[i].hash, true, digest, signature), E_BAD_SIGNATURE);
        d[0] ^= 1;
        for (size_t len = 0; len <= signature.len + 1; len++)
            assert_err(verify_digest(public, cases[i].hash, true, digest, (struct bytes){s, len}),
                       len == signature.len ? E_OK : E_BAD_SIGNATURE);
        memset(s, 0, sizeof(s));
        assert_err(verify_digest(public, cases[i].hash, true, digest, signature), E_BAD_SIGNATURE);
        memset(s, 0xff, sizeof(s));
        assert_err(verify_digest(public, cases[i].hash, true, digest, signature), E_BAD_SIGNATURE);
        verify_key_free(public);
    }
}

static void a_digest_of_another_length_is_refused(void **state)
{
    (void)state;
    struct sign_key *key = private_key(P256_PRIVATE);
    struct verify_key *public = public_key(P256_PUBLIC);
    uint8_t d[HASH_LEN_MAX] = {0};
    uint8_t out[SIGNATURE_MAX] = {0};
    size_t len = 1;
    assert_err(sign_digest(key, HASH_SHA256, false, (struct bytes){d, 31}, out, &len), E_BAD_LENGTH);
    assert_int_equal(len, 0);
    assert_err(sign_digest(key, HASH_NONE, true, (struct bytes){NULL, 0}, out, &len), E_BAD_LENGTH);
    assert_err(verify_digest(public, HASH_SHA512, false, (struct bytes){d, 32}, (struct bytes){out, 64}),
               E_BAD_LENGTH);
    assert_err(verify_digest(public, HASH_NONE, true, (struct bytes){NULL, 0}, (struct bytes){out, 64}),
               E_BAD_LENGTH);
    sign_key_free(key);
    verify_key_free(public);
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

enum { THREADS = 4, SIGNATURES = 8 };

static void *sign_many(void *key)
{
    for (int i = 0; i < SIGNATURES; i++) {
        uint8_t d[HASH_LEN_MAX] = {(uint8_t)i};
        uint8_t out[SIGNATURE_MAX];
        size_t len = 0;
        if (sign_digest(key, HASH_SHA256, false, (struct bytes){d, 32}, out, &len) != E_OK || len != 256)
            return key; /* not NULL: failed */
    }
    return NULL;
}

static void threads_may_share_a_private_key(void **state)
{
    (void)state;
    struct sign_key *key = private_key(RSA_PRIVATE);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, key), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    sign_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_signatures_equal_those_of_another_implementation),
        cmocka_unit_test(a_bare_signature_is_taken_only_where_it_is_allowed),
        cmocka_unit_test(encodings_that_only_look_right_are_refused),
        cmocka_unit_test(ecdsa_takes_the_signatures_of_rfc_4754),
        cmocka_unit_test(ecdsa_signatures_have_a_fixed_width_and_verify),
        cmocka_unit_test(every_tampered_signature_is_refused),
        cmocka_unit_test(a_digest_of_another_length_is_refused),
        cmocka_unit_test(weak_strange_and_hostile_public_keys_are_refused),
        cmocka_unit_test(damaged_public_keys_are_refused),
        cmocka_unit_test(damaged_and_weak_private_keys_are_refused),
        cmocka_unit_test(made_keys_fit_their_buffers_and_work),
        cmocka_unit_test(keys_of_unknown_kinds_and_sizes_are_not_made),
        cmocka_unit_test(a_failed_allocation_is_reported),
        cmocka_unit_test(threads_may_share_a_private_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

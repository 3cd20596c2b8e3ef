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
        cmocka_unit_test(threads_may_share_a_private_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sealed secrets: what goes in comes out, only with the same key, version and context. */
#include "proto/crypto/keywrap.h"

#include <string.h>

#include "tests/lib/test.h"

static struct wrap_key make_key(uint32_t version, uint8_t fill)
{
    struct wrap_key key = {.version = version, .key = {.len = KEYWRAP_KEY_LEN}};
    memset(key.key.data, fill, KEYWRAP_KEY_LEN);
    return key;
}

static err_t counting_fill(void *context, uint8_t *out, size_t len)
{
    uint8_t *next = context;
    for (size_t i = 0; i < len; i++)
        out[i] = (*next)++;
    return E_OK;
}

static err_t failing_fill(void *context, uint8_t *out, size_t len)
{
    (void)context;
    memset(out, 0, len);
    return E_CRYPTO;
}

static void a_wrapped_secret_has_the_documented_layout(void **state)
{
    (void)state;
    uint8_t next = 0;
    struct rng rng = {counting_fill, &next};
    struct wrap_key key = make_key(0x01020304, 0x11);
    struct wrapped wrapped;
    assert_ok(keywrap_seal(&key, &rng, bytes_of_text("lab|blue|kek|key"), bytes_of_text("secret"), &wrapped));
    /* version | nonce | ciphertext | tag, the last two by pyca/cryptography */
    assert_bytes(((struct bytes){wrapped.data, wrapped.len}),
                 "01020304 000102030405060708090a0b 6086d5611ed73ceb6d2c1d21f5ec285b5dfdf2b09955");
    struct secret out = {0};
    assert_ok(keywrap_open(&key, bytes_of_text("lab|blue|kek|key"), &wrapped, &out));
    assert_true(secret_equal(secret_view(&out), bytes_of_text("secret")));
    secret_close(&out);
}

static void secrets_of_every_length_come_back(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 7);
    struct wrap_key key = make_key(1, 0x22);
    struct bytes context = bytes_of_text("context");
    for (size_t len = 0; len <= SECRET_LEN_MAX; len++) {
        uint8_t plain[SECRET_LEN_MAX];
        struct wrapped wrapped;
        struct secret out = {0};
        assert_ok(rng_fill(&rng, plain, len));
        assert_ok(keywrap_seal(&key, &rng, context, (struct bytes){plain, len}, &wrapped));
        assert_int_equal(wrapped.len, len + KEYWRAP_OVERHEAD);
        assert_ok(keywrap_open(&key, context, &wrapped, &out));
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, plain, len);
    }
}

static void the_same_secret_never_wraps_to_the_same_bytes(void **state)
{
    (void)state;
    struct wrap_key key = make_key(1, 0x22);
    struct wrapped a;
    struct wrapped b;
    assert_ok(keywrap_seal(&key, &rng_system, bytes_of_text("c"), bytes_of_text("s"), &a));
    assert_ok(keywrap_seal(&key, &rng_system, bytes_of_text("c"), bytes_of_text("s"), &b));
    assert_memory_not_equal(a.data + 4, b.data + 4, 12);
}

static void a_secret_moved_to_another_object_does_not_open(void **state)
{
    (void)state;
    struct wrap_key key = make_key(1, 0x22);
    struct wrapped wrapped;
    struct secret out = {0};
    assert_ok(keywrap_seal(&key, &rng_system, bytes_of_text("lab|blue|kek"), bytes_of_text("s"), &wrapped));
    assert_err(keywrap_open(&key, bytes_of_text("lab|red|kek"), &wrapped, &out), E_CORRUPT);
    assert_err(keywrap_open(&key, bytes_of_text("lab|blue|ke"), &wrapped, &out), E_CORRUPT);
    assert_err(keywrap_open(&key, (struct bytes){NULL, 0}, &wrapped, &out), E_CORRUPT);
    assert_int_equal(out.len, 0);
}

static void another_version_is_told_from_damage(void **state)
{
    (void)state;
    struct wrap_key old = make_key(1, 0x22);
    struct wrap_key new = make_key(2, 0x33);
    struct wrap_key impostor = make_key(1, 0x33);
    struct wrapped wrapped;
    struct secret out = {0};
    struct bytes context = bytes_of_text("c");
    assert_ok(keywrap_seal(&old, &rng_system, context, bytes_of_text("s"), &wrapped));
    assert_err(keywrap_open(&new, context, &wrapped, &out), E_BAD_KEY);
    assert_err(keywrap_open(&impostor, context, &wrapped, &out), E_CORRUPT);
    old.key.len = 16;
    assert_err(keywrap_open(&old, context, &wrapped, &out), E_BAD_KEY);
    assert_err(keywrap_seal(&old, &rng_system, context, bytes_of_text("s"), &wrapped), E_BAD_KEY);
    assert_int_equal(wrapped.len, 0);
}

static void every_flipped_bit_is_found(void **state)
{
    (void)state;
    struct wrap_key key = make_key(1, 0x22);
    struct wrapped wrapped;
    struct bytes context = bytes_of_text("c");
    assert_ok(keywrap_seal(&key, &rng_system, context, bytes_of_text("a secret"), &wrapped));
    for (size_t bit = 0; bit < wrapped.len * 8u; bit++) {
        struct secret out = {.len = 3, .data = "old"};
        const struct secret empty = {0};
        wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_err(keywrap_open(&key, context, &wrapped, &out), bit < 32 ? E_BAD_KEY : E_CORRUPT);
        assert_memory_equal(&out, &empty, sizeof(out));
        wrapped.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void short_and_impossible_lengths_are_refused(void **state)
{
    (void)state;
    struct wrap_key key = make_key(1, 0x22);
    struct wrapped wrapped;
    struct secret out = {0};
    uint8_t long_plain[SECRET_LEN_MAX + 1] = {0};
    struct bytes context = bytes_of_text("c");
    assert_err(keywrap_seal(&key, &rng_system, context, BYTES_OF(long_plain), &wrapped), E_BAD_KEY);
    assert_ok(keywrap_seal(&key, &rng_system, context, (struct bytes){long_plain, SECRET_LEN_MAX}, &wrapped));
    uint16_t full = wrapped.len;
    for (uint16_t len = 0; len < full; len++) {
        wrapped.len = len;
        assert_err(keywrap_open(&key, context, &wrapped, &out),
                   len < KEYWRAP_OVERHEAD ? E_TRUNCATED : E_CORRUPT);
    }
    wrapped.len = WRAPPED_MAX + 1;
    assert_err(keywrap_open(&key, context, &wrapped, &out), E_BAD_LENGTH);
    wrapped.len = UINT16_MAX;
    assert_err(keywrap_open(&key, context, &wrapped, &out), E_BAD_LENGTH);
}

static void a_failing_generator_seals_nothing(void **state)
{
    (void)state;
    struct wrap_key key = make_key(1, 0x22);
    struct rng rng = {failing_fill, NULL};
    struct wrapped wrapped = {.len = 9};
    assert_err(keywrap_seal(&key, &rng, bytes_of_text("c"), bytes_of_text("s"), &wrapped), E_CRYPTO);
    assert_int_equal(wrapped.len, 0);
}

static void long_plaintexts_come_back_too(void **state)
{
    (void)state;
    enum { LEN = 2374 };
    static uint8_t plain[LEN];
    static uint8_t sealed[LEN + KEYWRAP_OVERHEAD];
    static uint8_t opened[LEN];
    struct wrap_key key = make_key(9, 0x44);
    struct bytes context = bytes_of_text("signing key");
    size_t sealed_len = 0;
    size_t len = 0;
    for (size_t i = 0; i < LEN; i++)
        plain[i] = (uint8_t)(i * 7);
    assert_ok(keywrap_seal_bytes(&key, &rng_system, context, BYTES_OF(plain), sealed, &sealed_len));
    assert_int_equal(sealed_len, sizeof(sealed));
    assert_ok(keywrap_open_bytes(&key, context, BYTES_OF(sealed), opened, &len));
    assert_int_equal(len, LEN);
    assert_memory_equal(opened, plain, LEN);
    sealed[sizeof(sealed) - 1] ^= 1;
    assert_err(keywrap_open_bytes(&key, context, BYTES_OF(sealed), opened, &len), E_CORRUPT);
    assert_int_equal(len, 0);
    for (size_t i = 0; i < LEN; i++)
        assert_int_equal(opened[i], 0);
    assert_err(keywrap_open_bytes(&key, context, (struct bytes){sealed, KEYWRAP_OVERHEAD - 1}, opened, &len),
               E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrapped_secret_has_the_documented_layout),
        cmocka_unit_test(secrets_of_every_length_come_back),
        cmocka_unit_test(the_same_secret_never_wraps_to_the_same_bytes),
        cmocka_unit_test(a_secret_moved_to_another_object_does_not_open),
        cmocka_unit_test(another_version_is_told_from_damage),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(short_and_impossible_lengths_are_refused),
        cmocka_unit_test(a_failing_generator_seals_nothing),
        cmocka_unit_test(long_plaintexts_come_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

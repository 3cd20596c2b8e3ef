/* The crypto of a whole exchange with Cisco's reference implementation (tests/vectors/gdoi_kat.json): 3DES,
 * SHA-1, group 2, main mode, one PULL, one PUSH. Only what this folder does; the messages themselves are
 * tested elsewhere. */
#include <jansson.h>
#include <string.h>

#include "proto/crypto/cipher.h"
#include "proto/crypto/dh.h"
#include "proto/crypto/sign.h"
#include "tests/lib/test.h"

enum { VALUE_MAX = 512, HEADER_LEN = 28, BLOCK = 8 };

static json_t *vectors;

struct value {
    uint8_t data[VALUE_MAX];
    size_t len;
};

static const char *text(const char *name)
{
    const char *found = json_string_value(json_object_get(vectors, name));
    if (found == NULL)
        fail_msg("no \"%s\" in the vectors", name);
    return found;
}

static struct bytes load(const char *name, struct value *out)
{
    struct bytes b = hex(text(name), out->data, sizeof(out->data));
    out->len = b.len;
    return b;
}

static void assert_value(struct bytes got, const char *name)
{
    assert_bytes(got, text(name));
}

static int load_vectors(void **state)
{
    (void)state;
    json_error_t error;
    vectors = json_load_file(QUORATE_SOURCE_DIR "/tests/vectors/gdoi_kat.json", 0, &error);
    return vectors == NULL ? -1 : 0;
}

static int drop_vectors(void **state)
{
    (void)state;
    json_decref(vectors);
    return 0;
}

static void the_prf_chain_of_phase_1_comes_out(void **state)
{
    (void)state;
    struct value ni, nr, g, ci, cr;
    uint8_t skeyid[20];
    uint8_t next[20];
    struct bytes nonces[] = {load("ni_b", &ni), load("nr_b", &nr)};
    assert_ok(prf_parts(HASH_SHA1, bytes_of_text(text("psk_ascii")), nonces, 2, skeyid));
    assert_value(BYTES_OF(skeyid), "skeyid");
    const char *names[] = {"skeyid_d", "skeyid_a", "skeyid_e"};
    struct bytes before = {NULL, 0};
    for (uint8_t i = 0; i < 3; i++) {
        struct bytes parts[] = {before, load("g_xy", &g), load("cky_i", &ci), load("cky_r", &cr), {&i, 1}};
        uint8_t made[20];
        assert_ok(prf_parts(HASH_SHA1, BYTES_OF(skeyid), parts, ARRAY_LEN(parts), made));
        assert_value(BYTES_OF(made), names[i]);
        memcpy(next, made, sizeof(next));
        before = BYTES_OF(next);
    }
    /* RFC 2409 appendix B: SKEYID_e has 20 octets, 3DES wants 24 */
    uint8_t key[40];
    const uint8_t zero = 0;
    struct bytes part = {&zero, 1};
    assert_ok(prf_parts(HASH_SHA1, BYTES_OF(next), &part, 1, key));
    part = (struct bytes){key, 20};
    assert_ok(prf_parts(HASH_SHA1, BYTES_OF(next), &part, 1, key + 20));
    assert_value(((struct bytes){key, 24}), "ka");
}

static void the_public_values_are_taken_by_group_2(void **state)
{
    (void)state;
    const char *names[] = {"g_xi", "g_xr"};
    struct dh_key *key = NULL;
    struct dh_public own;
    assert_ok(dh_generate(2, &key, &own));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct value peer;
        struct dh_shared shared;
        assert_ok(dh_derive(key, load(names[i], &peer), &shared));
        assert_int_equal(shared.len, 128);
        dh_shared_close(&shared);
    }
    dh_key_free(key);
}

/* Decrypts the message in place behind its header, compares and encrypts again. */
static void assert_message(const char *wire_name, const char *plain_name, struct bytes key,
                           uint8_t iv[CIPHER_BLOCK_MAX])
{
    struct value wire, plain;
    uint8_t first_iv[CIPHER_BLOCK_MAX];
    uint8_t again[CIPHER_BLOCK_MAX];
    memcpy(first_iv, iv, sizeof(first_iv));
    load(wire_name, &wire);
    struct bytes want = load(plain_name, &plain);
    size_t len = wire.len - HEADER_LEN;
    assert_ok(cipher_decrypt(CIPHER_3DES_CBC, key, iv, wire.data + HEADER_LEN, len));
    assert_true(want.len <= len);
    assert_memory_equal(wire.data + HEADER_LEN, want.data, want.len);
    memcpy(again, first_iv, sizeof(again));
    assert_ok(cipher_encrypt(CIPHER_3DES_CBC, key, again, wire.data + HEADER_LEN, len));
    assert_value(((struct bytes){wire.data, wire.len}), wire_name);
    assert_memory_equal(again, iv, BLOCK);
}

static void the_messages_of_phase_1_and_the_pull_decrypt_in_a_chain(void **state)
{
    (void)state;
    struct value gi, gr, ka, id;
    uint8_t iv[HASH_LEN_MAX];
    uint8_t pull_iv[HASH_LEN_MAX];
    struct bytes key = load("ka", &ka);
    struct bytes publics[] = {load("g_xi", &gi), load("g_xr", &gr)};
    assert_ok(hash_parts(HASH_SHA1, publics, 2, iv));
    assert_value(((struct bytes){iv, BLOCK}), "iv_phase1");
    assert_message("mm5_wire", "mm5_plain", key, iv);
    assert_message("mm6_wire", "mm6_plain", key, iv);
    struct bytes parts[] = {{iv, BLOCK}, load("pull_msgid", &id)};
    assert_ok(hash_parts(HASH_SHA1, parts, 2, pull_iv));
    assert_value(((struct bytes){pull_iv, BLOCK}), "pull_iv");
    assert_message("pull1_wire", "pull1_plain", key, pull_iv);
    assert_message("pull2_wire", "pull2_plain", key, pull_iv);
    assert_message("pull3_wire", "pull3_plain", key, pull_iv);
    assert_message("pull4_wire", "pull4_plain", key, pull_iv);
}

static void the_push_decrypts_under_the_kek_with_its_fixed_iv(void **state)
{
    (void)state;
    struct value kek, kek_iv;
    uint8_t iv[CIPHER_BLOCK_MAX] = {0};
    struct bytes key = load("kek", &kek);
    memcpy(iv, load("kek_iv", &kek_iv).data, BLOCK);
    assert_message("push_wire", "push_plain", key, iv);
}

/* SEQ, SA and KD: up to the payload that is followed by nothing. */
static struct bytes before_signature(struct bytes chain)
{
    size_t at = 0;
    while (at + 4 <= chain.len && chain.data[at] != 0)
        at += (size_t)(chain.data[at + 2] << 8 | chain.data[at + 3]);
    return bytes_slice(chain, 0, at);
}

static void the_bare_signature_of_the_push_verifies(void **state)
{
    (void)state;
    struct value header, plain, spki, sig;
    uint8_t digest[20];
    struct bytes parts[] = {bytes_of_text("rekey"), load("push_hash_input_header", &header),
                            before_signature(load("push_plain", &plain))};
    assert_ok(hash_parts(HASH_SHA1, parts, ARRAY_LEN(parts), digest));
    assert_value(BYTES_OF(digest), "push_sha1");
    struct verify_key *key = NULL;
    struct bytes der = load("sig_pub_spki_der", &spki);
    struct bytes signature = load("push_sig", &sig);
    assert_err(verify_key_open(der, &key), E_BAD_KEY); /* 1024 bits: only where a legacy profile says so */
    assert_ok(verify_key_open_any(der, &key));
    assert_int_equal(verify_key_bits(key), 1024);
    assert_ok(verify_digest(key, HASH_SHA1, true, BYTES_OF(digest), signature));
    assert_err(verify_digest(key, HASH_SHA1, false, BYTES_OF(digest), signature), E_BAD_SIGNATURE);
    digest[19] ^= 1;
    assert_err(verify_digest(key, HASH_SHA1, true, BYTES_OF(digest), signature), E_BAD_SIGNATURE);
    verify_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prf_chain_of_phase_1_comes_out),
        cmocka_unit_test(the_public_values_are_taken_by_group_2),
        cmocka_unit_test(the_messages_of_phase_1_and_the_pull_decrypt_in_a_chain),
        cmocka_unit_test(the_push_decrypts_under_the_kek_with_its_fixed_iv),
        cmocka_unit_test(the_bare_signature_of_the_push_verifies),
    };
    return cmocka_run_group_tests(tests, load_vectors, drop_vectors);
}

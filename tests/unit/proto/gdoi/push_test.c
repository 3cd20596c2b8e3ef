/* Both ends of a GROUPKEY-PUSH in one process. */
#include "tests/unit/proto/gdoi/push_ends.h"

static void a_push_brings_a_new_tek(void **state)
{
    (void)state;
    build_and_accept();
    assert_int_equal(ends.got.seq, 1);
    assert_true(ends.got.has_policy);
    assert_false(ends.got.policy.has_kek);
    assert_true(fixture_same_policy(&ends.got.policy, &ends.policy));
    assert_int_equal(ends.got.delete_count, 0);
    assert_int_equal(ends.member.last_seq, 1);
}

static void every_cipher_and_signature_carries_a_push(void **state)
{
    (void)state;
    static const enum cipher_alg ciphers[] = {CIPHER_3DES_CBC, CIPHER_AES_CBC_128, CIPHER_AES_CBC_192,
                                              CIPHER_AES_CBC_256};
    static const enum sign_alg algs[] = {SIGN_RSA, SIGN_ECDSA_256, SIGN_ECDSA_384};
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++)
        for (size_t a = 0; a < ARRAY_LEN(algs); a++) {
            teardown(NULL);
            begin(ciphers[c], algs[a]);
            build_and_accept();
            assert_int_equal(ends.sent.len % cipher_block_len(ciphers[c]),
                             ISAKMP_HEADER_LEN % cipher_block_len(ciphers[c]));
        }
}

static void every_rsa_hash_is_signed_and_verified(void **state)
{
    (void)state;
    static const enum hash_alg hashes[] = {HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512};
    for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
        ends.kek.sig_hash = hashes[i];
        ends.member.kek.sig_hash = hashes[i];
        ends.content.seq = (uint32_t)i + 1;
        build_and_accept();
        ends.member.kek.sig_hash = hashes[(i + 1) % ARRAY_LEN(hashes)];
        ends.member.last_seq = 0;
        assert_err(take(), E_BAD_SIGNATURE);
    }
}

static void the_header_is_that_of_rfc_6407(void **state)
{
    (void)state;
    struct isakmp_header header;
    struct bytes body;
    assert_ok(build());
    assert_ok(isakmp_header_decode(&header, &body, ends.sent));
    assert_memory_equal(ends.sent.data, ends.kek.spi, KEK_SPI_LEN); /* the cookies are the SPI of the KEK */
    assert_int_equal(header.next_payload, PAYLOAD_SEQ);
    assert_int_equal(header.version, 0x10);
    assert_int_equal(header.exchange, 33);
    assert_int_equal(header.flags, 1);
    assert_int_equal(header.message_id, 0);
    assert_int_equal(header.length, ends.sent.len);
}

static void trap_3_either_reading_of_the_hashed_length_is_taken(void **state)
{
    (void)state;
    assert_ok(build());
    uint8_t unpadded[MESSAGE_CAP];
    size_t len = ends.sent.len;
    memcpy(unpadded, ends.sent.data, len);
    assert_ok(take());
    ends.dialect.sign_padded_length = true;
    assert_ok(build());
    assert_int_equal(ends.sent.len, len); /* on the wire both have the padded length */
    assert_memory_not_equal(ends.sent.data, unpadded, len);
    assert_ok(take());
}

static void trap_4_each_push_starts_from_the_iv_of_the_kek(void **state)
{
    (void)state;
    uint8_t first[MESSAGE_CAP];
    assert_ok(build());
    memcpy(first, ends.sent.data, ends.sent.len);
    assert_ok(build()); /* the same message is the same bytes: a retransmission costs no signature */
    assert_memory_equal(first, ends.sent.data, ends.sent.len);
    ends.content.seq = 2;
    assert_ok(build());
    assert_memory_not_equal(first + ISAKMP_HEADER_LEN, ends.sent.data + ISAKMP_HEADER_LEN,
                            16); /* SEQ is in the first block */
    assert_ok(take());           /* readable without having seen the first */
    assert_int_equal(ends.got.seq, 2);
}

static void trap_5_digest_info_is_sent_and_wanted_and_bare_signatures_are_for_any_dialect(void **state)
{
    (void)state;
    ends.dialect.bare_signature = true;
    assert_ok(build());
    assert_err(take(), E_BAD_SIGNATURE);
    ends.member.any_dialect = true;
    assert_ok(take());
    ends.dialect.bare_signature = false;
    assert_ok(build());
    assert_ok(take());
}

/* A push under kek 1 that brings kek n; the server goes over to it afterwards. */
static void roll_kek_to(uint8_t n, enum sign_alg alg)
{
    ends.policy.has_kek = true;
    fixture_kek(&ends.policy.kek, n, CIPHER_AES_CBC_128, alg);
    build_and_accept();
    assert_memory_equal(ends.member.kek.spi, ends.policy.kek.spi, KEK_SPI_LEN);
    memcpy(&ends.kek, &ends.policy.kek, sizeof(ends.kek));
    ends.policy.has_kek = false;
    ends.content.seq++;
}

static void dialect_2_the_sequence_goes_on_under_a_new_kek(void **state)
{
    (void)state;
    build_and_accept();
    ends.content.seq++;
    roll_kek_to(2, SIGN_RSA);
    assert_int_equal(ends.member.last_seq, 2);
    build_and_accept(); /* 3, not 1 (PROTOCOL 11.2) */
    assert_int_equal(ends.member.last_seq, 3);
    ends.content.seq = 1;
    assert_ok(build());
    assert_err(take(), E_REPLAY); /* the sequence never goes back */
}

static void dialect_1_a_new_kek_under_the_old_spi_is_taken(void **state)
{
    (void)state;
    ends.dialect.kek_under_old_spi = true;
    roll_kek_to(2, SIGN_RSA);
    build_and_accept();
}

static void dialect_3_a_lifetime_as_tv_is_sent_in_a_push_too(void **state)
{
    (void)state;
    ends.dialect.lifetime_basic = true;
    ends.policy.has_kek = true;
    fixture_kek(&ends.policy.kek, 2, CIPHER_AES_CBC_128, SIGN_RSA);
    ends.policy.kek.lifetime_s = 300;
    build_and_accept();
    assert_int_equal(ends.member.kek.lifetime_s, 300);
}

static void a_push_that_brings_a_kek_is_itself_under_the_old_one(void **state)
{
    (void)state;
    struct kek old;
    memcpy(&old, &ends.kek, sizeof(old));
    roll_kek_to(2, SIGN_RSA);
    assert_memory_equal(ends.sent.data, old.spi, KEK_SPI_LEN);
    memcpy(&ends.kek, &old, sizeof(old)); /* and afterwards the old one opens nothing */
    assert_ok(build());
    assert_err(take(), E_UNKNOWN_SPI);
}

static void the_kek_in_use_may_be_told_again(void **state)
{
    (void)state;
    ends.policy.has_kek = true; /* as the reference implementation does in each push */
    fixture_kek(&ends.policy.kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    ends.policy.kek.lifetime_s = 7;
    build_and_accept();
    ends.content.seq = 2;
    build_and_accept();
    assert_int_equal(ends.member.kek.lifetime_s, 7);
}

static void the_signing_key_changes_with_a_kek_or_stays(void **state)
{
    (void)state;
    roll_kek_to(2, SIGN_ECDSA_256); /* signed by the old key, brings the new one */
    assert_err(build(), E_BAD_KEY);
    sign_key_free(ends.key);
    ends.key = fixture_sign_key(SIGN_ECDSA_256);
    build_and_accept();
    ends.content.seq++;

    ends.policy.has_kek = true;
    fixture_kek(&ends.policy.kek, 3, CIPHER_AES_CBC_128, SIGN_ECDSA_256);
    ends.policy.kek.public_len = 0;
    build_and_accept();
    memcpy(&ends.kek, &ends.policy.kek, sizeof(ends.kek));
    ends.policy.has_kek = false;
    ends.content.seq++;
    build_and_accept(); /* the key of before verifies it */
    assert_int_equal(ends.member.last_seq, 4);
}

static void a_sequence_from_the_pull_bars_older_pushes(void **state)
{
    (void)state;
    push_member_close(&ends.member);
    must(push_member_open(&ends.member, &ends.kek, 41, false));
    ends.content.seq = 40;
    assert_ok(build());
    assert_err(take(), E_REPLAY);
    assert_int_equal(ends.got.seq, 40);
    assert_false(ends.got.repeated);
    ends.content.seq = 42;
    build_and_accept();
    ends.content.seq = UINT32_MAX;
    build_and_accept();
    assert_int_equal(ends.member.last_seq, UINT32_MAX);
}

static void the_newest_push_again_asks_for_its_acknowledgement_again(void **state)
{
    (void)state;
    build_and_accept();
    assert_err(take(), E_REPLAY);
    assert_true(ends.got.repeated);
    assert_int_equal(ends.got.seq, 1);
    assert_false(ends.got.has_policy);
    ends.policy.teks[0].lifetime_s -= 5; /* other bytes, as from a new primary */
    assert_ok(build());
    assert_err(take(), E_REPLAY);
    assert_true(ends.got.repeated);
    ends.buf[ends.sent.len - 40] ^= 1; /* but not for one that anybody could have made */
    assert_err(take(), E_BAD_SIGNATURE);
    assert_false(ends.got.repeated);
}

static void deletes_name_one_key_or_all(void **state)
{
    (void)state;
    ends.content.policy = NULL; /* "the SA and KD payloads MUST be omitted", RFC 6407 5.9 */
    ends.content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .tek_spi = 0x11220001};
    ends.content.deletes[1] = (struct push_delete){.protocol = 0};
    memcpy(ends.content.deletes[1].kek_spi, ends.kek.spi, KEK_SPI_LEN);
    ends.content.delete_count = 2;
    build_and_accept();
    assert_false(ends.got.has_policy);
    assert_int_equal(ends.got.delete_count, 2);
    assert_true(push_deletes_tek(&ends.got, 0x11220001));
    assert_false(push_deletes_tek(&ends.got, 0x11220002));
    assert_true(push_deletes_kek(&ends.got, ends.kek.spi));
    uint8_t other[KEK_SPI_LEN] = {1};
    assert_false(push_deletes_kek(&ends.got, other));

    ends.content.seq = 2;
    ends.content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .all = true};
    ends.content.deletes[1] = (struct push_delete){.protocol = 0, .all = true};
    build_and_accept();
    assert_true(ends.got.deletes[0].all && ends.got.deletes[1].all);
    assert_true(push_deletes_tek(&ends.got, 0x11220002));
    assert_true(push_deletes_kek(&ends.got, other));
}

static void old_keys_may_be_deleted_beside_new_ones(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUSH_DELETE_MAX; i++)
        ends.content.deletes[i] = (struct push_delete){.protocol = SAT_ESP, .tek_spi = 0x2000 + (uint32_t)i};
    ends.content.delete_count = PUSH_DELETE_MAX;
    build_and_accept();
    assert_int_equal(ends.got.delete_count, PUSH_DELETE_MAX);
    assert_true(push_deletes_tek(&ends.got, 0x2000 + PUSH_DELETE_MAX - 1));
    assert_false(push_deletes_kek(&ends.got, ends.kek.spi));
    assert_true(ends.got.has_policy);
}

static void a_push_that_makes_no_sense_is_not_built(void **state)
{
    (void)state;
    ends.policy.sid_count = 1;
    ends.policy.sid_bits = 8;
    assert_err(build(), E_UNEXPECTED); /* sender ids are one member's, RFC 6407 5.6.4.4 */
    ends.policy.sid_count = 0;
    ends.policy.tek_count = 0;
    assert_err(build(), E_MISSING);
    ends.content.policy = NULL;
    assert_err(build(), E_MISSING);
    ends.content.delete_count = PUSH_DELETE_MAX + 1;
    assert_err(build(), E_LIMIT);
    ends.content.delete_count = 0;
    ends.content.policy = &ends.policy;
    ends.policy.tek_count = 1;
    ends.kek.iv_key.len--;
    assert_err(build(), E_BAD_KEY);
    ends.kek.iv_key.len++;
    ends.kek.sig_alg = SIGN_ECDSA_256;
    assert_err(build(), E_BAD_KEY);
}

static void a_buffer_that_is_too_small_holds_no_key(void **state)
{
    (void)state;
    const struct bytes key = secret_view(&ends.policy.teks[0].key);
    assert_ok(build());
    size_t len = ends.sent.len;
    for (size_t cap = 0; cap < len; cap += 3) {
        memset(ends.buf, 0, sizeof(ends.buf));
        struct writer w = writer_over(ends.buf, cap);
        assert_err(push_build(&ends.kek, ends.key, NULL, &ends.content, &w), E_FULL);
        assert_null(memmem(ends.buf, sizeof(ends.buf), key.data, key.len));
        assert_int_equal(writer_bytes(&w).len, 0);
    }
}

static void nothing_in_clear_is_left_behind(void **state)
{
    (void)state;
    assert_ok(build());
    assert_ok(take());
    assert_true(fixture_is_zero(ends.plain, sizeof(ends.plain)));
    push_received_close(&ends.got);
    assert_true(fixture_is_zero(&ends.got, sizeof(ends.got)));
    ends.buf[ends.sent.len - 1] ^= 1;
    assert_int_not_equal(take(), E_OK);
    assert_true(fixture_is_zero(ends.plain, sizeof(ends.plain)));
    assert_true(fixture_is_zero(&ends.got, sizeof(ends.got)));
}

static void a_rekey_sa_without_a_usable_public_key_is_not_opened(void **state)
{
    (void)state;
    struct push_member member;
    struct kek kek;
    fixture_kek(&kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    kek.sig_alg = SIGN_ECDSA_256; /* not what the key is */
    assert_err(push_member_open(&member, &kek, 0, false), E_BAD_KEY);
    fixture_kek(&kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    kek.public_key[30] ^= 0xff;
    kek.public_len /= 2;
    assert_err(push_member_open(&member, &kek, 0, false), E_BAD_KEY);
    kek.public_len = 0;
    assert_err(push_member_open(&member, &kek, 0, true), E_BAD_KEY);
    fixture_kek(&kek, 1, CIPHER_AES_CBC_256, SIGN_RSA);
    kek.iv_key.len--;
    assert_err(push_member_open(&member, &kek, 0, false), E_BAD_KEY);
}

static void every_failing_allocation_leaves_the_member_as_it_was(void **state)
{
    (void)state;
    ends.policy.has_kek = true;
    fixture_kek(&ends.policy.kek, 2, CIPHER_AES_CBC_128, SIGN_RSA);
    assert_ok(build());
    uint8_t spi[KEK_SPI_LEN];
    memcpy(spi, ends.member.kek.spi, sizeof(spi));
    for (long n = 0;; n++) {
        heap_fault_after(n);
        err_t err = take();
        if (err == E_OK)
            err = push_member_accept(&ends.member, &ends.got);
        int hit = heap_fault_hit();
        heap_fault_after(-1);
        if (!hit) {
            assert_ok(err);
            break;
        }
        assert_err(err, E_NO_MEMORY);
        assert_memory_equal(ends.member.kek.spi, spi, sizeof(spi));
        assert_int_equal(ends.member.last_seq, 0);
        assert_true(n < 20);
    }
    assert_memory_equal(ends.member.kek.spi, ends.policy.kek.spi, sizeof(spi));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_push_brings_a_new_tek),
        T(every_cipher_and_signature_carries_a_push),
        T(every_rsa_hash_is_signed_and_verified),
        T(the_header_is_that_of_rfc_6407),
        T(trap_3_either_reading_of_the_hashed_length_is_taken),
        T(trap_4_each_push_starts_from_the_iv_of_the_kek),
        T(trap_5_digest_info_is_sent_and_wanted_and_bare_signatures_are_for_any_dialect),
        T(dialect_2_the_sequence_goes_on_under_a_new_kek),
        T(dialect_1_a_new_kek_under_the_old_spi_is_taken),
        T(dialect_3_a_lifetime_as_tv_is_sent_in_a_push_too),
        T(a_push_that_brings_a_kek_is_itself_under_the_old_one),
        T(the_kek_in_use_may_be_told_again),
        T(the_signing_key_changes_with_a_kek_or_stays),
        T(a_sequence_from_the_pull_bars_older_pushes),
        T(the_newest_push_again_asks_for_its_acknowledgement_again),
        T(deletes_name_one_key_or_all),
        T(old_keys_may_be_deleted_beside_new_ones),
        T(a_push_that_makes_no_sense_is_not_built),
        T(a_buffer_that_is_too_small_holds_no_key),
        T(nothing_in_clear_is_left_behind),
        T(a_rekey_sa_without_a_usable_public_key_is_not_opened),
        T(every_failing_allocation_leaves_the_member_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

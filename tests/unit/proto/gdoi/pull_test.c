/* Both ends of a GROUPKEY-PULL in one process: what is told arrives, and steps that may not be taken are not.
 */
#include "tests/unit/proto/gdoi/pull_ends.h"

static void a_member_is_told_the_whole_policy(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    run(&policy, 0, 41);
    assert_true(fixture_same_policy(&ends.member.policy, &policy));
    assert_true(ends.member.has_seq);
    assert_int_equal(ends.member.seq, 41);
    assert_true(identity_equal(&ends.server.group, &ends.group));
    assert_int_equal(ends.server.sid_request, 0);
}

static void every_suite_of_phase_1_carries_a_pull(void **state)
{
    (void)state;
    static const enum cipher_alg ciphers[] = {CIPHER_3DES_CBC, CIPHER_AES_CBC_128, CIPHER_AES_CBC_256};
    static const enum hash_alg hashes[] = {HASH_SHA1, HASH_SHA256, HASH_SHA384, HASH_SHA512};
    struct group_policy policy;
    fixture_policy(&policy);
    for (size_t c = 0; c < ARRAY_LEN(ciphers); c++)
        for (size_t h = 0; h < ARRAY_LEN(hashes); h++) {
            begin(ciphers[c], hashes[h]);
            run(&policy, 0, 1);
            assert_true(fixture_same_policy(&ends.member.policy, &policy));
            teardown(NULL);
        }
}

static void every_kind_of_rekey_sa_is_told(void **state)
{
    (void)state;
    static const enum cipher_alg ciphers[] = {CIPHER_3DES_CBC, CIPHER_AES_CBC_128, CIPHER_AES_CBC_192,
                                              CIPHER_AES_CBC_256};
    static const enum sign_alg algs[] = {SIGN_RSA, SIGN_ECDSA_256, SIGN_ECDSA_384};
    static const enum kek_ack acks[] = {KEK_ACK_NONE, KEK_ACK_SHA256, LKH_ACK_SHA256, KEK_ACK_SHA512};
    struct group_policy policy;
    fixture_policy(&policy);
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        begin(CIPHER_AES_CBC_128, HASH_SHA256);
        fixture_kek(&policy.kek, 1, ciphers[i], algs[i % ARRAY_LEN(algs)]);
        policy.kek.ack = acks[i];
        run(&policy, 0, 1);
        assert_true(fixture_same_policy(&ends.member.policy, &policy));
        assert_int_equal(ends.member.policy.kek.ack, acks[i]);
        teardown(NULL);
    }
}

static void ipv6_selectors_and_key_server_are_told(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    must(addr_parse(&policy.rekey_src.addr, "2001:db8::1"));
    must(addr_parse(&policy.rekey_dst.addr, "::"));
    policy.selectors[0] =
        (struct selector){.src = fixture_prefix("2001:db8:1::/48"), .dst = fixture_prefix("::/0")};
    policy.selectors[1] = (struct selector){.src = fixture_prefix("2001:db8::7"),
                                            .dst = fixture_prefix("ff0e::/16"),
                                            .protocol = 6,
                                            .src_port = 80};
    run(&policy, 0, 1);
    assert_true(fixture_same_policy(&ends.member.policy, &policy));
    assert_true(endpoint_equal(&ends.member.policy.rekey_src, &policy.rekey_src));
    assert_int_equal(ends.member.policy.rekey_dst.addr.family, AF_INET6);
}

static void sender_ids_come_for_a_counter_mode(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy_gcm(&policy);
    run(&policy, 2, 1);
    assert_int_equal(ends.server.sid_request, 2); /* GAP of message 3 */
    assert_int_equal(ends.member.policy.sid_bits, 12);
    assert_int_equal(ends.member.policy.sid_count, 2);
    assert_int_equal(ends.member.policy.sids[1], 0xfff);
    assert_true(fixture_same_policy(&ends.member.policy, &policy));
}

static void sender_ids_of_each_size_come_whole(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {8, 12, 16}; /* RFC 6054 3 */
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct group_policy policy;
        begin(CIPHER_AES_CBC_256, HASH_SHA256);
        fixture_policy_gcm(&policy);
        policy.sid_bits = sizes[i];
        policy.sids[0] = 0; /* "the first SID allocated to be zero", RFC 6407 3.5 */
        policy.sids[1] = (1u << sizes[i]) - 1;
        run(&policy, 0, 1);
        assert_int_equal(ends.member.policy.sid_bits, sizes[i]);
        assert_int_equal(ends.member.policy.sids[0], 0);
        assert_int_equal(ends.member.policy.sids[1], (1u << sizes[i]) - 1);
        teardown(NULL);
    }
}

static void no_sender_id_is_asked_for_without_a_counter_mode(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    run(&policy, 2, 1);
    assert_int_equal(ends.server.sid_request, 0);
}

static void a_group_without_rekeys_has_neither_kek_nor_sequence(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    policy.has_kek = false;
    run(&policy, 0, 41);
    assert_false(ends.member.has_seq);
    assert_false(ends.member.policy.has_kek);
    assert_true(fixture_same_policy(&ends.member.policy, &policy));
}

static void keys_of_single_selectors_stay_with_them(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    fixture_tek(&policy.teks[policy.tek_count++], 2, fixture_cbc);
    policy.teks[0].covers[0] = 1;
    policy.teks[1].covers[0] = 2;
    run(&policy, 0, 1);
    assert_true(fixture_same_policy(&ends.member.policy, &policy));
    assert_true(tek_covers(&ends.member.policy.teks[1], 1));
    assert_false(tek_covers(&ends.member.policy.teks[1], 0));
}

static void dialect_3_a_lifetime_as_tv_is_read_the_same(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    policy.kek.lifetime_s = 3600;
    ends.dialect.lifetime_basic = true;
    run(&policy, 0, 1);
    assert_int_equal(ends.member.policy.kek.lifetime_s, 3600);
}

static void two_pulls_run_at_once_under_one_sa(void **state)
{
    (void)state;
    struct group_policy policy;
    struct pull_member other = {0};
    struct pull_server other_server = {0};
    static uint8_t buf[MESSAGE_CAP];
    struct identity group = identity_from_number(4444);
    fixture_policy(&policy);
    assert_ok(send_1(0));
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(pull_member_start(&other, &ends.member_sa, &ends.rng, &group, 0, &w));
    assert_int_not_equal(other.message_id, ends.member.message_id);
    assert_ok(pull_server_request(&other_server, &ends.server_sa, writer_bytes(&w), ends.plain));
    assert_ok(take(1, ends.sent[1]));
    assert_ok(send_2(&policy));
    w = writer_over(buf, sizeof(buf));
    assert_ok(pull_server_offer(&other_server, &ends.server_sa, &ends.rng, &policy, NULL, &w));

    static uint8_t reply[MESSAGE_CAP];
    struct writer r = writer_over(reply, sizeof(reply));
    assert_err(pull_member_step(&ends.member, &ends.member_sa, writer_bytes(&w), ends.plain, &r),
               E_BAD_MESSAGE_ID);
    assert_ok(pull_member_step(&other, &ends.member_sa, writer_bytes(&w), ends.plain, &r));
    assert_ok(take(2, ends.sent[2]));
    assert_ok(pull_server_confirm(&other_server, &ends.server_sa, writer_bytes(&r), ends.plain));
    assert_ok(take(3, ends.sent[3]));
    pull_member_close(&other);
    pull_server_close(&other_server);
}

static void keys_are_not_delivered_before_the_member_proved_itself(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    assert_err(send_2(&policy), E_STATE);
    assert_err(send_4(&policy, 1), E_STATE);
    assert_ok(send_1(0));
    assert_err(send_1(0), E_STATE);
    assert_err(take(3, ends.sent[1]), E_STATE);
    assert_ok(take(1, ends.sent[1]));
    assert_err(send_4(&policy, 1), E_STATE);
    assert_ok(send_2(&policy));
    assert_err(send_4(&policy, 1), E_STATE);
    assert_err(take(1, ends.sent[1]), E_STATE);
    assert_ok(take(2, ends.sent[2]));
    assert_ok(take(3, ends.sent[3]));
    assert_err(take(3, ends.sent[3]), E_STATE);
    assert_ok(send_4(&policy, 1));
    assert_err(send_4(&policy, 1), E_STATE);
}

static void other_keys_than_the_offered_ones_are_not_delivered(void **state)
{
    (void)state;
    struct group_policy policy, changed;
    fixture_policy(&policy);
    run_until(3, &policy, 0, 1);
    assert_ok(take(3, ends.sent[3]));

    changed = policy;
    changed.teks[0].spi++;
    assert_err(send_4(&changed, 1), E_STALE);
    changed = policy;
    fixture_kek(&changed.kek, 2, CIPHER_AES_CBC_256, SIGN_RSA);
    assert_err(send_4(&changed, 1), E_STALE);
    changed = policy;
    changed.has_kek = false;
    assert_err(send_4(&changed, 1), E_STALE);
    changed = policy;
    fixture_tek(&changed.teks[changed.tek_count++], 2, fixture_cbc);
    assert_err(send_4(&changed, 1), E_STALE);
    assert_ok(send_4(&policy, 1));
}

static void a_server_never_offers_or_delivers_what_its_member_must_refuse(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy_gcm(&policy);
    policy.tek_count = 0;
    assert_ok(send_1(0));
    assert_ok(take(1, ends.sent[1]));
    assert_err(send_2(&policy), E_MISSING);
    policy.tek_count = 2;
    assert_ok(send_2(&policy));
    assert_ok(take(2, ends.sent[2]));
    assert_ok(take(3, ends.sent[3]));
    policy.sid_count = 0;
    assert_err(send_4(&policy, 1), E_MISSING); /* GCM without a sender id */
    policy.sid_count = 1;
    policy.sids[0] = 1u << policy.sid_bits;
    assert_err(send_4(&policy, 1), E_RANGE);
}

static void nothing_in_clear_is_left_behind(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy_gcm(&policy);
    for (int n = 1; n <= 4; n++) {
        begin(CIPHER_AES_CBC_256, HASH_SHA256);
        run_until(n, &policy, 2, 1);
        memset(ends.plain, 0, sizeof(ends.plain));
        assert_ok(take(n, ends.sent[n]));
        assert_true(fixture_is_zero(ends.plain, sizeof(ends.plain)));
        teardown(NULL);
    }
    pull_member_close(&ends.member);
    assert_true(fixture_is_zero(&ends.member, sizeof(ends.member)));
}

static void a_full_buffer_is_refused_and_holds_no_key(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    run_until(4, &policy, 0, 1);
    struct pull_server delivered = ends.server;
    const struct bytes key = secret_view(&policy.teks[0].key);
    for (size_t cap = 0; cap < ends.sent[4].len; cap++) {
        uint8_t buf[1024];
        memset(buf, 0, sizeof(buf));
        struct writer w = writer_over(buf, cap);
        ends.server.state = PULL_S_CONFIRMED;
        assert_err(pull_server_deliver(&ends.server, &ends.server_sa, &policy, 1, &w), E_FULL);
        assert_int_equal(ends.server.state, PULL_S_CONFIRMED);
        assert_null(memmem(buf, sizeof(buf), key.data, key.len));
        assert_int_equal(writer_bytes(&w).len, 0);
    }
    ends.server = delivered;
}

static void a_full_buffer_stops_any_message_and_changes_nothing(void **state)
{
    (void)state;
    struct group_policy policy;
    uint8_t buf[1024];
    fixture_policy(&policy);
    for (size_t cap = 0; cap < 100; cap++) {
        struct pull_member member = {0};
        struct writer w = writer_over(buf, cap);
        err_t err = pull_member_start(&member, &ends.member_sa, &ends.rng, &ends.group, 0, &w);
        assert_int_equal(member.state, err == E_OK ? PULL_M_AWAIT_2 : PULL_M_IDLE);
        assert_true(err == E_OK || err == E_FULL);
    }
    run_until(2, &policy, 0, 1);
    remember(2);
    for (size_t cap = 0; cap < 60; cap++) {
        struct writer w = writer_over(buf, cap);
        assert_err(pull_member_step(&ends.member, &ends.member_sa, ends.sent[2], ends.plain, &w), E_FULL);
        assert_unchanged(2);
    }
    assert_ok(take(2, ends.sent[2]));
}

static void a_pull_needs_no_heap(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy_gcm(&policy);
    heap_fault_after(0);
    run(&policy, 2, 1);
    assert_false(heap_fault_hit());
    heap_fault_after(-1);
}

static err_t no_randomness(void *context, uint8_t *out, size_t len)
{
    memset(out, 0, len);
    return *(err_t *)context;
}

static void without_randomness_nothing_is_sent(void **state)
{
    (void)state;
    struct group_policy policy;
    err_t result = E_CRYPTO;
    struct rng good = ends.rng;
    fixture_policy(&policy);
    ends.rng = (struct rng){no_randomness, &result};
    assert_err(send_1(0), E_CRYPTO);
    result = E_OK; /* zeros: a message id of zero is phase 1's */
    assert_err(send_1(0), E_CRYPTO);
    ends.rng = good;
    assert_ok(send_1(0));
    assert_ok(take(1, ends.sent[1]));
    result = E_CRYPTO;
    ends.rng = (struct rng){no_randomness, &result};
    assert_err(send_2(&policy), E_CRYPTO);
    assert_int_equal(ends.server.state, PULL_S_REQUESTED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_member_is_told_the_whole_policy),
        T(every_suite_of_phase_1_carries_a_pull),
        T(every_kind_of_rekey_sa_is_told),
        T(ipv6_selectors_and_key_server_are_told),
        T(sender_ids_come_for_a_counter_mode),
        T(sender_ids_of_each_size_come_whole),
        T(no_sender_id_is_asked_for_without_a_counter_mode),
        T(a_group_without_rekeys_has_neither_kek_nor_sequence),
        T(keys_of_single_selectors_stay_with_them),
        T(dialect_3_a_lifetime_as_tv_is_read_the_same),
        T(two_pulls_run_at_once_under_one_sa),
        T(keys_are_not_delivered_before_the_member_proved_itself),
        T(other_keys_than_the_offered_ones_are_not_delivered),
        T(a_server_never_offers_or_delivers_what_its_member_must_refuse),
        T(nothing_in_clear_is_left_behind),
        T(a_full_buffer_is_refused_and_holds_no_key),
        T(a_full_buffer_stops_any_message_and_changes_nothing),
        T(a_pull_needs_no_heap),
        T(without_randomness_nothing_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

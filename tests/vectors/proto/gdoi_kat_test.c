/* gdoi_kat_test.c - GROUPKEY-PULL against recorded exchanges: the reference implementation's log
 * (gdoi_kat.json: 3DES, SHA-1), and its capture with AES and SHA-256. Byte for byte where we write the same.
 */
#include "proto/gdoi/pull_member.h"
#include "proto/gdoi/pull_server.h"
#include "tests/vectors/proto/recorded.h"

/* The rng of the member of the log: its message id, then its nonce. */
static err_t draw(void *context, uint8_t *out, size_t len)
{
    read_into(context, out, len);
    return ((struct reader *)context)->err;
}

static void sa_of_log(struct isakmp_sa *sa)
{
    *sa = (struct isakmp_sa){.suite = {.cipher = CIPHER_3DES_CBC, .hash = HASH_SHA1}, .established = true};
    kat_copy("cky_i", sa->cookie_i, COOKIE_LEN);
    kat_copy("cky_r", sa->cookie_r, COOKIE_LEN);
    assert_ok(secret_set(&sa->skeyid_a, kat_bytes("skeyid_a")));
    assert_ok(secret_set(&sa->key, kat_bytes("ka")));
    struct bytes last = kat_bytes("mm6_wire");
    memcpy(sa->last_block, last.data + last.len - 8, 8);
}

/* A member that has sent message 1 as in the log. */
static void start_as_logged(struct pull_member *pull, const struct isakmp_sa *sa, struct writer *w)
{
    uint8_t script[4 + 16];
    kat_copy("pull_msgid", script, 4);
    kat_copy("pull_ni_b", script + 4, 16);
    struct reader r = reader_over(BYTES_OF(script));
    const struct rng rng = {draw, &r};
    const struct identity group = identity_from_number(1234);
    memset(pull, 0, sizeof(*pull));
    pull->any_dialect = true; /* 3DES, HMAC-SHA-1, no KEK lifetime */
    pull->ni_len = 16;
    assert_ok(pull_member_start(pull, sa, &rng, &group, 0, w));
}

static void the_four_messages_of_the_log_are_read_and_ours_are_the_same_bytes(void **state)
{
    (void)state;
    struct isakmp_sa sa;
    struct pull_member pull;
    uint8_t buf[1024], plain[1024];
    sa_of_log(&sa);

    struct writer w = writer_over(buf, sizeof(buf));
    start_as_logged(&pull, &sa, &w);
    assert_same(writer_bytes(&w),
                kat_bytes("pull1_wire")); /* IV of the exchange, HASH(1), group id of 4 octets */

    w = writer_over(buf, sizeof(buf));
    assert_ok(pull_member_step(&pull, &sa, kat_bytes("pull2_wire"), plain, &w)); /* HASH(2) */
    assert_same(writer_bytes(&w), kat_bytes("pull3_wire"));                      /* HASH(3) */
    assert_same((struct bytes){pull.nr, pull.nr_len}, kat_bytes("pull_nr_b"));

    assert_ok(pull_member_step(&pull, &sa, kat_bytes("pull4_wire"), plain, &w)); /* HASH(4) */
    assert_int_equal(pull.state, PULL_M_DONE);
    assert_true(pull.has_seq);
    assert_int_equal(pull.seq, 0);
    pull_member_close(&pull);
}

static void run_member_of_log(struct pull_member *pull, struct isakmp_sa *sa)
{
    uint8_t buf[1024], plain[1024];
    sa_of_log(sa);
    struct writer w = writer_over(buf, sizeof(buf));
    start_as_logged(pull, sa, &w);
    assert_ok(pull_member_step(pull, sa, kat_bytes("pull2_wire"), plain, &w));
    assert_ok(pull_member_step(pull, sa, kat_bytes("pull4_wire"), plain, &w));
}

static void the_keys_of_the_log_come_out(void **state)
{
    (void)state;
    struct isakmp_sa sa;
    struct pull_member pull;
    run_member_of_log(&pull, &sa);
    const struct group_policy *policy = &pull.policy;

    assert_true(policy->has_kek);
    assert_bytes(BYTES_OF(policy->kek.spi), "6162636465666768 3031323334353637");
    assert_int_equal(policy->kek.cipher, CIPHER_3DES_CBC);
    assert_int_equal(policy->kek.sig_hash, HASH_SHA1);
    assert_int_equal(policy->kek.sig_alg, SIGN_RSA);
    assert_int_equal(policy->kek.ack, KEK_ACK_NONE);
    assert_same(kek_key(&policy->kek), kat_bytes("kek"));
    assert_same(bytes_slice(secret_view(&policy->kek.iv_key), 0, 8), kat_bytes("kek_iv"));
    assert_same((struct bytes){policy->kek.public_key, policy->kek.public_len},
                kat_bytes("sig_pub_spki_der"));
    assert_int_equal(policy->rekey_dst.port, GDOI_PORT);

    assert_int_equal(policy->tek_count, 2);
    assert_int_equal(policy->teks[0].spi, 0x1122aabb);
    assert_int_equal(policy->teks[1].spi, 0x3344ccdd);
    assert_int_equal(policy->teks[0].lifetime_s, 60);
    assert_bytes(secret_view(&policy->teks[0].key), "4142434445464748494a4b4c4d4e4f505152535455565758");
    assert_bytes(secret_view(&policy->teks[0].integrity), "3132333435363738393031323334353637383930");
    pull_member_close(&pull);
}

static void traps_1_and_2_no_dst_protocol_octet_and_id_lengths_of_one_octet(void **state)
{
    (void)state;
    struct isakmp_sa sa;
    struct pull_member pull;
    run_member_of_log(&pull, &sa);
    /* With an octet or a wider length in between neither address nor port of the recorded SAK and SATs would
     * come out. */
    const struct group_policy *policy = &pull.policy;
    struct addr server = addr_v4(10, 0, 0xe0, 0x2c), group = addr_v4(239, 10, 1, 1),
                to = addr_v4(239, 1, 1, 1);
    assert_true(addr_equal(&policy->rekey_src.addr, &server));
    assert_true(addr_equal(&policy->rekey_dst.addr, &group));
    assert_int_equal(policy->rekey_src.port, GDOI_PORT);
    assert_int_equal(policy->selector_count, 2);
    assert_true(addr_equal(&policy->selectors[0].dst.addr, &to));
    assert_int_equal(policy->selectors[0].dst.bits, 32);
    assert_int_equal(policy->selectors[0].src_port, 0);
    /* Two keys, each for a sender of its own. */
    assert_true(tek_covers(&policy->teks[0], 0) && !tek_covers(&policy->teks[0], 1));
    assert_true(tek_covers(&policy->teks[1], 1) && !tek_covers(&policy->teks[1], 0));
    pull_member_close(&pull);
}

static void a_strict_member_refuses_the_weak_policy_of_the_log(void **state)
{
    (void)state;
    struct isakmp_sa sa;
    struct pull_member pull;
    uint8_t buf[1024], plain[1024];
    sa_of_log(&sa);
    struct writer w = writer_over(buf, sizeof(buf));
    start_as_logged(&pull, &sa, &w);
    pull.any_dialect = false;
    w = writer_over(buf, sizeof(buf));
    assert_err(pull_member_step(&pull, &sa, kat_bytes("pull2_wire"), plain, &w),
               E_RANGE); /* a KEK without lifetime */
    assert_int_equal(pull.state, PULL_M_AWAIT_2);
    pull_member_close(&pull);
}

static void our_server_reads_the_logged_member_and_writes_the_logged_message_4(void **state)
{
    (void)state;
    struct isakmp_sa sa;
    struct pull_member member;
    struct pull_server pull = {0};
    uint8_t buf[1024], plain[1024];
    run_member_of_log(&member, &sa); /* for its policy */
    const struct identity group = identity_from_number(1234);

    assert_ok(pull_server_request(&pull, &sa, kat_bytes("pull1_wire"), plain));
    assert_true(identity_equal(&pull.group, &group));
    assert_same((struct bytes){pull.ni, pull.ni_len}, kat_bytes("pull_ni_b"));

    /* Message 2 of the log instead of ours. */
    struct bytes sent = kat_bytes("pull2_wire");
    memcpy(pull.iv, sent.data + sent.len - 8, 8);
    kat_copy("pull_nr_b", pull.nr, 16);
    pull.nr_len = 16;
    pull.offered_kek = true;
    memcpy(pull.kek_spi, member.policy.kek.spi, KEK_SPI_LEN);
    pull.tek_count = member.policy.tek_count;
    for (size_t i = 0; i < pull.tek_count; i++)
        pull.tek_spis[i] = member.policy.teks[i].spi;
    pull.state = PULL_S_OFFERED;

    assert_ok(pull_server_confirm(&pull, &sa, kat_bytes("pull3_wire"), plain));
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(pull_server_deliver(&pull, &sa, &member.policy, 0, &w));
    assert_same(writer_bytes(&w), kat_bytes("pull4_wire"));
    pull_server_close(&pull);
    pull_member_close(&member);
}

static void the_aes_capture_is_read_by_both_ends(void **state)
{
    (void)state;
    struct recorded_aes aes;
    struct pull_server server = {0};
    struct pull_member member = {0};
    uint8_t buf[1024], plain[1024];
    recorded_aes_open(&aes);

    assert_ok(pull_server_request(&server, &aes.sa, aes.pull[0], plain));
    assert_int_equal(server.group.len, 4);
    assert_memory_equal(server.group.data, "\xd2\x04\x00\x00", 4); /* their 1234, in host order */
    member.state = PULL_M_AWAIT_2;                                 /* as if it had sent what we just read */
    member.any_dialect = true;
    member.message_id = server.message_id;
    memcpy(member.iv, server.iv, sizeof(member.iv));
    memcpy(member.ni, server.ni, server.ni_len);
    member.ni_len = server.ni_len;

    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(pull_member_step(&member, &aes.sa, aes.pull[1], plain, &w));
    assert_same(writer_bytes(&w), aes.pull[2]);
    assert_ok(pull_member_step(&member, &aes.sa, aes.pull[3], plain, &w));

    const struct group_policy *policy = &member.policy;
    struct prefix from = {addr_v4(10, 1, 0, 0), 16};
    struct prefix to = {addr_v4(239, 192, 1, 1), 32};
    assert_int_equal(policy->kek.cipher, CIPHER_AES_CBC_128);
    assert_int_equal(policy->kek.sig_hash, HASH_SHA256);
    assert_int_equal(policy->kek.sig_key_bits, 2048);
    assert_bytes(kek_key(&policy->kek), "e42238435b9836c5e2449630cd30aeda");
    assert_true(policy->has_delays);
    assert_int_equal(policy->activation_s, 60);
    assert_int_equal(policy->deactivation_s, 90);
    assert_int_equal(policy->tek_count, 1);
    assert_int_equal(policy->teks[0].spi, 0x95b0fe8d);
    assert_int_equal(policy->teks[0].suite.key_bits, 128);
    assert_bytes(secret_view(&policy->teks[0].key), "1a8014ae0d71c0c9128fbf8ec3cd1101");
    assert_bytes(secret_view(&policy->teks[0].integrity), "cd936f80b939ec60e96a833920cf83f52b63f30d");
    assert_int_equal(policy->selector_count, 1);
    assert_true(prefix_equal(&policy->selectors[0].src, &from)); /* host order here too */
    assert_true(prefix_equal(&policy->selectors[0].dst, &to));
    pull_member_close(&member);
    pull_server_close(&server);
    recorded_aes_close(&aes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_four_messages_of_the_log_are_read_and_ours_are_the_same_bytes),
        cmocka_unit_test(the_keys_of_the_log_come_out),
        cmocka_unit_test(traps_1_and_2_no_dst_protocol_octet_and_id_lengths_of_one_octet),
        cmocka_unit_test(a_strict_member_refuses_the_weak_policy_of_the_log),
        cmocka_unit_test(our_server_reads_the_logged_member_and_writes_the_logged_message_4),
        cmocka_unit_test(the_aes_capture_is_read_by_both_ends),
    };
    return cmocka_run_group_tests(tests, recorded_kat_open, recorded_kat_close);
}

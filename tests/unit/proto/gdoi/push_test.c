/* Both ends of a GROUPKEY-PUSH in one process. */
#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

struct ends {
    struct kek kek;
    struct sign_key *key;
    struct push_member member;
    struct gdoi_dialect dialect;
    struct push_content content;
    struct group_policy policy; /* of the content */
    struct push_received got;
    uint8_t buf[MESSAGE_CAP];
    uint8_t plain[MESSAGE_CAP];
    struct bytes sent;
};

static struct ends ends;

static void begin(enum cipher_alg cipher, enum sign_alg alg)
{
    memset(&ends, 0, sizeof(ends));
    fixture_kek(&ends.kek, 1, cipher, alg);
    ends.key = fixture_sign_key(alg);
    must(push_member_open(&ends.member, &ends.kek, 0, false));
    ends.policy.rekey_src = (struct endpoint){addr_v4(192, 0, 2, 1), GDOI_PORT};
    ends.policy.rekey_dst = (struct endpoint){addr_v4(0, 0, 0, 0), GDOI_PORT};
    fixture_tek(&ends.policy.teks[0], 9, fixture_gcm);
    ends.policy.tek_count = 1;
    ends.policy.selectors[0] =
        (struct selector){.src = fixture_prefix("10.1.0.0/16"), .dst = fixture_prefix("10.1.0.0/16")};
    ends.policy.selector_count = 1;
    ends.content = (struct push_content){.seq = 1, .policy = &ends.policy};
}

static int setup(void **state)
{
    (void)state;
    begin(CIPHER_AES_CBC_256, SIGN_RSA);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    push_received_close(&ends.got);
    push_member_close(&ends.member);
    sign_key_free(ends.key);
    return 0;
}

static err_t build(void)
{
    struct writer w = writer_over(ends.buf, sizeof(ends.buf));
    err_t err = push_build(&ends.kek, ends.key, &ends.dialect, &ends.content, &w);
    ends.sent = writer_bytes(&w);
    return err;
}

static err_t take(void)
{
    push_received_close(&ends.got);
    return push_member_open_message(&ends.member, ends.sent, ends.plain, &ends.got);
}

static void a_push_brings_a_new_tek(void **state)
{
    (void)state;
    assert_ok(build());
    assert_ok(take());
    assert_int_equal(ends.got.seq, 1);
    assert_true(ends.got.has_policy);
    assert_false(ends.got.policy.has_kek);
    assert_int_equal(ends.got.policy.tek_count, 1);
    assert_int_equal(ends.got.policy.teks[0].spi, ends.policy.teks[0].spi);
    assert_true(
        secret_equal(secret_view(&ends.got.policy.teks[0].key), secret_view(&ends.policy.teks[0].key)));
    assert_ok(push_member_accept(&ends.member, &ends.got));
    assert_int_equal(ends.member.last_seq, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_push_brings_a_new_tek, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

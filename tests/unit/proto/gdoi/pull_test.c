/* Both ends of a GROUPKEY-PULL in one process. */
#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

struct ends {
    struct isakmp_sa server_sa, member_sa;
    struct pull_server server;
    struct pull_member member;
    struct rng_seeded seed;
    struct rng rng;
    struct identity group;
    uint8_t messages[5][MESSAGE_CAP]; /* 1..4 */
    struct bytes sent[5];
    uint8_t plain[MESSAGE_CAP];
};

static struct ends ends;

static int setup(void **state)
{
    memset(&ends, 0, sizeof(ends));
    ends.rng = rng_seeded_init(&ends.seed, 7);
    ends.group = identity_from_number(FIXTURE_GROUP);
    fixture_sa(&ends.member_sa, true, CIPHER_AES_CBC_256, HASH_SHA256);
    fixture_sa(&ends.server_sa, false, CIPHER_AES_CBC_256, HASH_SHA256);
    *state = &ends;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pull_server_close(&ends.server);
    pull_member_close(&ends.member);
    isakmp_sa_close(&ends.member_sa);
    isakmp_sa_close(&ends.server_sa);
    return 0;
}

static struct writer message(int n)
{
    return writer_over(ends.messages[n], MESSAGE_CAP);
}

static err_t keep(int n, err_t err, const struct writer *w)
{
    if (err == E_OK)
        ends.sent[n] = writer_bytes(w);
    return err;
}

static err_t send_1(uint16_t sid_request)
{
    struct writer w = message(1);
    return keep(1, pull_member_start(&ends.member, &ends.member_sa, &ends.rng, &ends.group, sid_request, &w),
                &w);
}

static err_t take_1(void)
{
    return pull_server_request(&ends.server, &ends.server_sa, ends.sent[1], ends.plain);
}

static err_t send_2(const struct group_policy *policy)
{
    struct writer w = message(2);
    return keep(2, pull_server_offer(&ends.server, &ends.server_sa, &ends.rng, policy, NULL, &w), &w);
}

static err_t take_2(void)
{
    struct writer w = message(3);
    return keep(3, pull_member_step(&ends.member, &ends.member_sa, ends.sent[2], ends.plain, &w), &w);
}

static err_t take_3(void)
{
    return pull_server_confirm(&ends.server, &ends.server_sa, ends.sent[3], ends.plain);
}

static err_t send_4(const struct group_policy *policy, uint32_t seq)
{
    struct writer w = message(4);
    return keep(4, pull_server_deliver(&ends.server, &ends.server_sa, policy, seq, &w), &w);
}

static err_t take_4(void)
{
    struct writer w = writer_over(NULL, 0);
    return pull_member_step(&ends.member, &ends.member_sa, ends.sent[4], ends.plain, &w);
}

static void assert_told(const struct group_policy *told)
{
    const struct group_policy *got = &ends.member.policy;
    assert_int_equal(ends.member.state, PULL_M_DONE);
    assert_memory_equal(got, told, sizeof(*got));
}

static void run(const struct group_policy *policy, uint16_t sid_request, uint32_t seq)
{
    assert_ok(send_1(sid_request));
    assert_ok(take_1());
    assert_ok(send_2(policy));
    assert_ok(take_2());
    assert_ok(take_3());
    assert_ok(send_4(policy, seq));
    assert_ok(take_4());
}

static void a_member_is_told_the_whole_policy(void **state)
{
    (void)state;
    struct group_policy policy;
    fixture_policy(&policy);
    run(&policy, 0, 41);
    assert_told(&policy);
    assert_true(ends.member.has_seq);
    assert_int_equal(ends.member.seq, 41);
    assert_true(identity_equal(&ends.server.group, &ends.group));
    assert_int_equal(ends.server.sid_request, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_member_is_told_the_whole_policy, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

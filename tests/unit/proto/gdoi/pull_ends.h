/* pull_ends.h - both ends of one GROUPKEY-PULL, message by message. */
#ifndef TESTS_UNIT_PROTO_GDOI_PULL_ENDS_H
#define TESTS_UNIT_PROTO_GDOI_PULL_ENDS_H

#include "tests/lib/gdoi_fixture.h"
#include "tests/lib/test.h"

struct ends {
    struct isakmp_sa server_sa, member_sa;
    struct pull_server server;
    struct pull_member member;
    struct rng_seeded seed;
    struct rng rng;
    struct identity group;
    struct gdoi_dialect dialect;
    uint8_t messages[5][MESSAGE_CAP]; /* 1..4 */
    struct bytes sent[5];
    uint8_t plain[MESSAGE_CAP];
};

static struct ends ends;

static inline void begin(enum cipher_alg cipher, enum hash_alg hash)
{
    memset(&ends, 0, sizeof(ends));
    ends.rng = rng_seeded_init(&ends.seed, 7);
    ends.group = identity_from_number(FIXTURE_GROUP);
    fixture_sa(&ends.member_sa, true, cipher, hash);
    fixture_sa(&ends.server_sa, false, cipher, hash);
}

static inline int setup(void **state)
{
    (void)state;
    begin(CIPHER_AES_CBC_256, HASH_SHA256);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    pull_server_close(&ends.server);
    pull_member_close(&ends.member);
    isakmp_sa_close(&ends.member_sa);
    isakmp_sa_close(&ends.server_sa);
    return 0;
}

static inline struct writer message(int n)
{
    return writer_over(ends.messages[n], MESSAGE_CAP);
}

static inline err_t keep(int n, err_t err, const struct writer *w)
{
    if (err == E_OK)
        ends.sent[n] = writer_bytes(w);
    return err;
}

static inline err_t send_1(uint16_t sid_request)
{
    struct writer w = message(1);
    return keep(1, pull_member_start(&ends.member, &ends.member_sa, &ends.rng, &ends.group, sid_request, &w),
                &w);
}

static inline err_t send_2(const struct group_policy *policy)
{
    struct writer w = message(2);
    return keep(2, pull_server_offer(&ends.server, &ends.server_sa, &ends.rng, policy, &ends.dialect, &w),
                &w);
}

static inline err_t send_4(const struct group_policy *policy, uint32_t seq)
{
    struct writer w = message(4);
    return keep(4, pull_server_deliver(&ends.server, &ends.server_sa, policy, seq, &w), &w);
}

/* Message n is taken by the end that it is for; message 2 makes message 3. */
static inline err_t take(int n, struct bytes datagram)
{
    struct writer w = n == 2 ? message(3) : writer_over(NULL, 0);
    if (n == 1)
        return pull_server_request(&ends.server, &ends.server_sa, datagram, ends.plain);
    if (n == 3)
        return pull_server_confirm(&ends.server, &ends.server_sa, datagram, ends.plain);
    err_t err = pull_member_step(&ends.member, &ends.member_sa, datagram, ends.plain, &w);
    return n == 2 ? keep(3, err, &w) : err;
}

/* Everything before message n is taken: n waits in sent[n]. */
static inline void run_until(int n, const struct group_policy *policy, uint16_t sid_request, uint32_t seq)
{
    assert_ok(send_1(sid_request));
    if (n == 1)
        return;
    assert_ok(take(1, ends.sent[1]));
    assert_ok(send_2(policy));
    if (n == 2)
        return;
    assert_ok(take(2, ends.sent[2]));
    if (n == 3)
        return;
    assert_ok(take(3, ends.sent[3]));
    assert_ok(send_4(policy, seq));
}

static inline void run(const struct group_policy *policy, uint16_t sid_request, uint32_t seq)
{
    run_until(4, policy, sid_request, seq);
    assert_ok(take(4, ends.sent[4]));
    assert_int_equal(ends.member.state, PULL_M_DONE);
}

/* --- an end that waits for a message, and what it was --- */

static struct group_policy told;
static uint8_t before[sizeof(struct pull_member)];

static inline void remember(int n)
{
    memcpy(before, n % 2 == 1 ? (void *)&ends.server : (void *)&ends.member,
           n % 2 == 1 ? sizeof(ends.server) : sizeof(ends.member));
}

static inline void assert_unchanged(int n)
{
    assert_memory_equal(before, n % 2 == 1 ? (void *)&ends.server : (void *)&ends.member,
                        n % 2 == 1 ? sizeof(ends.server) : sizeof(ends.member));
}

static inline void wait_for(int n)
{
    setup(NULL);
    fixture_policy_gcm(&told);
    run_until(n, &told, 2, 1);
    remember(n);
}

static inline void assert_taken(int n)
{
    assert_ok(take(n, ends.sent[n]));
    teardown(NULL);
}

#endif

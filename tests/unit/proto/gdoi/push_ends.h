/* push_ends.h - key server and member of a GROUPKEY-PUSH. */
#ifndef TESTS_UNIT_PROTO_GDOI_PUSH_ENDS_H
#define TESTS_UNIT_PROTO_GDOI_PUSH_ENDS_H

#include "tests/lib/gdoi_forge.h"
#include "tests/lib/test.h"

struct ends {
    struct kek kek; /* the one that encrypts */
    struct sign_key *key;
    struct push_member member;
    struct gdoi_dialect dialect;
    struct push_content content;
    struct group_policy policy; /* of the content: one AES-GCM TEK, one selector */
    struct push_received got;
    uint8_t buf[MESSAGE_CAP];
    uint8_t plain[MESSAGE_CAP];
    struct bytes sent;
};

static struct ends ends;

static inline void begin(enum cipher_alg cipher, enum sign_alg alg)
{
    memset(&ends, 0, sizeof(ends));
    fixture_kek(&ends.kek, 1, cipher, alg);
    ends.key = fixture_sign_key(alg);
    must(push_member_open(&ends.member, &ends.kek, 0, false));
    fixture_policy(&ends.policy);
    ends.policy.has_kek = false;
    ends.policy.selector_count = 1;
    fixture_tek(&ends.policy.teks[0], 9, fixture_gcm);
    ends.content = (struct push_content){.seq = 1, .policy = &ends.policy};
}

static inline int setup(void **state)
{
    (void)state;
    begin(CIPHER_AES_CBC_256, SIGN_RSA);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    push_received_close(&ends.got);
    push_member_close(&ends.member);
    sign_key_free(ends.key);
    ends.key = NULL;
    return 0;
}

static inline err_t build(void)
{
    struct writer w = writer_over(ends.buf, sizeof(ends.buf));
    err_t err = push_build(&ends.kek, ends.key, &ends.dialect, &ends.content, &w);
    ends.sent = writer_bytes(&w);
    return err;
}

static inline err_t open_bytes(struct bytes datagram)
{
    push_received_close(&ends.got);
    return push_member_open_message(&ends.member, datagram, ends.plain, &ends.got);
}

static inline err_t take(void)
{
    return open_bytes(ends.sent);
}

static inline void build_and_accept(void)
{
    assert_ok(build());
    assert_ok(take());
    assert_ok(push_member_accept(&ends.member, &ends.got));
}

#endif

/* pull_member.h - one GROUPKEY-PULL at the group member (RFC 6407 3.2). Pure. */
#ifndef PROTO_GDOI_PULL_MEMBER_H
#define PROTO_GDOI_PULL_MEMBER_H

#include "base/rng.h"
#include "proto/gdoi/group_policy.h"
#include "proto/ike/isakmp_sa.h"
#include "proto/ike/main_mode.h"

enum pull_member_state { PULL_M_IDLE, PULL_M_AWAIT_2, PULL_M_AWAIT_4, PULL_M_DONE };

struct pull_member {
    enum pull_member_state state;
    uint32_t message_id;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t ni[NONCE_MAX];
    size_t ni_len; /* drawn by start: NONCE_LEN, or what is set here before (8..128) */
    uint8_t nr[NONCE_MAX];
    size_t nr_len;
    bool any_dialect;           /* see group_policy_from_sa; may be set before start */
    uint16_t sid_request;       /* SIDs to ask for if the SA has a counter mode; 0: the one that all get */
    struct group_policy policy; /* complete once PULL_M_DONE: copy and close, or pull_member_close wipes */
    /* Highest push sequence number in use, from message 4. A push that was taken while the PULL ran has a
     * higher one, also under a newer KEK: then this number, and this policy, are stale (RFC 6407 3.3). */
    uint32_t seq;
    bool has_seq;
};

/* Message 1 into w. *pull is zeroed (but for what the comments above allow). message_id is drawn (non-zero);
 * that no other exchange of this SA has it is for the caller to see to: call again with a fresh struct. */
err_t pull_member_start(struct pull_member *pull, const struct isakmp_sa *sa, const struct rng *rng,
                        const struct identity *group, uint16_t sid_request, struct writer *w) MUST_USE;
/* Message 2 or 4. After 2, message 3 is in w. After 4, state is PULL_M_DONE. plain: scratch of datagram.len,
 * wiped on return. Errors change nothing: the shell drops the datagram and waits for a good one until its
 * timer ends the try. A repeat of message 2 (our message 3 was lost) is E_BAD_HASH or E_BAD_PADDING here:
 * send message 3 again, best by an answer cache. Refused although proven by HASH (the server's policy is not
 * for us; a new try will not help): E_MISSING (no TEK, no SID for a counter mode, no SEQ beside a KEK),
 * E_UNSUPPORTED, E_RANGE, E_BAD_KEY, E_UNKNOWN_SPI, E_UNKNOWN_CRITICAL, E_DUPLICATE, E_LIMIT. */
err_t pull_member_step(struct pull_member *pull, const struct isakmp_sa *sa, struct bytes datagram,
                       uint8_t *plain, struct writer *w) MUST_USE;
void pull_member_close(struct pull_member *pull);

#endif

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
    uint8_t ni[NONCE_LEN];
    uint8_t nr[NONCE_MAX];
    size_t nr_len;
    uint16_t sid_request;      /* SIDs to ask for when the SA has a counter-mode transform; 0 none */
    struct group_policy policy; /* complete once PULL_M_DONE; take it by copy and close, or pull_member_close wipes */
    uint32_t seq;              /* highest push sequence number in use, from message 4 */
    bool has_seq;
};

/* Message 1 into w. message_id is drawn (non-zero). */
err_t pull_member_start(struct pull_member *pull, const struct isakmp_sa *sa, const struct rng *rng,
                        const struct identity *group, uint16_t sid_request, struct writer *w) MUST_USE;
/* Message 2 or 4. After 2, message 3 is in w. After 4, state is PULL_M_DONE. plain: scratch of datagram.len, wiped on return.
 * Errors change nothing: the shell drops the datagram and waits for a good one until its timer ends the try. */
err_t pull_member_step(struct pull_member *pull, const struct isakmp_sa *sa, struct bytes datagram, uint8_t *plain,
                       struct writer *w) MUST_USE;
void pull_member_close(struct pull_member *pull);

#endif

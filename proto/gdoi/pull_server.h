/* pull_server.h - one GROUPKEY-PULL at the key server (RFC 6407 3.2). Pure; one struct per message id.
 *
 *   1 HDR*, HASH, Ni, ID    ->  pull_server_request: group identity out; caller looks up and authorises
 *                           <-  2 HDR*, HASH, Nr, SA            pull_server_offer
 *   3 HDR*, HASH [, GAP]    ->  pull_server_confirm: HASH(3) proves the member; caller commits
 *                           <-  4 HDR*, HASH, [SEQ,] KD         pull_server_deliver, after the commit (I1)
 */
#ifndef PROTO_GDOI_PULL_SERVER_H
#define PROTO_GDOI_PULL_SERVER_H

#include "base/rng.h"
#include "proto/gdoi/group_policy.h"
#include "proto/ike/isakmp_sa.h"
#include "proto/ike/main_mode.h"

enum pull_server_state { PULL_S_IDLE, PULL_S_REQUESTED, PULL_S_OFFERED, PULL_S_CONFIRMED, PULL_S_DELIVERED };

struct pull_server {
    enum pull_server_state state;
    uint32_t message_id;
    uint8_t iv[CIPHER_BLOCK_MAX];
    uint8_t ni[NONCE_MAX];
    size_t ni_len;
    uint8_t nr[NONCE_MAX];
    size_t nr_len;
    struct identity group; /* as asked for */
    uint16_t sid_request;  /* SIDs wanted, after confirm; as the member says, so bound it */
    bool offered_kek;      /* which keys message 2 announced: message 4 must bring the same */
    uint8_t kek_spi[KEK_SPI_LEN];
    uint32_t tek_spis[POLICY_TEK_MAX];
    size_t tek_count;
};

/* Message 1. *pull is zeroed. plain: scratch of datagram.len, wiped by the callee on return. E_BAD_HASH and
 * other errors change nothing. */
err_t pull_server_request(struct pull_server *pull, const struct isakmp_sa *sa, struct bytes datagram,
                          uint8_t *plain) MUST_USE;
/* Message 2 into w, with a fresh Nr. policy as told (keys are not sent here). E_MISSING: no TEK in it. Errors
 * change nothing but w. */
err_t pull_server_offer(struct pull_server *pull, const struct isakmp_sa *sa, const struct rng *rng,
                        const struct group_policy *policy, const struct gdoi_dialect *dialect,
                        struct writer *w) MUST_USE;
/* Message 3. Errors change nothing. */
err_t pull_server_confirm(struct pull_server *pull, const struct isakmp_sa *sa, struct bytes datagram,
                          uint8_t *plain) MUST_USE;
/* Message 4: SEQ (if the policy has a KEK) and KD. seq: most recently used value, 0 before the first push.
 * E_STALE: the policy has other SPIs than the one that was offered (a rekey came between): drop the exchange,
 * the member starts anew. E_MISSING: a counter-mode TEK without a SID (RFC 6407 5.6.4.4). */
err_t pull_server_deliver(struct pull_server *pull, const struct isakmp_sa *sa,
                          const struct group_policy *policy, uint32_t seq, struct writer *w) MUST_USE;
void pull_server_close(struct pull_server *pull);

#endif

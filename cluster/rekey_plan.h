/* rekey_plan.h - which keys are due, and the making of a rekey. Pure.
 *
 * Lead times (PROTOCOL 6): a TEK is renewed 90 s + retransmits + 5 s before its end, a KEK 200 s + retransmits + 5 s, never
 * later than half its life for short lifetimes. At most one rekey per group is on its way. */
#ifndef CLUSTER_REKEY_PLAN_H
#define CLUSTER_REKEY_PLAN_H

#include "base/rng.h"
#include "cluster/ks_state.h"
#include "proto/gdoi/push.h"

struct rekey_due {
    uint32_t group_id;
    enum rekey_kind kind;
    bool sid_reset; /* counter-mode SIDs are running out */
    bool split;     /* other servers are out of reach: the new key takes over late (ks_runway.h) */
};

/* Fills due (at most max) and *next_ms (cluster time of the next look; UINT64_MAX: none). Groups that are pushing are left out. */
size_t rekey_plan(const struct ks_state *state, uint64_t now_ms, struct rekey_due *due, size_t max, uint64_t *next_ms);
/* A counter mode whose newest TEK is of another SID length or epoch than what is given out now: its next rekey resets. */
bool rekey_changes_sids(const struct group_record *record);
/* Seconds before the end of a TEK / KEK at which it is renewed. */
uint32_t tek_lead_s(const struct group_config *config);
uint32_t kek_lead_s(const struct group_config *config);
/* The same for a TEK that was told with that lifetime. */
uint32_t tek_renewal_s(const struct group_config *config, uint32_t lifetime_s);

/* A rekey being made: draws and wraps keys on the loop (draft), signs in the pool (seal), then becomes a command. Holds clear
 * keys: close wipes. Nothing here has left the server; a draft that went stale is thrown away. */
struct rekey_draft {
    struct cmd_rekey command;     /* push is set by seal */
    struct group_policy policy;   /* what the push tells: new KEK if any, new TEK, selectors, delays */
    struct kek under;             /* KEK that seals the push (clear) */
    struct gdoi_dialect dialect;
    bool needs_push;              /* false for REKEY_INITIAL */
    uint8_t *push;                /* heap, PUSH size */
    size_t push_len;
    err_t err;                    /* of seal */
};
err_t rekey_draft_make(const struct ks_state *state, const struct rekey_due *due, const struct wrap_key *wrap,
                       const struct rng *rng, uint64_t now_ms, struct rekey_draft **out) MUST_USE;
/* In the pool: builds and signs. Touches only the draft and the key. Result in draft->err. */
void rekey_draft_seal(struct rekey_draft *draft, const struct sign_key *key);
/* The command, borrowing the draft's bytes. */
void rekey_draft_command(const struct rekey_draft *draft, uint64_t now_ms, struct command *out);
void rekey_draft_free(struct rekey_draft *draft);

#endif

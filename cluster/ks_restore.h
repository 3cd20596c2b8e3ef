/* ks_restore.h - the state of a lost cluster made that of a new one (docs/decisions/0009). Pure but for
 * randomness.
 *
 * Kept: groups with their policy, members, pre-shared keys, the signing key, and the keys in use, all wrapped
 * anew under the new cluster's id and data key. Left behind: key servers, authority, join tokens, the runway,
 * what was being pushed. Nothing that the old cluster handed out after the backup is handed out again:
 *
 *   sequence numbers, generations   RESTORE_SEQ_JUMP further, so the next push is new to every member
 *   SPIs of TEKs                    ks_tek.c draws them in a sixteenth of the numbers that the cluster's id
 * names, and the new id names another one than the old SIDs                            start again, with no
 * TEK told but those made after the restore keys                            every group is due for a new KEK
 * and TEK: its KEK counts as signed by no known key */
#ifndef CLUSTER_KS_RESTORE_H
#define CLUSTER_KS_RESTORE_H

#include "base/rng.h"
#include "cluster/ks_state.h"

enum {
    RESTORE_SEQ_JUMP =
        1 << 24, /* rekeys of one group between backup and loss: one a second for half a year */
    RESTORE_EPOCH_JUMP = 1 << 16,
};

/* old_key opens what is in state, new_key seals it. E_LIMIT: a group has had so many restores that its
 * sequence numbers would end; errors of keywrap_open. The state is of no use after an error. */
err_t ks_restore(struct ks_state *state, const struct wrap_key *old_key, const struct wrap_key *new_key,
                 const struct rng *rng) MUST_USE;
/* All rows of a restored state into an empty store. Errors stick to the transaction. */
void ks_restore_rows(struct ks_state *state, struct store_txn *txn);

#endif

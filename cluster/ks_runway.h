/* ks_runway.h - the key runway: a group's next TEKs, committed (wrapped) ahead of their time by the primary,
 * so that a server that loses the quorum can go on answering PULLs, and both sides of a split roll to the
 * same keys at the same times. Pure.
 *
 *   current TEK   |-------------------------------|          tek_end
 *   runway[0]                         |-------------------------------|
 *   runway[1]                                             |-----...
 *                                     ^ start 0           ^ start 1
 *
 * A key's start is when its predecessor is due for renewal; it follows from committed state alone. A rekey
 * takes the key whose turn it is, under its SPI, and its life counts from its start. Nobody is told a key
 * before its start, but by a rekey.
 *
 * Who takes over when: while servers are out of reach of each other (CONTACT_SPLIT, CONTACT_MINORITY) members
 * of one side learn of a key by a push at its start, those of the other only when they register again. So the
 * delay that is told (GAP ATD, RFC 6407 4.4) then reaches almost to the end of the old key, by when everybody
 * has come. Counter modes have no runway: sender ids need a commit. */
#ifndef CLUSTER_KS_RUNWAY_H
#define CLUSTER_KS_RUNWAY_H

#include "base/rng.h"
#include "cluster/ks_state.h"

enum {
    LATE_MARGIN_MAX_S = 10, /* before the end of the old key at which the new one takes over in a split; less
                               for short leads */
};

/* How many keys the group's configuration asks for. */
size_t ks_runway_wanted(const struct group_config *config);
/* How many from the first still fit the configuration (suite, lifetime). */
size_t ks_runway_usable(const struct group_record *record);
/* Has a runway that is not as it should be? Not before the first keys. */
bool ks_runway_due(const struct group_record *record);
/* When key i (< runway_count) begins. The group has a TEK. */
uint64_t ks_runway_start_ms(const struct group_record *record, size_t i);
/* The key that a rekey at now_ms takes, and when its life began; NULL: none, draw a fresh one. A rekey that
 * comes before the key's start moves the start, but not in a split, where the other side could not know. */
const struct tek_record *ks_runway_take(const struct group_record *record, uint64_t now_ms, bool split,
                                        uint64_t *created_ms);
/* Seconds from now_ms until a new key is sent on: the configured delay, or later in a split, where old_end_ms
 * is the end of the key before it. */
uint16_t ks_activation_s(const struct group_config *config, uint64_t old_end_ms, uint64_t now_ms, bool split);
/* The command that makes the runway what it should be: usable keys stay, fresh ones follow. E_UNKNOWN_GROUP,
 * E_STATE (nothing to do), E_CRYPTO, E_UNSUPPORTED. */
err_t ks_runway_make(const struct ks_state *state, uint32_t group_id, const struct wrap_key *wrap,
                     const struct rng *rng, uint64_t now_ms, struct command *out) MUST_USE;

#endif

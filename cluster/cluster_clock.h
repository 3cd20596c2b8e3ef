/* cluster_clock.h - the cluster's one clock: milliseconds since 1970 as they were when the cluster was made,
 * running on with the leader's monotonic clock. Pure: the caller says what its monotonic and wall clocks
 * show.
 *
 * Wall clocks set it once, at the cluster's making; a step of a wall clock changes nothing afterwards.
 * Followers follow the leader: each of its signs of life carries its time, of the last few the one that was
 * under way for the shortest time counts, and the difference is made up by running a little faster or slower.
 * So a new leader goes on where the old one was, to within the network's delay. Committed times are a floor.
 * It never steps back: a server that is ahead runs slower until it is not.
 *
 * Over restarts a mark on disk says how the cluster's clock stood to this machine's: within the same boot the
 * monotonic clock tells how much time went by, after another boot the wall clock's difference does, which may
 * be anything: a guess, which no member is told, and the first time that is heard of somebody who knows better
 * stands, be it less. Only where all who elect a leader have come back
 * does a guess count, and that of a machine that went on running before others. */
#ifndef CLUSTER_CLUSTER_CLOCK_H
#define CLUSTER_CLUSTER_CLOCK_H

#include <stdbool.h>

#include "base/wire.h"

enum {
    CLOCK_SAMPLES = 8,        /* signs of life that are compared */
    CLOCK_SLEW_PERMILLE = 50, /* faster or slower than the monotonic clock by so much at most */
    CLOCK_STEP_MS = 2000,     /* so far behind the leader: stepped forward at once */
    CLOCK_BOOT_LEN = 36,
    CLOCK_MARK_LEN = 1 + 3 * 8 + CLOCK_BOOT_LEN,
    CLOCK_MARK_OFF_MS = 1000,   /* a mark that is so far off is to be written anew */
    CLOCK_AWAY_MAX_DAYS = 3650, /* a machine that was off for longer has a wrong wall clock */
};

enum clock_trust {
    CLOCK_GUESS, /* by a wall clock */
    CLOCK_KEPT,  /* by the monotonic clock of the same boot, to within CLOCK_MARK_OFF_MS, or heard of such a one */
    CLOCK_SET,   /* heard, or led by */
};

struct cluster_clock {
    uint64_t base_ms; /* cluster time minus monotonic time, modulo 2^64, at at_ms */
    uint64_t at_ms;   /* monotonic */
    int64_t owed_ms;  /* to be made up from at_ms on; negative: it is ahead */
    enum clock_trust trust;
    uint64_t leader;  /* whose samples these are */
    int64_t samples[CLOCK_SAMPLES];
    unsigned sample_count;
};

/* How the clocks of this machine stood to the cluster's. */
struct clock_mark {
    uint64_t cluster_ms, mono_ms, wall_ms;
    uint8_t boot[CLOCK_BOOT_LEN]; /* of the kernel */
};

/* CLOCK_GUESS. */
void cluster_clock_open(struct cluster_clock *clock, uint64_t cluster_ms, uint64_t mono_ms);
uint64_t cluster_clock_now(const struct cluster_clock *clock, uint64_t mono_ms);
/* A committed time: the clock is not behind it. */
void cluster_clock_floor(struct cluster_clock *clock, uint64_t committed_ms, uint64_t mono_ms);
/* A sign of life of the leader (its Raft id), or of somebody with more trust than ours; what time it said it
 * was, and how far to trust that. */
void cluster_clock_hear(struct cluster_clock *clock, uint64_t leader, uint64_t leader_ms, uint64_t mono_ms,
                        enum clock_trust trust);
/* A sign of life of somebody who does not lead. Whoever knows better counts. Who knows it as well is behind nobody
 * who does, until there is a leader (in_contact: there is one, or it is this server): the first time that was
 * heard may have been long under way, or of a server that was alone while the others began anew. */
void cluster_clock_hear_peer(struct cluster_clock *clock, uint64_t peer, uint64_t time_ms, uint64_t mono_ms,
                             enum clock_trust trust, bool in_contact);
/* This server leads: its clock is the cluster's from here on. */
void cluster_clock_lead(struct cluster_clock *clock, uint64_t mono_ms);

/* Is the mark of this boot, so that the monotonic clock says how long ago it was? */
bool clock_mark_is_near(const struct clock_mark *mark, const struct clock_mark *now);
/* Cluster time at a start: now says this machine's clocks (cluster_ms is not used); mark is the one on disk,
 * NULL: none. Never below committed_ms. Without a mark the wall clock's time. */
uint64_t cluster_clock_start(uint64_t committed_ms, const struct clock_mark *mark,
                             const struct clock_mark *now);
/* Does a mark say something else by now? Or is there none (cluster_ms 0)? */
bool clock_mark_is_off(const struct clock_mark *mark, const struct clock_mark *now);
void clock_mark_encode(struct writer *w, const struct clock_mark *mark);
err_t clock_mark_decode(struct clock_mark *out,
                        struct bytes data) MUST_USE; /* E_BAD_VERSION, E_TRUNCATED, E_TRAILING */

#endif

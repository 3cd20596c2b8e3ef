/* group_clock.h - the group's pseudotime as a member keeps it: set when a registration tells it, moved
 * forward by rekeys, driven by the monotonic clock alone, so that no step of the wall clock reaches it. It
 * never runs backwards: what a registration says we are ahead is absorbed by running slower; only a
 * difference beyond GROUP_CLOCK_STEP_US (another pseudotime altogether) is taken over at once. A rekey may
 * come late (it is repeated, or held up on the way), so its pseudotime is a lower bound and no more; an
 * answer to our own question is at most as old as the question. Pure. */
#ifndef GM_AGENT_GROUP_CLOCK_H
#define GM_AGENT_GROUP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    GROUP_CLOCK_SLEW = 8,           /* runs slower by one part in so many while it is ahead */
    GROUP_CLOCK_STEP_US = 10000000, /* a registration that differs by more sets the clock */
};

struct group_clock {
    bool set;
    uint64_t base_us;  /* pseudotime at base_ms, microseconds */
    uint64_t base_ms;  /* monotonic, milliseconds */
    uint64_t ahead_us; /* still to be absorbed since base_ms */
};

/* Microseconds; 0 when it was never set. Never smaller than before, between two calls of pull. */
uint64_t group_clock_us(const struct group_clock *clock, uint64_t now_ms);
/* told_us was written by the key server between asked_ms and now_ms. Returns by how much it differs from what
 * the clock said, in microseconds (0 the first time). */
int64_t group_clock_pull(struct group_clock *clock, uint64_t told_us, uint64_t asked_ms, uint64_t now_ms);
/* told_us was written at some time before now_ms. Returns by how much the clock was moved forward. */
int64_t group_clock_push(struct group_clock *clock, uint64_t told_us, uint64_t now_ms);

#endif

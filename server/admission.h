/* admission.h - who may begin something: a token bucket per source address, and a bound on log lines of one
 * kind. Pure: no clock, no heap. The table is of fixed size; under a flood from many addresses the bucket
 * that was idle longest of its set makes room, so memory stays as it is and an honest source at worst starts
 * with a fresh bucket. */
#ifndef SERVER_ADMISSION_H
#define SERVER_ADMISSION_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/event.h"

enum {
    BUCKET_SETS = 2048, /* a power of two */
    BUCKET_WAYS = 4,
    EVENT_GATE_PER_S = 20, /* lines of one kind in one second; the rest is counted */
};

struct bucket {
    struct addr addr; /* family 0: free */
    uint32_t milli_tokens;
    uint64_t last_ms;
};

struct admission {
    uint32_t rate_per_s;
    uint32_t burst;
    uint64_t seed[2];
    struct bucket buckets[BUCKET_SETS][BUCKET_WAYS];
    struct {
        uint64_t second;
        uint32_t written;
    } gates[EVENT_COUNT];
};

void admission_init(struct admission *admission, uint32_t rate_per_s, uint32_t burst, const uint64_t seed[2]);
/* Takes one token of the source; false when there is none. */
bool admission_allow(struct admission *admission, const struct addr *source, uint64_t now_ms);
/* May an event of this kind, caused by a stranger's datagram, be written now? */
bool admission_may_log(struct admission *admission, enum event_id id, uint64_t now_ms);

#endif

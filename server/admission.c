#include "server/admission.h"

#include "base/map.h"

void admission_init(struct admission *admission, uint32_t rate_per_s, uint32_t burst, const uint64_t seed[2])
{
    *admission = (struct admission){.rate_per_s = rate_per_s, .burst = burst, .seed = {seed[0], seed[1]}};
}

/* The source's bucket, or the one of its set that was idle longest, made anew and full. */
static struct bucket *bucket_of(struct admission *admission, const struct addr *source, uint64_t now_ms)
{
    uint64_t hash = map_hash(admission->seed, (struct bytes){(const uint8_t *)source, sizeof(*source)});
    struct bucket *set = admission->buckets[hash & (BUCKET_SETS - 1)];
    struct bucket *oldest = &set[0];
    for (size_t i = 0; i < BUCKET_WAYS; i++) {
        if (addr_equal(&set[i].addr, source))
            return &set[i];
        if (set[i].addr.family == 0 || (oldest->addr.family != 0 && set[i].last_ms < oldest->last_ms))
            oldest = &set[i];
    }
    *oldest = (struct bucket){.addr = *source, .milli_tokens = admission->burst * 1000u, .last_ms = now_ms};
    return oldest;
}

bool admission_allow(struct admission *admission, const struct addr *source, uint64_t now_ms)
{
    struct bucket *bucket = bucket_of(admission, source, now_ms);
    uint64_t full = (uint64_t)admission->burst * 1000;
    uint64_t tokens = bucket->milli_tokens;
    if (now_ms > bucket->last_ms) {
        uint64_t passed = now_ms - bucket->last_ms;
        tokens = passed > full ? full : tokens + passed * admission->rate_per_s;
        bucket->last_ms = now_ms;
    }
    if (tokens > full)
        tokens = full;
    bool allowed = tokens >= 1000;
    bucket->milli_tokens = (uint32_t)(allowed ? tokens - 1000 : tokens);
    return allowed;
}

bool admission_may_log(struct admission *admission, enum event_id id, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;
    if (admission->gates[id].second != second) {
        admission->gates[id].second = second;
        admission->gates[id].written = 0;
    }
    return admission->gates[id].written++ < EVENT_GATE_PER_S;
}

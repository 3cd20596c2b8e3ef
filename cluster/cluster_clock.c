#include "cluster/cluster_clock.h"

#include <string.h>

enum { MARK_VERSION = 1 };

static int64_t absolute(int64_t value)
{
    return value < 0 ? -value : value;
}

/* What of owed_ms was made up by now. */
static int64_t made_up(const struct cluster_clock *clock, uint64_t mono_ms)
{
    uint64_t gone_ms = mono_ms > clock->at_ms ? mono_ms - clock->at_ms : 0;
    int64_t most = gone_ms > INT32_MAX ? INT32_MAX : (int64_t)(gone_ms * CLOCK_SLEW_PERMILLE / 1000);
    if (most > absolute(clock->owed_ms))
        most = absolute(clock->owed_ms);
    return clock->owed_ms < 0 ? -most : most;
}

/* Brings base and debt up to date; what the clock shows stays the same. */
static void settle(struct cluster_clock *clock, uint64_t mono_ms)
{
    int64_t done = made_up(clock, mono_ms);
    clock->base_ms += (uint64_t)done;
    clock->owed_ms -= done;
    if (mono_ms > clock->at_ms)
        clock->at_ms = mono_ms;
}

void cluster_clock_open(struct cluster_clock *clock, uint64_t cluster_ms, uint64_t mono_ms)
{
    *clock = (struct cluster_clock){.base_ms = cluster_ms - mono_ms, .at_ms = mono_ms};
}

uint64_t cluster_clock_now(const struct cluster_clock *clock, uint64_t mono_ms)
{
    return clock->base_ms + (uint64_t)made_up(clock, mono_ms) + mono_ms;
}

void cluster_clock_floor(struct cluster_clock *clock, uint64_t committed_ms, uint64_t mono_ms)
{
    uint64_t now_ms = cluster_clock_now(clock, mono_ms);
    if (now_ms >= committed_ms)
        return;
    settle(clock, mono_ms);
    clock->base_ms += committed_ms - now_ms;
    /* What was owed forwards is part of it. */
    int64_t gained = (int64_t)(committed_ms - now_ms);
    if (clock->owed_ms > 0)
        clock->owed_ms = clock->owed_ms > gained ? clock->owed_ms - gained : 0;
}

/* The sample that says the most was under way for the shortest time. */
static int64_t best_sample(const struct cluster_clock *clock)
{
    unsigned held = clock->sample_count < CLOCK_SAMPLES ? clock->sample_count : CLOCK_SAMPLES;
    int64_t best = clock->samples[0];
    for (unsigned i = 1; i < held; i++)
        if (clock->samples[i] - best > 0)
            best = clock->samples[i];
    return best;
}

void cluster_clock_hear(struct cluster_clock *clock, uint64_t leader, uint64_t leader_ms, uint64_t mono_ms,
                        enum clock_trust trust)
{
    settle(clock, mono_ms);
    if (leader != clock->leader)
        clock->sample_count = 0;
    clock->leader = leader;
    clock->samples[clock->sample_count++ % CLOCK_SAMPLES] = (int64_t)(leader_ms - mono_ms);
    if (clock->sample_count == 2 * CLOCK_SAMPLES)
        clock->sample_count = CLOCK_SAMPLES;
    int64_t behind = (int64_t)((uint64_t)best_sample(clock) - clock->base_ms);
    if (behind >= CLOCK_STEP_MS || clock->trust == CLOCK_GUESS ||
        (clock->trust == CLOCK_KEPT && behind > 0)) {
        clock->base_ms += (uint64_t)behind;
        behind = 0;
    }
    clock->owed_ms = behind;
    if (trust > clock->trust)
        clock->trust = trust;
}

void cluster_clock_hear_peer(struct cluster_clock *clock, uint64_t peer, uint64_t time_ms, uint64_t mono_ms,
                             enum clock_trust trust, bool in_contact)
{
    if (trust > clock->trust)
        cluster_clock_hear(clock, peer, time_ms, mono_ms, trust);
    else if (trust == clock->trust && trust != CLOCK_GUESS && (trust != CLOCK_SET || !in_contact))
        cluster_clock_floor(clock, time_ms, mono_ms);
}

void cluster_clock_lead(struct cluster_clock *clock, uint64_t mono_ms)
{
    settle(clock, mono_ms);
    clock->owed_ms = 0;
    clock->sample_count = 0;
    clock->leader = 0;
    clock->trust = CLOCK_SET;
}

bool clock_mark_is_near(const struct clock_mark *mark, const struct clock_mark *now)
{
    return memcmp(mark->boot, now->boot, CLOCK_BOOT_LEN) == 0 && now->mono_ms >= mark->mono_ms;
}

uint64_t cluster_clock_start(uint64_t committed_ms, const struct clock_mark *mark,
                             const struct clock_mark *now)
{
    static const uint64_t away_max_ms = (uint64_t)CLOCK_AWAY_MAX_DAYS * 86400 * 1000;
    uint64_t start_ms = now->wall_ms;
    if (mark != NULL) {
        uint64_t away_ms = now->wall_ms > mark->wall_ms ? now->wall_ms - mark->wall_ms : 0;
        if (clock_mark_is_near(mark, now))
            away_ms = now->mono_ms - mark->mono_ms;
        start_ms = mark->cluster_ms + (away_ms < away_max_ms ? away_ms : 0);
    }
    return start_ms > committed_ms ? start_ms : committed_ms;
}

bool clock_mark_is_off(const struct clock_mark *mark, const struct clock_mark *now)
{
    int64_t wall_off = (int64_t)((now->cluster_ms - now->wall_ms) - (mark->cluster_ms - mark->wall_ms));
    int64_t mono_off = (int64_t)((now->cluster_ms - now->mono_ms) - (mark->cluster_ms - mark->mono_ms));
    return mark->cluster_ms == 0 || absolute(wall_off) > CLOCK_MARK_OFF_MS ||
           absolute(mono_off) > CLOCK_MARK_OFF_MS || memcmp(mark->boot, now->boot, CLOCK_BOOT_LEN) != 0;
}

void clock_mark_encode(struct writer *w, const struct clock_mark *mark)
{
    write_u8(w, MARK_VERSION);
    write_u64(w, mark->cluster_ms);
    write_u64(w, mark->mono_ms);
    write_u64(w, mark->wall_ms);
    write_bytes(w, BYTES_OF(mark->boot));
}

err_t clock_mark_decode(struct clock_mark *out, struct bytes data)
{
    *out = (struct clock_mark){0};
    struct reader r = reader_over(data);
    uint8_t version = read_u8(&r);
    if (r.err == E_OK && version != MARK_VERSION)
        reader_fail(&r, E_BAD_VERSION);
    out->cluster_ms = read_u64(&r);
    out->mono_ms = read_u64(&r);
    out->wall_ms = read_u64(&r);
    read_into(&r, out->boot, sizeof(out->boot));
    return reader_end(&r);
}

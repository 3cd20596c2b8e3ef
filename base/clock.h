/* clock.h - time as an interface, so that tests and the simulator bring their own.
 * Cores take 'now' as an argument; only shells ask a clock. Monotonic time drives timers and
 * lifetimes; wall time goes only into log lines and committed time stamps. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

struct clock {
    uint64_t (*mono_ms)(void *context); /* milliseconds since some start, never backwards */
    uint64_t (*wall_ms)(void *context); /* milliseconds since 1970-01-01 UTC, may jump */
    void *context;
};

/* CLOCK_BOOTTIME and CLOCK_REALTIME of this machine. */
extern const struct clock clock_system;

static inline uint64_t clock_mono_ms(const struct clock *clock)
{
    return clock->mono_ms(clock->context);
}

static inline uint64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock->context);
}

#endif

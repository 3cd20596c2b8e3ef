/* group_clock.c - pseudotime. */
#include "gm-agent/group_clock.h"

uint64_t group_clock_us(const struct group_clock *clock, uint64_t now_ms)
{
    if (!clock->set || now_ms <= clock->base_ms)
        return clock->base_us;
    uint64_t elapsed_us = (now_ms - clock->base_ms) * 1000;
    uint64_t absorbed_us = elapsed_us / GROUP_CLOCK_SLEW;
    if (absorbed_us > clock->ahead_us)
        absorbed_us = clock->ahead_us;
    return clock->base_us + elapsed_us - absorbed_us;
}

static void set(struct group_clock *clock, uint64_t value_us, uint64_t ahead_us, uint64_t now_ms)
{
    *clock = (struct group_clock){true, value_us, now_ms, ahead_us};
}

int64_t group_clock_pull(struct group_clock *clock, uint64_t told_us, uint64_t asked_ms, uint64_t now_ms)
{
    uint64_t mine_us = group_clock_us(clock, now_ms);
    uint64_t newest_us = told_us + (now_ms > asked_ms ? (now_ms - asked_ms) * 1000 : 0);
    if (!clock->set) {
        set(clock, told_us, 0, now_ms);
        return 0;
    }
    if (mine_us < told_us) {
        set(clock, told_us, 0, now_ms);
        return (int64_t)(told_us - mine_us);
    }
    if (mine_us <= newest_us) {
        set(clock, mine_us, 0, now_ms); /* within what the journey explains */
        return 0;
    }
    if (mine_us - newest_us > GROUP_CLOCK_STEP_US)
        set(clock, newest_us, 0, now_ms);
    else
        set(clock, mine_us, mine_us - newest_us, now_ms);
    return -(int64_t)(mine_us - newest_us);
}

int64_t group_clock_push(struct group_clock *clock, uint64_t told_us, uint64_t now_ms)
{
    uint64_t mine_us = group_clock_us(clock, now_ms);
    if (clock->set && told_us <= mine_us)
        return 0;
    int64_t moved = clock->set ? (int64_t)(told_us - mine_us) : 0;
    set(clock, told_us, 0, now_ms);
    return moved;
}

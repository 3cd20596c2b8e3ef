#include "base/clock.h"

#include <stddef.h>
#include <time.h>

/* Both clocks exist on every Linux, so clock_gettime cannot fail here. */
static uint64_t now_ms(clockid_t id)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* CLOCK_BOOTTIME goes on while the machine is suspended, as the lifetimes of keys do. */
static uint64_t system_mono_ms(void *context)
{
    (void)context;
    return now_ms(CLOCK_BOOTTIME);
}

static uint64_t system_wall_ms(void *context)
{
    (void)context;
    return now_ms(CLOCK_REALTIME);
}

const struct clock clock_system = {system_mono_ms, system_wall_ms, NULL};

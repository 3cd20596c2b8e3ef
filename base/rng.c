#include "base/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static err_t system_fill(void *context, uint8_t *out, size_t len)
{
    (void)context;
    size_t done = 0;
    while (done < len) {
        ssize_t n = getrandom(out + done, len - done, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            memset(out, 0, len);
            return E_CRYPTO;
        }
        done += (size_t)n;
    }
    return E_OK;
}

const struct rng rng_system = {system_fill, NULL};

/* splitmix64: a counter and two rounds of mixing by shifts and odd constants. */
static uint64_t seeded_next(struct rng_seeded *seeded)
{
    seeded->state += 0x9e3779b97f4a7c15u;
    uint64_t z = seeded->state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static err_t seeded_fill(void *context, uint8_t *out, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        if (i % 8 == 0)
            word = seeded_next(context);
        out[i] = (uint8_t)(word >> (i % 8 * 8));
    }
    return E_OK;
}

struct rng rng_seeded_init(struct rng_seeded *seeded, uint64_t seed)
{
    seeded->state = seed;
    return (struct rng){seeded_fill, seeded};
}

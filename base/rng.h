/* rng.h - randomness as an interface. A simulator gives a seeded one, daemons the kernel's. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct rng {
    /* Fill out with len unpredictable bytes; E_CRYPTO on failure, out is then zeroed. */
    err_t (*fill)(void *context, uint8_t *out, size_t len);
    void *context;
};

/* getrandom(2). */
extern const struct rng rng_system;

static inline err_t MUST_USE rng_fill(const struct rng *rng, uint8_t *out, size_t len)
{
    return rng->fill(rng->context, out, len);
}

/* A deterministic generator (splitmix64) for tests and simulations; never for keys in a daemon. */
struct rng_seeded {
    uint64_t state;
};
struct rng rng_seeded_init(struct rng_seeded *seeded, uint64_t seed);

#endif

#include "base/rng.h"

#include <string.h>

#include "tests/lib/test.h"

static void one_seed_gives_one_stream(void **state)
{
    (void)state;
    struct rng_seeded a;
    struct rng_seeded b;
    struct rng one = rng_seeded_init(&a, 7);
    struct rng two = rng_seeded_init(&b, 7);
    uint8_t x[64];
    uint8_t y[64];
    assert_ok(rng_fill(&one, x, sizeof(x)));
    assert_ok(rng_fill(&two, y, sizeof(y)));
    assert_memory_equal(x, y, sizeof(x));
    assert_ok(rng_fill(&one, x, sizeof(x)));
    assert_memory_not_equal(x, y, sizeof(x)); /* it goes on, it does not repeat */
}

static void another_seed_gives_another_stream(void **state)
{
    (void)state;
    struct rng_seeded a;
    struct rng_seeded b;
    struct rng one = rng_seeded_init(&a, 7);
    struct rng two = rng_seeded_init(&b, 8);
    uint8_t x[16];
    uint8_t y[16];
    assert_ok(rng_fill(&one, x, sizeof(x)));
    assert_ok(rng_fill(&two, y, sizeof(y)));
    assert_memory_not_equal(x, y, sizeof(x));
}

static void seed_zero_gives_the_known_splitmix64_values(void **state)
{
    (void)state;
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 0);
    uint8_t out[20];
    assert_ok(rng_fill(&rng, out, sizeof(out)));
    /* e220a8397b1dcdaf 6e789e6aa1b965f4 06c45d188009454f, each from its low byte up */
    assert_bytes(BYTES_OF(out), "afcd1d7b39a820e2 f465b9a16a9e786e 4f450980");
}

static void the_kernel_fills_every_byte(void **state)
{
    (void)state;
    enum { LEN = 1024, ROUNDS = 8 }; /* above 256 bytes getrandom may be interrupted */
    uint8_t seen[LEN] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t out[LEN] = {0};
        assert_ok(rng_fill(&rng_system, out, sizeof(out)));
        for (size_t i = 0; i < LEN; i++)
            seen[i] |= out[i];
    }
    for (size_t i = 0; i < LEN; i++)
        assert_int_not_equal(seen[i], 0); /* by chance once in 2^54 runs */
    assert_ok(rng_fill(&rng_system, seen, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_stream),
        cmocka_unit_test(another_seed_gives_another_stream),
        cmocka_unit_test(seed_zero_gives_the_known_splitmix64_values),
        cmocka_unit_test(the_kernel_fills_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

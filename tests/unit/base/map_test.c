#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/lib/test.h"

static const uint64_t seed[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

struct item {
    uint8_t key[4];
    unsigned number;
};

static struct item item(unsigned number)
{
    return (struct item){
        {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}, number};
}

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct map map;
    size_t at = 0;
    map_init(&map, 10, seed);
    assert_null(map_find(&map, bytes_of_text("a")));
    assert_null(map_remove(&map, bytes_of_text("a")));
    assert_null(map_next(&map, &at));
    map_close(&map);
    map_close(&map);
}

static void what_goes_in_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct map map;
    int one = 1;
    int two = 2;
    map_init(&map, 10, seed);
    assert_ok(map_insert(&map, bytes_of_text("one"), &one));
    assert_ok(map_insert(&map, bytes_of_text("two"), &two));
    assert_ok(map_insert(&map, (struct bytes){NULL, 0}, &map)); /* the empty key is a key */
    assert_ptr_equal(map_find(&map, bytes_of_text("one")), &one);
    assert_ptr_equal(map_find(&map, bytes_of_text("two")), &two);
    assert_ptr_equal(map_find(&map, bytes_of_text("")), &map);
    assert_null(map_find(&map, bytes_of_text("onetwo")));
    assert_ptr_equal(map_remove(&map, bytes_of_text("one")), &one);
    assert_null(map_find(&map, bytes_of_text("one")));
    assert_null(map_remove(&map, bytes_of_text("one")));
    assert_int_equal(map.count, 2);
    map_close(&map);
}

static void a_key_stands_once(void **state)
{
    (void)state;
    struct map map;
    int one = 1;
    int two = 2;
    map_init(&map, 1, seed);
    assert_ok(map_insert(&map, bytes_of_text("k"), &one));
    assert_err(map_insert(&map, bytes_of_text("k"), &two), E_EXISTS); /* although it is full, too */
    assert_ptr_equal(map_find(&map, bytes_of_text("k")), &one);
    map_close(&map);
}

static void the_bound_holds_and_removing_makes_room(void **state)
{
    (void)state;
    enum { MAX = 100 };
    static struct item items[MAX + 1];
    struct map map;
    map_init(&map, MAX, seed);
    for (unsigned i = 0; i <= MAX; i++) {
        items[i] = item(i);
        assert_err(map_insert(&map, BYTES_OF(items[i].key), &items[i]), i < MAX ? E_OK : E_FULL);
    }
    assert_int_equal(map.count, MAX);
    assert_null(map_find(&map, BYTES_OF(items[MAX].key)));
    assert_ptr_equal(map_remove(&map, BYTES_OF(items[0].key)), &items[0]);
    assert_ok(map_insert(&map, BYTES_OF(items[MAX].key), &items[MAX]));
    map_close(&map);
    map_init(&map, 0, seed);
    assert_err(map_insert(&map, BYTES_OF(items[0].key), &items[0]), E_FULL);
    assert_null(map.slots);
}

static void iteration_meets_every_entry_once(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct item items[N];
    static unsigned met[N];
    memset(met, 0, sizeof(met));
    struct map map;
    map_init(&map, N, seed);
    for (unsigned i = 0; i < N; i++) {
        items[i] = item(i);
        assert_ok(map_insert(&map, BYTES_OF(items[i].key), &items[i]));
    }
    size_t at = 0;
    for (struct item *it; (it = map_next(&map, &at)) != NULL;)
        met[it->number]++;
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(met[i], 1);
    map_close(&map);
}

static void the_current_entry_may_be_removed_during_iteration(void **state)
{
    (void)state;
    enum { N = 500 };
    static struct item items[N];
    struct map map;
    map_init(&map, N, seed);
    for (unsigned i = 0; i < N; i++) {
        items[i] = item(i);
        assert_ok(map_insert(&map, BYTES_OF(items[i].key), &items[i]));
    }
    size_t at = 0;
    unsigned met = 0;
    for (struct item *it; (it = map_next(&map, &at)) != NULL; met++) {
        if (it->number % 2 == 0)
            assert_ptr_equal(map_remove(&map, BYTES_OF(it->key)), it);
    }
    assert_int_equal(met, N);
    assert_int_equal(map.count, N / 2);
    for (unsigned i = 0; i < N; i++)
        assert_ptr_equal(map_find(&map, BYTES_OF(items[i].key)), i % 2 == 0 ? NULL : &items[i]);
    map_close(&map);
}

/* Against a plain array as the model; deleted slots pile up and must be reused or swept. */
static void a_long_random_life_agrees_with_a_plain_array(void **state)
{
    (void)state;
    enum { KEYS = 300, MAX = 200, STEPS = 20000, CAP_SANE = 1024 };
    static struct item items[KEYS];
    static bool in[KEYS];
    memset(in, 0, sizeof(in));
    struct rng_seeded seeded;
    struct rng rng = rng_seeded_init(&seeded, 1);
    struct map map;
    size_t count = 0;
    map_init(&map, MAX, seed);
    for (unsigned i = 0; i < KEYS; i++)
        items[i] = item(i);
    for (unsigned step = 0; step < STEPS; step++) {
        uint16_t random[2];
        assert_ok(rng_fill(&rng, (uint8_t *)random, sizeof(random)));
        unsigned k = random[0] % KEYS;
        struct bytes key = BYTES_OF(items[k].key);
        assert_ptr_equal(map_find(&map, key), in[k] ? &items[k] : NULL);
        if (random[1] % 2 == 0) {
            assert_err(map_insert(&map, key, &items[k]), in[k] ? E_EXISTS : count == MAX ? E_FULL : E_OK);
            count += !in[k] && count < MAX ? 1 : 0;
            in[k] = map_find(&map, key) != NULL;
        } else {
            assert_ptr_equal(map_remove(&map, key), in[k] ? &items[k] : NULL);
            count -= in[k] ? 1 : 0;
            in[k] = false;
        }
        assert_int_equal(map.count, count);
        assert_true(map.used < map.cap || map.cap == 0);
    }
    assert_true(map.cap <= CAP_SANE); /* deleted slots do not make it grow */
    map_close(&map);
}

static void without_memory_the_map_is_unchanged(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct item items[N];
    struct map map;
    unsigned failures = 0;
    map_init(&map, N, seed);
    for (unsigned i = 0; i < N; i++) {
        items[i] = item(i);
        struct bytes key = BYTES_OF(items[i].key);
        heap_fault_after(0);
        err_t err = map_insert(&map, key, &items[i]);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        assert_err(err, hit ? E_NO_MEMORY : E_OK);
        if (!hit)
            continue;
        failures++;
        assert_int_equal(map.count, i);
        assert_null(map_find(&map, key));
        for (unsigned j = 0; j < i; j++)
            assert_ptr_equal(map_find(&map, BYTES_OF(items[j].key)), &items[j]);
        assert_ok(map_insert(&map, key, &items[i]));
    }
    assert_true(failures >= 4); /* the first table and each growth */
    map_close(&map);
}

/* The authors' test vectors of SipHash-2-4: key 00..0f, message 00 01 02 ... of the given length. */
static void the_hash_is_siphash_2_4(void **state)
{
    (void)state;
    uint8_t message[15];
    for (unsigned i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    assert_true(map_hash(seed, (struct bytes){message, 0}) == 0x726fdb47dd0e0e31u);
    assert_true(map_hash(seed, (struct bytes){message, 1}) == 0x74f839c593dc67fdu);
    assert_true(map_hash(seed, (struct bytes){message, 8}) == 0x93f5f5799a932462u);
    assert_true(map_hash(seed, (struct bytes){message, 15}) == 0xa129ca6149be45e5u);
}

static void another_seed_gives_other_slots(void **state)
{
    (void)state;
    const uint64_t other[2] = {1, 2};
    assert_true(map_hash(seed, bytes_of_text("key")) != map_hash(other, bytes_of_text("key")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(what_goes_in_is_found_until_it_is_removed),
        cmocka_unit_test(a_key_stands_once),
        cmocka_unit_test(the_bound_holds_and_removing_makes_room),
        cmocka_unit_test(iteration_meets_every_entry_once),
        cmocka_unit_test(the_current_entry_may_be_removed_during_iteration),
        cmocka_unit_test(a_long_random_life_agrees_with_a_plain_array),
        cmocka_unit_test(without_memory_the_map_is_unchanged),
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(another_seed_gives_other_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

enum {
    MAP_CAP_MIN = 16,
};

/* A slot without a value is free, or was live once and must not stop a search. */
enum {
    SLOT_FREE = 0,
    SLOT_DELETED = 1,
};

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

uint64_t map_hash(const uint64_t seed[2], struct bytes key)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                     seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    uint64_t word = 0;
    for (size_t i = 0; i < key.len; i++) {
        word |= (uint64_t)key.data[i] << (i % 8 * 8);
        if (i % 8 == 7) {
            sip_absorb(v, word);
            word = 0;
        }
    }
    sip_absorb(v, word | (uint64_t)key.len << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map, size_t max, const uint64_t seed[2])
{
    *map = (struct map){.max = max, .seed = {seed[0], seed[1]}};
}

void map_close(struct map *map)
{
    free(map->slots);
    map->slots = NULL;
    map->cap = map->count = map->used = 0;
}

/* The slot of the key or, if there is none, NULL. Ends because a quarter of the slots is always free. */
static struct map_slot *find_slot(const struct map *map, struct bytes key, uint64_t hash)
{
    if (map->count == 0)
        return NULL;
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct map_slot *slot = &map->slots[i];
        if (slot->value == NULL && slot->hash == SLOT_FREE)
            return NULL;
        if (slot->value != NULL && slot->hash == hash && bytes_equal(slot->key, key))
            return slot;
    }
}

void *map_find(const struct map *map, struct bytes key)
{
    const struct map_slot *slot = find_slot(map, key, map_hash(map->seed, key));
    return slot != NULL ? slot->value : NULL;
}

/* First slot without a value where an entry of that hash may go. */
static struct map_slot *vacant_slot(struct map_slot *slots, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (slots[i].value != NULL)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

/* New slots with room for one more, rid of the deleted ones; at most half of them are live then. */
static err_t rehash(struct map *map)
{
    size_t cap = map->cap != 0 ? map->cap : MAP_CAP_MIN;
    while (map->count + 1 > cap / 2) {
        if (cap > SIZE_MAX / 2)
            return E_NO_MEMORY;
        cap *= 2;
    }
    struct map_slot *slots = calloc(cap, sizeof(*slots));
    if (slots == NULL)
        return E_NO_MEMORY;
    for (size_t i = 0; i < map->cap; i++) {
        if (map->slots[i].value != NULL)
            *vacant_slot(slots, cap, map->slots[i].hash) = map->slots[i];
    }
    free(map->slots);
    map->slots = slots;
    map->cap = cap;
    map->used = map->count;
    return E_OK;
}

err_t map_insert(struct map *map, struct bytes key, void *value)
{
    assert(value != NULL);
    uint64_t hash = map_hash(map->seed, key);
    if (find_slot(map, key, hash) != NULL)
        return E_EXISTS;
    if (map->count >= map->max)
        return E_FULL;
    if (map->used + 1 > map->cap / 4 * 3) {
        err_t err = rehash(map);
        if (err != E_OK)
            return err;
    }
    struct map_slot *slot = vacant_slot(map->slots, map->cap, hash);
    map->used += slot->hash == SLOT_FREE;
    map->count++;
    *slot = (struct map_slot){key, value, hash};
    return E_OK;
}

void *map_remove(struct map *map, struct bytes key)
{
    struct map_slot *slot = find_slot(map, key, map_hash(map->seed, key));
    if (slot == NULL)
        return NULL;
    void *value = slot->value;
    *slot = (struct map_slot){.hash = SLOT_DELETED};
    map->count--;
    return value;
}

void *map_next(const struct map *map, size_t *at)
{
    while (*at < map->cap) {
        void *value = map->slots[(*at)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}

/* map.h - a bounded hash map from byte-string keys to caller-owned pointers.
 * Open addressing, keyed hashing (SipHash-2-4) against crafted keys, grows up to a named bound.
 * Keys are copied only as pointers: they must live inside the value or otherwise outlive the entry. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/wire.h"

struct map_slot {
    struct bytes key;
    void *value; /* NULL: free or deleted slot */
    uint64_t hash;
};

struct map {
    struct map_slot *slots;
    size_t cap;   /* slots, a power of two, 0 before the first insert */
    size_t count; /* live entries */
    size_t used;  /* live and deleted slots */
    size_t max;   /* bound on count */
    uint64_t seed[2];
};

void map_init(struct map *map, size_t max, const uint64_t seed[2]);
void map_close(struct map *map);                         /* frees the slots, not the values */
void *map_find(const struct map *map, struct bytes key); /* or NULL */
/* value is not NULL. E_EXISTS, E_FULL (max reached) or E_NO_MEMORY; the map is unchanged then. */
err_t map_insert(struct map *map, struct bytes key, void *value) MUST_USE;
void *map_remove(struct map *map, struct bytes key); /* the value, or NULL */
/* Iterate: size_t at = 0; while ((v = map_next(map, &at))) ... ; removing the current one is allowed. */
void *map_next(const struct map *map, size_t *at);
/* SipHash-2-4 of the key under the seed (as two little-endian words), for other keyed tables. */
uint64_t map_hash(const uint64_t seed[2], struct bytes key);

#endif

#include "tests/sim/product/linear.h"

#include <stdlib.h>
#include <string.h>

/* Which calls are in the order so far, and the value after them. */
struct place {
    uint64_t done[LINEAR_CALL_MAX / 64];
    uint32_t value;
    bool used;
};

struct search {
    const struct linear_history *history;
    struct place *seen; /* open addressing, twice LINEAR_STATE_MAX */
    size_t seen_count;
    bool full;
};

static bool has(const struct place *p, size_t i)
{
    return p->done[i / 64] >> (i % 64) & 1;
}

static uint64_t place_hash(const struct place *p)
{
    uint64_t h = p->value * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < LINEAR_CALL_MAX / 64; i++)
        h = (h ^ p->done[i]) * 0xff51afd7ed558ccdu, h ^= h >> 32;
    return h;
}

/* False: it was looked at before, and nothing came of it. */
static bool note(struct search *s, const struct place *p)
{
    size_t mask = 2 * LINEAR_STATE_MAX - 1;
    for (size_t at = place_hash(p) & mask;; at = (at + 1) & mask) {
        struct place *slot = &s->seen[at];
        if (slot->used && slot->value == p->value && memcmp(slot->done, p->done, sizeof(p->done)) == 0)
            return false;
        if (slot->used)
            continue;
        if (s->seen_count == LINEAR_STATE_MAX) {
            s->full = true;
            return false;
        }
        *slot = *p;
        slot->used = true;
        s->seen_count++;
        return true;
    }
}

/* The call at this place: is its answer right, and what is the value then? */
static bool fits(const struct linear_call *call, uint32_t *value)
{
    uint32_t before = *value;
    switch (call->kind) {
    case LINEAR_SET:
        *value = call->value;
        return !call->done || call->was_absent == (before == 0);
    case LINEAR_REMOVE:
        *value = 0;
        return !call->done || call->was_absent == (before == 0);
    default:
        return !call->done || call->value == before;
    }
}

/* The earliest answer among the calls that are not in the order: nothing that began later can go next. */
static uint64_t horizon(const struct linear_history *h, const struct place *p, bool *open)
{
    uint64_t least = UINT64_MAX;
    *open = false;
    for (size_t i = 0; i < h->count; i++) {
        if (has(p, i) || !h->calls[i].done)
            continue;
        *open = true;
        if (h->calls[i].ended < least)
            least = h->calls[i].ended;
    }
    return least;
}

static bool explore(struct search *s, const struct place *from)
{
    const struct linear_history *h = s->history;
    bool open;
    uint64_t limit = horizon(h, from, &open);
    if (!open)
        return true; /* what is left has no outcome to explain */
    for (size_t i = 0; i < h->count && !s->full; i++) {
        struct place next = *from;
        if (has(from, i) || h->calls[i].began > limit || !fits(&h->calls[i], &next.value))
            continue;
        next.done[i / 64] |= (uint64_t)1 << (i % 64);
        if (note(s, &next) && explore(s, &next))
            return true;
    }
    return false;
}

enum linear_verdict linear_check(const struct linear_history *history, uint32_t initial)
{
    struct search s = {.history = history};
    struct place first = {.value = initial};
    s.seen = calloc(2 * LINEAR_STATE_MAX, sizeof(*s.seen));
    if (s.seen == NULL)
        return LINEAR_TOO_LONG;
    bool found = explore(&s, &first);
    free(s.seen);
    return found ? LINEAR_YES : s.full ? LINEAR_TOO_LONG : LINEAR_NO;
}

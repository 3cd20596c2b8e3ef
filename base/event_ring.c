#include <pthread.h>
#include <stdlib.h>

#include "base/event.h"

/* count records; the oldest stands at slot 'first'. Their numbers grow from old to new. */
struct event_ring {
    pthread_mutex_t lock;
    size_t capacity;
    size_t first;
    size_t count;
    struct event_record records[];
};

err_t event_ring_open(struct event_ring **out, size_t capacity)
{
    *out = NULL;
    if (capacity < 1 || capacity > EVENT_RING_MAX)
        return E_RANGE;
    struct event_ring *ring = calloc(1, sizeof(*ring) + capacity * sizeof(ring->records[0]));
    if (ring == NULL)
        return E_NO_MEMORY;
    pthread_mutex_init(&ring->lock, NULL);
    ring->capacity = capacity;
    *out = ring;
    return E_OK;
}

void event_ring_free(struct event_ring *ring)
{
    if (ring == NULL)
        return;
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static struct event_record *slot(struct event_ring *ring, size_t index)
{
    return &ring->records[(ring->first + index) % ring->capacity];
}

void event_ring_sink(void *context, const struct event_record *record)
{
    struct event_ring *ring = context;
    pthread_mutex_lock(&ring->lock);
    if (ring->count == ring->capacity)
        ring->first = (ring->first + 1) % ring->capacity;
    else
        ring->count++;
    *slot(ring, ring->count - 1) = *record;
    pthread_mutex_unlock(&ring->lock);
}

/* How many records at the old end have a number of at most after. */
static size_t count_seen(struct event_ring *ring, uint64_t after)
{
    size_t low = 0;
    size_t high = ring->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slot(ring, middle)->seq <= after)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t event_ring_read(struct event_ring *ring, uint64_t after, struct event_record *out, size_t max)
{
    pthread_mutex_lock(&ring->lock);
    size_t skip = count_seen(ring, after);
    size_t n = ring->count - skip < max ? ring->count - skip : max;
    for (size_t i = 0; i < n; i++)
        out[i] = *slot(ring, skip + i);
    pthread_mutex_unlock(&ring->lock);
    return n;
}

/* metrics.h - counters of ksd, from metrics.def. Written on the loop thread, readable on any. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

enum metric {
#define METRIC(name, help) METRIC_##name,
#include "server/metrics.def"
#undef METRIC
    METRIC_COUNT
};

struct metrics {
    _Atomic uint64_t values[METRIC_COUNT];
};

static inline void metrics_add(struct metrics *metrics, enum metric metric, uint64_t count)
{
    atomic_fetch_add_explicit(&metrics->values[metric], count, memory_order_relaxed);
}

static inline uint64_t metrics_get(const struct metrics *metrics, enum metric metric)
{
    return atomic_load_explicit(&metrics->values[metric], memory_order_relaxed);
}

/* All of it in the text format of Prometheus (version 0.0.4): counters, then what the server is. The caller
 * frees; NULL: no memory. */
struct api_health;
char *metrics_text(const struct metrics *metrics, const struct api_health *health);

const char *
metric_name(enum metric metric); /* "PHASE1_STARTED"; NULL for a number outside the table. Static text. */
const char *metric_help(enum metric metric);

#endif

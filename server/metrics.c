#include "server/metrics.h"

#include <stddef.h>

static const struct {
    const char *name;
    const char *help;
} rows[METRIC_COUNT] = {
#define METRIC(name, help) [METRIC_##name] = {#name, help},
#include "server/metrics.def"
#undef METRIC
};

const char *metric_name(enum metric metric)
{
    return (unsigned)metric < METRIC_COUNT ? rows[metric].name : NULL;
}

const char *metric_help(enum metric metric)
{
    return (unsigned)metric < METRIC_COUNT ? rows[metric].help : NULL;
}

#include "server/metrics.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_server.h"
#include "base/hex.h"

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

enum { METRIC_NAME_MAX = 64, NODE_TEXT_MAX = 2 * NODE_ID_LEN + 1 };

static void put_counter(FILE *out, const struct metrics *metrics, enum metric metric)
{
    char name[METRIC_NAME_MAX];
    size_t i = 0;
    for (; rows[metric].name[i] != '\0' && i + 1 < sizeof(name); i++)
        name[i] = (char)tolower((unsigned char)rows[metric].name[i]);
    name[i] = '\0';
    fprintf(out, "# HELP quorate_%s_total %s\n# TYPE quorate_%s_total counter\nquorate_%s_total %llu\n", name,
            rows[metric].help, name, name, (unsigned long long)metrics_get(metrics, metric));
}

static void put_gauge(FILE *out, const char *name, const char *help, double value)
{
    fprintf(out, "# HELP quorate_%s %s\n# TYPE quorate_%s gauge\nquorate_%s %.17g\n", name, help, name, name,
            value);
}

static void put_state(FILE *out, const struct api_health *health)
{
    char node[NODE_TEXT_MAX];
    fprintf(
        out,
        "# HELP quorate_build_info Version and node of this key server.\n# TYPE quorate_build_info gauge\n"
        "quorate_build_info{version=\"%s\",node=\"%s\"} 1\n",
        QUORATE_VERSION, hex_text(node, health->node_id, NODE_ID_LEN));
    put_gauge(out, "start_time_seconds", "when this server started, wall clock",
              (double)health->started_ms / 1000.0);
    put_gauge(out, "live", "does the loop run", health->live);
    put_gauge(out, "ready", "may members be served", health->ready);
    put_gauge(out, "primary", "is this server the primary of the committed epoch", health->primary);
    put_gauge(out, "raft_leader", "is this server the leader of the log",
              strcmp(health->raft_role, "leader") == 0);
    put_gauge(out, "raft_term", "term of the log", (double)health->term);
    put_gauge(out, "raft_commit_index", "last entry that is committed", (double)health->commit_index);
    put_gauge(out, "raft_applied_index", "last entry that is applied", (double)health->applied_index);
    put_gauge(out, "cluster_voters", "key servers that vote", (double)health->voters);
    put_gauge(out, "cluster_epoch", "changes of primary since the cluster was founded",
              (double)health->coop_epoch);
}

char *metrics_text(const struct metrics *metrics, const struct api_health *health)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL)
        return NULL;
    for (int i = 0; i < METRIC_COUNT; i++)
        put_counter(out, metrics, (enum metric)i);
    put_state(out, health);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

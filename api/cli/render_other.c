/* render_other.c - what routers do not show: groups at a glance, events, health. */
#include <string.h>

#include "api/cli/ksctl.h"

void render_groups(FILE *out, const json_t *groups)
{
    size_t i;
    json_t *entry;
    fprintf(out, "%-24s %-24s %8s %8s %10s %8s %8s\n", "Group", "Identity", "Members", "Policy", "Generation",
            "Seq", "Rekeys");
    json_array_foreach(groups, i, entry)
    {
        const json_t *g = value_at(entry, "group");
        fprintf(out, "%-24s %-24s %8lld %8lld %10lld %8lld %8lld\n", text_at(g, "name"),
                text_at(g, "identity"), (long long)number_at(g, "member_count"),
                (long long)number_at(g, "policy_version"), (long long)number_at(g, "generation"),
                (long long)number_at(g, "seq"), (long long)number_at(g, "rekeys_sent"));
    }
}

void render_events(FILE *out, const json_t *events)
{
    size_t i;
    json_t *e;
    json_array_foreach(value_at(events, "events"), i, e) fprintf(
        out, "%6lld %s: %s\n", (long long)number_at(e, "seq"), text_at(e, "time"), text_at(e, "line"));
}

void render_health(FILE *out, const json_t *health)
{
    fprintf(out, "Live          : %s\n", true_at(health, "live") ? "yes" : "no");
    fprintf(out, "Ready         : %s\n", true_at(health, "ready") ? "yes" : "no");
    if (*text_at(health, "reason") != '\0')
        fprintf(out, "Reason        : %s\n", text_at(health, "reason"));
    fprintf(out, "Role          : %s\n",
            true_at(health, "primary")   ? "Primary"
            : true_at(health, "witness") ? "Witness"
                                         : "Secondary");
    fprintf(out, "Epoch         : %lld\n", (long long)number_at(health, "coop_epoch"));
    fprintf(out, "Raft role     : %s\n", text_at(health, "raft.role"));
    fprintf(out, "Raft term     : %lld\n", (long long)number_at(health, "raft.term"));
    fprintf(out, "Commit index  : %lld\n", (long long)number_at(health, "raft.commit_index"));
    fprintf(out, "Applied index : %lld\n", (long long)number_at(health, "raft.applied_index"));
    fprintf(out, "Node          : %s\n", text_at(health, "node_id"));
    fprintf(out, "Listens on    : %s\n", is_there(health, "listen") ? text_at(health, "listen") : "nothing");
    fprintf(out, "Started       : %s\n", text_at(health, "started"));
    fprintf(out, "Version       : %s\n", text_at(health, "version"));
}

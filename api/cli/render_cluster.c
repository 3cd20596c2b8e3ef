/* render_cluster.c - the key servers among themselves. */
#include <string.h>

#include "api/cli/ksctl.h"

static const char *coop_role(const json_t *n)
{
    if (strcmp(text_at(n, "role"), "witness") == 0)
        return "Witness";
    return true_at(n, "primary") ? "Primary" : "Secondary";
}

enum { LEVEL_TEXT_MAX = 24 };

/* Of its build; a server that is not heard has told none. */
static const char *level_text(const json_t *n, char out[LEVEL_TEXT_MAX])
{
    snprintf(out, LEVEL_TEXT_MAX, "%lld", (long long)number_at(n, "level"));
    return is_there(n, "level") ? out : "-";
}

void render_cluster(FILE *out, const json_t *cluster)
{
    size_t i;
    json_t *n;
    char level[LEVEL_TEXT_MAX];
    fprintf(out, "Cluster    : %s\n", text_at(cluster, "cluster_id"));
    fprintf(out, "Epoch      : %lld\n", (long long)number_at(cluster, "coop_epoch"));
    fprintf(out, "Raft term  : %lld\n", (long long)number_at(cluster, "term"));
    fprintf(out, "Voters     : %lld\n", (long long)number_at(cluster, "voters"));
    fprintf(out, "Level      : %lld\n", (long long)number_at(cluster, "level"));
    if (is_there(cluster, "minority"))
        fprintf(out, "Minority   : no quorum, serving committed keys until %s\n",
                text_at(cluster, "minority.until"));
    if (number_at(cluster, "mark.index") == 0)
        fprintf(out, "Compared   : not compared yet\n");
    else
        fprintf(out, "Compared   : %s at index %lld, differences seen: %lld%s\n",
                text_at(cluster, "mark.hash"), (long long)number_at(cluster, "mark.index"),
                (long long)number_at(cluster, "mark.differences"),
                true_at(cluster, "mark.diverged") ? "; THIS SERVER DIFFERS FROM THE OTHERS" : "");
    if (true_at(cluster, "disk_slow"))
        fprintf(out, "Disk       : does not answer in time\n");
    if (number_at(cluster, "hash_index") == 0)
        fprintf(out, "State hash : not taken yet, look again in a second\n\n");
    else
        fprintf(out, "State hash : %s at index %lld\n\n", text_at(cluster, "state_hash"),
                (long long)number_at(cluster, "hash_index"));
    fprintf(out, "%-34s %-18s %-8s %4s %-10s %-7s %-6s %10s %5s\n", "Node", "Address", "Role", "Prio", "COOP",
            "Leader", "Link", "Applied", "Level");
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        fprintf(out, "%-34s %-18s %-8s %4lld %-10s %-7s %-6s %10lld %5s\n", text_at(n, "node_id"),
                text_at(n, "address"), text_at(n, "role"), (long long)number_at(n, "priority"), coop_role(n),
                true_at(n, "leader") ? "yes" : "no",
                true_at(n, "self")        ? "self"
                : true_at(n, "connected") ? "up"
                                          : "down",
                (long long)number_at(n, "applied_index"), level_text(n, level));
    }
}

typedef void (*render_server_fn)(FILE *out, const json_t *server, bool local);

/* The labels of routers, where they are true here. */
static void render_one(FILE *out, const json_t *n, bool local)
{
    const char *who = local ? "Local" : "Peer";
    fprintf(out, "\t%s KS Address: %s\n", who, text_at(n, "address"));
    fprintf(out, "\t%s KS Priority: %lld\n", who, (long long)number_at(n, "priority"));
    fprintf(out, "\t%s KS Role: %s , %s KS Status: %s\n", who, coop_role(n), who,
            true_at(n, "connected") ? "Alive" : "Dead");
}

static void render_detail(FILE *out, const json_t *n, bool local)
{
    const char *who = local ? "Local" : "Peer", *indent = local ? "\t" : "\t\t";
    fprintf(out, "%s%s Address: %s\n", indent, who, text_at(n, "address"));
    fprintf(out, "%s%s Priority: %lld\n", indent, who, (long long)number_at(n, "priority"));
    fprintf(out, "%s%s KS Role: %s , %s KS Status: %s\n", indent, who, coop_role(n), who,
            true_at(n, "connected") ? "Alive" : "Dead");
    fprintf(out, "%sServer id: %s\n", indent, text_at(n, "node_id"));
    fprintf(out, "%sMembership: %s%s\n", indent, text_at(n, "role"),
            true_at(n, "leader") ? ", Raft leader" : "");
    fprintf(out, "%sApplied index: %lld\n", indent, (long long)number_at(n, "applied_index"));
    if (!local && is_there(n, "heard_ms"))
        fprintf(out, "%sHeard: %lld ms ago\n", indent, (long long)number_at(n, "heard_ms"));
}

/* This server, then a session for each of the others. */
static void render_sessions(FILE *out, const json_t *cluster, render_server_fn render)
{
    size_t i;
    json_t *n;
    unsigned session = 0;
    fprintf(out, "Crypto Gdoi Key Server COOP information\n");
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        if (true_at(n, "self"))
            render(out, n, true);
    }
    fprintf(out, "\tCOOP epoch: %lld\n\tPeer Sessions:\n", (long long)number_at(cluster, "coop_epoch"));
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        if (true_at(n, "self"))
            continue;
        fprintf(out, "\tSession %u:\n", ++session);
        render(out, n, false);
    }
}

void render_coop(FILE *out, const json_t *cluster)
{
    render_sessions(out, cluster, render_one);
}

void render_coop_detail(FILE *out, const json_t *cluster)
{
    render_sessions(out, cluster, render_detail);
}

void render_certs(FILE *out, const json_t *certs)
{
    size_t i;
    json_t *c;
    json_array_foreach(value_at(certs, "certs"), i, c)
    {
        fprintf(out, "%sKey server %s at %s%s\n", i > 0 ? "\n" : "", text_at(c, "node_id"),
                text_at(c, "address"), true_at(c, "self") ? " (this one)" : "");
        if (!is_there(c, "serial")) {
            fprintf(out, "  no certificate is known\n");
            continue;
        }
        fprintf(out, "  Serial      : %s\n", text_at(c, "serial"));
        fprintf(out, "  Valid       : %s to %s\n", text_at(c, "not_before"), text_at(c, "not_after"));
        fprintf(out, "  Fingerprint : %s\n", text_at(c, "fingerprint"));
    }
}

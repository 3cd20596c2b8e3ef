/* render_cluster.c - the key servers among themselves. */
#include "api/cli/ksctl.h"

void render_cluster(FILE *out, const json_t *cluster)
{
    size_t i;
    json_t *n;
    fprintf(out, "Cluster    : %s\n", text_at(cluster, "cluster_id"));
    fprintf(out, "Epoch      : %lld\n", (long long)number_at(cluster, "coop_epoch"));
    fprintf(out, "Raft term  : %lld\n", (long long)number_at(cluster, "term"));
    fprintf(out, "Voters     : %lld\n", (long long)number_at(cluster, "voters"));
    fprintf(out, "State hash : %s at index %lld\n\n", text_at(cluster, "state_hash"),
            (long long)number_at(cluster, "hash_index"));
    fprintf(out, "%-34s %-18s %-8s %4s %-10s %-7s %-6s %10s\n", "Node", "Address", "Role", "Prio", "COOP",
            "Leader", "Link", "Applied");
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        fprintf(out, "%-34s %-18s %-8s %4lld %-10s %-7s %-6s %10lld\n", text_at(n, "node_id"),
                text_at(n, "address"), text_at(n, "role"), (long long)number_at(n, "priority"),
                true_at(n, "primary") ? "Primary" : "Secondary", true_at(n, "leader") ? "yes" : "no",
                true_at(n, "self")        ? "self"
                : true_at(n, "connected") ? "up"
                                          : "down",
                (long long)number_at(n, "applied_index"));
    }
}

static void render_one(FILE *out, const json_t *n, bool local)
{
    fprintf(out, "\t%s KS Address: %s\n", local ? "Local" : "Peer", text_at(n, "address"));
    fprintf(out, "\t%s KS Priority: %lld\n", local ? "Local" : "Peer", (long long)number_at(n, "priority"));
    fprintf(out, "\t%s KS Role: %s , %s KS Status: %s\n", local ? "Local" : "Peer",
            true_at(n, "primary") ? "Primary" : "Secondary", local ? "Local" : "Peer",
            true_at(n, "connected") ? "Alive" : "Dead");
}

/* The labels of routers, where they are true here. */
void render_coop(FILE *out, const json_t *cluster)
{
    size_t i;
    json_t *n;
    unsigned session = 0;
    fprintf(out, "Crypto Gdoi Key Server COOP information\n");
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        if (true_at(n, "self"))
            render_one(out, n, true);
    }
    fprintf(out, "\tCOOP epoch: %lld\n", (long long)number_at(cluster, "coop_epoch"));
    fprintf(out, "\tPeer Sessions:\n");
    json_array_foreach(value_at(cluster, "nodes"), i, n)
    {
        if (true_at(n, "self"))
            continue;
        fprintf(out, "\tSession %u:\n", ++session);
        render_one(out, n, false);
    }
}

/* render_group.c - 'show crypto gdoi', '... ks', '... ks detail'. */
#include <string.h>

#include "api/cli/ksctl.h"

static void put(FILE *out, const char *label, const char *value)
{
    fprintf(out, "    %-25s: %s\n", label, value);
}

static void put_seconds(FILE *out, const char *indent, int width, const char *label, long long seconds)
{
    fprintf(out, "%s%-*s: %lld secs\n", indent, width, label, seconds);
}

static const char *path_word(const json_t *group)
{
    return strchr(text_at(group, "server_address"), ':') != NULL ? "ipv6" : "ipv4";
}

static void put_sa(FILE *out, const json_t *entry)
{
    size_t i;
    json_t *tek;
    json_int_t left = 0;
    json_array_foreach(value_at(entry, "policy.teks"), i, tek) left =
        number_at(tek, "remaining_s"); /* the newest stands last */
    fprintf(out, "\n      %-23s: 1\n", "IPSec SA Number");
    put_seconds(out, "      ", 23, "IPSec SA Rekey Lifetime",
                number_at(entry, "group.config.tek.lifetime_s"));
    if (i > 0) {
        fprintf(out, "      SA Rekey\n");
        put_seconds(out, "         ", 20, "Remaining Lifetime", left);
    }
    fprintf(out, "      %-23s: access-list %s\n", "ACL Configured", text_at(entry, "group.name"));
}

void render_gdoi(FILE *out, const json_t *groups)
{
    size_t i;
    json_t *entry;
    fputs("GROUP INFORMATION\n\n", out);
    json_array_foreach(groups, i, entry)
    {
        const json_t *group = value_at(entry, "group");
        char members[24];
        fprintf(out, "    %-25s: %s (Unicast)\n", "Group Name", text_at(group, "name"));
        put(out, "Group Identity", text_at(group, "identity"));
        put(out, "Group Type", "GDOI (ISAKMP)");
        put(out, "Crypto Path", path_word(group));
        put(out, "Key Management Path", path_word(group));
        snprintf(members, sizeof(members), "%lld", (long long)number_at(group, "member_count"));
        put(out, "Group Members", members);
        put(out, "IPSec SA Direction", "Both");
        put_seconds(out, "    ", 25, "Group Rekey Lifetime", number_at(group, "config.kek.lifetime_s"));
        if (is_there(entry, "policy.kek")) {
            fprintf(out, "    Group Rekey\n");
            put_seconds(out, "        ", 21, "Remaining Lifetime",
                        number_at(entry, "policy.kek.remaining_s"));
        }
        put_seconds(out, "    ", 25, "Rekey Retransmit Period",
                    number_at(group, "config.rekey.retransmit_s"));
        fprintf(out, "    %-25s: %lld\n", "Rekey Retransmit Attempts",
                (long long)number_at(group, "config.rekey.retransmit_count"));
        put_sa(out, entry);
        fprintf(out, "\n     %-24s: Local\n\n", "Group Server list");
    }
}

/* What routers have and we have not is Disabled, as there; what we cannot know stands nowhere. */
static void put_detail(FILE *out, const json_t *group)
{
    bool acked = strcmp(text_at(group, "config.kek.ack"), "none") != 0;
    put(out, "Rekey Acknowledgement Cfg", acked ? "RFC8263" : "None");
    put(out, "IPSec SA Direction", "Both");
    put(out, "IP D3P Window", "Disabled");
    put(out, "CKM status", "Disabled");
}

static void put_server(FILE *out, const json_t *group, const json_t *server)
{
    if (is_there(server, "raft.voters"))
        put(out, "Redundancy", number_at(server, "raft.voters") > 1 ? "Configured" : "Not configured");
    fprintf(out, "        %-21s: %s\n", "Local Address", text_at(group, "server_address"));
    fprintf(out, "        %-21s: %s\n", "Local KS Status", true_at(server, "live") ? "Alive" : "Dead");
    fprintf(out, "        %-21s: %s\n", "Local KS Role",
            true_at(server, "primary") ? "Primary" : "Secondary");
    fprintf(out, "        %-21s: %s\n", "Local KS Version", text_at(server, "version"));
}

void render_ks(FILE *out, const json_t *groups, const json_t *server, bool detail)
{
    size_t i;
    json_t *entry;
    long long here = 0;
    json_array_foreach(groups, i, entry) here += number_at(entry, "group.members_registered_here");
    fprintf(out, "Total group members registered to this box: %lld\n\n", here);
    json_array_foreach(groups, i, entry)
    {
        const json_t *group = value_at(entry, "group");
        char members[24];
        snprintf(members, sizeof(members), "%lld", (long long)number_at(group, "member_count"));
        fprintf(out, "Key Server Information For Group %s:\n", text_at(group, "name"));
        put(out, "Group Name", text_at(group, "name"));
        put(out, "Re-auth on new CRL", "Disabled");
        put(out, "Group Identity", text_at(group, "identity"));
        put(out, "Group Type", "GDOI (ISAKMP)");
        put(out, "Group Members", members);
        put_detail(out, group);
        fprintf(out, "    ACL Configured: \n        access-list %s\n", text_at(group, "name"));
        if (detail)
            put_server(out, group, server);
        fputc('\n', out);
    }
}

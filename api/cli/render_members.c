/* render_members.c - 'show crypto gdoi ks members'. */
#include "api/cli/ksctl.h"

static void put_numbers(FILE *out, const char *label, const json_t *numbers)
{
    size_t i;
    json_t *number;
    fprintf(out, " %s : ", label);
    json_array_foreach(numbers, i, number) fprintf(out, "%-6lld", (long long)json_integer_value(number));
    fputc('\n', out);
}

/* A member does not tell its version by GDOI (RFC 6407), and retries are not counted by member. */
static void put_member(FILE *out, const json_t *group, const json_t *member)
{
    fprintf(out, "Group Member ID    : %s  GM Version: unknown\n", text_at(member, "identity"));
    fprintf(out, " Group ID          : %s\n", text_at(group, "identity"));
    fprintf(out, " Group Name        : %s\n", text_at(group, "name"));
    fprintf(out, " Group Type        : GDOI (ISAKMP)\n");
    bool quarantined = is_there(member, "quarantine");
    fprintf(out, " GM State          : %s\n", quarantined ? "Quarantined" : "Registered");
    if (quarantined)
        fprintf(out, " Quarantine reason : %s (since %s)\n", text_at(member, "quarantine.reason"),
                text_at(member, "quarantine.since"));
    if (true_at(member, "registered_here"))
        fprintf(out, " Key Server ID     : %s\n", text_at(group, "server_address"));
    fprintf(out, " Rekeys sent       : %lld\n", (long long)number_at(member, "rekeys_sent"));
    fprintf(out, " Rekey Acks Rcvd   : %lld\n", (long long)number_at(member, "acks"));
    fprintf(out, " Rekey Acks missed : %lld\n", (long long)number_at(member, "missed"));
    fputc('\n', out);
    put_numbers(out, "Sent seq num", value_at(member, "sent_seq"));
    put_numbers(out, "Rcvd seq num", value_at(member, "acked_seq"));
    fputs("\n\n", out);
}

static void put_group(FILE *out, const json_t *group)
{
    const char *name = text_at(group, "name");
    fprintf(out, "Number of rekeys sent for group %s : %lld\n", name,
            (long long)number_at(group, "rekeys_sent"));
    if (is_there(group, "last_rekey"))
        fprintf(out, "Number of retransmits during the last rekey for group %s : %lld\n", name,
                (long long)number_at(group, "last_rekey.retransmits"));
    if (is_there(group, "last_rekey.duration_ms"))
        fprintf(out, "Duration of the last rekey for group %s : %lld msec\n", name,
                (long long)number_at(group, "last_rekey.duration_ms"));
    fputc('\n', out);
}

void render_members(FILE *out, const json_t *groups)
{
    size_t i, k;
    json_t *entry, *member;
    fputc('\n', out);
    json_array_foreach(groups, i, entry)
    {
        put_group(out, value_at(entry, "group"));
        json_array_foreach(value_at(entry, "members.members"), k, member)
            put_member(out, value_at(entry, "group"), member);
    }
}

void render_members_summary(FILE *out, const json_t *groups)
{
    size_t i, k;
    json_t *entry, *member;
    json_array_foreach(groups, i, entry)
    {
        const json_t *members = value_at(entry, "members.members");
        fprintf(out, "%sGroup Name: %s, Group ID: %s, Group Members: %zu\n", i > 0 ? "\n" : "",
                text_at(entry, "group.name"), text_at(entry, "group.identity"), json_array_size(members));
        fprintf(out, " %-39s %-28s %8s %8s %8s\n", "Group Member ID", "Last registered", "Sent", "Acks",
                "Missed");
        json_array_foreach(members, k, member)
            fprintf(out, " %-39s %-28s %8lld %8lld %8lld\n", text_at(member, "identity"),
                    text_at(member, "last_registered"), (long long)number_at(member, "rekeys_sent"),
                    (long long)number_at(member, "acks"), (long long)number_at(member, "missed"));
    }
}

/* command_cluster.c - the commands that are about the key servers among themselves. */
#include <stdlib.h>
#include <string.h>

#include "api/cli/ksctl.h"

static enum exit_code show(struct ksctl *k, enum path path, void (*render)(FILE *out, const json_t *answer))
{
    json_t *answer;
    enum exit_code code = client_get(k->client, path, "", "", "", false, &answer);
    if (k->json && answer != NULL)
        print_json(k, answer);
    else if (code == EXIT_DONE)
        render(k->out, answer);
    json_decref(answer);
    return code;
}

static enum exit_code cluster_status(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show(k, PATH_cluster, render_cluster);
}

static enum exit_code show_coop(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show(k, PATH_cluster, render_coop);
}

static enum exit_code show_coop_detail(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show(k, PATH_cluster, render_coop_detail);
}

/* Posts body (taken over) and says text, in which %s is that member of the answer. */
static enum exit_code post(struct ksctl *k, enum path path, const char *node, json_t *body,
                           const char *before, const char *member, const char *after)
{
    json_t *answer;
    enum exit_code code = client_post(k->client, path, node, body, &answer);
    json_decref(body);
    if (k->json && answer != NULL)
        print_json(k, answer);
    else if (code == EXIT_DONE)
        fprintf(k->out, "%s%s%s\n", before, member != NULL ? text_at(answer, member) : "", after);
    json_decref(answer);
    return code;
}

static enum exit_code make_token(struct ksctl *k, const char *argument)
{
    (void)argument;
    return post(k, PATH_cluster_token, "", NULL, "", "token", "");
}

static enum exit_code make_token_for(struct ksctl *k, const char *argument)
{
    return post(k, PATH_cluster_token, "", json_pack("{s:s}", "role", argument), "", "token", "");
}

static enum exit_code remove_node(struct ksctl *k, const char *argument)
{
    return post(k, PATH_cluster_remove, argument, NULL, "Key server ", "removed", " removed");
}

static enum exit_code transfer(struct ksctl *k, const char *argument)
{
    json_t *body = *argument != '\0' ? json_pack("{s:s}", "node", argument) : NULL;
    return post(k, PATH_cluster_transfer, "", body, "Leader is ", "leader", "");
}

static enum exit_code show_certs(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show(k, PATH_cluster_certs, render_certs);
}

static enum exit_code renew(struct ksctl *k, const char *argument)
{
    return post(k, PATH_cluster_renew, argument, NULL, "Key server ", "renewing", " renews its certificate");
}

static enum exit_code step_down(struct ksctl *k, const char *argument)
{
    (void)argument;
    return post(k, PATH_cluster_step_down, "", NULL, "Primary is ", "primary", "");
}

/* What is no number goes as it is: the server says what it expects. */
static enum exit_code set_priority(struct ksctl *k, const char *argument)
{
    char *end;
    long long number = strtoll(argument, &end, 10);
    bool is_number = *argument >= '0' && *argument <= '9' && *end == '\0';
    json_t *body = is_number ? json_pack("{s:I}", "priority", (json_int_t)number)
                             : json_pack("{s:s}", "priority", argument);
    return post(k, PATH_cluster_priority, k->words[2], body, "Priority of ", "node", " set");
}

static enum exit_code check(struct ksctl *k, const char *argument)
{
    (void)argument;
    return post(k, PATH_cluster_hash, "", NULL, "The key servers compare their states; see cluster status",
                NULL, "");
}

static enum exit_code backup(struct ksctl *k, const char *argument)
{
    size_t len = 0;
    enum exit_code code = client_save(k->client, PATH_cluster_backup, argument, &len);
    json_t *answer = json_pack("{s:s, s:I}", "file", argument, "octets", (json_int_t)len);
    if (code == EXIT_DONE && k->json)
        print_json(k, answer);
    else if (code == EXIT_DONE)
        fprintf(k->out, "Backup in %s, %zu octets; look at it with ksd --check\n", argument, len);
    json_decref(answer);
    return code;
}

static enum exit_code enrol_token(struct ksctl *k, const char *argument)
{
    return post(k, PATH_enrol_token, k->words[2], json_pack("{s:s}", "member", argument), "", "token", "");
}

static enum exit_code enrol_revoke(struct ksctl *k, const char *argument)
{
    return post(k, PATH_enrol_revoke, argument, NULL, "Member ", "revoked", " can register no more");
}

const struct command cluster_commands[] = {
    {"show crypto gdoi ks coop", show_coop, "Key servers of the cluster and who is primary"},
    {"show crypto gdoi ks coop detail", show_coop_detail, "The same, with what is known of each"},
    {"cluster status", cluster_status, "Key servers, roles, hash of the state"},
    {"cluster token", make_token, "A one-time token with which a key server joins"},
    {"cluster token --role ROLE", make_token_for, "The same for a voter, witness or standby"},
    {"cluster remove NODE", remove_node, "Remove a key server for good"},
    {"cluster transfer", transfer, "Move Raft leadership to the primary"},
    {"cluster transfer NODE", transfer, "Move Raft leadership to that key server"},
    {"cluster step-down", step_down, "Give the primary's role to the next by priority"},
    {"cluster priority NODE N", set_priority, "Set a priority, 1 to 255; 0: as configured"},
    {"cluster certs", show_certs, "Certificates of the key servers"},
    {"cluster certs renew NODE", renew, "Have a key server renew its certificate now"},
    {"cluster backup FILE", backup, "A sealed backup of everything into a file"},
    {"enrol token GROUP ADDRESS", enrol_token, "A one-time token with which that member enrols"},
    {"enrol revoke ADDRESS", enrol_revoke, "Take an enrolled member's pre-shared key away"},
    {"cluster check", check, "Have all key servers compare their states now"},
};
const size_t cluster_command_count = sizeof(cluster_commands) / sizeof(cluster_commands[0]);

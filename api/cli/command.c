/* command.c - which words do what. Words may be shortened as long as they are unambiguous: 'sh cry gdoi ks
 * mem'. A word in capitals stands for an argument. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/ksctl.h"

enum { WORDS_MAX = 8, WORD_LEN_MAX = 32, ARGUMENT_MAX = 1 };

enum exit_code print_json(struct ksctl *k, const json_t *json)
{
    json_dumpf(json, k->out, JSON_INDENT(2));
    fputc('\n', k->out);
    return EXIT_DONE;
}

/* Fetches and prints the JSON, or has it drawn as text. */
static enum exit_code show_groups_by(struct ksctl *k, unsigned needs,
                                     void (*render)(FILE *out, const json_t *groups))
{
    json_t *groups;
    enum exit_code code = fetch_groups(k, needs, NULL, &groups);
    if (code == EXIT_DONE && k->json)
        print_json(k, groups);
    else if (code == EXIT_DONE)
        render(k->out, groups);
    json_decref(groups);
    return code;
}

static enum exit_code show_gdoi(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_POLICY, render_gdoi);
}

static enum exit_code show_members(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_MEMBERS, render_members);
}

static enum exit_code show_members_summary(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_MEMBERS, render_members_summary);
}

static enum exit_code show_rekey(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_POLICY | NEED_REKEYS, render_rekey);
}

static enum exit_code show_acl(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_GROUP, render_acl);
}

static enum exit_code show_groups(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_groups_by(k, NEED_GROUP, render_groups);
}

static enum exit_code show_member(struct ksctl *k, const char *argument)
{
    json_t *groups, *entry, *found = json_array();
    size_t i;
    enum exit_code code = fetch_groups(k, NEED_MEMBERS, argument, &groups);
    json_array_foreach(groups, i, entry) if (json_array_size(value_at(entry, "members.members")) > 0)
        json_array_append(found, entry);
    if (code == EXIT_DONE && json_array_size(found) == 0) {
        fprintf(stderr, "ksctl: no group has a member %s\n", argument);
        code = EXIT_REFUSED;
    }
    if (code == EXIT_DONE && k->json)
        print_json(k, found);
    else if (code == EXIT_DONE)
        render_members(k->out, found);
    json_decref(found);
    json_decref(groups);
    return code;
}

/* Commands that also say something of the server itself. */
static enum exit_code show_with_server(struct ksctl *k, unsigned needs,
                                       void (*render)(struct ksctl *k, const json_t *groups,
                                                      const json_t *server))
{
    json_t *groups, *server = NULL;
    enum exit_code code = fetch_groups(k, needs, NULL, &groups);
    if (code == EXIT_DONE && k->json) {
        print_json(k, groups);
    } else if (code == EXIT_DONE) {
        code = client_get(k->client, PATH_readyz, "", "", "", true, &server);
        if (code == EXIT_REFUSED) /* not ready, but it tells all the same */
            code = EXIT_DONE;
        if (code == EXIT_DONE)
            render(k, groups, server);
    }
    json_decref(server);
    json_decref(groups);
    return code;
}

static void draw_ks(struct ksctl *k, const json_t *groups, const json_t *server)
{
    render_ks(k->out, groups, server, false);
}

static void draw_detail(struct ksctl *k, const json_t *groups, const json_t *server)
{
    render_ks(k->out, groups, server, true);
}

static void draw_policy(struct ksctl *k, const json_t *groups, const json_t *server)
{
    render_policy(k->out, groups, server);
}

static enum exit_code show_ks(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_with_server(k, NEED_GROUP, draw_ks);
}

static enum exit_code show_ks_detail(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_with_server(k, NEED_GROUP, draw_detail);
}

static enum exit_code show_policy(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_with_server(k, NEED_POLICY, draw_policy);
}

static enum exit_code show_events_after(struct ksctl *k, json_int_t after)
{
    json_t *events;
    enum exit_code code = fetch_events(k, after, &events);
    if (code == EXIT_DONE && k->json)
        print_json(k, events);
    else if (code == EXIT_DONE)
        render_events(k->out, events);
    json_decref(events);
    return code;
}

static enum exit_code show_events(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_events_after(k, 0);
}

static enum exit_code show_later_events(struct ksctl *k, const char *argument)
{
    char *end;
    errno = 0;
    long long after = strtoll(argument, &end, 10);
    if (*argument < '0' || *argument > '9' || *end != '\0' || errno != 0) {
        fprintf(stderr, "ksctl: %s: expected the sequence number of an event\n", argument);
        return EXIT_USAGE;
    }
    return show_events_after(k, after);
}

static enum exit_code show_health(struct ksctl *k, enum path path)
{
    json_t *health;
    enum exit_code code = client_get(k->client, path, "", "", "", true, &health);
    if (code == EXIT_DONE || code == EXIT_REFUSED) {
        if (k->json)
            print_json(k, health);
        else
            render_health(k->out, health);
    }
    json_decref(health);
    return code;
}

static enum exit_code show_readyz(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_health(k, PATH_readyz);
}

static enum exit_code show_livez(struct ksctl *k, const char *argument)
{
    (void)argument;
    return show_health(k, PATH_livez);
}

static enum exit_code show_metrics(struct ksctl *k, const char *argument)
{
    json_t *metrics, *line;
    size_t i;
    (void)argument;
    enum exit_code code = client_get(k->client, PATH_metrics, "", "", "", false, &metrics);
    if (k->json && metrics != NULL)
        print_json(k, metrics);
    else if (code == EXIT_DONE)
        json_array_foreach(value_at(metrics, "lines"), i, line)
            fprintf(k->out, "%s\n", json_string_value(line));
    json_decref(metrics);
    return code;
}

static enum exit_code make_rekey(struct ksctl *k, const char *argument)
{
    json_t *answer;
    enum exit_code code = client_post(k->client, PATH_rekey, argument, NULL, &answer);
    if (k->json && answer != NULL)
        print_json(k, answer);
    else if (code == EXIT_DONE)
        fprintf(k->out, "Rekey of group %s committed with seq # %lld\n", argument,
                (long long)number_at(answer, "seq"));
    json_decref(answer);
    return code;
}

static enum exit_code rotate_signing_key(struct ksctl *k, const char *argument)
{
    json_t *answer;
    enum exit_code code = client_post(k->client, PATH_signing_rotate, argument, NULL, &answer);
    if (k->json && answer != NULL)
        print_json(k, answer);
    else if (code == EXIT_DONE)
        fprintf(k->out, "Signing key version %lld committed; a KEK rekey brings it to each group\n",
                (long long)number_at(answer, "signing_version"));
    json_decref(answer);
    return code;
}

static const struct command commands[] = {
    {"show crypto gdoi", show_gdoi, "Groups, their lifetimes and what is left of them"},
    {"show crypto gdoi ks", show_ks, "Groups of this key server"},
    {"show crypto gdoi ks detail", show_ks_detail, "The same, and the server's role"},
    {"show crypto gdoi ks policy", show_policy, "Keys by SPI, algorithms, lifetimes"},
    {"show crypto gdoi ks members", show_members, "Members with their rekeys and acknowledgements"},
    {"show crypto gdoi ks members summary", show_members_summary, "One line a member"},
    {"show crypto gdoi ks members IP", show_member, "One member, by address or name"},
    {"show crypto gdoi ks rekey", show_rekey, "Rekeys sent and when the next keys are due"},
    {"show crypto gdoi ks acl", show_acl, "What is to be encrypted"},
    {"show groups", show_groups, "One line a group"},
    {"show events", show_events, "The event ring"},
    {"show events after SEQ", show_later_events, "Events behind that sequence number"},
    {"show readyz", show_readyz, "May the server serve members; exit code 1 if not"},
    {"show metrics", show_metrics, "Counters and state as Prometheus reads them"},
    {"show livez", show_livez, "Does the server run; exit code 1 if not"},
    {"rekey GROUP", make_rekey, "Make new keys for the group now and push them"},
    {"signing-key rotate", rotate_signing_key, "Make a new key that signs rekeys"},
};

enum { OWN_COUNT = sizeof(commands) / sizeof(commands[0]), COMMAND_MAX = 64 };

/* All of them: these and those of the cluster. */
static const struct command *command_at(size_t index)
{
    if (index < OWN_COUNT)
        return &commands[index];
    return index < OWN_COUNT + cluster_command_count ? &cluster_commands[index - OWN_COUNT] : NULL;
}

const char *command_words(size_t index)
{
    const struct command *command = command_at(index);
    return command != NULL ? command->words : NULL;
}

void command_help(FILE *out)
{
    for (size_t i = 0; command_at(i) != NULL; i++)
        fprintf(out, "  %-37s %s\n", command_at(i)->words, command_at(i)->summary);
}

/* The index-th word of a command; false behind its end. */
static bool word_at(const char *words, size_t index, char out[WORD_LEN_MAX])
{
    for (; index > 0; index--) {
        words += strcspn(words, " ");
        if (*words == '\0')
            return false;
        words++;
    }
    size_t len = strcspn(words, " ");
    if (len == 0 || len >= WORD_LEN_MAX)
        return false;
    memcpy(out, words, len);
    out[len] = '\0';
    return true;
}

static bool is_argument(const char *word)
{
    return *word >= 'A' && *word <= 'Z';
}

/* How well does what was typed fit the word: 0 not, 1 an argument, 2 shortened, 3 exactly. */
static int fit(const char *typed, const char *word)
{
    if (is_argument(word))
        return 1;
    if (strcmp(typed, word) == 0)
        return 3;
    return *typed != '\0' && strncmp(typed, word, strlen(typed)) == 0 ? 2 : 0;
}

/* Narrows the live commands to those whose index-th word fits best; false if different words fit equally
 * well. */
static bool narrow(bool *live, size_t count, size_t index, const char *typed)
{
    char word[WORD_LEN_MAX], chosen[WORD_LEN_MAX] = "";
    int best = 1;
    for (size_t i = 0; i < count; i++)
        if (live[i] && word_at(command_at(i)->words, index, word) && fit(typed, word) > best)
            best = fit(typed, word);
    bool clear = true;
    for (size_t i = 0; i < count; i++) {
        live[i] = live[i] && word_at(command_at(i)->words, index, word) && fit(typed, word) == best;
        if (!live[i])
            continue;
        if (chosen[0] != '\0' && strcmp(chosen, word) != 0)
            clear = false;
        memcpy(chosen, word, sizeof(chosen));
    }
    return clear;
}

static enum exit_code usage(const char *what, const char *word)
{
    fprintf(stderr, "ksctl: %s%s%s; 'ksctl help' lists the commands\n", what, *word != '\0' ? ": " : "",
            word);
    return EXIT_USAGE;
}

enum exit_code command_run(struct ksctl *k, char **words, size_t count)
{
    bool live[COMMAND_MAX] = {false};
    char word[WORD_LEN_MAX];
    size_t all = OWN_COUNT + cluster_command_count;
    for (size_t i = 0; i < all; i++)
        live[i] = true;
    k->words = words;
    for (size_t index = 0; index < count; index++)
        if (!narrow(live, all, index, words[index]))
            return usage("ambiguous", words[index]);
    size_t left = 0;
    for (size_t i = 0; i < all; i++)
        left += live[i];
    for (size_t i = 0; i < all; i++) {
        if (!live[i] || count == 0 || word_at(command_at(i)->words, count, word))
            continue; /* longer than what was typed */
        const char *argument = is_argument(strrchr(command_at(i)->words, ' ') + 1) ? words[count - 1] : "";
        enum exit_code code = client_open(&k->client, k->server);
        if (code == EXIT_DONE)
            code = command_at(i)->run(k, argument);
        client_free(k->client);
        return code;
    }
    return left > 0 ? usage("unfinished command", "")
                    : usage("unknown command", count > 0 ? words[count - 1] : "");
}

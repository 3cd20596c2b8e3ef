/* ksctl.h - what the files of ksctl share. It speaks the REST API of one server and prints either the API's
 * JSON or text in the shape that people know from routers: labels, order and spacing are theirs, and what is
 * not known is left out. */
#ifndef API_CLI_KSCTL_H
#define API_CLI_KSCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,     /* the server said no, or not ready */
    EXIT_USAGE = 2,       /* the command line is wrong */
    EXIT_UNREACHABLE = 3, /* no server, or none that speaks this API */
};

struct client;

struct ksctl {
    const char *server; /* "http://127.0.0.1:8480" */
    const char *group;  /* only this one; NULL: all */
    bool json;
    struct client *client;
    FILE *out;
    char **words; /* of the command, as typed */
};

/* The paths of routes.def, by name. */
enum path {
#define ROUTE(name, method, path, command, summary, role) PATH_##name,
#include "api/routes.def"
#undef ROUTE
    PATH_COUNT
};

/* client.c: requests. Every call takes *out over to the caller: the body as JSON, of a refusal too, NULL if
 * there is none. Reasons go to stderr, except for a refusal that the caller wants to explain itself (quiet).
 */
enum exit_code client_open(struct client **out, const char *server);
void client_free(struct client *client);
/* g and identity stand in for {g} and {identity}; query is appended as it is ("" or "?..."). */
enum exit_code client_get(struct client *client, enum path path, const char *g, const char *identity,
                          const char *query, bool quiet, json_t **out);
/* send: the body, NULL: none. */
enum exit_code client_post(struct client *client, enum path path, const char *g, const json_t *send,
                           json_t **out);
/* The same for an answer that is no JSON: into a new file of mode 0600, whole or not at all. Its length to *len. */
enum exit_code client_save(struct client *client, enum path path, const char *file, size_t *len);
/* Says on stderr why the server refused. */
void client_explain(const json_t *problem);

/* fetch.c: what a command needs, for each group: an array of objects {"group", "policy", "members",
 * "rekeys"}, each as the API gave it, members of all pages in one. */
enum need { NEED_GROUP = 0, NEED_POLICY = 1, NEED_MEMBERS = 2, NEED_REKEYS = 4 };
/* member: only this one, as "members" with at most one element; NULL: all. */
enum exit_code fetch_groups(struct ksctl *k, unsigned needs, const char *member, json_t **out);
/* All events after a sequence number. */
enum exit_code fetch_events(struct ksctl *k, json_int_t after, json_t **out);

/* value.c: members of JSON objects by path ("config.kek.cipher"); "" and 0 where there is none. */
const char *text_at(const json_t *object, const char *path);
json_int_t number_at(const json_t *object, const char *path);
bool true_at(const json_t *object, const char *path);
bool is_there(const json_t *object, const char *path); /* and not null */
const json_t *value_at(const json_t *object, const char *path);

/* render_*.c: groups is what fetch_groups gave. */
void render_gdoi(FILE *out, const json_t *groups);
void render_ks(FILE *out, const json_t *groups, const json_t *server, bool detail);
void render_policy(FILE *out, const json_t *groups, const json_t *server);
void render_members(FILE *out, const json_t *groups);
void render_members_summary(FILE *out, const json_t *groups);
void render_rekey(FILE *out, const json_t *groups);
void render_acl(FILE *out, const json_t *groups);
void render_groups(FILE *out, const json_t *groups);
void render_events(FILE *out, const json_t *events);
void render_health(FILE *out, const json_t *health);
void render_cluster(FILE *out, const json_t *cluster);
void render_coop(FILE *out, const json_t *cluster);
void render_certs(FILE *out, const json_t *certs);
void render_coop_detail(FILE *out, const json_t *cluster);
/* "esp-256-aes esp-sha256-hmac" of "aes256-sha256"; the word itself if it is not known. */
enum { TRANSFORM_TEXT_MAX = 64 };
const char *transform_text(const char *word, char out[TRANSFORM_TEXT_MAX]);

/* command.c */
enum exit_code print_json(struct ksctl *k, const json_t *json);
enum exit_code command_run(struct ksctl *k, char **words, size_t count);
void command_help(FILE *out);
/* Words of each command in turn, NULL at the end. */
const char *command_words(size_t index);

/* command_cluster.c */
struct command {
    const char *words;
    enum exit_code (*run)(struct ksctl *k, const char *argument);
    const char *summary;
};
extern const struct command cluster_commands[];
extern const size_t cluster_command_count;

/* completion.c */
void completion_bash(FILE *out);

#endif

#include <string.h>

#include "api/cli/ksctl.h"

enum { PAGES_MAX = 1000, EVENT_PAGES_MAX = 4096 };

static enum exit_code no_memory(void)
{
    fprintf(stderr, "ksctl: out of memory\n");
    return EXIT_UNREACHABLE;
}

/* Adds value, taken over, to object; an answer of the server or a failure. */
static enum exit_code put(json_t *object, const char *name, json_t *value, enum exit_code code)
{
    if (code != EXIT_DONE) {
        json_decref(value);
        return code;
    }
    return json_object_set_new(object, name, value) == 0 ? EXIT_DONE : no_memory();
}

static enum exit_code fetch_pages(struct ksctl *k, const char *g, json_t **out)
{
    char query[1024] = "?limit=1000";
    *out = NULL;
    for (unsigned i = 0; i < PAGES_MAX; i++) {
        json_t *page;
        enum exit_code code = client_get(k->client, PATH_members, g, "", query, false, &page);
        if (code != EXIT_DONE) {
            json_decref(page);
            return code;
        }
        if (*out == NULL)
            *out = json_incref(page);
        else
            json_array_extend(json_object_get(*out, "members"), json_object_get(page, "members"));
        const char *next = text_at(page, "next");
        bool more = *next != '\0';
        int len = snprintf(query, sizeof(query), "?limit=1000&cursor=%s", next);
        json_decref(page);
        if (!more || len >= (int)sizeof(query))
            break;
    }
    json_object_set_new(*out, "next", json_null());
    return EXIT_DONE;
}

/* The one member as a list; an empty list if this group has it not. */
static enum exit_code fetch_member(struct ksctl *k, const char *g, const char *member, json_t **out)
{
    json_t *found;
    *out = NULL;
    enum exit_code code = client_get(k->client, PATH_member, g, member, "", true, &found);
    if (code == EXIT_REFUSED && number_at(found, "status") == 404) {
        json_decref(found);
        *out = json_pack("{s:s, s:[]}", "group", g, "members");
        return *out != NULL ? EXIT_DONE : no_memory();
    }
    if (code != EXIT_DONE) {
        if (code == EXIT_REFUSED)
            client_explain(found);
        json_decref(found);
        return code;
    }
    *out = json_pack("{s:s, s:[o]}", "group", g, "members", found);
    return *out != NULL ? EXIT_DONE : no_memory();
}

static enum exit_code fetch_one(struct ksctl *k, json_t *group, unsigned needs, const char *member,
                                json_t *entry)
{
    const char *g = text_at(group, "name");
    json_t *part = NULL;
    enum exit_code code = json_object_set(entry, "group", group) == 0 ? EXIT_DONE : no_memory();
    if (code == EXIT_DONE && (needs & NEED_POLICY) != 0) {
        code = client_get(k->client, PATH_policy, g, "", "", false, &part);
        code = put(entry, "policy", part, code);
    }
    if (code == EXIT_DONE && (needs & NEED_REKEYS) != 0) {
        code = client_get(k->client, PATH_rekeys, g, "", "", false, &part);
        code = put(entry, "rekeys", part, code);
    }
    if (code == EXIT_DONE && (needs & NEED_MEMBERS) != 0) {
        code = member != NULL ? fetch_member(k, g, member, &part) : fetch_pages(k, g, &part);
        code = put(entry, "members", part, code);
    }
    return code;
}

static enum exit_code fetch_list(struct ksctl *k, json_t **out)
{
    json_t *answer;
    *out = NULL;
    enum exit_code code;
    if (k->group != NULL) {
        code = client_get(k->client, PATH_group, k->group, "", "", false, &answer);
        *out = code == EXIT_DONE ? json_pack("[O]", answer) : NULL;
    } else {
        code = client_get(k->client, PATH_groups, "", "", "", false, &answer);
        *out = code == EXIT_DONE ? json_incref(json_object_get(answer, "groups")) : NULL;
    }
    json_decref(answer);
    return code == EXIT_DONE && *out == NULL ? no_memory() : code;
}

enum exit_code fetch_groups(struct ksctl *k, unsigned needs, const char *member, json_t **out)
{
    json_t *list, *group;
    size_t i;
    *out = NULL;
    enum exit_code code = fetch_list(k, &list);
    if (code != EXIT_DONE)
        return code;
    json_t *all = json_array();
    json_array_foreach(list, i, group)
    {
        json_t *entry = json_object();
        code = fetch_one(k, group, needs, member, entry);
        if (json_array_append_new(all, entry) != 0)
            code = no_memory();
        if (code != EXIT_DONE)
            break;
    }
    json_decref(list);
    if (code == EXIT_DONE)
        *out = all;
    else
        json_decref(all);
    return code;
}

enum exit_code fetch_events(struct ksctl *k, json_int_t after, json_t **out)
{
    json_t *all = json_array();
    *out = NULL;
    for (unsigned i = 0; i < EVENT_PAGES_MAX; i++) {
        char query[64];
        json_t *page;
        snprintf(query, sizeof(query), "?limit=512&after=%lld", (long long)after);
        enum exit_code code = client_get(k->client, PATH_events, "", "", query, false, &page);
        if (code != EXIT_DONE) {
            json_decref(page);
            json_decref(all);
            return code;
        }
        size_t count = json_array_size(json_object_get(page, "events"));
        json_array_extend(all, json_object_get(page, "events"));
        after = number_at(page, "last");
        json_decref(page);
        if (count < 512)
            break;
    }
    *out = json_pack("{s:o, s:I}", "events", all, "last", after);
    return *out != NULL ? EXIT_DONE : no_memory();
}

#include "base/conf.h"

#include <stdio.h>
#include <string.h>

#include "base/conf_node.h"

enum {
    CONF_PATH_TEXT_MAX = 160, /* of "groups[2].rekey.lifetime" in a message */
    CONF_WORDS_TEXT_MAX = 240,
    CONF_EXPECTED_MAX = 280,
};

static const char *kind_of(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group { }";
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return "an integer";
    case CONFIG_TYPE_FLOAT:
        return "a number with a fraction";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        return "a list ( )";
    default:
        return "something else";
    }
}

/* "groups[2].rekey" from the root down; a path that is too long loses its beginning. */
static const char *path_of(const config_setting_t *setting, char out[CONF_PATH_TEXT_MAX])
{
    size_t at = CONF_PATH_TEXT_MAX - 1;
    out[at] = '\0';
    for (; setting != NULL && !config_setting_is_root(setting); setting = config_setting_parent(setting)) {
        char part[CONF_PATH_TEXT_MAX];
        const config_setting_t *parent = config_setting_parent(setting);
        if (setting->name == NULL)
            snprintf(part, sizeof(part), "[%d]", config_setting_index(setting));
        else
            snprintf(part, sizeof(part), "%s%s", config_setting_is_root(parent) ? "" : ".", setting->name);
        size_t len = strlen(part);
        if (len > at)
            break;
        at -= len;
        memcpy(out + at, part, len);
    }
    return out[at] != '\0' ? out + at : "the file";
}

/* "a", "b" or "c" -> one text, cut when too long. */
static const char *join(const char *const *words, char out[CONF_WORDS_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; words[i] != NULL && len < CONF_WORDS_TEXT_MAX; i++)
        len += (size_t)snprintf(out + len, CONF_WORDS_TEXT_MAX - len, "%s%s", i == 0 ? "" : ", ", words[i]);
    return out;
}

static err_t fail_kind(const config_setting_t *setting, struct conf_error *error, const char *expected)
{
    char path[CONF_PATH_TEXT_MAX];
    return conf_fail(node_of(setting), error, "%s: expected %s, found %s", path_of(setting, path), expected,
                     kind_of(setting));
}

static err_t fail_text(const config_setting_t *setting, struct conf_error *error, const char *expected)
{
    char path[CONF_PATH_TEXT_MAX];
    return conf_fail(node_of(setting), error, "%s: expected %s, found \"%.60s\"", path_of(setting, path),
                     expected, config_setting_get_string(setting));
}

/* Finding */

static const config_setting_t *find(const struct conf_node *group, const char *name)
{
    const config_setting_t *setting = setting_of(group);
    if (setting == NULL || !config_setting_is_group(setting))
        return NULL;
    return config_setting_get_member(setting, name);
}

/* *out is NULL and E_OK if the key is absent and need not be there. */
static err_t look_up(const struct conf_node *group, const char *name, bool required, const char *expected,
                     const config_setting_t **out, struct conf_error *error)
{
    char path[CONF_PATH_TEXT_MAX];
    *out = find(group, name);
    if (*out != NULL || !required)
        return E_OK;
    return conf_fail(group, error, "%s: \"%s\" is missing, expected %s", path_of(setting_of(group), path),
                     name, expected);
}

bool conf_has(const struct conf_node *group, const char *name)
{
    return find(group, name) != NULL;
}

bool conf_is_list(const struct conf_node *group, const char *name)
{
    const config_setting_t *setting = find(group, name);
    return setting != NULL && (config_setting_is_list(setting) || config_setting_is_array(setting));
}

err_t conf_only(const struct conf_node *group, const char *const *names, struct conf_error *error)
{
    const config_setting_t *setting = setting_of(group);
    if (!config_setting_is_group(setting))
        return fail_kind(setting, error, "a group { }");
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *child = config_setting_get_elem(setting, (unsigned)i);
        size_t n = 0;
        while (names[n] != NULL && strcmp(names[n], child->name) != 0)
            n++;
        if (names[n] == NULL) {
            char path[CONF_PATH_TEXT_MAX];
            char words[CONF_WORDS_TEXT_MAX];
            return conf_fail(node_of(child), error, "%s: unknown key, expected one of: %s",
                             path_of(child, path), join(names, words));
        }
    }
    return E_OK;
}

err_t conf_group(const struct conf_node *parent, const char *name, const struct conf_node **out,
                 struct conf_error *error)
{
    *out = NULL;
    const config_setting_t *setting = find(parent, name);
    if (setting != NULL && !config_setting_is_group(setting))
        return fail_kind(setting, error, "a group { }");
    *out = node_of(setting);
    return E_OK;
}

err_t conf_list(const struct conf_node *parent, const char *name, const struct conf_node **out,
                struct conf_error *error)
{
    *out = NULL;
    const config_setting_t *setting = find(parent, name);
    if (setting != NULL && !conf_is_list(parent, name))
        return fail_kind(setting, error, "a list ( )");
    *out = node_of(setting);
    return E_OK;
}

size_t conf_count(const struct conf_node *list)
{
    return list != NULL ? (size_t)config_setting_length(setting_of(list)) : 0;
}

const struct conf_node *conf_item(const struct conf_node *list, size_t index)
{
    return index < conf_count(list) ? node_of(config_setting_get_elem(setting_of(list), (unsigned)index))
                                    : NULL;
}

/* Values */

/* The text of a string, or NULL with the error filled. */
static const char *text_of(const config_setting_t *setting, const char *expected, struct conf_error *error)
{
    const char *text = config_setting_get_string(setting);
    if (text == NULL)
        (void)fail_kind(setting, error, expected);
    return text;
}

static err_t take_copy(const config_setting_t *setting, char *out, size_t out_size, struct conf_error *error)
{
    const char *text = text_of(setting, "a string", error);
    if (text == NULL)
        return E_CONFIG;
    size_t len = strlen(text);
    if (len >= out_size) {
        char path[CONF_PATH_TEXT_MAX];
        return conf_fail(node_of(setting), error, "%s: expected a string of at most %zu bytes, found %zu",
                         path_of(setting, path), out_size - 1, len);
    }
    memcpy(out, text, len + 1);
    return E_OK;
}

static const char addr_expected[] = "an IPv4 or IPv6 address as a string";
static const char prefix_expected[] = "a prefix like \"10.1.0.0/16\" without host bits";

static err_t take_addr(const config_setting_t *setting, struct addr *out, struct conf_error *error)
{
    struct addr found;
    const char *text = text_of(setting, addr_expected, error);
    if (text == NULL)
        return E_CONFIG;
    if (addr_parse(&found, text) != E_OK)
        return fail_text(setting, error, addr_expected);
    *out = found;
    return E_OK;
}

static err_t take_prefix(const config_setting_t *setting, struct prefix *out, struct conf_error *error)
{
    struct prefix found;
    const char *text = text_of(setting, prefix_expected, error);
    if (text == NULL)
        return E_CONFIG;
    if (prefix_parse(&found, text) != E_OK)
        return fail_text(setting, error, prefix_expected);
    *out = found;
    return E_OK;
}

err_t conf_u64(const struct conf_node *group, const char *name, bool required, uint64_t min, uint64_t max,
               uint64_t *out, struct conf_error *error)
{
    char expected[CONF_EXPECTED_MAX];
    char path[CONF_PATH_TEXT_MAX];
    const config_setting_t *setting = NULL;
    snprintf(expected, sizeof(expected), "an integer from %llu to %llu", (unsigned long long)min,
             (unsigned long long)max);
    err_t err = look_up(group, name, required, expected, &setting, error);
    if (err != E_OK || setting == NULL)
        return err;
    if (config_setting_type(setting) != CONFIG_TYPE_INT && config_setting_type(setting) != CONFIG_TYPE_INT64)
        return fail_kind(setting, error, expected);
    long long value = config_setting_get_int64(setting);
    if (value < 0 || (uint64_t)value < min || (uint64_t)value > max)
        return conf_fail(node_of(setting), error, "%s: expected %s, found %lld", path_of(setting, path),
                         expected, value);
    *out = (uint64_t)value;
    return E_OK;
}

err_t conf_u32(const struct conf_node *group, const char *name, bool required, uint32_t min, uint32_t max,
               uint32_t *out, struct conf_error *error)
{
    uint64_t wide = *out;
    err_t err = conf_u64(group, name, required, min, max, &wide, error);
    if (err == E_OK)
        *out = (uint32_t)wide;
    return err;
}

err_t conf_bool(const struct conf_node *group, const char *name, bool required, bool *out,
                struct conf_error *error)
{
    const config_setting_t *setting = NULL;
    err_t err = look_up(group, name, required, "true or false", &setting, error);
    if (err != E_OK || setting == NULL)
        return err;
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
        return fail_kind(setting, error, "true or false");
    *out = config_setting_get_bool(setting) == CONFIG_TRUE;
    return E_OK;
}

err_t conf_text(const struct conf_node *group, const char *name, bool required, char *out, size_t out_size,
                struct conf_error *error)
{
    const config_setting_t *setting = NULL;
    err_t err = look_up(group, name, required, "a string", &setting, error);
    return err != E_OK || setting == NULL ? err : take_copy(setting, out, out_size, error);
}

err_t conf_addr(const struct conf_node *group, const char *name, bool required, struct addr *out,
                struct conf_error *error)
{
    const config_setting_t *setting = NULL;
    err_t err = look_up(group, name, required, addr_expected, &setting, error);
    return err != E_OK || setting == NULL ? err : take_addr(setting, out, error);
}

err_t conf_prefix(const struct conf_node *group, const char *name, bool required, struct prefix *out,
                  struct conf_error *error)
{
    const config_setting_t *setting = NULL;
    err_t err = look_up(group, name, required, prefix_expected, &setting, error);
    return err != E_OK || setting == NULL ? err : take_prefix(setting, out, error);
}

err_t conf_word(const struct conf_node *group, const char *name, bool required, const char *const *words,
                unsigned *out, struct conf_error *error)
{
    char list[CONF_WORDS_TEXT_MAX];
    char expected[CONF_EXPECTED_MAX];
    const config_setting_t *setting = NULL;
    snprintf(expected, sizeof(expected), "one of the strings: %s", join(words, list));
    err_t err = look_up(group, name, required, expected, &setting, error);
    if (err != E_OK || setting == NULL)
        return err;
    const char *text = text_of(setting, expected, error);
    if (text == NULL)
        return E_CONFIG;
    for (unsigned i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return E_OK;
        }
    }
    return fail_text(setting, error, expected);
}

err_t conf_item_text(const struct conf_node *item, char *out, size_t out_size, struct conf_error *error)
{
    return take_copy(setting_of(item), out, out_size, error);
}

err_t conf_item_prefix(const struct conf_node *item, struct prefix *out, struct conf_error *error)
{
    return take_prefix(setting_of(item), out, error);
}

err_t conf_item_addr(const struct conf_node *item, struct addr *out, struct conf_error *error)
{
    return take_addr(setting_of(item), out, error);
}

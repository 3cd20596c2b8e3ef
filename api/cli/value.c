#include <string.h>

#include "api/cli/ksctl.h"

const json_t *value_at(const json_t *object, const char *path)
{
    char name[64];
    while (*path != '\0' && object != NULL) {
        size_t len = strcspn(path, ".");
        if (len >= sizeof(name))
            return NULL;
        memcpy(name, path, len);
        name[len] = '\0';
        object = json_object_get(object, name);
        path += len;
        path += *path == '.';
    }
    return object;
}

const char *text_at(const json_t *object, const char *path)
{
    const char *text = json_string_value(value_at(object, path));
    return text != NULL ? text : "";
}

json_int_t number_at(const json_t *object, const char *path)
{
    return json_integer_value(value_at(object, path));
}

bool true_at(const json_t *object, const char *path)
{
    return json_is_true(value_at(object, path));
}

bool is_there(const json_t *object, const char *path)
{
    const json_t *value = value_at(object, path);
    return value != NULL && !json_is_null(value);
}

/* conf_file.c - reads a configuration file, and says where in it something is wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_node.h"
#include "base/conf_scan.h"
#include "base/secret.h"

enum {
    CONF_FILE_MAX = 16 << 20, /* bytes */
};

struct conf_file {
    config_t config; /* the root's hook leads back to this struct, for the path */
    char path[256];
};

static void set_place(struct conf_error *error, const char *path, unsigned line)
{
    snprintf(error->file, sizeof(error->file), "%s", path);
    error->line = line;
}

static err_t fail_file(struct conf_error *error, const char *path, unsigned line, const char *format, ...)
    PRINTF_LIKE(4, 5);

static err_t fail_file(struct conf_error *error, const char *path, unsigned line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    set_place(error, path, line);
    return E_CONFIG;
}

err_t conf_fail(const struct conf_node *node, struct conf_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    const config_setting_t *setting = setting_of(node);
    if (setting == NULL) {
        set_place(error, "configuration", 0);
        return E_CONFIG;
    }
    const struct conf_file *file = config_setting_get_hook(config_root_setting(setting->config));
    set_place(error, file->path, config_setting_is_root(setting) ? 0 : config_setting_source_line(setting));
    return E_CONFIG;
}

static err_t open_private(const char *path, int *fd, size_t *size, struct conf_error *error)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        return fail_file(error, path, 0, "cannot be opened: %s", strerror(errno));
    if (fstat(*fd, &st) != 0)
        return fail_file(error, path, 0, "cannot be examined: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail_file(error, path, 0, "is not a regular file");
    if ((st.st_mode & (S_IWGRP | S_IRWXO)) != 0)
        return fail_file(
            error, path, 0,
            "may hold keys, but its mode %04o lets others read or change it; expected 0640 or less",
            (unsigned)(st.st_mode & 07777));
    if (st.st_size > CONF_FILE_MAX)
        return fail_file(error, path, 0, "is larger than %d bytes", CONF_FILE_MAX);
    *size = (size_t)st.st_size;
    return E_OK;
}

static err_t read_all(int fd, const char *path, char *text, size_t *len, struct conf_error *error)
{
    size_t size = *len;
    *len = 0;
    while (*len < size) {
        ssize_t n = read(fd, text + *len, size - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_file(error, path, 0, "cannot be read: %s", strerror(errno));
        if (n == 0)
            break; /* cut while we read */
        *len += (size_t)n;
    }
    return E_OK;
}

static err_t parse(struct conf_file *file, const char *text, size_t len, struct conf_error *error)
{
    char *prepared = malloc(2 * len + 1);
    if (prepared == NULL)
        return E_NO_MEMORY;
    struct conf_scan scan = {.text = text, .len = len, .out = prepared};
    err_t err = conf_scan(&scan);
    if (err != E_OK)
        err = fail_file(error, file->path, scan.line, "%s", scan.what);
    else if (config_read_string(&file->config, prepared) != CONFIG_TRUE)
        err = fail_file(error, file->path, (unsigned)config_error_line(&file->config), "%s",
                        config_error_text(&file->config));
    secret_wipe(prepared, 2 * len + 1);
    free(prepared);
    return err;
}

static err_t load(struct conf_file *file, const char *path, struct conf_error *error)
{
    int fd = -1;
    size_t size = 0;
    char *text = NULL;
    err_t err = open_private(path, &fd, &size, error);
    if (err != E_OK)
        goto done;
    text = malloc(size + 1);
    if (text == NULL) {
        err = E_NO_MEMORY;
        goto done;
    }
    size_t len = size;
    err = read_all(fd, path, text, &len, error);
    if (err == E_OK)
        err = parse(file, text, len, error);
    secret_wipe(text, size);
done:
    free(text);
    if (fd >= 0)
        close(fd);
    return err;
}

err_t conf_open(struct conf_file **out, const char *path, struct conf_error *error)
{
    *out = NULL;
    *error = (struct conf_error){0};
    struct conf_file *file = calloc(1, sizeof(*file));
    if (file == NULL)
        return E_NO_MEMORY;
    snprintf(file->path, sizeof(file->path), "%s", path);
    config_init(&file->config);
    err_t err = load(file, path, error);
    if (err == E_NO_MEMORY)
        (void)fail_file(error, path, 0, "%s", err_text(err));
    if (err != E_OK) {
        conf_free(file);
        return err;
    }
    config_setting_set_hook(config_root_setting(&file->config), file);
    *out = file;
    return E_OK;
}

/* Strings may be keys. As deep as the file nests, which is trusted. */
static void wipe_strings(config_setting_t *setting)
{
    if (config_setting_type(setting) == CONFIG_TYPE_STRING && setting->value.sval != NULL)
        secret_wipe(setting->value.sval, strlen(setting->value.sval));
    for (int i = 0; i < config_setting_length(setting); i++)
        wipe_strings(config_setting_get_elem(setting, (unsigned)i));
}

void conf_free(struct conf_file *file)
{
    if (file == NULL)
        return;
    wipe_strings(config_root_setting(&file->config));
    config_destroy(&file->config);
    free(file);
}

const struct conf_node *conf_root(const struct conf_file *file)
{
    return node_of(config_root_setting(&file->config));
}

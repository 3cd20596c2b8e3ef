#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gm-agent/enrol.h"

static void put(char out[ENROL_CONFIG_MAX], const char *format, ...) PRINTF_LIKE(2, 3);

/* Text that does not fit fills the array, which enrol_config_text sees. */
static void put(char out[ENROL_CONFIG_MAX], const char *format, ...)
{
    size_t len = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + len, ENROL_CONFIG_MAX - len, format, args);
    va_end(args);
}

/* A number stands bare, an address or a name in quotes; other identities cannot be configured. */
static err_t put_identity(char out[ENROL_CONFIG_MAX], const struct identity *identity)
{
    char text[ID_TEXT_MAX];
    char *end;
    identity_format(identity, text);
    if (identity->type == ID_KEY_ID) {
        unsigned long number = strtoul(text, &end, 10);
        if (identity->len != 4 || *end != '\0' || number > INT32_MAX)
            return E_UNSUPPORTED;
        put(out, "%lu", number);
        return E_OK;
    }
    if ((identity->type != ID_IPV4_ADDR && identity->type != ID_IPV6_ADDR && identity->type != ID_FQDN) ||
        strpbrk(text, "\"\\") != NULL)
        return E_UNSUPPORTED;
    put(out, "\"%s\"", text);
    return E_OK;
}

err_t enrol_config_text(const struct enrol_site *site, const struct enrol_grant *grant,
                        char out[ENROL_CONFIG_MAX])
{
    char text[ADDR_TEXT_MAX];
    out[0] = '\0';
    put(out,
        "# Written by \"gm-agent enrol\". All keys: gm-agent.conf(5).\n"
        "group = { name = \"%s\"; identity = ",
        grant->group);
    err_t err = put_identity(out, &grant->identity);
    if (err != E_OK)
        return err;
    put(out, "; };\nservers = ( ");
    for (size_t i = 0; i < grant->server_count; i++)
        put(out, "%s\"%s\"", i > 0 ? ", " : "", addr_format(&grant->servers[i], text));
    put(out, " );\nlocal = { address = \"%s\"; };\npsk_file = \"%s\";\n", addr_format(&site->member, text),
        site->psk_path);
    put(out, "datapath = { backend = \"%s\"; ", site->backend);
    if (site->lan_count > 0) {
        put(out, "wan = \"%s\"; lan = [ ", site->wan);
        for (size_t i = 0; i < site->lan_count; i++)
            put(out, "%s\"%s\"", i > 0 ? ", " : "", site->lan[i]);
        put(out, " ]; ");
    }
    put(out, "};\nstatus_socket = \"/run/quorate/gm-agent.sock\";\n");
    return strlen(out) + 1 < ENROL_CONFIG_MAX ? E_OK : E_FULL;
}

/* Into a file beside path, whose name is its with ".new" behind it. */
static err_t write_new(const char *new_path, struct bytes text)
{
    const struct group *group = geteuid() == 0 ? getgrnam("quorate-gm") : NULL;
    unlink(new_path);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return E_IO;
    bool fine = group == NULL || (fchown(fd, 0, group->gr_gid) == 0 && fchmod(fd, 0640) == 0);
    for (size_t at = 0; fine && at < text.len;) {
        ssize_t n = write(fd, text.data + at, text.len - at);
        fine = n > 0 || (n < 0 && errno == EINTR);
        at += n > 0 ? (size_t)n : 0;
    }
    fine = fine && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0)
        fine = false;
    else
        errno = why;
    return fine ? E_OK : E_IO;
}

static err_t new_path_of(const char *path, char out[ENROL_PATH_MAX + 8])
{
    errno = ENAMETOOLONG;
    return snprintf(out, ENROL_PATH_MAX + 8, "%s.new", path) < ENROL_PATH_MAX + 8 ? E_OK : E_IO;
}

err_t enrol_file_write(const char *path, struct bytes text)
{
    char new_path[ENROL_PATH_MAX + 8];
    err_t err = new_path_of(path, new_path);
    if (err == E_OK)
        err = write_new(new_path, text);
    return err == E_OK && rename(new_path, path) != 0 ? E_IO : err;
}

static err_t fail(struct conf_error *error, const char *path, const char *what)
{
    snprintf(error->file, sizeof(error->file), "%s", path);
    snprintf(error->message, sizeof(error->message), "%s", what);
    error->line = 0;
    return E_CONFIG;
}

err_t enrol_install(const struct enrol_site *site, const struct enrol_grant *grant, const char *config_path,
                    struct conf_error *error)
{
    char text[ENROL_CONFIG_MAX], new_path[ENROL_PATH_MAX + 8];
    uint8_t psk[SECRET_LEN_MAX + 1];
    struct gm_config config;
    err_t err = enrol_config_text(site, grant, text);
    if (err != E_OK)
        return fail(error, config_path, err_text(err));
    memcpy(psk, grant->psk.data, grant->psk.len);
    psk[grant->psk.len] = '\n';
    err = enrol_file_write(site->psk_path, (struct bytes){psk, grant->psk.len + 1u});
    secret_wipe(psk, sizeof(psk));
    if (err != E_OK)
        return fail(error, site->psk_path, strerror(errno));
    if (new_path_of(config_path, new_path) != E_OK || write_new(new_path, bytes_of_text(text)) != E_OK)
        return fail(error, config_path, strerror(errno));
    err = gm_config_load(&config, new_path, error);
    if (err != E_OK)
        return err;
    gm_config_close(&config);
    return rename(new_path, config_path) == 0 ? E_OK : fail(error, config_path, strerror(errno));
}

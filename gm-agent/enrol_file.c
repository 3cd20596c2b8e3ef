#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_save.h"
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

/* Whom the files are for: the group that deploy/debian makes, where it is there and we may give it to it. */
static const gid_t *readers(gid_t *id)
{
    const struct group *group = geteuid() == 0 ? getgrnam("quorate-gm") : NULL;
    if (group == NULL)
        return NULL;
    *id = group->gr_gid;
    return id;
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
    char text[ENROL_CONFIG_MAX], new_path[FILE_SAVE_PATH_MAX];
    uint8_t psk[SECRET_LEN_MAX + 1];
    struct gm_config config;
    gid_t id;
    err_t err = enrol_config_text(site, grant, text);
    if (err != E_OK)
        return fail(error, config_path, err_text(err));
    memcpy(psk, grant->psk.data, grant->psk.len);
    psk[grant->psk.len] = '\n';
    err = file_save(site->psk_path, (struct bytes){psk, grant->psk.len + 1u}, readers(&id));
    secret_wipe(psk, sizeof(psk));
    if (err != E_OK)
        return fail(error, site->psk_path, strerror(errno));
    if (file_save_beside(config_path, bytes_of_text(text), readers(&id), new_path) != E_OK)
        return fail(error, config_path, strerror(errno));
    err = gm_config_load(&config, new_path, error);
    if (err != E_OK)
        return err;
    gm_config_close(&config);
    return file_save_rename(new_path, config_path) == E_OK ? E_OK : fail(error, config_path, strerror(errno));
}

/* enrol.h - "gm-agent enrol": with a one-time token of a key server, one command makes a machine a member. It
 * asks for a pre-shared key (proto/ike/enrol.h), and writes that and a configuration file. Nothing is asked
 * that could not be used: what the file needs is looked for first, as the token serves once.
 *
 *   enrol.c       the command: options, devices, the question
 *   enrol_file.c  the configuration as text, and both files in place */
#ifndef GM_AGENT_ENROL_H
#define GM_AGENT_ENROL_H

#include "gm-agent/config.h"
#include "proto/ike/enrol.h"

enum {
    ENROL_PORT = 8482, /* where key servers take requests to join, unless --server says more */
    ENROL_ASK_MAX = 4, /* --server options */
    ENROL_CONFIG_MAX = 4096,
    ENROL_PATH_MAX = 240, /* bytes with NUL */
};

/* What the configuration is made of. */
struct enrol_site {
    struct addr member;
    const char *backend;
    char wan[GM_DEVICE_MAX];
    char lan[GM_LAN_MAX][GM_DEVICE_MAX];
    size_t lan_count;
    char psk_path[ENROL_PATH_MAX];
};

/* "enrol --server ADDRESS --token TOKEN ...": words[0] is "enrol". Returns the exit code; says what is wrong.
 */
int enrol_command(const char *config_path, int count, char **words);

/* The text of gm-agent.conf. E_UNSUPPORTED: the group's identity has no place in the file; E_FULL. */
err_t enrol_config_text(const struct enrol_site *site, const struct enrol_grant *grant,
                        char out[ENROL_CONFIG_MAX]) MUST_USE;
/* Both files (base/file_save.h; the group quorate-gm may read them, where there is one); the configuration is
 * loaded before it takes its place, error says what is wrong with it. */
err_t enrol_install(const struct enrol_site *site, const struct enrol_grant *grant, const char *config_path,
                    struct conf_error *error) MUST_USE;

#endif

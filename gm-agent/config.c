/* config.c - reads gm-agent.conf against the table of known keys. */
#include "gm-agent/config_parts.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/wire/numbers.h"

static const char *const root_keys[] = {
    "group",
    "servers",
    "local",
    "psk",
    "psk_file",
    "ike",
    "datapath",
    "status_socket",
    "ack_jitter_ms",
    "retry_first_s",
    "retry_max_s",
    "request_timeout_s",
    "retransmit_ms",
    "accept_dialect",
    "reregister_before_s",
    NULL,
};

static err_t read_group(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    static const char *const keys[] = {"name", "identity", NULL};
    const struct conf_node *group = NULL;
    err_t err = conf_group(root, "group", &group, error);
    if (err != E_OK)
        return err;
    if (group == NULL)
        return conf_fail(root, error, "group = { name = ...; identity = ...; } is missing");
    if ((err = conf_only(group, keys, error)) != E_OK ||
        (err = conf_text(group, "name", true, out->group_name, sizeof(out->group_name), error)) != E_OK)
        return err;
    if (!conf_has(group, "identity"))
        return conf_fail(group, error, "identity is missing: a number 0..2147483647, an address or a name");
    /* A number, as on the key server; else text: an IPv4 or IPv6 address, or a domain name. */
    uint32_t number = 0;
    struct conf_error not_a_number;
    if (conf_u32(group, "identity", true, 0, 2147483647, &number, &not_a_number) == E_OK) {
        out->group = identity_from_number(number);
        return E_OK;
    }
    char text[CONF_TEXT_MAX];
    if (conf_text(group, "identity", true, text, sizeof(text), error) != E_OK)
        return conf_fail(group, error, "identity: expected a number 0..2147483647, an address or a name");
    struct addr addr;
    if (addr_parse(&addr, text) == E_OK) {
        out->group = identity_from_addr(&addr);
        return E_OK;
    }
    if (identity_from_text(&out->group, ID_FQDN, text) != E_OK)
        return conf_fail(group, error, "identity: expected a number 0..2147483647, an address or a name");
    return E_OK;
}

bool config_parse_server(const char *text, uint16_t default_port, struct endpoint *out)
{
    char host[CONF_TEXT_MAX];
    snprintf(host, sizeof(host), "%s", text);
    out->port = default_port;
    if (addr_parse(&out->addr, host) == E_OK)
        return true;
    char *colon = strrchr(host, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (!isdigit((unsigned char)colon[1]) || *end != '\0' || port == 0 || port > 65535)
        return false;
    out->port = (uint16_t)port;
    size_t len = strlen(host);
    if (host[0] == '[' && len > 2 && host[len - 1] == ']') {
        host[len - 1] = '\0';
        return addr_parse(&out->addr, host + 1) == E_OK && out->addr.family == AF_INET6;
    }
    return addr_parse(&out->addr, host) == E_OK && out->addr.family == AF_INET;
}

static err_t read_servers(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(root, "servers", &list, error);
    if (err != E_OK)
        return err;
    size_t count = conf_count(list);
    if (count == 0)
        return conf_fail(list != NULL ? list : root, error,
                         "servers: expected at least one key server address");
    if (count > GM_SERVER_MAX)
        return conf_fail(list, error, "servers: expected at most %d", GM_SERVER_MAX);
    for (size_t i = 0; i < count; i++) {
        char text[CONF_TEXT_MAX];
        const struct conf_node *item = conf_item(list, i);
        if ((err = conf_item_text(item, text, sizeof(text), error)) != E_OK)
            return err;
        struct endpoint *server = &out->servers[i];
        if (!config_parse_server(text, GDOI_PORT, server))
            return conf_fail(item, error, "servers: expected \"address\" or \"address:port\", not \"%s\"",
                             text);
        if (server->addr.family != out->local.addr.family)
            return conf_fail(item, error, "servers: %s is of another address family than local.address",
                             text);
        for (size_t k = 0; k < i; k++)
            if (endpoint_equal(&out->servers[k], server))
                return conf_fail(item, error, "servers: %s stands twice", text);
        out->server_count = i + 1;
    }
    return E_OK;
}

static err_t read_local(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    static const char *const keys[] = {"address", "port", "vrf", NULL};
    const struct conf_node *local = NULL;
    err_t err = conf_group(root, "local", &local, error);
    if (err != E_OK)
        return err;
    if (local == NULL)
        return conf_fail(root, error, "local = { address = ...; } is missing");
    uint32_t port = GDOI_PORT;
    if ((err = conf_only(local, keys, error)) != E_OK ||
        (err = conf_addr(local, "address", true, &out->local.addr, error)) != E_OK ||
        (err = conf_u32(local, "port", false, 1, 65535, &port, error)) != E_OK ||
        (err = conf_text(local, "vrf", false, out->vrf, sizeof(out->vrf), error)) != E_OK)
        return err;
    if (out->vrf[0] != '\0' && !config_device_name_ok(out->vrf))
        return conf_fail(local, error, "local.vrf: expected the name of a device");
    static const struct addr none4 = {.family = AF_INET}, none6 = {.family = AF_INET6};
    if (addr_is_multicast(&out->local.addr) || addr_equal(&out->local.addr, &none4) ||
        addr_equal(&out->local.addr, &none6))
        return conf_fail(local, error, "local.address: expected an address of this machine");
    out->local.port = (uint16_t)port;
    return E_OK;
}

static err_t read_psk_file(const struct conf_node *root, const char *path, struct gm_config *out,
                           struct conf_error *error)
{
    uint8_t data[SECRET_LEN_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return conf_fail(root, error, "psk_file: %s cannot be read", path);
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & 037) != 0) {
        close(fd);
        return conf_fail(root, error, "psk_file: %s must be a regular file of mode 0640 or less", path);
    }
    ssize_t got = read(fd, data, sizeof(data));
    close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && (data[len - 1] == '\n' || data[len - 1] == '\r'))
        len--;
    err_t err = len == 0 ? E_BAD_KEY : secret_set(&out->psk, (struct bytes){data, len});
    secret_wipe(data, sizeof(data));
    if (err != E_OK)
        return conf_fail(root, error, "psk_file: %s: expected 1 to %d bytes", path, SECRET_LEN_MAX);
    return E_OK;
}

static err_t read_psk(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    if (conf_has(root, "psk") == conf_has(root, "psk_file"))
        return conf_fail(root, error, "expected exactly one of psk and psk_file");
    char text[CONF_TEXT_MAX];
    err_t err;
    if (conf_has(root, "psk_file")) {
        if ((err = conf_text(root, "psk_file", true, text, sizeof(text), error)) != E_OK)
            return err;
        return read_psk_file(root, text, out, error);
    }
    if ((err = conf_text(root, "psk", true, text, sizeof(text), error)) != E_OK)
        return err;
    size_t len = strlen(text);
    err = len == 0 ? E_BAD_KEY : secret_set(&out->psk, (struct bytes){(const uint8_t *)text, len});
    secret_wipe(text, sizeof(text));
    if (err != E_OK)
        return conf_fail(root, error, "psk: expected 1 to %d bytes", SECRET_LEN_MAX);
    return E_OK;
}

static err_t read_proposals(const struct conf_node *list, struct gm_config *out, struct conf_error *error)
{
    if (conf_count(list) == 0) {
        ike_policy_default(&out->ike);
        return E_OK;
    }
    for (size_t i = 0; i < conf_count(list); i++) {
        char text[CONF_TEXT_MAX];
        const struct conf_node *item = conf_item(list, i);
        err_t err = conf_item_text(item, text, sizeof(text), error);
        if (err != E_OK)
            return err;
        err = ike_policy_add(&out->ike, text);
        if (err == E_NOT_AUTHORIZED)
            return conf_fail(item, error, "proposals: \"%s\" is weak; it needs legacy = true", text);
        if (err == E_FULL)
            return conf_fail(item, error, "proposals: expected at most %d", IKE_SUITE_MAX);
        if (err != E_OK)
            return conf_fail(item, error,
                             "proposals: expected something like \"aes256-sha256-ecp256\", not \"%s\"", text);
    }
    return E_OK;
}

static err_t read_ike(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    static const char *const keys[] = {"proposals", "lifetime_s", "legacy", NULL};
    const struct conf_node *ike = NULL, *list = NULL;
    err_t err = conf_group(root, "ike", &ike, error);
    if (err != E_OK)
        return err;
    uint32_t lifetime_s = IKE_LIFETIME_DEFAULT_S;
    bool legacy = false;
    if (ike != NULL && ((err = conf_only(ike, keys, error)) != E_OK ||
                        (err = conf_u32(ike, "lifetime_s", false, 60, 604800, &lifetime_s, error)) != E_OK ||
                        (err = conf_bool(ike, "legacy", false, &legacy, error)) != E_OK ||
                        (err = conf_list(ike, "proposals", &list, error)) != E_OK))
        return err;
    out->ike.legacy = legacy;
    if ((err = read_proposals(list, out, error)) != E_OK)
        return err;
    out->ike.lifetime_s = lifetime_s;
    return E_OK;
}

static err_t read_datapath(const struct conf_node *root, struct gm_datapath_config *out,
                           struct conf_error *error)
{
    static const char *const keys[] = {
        "backend", "wan",        "lan",     "tun",           "mtu",       "anchor",         "address",
        "deny",    "fail_close", "revert",  "replay_window", "direction", "time_attribute", "counter_file",
        "df",      "probe",      "offload", "threads",       NULL};
    static const char *const backends[] = {"user", "none", "xfrm", NULL};
    const struct conf_node *datapath = NULL;
    err_t err = conf_group(root, "datapath", &datapath, error);
    if (err != E_OK)
        return err;
    if (datapath == NULL)
        return conf_fail(root, error,
                         "datapath = { backend = \"user\"; wan = ...; lan = [ ... ]; } is missing");
    unsigned backend = GM_BACKEND_USER;
    if ((err = conf_only(datapath, keys, error)) != E_OK ||
        (err = conf_word(datapath, "backend", true, backends, &backend, error)) != E_OK)
        return err;
    out->backend = (enum gm_backend)backend;
    if (out->backend == GM_BACKEND_NONE)
        return E_OK;
    snprintf(out->tun, sizeof(out->tun), "gdoi0");
    out->anchor = addr_v4(100, 127, 0, 1);
    if ((err = config_read_wan(datapath, out, error)) != E_OK ||
        (err = conf_text(datapath, "tun", false, out->tun, GM_TUN_NAME_MAX, error)) != E_OK ||
        (err = conf_u32(datapath, "mtu", false, 576, 9000, &out->mtu, error)) != E_OK ||
        (err = conf_addr(datapath, "anchor", false, &out->anchor, error)) != E_OK)
        return err;
    if (out->anchor.family != AF_INET || addr_is_multicast(&out->anchor))
        return conf_fail(datapath, error, "anchor: expected an IPv4 address that no machine has");
    if ((err = config_read_deny(datapath, out, error)) != E_OK ||
        (err = config_read_traffic(datapath, out, error)) != E_OK)
        return err;
    return config_read_lan(datapath, out, error);
}

static err_t read_timers(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    err_t err;
    out->reregister_before_s = 60;
    out->retry_first_s = 2;
    out->retry_max_s = 60;
    out->request_timeout_s = 10;
    out->retransmit_ms = 500;
    if ((err = conf_u32(root, "ack_jitter_ms", false, 0, 5000, &out->ack_jitter_ms, error)) != E_OK ||
        (err = conf_u32(root, "reregister_before_s", false, 1, 3600, &out->reregister_before_s, error)) !=
            E_OK ||
        (err = conf_u32(root, "retry_first_s", false, 1, 3600, &out->retry_first_s, error)) != E_OK ||
        (err = conf_u32(root, "retry_max_s", false, 1, 3600, &out->retry_max_s, error)) != E_OK ||
        (err = conf_u32(root, "request_timeout_s", false, 1, 120, &out->request_timeout_s, error)) != E_OK ||
        (err = conf_u32(root, "retransmit_ms", false, 100, 30000, &out->retransmit_ms, error)) != E_OK ||
        (err = conf_bool(root, "accept_dialect", false, &out->accept_dialect, error)) != E_OK)
        return err;
    if (out->retry_max_s < out->retry_first_s)
        return conf_fail(root, error, "retry_max_s: expected at least retry_first_s (%u)",
                         out->retry_first_s);
    return E_OK;
}

static err_t read_all(const struct conf_node *root, struct gm_config *out, struct conf_error *error)
{
    err_t err;
    if ((err = conf_only(root, root_keys, error)) != E_OK || (err = read_group(root, out, error)) != E_OK ||
        (err = read_local(root, out, error)) != E_OK || (err = read_servers(root, out, error)) != E_OK ||
        (err = read_psk(root, out, error)) != E_OK || (err = read_ike(root, out, error)) != E_OK ||
        (err = read_datapath(root, &out->datapath, error)) != E_OK ||
        (err = read_timers(root, out, error)) != E_OK)
        return err;
    return conf_text(root, "status_socket", false, out->status_socket, sizeof(out->status_socket), error);
}

err_t gm_config_load(struct gm_config *out, const char *path, struct conf_error *error)
{
    memset(out, 0, sizeof(*out));
    struct conf_file *file = NULL;
    err_t err = conf_open(&file, path, error);
    if (err != E_OK)
        return err;
    err = read_all(conf_root(file), out, error);
    conf_free(file);
    if (err != E_OK)
        gm_config_close(out);
    return err;
}

void gm_config_close(struct gm_config *config)
{
    secret_close(&config->psk);
    memset(config, 0, sizeof(*config));
}

/* config_device.c - devices: wan = "eth0" or wan = [ "eth0", "eth1" ], lan, tun. */
#include <ctype.h>
#include <string.h>

#include "gm-agent/config_parts.h"

bool config_device_name_ok(const char *name)
{
    if (name[0] == '\0' || strlen(name) >= GM_DEVICE_MAX || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (const char *c = name; *c != '\0'; c++)
        if (*c == '/' || *c == ':' || !isgraph((unsigned char)*c))
            return false;
    return true;
}

const char *gm_config_wan(const struct gm_datapath_config *config, size_t at)
{
    return at == 0 ? config->wan : config->more_wan[at - 1];
}

static bool is_wan(const struct gm_datapath_config *config, const char *name, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(gm_config_wan(config, i), name) == 0)
            return true;
    return false;
}

static err_t read_uplinks(const struct conf_node *datapath, struct gm_datapath_config *out,
                          struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(datapath, "wan", &list, error);
    if (err != E_OK)
        return err;
    if (conf_count(list) == 0 || conf_count(list) > GM_WAN_MAX)
        return conf_fail(list, error, "wan: expected 1 to %d device names", GM_WAN_MAX);
    if (conf_count(list) > 1 && out->backend != GM_BACKEND_XFRM)
        return conf_fail(list, error,
                         "wan: expected backend \"xfrm\" with several devices: a TUN has one way out");
    for (size_t i = 0; i < conf_count(list); i++) {
        const struct conf_node *item = conf_item(list, i);
        char text[CONF_TEXT_MAX];
        if ((err = conf_item_text(item, text, sizeof(text), error)) != E_OK)
            return err;
        if (!config_device_name_ok(text) || is_wan(out, text, i))
            return conf_fail(item, error, "wan: expected a device name, once, not \"%s\"", text);
        memcpy(i == 0 ? out->wan : out->more_wan[i - 1], text, strlen(text) + 1);
        out->more_wan_count = i;
    }
    return E_OK;
}

err_t config_read_wan(const struct conf_node *datapath, struct gm_datapath_config *out,
                      struct conf_error *error)
{
    bool several = conf_is_list(datapath, "wan");
    err_t err = several ? read_uplinks(datapath, out, error)
                        : conf_text(datapath, "wan", true, out->wan, sizeof(out->wan), error);
    if (err == E_OK)
        err = conf_addr(datapath, "address", false, &out->address, error);
    if (err != E_OK)
        return err;
    if (!config_device_name_ok(out->wan))
        return conf_fail(datapath, error, "wan: expected a device name");
    if (conf_has(datapath, "address") && (out->backend != GM_BACKEND_XFRM || out->address.family != AF_INET ||
                                          addr_is_multicast(&out->address)))
        return conf_fail(datapath, error,
                         "address: expected an IPv4 address of this machine, and backend \"xfrm\"");
    return E_OK;
}

static err_t read_probe(const struct conf_node *datapath, struct gm_datapath_config *out,
                        struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(datapath, "probe", &list, error);
    if (err == E_OK && conf_count(list) > GM_PROBE_MAX)
        return conf_fail(list, error, "probe: expected at most %d addresses", GM_PROBE_MAX);
    for (size_t i = 0; i < conf_count(list) && err == E_OK; i++) {
        err = conf_item_addr(conf_item(list, i), &out->probe[i], error);
        if (err == E_OK && (out->probe[i].family != AF_INET || addr_is_multicast(&out->probe[i])))
            err = conf_fail(conf_item(list, i), error, "probe: expected IPv4 addresses of hosts");
        out->probe_count = i + 1;
    }
    return err;
}

err_t config_read_lan(const struct conf_node *datapath, struct gm_datapath_config *out,
                      struct conf_error *error)
{
    const struct conf_node *list = NULL;
    err_t err = conf_list(datapath, "lan", &list, error);
    if (err == E_OK)
        err = read_probe(datapath, out, error);
    if (err != E_OK)
        return err;
    if (!config_device_name_ok(out->tun) || strchr(out->tun, '%') != NULL ||
        is_wan(out, out->tun, 1 + out->more_wan_count))
        return conf_fail(datapath, error, "tun: expected a device name of at most %d letters",
                         GM_TUN_NAME_MAX - 1);
    if (conf_count(list) == 0 || conf_count(list) > GM_LAN_MAX)
        return conf_fail(list != NULL ? list : datapath, error, "lan: expected 1 to %d device names",
                         GM_LAN_MAX);
    for (size_t i = 0; i < conf_count(list); i++) {
        const struct conf_node *item = conf_item(list, i);
        char text[CONF_TEXT_MAX];
        if ((err = conf_item_text(item, text, sizeof(text), error)) != E_OK)
            return err;
        if (!config_device_name_ok(text) || is_wan(out, text, 1 + out->more_wan_count))
            return conf_fail(item, error, "lan: expected the name of a device that is not wan, not \"%s\"",
                             text);
        memcpy(out->lan[i], text, strlen(text) + 1);
        out->lan_count = i + 1;
    }
    return E_OK;
}

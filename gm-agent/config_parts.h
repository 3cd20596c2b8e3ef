/* config_parts.h - between config*.c and enrol.c. */
#ifndef GM_AGENT_CONFIG_PARTS_H
#define GM_AGENT_CONFIG_PARTS_H

#include "gm-agent/config.h"

/* "10.1.11.2" or "10.1.11.2:848" or "[2001:db8::1]:848". */
bool config_parse_server(const char *text, uint16_t default_port, struct endpoint *out);
/* A device name as the kernel takes it: no slash, no blank, not "." or "..". */
bool config_device_name_ok(const char *name);
/* Devices towards the WAN and our address among them; towards the hosts, and
 * which of those elsewhere are probed (after wan and tun are known). */
err_t config_read_wan(const struct conf_node *datapath, struct gm_datapath_config *out,
                      struct conf_error *error) MUST_USE;
err_t config_read_lan(const struct conf_node *datapath, struct gm_datapath_config *out,
                      struct conf_error *error) MUST_USE;
err_t config_read_deny(const struct conf_node *datapath, struct gm_datapath_config *out,
                       struct conf_error *error) MUST_USE;
err_t config_read_traffic(const struct conf_node *datapath, struct gm_datapath_config *out,
                          struct conf_error *error) MUST_USE;

#endif

/* config_parts.h - between config.c and config_deny.c. */
#ifndef GM_AGENT_CONFIG_PARTS_H
#define GM_AGENT_CONFIG_PARTS_H

#include "gm-agent/config.h"

err_t config_read_deny(const struct conf_node *datapath, struct gm_datapath_config *out,
                       struct conf_error *error) MUST_USE;
err_t config_read_traffic(const struct conf_node *datapath, struct gm_datapath_config *out,
                          struct conf_error *error) MUST_USE;

#endif

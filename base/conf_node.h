/* conf_node.h - what conf.c and conf_file.c share: a conf_node is libconfig's setting under a name of ours.
 */
#ifndef BASE_CONF_NODE_H
#define BASE_CONF_NODE_H

#include <libconfig.h>

#include "base/conf.h"

static inline const config_setting_t *setting_of(const struct conf_node *node)
{
    return (const config_setting_t *)(const void *)node;
}

static inline const struct conf_node *node_of(const config_setting_t *setting)
{
    return (const struct conf_node *)(const void *)setting;
}

#endif

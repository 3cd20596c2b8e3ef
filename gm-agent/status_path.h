/* status_path.h - the ways to the hosts that are probed, in both forms. */
#ifndef GM_AGENT_STATUS_PATH_H
#define GM_AGENT_STATUS_PATH_H

#include <jansson.h>

#include "gm-agent/status.h"

size_t status_path_text(const struct status_view *view, char *out, size_t cap);
json_t *status_path_json(const struct status_view *view);

#endif

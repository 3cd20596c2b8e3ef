/* status_eli.h - "show crypto eli [detail]": what the data path of this machine can do, tried when asked.
 * Pure: the tries are the caller's. */
#ifndef GM_AGENT_STATUS_ELI_H
#define GM_AGENT_STATUS_ELI_H

#include <jansson.h>

#include "gm-agent/status.h"

/* NUL-ended, cut at cap; returns the length. detail: a line for each try. */
size_t status_eli_text(const struct status_view *view, bool detail, char *out, size_t cap);
json_t *status_eli_json(const struct status_view *view);

#endif

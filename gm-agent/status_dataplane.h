/* status_dataplane.h - "show crypto gdoi gm dataplane counters": DSCP classes that went through the group's
 * keys, and the lanes of the user back end, in both forms. Pure. */
#ifndef GM_AGENT_STATUS_DATAPLANE_H
#define GM_AGENT_STATUS_DATAPLANE_H

#include <jansson.h>

#include "gm-agent/status.h"

/* NUL-ended, cut at cap; returns the length. A line only for classes that were seen. */
size_t status_dataplane_text(const struct status_view *view, char *out, size_t cap);
json_t *status_dataplane_json(const struct status_view *view);

#endif

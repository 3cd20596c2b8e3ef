/* status_trace.h - a trace (trace.h) as text and as JSON. Pure. The words are those of the view's line;
 * complaints about them are answers too. */
#ifndef GM_AGENT_STATUS_TRACE_H
#define GM_AGENT_STATUS_TRACE_H

#include <jansson.h>

#include "gm-agent/status.h"

size_t status_trace_text(const struct status_view *view, char *out, size_t cap);
json_t *status_trace_json(const struct status_view *view); /* NULL: no memory */

#endif

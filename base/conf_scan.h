/* conf_scan.h - prepares the text of a configuration file for libconfig; used by conf.c only.
 * libconfig 1.5 silently wraps an integer without L at 32 bits (5000000000 becomes 705032704) and opens
 * the files of @include unchecked. So every integer gets its L, and what would be read wrongly is refused.
 * Line numbers stay as they are. */
#ifndef BASE_CONF_SCAN_H
#define BASE_CONF_SCAN_H

#include <stddef.h>

#include "base/err.h"

struct conf_scan {
    const char *text; /* in: not NUL-ended */
    size_t len;
    char *out; /* in: at least 2 * len + 1 bytes; the result, NUL-ended */
    size_t out_len;
    size_t at;
    unsigned line;    /* where scanning stands, from 1 */
    const char *what; /* after E_CONFIG: what is wrong on that line; static text */
};

err_t conf_scan(struct conf_scan *scan) MUST_USE;

#endif

/* view.h - records as JSON. Nothing here puts key material into an answer, wrapped or not: SPIs, algorithms,
 * times and counters only. Every function gives a new reference, NULL when memory runs out. */
#ifndef API_VIEW_H
#define API_VIEW_H

#include <jansson.h>

#include "storage/record.h"

enum { TIME_TEXT_MAX = 32, HEX_ID_TEXT_MAX = 2 * KEK_SPI_LEN + 3 };

/* "2026-11-24T14:05:00.123Z" (RFC 3339) of milliseconds since 1970; returns out. */
const char *time_text(uint64_t ms, char out[TIME_TEXT_MAX]);
json_t *view_time(uint64_t ms); /* null for 0: it has not happened */
/* Text of which we do not know whether it is UTF-8: other bytes become '?'. */
json_t *view_text(const char *text);
json_t *view_hex(const uint8_t *data, size_t len, const char *prefix); /* len of at most KEK_SPI_LEN octets */
json_t *view_addr(const struct addr *addr);
json_t *view_endpoint(const struct endpoint *endpoint);
json_t *view_identity(const struct identity *identity);

#endif

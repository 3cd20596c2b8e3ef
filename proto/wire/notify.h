/* notify.h - Notification and Delete payloads (RFC 2408 3.14, 3.15; RFC 6407 5.9). */
#ifndef PROTO_WIRE_NOTIFY_H
#define PROTO_WIRE_NOTIFY_H

#include "base/wire.h"
#include "proto/wire/numbers.h"

struct notify_payload {
    uint32_t doi;
    uint8_t protocol;
    uint16_t type;
    struct bytes spi; /* 0..255 octets, borrowed */
    struct bytes data;
};

/* The DOI is given as received and not checked: reference members send DOI 1 under a DOI-2 SA.
 * E_TRUNCATED (also for a SPI that is longer than the payload). */
err_t notify_decode(struct notify_payload *out, struct bytes body) MUST_USE;
void notify_encode(struct writer *w, const struct notify_payload *notify);

enum { DELETE_SPI_MAX = 64 }; /* SPIs in one Delete payload; E_LIMIT beyond */

struct delete_payload {
    uint32_t doi;
    uint8_t protocol; /* 1 ESP, 2 AH, 0 KEK under GDOI; PROTO_ISAKMP for a phase-1 SA */
    uint8_t spi_len;  /* 4, or 16 */
    uint16_t count;
    struct bytes spis; /* count * spi_len octets, borrowed */
};

/* E_BAD_LENGTH unless spis fill the body exactly, E_LIMIT, E_RANGE (spi_len 0 or > 16, count 0). */
err_t delete_decode(struct delete_payload *out, struct bytes body) MUST_USE;
void delete_encode(struct writer *w, const struct delete_payload *del);

#endif

/* isakmp_header.h - the 28 octets before every message (RFC 2408 3.1) and the non-ESP marker
 * (RFC 3948 2.2) that may stand before them. */
#ifndef PROTO_WIRE_ISAKMP_HEADER_H
#define PROTO_WIRE_ISAKMP_HEADER_H

#include <stdbool.h>

#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    ISAKMP_HEADER_LEN = 28,
    ISAKMP_MESSAGE_MAX = 10240, /* bytes of the largest message taken or made */
    COOKIE_LEN = 8,
    NON_ESP_MARKER_LEN = 4,
};

struct isakmp_header {
    uint8_t cookie_i[COOKIE_LEN];
    uint8_t cookie_r[COOKIE_LEN];
    uint8_t next_payload;
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length; /* header and payloads, bytes */
};

/* Decode the header of a datagram and set *body to what follows, cut at header.length.
 * E_TRUNCATED: shorter than a header or than its length field. E_BAD_VERSION: major version not 1.
 * E_BAD_LENGTH: length < 28 or > ISAKMP_MESSAGE_MAX. Bytes after length are dropped (E_OK), as padding of a
 * sloppy peer. */
err_t isakmp_header_decode(struct isakmp_header *out, struct bytes *body, struct bytes datagram) MUST_USE;
/* Writes 28 octets; length is patched later by isakmp_message_end. */
void isakmp_header_encode(struct writer *w, const struct isakmp_header *header);
/* Sets the length field of the message that starts at offset start of the writer to all written since. */
void isakmp_message_end(struct writer *w, size_t start);
/* If the datagram starts with four zero octets, drop them and set *had. An initiator cookie never starts so.
 */
struct bytes non_esp_marker_strip(struct bytes datagram, bool *had);
bool cookie_is_zero(const uint8_t cookie[COOKIE_LEN]);

#endif

/* id_payload.h - identities: phase 1 (RFC 2407 4.6.2) and GDOI groups (RFC 6407 5.1). */
#ifndef PROTO_WIRE_ID_PAYLOAD_H
#define PROTO_WIRE_ID_PAYLOAD_H

#include "base/addr.h"
#include "base/wire.h"
#include "proto/wire/numbers.h"

enum {
    ID_DATA_MAX = 255, /* octets kept of an identity; longer ones are E_BAD_LENGTH */
    ID_TEXT_MAX = 300, /* bytes with NUL of id_format */
};

/* An owned identity: comparable and storable. */
struct identity {
    uint8_t type; /* enum id_type */
    uint8_t len;
    uint8_t data[ID_DATA_MAX];
};

struct id_payload {
    uint8_t type;
    uint8_t protocol;
    uint16_t port;
    struct bytes data; /* borrowed */
};

/* Octets of data that an identity of an address type has (4, 8, 16 or 32); 0: a type of any length. */
size_t id_type_data_len(uint8_t type);
/* Body of an ID payload. Checks the data length of address types, non-empty for others; protocol and port are
 * given as received (RFC 2407: 0/0 or UDP/500; 848 is seen too). E_TRUNCATED, E_BAD_LENGTH, E_RANGE (no such
 * type). */
err_t id_payload_decode(struct id_payload *out, struct bytes body) MUST_USE;
void id_payload_encode(struct writer *w, const struct id_payload *id);

err_t identity_from_payload(struct identity *out, const struct id_payload *id) MUST_USE;
struct id_payload identity_as_payload(const struct identity *identity); /* borrows; protocol and port 0 */
struct identity identity_from_addr(const struct addr *addr);
/* A group number as ID_KEY_ID of 4 octets, big-endian (as the reference implementation has it). */
struct identity identity_from_number(uint32_t number);
err_t identity_from_text(struct identity *out, uint8_t type,
                         const char *text) MUST_USE; /* FQDN, USER_FQDN, KEY_ID bytes */
bool identity_equal(const struct identity *a, const struct identity *b);
/* The address in an IPv4/IPv6 identity; E_BAD_ID for other types. */
err_t identity_addr(const struct identity *identity, struct addr *out) MUST_USE;
/* "10.1.13.2", "branch7.example.net", "3333" (4-octet KEY_ID), "0x0a0b..." else; control bytes are escaped.
 * Returns out. */
const char *identity_format(const struct identity *identity, char out[ID_TEXT_MAX]);

#endif

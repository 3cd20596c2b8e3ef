/* addr.h - IPv4 and IPv6 addresses, prefixes and UDP end points as plain values.
 * Comparable with addr_equal, hashable as bytes (unused bytes are zero), printable. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/wire.h"

enum {
    ADDR_TEXT_MAX = 64,   /* bytes with NUL: "[v6%scope]:port" fits */
    PREFIX_TEXT_MAX = 64, /* "v6/128" fits */
};

/* family is AF_INET, AF_INET6 or 0 (none); bytes[0..3] or bytes[0..15] are used. */
struct addr {
    uint8_t family;
    uint8_t bytes[16];
};

struct endpoint {
    struct addr addr;
    uint16_t port; /* host order */
};

struct prefix {
    struct addr addr; /* host bits are zero */
    uint8_t bits;
};

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
size_t addr_len(const struct addr *addr); /* 4, 16, or 0 for none */
struct bytes addr_bytes(const struct addr *addr);
err_t addr_from_bytes(struct addr *out, struct bytes raw) MUST_USE; /* 4 or 16 bytes, else E_BAD_LENGTH */
bool addr_equal(const struct addr *a, const struct addr *b);
/* Order: family, then value as a number. <0, 0, >0. */
int addr_compare(const struct addr *a, const struct addr *b);
bool addr_is_multicast(const struct addr *addr);
/* Writes text to out (at least ADDR_TEXT_MAX bytes) and returns out; "none" for family 0. */
const char *addr_format(const struct addr *addr, char *out);
err_t addr_parse(struct addr *out, const char *text) MUST_USE; /* E_RANGE: not an address */

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
const char *endpoint_format(const struct endpoint *endpoint,
                            char *out); /* 192.0.2.1:848, [2001:db8::1]:848 */
struct endpoint endpoint_from_sockaddr(const struct sockaddr *sa);
/* Fills out and returns its length for the socket calls, 0 for family 0. */
socklen_t endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *out);

bool prefix_has(const struct prefix *prefix, const struct addr *addr);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
/* "10.1.0.0/16" or a bare address (full length). Host bits set: E_RANGE. */
err_t prefix_parse(struct prefix *out, const char *text) MUST_USE;
const char *prefix_format(const struct prefix *prefix, char *out);
/* Address and netmask as ID_IPV4_ADDR_SUBNET / ID_IPV6_ADDR_SUBNET carry them (RFC 2407 4.6.2).
 * E_RANGE when the mask is not contiguous or host bits are set. */
err_t prefix_from_mask(struct prefix *out, struct bytes addr, struct bytes mask) MUST_USE;
void prefix_mask(const struct prefix *prefix, uint8_t out[16]);

#endif

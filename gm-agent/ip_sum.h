/* ip_sum.h - the Internet checksum (RFC 1071), a word at a time. Pure. */
#ifndef GM_AGENT_IP_SUM_H
#define GM_AGENT_IP_SUM_H

#include "base/wire.h"

enum { IP_SUM_PIECE_MAX = 65536 /* octets of one call */ };

/* sum and the 16-bit words of data, in host order; an odd last octet counts as if a 0 stood behind it, so
 * only the last piece of several may be odd. At most IP_SUM_PIECE_MAX octets, a few pieces. */
uint32_t ip_sum(uint32_t sum, struct bytes data);
uint16_t ip_sum_fold(uint32_t sum); /* to 16 bits; the checksum is its complement */
/* What TCP and UDP sum in front of their header (RFC 793 3.1, RFC 8200 8.1). ip: a whole IPv4 or IPv6 header;
 * the final destination's of a routing header is not looked for. */
uint32_t ip_sum_pseudo(const uint8_t *ip, uint8_t protocol, size_t len);

#endif

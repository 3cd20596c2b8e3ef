/* ip_packet.h - IPv4 headers as the user data path needs them: checked reading, the outer header, ECN,
 * checksums. Pure. */
#ifndef GM_AGENT_IP_PACKET_H
#define GM_AGENT_IP_PACKET_H

#include <stdbool.h>

#include "base/wire.h"

enum {
    IP_HEADER_LEN = 20, /* octets without options */
    IP_PACKET_MAX = 65535,
    IP_PROTOCOL_IPIP = 4,
    IP_PROTOCOL_TCP = 6,
    IP_PROTOCOL_UDP = 17,
    IP_PROTOCOL_ESP = 50,
    IP_PROTOCOL_NONE = 59, /* RFC 4303 2.6: a dummy packet */
    IP_PROTOCOL_SCTP = 132,
    IP_OUTER_TTL = 64,
};

/* A packet whose header is well-formed. Views borrow it. */
struct ip_packet {
    struct bytes whole; /* header and payload, cut at its total length */
    size_t header_len;
    uint8_t tos;
    uint8_t protocol;
    bool dont_fragment;
    bool first_fragment; /* or not a fragment at all: the transport header is here */
    bool fragment;
    uint8_t src[4];
    uint8_t dst[4];
    bool has_ports;
    uint16_t src_port;
    uint16_t dst_port;
};

/* E_TRUNCATED, E_BAD_VERSION (not IPv4), E_BAD_LENGTH (header or total length). Octets behind the total
 * length are dropped. The checksum is not looked at: the kernel has, or an ICV covers it. */
err_t ip_packet_decode(struct ip_packet *out, struct bytes raw) MUST_USE;
/* The outer header of address-preserving tunnel mode (RFC 5374 3.1): addresses, TOS with ECN and DF of the
 * inner one, total length for esp_len octets behind it. */
void ip_outer_write(uint8_t out[IP_HEADER_LEN], const struct ip_packet *inner, size_t esp_len, uint16_t id);
uint16_t ip_checksum(struct bytes header);
/* RFC 6040 4.2: congestion seen outside is told inside. False: the packet must be dropped. header is changed
 * in place. */
bool ip_ecn_decapsulate(uint8_t *header, size_t header_len, uint8_t outer_tos);

#endif

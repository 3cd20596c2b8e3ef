/* ip_packet.h - IPv4 and IPv6 headers as the user data path needs them: checked reading, the outer header,
 * ECN, checksums. Pure. */
#ifndef GM_AGENT_IP_PACKET_H
#define GM_AGENT_IP_PACKET_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/wire.h"

enum {
    IP_HEADER_LEN = 20, /* octets without options */
    IP6_HEADER_LEN = 40,
    IP_OUTER_MAX = IP6_HEADER_LEN, /* octets of the longest outer header */
    IP_PACKET_MAX = 65535,
    IP6_MTU_MIN = 1280,      /* octets that every IPv6 link carries (RFC 8200 5) */
    IP6_EXTENSIONS_MAX = 10, /* extension headers looked through */
    IP_PROTOCOL_IPIP = 4,
    IP_PROTOCOL_TCP = 6,
    IP_PROTOCOL_UDP = 17,
    IP_PROTOCOL_IPV6 = 41,
    IP_PROTOCOL_ESP = 50,
    IP_PROTOCOL_ICMPV6 = 58,
    IP_PROTOCOL_NONE = 59, /* RFC 4303 2.6: a dummy packet */
    IP_PROTOCOL_SCTP = 132,
    IP_OUTER_TTL = 64,
};

/* A packet whose header is well-formed. Views borrow it. */
struct ip_packet {
    struct bytes whole; /* header and payload, cut at its total length */
    size_t header_len;  /* octets in front of what protocol names: options and extension headers count */
    uint8_t tos;        /* IPv6: traffic class */
    uint32_t flow_label;
    uint8_t protocol;    /* IPv6: behind the extension headers */
    bool dont_fragment;  /* IPv6: always, as routers do not */
    bool first_fragment; /* or not a fragment at all: the transport header is here */
    bool fragment;
    bool obscured; /* IPv6: the protocol cannot be told, because the chain of extension headers is too long,
                      cut, or in an earlier fragment. protocol is that of the header where it ended. */
    struct addr src, dst;
    bool has_ports;
    uint16_t src_port;
    uint16_t dst_port;
};

/* E_TRUNCATED, E_BAD_VERSION, E_BAD_LENGTH (header or total length). Octets behind the total length are
 * dropped. The checksum is not looked at: the kernel has, or an ICV covers it. */
err_t ip_packet_decode(struct ip_packet *out, struct bytes raw) MUST_USE;
/* Of a link alone, never forwarded: IPv6 link-local and interface- or link-scope multicast addresses, which
 * neighbour discovery uses (RFC 4291 2.5.6, 2.7), and those of no host at all. */
bool ip_packet_is_of_link(const struct ip_packet *packet);

/* Octets of the outer header of a family, and the number that ESP says for what is in it (RFC 4303 2.6). */
size_t ip_outer_len(uint8_t family);
uint8_t ip_inner_protocol(uint8_t family);
/* The outer header of address-preserving tunnel mode (RFC 5374 3.1): addresses, TOS with ECN, DF and flow
 * label of the inner one, length for esp_len octets behind it. out has ip_outer_len; id is for IPv4. */
void ip_outer_write(uint8_t *out, const struct ip_packet *inner, size_t esp_len, uint16_t id);
/* An IPv6 header in front of len octets, as it was before the kernel took it off (RFC 3542 3). */
void ip6_header_write(uint8_t out[IP6_HEADER_LEN], const struct addr *src, const struct addr *dst,
                      uint32_t class_and_label, uint8_t protocol, size_t len);
uint16_t ip_checksum(struct bytes header);
/* Of an upper layer under IPv6, pseudo-header included (RFC 8200 8.1); 0: it is right. */
uint16_t ip6_checksum(const struct ip_packet *packet);
/* RFC 6040 4.2: congestion seen outside is told inside. False: the packet must be dropped. header is changed
 * in place. */
bool ip_ecn_decapsulate(uint8_t *header, size_t header_len, uint8_t outer_tos);

#endif

/* ip_fields.h - where fields lie in IPv4, IPv6, TCP and UDP headers, for those who change them in place. */
#ifndef GM_AGENT_IP_FIELDS_H
#define GM_AGENT_IP_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    IP4_AT_TOS = 1,
    IP4_AT_LEN = 2,
    IP4_AT_ID = 4,
    IP4_AT_FRAGMENT = 6,
    IP4_AT_TTL = 8,
    IP4_AT_PROTOCOL = 9,
    IP4_AT_CHECKSUM = 10,
    IP4_AT_SRC = 12,
    IP4_AT_DST = 16,
    IP4_MIN_LEN = 20,
    IP4_DF = 0x4000,
    IP4_MF_OFFSET = 0x3fff, /* not 0: a fragment */
    IP6_AT_LEN = 4,
    IP6_AT_NEXT = 6,
    IP6_AT_HOPS = 7,
    IP6_AT_SRC = 8,
    IP6_AT_DST = 24,
    IP6_LEN = 40,
    TCP_AT_SEQ = 4,
    TCP_AT_ACK = 8,
    TCP_AT_OFFSET = 12,
    TCP_AT_FLAGS = 13,
    TCP_AT_CHECKSUM = 16,
    TCP_MIN_LEN = 20,
    TCP_FIN = 0x01,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    UDP_AT_LEN = 4,
    UDP_AT_CHECKSUM = 6,
    UDP_LEN = 8,
};

static inline uint16_t field_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t field_u32(const uint8_t *at)
{
    return (uint32_t)field_u16(at) << 16 | field_u16(at + 2);
}

/* The lower 16 bits. */
static inline void field_put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void field_put_u32(uint8_t *at, uint32_t value)
{
    field_put_u16(at, value >> 16);
    field_put_u16(at + 2, value);
}

static inline bool ip_is_v6(const uint8_t *packet)
{
    return packet[0] >> 4 == 6;
}

static inline unsigned ip4_header_len(const uint8_t *packet)
{
    return (unsigned)(packet[0] & 15) * 4;
}

#endif

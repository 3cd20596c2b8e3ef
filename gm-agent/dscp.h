/* dscp.h - packets and octets by DSCP (RFC 2474 3), the six bits in front of ECN in the TOS octet or traffic
 * class, and what the classes are called. Pure. */
#ifndef GM_AGENT_DSCP_H
#define GM_AGENT_DSCP_H

#include <stddef.h>
#include <stdint.h>

enum {
    DSCP_COUNT = 64,
    DSCP_NAME_MAX = 8, /* bytes with NUL */
};

/* Of clear packets, IP header included. */
struct dscp_count {
    uint64_t packets;
    uint64_t octets;
};

struct dscp_table {
    struct dscp_count out[DSCP_COUNT]; /* given to the outbound SA */
    struct dscp_count in[DSCP_COUNT];  /* decrypted, and allowed by the policy */
};

/* tos: with its ECN bits, which do not matter. */
static inline void dscp_count(struct dscp_count table[DSCP_COUNT], uint8_t tos, size_t octets)
{
    table[tos >> 2].packets++;
    table[tos >> 2].octets += octets;
}

void dscp_add(struct dscp_table *sum, const struct dscp_table *part);
/* "EF", "AF41", "CS6" ... as IANA lists them; "DF" for 0; a number for what has no name. Returns out. */
const char *dscp_name(uint8_t dscp, char out[DSCP_NAME_MAX]);

#endif

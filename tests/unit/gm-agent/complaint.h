/* complaint.h - what a router says of ESP that is too long, octet by octet. */
#ifndef TESTS_UNIT_GM_AGENT_COMPLAINT_H
#define TESTS_UNIT_GM_AGENT_COMPLAINT_H

#include <string.h>

#include "gm-agent/ip_packet.h"
#include "tests/lib/test.h"

enum { ICMP_AT = 20, QUOTED_AT = 28, COMPLAINT_LEN = 56 };

static inline void sum_again(uint8_t raw[COMPLAINT_LEN])
{
    struct bytes icmp = {raw + ICMP_AT, COMPLAINT_LEN - ICMP_AT};
    memset(raw + ICMP_AT + 2, 0, 2);
    uint16_t sum = ip_checksum(icmp);
    raw[ICMP_AT + 2] = (uint8_t)(sum >> 8);
    raw[ICMP_AT + 3] = (uint8_t)sum;
}

/* Router 10.1.13.1 to host 192.168.13.10: ESP of 1340 octets from it to 192.168.14.10 does not fit into mtu.
 */
static inline void complain(uint8_t raw[COMPLAINT_LEN], uint16_t mtu)
{
    static const uint8_t packet[COMPLAINT_LEN] = {0x45, 0,    0,         COMPLAINT_LEN,
                                                  0,    1,    0,         0,
                                                  64,   1,    0,         0,
                                                  10,   1,    13,        1,
                                                  192,  168,  13,        10, /* IP */
                                                  3,    4,    0,         0,
                                                  0,    0,    0,         0, /* ICMP */
                                                  0x45, 0,    1340 >> 8, 1340 & 0xff,
                                                  0,    7,    0x40,      0,
                                                  63,   50,   0,         0,
                                                  192,  168,  13,        10,
                                                  192,  168,  14,        10, /* quoted */
                                                  0x01, 0x02, 0x03,      0x04,
                                                  0,    0,    0,         9};
    memcpy(raw, packet, sizeof(packet));
    raw[ICMP_AT + 6] = (uint8_t)(mtu >> 8);
    raw[ICMP_AT + 7] = (uint8_t)mtu;
    sum_again(raw);
}

#endif

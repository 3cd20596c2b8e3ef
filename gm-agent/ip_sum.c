/* ip_sum.c - checksums. */
#include "gm-agent/ip_sum.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { V4_ADDRESSES_AT = 12, V4_ADDRESSES_LEN = 8, V6_ADDRESSES_AT = 8, V6_ADDRESSES_LEN = 32 };

uint16_t ip_sum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* The order of octets in a word does not matter until the end (RFC 1071 2). */
uint32_t ip_sum(uint32_t sum, struct bytes data)
{
    const uint8_t *at = data.data;
    size_t left = data.len;
    uint64_t total = 0;
    assert(left <= IP_SUM_PIECE_MAX);
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        total += (word & UINT32_MAX) + (word >> 32);
    }
    if (left != 0) {
        uint64_t word = 0;
        memcpy(&word, at, left);
        total += (word & UINT32_MAX) + (word >> 32);
    }
    total = (total & UINT32_MAX) + (total >> 32);
    total = (total & 0xffff) + (total >> 16 & 0xffff) + (total >> 32);
    return sum + ntohs(ip_sum_fold((uint32_t)total));
}

uint32_t ip_sum_pseudo(const uint8_t *ip, uint8_t protocol, size_t len)
{
    bool v6 = ip[0] >> 4 == 6;
    struct bytes addresses = {ip + (v6 ? V6_ADDRESSES_AT : V4_ADDRESSES_AT),
                              v6 ? V6_ADDRESSES_LEN : V4_ADDRESSES_LEN};
    return ip_sum((uint32_t)protocol + (uint32_t)len, addresses);
}

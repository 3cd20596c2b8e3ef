/* selector_text.c - entries of access lists as text. */
#include "gm-agent/selector_text.h"

#include <netinet/in.h>
#include <stdio.h>

const char *selector_protocol(uint8_t protocol, char out[8])
{
    switch (protocol) {
    case 0:
        return "ip";
    case IPPROTO_ICMP:
        return "icmp";
    case IPPROTO_TCP:
        return "tcp";
    case IPPROTO_UDP:
        return "udp";
    case IPPROTO_ICMPV6:
        return "icmp6";
    default:
        snprintf(out, 8, "%u", protocol);
        return out;
    }
}

/* A prefix of family 0 (the entries of the key management) is any address as well. */
static void put_address(FILE *f, const struct prefix *prefix, uint16_t port)
{
    char text[ADDR_TEXT_MAX];
    if (prefix->bits == 0)
        fprintf(f, " any");
    else if (prefix->bits == addr_len(&prefix->addr) * 8)
        fprintf(f, " host %s", addr_format(&prefix->addr, text));
    else if (prefix->addr.family == AF_INET) {
        uint32_t wild = UINT32_MAX >> prefix->bits;
        fprintf(f, " %s %u.%u.%u.%u", addr_format(&prefix->addr, text), wild >> 24, wild >> 16 & 255,
                wild >> 8 & 255, wild & 255);
    } else {
        fprintf(f, " %s/%u", addr_format(&prefix->addr, text), prefix->bits);
    }
    if (port != 0)
        fprintf(f, " port = %u", port);
}

const char *selector_format(const struct selector *selector, char out[SELECTOR_TEXT_MAX])
{
    char number[8];
    out[0] = '\0';
    FILE *f = fmemopen(out, SELECTOR_TEXT_MAX, "w");
    if (f == NULL)
        return out;
    fprintf(f, "%s", selector_protocol(selector->protocol, number));
    put_address(f, &selector->src, selector->src_port);
    put_address(f, &selector->dst, selector->dst_port);
    fclose(f);
    out[SELECTOR_TEXT_MAX - 1] = '\0';
    return out;
}

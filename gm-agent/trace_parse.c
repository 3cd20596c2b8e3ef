/* trace_parse.c - the words of "gm-agent trace". */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "gm-agent/trace.h"

enum { WORD_MAX = 14, LINE_MAX_OCTETS = 128 /* with NUL */ };

struct words {
    char line[LINE_MAX_OCTETS];
    char *word[WORD_MAX];
    size_t count, next;
};

static err_t split(struct words *w, const char *line)
{
    *w = (struct words){0};
    if (strlen(line) >= sizeof(w->line))
        return E_RANGE;
    memcpy(w->line, line, strlen(line));
    char *rest = NULL;
    for (char *word = strtok_r(w->line, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (w->count == WORD_MAX)
            return E_RANGE;
        w->word[w->count++] = word;
    }
    return E_OK;
}

static const char *take(struct words *w)
{
    return w->next < w->count ? w->word[w->next++] : "";
}

/* Decimal, or hexadecimal behind 0x. */
static bool take_number(struct words *w, uint32_t least, uint32_t most, uint32_t *out)
{
    const char *word = take(w);
    bool hex = strncmp(word, "0x", 2) == 0;
    const char *digits = hex ? word + 2 : word;
    if (digits[0] == '\0' || strlen(digits) > 10 ||
        strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789") != strlen(digits))
        return false;
    unsigned long long value = strtoull(digits, NULL, hex ? 16 : 10);
    *out = (uint32_t)value;
    return value >= least && value <= most;
}

static bool take_protocol(struct words *w, uint8_t *out)
{
    static const struct {
        const char *name;
        uint8_t number;
    } known[] = {{"ip", 0}, {"icmp", IPPROTO_ICMP}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}};
    for (size_t i = 0; w->next < w->count && i < ARRAY_LEN(known); i++)
        if (strcmp(w->word[w->next], known[i].name) == 0) {
            *out = known[i].number;
            w->next++;
            return true;
        }
    uint32_t number = 0;
    bool good = take_number(w, 0, 255, &number);
    *out = (uint8_t)number;
    return good;
}

static bool take_end(struct words *w, bool ports, uint8_t address[4], uint16_t *port)
{
    struct addr addr;
    uint32_t number = 0;
    if (addr_parse(&addr, take(w)) != E_OK || addr.family != AF_INET)
        return false;
    memcpy(address, addr.bytes, 4);
    if (ports && !take_number(w, 0, UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool take_from(struct words *w, struct trace_request *out)
{
    const char *from = take(w);
    if (strcmp(from, "esp") == 0) {
        out->from = TRACE_ESP;
        return take_number(w, 1, UINT32_MAX, &out->spi);
    }
    out->from = strcmp(from, "lan") == 0 ? TRACE_LAN : TRACE_WAN;
    return out->from == TRACE_LAN || strcmp(from, "wan") == 0;
}

err_t trace_parse(const char *line, struct trace_request *out, const char **why)
{
    struct words w;
    struct ip_packet *p = &out->packet;
    *out = (struct trace_request){.size = TRACE_SIZE_DEFAULT};
    *why = "too many words";
    if (split(&w, line) != E_OK)
        return E_RANGE;
    *why = "first comes where the packet arrives: lan, wan, or esp with its SPI";
    if (!take_from(&w, out))
        return E_RANGE;
    *why = "a protocol is ip, icmp, tcp, udp or a number up to 255";
    if (!take_protocol(&w, &p->protocol))
        return E_RANGE;
    p->has_ports = p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP;
    p->first_fragment = true;
    *why = p->has_ports ? "source and destination are an IPv4 address and a port each"
                        : "source and destination are IPv4 addresses";
    if (!take_end(&w, p->has_ports, p->src, &p->src_port) ||
        !take_end(&w, p->has_ports, p->dst, &p->dst_port))
        return E_RANGE;
    if (w.next == w.count)
        return E_OK;
    *why = "behind the addresses comes nothing, or size and a number from 20 to 65535";
    bool sized = strcmp(take(&w), "size") == 0 && take_number(&w, IP_HEADER_LEN, IP_PACKET_MAX, &out->size);
    return sized && w.next == w.count ? E_OK : E_RANGE;
}

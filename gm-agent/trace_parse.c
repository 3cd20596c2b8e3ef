/* trace_parse.c - the words of "gm-agent trace". */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "gm-agent/trace.h"
#include "gm-agent/words.h"

enum { WORD_MAX = 14, LINE_MAX_OCTETS = 128 /* with NUL */ };

struct line {
    char text[LINE_MAX_OCTETS];
    char *word[WORD_MAX];
};

static err_t split(struct line *l, struct words *w, const char *line)
{
    *l = (struct line){0};
    *w = (struct words){.word = l->word};
    if (strlen(line) >= sizeof(l->text))
        return E_RANGE;
    memcpy(l->text, line, strlen(line));
    char *rest = NULL;
    for (char *word = strtok_r(l->text, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (w->count == WORD_MAX)
            return E_RANGE;
        l->word[w->count++] = word;
    }
    return E_OK;
}

/* Decimal, or hexadecimal behind 0x. */
static bool take_number(struct words *w, uint32_t least, uint32_t most, uint32_t *out)
{
    if (w->next == w->count || strncmp(w->word[w->next], "0x", 2) != 0)
        return words_decimal(w, 10, least, most, out);
    const char *digits = words_take(w) + 2;
    if (digits[0] == '\0' || strlen(digits) > 10 ||
        strspn(digits, "0123456789abcdefABCDEF") != strlen(digits))
        return false;
    unsigned long long value = strtoull(digits, NULL, 16);
    *out = (uint32_t)value;
    return value >= least && value <= most;
}

static bool take_protocol(struct words *w, uint8_t *out)
{
    static const struct words_name known[] = {{"ip", 0},
                                              {"icmp", IPPROTO_ICMP},
                                              {"icmp6", IPPROTO_ICMPV6},
                                              {"tcp", IPPROTO_TCP},
                                              {"udp", IPPROTO_UDP}};
    uint32_t number = 0;
    if (words_name(w, known, ARRAY_LEN(known), out))
        return true;
    bool good = take_number(w, 0, 255, &number);
    *out = (uint8_t)number;
    return good;
}

static bool take_end(struct words *w, bool ports, struct addr *address, uint16_t *port)
{
    uint32_t number = 0;
    bool good = words_addr(w, address) && (!ports || take_number(w, 0, UINT16_MAX, &number));
    *port = (uint16_t)number;
    return good;
}

static bool take_from(struct words *w, struct trace_request *out)
{
    const char *from = words_take(w);
    if (strcmp(from, "esp") == 0) {
        out->from = TRACE_ESP;
        return take_number(w, 1, UINT32_MAX, &out->spi);
    }
    out->from = strcmp(from, "lan") == 0 ? TRACE_LAN : TRACE_WAN;
    return out->from == TRACE_LAN || strcmp(from, "wan") == 0;
}

err_t trace_parse(const char *line, struct trace_request *out, const char **why)
{
    struct line l;
    struct words w;
    struct ip_packet *p = &out->packet;
    *out = (struct trace_request){.size = TRACE_SIZE_DEFAULT};
    *why = "too many words";
    if (split(&l, &w, line) != E_OK)
        return E_RANGE;
    *why = "first comes where the packet arrives: lan, wan, or esp with its SPI";
    if (!take_from(&w, out))
        return E_RANGE;
    *why = "a protocol is ip, icmp, icmp6, tcp, udp or a number up to 255";
    if (!take_protocol(&w, &p->protocol))
        return E_RANGE;
    p->has_ports = p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || p->protocol == IPPROTO_SCTP;
    p->first_fragment = true;
    *why = p->has_ports ? "source and destination are an address and a port each, of one family"
                        : "source and destination are addresses of one family";
    if (!take_end(&w, p->has_ports, &p->src, &p->src_port) ||
        !take_end(&w, p->has_ports, &p->dst, &p->dst_port) || p->src.family != p->dst.family)
        return E_RANGE;
    if (w.next == w.count)
        return E_OK;
    *why = "behind the addresses comes nothing, or size and a number from 20 to 65535";
    bool sized =
        strcmp(words_take(&w), "size") == 0 && take_number(&w, IP_HEADER_LEN, IP_PACKET_MAX, &out->size);
    return sized && w.next == w.count ? E_OK : E_RANGE;
}

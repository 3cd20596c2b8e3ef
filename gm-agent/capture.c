/* capture.c - words, filter and blocks of a capture (draft-ietf-opsawg-pcapng: SHB, IDB, EPB). */
#include "gm-agent/capture.h"

#include <netinet/in.h>
#include <string.h>

#include "gm-agent/ip_packet.h"
#include "gm-agent/words.h"

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINKTYPE_RAW = 101,
    OPTION_END = 0,
    OPTION_IF_NAME = 2,
    OPTION_IF_TSRESOL = 9,
    OPTION_EPB_FLAGS = 2,
    TSRESOL_NS = 9,
    NUMBER_DIGITS = 9, /* of a word */
};

static bool take_number(struct words *w, uint32_t least, uint32_t most, uint32_t *out)
{
    return words_decimal(w, NUMBER_DIGITS, least, most, out);
}

static bool take_protocol(struct words *w, struct capture_filter *out)
{
    static const struct words_name known[] = {{"icmp", IPPROTO_ICMP},
                                              {"icmp6", IPPROTO_ICMPV6},
                                              {"tcp", IPPROTO_TCP},
                                              {"udp", IPPROTO_UDP},
                                              {"esp", IPPROTO_ESP}};
    uint32_t number = 0;
    out->has_protocol = true;
    if (words_name(w, known, ARRAY_LEN(known), &out->protocol))
        return true;
    bool good = take_number(w, 0, 255, &number);
    out->protocol = (uint8_t)number;
    return good;
}

static bool take_port(struct words *w, struct capture_filter *out)
{
    uint32_t port = 0;
    bool good = take_number(w, 1, UINT16_MAX, &port);
    out->port = (uint16_t)port;
    return good;
}

static bool take_option(struct words *w, struct capture_request *out, const char **why)
{
    const char *word = words_take(w);
    if (strcmp(word, "lan") == 0 || strcmp(word, "wan") == 0) {
        out->lan = word[0] == 'l';
        out->wan = !out->lan;
        return true;
    }
    *why = "host is an address";
    if (strcmp(word, "host") == 0)
        return out->filter.has_host = words_addr(w, &out->filter.host);
    *why = "proto is icmp, icmp6, tcp, udp, esp or a number up to 255";
    if (strcmp(word, "proto") == 0)
        return take_protocol(w, &out->filter);
    *why = "port is a number from 1 to 65535";
    if (strcmp(word, "port") == 0)
        return take_port(w, &out->filter);
    *why = "count is a number from 1 to 1000000";
    if (strcmp(word, "count") == 0)
        return take_number(w, 1, CAPTURE_COUNT_MAX, &out->count);
    *why = "seconds is a number from 1 to 86400";
    if (strcmp(word, "seconds") == 0)
        return take_number(w, 1, CAPTURE_SECONDS_MAX, &out->seconds);
    *why = "snap is a number from 64 to 65535";
    if (strcmp(word, "snap") == 0)
        return take_number(w, CAPTURE_SNAP_MIN, CAPTURE_SNAP_MAX, &out->snap);
    *why = "known are: lan, wan, host, proto, port, count, seconds, snap";
    return false;
}

err_t capture_parse(char **word, size_t count, struct capture_request *out, const char **why)
{
    struct words w = {word, count, 0};
    *out = (struct capture_request){.lan = true,
                                    .wan = true,
                                    .count = CAPTURE_COUNT_DEFAULT,
                                    .seconds = CAPTURE_SECONDS_DEFAULT,
                                    .snap = CAPTURE_SNAP_MAX};
    *why = "a file's path comes first";
    const char *path = words_take(&w);
    if (path[0] == '\0' || strlen(path) >= sizeof(out->path))
        return E_RANGE;
    memcpy(out->path, path, strlen(path));
    while (w.next < w.count)
        if (!take_option(&w, out, why))
            return E_RANGE;
    return E_OK;
}

bool capture_matches(const struct capture_filter *filter, struct bytes packet)
{
    struct ip_packet p;
    if (!filter->has_host && !filter->has_protocol && filter->port == 0)
        return true;
    if (ip_packet_decode(&p, packet) != E_OK)
        return false;
    if (filter->has_host && !addr_equal(&p.src, &filter->host) && !addr_equal(&p.dst, &filter->host))
        return false;
    if (filter->has_protocol && p.protocol != filter->protocol)
        return false;
    return filter->port == 0 || (p.has_ports && (p.src_port == filter->port || p.dst_port == filter->port));
}

/* Blocks are of whole words, and say their length at both ends. */
static size_t block_begin(struct writer *w, uint32_t type)
{
    size_t at = w->len;
    write_u32(w, type);
    write_u32(w, 0);
    return at;
}

static void block_end(struct writer *w, size_t at)
{
    uint32_t len = (uint32_t)(w->len - at + 4);
    write_u32(w, len);
    writer_patch_u32(w, at + 4, len);
}

static void pad(struct writer *w, size_t len)
{
    write_zeros(w, (4 - len % 4) % 4);
}

static void option(struct writer *w, uint16_t code, struct bytes value)
{
    write_u16(w, code);
    write_u16(w, (uint16_t)value.len);
    write_bytes(w, value);
    pad(w, value.len);
}

void capture_write_head(struct writer *w, const char *const *devices, size_t count, uint32_t snap)
{
    static const uint8_t resolution[] = {TSRESOL_NS};
    size_t at = block_begin(w, BLOCK_SECTION);
    write_u32(w, BYTE_ORDER_MAGIC);
    write_u16(w, 1);
    write_u16(w, 0);
    write_u64(w, UINT64_MAX); /* length not told */
    block_end(w, at);
    for (size_t i = 0; i < count; i++) {
        at = block_begin(w, BLOCK_INTERFACE);
        write_u16(w, LINKTYPE_RAW);
        write_u16(w, 0);
        write_u32(w, snap);
        option(w, OPTION_IF_NAME, bytes_of_text(devices[i]));
        option(w, OPTION_IF_TSRESOL, BYTES_OF(resolution));
        option(w, OPTION_END, (struct bytes){0});
        block_end(w, at);
    }
}

void capture_write_packet(struct writer *w, uint32_t device, uint64_t time_ns,
                          enum capture_direction direction, struct bytes kept, uint32_t original)
{
    const uint8_t flags[] = {0, 0, 0, (uint8_t)direction};
    size_t at = block_begin(w, BLOCK_PACKET);
    write_u32(w, device);
    write_u64(w, time_ns);
    write_u32(w, (uint32_t)kept.len);
    write_u32(w, original);
    write_bytes(w, kept);
    pad(w, kept.len);
    option(w, OPTION_EPB_FLAGS, BYTES_OF(flags));
    option(w, OPTION_END, (struct bytes){0});
    block_end(w, at);
}

#include "tests/lib/pcap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/test.h"

enum {
    MAGIC = 0xa1b2c3d4,
    FILE_HEADER_LEN = 24,
    RECORD_HEADER_LEN = 16,
    LINK_ETHERNET = 1,
    LINK_RAW = 101,
    LINK_LINUX_SLL2 = 276,
    ETHERTYPE_IPV4 = 0x0800,
    PROTOCOL_UDP = 17,
};

static uint8_t *file_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("cannot open %s", path);
    uint8_t *data = malloc(PCAP_FILE_MAX + 1);
    assert_non_null(data);
    *len = fread(data, 1, PCAP_FILE_MAX, f);
    data[*len] = 0;
    if (ferror(f) || fgetc(f) != EOF)
        fail_msg("cannot read %s, or it is too long", path);
    fclose(f);
    return data;
}

char *text_file_read(const char *path)
{
    size_t len;
    return (char *)file_read(path, &len);
}

/* The headers are in the order of the machine that wrote them. */
static uint32_t header_u32(const uint8_t *p, bool little)
{
    return little ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
                  : (uint32_t)p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

/* Link header off: true if an IPv4 packet follows. */
static bool strip_link(struct reader *r, uint32_t link)
{
    uint16_t type = ETHERTYPE_IPV4;
    if (link == LINK_ETHERNET) {
        read_skip(r, 12);
        type = read_u16(r);
    } else if (link == LINK_LINUX_SLL2) {
        type = read_u16(r);
        read_skip(r, 18);
    } else if (link != LINK_RAW) {
        fail_msg("link type %u is not known", link);
    }
    return r->err == E_OK && type == ETHERTYPE_IPV4;
}

static bool udp_decode(struct pcap_datagram *out, struct reader *r)
{
    uint8_t version = read_u8(r);
    read_skip(r, 8);
    uint8_t protocol = read_u8(r);
    read_skip(r, 2);
    out->from.addr.family = out->to.addr.family = AF_INET;
    read_into(r, out->from.addr.bytes, 4);
    read_into(r, out->to.addr.bytes, 4);
    read_skip(r, (version & 0x0fu) * 4u - 20u);
    out->from.port = read_u16(r);
    out->to.port = read_u16(r);
    uint16_t len = read_u16(r);
    read_skip(r, 2);
    if (version >> 4 != 4 || protocol != PROTOCOL_UDP || len < 8)
        return false;
    out->payload = read_bytes(r, len - 8u);
    return r->err == E_OK;
}

void pcap_read(struct pcap *out, const char *path)
{
    size_t len;
    *out = (struct pcap){0};
    out->file = file_read(path, &len);
    if (len < FILE_HEADER_LEN)
        fail_msg("%s is no pcap file", path);
    bool little = header_u32(out->file, true) == MAGIC;
    if (!little && header_u32(out->file, false) != MAGIC)
        fail_msg("%s is no pcap file", path);
    uint32_t link = header_u32(out->file + 20, little);
    for (size_t at = FILE_HEADER_LEN; at + RECORD_HEADER_LEN <= len;) {
        size_t captured = header_u32(out->file + at + 8, little);
        at += RECORD_HEADER_LEN;
        if (captured > len - at || out->count == PCAP_DATAGRAM_MAX)
            fail_msg("%s is damaged or too long", path);
        struct reader r = reader_over((struct bytes){out->file + at, captured});
        struct pcap_datagram *datagram = &out->items[out->count];
        *datagram = (struct pcap_datagram){0};
        if (strip_link(&r, link) && udp_decode(datagram, &r))
            out->count++;
        at += captured;
    }
}

void pcap_close(struct pcap *pcap)
{
    free(pcap->file);
    *pcap = (struct pcap){0};
}

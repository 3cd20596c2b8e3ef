/* ip_packet.c - IPv4 and IPv6 headers (RFC 791, RFC 8200, RFC 6040). */
#include "gm-agent/ip_packet.h"

#include <string.h>

#include "gm-agent/ip_sum.h"

enum {
    IP_VERSION_4 = 4,
    IP_VERSION_6 = 6,
    IP_DF = 0x4000,
    IP_MF = 0x2000,
    IP_OFFSET_MASK = 0x1fff,
    IP_AT_CHECKSUM = 10,
    IP6_FRAGMENT_OFFSET = 0xfff8,
    IP6_FRAGMENT_MORE = 1,
    EXTENSION_HOP_BY_HOP = 0,
    EXTENSION_ROUTING = 43,
    EXTENSION_FRAGMENT = 44,
    EXTENSION_DESTINATION = 60,
    ECN_MASK = 3,
    ECN_NOT_ECT = 0,
    ECN_CE = 3,
    IP6_CE = ECN_CE << 4, /* in the second octet of the header */
    CLASS_SHIFT = 20,
    FLOW_LABEL_MASK = 0xfffff,
    PORTS_LEN = 4,
};

static bool carries_ports(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP || protocol == IP_PROTOCOL_SCTP;
}

static void take_ports(struct ip_packet *out)
{
    struct reader ports = reader_over(bytes_slice(out->whole, out->header_len, PORTS_LEN));
    if (!carries_ports(out->protocol) || !out->first_fragment || reader_left(&ports) != PORTS_LEN)
        return;
    out->has_ports = true;
    out->src_port = read_u16(&ports);
    out->dst_port = read_u16(&ports);
}

static err_t decode_4(struct ip_packet *out, struct bytes raw)
{
    struct reader r = reader_over(raw);
    uint8_t version_ihl = read_u8(&r);
    out->tos = read_u8(&r);
    uint16_t total = read_u16(&r);
    read_skip(&r, 2); /* identification */
    uint16_t fragment = read_u16(&r);
    read_skip(&r, 1); /* TTL */
    out->protocol = read_u8(&r);
    read_skip(&r, 2); /* checksum */
    out->src.family = out->dst.family = AF_INET;
    read_into(&r, out->src.bytes, 4);
    read_into(&r, out->dst.bytes, 4);
    if (r.err != E_OK)
        return r.err;
    out->header_len = (size_t)(version_ihl & 15) * 4;
    if (out->header_len < IP_HEADER_LEN || total < out->header_len)
        return E_BAD_LENGTH;
    if (total > raw.len)
        return E_TRUNCATED;
    out->whole = bytes_slice(raw, 0, total);
    out->dont_fragment = (fragment & IP_DF) != 0;
    out->fragment = (fragment & (IP_MF | IP_OFFSET_MASK)) != 0;
    out->first_fragment = (fragment & IP_OFFSET_MASK) == 0;
    take_ports(out);
    return E_OK;
}

static bool is_extension(uint8_t next)
{
    return next == EXTENSION_HOP_BY_HOP || next == EXTENSION_ROUTING || next == EXTENSION_FRAGMENT ||
           next == EXTENSION_DESTINATION;
}

/* One extension header (RFC 8200 4). False: it is cut. */
static bool pass_extension(struct ip_packet *out, struct reader *r)
{
    uint8_t kind = out->protocol;
    size_t before = reader_left(r);
    uint8_t next = read_u8(r), length = read_u8(r);
    if (kind == EXTENSION_FRAGMENT) {
        uint16_t fragment = read_u16(r);
        read_skip(r, 4); /* identification */
        out->first_fragment = (fragment & IP6_FRAGMENT_OFFSET) == 0;
        out->fragment = out->fragment || (fragment & (IP6_FRAGMENT_OFFSET | IP6_FRAGMENT_MORE)) != 0;
    } else {
        read_skip(r, (size_t)length * 8 + 6);
    }
    if (r->err != E_OK)
        return false;
    out->protocol = next;
    out->header_len += before - reader_left(r);
    return true;
}

static void walk_extensions(struct ip_packet *out)
{
    struct reader r = reader_over(bytes_slice(out->whole, IP6_HEADER_LEN, out->whole.len));
    for (unsigned i = 0; i < IP6_EXTENSIONS_MAX && is_extension(out->protocol); i++)
        if (!out->first_fragment || !pass_extension(out, &r))
            break;
    out->obscured = is_extension(out->protocol);
}

static err_t decode_6(struct ip_packet *out, struct bytes raw)
{
    struct reader r = reader_over(raw);
    uint32_t first = read_u32(&r);
    size_t total = IP6_HEADER_LEN + (size_t)read_u16(&r);
    out->protocol = read_u8(&r);
    read_skip(&r, 1); /* hop limit */
    out->src.family = out->dst.family = AF_INET6;
    read_into(&r, out->src.bytes, 16);
    read_into(&r, out->dst.bytes, 16);
    if (r.err != E_OK)
        return r.err;
    if (total > raw.len)
        return E_TRUNCATED;
    if (total > IP_PACKET_MAX)
        return E_BAD_LENGTH;
    out->whole = bytes_slice(raw, 0, total);
    out->tos = (uint8_t)(first >> CLASS_SHIFT);
    out->flow_label = first & FLOW_LABEL_MASK;
    out->header_len = IP6_HEADER_LEN;
    out->dont_fragment = out->first_fragment = true;
    walk_extensions(out);
    take_ports(out);
    return E_OK;
}

err_t ip_packet_decode(struct ip_packet *out, struct bytes raw)
{
    memset(out, 0, sizeof(*out));
    if (raw.len == 0)
        return E_TRUNCATED;
    uint8_t version = raw.data[0] >> 4;
    if (version == IP_VERSION_4)
        return decode_4(out, raw);
    return version == IP_VERSION_6 ? decode_6(out, raw) : E_BAD_VERSION;
}

static bool is_of_link(const struct addr *addr)
{
    static const uint8_t none[16];
    const uint8_t *b = addr->bytes;
    if (addr->family != AF_INET6)
        return false;
    bool local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
    bool group = b[0] == 0xff && (b[1] & 0x0f) <= 2;
    return local || group || memcmp(b, none, sizeof(none)) == 0;
}

bool ip_packet_is_of_link(const struct ip_packet *packet)
{
    return is_of_link(&packet->src) || is_of_link(&packet->dst);
}

uint16_t ip_checksum(struct bytes header)
{
    return (uint16_t)~ip_sum_fold(ip_sum(0, header));
}

uint16_t ip6_checksum(const struct ip_packet *packet)
{
    uint8_t pseudo[40];
    struct bytes upper = bytes_slice(packet->whole, packet->header_len, packet->whole.len);
    struct writer w = writer_over(pseudo, sizeof(pseudo));
    write_bytes(&w, addr_bytes(&packet->src));
    write_bytes(&w, addr_bytes(&packet->dst));
    write_u32(&w, (uint32_t)upper.len);
    write_u32(&w, packet->protocol);
    uint32_t sum = (uint16_t)~ip_checksum(writer_bytes(&w));
    sum += (uint16_t)~ip_checksum(upper);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

size_t ip_outer_len(uint8_t family)
{
    return family == AF_INET6 ? IP6_HEADER_LEN : IP_HEADER_LEN;
}

uint8_t ip_inner_protocol(uint8_t family)
{
    return family == AF_INET6 ? IP_PROTOCOL_IPV6 : IP_PROTOCOL_IPIP;
}

void ip6_header_write(uint8_t out[IP6_HEADER_LEN], const struct addr *src, const struct addr *dst,
                      uint32_t class_and_label, uint8_t protocol, size_t len)
{
    struct writer w = writer_over(out, IP6_HEADER_LEN);
    write_u32(&w, (uint32_t)IP_VERSION_6 << 28 | class_and_label);
    write_u16(&w, (uint16_t)len);
    write_u8(&w, protocol);
    write_u8(&w, IP_OUTER_TTL);
    write_bytes(&w, (struct bytes){src->bytes, 16});
    write_bytes(&w, (struct bytes){dst->bytes, 16});
}

void ip_outer_write(uint8_t *out, const struct ip_packet *inner, size_t esp_len, uint16_t id)
{
    if (inner->src.family == AF_INET6) {
        ip6_header_write(out, &inner->src, &inner->dst,
                         (uint32_t)inner->tos << CLASS_SHIFT | inner->flow_label, IP_PROTOCOL_ESP, esp_len);
        return;
    }
    struct writer w = writer_over(out, IP_HEADER_LEN);
    write_u8(&w, IP_VERSION_4 << 4 | IP_HEADER_LEN / 4);
    write_u8(&w, inner->tos);
    write_u16(&w, (uint16_t)(IP_HEADER_LEN + esp_len));
    write_u16(&w, id);
    write_u16(&w, inner->dont_fragment ? IP_DF : 0);
    write_u8(&w, IP_OUTER_TTL);
    write_u8(&w, IP_PROTOCOL_ESP);
    write_u16(&w, 0);
    write_bytes(&w, addr_bytes(&inner->src));
    write_bytes(&w, addr_bytes(&inner->dst));
    writer_patch_u16(&w, IP_AT_CHECKSUM, ip_checksum((struct bytes){out, IP_HEADER_LEN}));
}

bool ip_ecn_decapsulate(uint8_t *header, size_t header_len, uint8_t outer_tos)
{
    bool six = header[0] >> 4 == IP_VERSION_6;
    uint8_t inner = (six ? header[1] >> 4 : header[1]) & ECN_MASK;
    if ((outer_tos & ECN_MASK) != ECN_CE || inner == ECN_CE)
        return true;
    if (inner == ECN_NOT_ECT)
        return false;
    if (six) {
        header[1] |= IP6_CE;
        return true;
    }
    header[1] |= ECN_CE;
    struct writer w = writer_over(header, header_len);
    w.len = header_len;
    writer_patch_u16(&w, IP_AT_CHECKSUM, 0);
    writer_patch_u16(&w, IP_AT_CHECKSUM, ip_checksum((struct bytes){header, header_len}));
    return true;
}

/* ip_packet.c - IPv4 headers (RFC 791, RFC 6040). */
#include "gm-agent/ip_packet.h"

#include <string.h>

enum {
    IP_VERSION_4 = 4,
    IP_DF = 0x4000,
    IP_MF = 0x2000,
    IP_OFFSET_MASK = 0x1fff,
    IP_AT_CHECKSUM = 10,
    ECN_MASK = 3,
    ECN_NOT_ECT = 0,
    ECN_CE = 3,
    PORTS_LEN = 4,
};

static bool carries_ports(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_UDP || protocol == IP_PROTOCOL_SCTP;
}

err_t ip_packet_decode(struct ip_packet *out, struct bytes raw)
{
    memset(out, 0, sizeof(*out));
    struct reader r = reader_over(raw);
    uint8_t version_ihl = read_u8(&r);
    out->tos = read_u8(&r);
    uint16_t total = read_u16(&r);
    read_skip(&r, 2); /* identification */
    uint16_t fragment = read_u16(&r);
    read_skip(&r, 1); /* TTL */
    out->protocol = read_u8(&r);
    read_skip(&r, 2); /* checksum */
    read_into(&r, out->src, sizeof(out->src));
    read_into(&r, out->dst, sizeof(out->dst));
    if (r.err != E_OK)
        return r.err;
    if (version_ihl >> 4 != IP_VERSION_4)
        return E_BAD_VERSION;
    out->header_len = (size_t)(version_ihl & 15) * 4;
    if (out->header_len < IP_HEADER_LEN || total < out->header_len)
        return E_BAD_LENGTH;
    if (total > raw.len)
        return E_TRUNCATED;
    out->whole = bytes_slice(raw, 0, total);
    out->dont_fragment = (fragment & IP_DF) != 0;
    out->fragment = (fragment & (IP_MF | IP_OFFSET_MASK)) != 0;
    out->first_fragment = (fragment & IP_OFFSET_MASK) == 0;
    struct reader ports = reader_over(bytes_slice(out->whole, out->header_len, PORTS_LEN));
    if (carries_ports(out->protocol) && out->first_fragment && reader_left(&ports) == PORTS_LEN) {
        out->has_ports = true;
        out->src_port = read_u16(&ports);
        out->dst_port = read_u16(&ports);
    }
    return E_OK;
}

uint16_t ip_checksum(struct bytes header)
{
    struct reader r = reader_over(header);
    uint32_t sum = 0;
    while (reader_left(&r) >= 2)
        sum += read_u16(&r);
    if (reader_left(&r) == 1)
        sum += (uint32_t)read_u8(&r) << 8;
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void ip_outer_write(uint8_t out[IP_HEADER_LEN], const struct ip_packet *inner, size_t esp_len, uint16_t id)
{
    struct writer w = writer_over(out, IP_HEADER_LEN);
    write_u8(&w, IP_VERSION_4 << 4 | IP_HEADER_LEN / 4);
    write_u8(&w, inner->tos);
    write_u16(&w, (uint16_t)(IP_HEADER_LEN + esp_len));
    write_u16(&w, id);
    write_u16(&w, inner->dont_fragment ? IP_DF : 0);
    write_u8(&w, IP_OUTER_TTL);
    write_u8(&w, IP_PROTOCOL_ESP);
    write_u16(&w, 0);
    write_bytes(&w, BYTES_OF(inner->src));
    write_bytes(&w, BYTES_OF(inner->dst));
    writer_patch_u16(&w, IP_AT_CHECKSUM, ip_checksum((struct bytes){out, IP_HEADER_LEN}));
}

bool ip_ecn_decapsulate(uint8_t *header, size_t header_len, uint8_t outer_tos)
{
    uint8_t inner = header[1] & ECN_MASK;
    if ((outer_tos & ECN_MASK) != ECN_CE || inner == ECN_CE)
        return true;
    if (inner == ECN_NOT_ECT)
        return false;
    header[1] |= ECN_CE;
    struct writer w = writer_over(header, header_len);
    w.len = header_len;
    writer_patch_u16(&w, IP_AT_CHECKSUM, 0);
    writer_patch_u16(&w, IP_AT_CHECKSUM, ip_checksum((struct bytes){header, header_len}));
    return true;
}

/* path_mtu.c - complaints of routers. */
#include "gm-agent/path_mtu.h"

#include <string.h>

#include "base/addr.h"
#include "base/event.h"
#include "gm-agent/ip_packet.h"

enum { ICMP = 1, ICMP_UNREACHABLE = 3, ICMP_TOO_BIG = 4, ICMP6_TOO_BIG = 2 };

/* What old routers may have meant: the next of the usual lengths below the packet's (RFC 1191 7.1). */
static uint16_t guess(uint16_t length)
{
    static const uint16_t usual[] = {8166, 4352, 2002, 1492, 1006, 576};
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (usual[i] < length)
            return usual[i];
    return 0;
}

/* The quoted packet is cut, so its header is read here and not by ip_packet_decode. */
static bool read_quoted_4(struct path_mtu_hint *out, struct reader *r, uint16_t mtu)
{
    uint8_t first = read_u8(r);
    size_t header = 4u * (first & 0x0fu);
    read_skip(r, 1);
    uint16_t length = read_u16(r);
    read_skip(r, 5);
    uint8_t protocol = read_u8(r);
    read_skip(r, 2);
    struct bytes addresses = read_bytes(r, 8);
    if (first >> 4 != 4 || header < IP_HEADER_LEN || protocol != IP_PROTOCOL_ESP || r->err != E_OK)
        return false;
    out->src.family = out->dst.family = AF_INET;
    memcpy(out->src.bytes, addresses.data, 4);
    memcpy(out->dst.bytes, addresses.data + 4, 4);
    read_skip(r, header - IP_HEADER_LEN);
    out->spi = read_u32(r);
    out->mtu = mtu != 0 ? mtu : guess(length);
    return r->err == E_OK && out->mtu < length;
}

/* Ours has no extension headers. */
static bool read_quoted_6(struct path_mtu_hint *out, struct reader *r, uint32_t mtu)
{
    uint32_t first = read_u32(r);
    uint32_t length = IP6_HEADER_LEN + (uint32_t)read_u16(r);
    uint8_t protocol = read_u8(r);
    read_skip(r, 1);
    out->src.family = out->dst.family = AF_INET6;
    read_into(r, out->src.bytes, 16);
    read_into(r, out->dst.bytes, 16);
    out->spi = read_u32(r);
    if (r->err != E_OK || first >> 28 != 6 || protocol != IP_PROTOCOL_ESP || mtu >= length ||
        mtu > UINT16_MAX)
        return false;
    out->mtu = (uint16_t)mtu;
    return true;
}

static bool read_6(struct path_mtu_hint *out, const struct ip_packet *ip, struct reader *r)
{
    uint8_t type = read_u8(r), code = read_u8(r);
    read_skip(r, 2); /* checksum */
    uint32_t mtu = read_u32(r);
    return type == ICMP6_TOO_BIG && code == 0 && ip6_checksum(ip) == 0 && read_quoted_6(out, r, mtu);
}

bool path_mtu_read(struct path_mtu_hint *out, struct bytes packet)
{
    struct ip_packet ip;
    memset(out, 0, sizeof(*out));
    if (ip_packet_decode(&ip, packet) != E_OK || ip.fragment)
        return false;
    out->router = ip.src;
    bool six = ip.src.family == AF_INET6;
    struct bytes body = bytes_slice(ip.whole, ip.header_len, ip.whole.len);
    struct reader r = reader_over(body);
    if (ip.protocol != (six ? IP_PROTOCOL_ICMPV6 : ICMP))
        return false;
    if (six)
        return read_6(out, &ip, &r);
    uint8_t type = read_u8(&r), code = read_u8(&r);
    read_skip(&r, 4); /* checksum, unused */
    uint16_t mtu = read_u16(&r);
    if (type != ICMP_UNREACHABLE || code != ICMP_TOO_BIG || ip_checksum(body) != 0)
        return false;
    return read_quoted_4(out, &r, mtu);
}

bool path_mtu_learn(struct path_mtu *table, const struct addr *dst, uint16_t mtu, uint64_t now_ms)
{
    size_t at = 0;
    if (mtu < (dst->family == AF_INET6 ? IP6_MTU_MIN : PATH_MTU_MIN))
        return false;
    while (at < table->count && !addr_equal(&table->hosts[at].dst, dst))
        at++;
    if (at == PATH_MTU_HOSTS_MAX)
        return false;
    bool narrower = at == table->count || mtu < table->hosts[at].mtu;
    if (!narrower)
        return false;
    if (at == table->count)
        table->count++;
    table->hosts[at].dst = *dst;
    table->hosts[at].mtu = mtu;
    table->hosts[at].until_ms = now_ms + PATH_MTU_LIFE_MS;
    return true;
}

uint16_t path_mtu_find(const struct path_mtu *table, const struct addr *dst)
{
    for (size_t i = 0; i < table->count; i++)
        if (addr_equal(&table->hosts[i].dst, dst))
            return table->hosts[i].mtu;
    return 0;
}

bool path_mtu_forget(struct path_mtu *table, uint64_t now_ms, struct addr *dst)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->hosts[i].until_ms > now_ms)
            continue;
        *dst = table->hosts[i].dst;
        table->hosts[i] = table->hosts[--table->count];
        return true;
    }
    return false;
}

void path_mtu_log(const struct path_mtu_hint *hint, uint32_t inner, err_t err)
{
    char dst[ADDR_TEXT_MAX], router[ADDR_TEXT_MAX];
    if (err == E_OK)
        event(PATH_MTU_FOUND, addr_format(&hint->dst, dst), (uint32_t)hint->mtu,
              addr_format(&hint->router, router), inner);
    else
        event(DATAPATH_ERROR, "path MTU", err_text(err));
}

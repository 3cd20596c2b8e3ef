/* coalesce.c - short packets, joined. */
#include "gm-agent/coalesce.h"

#include <string.h>

#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/ip_sum.h"

static size_t payload_of(const struct coalesce_packet *p)
{
    return p->len - p->head_len;
}

static uint32_t hash_of(const uint8_t *octets, size_t len, uint32_t hash)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ octets[i]) * 16777619; /* FNV-1a */
    return hash;
}

/* Finds the transport header of a packet without options or fragments. 0: there is none of that kind. */
static size_t transport_of(const uint8_t *ip, size_t len, uint8_t *protocol)
{
    if (len >= IP4_MIN_LEN && ip[0] == 0x45 && (field_u16(ip + IP4_AT_FRAGMENT) & IP4_MF_OFFSET) == 0 &&
        field_u16(ip + IP4_AT_LEN) == len) {
        *protocol = ip[IP4_AT_PROTOCOL];
        return IP4_MIN_LEN;
    }
    if (len >= IP6_LEN && ip_is_v6(ip) && field_u16(ip + IP6_AT_LEN) == len - IP6_LEN) {
        *protocol = ip[IP6_AT_NEXT];
        return IP6_LEN;
    }
    return 0;
}

static bool checksum_good(const struct coalesce_packet *p, uint8_t protocol)
{
    struct bytes transport = {p->data + p->transport_at, p->len - p->transport_at};
    uint32_t sum = ip_sum_pseudo(p->data, protocol, transport.len);
    return ip_sum_fold(ip_sum(sum, transport)) == 0xffff;
}

/* Is it in the middle of a stream: data, and nothing that means more than that? */
static bool tcp_joins(struct coalesce_packet *p)
{
    const uint8_t *tcp = p->data + p->transport_at;
    if (p->transport_at + TCP_MIN_LEN > p->len)
        return false;
    size_t header = (size_t)(tcp[TCP_AT_OFFSET] >> 4) * 4;
    p->head_len = p->transport_at + header;
    return header >= TCP_MIN_LEN && p->head_len < p->len && (tcp[TCP_AT_OFFSET] & 15) == 0 &&
           (tcp[TCP_AT_FLAGS] & ~TCP_PSH) == TCP_ACK;
}

static bool udp_joins(struct coalesce_packet *p)
{
    const uint8_t *udp = p->data + p->transport_at;
    if (p->transport_at + UDP_LEN >= p->len)
        return false;
    p->head_len = p->transport_at + UDP_LEN;
    return field_u16(udp + UDP_AT_LEN) == p->len - p->transport_at && field_u16(udp + UDP_AT_CHECKSUM) != 0;
}

static void look(const struct coalesce *c, struct coalesce_packet *p)
{
    uint8_t protocol = 0;
    bool v6 = ip_is_v6(p->data);
    p->transport_at = transport_of(p->data, p->len, &protocol);
    p->udp = protocol == IP_PROTOCOL_UDP;
    if (p->transport_at == 0 || p->transport_at + 4 > p->len || (protocol != IP_PROTOCOL_TCP && !p->udp)) {
        p->transport_at = 0;
        return;
    }
    const uint8_t *addresses = p->data + (v6 ? IP6_AT_SRC : IP4_AT_SRC);
    p->hash = hash_of(addresses, p->transport_at + 4 - (size_t)(addresses - p->data), 2166136261u + protocol);
    p->joins = p->udp ? c->udp && udp_joins(p) : c->tcp && tcp_joins(p);
    p->joins = p->joins && checksum_good(p, protocol);
}

/* Addresses, ports and protocol; a hash that is equal by accident costs order nothing. */
static bool same_flow(const struct coalesce_packet *a, const struct coalesce_packet *b)
{
    if (a->transport_at == 0 || a->hash != b->hash || a->transport_at != b->transport_at || a->udp != b->udp)
        return false;
    size_t at = ip_is_v6(a->data) ? IP6_AT_SRC : IP4_AT_SRC;
    return memcmp(a->data + at, b->data + at, a->transport_at + 4 - at) == 0;
}

/* All of the IP header that cutting copies. Where fragments are forbidden the identification means nothing
 * (RFC 6864 4.1); else it must count on, as it will. */
static bool same_ip(const uint8_t *first, const uint8_t *next, size_t nth)
{
    if (ip_is_v6(first))
        return memcmp(first, next, IP6_AT_LEN) == 0 && first[IP6_AT_HOPS] == next[IP6_AT_HOPS];
    uint16_t id = (uint16_t)(field_u16(first + IP4_AT_ID) + nth);
    bool fixed = (field_u16(first + IP4_AT_FRAGMENT) & IP4_DF) != 0;
    return first[IP4_AT_TOS] == next[IP4_AT_TOS] && first[IP4_AT_TTL] == next[IP4_AT_TTL] &&
           field_u16(first + IP4_AT_FRAGMENT) == field_u16(next + IP4_AT_FRAGMENT) &&
           (fixed || field_u16(next + IP4_AT_ID) == id);
}

static bool same_tcp(const struct coalesce_frame *frame, const struct coalesce_packet *first,
                     const struct coalesce_packet *next)
{
    const uint8_t *a = first->data + first->transport_at, *b = next->data + next->transport_at;
    uint32_t sent = (uint32_t)(frame->len - first->head_len);
    return field_u32(a + TCP_AT_SEQ) + sent == field_u32(b + TCP_AT_SEQ) &&
           field_u32(a + TCP_AT_ACK) == field_u32(b + TCP_AT_ACK) &&
           field_u16(a + TCP_AT_FLAGS + 1) == field_u16(b + TCP_AT_FLAGS + 1) && /* window */
           memcmp(a + TCP_MIN_LEN, b + TCP_MIN_LEN, first->head_len - first->transport_at - TCP_MIN_LEN) == 0;
}

static bool fits(const struct coalesce *c, const struct coalesce_frame *frame,
                 const struct coalesce_packet *p)
{
    const struct coalesce_packet *first = &c->packets[frame->first];
    return first->joins && p->joins && !frame->closed && p->head_len == first->head_len &&
           payload_of(p) <= frame->size && frame->len + payload_of(p) <= COALESCE_LEN_MAX &&
           same_ip(first->data, p->data, frame->count) && (p->udp || same_tcp(frame, first, p));
}

static bool pushes(const struct coalesce_packet *p)
{
    return !p->udp && (p->data[p->transport_at + TCP_AT_FLAGS] & TCP_PSH) != 0;
}

/* The flow's newest frame, and no other: so the flow keeps its order. */
static struct coalesce_frame *newest_of(struct coalesce *c, const struct coalesce_packet *p)
{
    for (size_t i = c->frame_count; p->transport_at != 0 && i-- > 0;)
        if (same_flow(&c->packets[c->frames[i].first], p))
            return &c->frames[i];
    return NULL;
}

bool coalesce_add(struct coalesce *coalesce, uint8_t *packet, size_t len)
{
    struct coalesce *c = coalesce;
    if (c->packet_count == COALESCE_MAX)
        return false;
    size_t index = c->packet_count++;
    struct coalesce_packet *p = &c->packets[index];
    *p = (struct coalesce_packet){.data = packet, .len = len, .next = COALESCE_MAX};
    if (len >= IP4_MIN_LEN && (c->tcp || c->udp))
        look(c, p);
    struct coalesce_frame *frame = newest_of(c, p);
    if (frame != NULL && fits(c, frame, p)) {
        frame->len += payload_of(p);
        frame->count++;
        c->packets[frame->last].next = index;
        frame->last = index;
    } else {
        frame = &c->frames[c->frame_count++];
        *frame = (struct coalesce_frame){.first = index, .last = index, .count = 1, .len = len};
        frame->size = p->joins ? payload_of(p) : 0;
    }
    frame->closed = !p->joins || payload_of(p) < frame->size || pushes(p);
    return true;
}

/* Lengths of the whole, and a checksum for the kernel to finish for each packet that it cuts. */
static void write_headers(const struct coalesce *c, const struct coalesce_frame *frame,
                          struct virtio_net_hdr *head)
{
    const struct coalesce_packet *first = &c->packets[frame->first], *last = &c->packets[frame->last];
    uint8_t *ip = first->data, *transport = ip + first->transport_at;
    size_t transport_len = frame->len - first->transport_at;
    uint8_t protocol = first->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
    if (ip_is_v6(ip)) {
        field_put_u16(ip + IP6_AT_LEN, (uint32_t)(frame->len - IP6_LEN));
    } else {
        field_put_u16(ip + IP4_AT_LEN, (uint32_t)frame->len);
        field_put_u16(ip + IP4_AT_CHECKSUM, 0);
        field_put_u16(ip + IP4_AT_CHECKSUM,
                      (uint16_t)~ip_sum_fold(ip_sum(0, (struct bytes){ip, IP4_MIN_LEN})));
    }
    if (first->udp)
        field_put_u16(transport + UDP_AT_LEN, (uint32_t)transport_len);
    else if (pushes(last))
        transport[TCP_AT_FLAGS] |= TCP_PSH;
    head->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    head->gso_type = first->udp     ? VIRTIO_NET_HDR_GSO_UDP_L4
                     : ip_is_v6(ip) ? VIRTIO_NET_HDR_GSO_TCPV6
                                    : VIRTIO_NET_HDR_GSO_TCPV4;
    head->hdr_len = (uint16_t)first->head_len;
    head->gso_size = (uint16_t)frame->size;
    head->csum_start = (uint16_t)first->transport_at;
    head->csum_offset = first->udp ? UDP_AT_CHECKSUM : TCP_AT_CHECKSUM;
    field_put_u16(transport + head->csum_offset, ip_sum_fold(ip_sum_pseudo(ip, protocol, transport_len)));
}

size_t coalesce_frame(struct coalesce *coalesce, size_t index, struct virtio_net_hdr *head,
                      struct iovec parts[COALESCE_PARTS_MAX])
{
    const struct coalesce_frame *frame = &coalesce->frames[index];
    struct coalesce_packet *p = &coalesce->packets[frame->first];
    size_t count = 0;
    memset(head, 0, sizeof(*head));
    if (frame->count > 1)
        write_headers(coalesce, frame, head);
    parts[count++] = (struct iovec){head, sizeof(*head)};
    parts[count++] = (struct iovec){p->data, p->len};
    while (p->next != COALESCE_MAX) {
        p = &coalesce->packets[p->next];
        parts[count++] = (struct iovec){p->data + p->head_len, payload_of(p)};
    }
    return count;
}

void coalesce_clear(struct coalesce *coalesce)
{
    coalesce->packet_count = 0;
    coalesce->frame_count = 0;
}

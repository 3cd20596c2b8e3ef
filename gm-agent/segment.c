/* segment.c - long packets, cut. */
#include "gm-agent/segment.h"

#include <string.h>

#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/ip_sum.h"

/* The kernel has put the sum of what it knows into the field already. */
static err_t finish_checksum(const struct segment *s, size_t start, size_t offset)
{
    if (start > s->len || offset + 2 > s->len - start)
        return E_BAD_LENGTH;
    uint16_t sum = (uint16_t)~ip_sum_fold(ip_sum(0, (struct bytes){s->packet + start, s->len - start}));
    field_put_u16(s->packet + start + offset,
                  sum == 0 ? 0xffff : sum); /* 0 would say that there is none (RFC 768) */
    return E_OK;
}

static err_t plan_cuts(struct segment *s, const struct virtio_net_hdr *head)
{
    size_t ip_len = ip_is_v6(s->packet) ? IP6_LEN : ip4_header_len(s->packet);
    size_t transport_len = s->udp ? UDP_LEN : TCP_MIN_LEN;
    s->transport_at = head->csum_start;
    if (ip_len < IP_HEADER_LEN || s->transport_at < ip_len || head->gso_size == 0 ||
        s->transport_at + transport_len > s->len)
        return E_BAD_LENGTH;
    if (!s->udp)
        transport_len = (size_t)(s->packet[s->transport_at + TCP_AT_OFFSET] >> 4) * 4;
    s->head_len = s->transport_at + transport_len;
    if (transport_len < UDP_LEN || (!s->udp && transport_len < TCP_MIN_LEN) || s->head_len > s->len)
        return E_BAD_LENGTH;
    s->size = head->gso_size;
    s->next = s->head_len;
    return E_OK;
}

err_t segment_open(struct segment *segment, uint8_t *frame, size_t len)
{
    struct virtio_net_hdr head;
    memset(segment, 0, sizeof(*segment));
    if (len < SEGMENT_HEAD_LEN + IP_HEADER_LEN || len > SEGMENT_FRAME_MAX)
        return len > SEGMENT_FRAME_MAX ? E_BAD_LENGTH : E_TRUNCATED;
    memcpy(&head, frame, sizeof(head));
    segment->packet = frame + SEGMENT_HEAD_LEN;
    segment->len = len - SEGMENT_HEAD_LEN;
    bool partial = (head.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0;
    bool v6 = ip_is_v6(segment->packet);
    if (head.gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return partial ? finish_checksum(segment, head.csum_start, head.csum_offset) : E_OK;
    segment->udp = head.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4;
    bool asked = segment->udp || head.gso_type == (v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
    return asked && partial ? plan_cuts(segment, &head) : E_UNSUPPORTED;
}

static void write_ip_header(const struct segment *s, uint8_t *out, size_t len)
{
    if (ip_is_v6(out)) {
        field_put_u16(out + IP6_AT_LEN, (uint32_t)(len - IP6_LEN));
        return;
    }
    field_put_u16(out + IP4_AT_LEN, (uint32_t)len);
    field_put_u16(out + IP4_AT_ID, field_u16(out + IP4_AT_ID) + (uint32_t)s->done);
    field_put_u16(out + IP4_AT_CHECKSUM, 0);
    struct bytes header = {out, ip4_header_len(out)};
    field_put_u16(out + IP4_AT_CHECKSUM, (uint16_t)~ip_sum_fold(ip_sum(0, header)));
}

/* Numbers go on by what was sent before; the last piece alone ends or pushes. */
static void write_tcp(const struct segment *s, uint8_t *tcp, bool last)
{
    uint32_t sent = (uint32_t)(s->next - s->head_len);
    field_put_u32(tcp + TCP_AT_SEQ, field_u32(tcp + TCP_AT_SEQ) + sent);
    if (!last)
        tcp[TCP_AT_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

static void write_transport(const struct segment *s, uint8_t *out, size_t len, bool last)
{
    uint8_t *transport = out + s->transport_at;
    size_t transport_len = len - s->transport_at;
    uint8_t *checksum = transport + (s->udp ? UDP_AT_CHECKSUM : TCP_AT_CHECKSUM);
    if (s->udp)
        field_put_u16(transport + UDP_AT_LEN, (uint32_t)transport_len);
    else
        write_tcp(s, transport, last);
    field_put_u16(checksum, 0);
    uint32_t sum = ip_sum_pseudo(out, s->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP, transport_len);
    uint16_t whole = (uint16_t)~ip_sum_fold(ip_sum(sum, (struct bytes){transport, transport_len}));
    field_put_u16(checksum, s->udp && whole == 0 ? 0xffff : whole);
}

bool segment_next(struct segment *segment, uint8_t *room, size_t cap, struct bytes *out)
{
    struct segment *s = segment;
    if (s->end)
        return false;
    if (s->size == 0) {
        s->end = true;
        *out = (struct bytes){s->packet, s->len};
        return true;
    }
    size_t left = s->len - s->next;
    size_t payload = left < s->size ? left : s->size;
    size_t len = s->head_len + payload;
    s->end = payload == left;
    if (len > cap) {
        s->end = true;
        return false;
    }
    memcpy(room, s->packet, s->head_len);
    memcpy(room + s->head_len, s->packet + s->next, payload);
    write_ip_header(s, room, len);
    write_transport(s, room, len, s->end);
    s->next += payload;
    s->done++;
    *out = (struct bytes){room, len};
    return true;
}

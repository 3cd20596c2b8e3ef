/* flow.h - packets of TCP and UDP flows over IPv4 and IPv6 with good checksums, as a host sends them. */
#ifndef TESTS_UNIT_GM_AGENT_FLOW_H
#define TESTS_UNIT_GM_AGENT_FLOW_H

#include <string.h>

#include "base/rng.h"
#include "gm-agent/coalesce.h"
#include "gm-agent/ip_fields.h"
#include "gm-agent/ip_packet.h"
#include "gm-agent/ip_sum.h"
#include "tests/lib/test.h"

enum { FLOW_CAP = 2048, FLOW_OPTIONS = 12 /* octets: time stamps */ };

struct flow {
    bool v6, udp;
    uint16_t port;
    uint16_t id;
    bool may_fragment;
    uint32_t seq, ack;
    uint16_t window;
    uint8_t flags;
};

static UNUSED struct flow flow_new(bool v6, bool udp)
{
    return (struct flow){.v6 = v6,
                         .udp = udp,
                         .port = 5000,
                         .id = 77,
                         .seq = 0xfffffff0,
                         .ack = 9,
                         .window = 500,
                         .flags = TCP_ACK};
}

static UNUSED size_t flow_transport_at(const struct flow *f)
{
    return f->v6 ? IP6_LEN : IP4_MIN_LEN;
}

static UNUSED size_t flow_head_len(const struct flow *f)
{
    return flow_transport_at(f) + (f->udp ? UDP_LEN : TCP_MIN_LEN + FLOW_OPTIONS);
}

static UNUSED void flow_ip(const struct flow *f, uint8_t *out, size_t len)
{
    memset(out, 0, flow_head_len(f));
    if (f->v6) {
        out[0] = 0x60;
        field_put_u16(out + IP6_AT_LEN, (uint32_t)(len - IP6_LEN));
        out[IP6_AT_NEXT] = f->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
        out[IP6_AT_HOPS] = 63;
        out[IP6_AT_SRC] = out[IP6_AT_DST] = 0xfd;
        out[IP6_AT_DST + 15] = 1;
        return;
    }
    out[0] = 0x45;
    field_put_u16(out + IP4_AT_LEN, (uint32_t)len);
    field_put_u16(out + IP4_AT_ID, f->id);
    field_put_u16(out + IP4_AT_FRAGMENT, f->may_fragment ? 0 : IP4_DF);
    out[IP4_AT_TTL] = 63;
    out[IP4_AT_PROTOCOL] = f->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
    field_put_u32(out + IP4_AT_SRC, 0xc0a80d0a);
    field_put_u32(out + IP4_AT_DST, 0xc0a80e0a);
}

/* Both checksums anew, as after a change. */
static UNUSED void flow_seal(const struct flow *f, uint8_t *packet, size_t len)
{
    size_t at = flow_transport_at(f);
    uint8_t *checksum = packet + at + (f->udp ? UDP_AT_CHECKSUM : TCP_AT_CHECKSUM);
    if (!f->v6) {
        field_put_u16(packet + IP4_AT_CHECKSUM, 0);
        field_put_u16(packet + IP4_AT_CHECKSUM, ip_checksum((struct bytes){packet, IP4_MIN_LEN}));
    }
    field_put_u16(checksum, 0);
    uint8_t protocol = f->udp ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
    uint32_t sum = ip_sum_pseudo(packet, protocol, len - at);
    uint16_t whole = (uint16_t)~ip_sum_fold(ip_sum(sum, (struct bytes){packet + at, len - at}));
    field_put_u16(checksum, whole == 0 ? 0xffff : whole);
}

/* The flow's next packet with that much payload; returns its length. */
static UNUSED size_t flow_packet(struct flow *f, uint8_t *out, size_t payload)
{
    size_t at = flow_transport_at(f), len = flow_head_len(f) + payload;
    assert_true(len <= FLOW_CAP);
    flow_ip(f, out, len);
    field_put_u16(out + at, f->port);
    field_put_u16(out + at + 2, 80);
    if (f->udp) {
        field_put_u16(out + at + UDP_AT_LEN, (uint32_t)(UDP_LEN + payload));
    } else {
        field_put_u32(out + at + TCP_AT_SEQ, f->seq);
        field_put_u32(out + at + TCP_AT_ACK, f->ack);
        out[at + TCP_AT_OFFSET] = (TCP_MIN_LEN + FLOW_OPTIONS) / 4 << 4;
        out[at + TCP_AT_FLAGS] = f->flags;
        field_put_u16(out + at + TCP_AT_FLAGS + 1, f->window);
        memset(out + at + TCP_MIN_LEN, 1, FLOW_OPTIONS);
    }
    for (size_t i = 0; i < payload; i++)
        out[flow_head_len(f) + i] = (uint8_t)(f->seq + i * 7 + f->id);
    f->seq += (uint32_t)payload;
    f->id++;
    flow_seal(f, out, len);
    return len;
}

#endif

/* segment.h - what a network card does for the kernel on the way out, done by us: one long packet cut into
 * those that go over the wire (TCP and UDP segmentation), and checksums that the kernel left unfinished. IPv4
 * and IPv6. Frames come from a TUN with IFF_VNET_HDR. Pure; any octets are fine. */
#ifndef GM_AGENT_SEGMENT_H
#define GM_AGENT_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdbool.h>

#include "base/wire.h"

enum {
    SEGMENT_HEAD_LEN = sizeof(struct virtio_net_hdr), /* octets in front of the packet */
    SEGMENT_FRAME_MAX = SEGMENT_HEAD_LEN + 65535,
};
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* headers before 6.2 */
#endif

struct segment {
    uint8_t *packet; /* borrowed; its checksum is finished in place when it is not cut */
    size_t len;
    size_t transport_at;
    size_t head_len; /* IP and transport header, in front of each piece */
    size_t size;     /* octets of payload in a piece; 0: not cut */
    size_t next;     /* where the next piece begins */
    size_t done;     /* pieces that were cut */
    bool udp;
    bool end;
};

/* A frame as it was read. E_TRUNCATED, E_BAD_LENGTH (headers that do not fit), E_UNSUPPORTED (a kind that we
 * did not ask the kernel for). */
err_t segment_open(struct segment *segment, uint8_t *frame, size_t len) MUST_USE;
/* The next packet: in room, or where it lay. False: that was all, or cap is short. */
bool segment_next(struct segment *segment, uint8_t *room, size_t cap, struct bytes *out);

#endif

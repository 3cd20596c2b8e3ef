/* coalesce.h - what a network card does for the kernel on the way in, done by us: decrypted packets of one
 * TCP or UDP flow joined to one long packet (receive offload). Only what the kernel, when it has to cut it
 * again, makes the same packets of; what cannot be joined goes on as it is, and each flow in its order. IPv4
 * and IPv6. No copying: the packets are borrowed until coalesce_clear, and their headers changed. Pure; any
 * octets are fine. */
#ifndef GM_AGENT_COALESCE_H
#define GM_AGENT_COALESCE_H

#include <stddef.h>
#include <sys/uio.h>

#include "gm-agent/segment.h"

enum {
    COALESCE_MAX = 64, /* packets at once */
    COALESCE_LEN_MAX = 65535,
    COALESCE_PARTS_MAX = 1 + COALESCE_MAX,
};

struct coalesce_packet {
    uint8_t *data;
    size_t len;
    size_t transport_at; /* 0: of no flow */
    size_t head_len;     /* IP and transport header */
    bool joins;          /* of a kind that can be joined, with a good checksum */
    bool udp;
    uint32_t hash; /* of the flow */
    size_t next;   /* of the same frame; COALESCE_MAX: none */
};

/* A packet, or several of the same flow. */
struct coalesce_frame {
    size_t first, last;
    size_t count;
    size_t len;
    size_t size; /* payload of each but the last */
    bool closed; /* the last was shorter, or pushed */
};

struct coalesce {
    bool tcp, udp; /* what the TUN takes */
    struct coalesce_packet packets[COALESCE_MAX];
    size_t packet_count;
    struct coalesce_frame frames[COALESCE_MAX];
    size_t frame_count;
};

/* A well-formed IP packet of that length. False: there is no room, clear first. */
bool coalesce_add(struct coalesce *coalesce, uint8_t *packet, size_t len);
/* The frame as it is to be written to the TUN: head, then packets. Returns how many parts. */
size_t coalesce_frame(struct coalesce *coalesce, size_t index, struct virtio_net_hdr *head,
                      struct iovec parts[COALESCE_PARTS_MAX]);
void coalesce_clear(struct coalesce *coalesce);

#endif

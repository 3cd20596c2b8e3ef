/* raft_transport_queue.h - frames that wait for a peer, bounded in octets: when the bound is passed the
 * oldest whole ones go. */
#ifndef CLUSTER_RAFT_TRANSPORT_QUEUE_H
#define CLUSTER_RAFT_TRANSPORT_QUEUE_H

#include "cluster/raft_frame.h"

struct queued_frame {
    struct queued_frame *next;
    size_t len; /* with head */
    uint8_t data[];
};

struct send_queue {
    struct queued_frame *first, *last;
    size_t bytes, bytes_max;
    size_t peak;
    uint64_t dropped, dropped_bytes;
};

/* Head and body as one frame on the heap. E_LIMIT, E_NO_MEMORY. */
err_t queued_frame_make(struct queued_frame **out, uint8_t kind, struct bytes body) MUST_USE;
/* Takes the frame. One that is longer than the bound alone is dropped itself. */
void send_queue_push(struct send_queue *queue, struct queued_frame *frame);
struct queued_frame *send_queue_pop(struct send_queue *queue); /* the caller frees; NULL when empty */
void send_queue_close(struct send_queue *queue);

#endif

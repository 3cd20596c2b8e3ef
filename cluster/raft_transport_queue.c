#include "cluster/raft_transport_queue.h"

#include <stdlib.h>

err_t queued_frame_make(struct queued_frame **out, uint8_t kind, struct bytes body)
{
    if (body.len > FRAME_BODY_MAX)
        return E_LIMIT;
    struct queued_frame *frame = malloc(sizeof(*frame) + FRAME_HEAD + body.len);
    if (frame == NULL)
        return E_NO_MEMORY;
    frame->next = NULL;
    frame->len = FRAME_HEAD + body.len;
    struct writer w = writer_over(frame->data, frame->len);
    frame_head_encode(&w, kind, body.len);
    write_bytes(&w, body);
    *out = frame;
    return E_OK;
}

static void drop(struct send_queue *queue, struct queued_frame *frame)
{
    queue->dropped++;
    queue->dropped_bytes += frame->len;
    free(frame);
}

void send_queue_push(struct send_queue *queue, struct queued_frame *frame)
{
    while (queue->first != NULL && queue->bytes + frame->len > queue->bytes_max)
        drop(queue, send_queue_pop(queue));
    if (frame->len > queue->bytes_max) {
        drop(queue, frame);
        return;
    }
    if (queue->last != NULL)
        queue->last->next = frame;
    else
        queue->first = frame;
    queue->last = frame;
    queue->bytes += frame->len;
    if (queue->bytes > queue->peak)
        queue->peak = queue->bytes;
}

struct queued_frame *send_queue_pop(struct send_queue *queue)
{
    struct queued_frame *frame = queue->first;
    if (frame == NULL)
        return NULL;
    queue->first = frame->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->bytes -= frame->len;
    frame->next = NULL;
    return frame;
}

void send_queue_close(struct send_queue *queue)
{
    struct queued_frame *frame;
    while ((frame = send_queue_pop(queue)) != NULL)
        free(frame);
}

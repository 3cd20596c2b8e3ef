/* The sending half of a link: what goes next, and how much of it is encrypted ahead of the socket. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/raft_transport_link.h"

enum { RECORD_MAX = 16384 /* octets of plaintext in a TLS record, RFC 8446 5.1 */ };

/* Small frames that pass the queue. When they do not leave, they are not needed either: the next keepalive
 * says the same. */
void link_control(struct transport_link *link, const struct writer *frame)
{
    struct bytes b = writer_bytes(frame);
    if (link->control_len + b.len > LINK_CONTROL_MAX)
        return;
    memcpy(link->control + link->control_len, b.data, b.len);
    link->control_len += b.len;
}

static void snapshot_over(struct transport_link *link, err_t err)
{
    struct link_snapshot_out *out = &link->snapshot;
    if (!out->active)
        return;
    free(out->begin);
    out->begin = NULL;
    out->active = false;
    if (out->source.close != NULL)
        out->source.close(out->source.context);
    link->sent_told = true;
    link->sent_index = out->index;
    link->sent_err = err;
}

void link_cancel_snapshot(struct transport_link *link, err_t err)
{
    if (link->snapshot.active && link->snapshot.begin == NULL)
        link->snapshot.abort = true; /* the other side holds a part */
    snapshot_over(link, err);
}

err_t transport_link_send(struct transport_link *link, uint8_t kind, struct bytes body)
{
    struct queued_frame *frame;
    if (kind < FRAME_USER)
        return E_RANGE;
    if (link->state != LINK_OPEN)
        return E_AGAIN;
    err_t err = queued_frame_make(&frame, kind, body);
    if (err == E_OK)
        send_queue_push(&link->queue, frame);
    return err;
}

err_t transport_link_send_snapshot(struct transport_link *link, uint64_t index, struct bytes message,
                                   const struct snapshot_source *source)
{
    struct link_snapshot_out *out = &link->snapshot;
    struct queued_frame *frame;
    if (index == 0)
        return E_RANGE;
    if (link->state != LINK_OPEN)
        return E_AGAIN;
    if (out->active && out->index >= index)
        return E_EXISTS;
    if (message.len > FRAME_BODY_MAX - FRAME_BEGIN_HEAD)
        return E_LIMIT;
    frame = malloc(sizeof(*frame) + FRAME_HEAD + FRAME_BEGIN_HEAD + message.len);
    if (frame == NULL)
        return E_NO_MEMORY;
    frame->next = NULL;
    frame->len = FRAME_HEAD + FRAME_BEGIN_HEAD + message.len;
    struct writer w = writer_over(frame->data, frame->len);
    frame_begin_encode(&w, &(struct frame_begin){.index = index, .total = source->total, .message = message});
    link_cancel_snapshot(link, E_CANCELED);
    *out = (struct link_snapshot_out){
        .active = true, .index = index, .source = *source, .begin = frame, .abort = out->abort};
    return E_OK;
}

static err_t make_chunk(struct link_snapshot_out *out, struct queued_frame **result)
{
    uint64_t left = out->source.total - out->offset;
    size_t len = left < TRANSPORT_CHUNK ? (size_t)left : TRANSPORT_CHUNK;
    struct queued_frame *frame = malloc(sizeof(*frame) + FRAME_HEAD + FRAME_CHUNK_HEAD + len);
    if (frame == NULL)
        return E_NO_MEMORY;
    uint8_t *data = frame->data + FRAME_HEAD + FRAME_CHUNK_HEAD;
    err_t err = out->source.read(out->source.context, out->offset, data, len);
    if (err != E_OK) {
        free(frame);
        return err;
    }
    frame->next = NULL;
    frame->len = FRAME_HEAD + FRAME_CHUNK_HEAD + len;
    struct frame_chunk chunk = {
        .index = out->index, .total = out->source.total, .offset = out->offset, .data = {data, len}};
    struct writer w = writer_over(frame->data, FRAME_HEAD + FRAME_CHUNK_HEAD);
    frame_chunk_head_encode(&w, &chunk);
    out->offset += len;
    *result = frame;
    return E_OK;
}

static void say_abort(struct transport_link *link)
{
    uint8_t buf[FRAME_HEAD];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_head_encode(&w, FRAME_SNAPSHOT_ABORT, 0);
    link_control(link, &w);
    link->snapshot.abort = false;
}

/* The next piece of a snapshot, when no message waits. */
static struct queued_frame *next_of_snapshot(struct transport_link *link)
{
    struct link_snapshot_out *out = &link->snapshot;
    struct queued_frame *frame = out->begin;
    if (!out->active)
        return NULL;
    if (frame != NULL) {
        out->begin = NULL;
        return frame;
    }
    if (out->offset < out->source.total) {
        err_t err = make_chunk(out, &frame);
        if (err != E_OK) {
            link_cancel_snapshot(link, err);
            return NULL;
        }
    }
    return frame;
}

static bool snapshot_is_out(const struct transport_link *link)
{
    const struct link_snapshot_out *out = &link->snapshot;
    return out->active && out->begin == NULL && out->offset == out->source.total;
}

static bool take_next(struct transport_link *link, bool room_for_chunk)
{
    if (link->state != LINK_OPEN)
        return false;
    link->current = send_queue_pop(&link->queue);
    link->current_is_chunk = false;
    if (link->current != NULL) {
        link->sent++;
    } else if (room_for_chunk) {
        link->current = next_of_snapshot(link);
        link->current_is_chunk = link->current != NULL;
    }
    link->current_at = 0;
    return link->current != NULL;
}

static void finish_current(struct transport_link *link)
{
    free(link->current);
    link->current = NULL;
    if (link->current_is_chunk && snapshot_is_out(link))
        snapshot_over(link, E_OK);
}

/* Up to one record of what is next: keepalives first, then messages, then a snapshot. */
static size_t gather(struct transport_link *link, uint8_t out[RECORD_MAX], bool room_for_chunk)
{
    size_t len = 0;
    while (len < RECORD_MAX) {
        if (link->current == NULL) {
            if (link->snapshot.abort)
                say_abort(link);
            if (link->control_len > RECORD_MAX - len)
                break;
            memcpy(out + len, link->control, link->control_len);
            len += link->control_len;
            link->control_len = 0;
            if (len == RECORD_MAX || !take_next(link, room_for_chunk && len < RECORD_MAX / 2))
                break;
        }
        size_t left = link->current->len - link->current_at;
        size_t part = left < RECORD_MAX - len ? left : RECORD_MAX - len;
        memcpy(out + len, link->current->data + link->current_at, part);
        len += part;
        link->current_at += part;
        if (link->current_at == link->current->len)
            finish_current(link);
    }
    return len;
}

static size_t ciphertext(const struct transport_link *link)
{
    return BIO_ctrl_pending(link->to_peer) + link->in_flight;
}

static bool encrypt(struct transport_link *link, uint64_t now_ms)
{
    uint8_t record[RECORD_MAX];
    size_t len = gather(link, record, ciphertext(link) <= TRANSPORT_WRITE_LOW), written = 0;
    if (len == 0)
        return false;
    ERR_clear_error();
    if (++link->key_records >= LINK_KEY_RECORDS &&
        SSL_key_update(link->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
        link->key_records = 0;
    if (SSL_write_ex(link->ssl, record, len, &written) != 1 || written != len) {
        ERR_clear_error();
        link->mute = true;
        transport_link_close(link, REASON_TLS_FAILED);
        return false;
    }
    link->sent_bytes += len;
    link->wrote_ms = now_ms;
    return true;
}

static bool can_encrypt(const struct transport_link *link)
{
    return link->state != LINK_SHAKING && !link->mute && SSL_is_init_finished(link->ssl);
}

/* Encrypts ahead up to the high mark, and then nothing until the low one. */
static void fill(struct transport_link *link, uint64_t now_ms)
{
    if (!can_encrypt(link))
        return;
    if (link->stopped && ciphertext(link) > TRANSPORT_WRITE_LOW)
        return;
    link->stopped = false;
    while (ciphertext(link) < TRANSPORT_WRITE_HIGH) {
        if (!encrypt(link, now_ms))
            return;
    }
    link->stopped = true;
}

size_t transport_link_output(struct transport_link *link, uint64_t now_ms, uint8_t *out, size_t cap)
{
    fill(link, now_ms);
    int len = BIO_read(link->to_peer, out, (int)cap);
    ERR_clear_error();
    if (len <= 0)
        return 0;
    link->in_flight += (size_t)len;
    return (size_t)len;
}

void transport_link_written(struct transport_link *link, size_t len)
{
    link->in_flight -= len < link->in_flight ? len : link->in_flight;
}

bool transport_link_has_output(const struct transport_link *link)
{
    if (BIO_ctrl_pending(link->to_peer) != 0)
        return true;
    if (!can_encrypt(link))
        return false;
    return link->control_len != 0 || link->current != NULL ||
           (link->state == LINK_OPEN &&
            (link->queue.first != NULL || link->snapshot.active || link->snapshot.abort));
}

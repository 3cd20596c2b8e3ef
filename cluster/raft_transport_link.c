#include "cluster/raft_transport_link.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

err_t transport_link_make(struct transport_link **out, const struct link_options *options, uint64_t now_ms)
{
    struct transport_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return E_NO_MEMORY;
    err_t err = transport_tls_session(options->tls, options->dialed, options->wall_s, &link->ssl);
    if (err != E_OK) {
        free(link);
        return err;
    }
    link->in = SSL_get_rbio(link->ssl);
    link->to_peer = SSL_get_wbio(link->ssl);
    link->dialed = options->dialed;
    link->limits = options->limits;
    memcpy(link->cluster_id, options->tls->name.cluster_id, CLUSTER_ID_LEN);
    link->hello = (struct frame_hello){.version = FRAME_VERSION,
                                       .epoch = options->epoch,
                                       .boot = options->boot,
                                       .session = options->session};
    memcpy(link->hello.cluster_id, link->cluster_id, CLUSTER_ID_LEN);
    link->began_ms = link->heard_ms = link->wrote_ms = now_ms;
    link->reader.body_max = FRAME_FIRST_MAX;
    link->assembly.total_max = options->limits.snapshot_max;
    link->queue.bytes_max = options->limits.queue_max;
    *out = link;
    return E_OK;
}

void transport_link_free(struct transport_link *link)
{
    if (link == NULL)
        return;
    link_cancel_snapshot(link, E_CANCELED);
    send_queue_close(&link->queue);
    free(link->current);
    frame_reader_close(&link->reader);
    snapshot_assembly_close(&link->assembly);
    SSL_free(link->ssl);
    ERR_clear_error();
    free(link);
}

/* Ends it; the reason is our finding unless the peer said goodbye. */
static enum link_event_kind end(struct transport_link *link, enum transport_reason reason)
{
    link->state = LINK_CLOSED;
    link->reason = reason;
    link->closed_told = true;
    link_cancel_snapshot(link, E_CANCELED);
    send_queue_close(&link->queue);
    return LINK_HAS_CLOSED;
}

void transport_link_close(struct transport_link *link, enum transport_reason reason)
{
    if (link->state == LINK_CLOSED)
        return;
    bool can_speak = link->state != LINK_SHAKING; /* behind what has begun to go out */
    (void)end(link, reason);
    link->closed_told = false;
    if (!can_speak)
        return;
    uint8_t buf[FRAME_HEAD + 1];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_goodbye_encode(&w, (uint8_t)reason);
    link_control(link, &w);
}

static void greet(struct transport_link *link)
{
    uint8_t buf[FRAME_HEAD + FRAME_FIRST_MAX];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_hello_encode(&w, &link->hello);
    link_control(link, &w);
}

void transport_link_admit(struct transport_link *link)
{
    if (link->state != LINK_IDENTIFIED)
        return;
    link->state = LINK_GREETING;
    if (link->dialed)
        greet(link);
}

void transport_link_open(struct transport_link *link, uint64_t now_ms)
{
    if (link->state != LINK_GREETED)
        return;
    link->state = LINK_OPEN;
    link->opened_ms = link->heard_ms = now_ms;
    if (!link->dialed)
        greet(link); /* only now: the caller's side must not think it is connected before we do */
}

err_t transport_link_input(struct transport_link *link, uint64_t now_ms, struct bytes ciphertext)
{
    if (link->state == LINK_CLOSED || ciphertext.len == 0)
        return E_OK;
    link->heard_ms = now_ms;
    int written = BIO_write(link->in, ciphertext.data, (int)ciphertext.len);
    ERR_clear_error();
    return written == (int)ciphertext.len ? E_OK : E_NO_MEMORY;
}

static enum link_event_kind shake(struct transport_link *link)
{
    ERR_clear_error();
    int done = SSL_do_handshake(link->ssl);
    if (done != 1) {
        if (SSL_get_error(link->ssl, done) == SSL_ERROR_WANT_READ)
            return LINK_NOTHING;
        return end(link, transport_tls_reason(link->ssl));
    }
    enum transport_reason reason = transport_tls_peer(link->ssl, &link->name);
    if (reason == REASON_NONE && memcmp(link->name.cluster_id, link->cluster_id, CLUSTER_ID_LEN) != 0)
        reason = REASON_FOREIGN_CLUSTER;
    link->state = LINK_IDENTIFIED;
    if (reason == REASON_NONE)
        return LINK_HAS_NAME;
    transport_link_close(link, reason);
    link->closed_told = true;
    return LINK_HAS_CLOSED;
}

/* Decrypts what is there into the reader. */
static enum transport_reason pull(struct transport_link *link, bool *more)
{
    uint8_t *room;
    size_t len, got = 0;
    *more = false;
    if (frame_reader_room(&link->reader, &room, &len) != E_OK)
        return REASON_NO_MEMORY;
    ERR_clear_error();
    int done = SSL_read_ex(link->ssl, room, len, &got);
    if (done == 1) {
        frame_reader_added(&link->reader, got);
        link->received_bytes += got;
        *more = true;
        return REASON_NONE;
    }
    switch (SSL_get_error(link->ssl, done)) {
    case SSL_ERROR_WANT_READ:
        return REASON_NONE;
    case SSL_ERROR_ZERO_RETURN:
        return REASON_HUNG_UP;
    default:
        return transport_tls_reason(link->ssl);
    }
}

static enum transport_reason on_hello(struct transport_link *link, struct bytes body)
{
    err_t err = frame_hello_decode(&link->peer_hello, body);
    if (err == E_BAD_VERSION)
        return REASON_BAD_PROTOCOL;
    if (err != E_OK)
        return REASON_BAD_FRAME;
    if (memcmp(link->peer_hello.cluster_id, link->cluster_id, CLUSTER_ID_LEN) != 0)
        return REASON_FOREIGN_CLUSTER;
    return link->peer_hello.epoch == link->hello.epoch ? REASON_NONE : REASON_BAD_EPOCH;
}

static enum transport_reason on_goodbye(struct transport_link *link, struct bytes body)
{
    uint8_t reason = 0;
    if (frame_goodbye_decode(&reason, body) != E_OK)
        return REASON_BAD_FRAME;
    link->peer_closed = true;
    return reason != REASON_NONE && reason < REASON_COUNT ? (enum transport_reason)reason : REASON_HUNG_UP;
}

static enum transport_reason on_mark(struct transport_link *link, uint64_t now_ms, const struct frame *frame)
{
    uint64_t mark = 0;
    if (frame_mark_decode(&mark, frame->body) != E_OK)
        return REASON_BAD_FRAME;
    if (frame->kind == FRAME_PONG) {
        link->rtt_ms = now_ms >= mark ? now_ms - mark : 0;
        return REASON_NONE;
    }
    uint8_t buf[FRAME_HEAD + 8];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_mark_encode(&w, FRAME_PONG, mark);
    link_control(link, &w);
    return REASON_NONE;
}

static enum transport_reason on_snapshot_frame(struct transport_link *link, const struct frame *frame)
{
    struct frame_begin begin;
    struct frame_chunk chunk;
    err_t err;
    if (frame->kind == FRAME_SNAPSHOT_ABORT) {
        snapshot_assembly_close(&link->assembly);
        return frame->body.len == 0 ? REASON_NONE : REASON_BAD_FRAME;
    }
    if (frame->kind == FRAME_SNAPSHOT_BEGIN) {
        err = frame_begin_decode(&begin, frame->body);
        if (err == E_OK)
            err = snapshot_assembly_begin(&link->assembly, &begin);
    } else {
        err = frame_chunk_decode(&chunk, frame->body);
        if (err == E_OK)
            err = snapshot_assembly_add(&link->assembly, &chunk);
    }
    return err == E_OK ? REASON_NONE : err == E_NO_MEMORY ? REASON_NO_MEMORY : REASON_BAD_SNAPSHOT;
}

/* What a frame means now; REASON_NONE without an event: go on. */
static enum transport_reason on_frame(struct transport_link *link, uint64_t now_ms, const struct frame *frame,
                                      enum link_event_kind *event, struct link_event *out)
{
    enum transport_reason reason;
    if (frame->kind == FRAME_GOODBYE)
        return on_goodbye(link, frame->body);
    if (link->state == LINK_GREETING) {
        reason = frame->kind == FRAME_HELLO ? on_hello(link, frame->body) : REASON_BAD_FRAME;
        if (reason == REASON_NONE) {
            link->state = LINK_GREETED;
            link->reader.body_max = FRAME_BODY_MAX;
            *event = LINK_HAS_HELLO;
        }
        return reason;
    }
    if (frame->kind >= FRAME_USER) {
        link->received++;
        *event = LINK_HAS_MESSAGE;
        *out = (struct link_event){.kind = frame->kind, .body = frame->body};
        return REASON_NONE;
    }
    switch (frame->kind) {
    case FRAME_PING:
    case FRAME_PONG:
        return on_mark(link, now_ms, frame);
    case FRAME_SNAPSHOT_BEGIN:
    case FRAME_SNAPSHOT_CHUNK:
    case FRAME_SNAPSHOT_ABORT:
        reason = on_snapshot_frame(link, frame);
        if (reason != REASON_NONE || !snapshot_assembly_complete(&link->assembly))
            return reason;
        *event = LINK_HAS_SNAPSHOT;
        *out = (struct link_event){.index = link->assembly.index,
                                   .body = {link->assembly.message, link->assembly.message_len},
                                   .stream = {link->assembly.data, (size_t)link->assembly.total}};
        link->snapshot_told = true;
        return REASON_NONE;
    default:
        return REASON_BAD_FRAME;
    }
}

static enum link_event_kind close_and_tell(struct transport_link *link, enum transport_reason reason)
{
    if (link->peer_closed || reason == REASON_HUNG_UP)
        return end(link, reason);
    transport_link_close(link, reason);
    link->closed_told = true;
    return LINK_HAS_CLOSED;
}

static enum link_event_kind read_frames(struct transport_link *link, uint64_t now_ms, struct link_event *out)
{
    for (;;) { /* ends with the input, which the shell bounds */
        struct frame frame;
        enum link_event_kind event = LINK_NOTHING;
        enum transport_reason reason = REASON_NONE;
        bool more = true;
        switch (frame_reader_next(&link->reader, &frame)) {
        case E_OK:
            reason = on_frame(link, now_ms, &frame, &event, out);
            break;
        case E_AGAIN:
            reason = pull(link, &more);
            break;
        case E_LIMIT:
            reason = REASON_LONG_FRAME;
            break;
        default:
            reason = REASON_BAD_FRAME;
        }
        if (reason != REASON_NONE)
            return close_and_tell(link, reason);
        if (event != LINK_NOTHING || !more)
            return event;
    }
}

enum link_event_kind transport_link_next(struct transport_link *link, uint64_t now_ms, struct link_event *out)
{
    *out = (struct link_event){0};
    if (link->snapshot_told) {
        link->snapshot_told = false;
        snapshot_assembly_close(&link->assembly);
    }
    if (link->sent_told) {
        link->sent_told = false;
        *out = (struct link_event){.index = link->sent_index, .err = link->sent_err};
        return LINK_HAS_SENT;
    }
    switch (link->state) {
    case LINK_SHAKING:
        return shake(link);
    case LINK_GREETING:
    case LINK_OPEN:
        return read_frames(link, now_ms, out);
    case LINK_CLOSED:
        if (link->closed_told)
            return LINK_NOTHING;
        link->closed_told = true;
        return LINK_HAS_CLOSED;
    default: /* the hub has to decide */
        return LINK_NOTHING;
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ping_due(const struct transport_link *link)
{
    uint64_t quiet = earlier(link->heard_ms, link->wrote_ms);
    return (quiet > link->pinged_ms ? quiet : link->pinged_ms) + link->limits.keepalive_ms;
}

void transport_link_tick(struct transport_link *link, uint64_t now_ms)
{
    if (link->state == LINK_CLOSED)
        return;
    if (link->state != LINK_OPEN) {
        if (now_ms >= link->began_ms + link->limits.handshake_ms)
            transport_link_close(link, REASON_HANDSHAKE_TIMEOUT);
        return;
    }
    if (now_ms >= link->heard_ms + link->limits.silent_ms) {
        transport_link_close(link, REASON_SILENT);
        return;
    }
    if (now_ms < ping_due(link))
        return;
    uint8_t buf[FRAME_HEAD + 8];
    struct writer w = writer_over(buf, sizeof(buf));
    frame_mark_encode(&w, FRAME_PING, now_ms);
    link_control(link, &w);
    link->pinged_ms = now_ms;
}

uint64_t transport_link_deadline(const struct transport_link *link)
{
    if (link->state == LINK_CLOSED)
        return UINT64_MAX;
    if (link->state != LINK_OPEN)
        return link->began_ms + link->limits.handshake_ms;
    return earlier(link->heard_ms + link->limits.silent_ms, ping_due(link));
}

void transport_link_forgive(struct transport_link *link, uint64_t now_ms)
{
    link->heard_ms = now_ms;
}

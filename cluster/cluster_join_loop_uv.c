/* cluster_join_loop_uv.c - the port for join requests of servers and enrolment requests of members: u32
 * length and request in, u32 length and answer out, then the end. Both prove themselves (join.h, enrol.h), so
 * the connection is plain. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/tcp_ask.h"
#include "cluster/cluster_internal.h"

enum {
    ASKER_MAX = 16, /* connections at once; the next ones wait in the backlog's place and are closed */
    ASKER_LIMIT_MS = 10000,
    LENGTH_LEN = TCP_ASK_LENGTH_LEN,
};

struct asker {
    struct cluster_join *join; /* NULL: the port is closing */
    uv_tcp_t tcp;
    uv_timer_t limit;
    uv_write_t write;
    unsigned holds; /* open handles, and the answer that is awaited */
    bool closing, asked;
    size_t len;
    uint8_t in[LENGTH_LEN + JOIN_REQUEST_MAX];
    uint8_t out[LENGTH_LEN + JOIN_ANSWER_MAX];
};

struct cluster_join {
    struct cluster *c;
    uv_tcp_t listener;
    struct asker *askers[ASKER_MAX];
    unsigned open;
    bool stopping, listener_closed;
    void (*done)(void *context);
    void *done_context;
};

static void finish(struct cluster_join *join)
{
    if (!join->stopping || !join->listener_closed || join->open > 0)
        return;
    void (*done)(void *context) = join->done;
    void *context = join->done_context;
    free(join);
    if (done != NULL)
        done(context);
}

static void release(struct asker *a)
{
    struct cluster_join *join = a->join;
    if (--a->holds > 0)
        return;
    for (size_t i = 0; i < ASKER_MAX; i++) {
        if (join->askers[i] == a)
            join->askers[i] = NULL;
    }
    free(a);
    join->open--;
    finish(join);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void hang_up(struct asker *a)
{
    if (a->closing)
        return;
    a->closing = true;
    uv_close((uv_handle_t *)&a->tcp, on_closed);
    uv_close((uv_handle_t *)&a->limit, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    hang_up(write->data);
}

static void on_answer(void *context, struct bytes answer)
{
    struct asker *a = context;
    struct writer w = writer_over(a->out, sizeof(a->out));
    write_u32(&w, (uint32_t)answer.len);
    write_bytes(&w, answer);
    if (!a->closing && writer_end(&w) == E_OK) {
        uv_buf_t buf = uv_buf_init((char *)a->out, (unsigned)w.len);
        a->write.data = a;
        if (uv_write(&a->write, (uv_stream_t *)&a->tcp, &buf, 1, on_written) != 0)
            hang_up(a);
    }
    release(a);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct asker *a = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)a->in + a->len, (unsigned)(sizeof(a->in) - a->len));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct asker *a = stream->data;
    char text[ADDR_TEXT_MAX] = "?";
    struct sockaddr_storage from;
    int from_len = sizeof(from);
    (void)buf;
    if (got < 0 || a->asked) {
        hang_up(a);
        return;
    }
    a->len += (size_t)got;
    struct reader r = reader_over((struct bytes){a->in, a->len});
    uint32_t want = read_u32(&r);
    if (r.err != E_OK)
        return; /* more comes */
    if (want > JOIN_REQUEST_MAX) {
        hang_up(a); /* no request of ours is that long */
        return;
    }
    if (reader_left(&r) < want)
        return;
    if (uv_tcp_getpeername(&a->tcp, (struct sockaddr *)&from, &from_len) == 0) {
        struct endpoint at = endpoint_from_sockaddr((struct sockaddr *)&from);
        endpoint_format(&at, text);
    }
    a->asked = true;
    a->holds++;
    struct bytes request = read_bytes(&r, want);
    if (enrol_is_request(request))
        cluster_enrol_request(a->join->c, request, text, on_answer, a);
    else
        cluster_join_request(a->join->c, request, text, on_answer, a);
}

static void on_limit(uv_timer_t *timer)
{
    hang_up(timer->data);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct cluster_join *join = listener->data;
    struct asker *a = status == 0 ? calloc(1, sizeof(*a)) : NULL;
    size_t at = 0;
    if (a == NULL)
        return;
    a->join = join;
    uv_tcp_init(listener->loop, &a->tcp);
    uv_timer_init(listener->loop, &a->limit);
    a->tcp.data = a->limit.data = a;
    a->holds = 2;
    join->open++;
    while (at < ASKER_MAX && join->askers[at] != NULL)
        at++;
    if (uv_accept(listener, (uv_stream_t *)&a->tcp) != 0 || at == ASKER_MAX) {
        hang_up(a);
        return;
    }
    join->askers[at] = a;
    uv_timer_start(&a->limit, on_limit, ASKER_LIMIT_MS, 0);
    if (uv_read_start((uv_stream_t *)&a->tcp, on_alloc, on_read) != 0)
        hang_up(a);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct cluster_join *join = handle->data;
    join->listener_closed = true;
    finish(join);
}

err_t cluster_join_open(struct cluster_join **out, struct cluster *c, struct uv_loop_s *loop,
                        const struct endpoint *at)
{
    struct sockaddr_storage addr;
    struct cluster_join *join = calloc(1, sizeof(*join));
    *out = NULL;
    if (join == NULL)
        return E_NO_MEMORY;
    join->c = c;
    if (endpoint_to_sockaddr(at, &addr) == 0 || uv_tcp_init(loop, &join->listener) != 0) {
        free(join);
        return E_IO;
    }
    join->listener.data = join;
    if (uv_tcp_bind(&join->listener, (struct sockaddr *)&addr, 0) != 0 ||
        uv_listen((uv_stream_t *)&join->listener, ASKER_MAX, on_connection) != 0) {
        cluster_join_stop(join, NULL, NULL);
        return E_IO;
    }
    *out = join;
    return E_OK;
}

void cluster_join_stop(struct cluster_join *join, void (*done)(void *context), void *context)
{
    join->stopping = true;
    join->done = done;
    join->done_context = context;
    for (size_t i = 0; i < ASKER_MAX; i++) {
        if (join->askers[i] != NULL)
            hang_up(join->askers[i]);
    }
    uv_close((uv_handle_t *)&join->listener, on_listener_closed);
}

err_t cluster_join_ask(const struct endpoint *at, struct bytes request, uint8_t answer[JOIN_ANSWER_MAX],
                       size_t *answer_len, unsigned limit_ms)
{
    return tcp_ask(at, request, answer, JOIN_ANSWER_MAX, answer_len, limit_ms);
}

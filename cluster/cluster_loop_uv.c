#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "cluster/cluster_loop.h"

enum { HANDLE_COUNT = 4 };

struct cluster_loop {
    uv_loop_t *loop;
    struct cluster_loop_callbacks callbacks;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_async_t log_done;
    uv_work_t snapshot;
    struct cluster_job *snapshot_job;
    /* The log's thread takes log_job and gives it back as log_finished. */
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    struct cluster_job *log_job;
    struct cluster_job *log_finished;
    bool ending;
    int open_handles;
    void (*closed)(void *context);
    void *closed_context;
};

static void on_timer(uv_timer_t *timer)
{
    struct cluster_loop *l = timer->data;
    l->callbacks.timer(l->callbacks.context);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct cluster_loop *l = prepare->data;
    l->callbacks.turn(l->callbacks.context);
}

static void on_check(uv_check_t *check)
{
    struct cluster_loop *l = check->data;
    l->callbacks.turn(l->callbacks.context);
}

static void on_log_done(uv_async_t *async)
{
    struct cluster_loop *l = async->data;
    uv_mutex_lock(&l->lock);
    struct cluster_job *job = l->log_finished;
    l->log_finished = NULL;
    uv_mutex_unlock(&l->lock);
    if (job != NULL)
        job->done(job->context);
}

static void log_thread(void *context)
{
    struct cluster_loop *l = context;
    uv_mutex_lock(&l->lock);
    for (;;) {
        while (l->log_job == NULL && !l->ending)
            uv_cond_wait(&l->wake, &l->lock);
        struct cluster_job *job = l->log_job;
        if (job == NULL)
            break;
        l->log_job = NULL;
        uv_mutex_unlock(&l->lock);
        job->work(job->context);
        uv_mutex_lock(&l->lock);
        l->log_finished = job;
        uv_async_send(&l->log_done);
    }
    uv_mutex_unlock(&l->lock);
}

err_t cluster_loop_open(struct cluster_loop **out, struct uv_loop_s *loop,
                        const struct cluster_loop_callbacks *callbacks)
{
    *out = NULL;
    struct cluster_loop *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return E_NO_MEMORY;
    l->loop = loop;
    l->callbacks = *callbacks;
    if (uv_mutex_init(&l->lock) != 0) {
        free(l);
        return E_NO_MEMORY;
    }
    if (uv_cond_init(&l->wake) != 0) {
        uv_mutex_destroy(&l->lock);
        free(l);
        return E_NO_MEMORY;
    }
    *out = l;
    return E_OK;
}

err_t cluster_loop_start(struct cluster_loop *l)
{
    if (uv_async_init(l->loop, &l->log_done, on_log_done) != 0)
        return E_IO;
    uv_timer_init(l->loop, &l->timer);
    uv_prepare_init(l->loop, &l->prepare);
    uv_check_init(l->loop, &l->check);
    l->timer.data = l->prepare.data = l->check.data = l->log_done.data = l;
    l->open_handles = HANDLE_COUNT;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    if (uv_thread_create(&l->thread, log_thread, l) == 0)
        return E_OK;
    l->thread = 0;
    return E_NO_MEMORY; /* cluster_loop_close takes the handles down */
}

void cluster_loop_arm(struct cluster_loop *l, uint64_t delay_ms)
{
    uv_update_time(l->loop); /* callbacks before this one may have taken long */
    uv_timer_start(&l->timer, on_timer, delay_ms, 0);
}

static void snapshot_work(uv_work_t *work)
{
    struct cluster_loop *l = work->data;
    l->snapshot_job->work(l->snapshot_job->context);
}

static void snapshot_done(uv_work_t *work, int status)
{
    struct cluster_loop *l = work->data;
    (void)status; /* never canceled */
    l->snapshot_job->done(l->snapshot_job->context);
}

void cluster_loop_run(struct cluster_loop *l, enum cluster_lane lane, struct cluster_job *job)
{
    if (lane == LANE_SNAPSHOT) {
        l->snapshot_job = job;
        l->snapshot.data = l;
        uv_queue_work(l->loop, &l->snapshot, snapshot_work, snapshot_done);
        return;
    }
    uv_mutex_lock(&l->lock);
    l->log_job = job;
    uv_cond_signal(&l->wake);
    uv_mutex_unlock(&l->lock);
}

static void finish(struct cluster_loop *l)
{
    void (*closed)(void *context) = l->closed;
    void *context = l->closed_context;
    uv_cond_destroy(&l->wake);
    uv_mutex_destroy(&l->lock);
    free(l);
    if (closed != NULL)
        closed(context);
}

static void on_closed(uv_handle_t *handle)
{
    struct cluster_loop *l = handle->data;
    if (--l->open_handles == 0)
        finish(l);
}

void cluster_loop_close(struct cluster_loop *l, void (*closed)(void *context), void *context)
{
    l->closed = closed;
    l->closed_context = context;
    if (l->thread != 0) {
        uv_mutex_lock(&l->lock);
        l->ending = true;
        uv_cond_signal(&l->wake);
        uv_mutex_unlock(&l->lock);
        uv_thread_join(&l->thread); /* it is idle: no job is on its way */
    }
    if (l->open_handles == 0) {
        finish(l); /* never started */
        return;
    }
    uv_handle_t *handles[HANDLE_COUNT] = {(uv_handle_t *)&l->timer, (uv_handle_t *)&l->prepare,
                                          (uv_handle_t *)&l->check, (uv_handle_t *)&l->log_done};
    for (int i = 0; i < HANDLE_COUNT; i++)
        uv_close(handles[i], on_closed);
}

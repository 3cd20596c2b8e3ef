#include "server/crypto_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { CORES_MAX = 64, THREADS_MORE = 2 };

struct task {
    uv_work_t work;
    struct crypto_pool *pool;
    struct job *job;
    struct task *next;
};

struct crypto_pool {
    uv_loop_t *loop;
    void (*done)(void *context, struct job *job);
    void *context;
    unsigned width; /* jobs that run at once */
    unsigned running;
    size_t count; /* running and waiting */
    struct task *first, *last;
    bool stopped;
};

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > CORES_MAX ? CORES_MAX : (unsigned)n;
}

void crypto_pool_threads(void)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", cores() + THREADS_MORE);
    setenv("UV_THREADPOOL_SIZE", text, 1);
}

err_t crypto_pool_open(struct crypto_pool **out, struct uv_loop_s *loop,
                       void (*done)(void *context, struct job *job), void *context)
{
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return E_NO_MEMORY;
    **out = (struct crypto_pool){.loop = loop, .done = done, .context = context, .width = cores()};
    return E_OK;
}

static void run(uv_work_t *work)
{
    job_run(((struct task *)work->data)->job);
}

static void start_next(struct crypto_pool *pool);

static void after(uv_work_t *work, int status)
{
    struct task *task = work->data;
    struct crypto_pool *pool = task->pool;
    (void)status;
    pool->running--;
    pool->count--;
    if (pool->stopped)
        job_free(task->job);
    else
        pool->done(pool->context, task->job);
    free(task);
    start_next(pool);
}

static void start_next(struct crypto_pool *pool)
{
    while (pool->first != NULL && pool->running < pool->width) {
        struct task *task = pool->first;
        pool->first = task->next;
        if (pool->first == NULL)
            pool->last = NULL;
        pool->running++;
        task->work.data = task;
        int failed = uv_queue_work(pool->loop, &task->work, run, after);
        (void)failed; /* only without a callback */
    }
}

err_t crypto_pool_submit(struct crypto_pool *pool, struct job *job)
{
    if (pool->stopped || pool->count >= POOL_JOB_MAX)
        return E_FULL;
    struct task *task = calloc(1, sizeof(*task));
    if (task == NULL)
        return E_FULL;
    task->pool = pool;
    task->job = job;
    *(pool->last != NULL ? &pool->last->next : &pool->first) = task;
    pool->last = task;
    pool->count++;
    start_next(pool);
    return E_OK;
}

void crypto_pool_stop(struct crypto_pool *pool)
{
    pool->stopped = true;
    while (pool->first != NULL) {
        struct task *task = pool->first;
        pool->first = task->next;
        pool->count--;
        job_free(task->job);
        free(task);
    }
    pool->last = NULL;
}

void crypto_pool_free(struct crypto_pool *pool)
{
    free(pool);
}

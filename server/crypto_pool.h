/* crypto_pool.h - jobs on libuv's thread pool. Disk syncs of the cluster run there too, so at most one job
 * per core is given to libuv at once; the rest waits here, in order. The pool has two threads more than that
 * (crypto_pool_threads), so that a sync never stands behind a signature. Loop thread only. */
#ifndef SERVER_CRYPTO_POOL_H
#define SERVER_CRYPTO_POOL_H

#include "server/job.h"

enum { POOL_JOB_MAX = 2048 }; /* waiting or running; E_FULL beyond: the peer repeats its message */

struct uv_loop_s;
struct crypto_pool;

/* Before the first use of any libuv pool: sets its number of threads. */
void crypto_pool_threads(void);
/* done runs on the loop thread and takes the job. E_NO_MEMORY. */
err_t crypto_pool_open(struct crypto_pool **out, struct uv_loop_s *loop,
                       void (*done)(void *context, struct job *job), void *context) MUST_USE;
err_t crypto_pool_submit(struct crypto_pool *pool,
                         struct job *job) MUST_USE; /* takes the job unless E_FULL */
/* Drops what waits, and gives no job back any more; running ones end with the loop. */
void crypto_pool_stop(struct crypto_pool *pool);
/* After the loop has run out. NULL is fine. */
void crypto_pool_free(struct crypto_pool *pool);

#endif

/* cluster_loop.h - what the cluster needs of an event loop: the end of each turn, one timer, one thread for
 * the log on disk and a pool for snapshots. Made by cluster_loop_uv.c; the callbacks come on the loop thread.
 */
#ifndef CLUSTER_CLUSTER_LOOP_H
#define CLUSTER_CLUSTER_LOOP_H

#include <stdint.h>

#include "base/err.h"

struct uv_loop_s;
struct cluster_loop;

/* work runs on another thread, done then on the loop thread. At most one of each lane is on its way; the
 * struct lives until done. */
struct cluster_job {
    void (*work)(void *context);
    void (*done)(void *context);
    void *context;
};
enum cluster_lane {
    LANE_LOG,      /* a thread of its own, so that no crypto job in the pool delays a commit */
    LANE_SNAPSHOT, /* the pool */
};

struct cluster_loop_callbacks {
    void (*turn)(
        void *context); /* before the loop sleeps and after it woke: what the turn gathered goes out */
    void (*timer)(void *context); /* the armed time has come */
    void *context;
};

err_t cluster_loop_open(struct cluster_loop **out, struct uv_loop_s *loop,
                        const struct cluster_loop_callbacks *callbacks) MUST_USE;
err_t cluster_loop_start(struct cluster_loop *loop) MUST_USE;
void cluster_loop_arm(struct cluster_loop *loop, uint64_t delay_ms); /* replaces what was armed */
void cluster_loop_run(struct cluster_loop *loop, enum cluster_lane lane, struct cluster_job *job);
/* No job may be on its way. closed comes from the loop; loop is freed then. */
void cluster_loop_close(struct cluster_loop *loop, void (*closed)(void *context), void *context);

#endif

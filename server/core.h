/* core.h - the key server without its outside: datagrams, finished jobs, applied commands and time come in;
 * datagrams, jobs, proposals and log lines go out through ports. No socket, no thread, no libuv, no clock but
 * the given one, so that a test runs all of it in one process. Everything here is called on the loop thread.
 */
#ifndef SERVER_CORE_H
#define SERVER_CORE_H

#include "base/clock.h"
#include "cluster/cluster.h"
#include "server/config.h"
#include "server/ike_table.h"
#include "server/job.h"
#include "server/metrics.h"

enum {
    CORE_TICK_MAX_MS = 1000, /* core_tick wants to run at least so often */
};

/* What the core needs of the world. None of them calls back into the core before it returns. */
struct core_ports {
    void *context;
    /* Copies. Drops when there is no room: it is UDP. */
    void (*send)(void *context, const struct ike_path *path, struct bytes datagram);
    /* The same bytes to many, from our address 'local' (family 0: any). How many of them, from the first,
     * went out; the core comes again for the rest. */
    size_t (*send_many)(void *context, const struct addr *local, struct bytes datagram,
                        const struct endpoint *to, size_t count);
    /* Run job_run(job) on some thread, then core_job_done. E_FULL: not taken. */
    err_t (*compute)(void *context, struct job *job);
    /* The replicated state, as in cluster.h. */
    err_t (*propose)(void *context, const struct command *command, cluster_done_fn done, void *done_context);
    const struct ks_state *(*state)(void *context);
    const struct wrap_key *(*wrap_key)(void *context);
    bool (*is_primary)(void *context);
    uint64_t (*cluster_now_ms)(void *context);
    const uint8_t *(*node_id)(void *context);
    /* What this server reaches of the cluster. NULL: all of it while it is ready. */
    enum ks_contact (*contact)(void *context);
};

struct core_options {
    const struct ksd_config *config; /* borrowed until core_configure gives another */
    const struct clock *clock;
    const struct rng *rng;
    struct core_ports ports;
};

struct core;
/* E_NO_MEMORY, E_CRYPTO. */
err_t core_open(struct core **out, const struct core_options *options) MUST_USE;
/* After the cluster and the pool have given everything back. NULL is fine. */
void core_free(struct core *core);

void core_datagram(struct core *core, const struct ike_path *path, struct bytes datagram);
void core_job_done(struct core *core, struct job *job); /* takes the job */
/* From the cluster: see cluster.h. */
void core_applied(struct core *core, const struct command *command, const struct apply_result *result);
void core_member_removed(struct core *core, const struct ks_group *group, const struct ks_member *member);
void core_ready(struct core *core, bool ready);
/* Does what is due. */
void core_tick(struct core *core);
/* When core_tick wants to run, in milliseconds of the monotonic clock; any entry above may move it nearer. */
uint64_t core_wake_ms(const struct core *core);

/* Another configuration: listening addresses stay, all else follows. The old one may be freed after it. */
void core_configure(struct core *core, const struct ksd_config *config);

/* An operator's rekey. done runs once it is committed, with its sequence number, or with an error.
 * E_NOT_FOUND, E_NOT_PRIMARY, E_AGAIN (one is going on), E_STATE (no keys yet): done does not run then; else
 * once, at the earliest before this returns. */
typedef void (*core_rekey_fn)(void *context, err_t err, uint32_t seq);
err_t core_rekey(struct core *core, const char *group, core_rekey_fn done, void *context) MUST_USE;

/* An operator's new signing key, as the configuration wants it. done runs once it is committed, with its version, or with
 * an error; each group then gets a KEK that brings it. E_NO_QUORUM (not ready), E_NOT_PRIMARY, E_AGAIN (one is being
 * made), E_STATE (the last one has not reached all groups), E_NO_MEMORY, E_FULL: done does not run then. */
err_t core_signing_rotate(struct core *core, core_rekey_fn done, void *context) MUST_USE;

/* Why members are not served yet, as static text; NULL when they are. */
const char *core_not_serving(const struct core *core);
/* Why this server is not to be primary: its rekey engine is stuck, as static text; NULL: it is well. */
const char *core_engine_fault(const struct core *core);
/* Without a quorum, serving committed keys only: until when at most (cluster time). False: not so. */
bool core_minority_until(const struct core *core, uint64_t *until_ms);
/* The same, also when that time is over. */
bool core_in_minority(const struct core *core);
/* Datagrams that the socket could not take, since the last call. */
void core_lost(struct core *core, uint64_t count);
const struct metrics *core_metrics(const struct core *core);
size_t core_sa_count(const struct core *core);
size_t core_half_open(const struct core *core);

#endif

/* datapath_user_lane.h - the user back end by several threads. A lane is a queue of the TUN, raw sockets,
 * buffers and a packet path; the loop's own thread has the first, and each further one a thread that does
 * nothing else. What a lane has belongs to who holds its lock: its thread for one batch at a time, or the
 * loop, which takes all locks to bring in a new state. The control plane stays on the loop. Sending: each
 * lane has sender ids of its own (RFC 6054 3: so no IV comes twice, whatever the others do), and all have one
 * ledger. Lanes without one, and all but the first for keys without sender ids, get no packets from the TUN:
 * one counter for several threads would come out of order, and receivers' windows would refuse some.
 * Receiving: socket filters share the packets out, by sender where windows are kept, so that each sender
 * keeps its order. */
#ifndef GM_AGENT_DATAPATH_USER_LANE_H
#define GM_AGENT_DATAPATH_USER_LANE_H

#include <pthread.h>
#include <stdatomic.h>

#include "gm-agent/datapath.h"
#include "gm-agent/shard.h"

struct user_datapath;

struct user_lane {
    pthread_mutex_t lock;     /* of dp */
    struct user_datapath *dp; /* with the descriptors and the path of this lane alone */
    pthread_t thread;
    bool runs;
    bool attached; /* gets packets from the TUN */
    int wake;
    atomic_bool stop;
};

/* The lanes behind the first, config->threads - 1 of them; none is fine. Threads begin with the first state:
 * what they may do is what the process may do then. E_NO_MEMORY, E_PERMISSION, E_IO ... */
err_t user_lanes_open(struct user_datapath *dp) MUST_USE;
/* The state to all lanes at one moment. On an error of esp_path_apply no lane but the first sends.
 * E_NO_MEMORY: a thread cannot be started. */
err_t user_lanes_apply(struct user_datapath *dp, const struct datapath_state *state) MUST_USE;
/* Of all lanes together. */
struct datapath_counter *user_lanes_counters(struct user_datapath *dp);
void user_lanes_dscp(const struct datapath *datapath, struct dscp_table *out);
/* The loop's own first. */
size_t user_lanes_list(const struct datapath *datapath, struct datapath_lane out[GM_THREAD_MAX]);
/* Ends the threads; fine after a failed open. */
void user_lanes_close(struct user_datapath *dp);

/* How many lanes send under that state, of so many. Pure. */
size_t user_lane_senders(const struct datapath_state *state, size_t lanes);
/* What of the state is the nth of senders' own: sender ids that no other has; nothing to send by beyond
 * senders. sids has room for POLICY_SID_MAX. Pure. */
void user_lane_part(const struct datapath_state *state, size_t nth, size_t senders,
                    struct datapath_state *out, uint32_t *sids);
/* By what received packets are shared out. sid_bits for SHARD_SID. Pure. */
enum shard_key user_lane_key(const struct datapath_state *state, uint32_t replay_window, uint16_t *sid_bits);

#endif

/* coop.h - which key server is to be the primary. Pure: the Raft leader asks with what it heard of the
 * others, and proposes ELECT; apply refuses a stale epoch, so a wrong guess costs an epoch and nothing else.
 * No pre-emption: a better server that comes back changes nothing while the primary lives. */
#ifndef CLUSTER_COOP_H
#define CLUSTER_COOP_H

#include "cluster/ks_state.h"

enum {
    COOP_DEAD_MS = 1000, /* silence after which a primary counts as dead */
    COOP_GONE_MS = 200, /* the same when its end of the connection was closed, as that of a killed process is:
                           time for one that only lost its connection to dial again */
};

/* What the leader knows of a server. */
struct coop_sign {
    uint8_t id[NODE_ID_LEN];
    bool connected; /* candidates must be */
    uint64_t
        healthy_ms; /* when it last said that it is well: connected, IKE socket and rekey engine; 0: never */
    uint64_t gone_ms;  /* since when its end of the connection is closed; 0: it is not */
    unsigned limit_ms; /* silence that ends it as primary; 0: dead_ms. Less for a leader that was voted out: a
                          majority has not heard it either */
};

/* The next primary, if one is to be elected. since_ms: leader since, so that nobody is dead who had no time
 * to say something yet; what was heard before counts. False: nothing to do, or nobody is well. Candidates are
 * servers of role NODE_VOTER. */
bool coop_elect(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t since_ms,
                uint64_t now_ms, uint64_t dead_ms, uint8_t out[NODE_ID_LEN]);
/* The best live server but the one without, which may be NULL. False: there is none. */
bool coop_next(const struct ks_state *state, const struct coop_sign *signs, size_t count, uint64_t now_ms,
               uint64_t dead_ms, const uint8_t *without, uint8_t out[NODE_ID_LEN]);
/* Order of succession: priority, then address. >0: a goes before b. */
int coop_compare(const struct node_record *a, const struct node_record *b);

#endif

#include <string.h>

#include "cluster/cluster_internal.h"

const struct ks_state *cluster_state(const struct cluster *c)
{
    return &c->state;
}

const struct wrap_key *cluster_wrap_key(const struct cluster *c)
{
    return c->wrap;
}

struct store *cluster_store(const struct cluster *c)
{
    return c->store;
}

const uint8_t *cluster_node_id(const struct cluster *c)
{
    return c->node_id;
}

bool cluster_ready(const struct cluster *c)
{
    return c->ready;
}

/* The leader's own word is fresh: libraft steps down when it has not heard a majority for one election
 * timeout. */
bool cluster_is_primary(const struct cluster *c)
{
    return c->ready && cluster_leads(c) && memcmp(c->state.cluster.primary_id, c->node_id, NODE_ID_LEN) == 0;
}

uint64_t cluster_now_ms(const struct cluster *c)
{
    uint64_t now = c->base_ms + cluster_mono_ms(c);
    return now > c->state.cluster.time_ms ? now : c->state.cluster.time_ms;
}

void cluster_status(const struct cluster *c, struct cluster_status *out)
{
    *out = (struct cluster_status){
        .role = raft_node_role(c->node),
        .term = raft_node_term(c->node),
        .commit_index = raft_node_commit(c->node),
        .applied_index = c->applied_index,
        .last_index = raft_node_last(c->node),
        .snapshot_index = c->snapshot_index,
        .wal_bytes = c->wal_octets,
        .voters = raft_node_voters(c->node),
        .coop_epoch = c->state.cluster.coop_epoch,
    };
}

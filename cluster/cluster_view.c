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

bool cluster_role(const struct cluster *c, enum node_role *out)
{
    const struct node_record *self = ks_state_node(&c->state, c->node_id);
    *out = self != NULL ? self->role : NODE_VOTER;
    return self != NULL || !c->joined;
}

bool cluster_ready(const struct cluster *c)
{
    return c->ready;
}

/* Nothing of a rekey is on the wire before it is committed; this here ends the repeating of older ones when
 * contact with the quorum is lost. */
bool cluster_is_primary(const struct cluster *c)
{
    return c->ready && cluster_in_contact(c) &&
           memcmp(c->state.cluster.primary_id, c->node_id, NODE_ID_LEN) == 0;
}

const char *cluster_alone(const struct cluster *c)
{
    if (c->was_ready || !cluster_has_peers(c))
        return NULL;
    if (!c->have_key || !c->state.initialised || ks_state_node(&c->state, c->node_id) == NULL)
        return "no quorum since the start, and no committed state of an earlier life";
    if (c->was_odd)
        return "no quorum since the start, and its state differed from that of the other key servers";
    if (c->rebuilt)
        return "no quorum since the start, and the committed state is not sure: the store was made anew";
    if (!c->same_boot)
        return "no quorum since the start, and how old the committed state is is not sure: another boot";
    return NULL;
}

/* Is there a state to serve from without a quorum: the one that was current a moment ago, or the one that a
 * restart of the process found as it had left it? Not the odd one's (cluster_mark.c). */
static bool knows_state(const struct cluster *c)
{
    return c->have_key && !c->diverged && (c->was_ready || (cluster_has_peers(c) && cluster_alone(c) == NULL));
}

enum ks_contact cluster_contact(const struct cluster *c)
{
    if (c->dead || c->stopping)
        return CONTACT_NONE;
    if (!c->ready || !cluster_in_contact(c))
        return knows_state(c) ? CONTACT_MINORITY : CONTACT_NONE;
    for (size_t i = 0; i < c->peer_count; i++) {
        const struct node_record *node = ks_state_node(&c->state, c->peers[i].id);
        if (node != NULL && node->role != NODE_WITNESS && !cluster_peer_fresh(c, &c->peers[i]))
            return CONTACT_SPLIT;
    }
    return CONTACT_WHOLE;
}

uint64_t cluster_now_ms(const struct cluster *c)
{
    uint64_t now = cluster_clock_now(&c->clock, cluster_mono_ms(c));
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
        .leader = raft_node_leader(c->node),
        .joins = c->transport != NULL,
        .join_refused = c->join_refused,
        .mark = c->mark,
        .diverged = c->diverged,
        .divergences = c->divergences,
        .disk_slow = c->disk_slow,
        .level = c->state.level,
        .level_refused = c->level_refused,
    };
}

size_t cluster_peers(const struct cluster *c, struct cluster_peer_status out[KS_NODE_MAX])
{
    uint64_t now_ms = cluster_mono_ms(c);
    for (size_t i = 0; i < c->state.node_count; i++) {
        const struct node_record *node = &c->state.nodes[i];
        out[i] = (struct cluster_peer_status){
            .node = *node,
            .self = memcmp(node->id, c->node_id, NODE_ID_LEN) == 0,
            .primary = memcmp(node->id, c->state.cluster.primary_id, NODE_ID_LEN) == 0,
            .leader = node_raft_id(node->id) == raft_node_leader(c->node),
            .heard_ms = UINT64_MAX,
            .applied_index = c->applied_index,
        };
        if (out[i].self) {
            out[i].connected = true;
            out[i].heard_ms = 0;
            out[i].level = c->build->level;
        }
        for (size_t j = 0; j < c->peer_count; j++) {
            const struct peer *peer = &c->peers[j];
            if (memcmp(peer->id, node->id, NODE_ID_LEN) != 0)
                continue;
            out[i].connected = peer->up;
            out[i].applied_index = peer->applied;
            out[i].level = peer->level;
            if (peer->heard_ms != 0)
                out[i].heard_ms = now_ms - peer->heard_ms;
        }
    }
    return c->state.node_count;
}

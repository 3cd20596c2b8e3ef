/* raft_node_lead.c - leadership that changes on purpose: handed over, or given up by a leader that died. */
#include "cluster/raft_node_internal.h"

uint64_t raft_node_transferee(const struct raft_node *node)
{
    return node->raft.state == RAFT_LEADER ? node->raft.leader_state.transferee : 0;
}

static bool is_other_voter(const struct raft_node *node, uint64_t id)
{
    const struct raft_configuration *conf = &node->raft.configuration;
    for (unsigned i = 0; i < conf->n; i++) {
        if (conf->servers[i].id == id)
            return id != node->id && conf->servers[i].role == RAFT_VOTER;
    }
    return false;
}

err_t raft_node_transfer(struct raft_node *node, uint64_t now_ms, uint64_t id,
                         struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    if (!raft_node_is_leader(node))
        return E_NOT_PRIMARY;
    if (raft_node_transferee(node) != 0)
        return E_STATE;
    if (!is_other_voter(node, id)) /* 0 would let libraft choose */
        return E_NOT_FOUND;
    struct raft_event event = {.type = RAFT_TRANSFER, .transfer.server_id = id};
    return raft_node_step(node, now_ms, &event, update);
}

void raft_node_leader_lost(struct raft_node *node, uint64_t now_ms, uint64_t id, unsigned delay_ms)
{
    struct raft *raft = &node->raft;
    if (raft->state != RAFT_FOLLOWER || id == 0 || raft->follower_state.current_leader.id != id)
        return;
    raft_free(raft->follower_state.current_leader.address);
    raft->follower_state.current_leader.id = 0;
    raft->follower_state.current_leader.address = NULL;
    /* The timer is a start and a length: the start moves, back before the clock's zero if need be, which the
     * unsigned difference of the two does not mind. */
    raft->election_timer_start = now_ms + delay_ms - raft->follower_state.randomized_election_timeout;
}

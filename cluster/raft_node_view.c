#include "cluster/raft_node_internal.h"

const struct raft_node_entry *raft_node_entry(const struct raft_node *node, uint64_t index)
{
    return entry_log_at(&node->log, index);
}

uint64_t raft_node_first(const struct raft_node *node)
{
    return node->log.first;
}

uint64_t raft_node_last(const struct raft_node *node)
{
    return entry_log_last(&node->log);
}

uint64_t raft_node_commit(const struct raft_node *node)
{
    return raft_commit_index(&node->raft);
}

/* First rule: the commit index already stands at a snapshot that is still on its way to disk. */
uint64_t raft_node_applicable(const struct raft_node *node)
{
    return node->raft.snapshot.installing ? 0 : raft_commit_index(&node->raft);
}

uint64_t raft_node_term(const struct raft_node *node)
{
    return raft_current_term(&node->raft);
}

uint64_t raft_node_vote(const struct raft_node *node)
{
    return raft_voted_for(&node->raft);
}

uint64_t raft_node_deadline(const struct raft_node *node)
{
    return raft_timeout(&node->raft);
}

uint64_t raft_node_log_bytes(const struct raft_node *node)
{
    return node->log.octets;
}

bool raft_node_is_leader(const struct raft_node *node)
{
    return node->raft.state == RAFT_LEADER;
}

uint64_t raft_node_leader(const struct raft_node *node)
{
    switch (node->raft.state) {
    case RAFT_LEADER:
        return node->id;
    case RAFT_FOLLOWER:
        return node->raft.follower_state.current_leader.id;
    default:
        return 0;
    }
}

static const struct raft_server *find(const struct raft_node *node, uint64_t id)
{
    const struct raft_configuration *conf = &node->raft.configuration;
    for (unsigned i = 0; i < conf->n; i++) {
        if (conf->servers[i].id == id)
            return &conf->servers[i];
    }
    return NULL;
}

const char *raft_node_role(const struct raft_node *node)
{
    const struct raft_server *self = find(node, node->id);
    if (self == NULL || self->role != RAFT_VOTER)
        return "standby";
    switch (node->raft.state) {
    case RAFT_LEADER:
        return "leader";
    case RAFT_CANDIDATE:
        return "candidate";
    default:
        return "follower";
    }
}

unsigned raft_node_voters(const struct raft_node *node)
{
    unsigned voters = 0;
    for (unsigned i = 0; i < node->raft.configuration.n; i++)
        voters += node->raft.configuration.servers[i].role == RAFT_VOTER;
    return voters;
}

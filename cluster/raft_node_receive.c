#include "cluster/raft_node_internal.h"

/* Fourth rule, found by simulation: a late or repeated append that begins before our log does. For one from
 * index 1 libraft skips the check of the entry before it, takes the entries for new ones and appends them at
 * the end. All up to our snapshot is committed, so every leader has it as we do: the message is cut to begin
 * behind the snapshot. A deposed leader's is refused by its term. */
static void cut_append(const struct raft_node *node, struct raft_append_entries *m)
{
    uint64_t covered = node->snapshot.index;
    if (m->prev_log_index >= covered || m->prev_log_index >= node->log.first)
        return;
    uint64_t skip = covered - m->prev_log_index;
    if (skip >= m->n_entries) {
        if (m->n_entries > 0)
            raft_free(m->entries[0].batch);
        m->n_entries = 0;
    } else {
        m->entries += skip;
        m->n_entries -= (unsigned)skip;
    }
    m->prev_log_index = covered;
    m->prev_log_term = node->snapshot.term;
}

/* Fifth rule: an append that ends before our commit index, as a leader sends it that is finding out how far
 * we are, would take the commit index back to its end. */
static void cap_commit(const struct raft_node *node, struct raft_append_entries *m)
{
    uint64_t commit = raft_commit_index(&node->raft);
    if (m->prev_log_index + m->n_entries < commit && m->leader_commit > commit)
        m->leader_commit = commit;
}

/* A snapshot that has another entry where ours is committed would take the commit index back: no honest
 * leader has one. */
static bool contradicts(const struct raft_node *node, const struct raft_install_snapshot *m)
{
    const struct raft_node_entry *ours = entry_log_at(&node->log, m->last_index);
    return m->last_index <= node->raft.commit_index && ours != NULL && ours->term != m->last_term;
}

/* Messages of leaders alone; the answers to others have no such gaps. */
static int refused_by_term(const struct raft_node *node, const struct raft_message *m)
{
    raft_term now = raft_current_term(&node->raft);
    bool append = m->type == RAFT_APPEND_ENTRIES && m->append_entries.term < now;
    bool install = m->type == RAFT_INSTALL_SNAPSHOT && m->install_snapshot.term < now;
    return append || install ? (int)m->type : 0;
}

err_t raft_node_receive(struct raft_node *node, uint64_t now_ms, uint64_t from, struct bytes body,
                        struct bytes snapshot, struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    char address[RAFT_ADDRESS_MAX];
    struct raft_message message;
    err_t err = from == 0 || from == node->id ? E_CORRUPT : raft_message_decode(&message, body, snapshot);
    if (err != E_OK)
        return err;
    message.server_id = from;
    message.server_address = raft_node_address(from, address);
    if (message.type == RAFT_INSTALL_SNAPSHOT && contradicts(node, &message.install_snapshot)) {
        raft_message_close(&message);
        return E_CORRUPT;
    }
    if (message.type == RAFT_INSTALL_SNAPSHOT && node->raft.snapshot.installing) {
        /* libraft ignores it and forgets to free it; the leader's heartbeats do the rest. */
        raft_message_close(&message);
        raft_node_drop_messages(node);
        return E_OK;
    }
    if (message.type == RAFT_REQUEST_VOTE_RESULT && node->raft.state != RAFT_CANDIDATE) {
        /* Too late. libraft looks at it as a candidate before it looks whether it is one: what a follower
         * keeps in the same place, a piece of an address, decided whether the term changed. */
        raft_node_drop_messages(node);
        return E_OK;
    }
    bool append = message.type == RAFT_APPEND_ENTRIES;
    struct raft_entry *entries = append ? message.append_entries.entries : NULL;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &message};
    if (node->pending_count == RAFT_PENDING_MAX && append) {
        raft_message_close(&message); /* the disk is behind: the peer sends it again */
        return E_LIMIT;
    }
    if (append) {
        cut_append(node, &message.append_entries);
        cap_commit(node, &message.append_entries);
    }
    node->refused = refused_by_term(node, &message);
    err = raft_node_step(node, now_ms, &event, update);
    node->refused = 0;
    raft_free(entries); /* the array; libraft or take_entries had the batch */
    return err;
}

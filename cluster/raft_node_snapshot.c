#include <stdlib.h>
#include <string.h>

#include "cluster/raft_node_internal.h"

err_t raft_node_load(struct raft_node *node, uint64_t index, const struct raft_node_entry *entry)
{
    bool sane = index > 0 && entry->term > 0 && entry->kind >= ENTRY_COMMAND && entry->kind <= ENTRY_CHANGE;
    if (!sane || node->started)
        return E_CORRUPT;
    /* A new leader's log began in a segment that has been pruned since: with it all that was read so far was
     * replaced. That nothing is missing below, the snapshot shows at the start. */
    if (index < node->log.first)
        entry_log_reset(&node->log, index);
    return entry_log_put(&node->log, index, entry);
}

err_t raft_node_load_reset(struct raft_node *node, uint64_t next_index)
{
    entry_log_reset(&node->log, next_index);
    return E_OK;
}

err_t raft_node_load_truncate(struct raft_node *node, uint64_t index)
{
    entry_log_truncate(&node->log, index);
    return E_OK;
}

/* Terms never fall along a log, and libraft takes that for granted. */
static bool terms_grow(const struct entry_log *log)
{
    for (size_t i = 1; i < log->count; i++) {
        if (log->entries[i].term < log->entries[i - 1].term)
            return false;
    }
    return true;
}

/* Second rule: entries that end before the snapshot are void, as libraft would count on from them. So are
 * entries that have another term where the snapshot ends: they were never committed. */
static err_t fit_log(struct raft_node *node, const struct snapshot_meta *snapshot, bool *dropped)
{
    struct entry_log *log = &node->log;
    if (!terms_grow(log))
        return E_CORRUPT;
    if (snapshot == NULL) {
        if (log->first == 0)
            log->first = 1;
        bool begins = log->count == 0 || (log->first == 1 && log->entries[0].kind == ENTRY_CHANGE);
        return log->first == 1 && begins ? E_OK : E_CORRUPT;
    }
    const struct raft_node_entry *meets = entry_log_at(log, snapshot->index);
    if (entry_log_last(log) < snapshot->index || (meets != NULL && meets->term != snapshot->term)) {
        *dropped = log->first != snapshot->index + 1;
        entry_log_reset(log, snapshot->index + 1);
    }
    return log->first <= snapshot->index + 1 ? E_OK : E_CORRUPT;
}

static err_t start(struct raft_node *node, uint64_t now_ms, struct raft_event *event,
                   struct raft_node_update *update)
{
    const struct entry_log *log = &node->log;
    struct raft_entry *entries = calloc(log->count + 1, sizeof(*entries));
    if (entries == NULL)
        return E_NO_MEMORY;
    for (size_t i = 0; i < log->count; i++) {
        const struct raft_node_entry *from = &log->entries[i];
        entries[i] = (struct raft_entry){
            .term = from->term,
            .type = (enum raft_entry_type)from->kind,
            .buf = {(void *)(uintptr_t)from->data.data, from->data.len}, /* only read */
        };
    }
    event->start.start_index = log->first;
    event->start.entries = entries;
    event->start.n_entries = (unsigned)log->count;
    err_t err = raft_node_step(node, now_ms, event, update);
    free(entries);
    return err;
}

err_t raft_node_start(struct raft_node *node, uint64_t now_ms, uint64_t term, uint64_t vote,
                      const struct snapshot_meta *snapshot, bool *dropped, struct raft_node_update *update)
{
    *dropped = false;
    *update = (struct raft_node_update){0};
    err_t err = node->started ? E_STATE : fit_log(node, snapshot, dropped);
    if (err != E_OK)
        return err;
    node->started = true;
    struct raft_snapshot_metadata metadata;
    struct raft_event event = {.type = RAFT_START, .start = {.term = term, .voted_for = vote}};
    if (snapshot != NULL) {
        node->snapshot = *snapshot;
        metadata = (struct raft_snapshot_metadata){
            .index = snapshot->index, .term = snapshot->term, .configuration_index = snapshot->conf_index};
        err = raft_conf_decode((struct bytes){snapshot->conf, snapshot->conf_len}, &metadata.configuration);
        if (err != E_OK)
            return err;
        event.start.metadata = &metadata;
    }
    return start(node, now_ms, &event, update);
}

err_t raft_node_snapshot_meta(const struct raft_node *node, uint64_t applied, struct snapshot_meta *out)
{
    const struct raft *raft = &node->raft;
    const struct raft_node_entry *entry = entry_log_at(&node->log, applied);
    if (raft->snapshot.installing || entry == NULL || applied <= node->snapshot.index ||
        applied > raft->last_stored || applied > raft->commit_index)
        return E_STATE;
    *out = (struct snapshot_meta){
        .index = applied, .term = entry->term, .conf_index = raft->configuration_committed_index};
    const struct raft_configuration *conf =
        raft->configuration_committed.n > 0 ? &raft->configuration_committed : &raft->configuration;
    return raft_conf_encode(conf, out);
}

err_t raft_node_snapshot_done(struct raft_node *node, uint64_t now_ms, const struct snapshot_meta *meta,
                              unsigned trailing, struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    /* Overtaken by a snapshot of the leader: then it is of no use any more. */
    if (node->raft.snapshot.installing || meta->index <= node->snapshot.index ||
        entry_log_at(&node->log, meta->index) == NULL)
        return E_OK;
    struct raft_event event = {
        .type = RAFT_SNAPSHOT,
        .snapshot = {.metadata = {.index = meta->index,
                                  .term = meta->term,
                                  .configuration_index = meta->conf_index},
                     .trailing = trailing},
    };
    err_t err =
        raft_conf_decode((struct bytes){meta->conf, meta->conf_len}, &event.snapshot.metadata.configuration);
    if (err == E_OK)
        err = raft_node_step(node, now_ms, &event, update);
    if (err != E_OK)
        return err;
    node->snapshot = *meta;
    if (meta->index > trailing)
        entry_log_discard(&node->log, meta->index - trailing);
    return E_OK;
}

err_t raft_node_installed(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update)
{
    *update = (struct raft_node_update){0};
    if (!node->raft.snapshot.installing)
        return E_STATE;
    raft_free(node->install.base);
    node->install = (struct raft_buffer){0};
    const struct snapshot_meta *meta = &node->snapshot;
    struct raft_event event = {
        .type = RAFT_PERSISTED_SNAPSHOT,
        .persisted_snapshot = {.metadata = {.index = meta->index,
                                            .term = meta->term,
                                            .configuration_index = meta->conf_index},
                               .last = true},
    };
    err_t err = raft_conf_decode((struct bytes){meta->conf, meta->conf_len},
                                 &event.persisted_snapshot.metadata.configuration);
    return err == E_OK ? raft_node_step(node, now_ms, &event, update) : err;
}

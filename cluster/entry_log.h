/* entry_log.h - the tail of the Raft log in memory: consecutive entries, each with its own copy of the data.
 */
#ifndef CLUSTER_ENTRY_LOG_H
#define CLUSTER_ENTRY_LOG_H

#include "cluster/raft_node.h"

struct entry_log {
    struct raft_node_entry *entries;
    uint64_t first; /* index of entries[0], or of the next one when there is none */
    size_t count;
    size_t cap;
    uint64_t octets; /* of the data */
};

void entry_log_init(struct entry_log *log);
void entry_log_close(struct entry_log *log);
/* Copies. An index inside replaces that entry and drops those behind it; one beyond the end + 1 is E_CORRUPT,
 * unless the log is empty and was never given a place (first 0). E_NO_MEMORY. */
err_t entry_log_put(struct entry_log *log, uint64_t index, const struct raft_node_entry *entry) MUST_USE;
void entry_log_truncate(struct entry_log *log, uint64_t index);   /* drops index and all behind */
void entry_log_discard(struct entry_log *log, uint64_t index);    /* drops up to index */
void entry_log_reset(struct entry_log *log, uint64_t next_index); /* empties */
const struct raft_node_entry *entry_log_at(const struct entry_log *log, uint64_t index); /* or NULL */
uint64_t entry_log_last(const struct entry_log *log); /* first - 1 when empty; 0 without a place */

#endif

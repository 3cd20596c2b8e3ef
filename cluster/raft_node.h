/* raft_node.h - one Raft server without clock, disk or network: events in, updates out. The only module that
 * knows libraft (its raft_step core, 0.22.1; RAFT.md says why that and nothing else of it).
 *
 * The caller, after every event:
 *   1. term_changed: makes term and vote durable before anything else of this update and of later ones.
 *   2. entries: appends raft_node_entry(node, first ..) to the log on disk, in order, and calls
 * raft_node_persisted once per update that had entries, in that order. An index that was there before is
 * replaced, with all behind it.
 *   3. install: writes the snapshot, restores the state machine from it, resets the log on disk, calls
 * raft_node_installed.
 *   4. messages: sends them; after 1. They may get lost, repeated and reordered.
 *   5. applies entries up to raft_node_applicable, in order, and calls raft_node_applied for each
 * configuration among them.
 *   6. calls raft_node_timeout at raft_node_deadline.
 * libraft's contract has three rules that its header does not tell; they are kept here: nothing is applied
 * while a snapshot is being installed; at start a log that ends before the snapshot is dropped; a snapshot is
 * taken only up to what is stored. */
#ifndef CLUSTER_RAFT_NODE_H
#define CLUSTER_RAFT_NODE_H

#include "base/wire.h"
#include "cluster/snapshot_file.h"

enum {
    RAFT_VOTER_MAX = 7,
    RAFT_MEMBER_MAX = 16,
    RAFT_MESSAGE_MAX = 4 << 20, /* octets of an encoded message without snapshot */
    RAFT_APPEND_MAX = 256,      /* entries in one append message, and entries on their way to one peer */
    RAFT_PENDING_MAX = 4096,    /* writes to the log that are not persisted yet */
};

enum raft_entry_kind { ENTRY_COMMAND = 1, ENTRY_BARRIER = 2, ENTRY_CHANGE = 3 };

struct raft_node_entry {
    uint64_t term;
    enum raft_entry_kind kind;
    struct bytes data; /* length a multiple of 8 */
};

struct raft_node_message {
    uint64_t to;
    struct bytes body;  /* for raft_node_receive of the other side */
    bool with_snapshot; /* the transport adds the newest snapshot's stream */
    uint64_t snapshot_index;
};

struct raft_node_update {
    bool term_changed;
    uint64_t term;
    uint64_t vote;
    uint64_t first_index; /* of entries to write; 0: none */
    size_t entry_count;
    bool install;
    struct snapshot_meta install_meta;        /* valid with install */
    struct bytes install_stream;              /* borrowed until raft_node_installed */
    const struct raft_node_message *messages; /* borrowed until the next event */
    size_t message_count;
    bool role_changed;
};

struct raft_node_options {
    uint64_t id;   /* not 0 */
    uint32_t seed; /* of election timeouts */
    unsigned election_ms;
    unsigned heartbeat_ms;
};

struct raft_node;
err_t raft_node_open(struct raft_node **out, const struct raft_node_options *options) MUST_USE;
void raft_node_free(struct raft_node *node);

/* The first entry of a new cluster: these voters. Heap, *out_len a multiple of 8; the caller frees. */
err_t raft_node_bootstrap(const uint64_t *voters, size_t count, uint8_t **out, size_t *out_len) MUST_USE;

/* What was found on disk, entry after entry (copied); then start. The reader of a log calls load for each
 * entry, reset and truncate as written. An entry below the first one replaces all. E_CORRUPT: a gap. */
err_t raft_node_load(struct raft_node *node, uint64_t index, const struct raft_node_entry *entry) MUST_USE;
err_t raft_node_load_reset(struct raft_node *node, uint64_t next_index) MUST_USE;
err_t raft_node_load_truncate(struct raft_node *node, uint64_t index) MUST_USE;
/* snapshot: the newest on disk, or NULL. *dropped: the log on disk must be reset to snapshot->index + 1
 * before anything is appended. E_CORRUPT: log and snapshot leave a gap, or the first entry is no
 * configuration. */
err_t raft_node_start(struct raft_node *node, uint64_t now_ms, uint64_t term, uint64_t vote,
                      const struct snapshot_meta *snapshot, bool *dropped,
                      struct raft_node_update *update) MUST_USE;

/* One entry, copied. E_NOT_PRIMARY when not leader, E_LIMIT (length, pending writes), E_AGAIN (leadership is being
 * handed over). */
err_t raft_node_submit(struct raft_node *node, uint64_t now_ms, enum raft_entry_kind kind, struct bytes data,
                       struct raft_node_update *update) MUST_USE;
err_t raft_node_persisted(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update) MUST_USE;
err_t raft_node_installed(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update) MUST_USE;
err_t raft_node_timeout(struct raft_node *node, uint64_t now_ms, struct raft_node_update *update) MUST_USE;
/* A message of a peer; snapshot: the stream that came with it, empty if none (copied). A malformed one is
 * E_CORRUPT and changes nothing. */
err_t raft_node_receive(struct raft_node *node, uint64_t now_ms, uint64_t from, struct bytes body,
                        struct bytes snapshot, struct raft_node_update *update) MUST_USE;
/* The configuration entry at index was applied. */
err_t raft_node_applied(struct raft_node *node, uint64_t now_ms, uint64_t index,
                        struct raft_node_update *update) MUST_USE;
/* What a snapshot of the state after entry 'applied' stands for. E_STATE: not now (installing, not stored,
 * nothing new). */
err_t raft_node_snapshot_meta(const struct raft_node *node, uint64_t applied,
                              struct snapshot_meta *out) MUST_USE;
/* It is on disk: entries up to index - trailing leave memory. */
err_t raft_node_snapshot_done(struct raft_node *node, uint64_t now_ms, const struct snapshot_meta *meta,
                              unsigned trailing, struct raft_node_update *update) MUST_USE;

enum raft_member { MEMBER_NONE, MEMBER_STANDBY, MEMBER_VOTER };
/* The configuration that counts now, committed or not. */
size_t raft_node_members(const struct raft_node *node, uint64_t ids[RAFT_MEMBER_MAX],
                         enum raft_member roles[RAFT_MEMBER_MAX]);
/* One server more, less (MEMBER_NONE) or in another role, as an entry. E_NOT_PRIMARY; E_STATE: a change is going
 * on, or there is nothing to change, or the last voter would go; E_LIMIT: RAFT_VOTER_MAX, RAFT_MEMBER_MAX. */
err_t raft_node_change(struct raft_node *node, uint64_t now_ms, uint64_t id, enum raft_member role,
                       struct raft_node_update *update) MUST_USE;

/* Hands leadership to that voter, which is asked to stand for election once it has all entries. Until that is over,
 * at the latest after an election time-out, raft_node_submit gives E_AGAIN. E_NOT_PRIMARY; E_NOT_FOUND: no voter
 * but this server has that id; E_STATE: one is going on. */
err_t raft_node_transfer(struct raft_node *node, uint64_t now_ms, uint64_t id,
                         struct raft_node_update *update) MUST_USE;
uint64_t raft_node_transferee(const struct raft_node *node); /* 0: none */
/* The transport knows that the leader's process is gone: a follower of it no longer refuses votes for its sake, and
 * stands for election itself in delay_ms instead of an election time-out. Raft is safe whatever the timers do.
 * Raft's deadline changes. */
void raft_node_leader_lost(struct raft_node *node, uint64_t now_ms, uint64_t id, unsigned delay_ms);

/* NULL if it is not in memory (any more). Borrowed until the next event. */
const struct raft_node_entry *raft_node_entry(const struct raft_node *node, uint64_t index);
uint64_t raft_node_first(const struct raft_node *node); /* first index in memory; last + 1 when none is */
uint64_t raft_node_last(const struct raft_node *node);
uint64_t raft_node_applicable(const struct raft_node *node); /* 0 while installing */
uint64_t raft_node_commit(const struct raft_node *node);
uint64_t raft_node_term(const struct raft_node *node);
uint64_t raft_node_vote(const struct raft_node *node);
uint64_t raft_node_leader(const struct raft_node *node);    /* id, 0 unknown */
uint64_t raft_node_deadline(const struct raft_node *node);  /* ms */
uint64_t raft_node_log_bytes(const struct raft_node *node); /* of entries in memory */
bool raft_node_is_leader(const struct raft_node *node);
const char *raft_node_role(const struct raft_node *node); /* "leader", "follower", "candidate", "standby" */
unsigned raft_node_voters(const struct raft_node *node);

#endif

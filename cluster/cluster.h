/* cluster.h - the replicated state machine as the server sees it: propose, commit, apply; snapshots and restart inside.
 * Embeds raft_node (libraft's raft_step, pure), the write-ahead log, the store and ks_state. Runs on the loop thread; disk work
 * goes through a thread pool (cluster_loop_uv.c), so the loop never waits for a sync.
 *
 * Nothing that a proposal asks for is visible before its entry is on a quorum's disks and applied: then the proposer's callback
 * runs. Proposals of one loop turn become one entry. */
#ifndef CLUSTER_CLUSTER_H
#define CLUSTER_CLUSTER_H

#include "base/clock.h"
#include "base/rng.h"
#include "cluster/ks_state.h"

enum {
    PROPOSAL_MAX = 4 * BATCH_MAX, /* waiting or in flight; E_FULL beyond: the caller pushes back */
    SNAPSHOT_ENTRIES = 8192,      /* entries between snapshots */
    FORWARD_MAX = 512,            /* commands that wait for the leader's answer; E_FULL beyond */
    FORWARD_LIMIT_MS = 5000,      /* then E_NO_QUORUM */
    CLUSTER_PRIORITY = 100,
    CLUSTER_ELECTION_MS = 300,
    JOIN_TOKEN_MINUTES = 60,
    ENROL_TOKEN_MINUTES = 24 * 60, /* a branch is not set up within the hour */
    HANDOVER_LIMIT_MS = 5000, /* of cluster_transfer; then E_TIMEOUT */
    LEAD_HOLD_MS = 600000,    /* leadership that an operator moved does not follow the primary for that long */
    STATE_MARK_MS = 60000,    /* between two comparisons of state hashes */
    DISK_SLOW_MS = 2000,      /* a write to the log that takes longer: this server gives its roles away */
};

struct uv_loop_s;
struct disk;
struct cluster;

struct cluster_options {
    const char *data_dir;      /* made with mode 0700 if absent; holds wal/, store/, node.id, data.key */
    const char *node_key_file; /* 32 octets as 64 hex digits, mode 0600 or stricter; made if absent */
    const struct clock *clock;
    const struct rng *rng;
    struct uv_loop_s *loop;
    uint64_t snapshot_entries; /* 0: SNAPSHOT_ENTRIES */
    uint64_t wal_segment_len;  /* octets, 0: default */
    const struct disk *disk;   /* NULL: the real one; tests let it fail */
    const struct level_build *build; /* NULL: level_own */
    /* Family 0: a cluster of one without a port. Else peers connect here (TCP); join requests go to the next port. */
    struct endpoint listen;
    struct addr advertise; /* where peers and members reach this server; family 0: listen's address */
    uint8_t priority;      /* 0: CLUSTER_PRIORITY */
    unsigned election_ms;  /* 0: CLUSTER_ELECTION_MS; heartbeats are a fifth of it */
    unsigned dead_ms;      /* silence that ends a primary; 0: COOP_DEAD_MS */
    unsigned mark_ms;      /* 0: STATE_MARK_MS */
    unsigned disk_slow_ms; /* 0: DISK_SLOW_MS */
    uint64_t cert_life_s;  /* of certificates that this server issues as leader; 0: CERT_NODE_DAYS */
    /* First start only: ask there for a certificate, with this token. */
    struct endpoint join; /* with a family but without a token a first start is refused (E_MISSING) */
    const char *join_token;
    bool (*is_healthy)(void *context); /* may this server be primary? NULL: always */
    void *context;
    /* After each applied command, in order, on every node; proposer callbacks have run before. Also for what the log replays after
     * a restart, before the first on_ready(true). */
    void (*on_applied)(void *context, const struct command *command, const struct apply_result *result);
    void (*on_member_removed)(void *context, const struct ks_group *group, const struct ks_member *member);
    /* This node may serve (log replayed, has a leader) or may not any more; reason is static text. */
    void (*on_ready)(void *context, bool ready, const char *reason);
    /* Storage failed or the state cannot go on (E_OLD_BUILD: not with this build): the server must stop. */
    void (*on_fatal)(void *context, err_t err, const char *reason);
};

/* Opens and recovers: torn tail cut (WAL_TORN_TAIL), damage refused (E_CORRUPT, WAL_DAMAGED), store rebuilt where needed. The first
 * start makes node id, node key, data key and a one-voter configuration. E_IO, E_PERMISSION, E_CORRUPT, E_NO_MEMORY; E_OLD_BUILD: the
 * data or the cluster to be joined is of a level above this build's (BUILD_TOO_OLD, JOIN_FAILED). */
err_t cluster_open(struct cluster **out, const struct cluster_options *options) MUST_USE;
/* Begin to take part; callbacks come from the loop. */
err_t cluster_start(struct cluster *cluster) MUST_USE;
/* Finishes writes in flight, closes the store cleanly; 'done' comes from the loop, then cluster_free. */
void cluster_stop(struct cluster *cluster, void (*done)(void *context), void *context);
void cluster_free(struct cluster *cluster);

/* Queue one command. 'done' runs when it was applied (result->err), or with E_CANCELED / E_NO_QUORUM when its fate is unknown or
 * it was dropped (result->group and member are NULL then). Encoded at once: the command is not kept. Errors: E_FULL, E_NOT_PRIMARY,
 * E_STATE (not ready), E_LIMIT (too long), E_UNSUPPORTED (above the cluster's level); done is not called then. */
typedef void (*cluster_done_fn)(void *context, const struct apply_result *result);
err_t cluster_propose(struct cluster *cluster, const struct command *command, cluster_done_fn done, void *context) MUST_USE;

const struct ks_state *cluster_state(const struct cluster *cluster);
const struct wrap_key *cluster_wrap_key(const struct cluster *cluster); /* data key, in locked memory */
struct store *cluster_store(const struct cluster *cluster);             /* for read transactions of the API */
const uint8_t *cluster_node_id(const struct cluster *cluster);          /* NODE_ID_LEN octets */
/* What this server is by the node table; false while that is not here (it has just joined). A founder is a voter. */
bool cluster_role(const struct cluster *cluster, enum node_role *out);
bool cluster_ready(const struct cluster *cluster);
/* Is this node the primary of the committed epoch, and the leader's word for it is fresh? Only then may it push (I4). */
bool cluster_is_primary(const struct cluster *cluster);
/* What this server reaches of the cluster: CONTACT_MINORITY when it hears no leader and holds committed state: it was ready before,
 * or it was restarted and has the state that it stopped with, whose age its clock can tell. */
enum ks_contact cluster_contact(const struct cluster *cluster);
/* Why this server, not ready since its start, has no such state; static text. NULL: it has, or was ready, or has no peers. */
const char *cluster_alone(const struct cluster *cluster);
/* Cluster time now, milliseconds (cluster_clock.h), never below the newest committed time. */
uint64_t cluster_now_ms(const struct cluster *cluster);

/* The hash of the state where it was taken last, with all others: ks_state_hash after the command at index. */
struct state_mark {
    uint64_t index; /* 0: none yet */
    uint8_t hash[32];
};

struct cluster_status {
    const char *role; /* "leader", "follower", "candidate", "standby" */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t last_index;
    uint64_t snapshot_index;
    uint64_t wal_bytes;
    uint32_t voters;
    uint32_t coop_epoch;
    uint64_t leader; /* Raft id, 0: none known */
    bool joins;      /* has a port for peers */
    uint64_t join_refused; /* requests, since the start */
    struct state_mark mark;
    bool diverged;        /* the others agree on another state */
    uint64_t divergences; /* differences seen, since the start */
    bool disk_slow;
    uint32_t level; /* of the cluster */
    uint32_t level_refused; /* what the last command needed that was refused for its level; 0: none was */
};
struct cluster_peer_status {
    struct node_record node;
    bool self, primary, leader, connected;
    uint64_t heard_ms; /* since its last sign of life; UINT64_MAX: none yet */
    uint64_t applied_index;
    uint32_t level; /* of its build; 0: not told since it is connected */
};
/* The servers of the cluster as this one sees them. Returns how many. */
size_t cluster_peers(const struct cluster *cluster, struct cluster_peer_status out[KS_NODE_MAX]);
/* A one-time token for a new server: text to out, and committed when done runs. E_STATE without authority or not
 * ready; errors of cluster_propose. The caller wipes out. */
err_t cluster_token_make(struct cluster *cluster, enum join_role role, char out[JOIN_TOKEN_TEXT_MAX],
                         cluster_done_fn done, void *context) MUST_USE;
/* A one-time token with which a member of that address fetches a pre-shared key and the group's name; as above.
 * E_UNKNOWN_GROUP; E_NOT_AUTHORIZED: the group's member list has no such address; E_EXISTS: the address has a key of
 * a configuration; E_STATE: not ready, or no port to ask at. */
err_t cluster_enrol_token(struct cluster *cluster, const char *group, const struct addr *member,
                          char out[ENROL_TOKEN_TEXT_MAX], cluster_done_fn done, void *context) MUST_USE;
/* The member's key and token are no more: it cannot register again. E_NOT_FOUND; errors of cluster_propose. */
err_t cluster_enrol_revoke(struct cluster *cluster, const struct addr *member, cluster_done_fn done,
                           void *context) MUST_USE;
/* A server leaves for good. E_NOT_FOUND; E_STATE: it is primary or leader; E_NO_QUORUM: what would be left has no
 * live majority. */
err_t cluster_node_remove(struct cluster *cluster, const uint8_t id[NODE_ID_LEN], cluster_done_fn done,
                          void *context) MUST_USE;
/* Leadership goes to that server, NULL: to the primary, and stays there for LEAD_HOLD_MS whoever is primary; done
 * runs when it is there, or with E_TIMEOUT. E_NOT_FOUND; E_STATE: not ready, no key server of others, or one is
 * going on. */
err_t cluster_transfer(struct cluster *cluster, const uint8_t *id, cluster_done_fn done, void *context) MUST_USE;
/* The primary's role goes to the next live server by priority, and does not come back by itself. E_STATE: there is
 * none; errors of cluster_propose; result E_STALE: another election was faster. */
err_t cluster_step_down(struct cluster *cluster, cluster_done_fn done, void *context) MUST_USE;
/* Counts more than what that server's configuration says; 0: that counts again. No election follows from it.
 * E_NOT_FOUND; errors of cluster_propose. */
err_t cluster_priority(struct cluster *cluster, const uint8_t id[NODE_ID_LEN], uint8_t priority,
                       cluster_done_fn done, void *context) MUST_USE;
/* That server, NULL: this one, is to renew its certificate now; it may take until there is a leader.
 * E_NOT_FOUND; E_AGAIN: not connected; E_STATE. */
err_t cluster_cert_renew(struct cluster *cluster, const uint8_t *id) MUST_USE;
/* Has the states compared now. Errors of cluster_propose. */
err_t cluster_mark(struct cluster *cluster, cluster_done_fn done, void *context) MUST_USE;
void cluster_status(const struct cluster *cluster, struct cluster_status *out);
/* The whole state as it is applied here now, sealed under the key in that file (cluster/backup_file.h). done comes from the
 * loop, also while the cluster stops: E_OK with the file, heap, for the receiver to free; else why not. E_STATE: not ready;
 * E_AGAIN: a backup or a snapshot is being written; E_MISSING: key_file is empty. Events tell what came of it. */
typedef void (*cluster_backup_fn)(void *context, err_t err, uint64_t index, uint8_t *file, size_t len);
err_t cluster_backup(struct cluster *cluster, const char *key_file, cluster_backup_fn done, void *context) MUST_USE;

#endif

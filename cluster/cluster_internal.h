/* cluster_internal.h - what cluster*.c share. */
#ifndef CLUSTER_CLUSTER_INTERNAL_H
#define CLUSTER_CLUSTER_INTERNAL_H

#include "cluster/backup_file.h"
#include "cluster/cluster.h"
#include "cluster/cluster_clock.h"
#include "cluster/cluster_loop.h"
#include "cluster/coop.h"
#include "cluster/raft_node.h"
#include "cluster/wal.h"

enum {
    BATCH_VERSION = 2, /* 1: without origin before each command */
    ORIGIN_LEN = 1 + NODE_ID_LEN + 8,
    HEALTH_MS = 150,        /* between two signs of life */
    FORWARD_AGAIN_MS = 400, /* until a command is sent to the leader again */
    KEY_ASK_MS = 500,
    CLOCK_MARK_GAP_MS = 10000, /* between two marks of the clock on disk */
    BATCH_HEAD = 8,            /* version u8, 0 u8, commands u16, octets of them u32 */
    SNAPSHOT_TRAILING = 256,   /* entries kept behind a snapshot, for peers that are a little late */
    APPLY_MAX = 512,           /* entries applied in one store transaction */
};
/* Entries in memory weigh so much: a snapshot is due whatever their number. */
static const uint64_t snapshot_log_octets = (uint64_t)64 << 20;

/* A command on its way. In order: what was submitted first, then what waits to be. */
struct proposal {
    cluster_done_fn done; /* may be NULL: the cluster's own */
    void *context;
    uint32_t len;   /* octets, encoded */
    uint64_t index; /* of its entry; 0: waits */
    uint64_t term;
    bool house; /* of the cluster's own */
};

/* A group of entries that the log must have on disk, in order. */
struct log_write {
    uint64_t first;
    size_t count;
};

struct log_job {
    struct cluster_job job;
    bool running;
    struct wal_batch batch;
    size_t writes;           /* how many of the log_writes are in the batch */
    uint64_t prune_index;    /* 0: none */
    uint64_t snapshot_index; /* older snapshots go too */
    uint64_t octets;         /* of the log, after */
    uint64_t started_ms;
    err_t err;
};

struct snapshot_job {
    struct cluster_job job;
    bool running;
    struct snapshot_meta meta;
    struct store_txn *txn;
    err_t err;
};

/* A backup that an operator waits for; on the snapshot's lane, so never beside one. */
struct backup_job {
    struct cluster_job job;
    bool running;
    struct backup_head head;
    struct store_txn *txn;
    struct wrap_key data_key;
    char key_file[DISK_PATH_MAX];
    uint8_t *file; /* heap */
    size_t file_len;
    err_t err;
    cluster_backup_fn done;
    void *context;
};

/* A server that we connect to, and what it said last. */
struct peer {
    uint8_t id[NODE_ID_LEN];
    uint64_t raft_id;
    struct endpoint at;
    bool up;
    uint64_t gone_ms; /* its end of the connection is closed since then; 0: it is not */
    bool told_lost;   /* COOP_KS_UNREACH was written */
    uint64_t heard_ms, healthy_ms;
    uint64_t answered_ms; /* a Raft message of it came while we led */
    uint64_t applied, commit;
    bool leads; /* it says */
    struct state_mark mark;
    uint64_t mark_told; /* index of the mark whose difference was told */
    uint32_t level;     /* of its build, told since it is connected and since we lead; 0: unknown */
};

/* A hand-over of leadership that an operator waits for. */
struct handover {
    uint64_t to; /* Raft id; 0: none */
    uint64_t limit_ms;
    cluster_done_fn done;
    void *context;
    uint8_t id[NODE_ID_LEN];
};

/* A command on its way over the leader. In order of its number. */
struct forward {
    uint64_t request;
    uint8_t *command; /* heap */
    size_t len;
    cluster_done_fn done;
    void *context;
    uint64_t limit_ms, sent_ms;
};

struct cluster_join;

struct cluster {
    struct cluster_options options;
    const struct disk *disk;
    const struct level_build *build;
    char data_dir[DISK_PATH_MAX];
    char wal_dir[DISK_PATH_MAX];
    char store_dir[DISK_PATH_MAX];
    uint8_t node_id[NODE_ID_LEN];
    uint64_t raft_id;
    struct wrap_key *wrap; /* in a page of its own, locked */
    struct store *store;
    struct ks_state state;
    struct raft_node *node;
    struct wal *wal;
    struct wal_meta meta;
    struct snapshot_meta snapshot; /* at open; index 0: none */
    struct cluster_loop *loop;

    struct cluster_clock clock;
    struct clock_mark time_mark; /* as on disk; cluster_ms 0: none */
    uint8_t boot[CLOCK_BOOT_LEN];
    uint64_t time_mark_due_ms;
    uint64_t applied_index;
    uint64_t snapshot_index;
    uint64_t prune_due; /* entries up to here may leave the disk; 0: nothing to do */
    uint64_t wal_octets;
    uint64_t ready_index; /* what must be applied before this leader serves */
    bool started;
    bool ready;
    bool was_ready; /* ever since the start */
    bool rebuilt;   /* the store was made anew at the start: the state may be older than what was applied before */
    bool same_boot; /* as the clock's mark: the clock goes on exactly where it was */
    bool dead;      /* after on_fatal */
    bool stopping;
    bool housekeeping; /* a command of the cluster's own is on its way: CLUSTER_INIT, ELECT, CLUSTER_LEVEL_SET */
    const char *role;

    /* With peers: cluster_peer.c, cluster_forward.c, cluster_member.c. */
    bool joined;   /* began by a join token, not as the first */
    bool have_key; /* the data key is here */
    struct raft_transport *transport;
    bool transport_stopped;
    struct cluster_join *join;
    bool join_stopped;
    uint64_t join_refused, join_told_ms;
    struct peer peers[KS_NODE_MAX];
    size_t peer_count;
    bool peers_stale; /* the node table changed */
    uint64_t health_ms, key_ask_ms, leader_since_ms;
    bool told_leads; /* in the last sign of life */
    uint64_t armed_ms;
    uint64_t leader_seen;                  /* whose commit index ready_index was taken from */
    struct forward *forwards[FORWARD_MAX]; /* ring */
    size_t forward_head, forward_count;
    uint64_t request; /* the last number given */
    bool self_proposed;

    /* Leadership and health: cluster_lead.c, cluster_mark.c. */
    struct handover handover;
    uint64_t leader_known, leader_before; /* Raft ids; known: 0 while there is none */
    uint64_t hold_ms;   /* until then leadership stays, though another is primary: an operator's word */
    uint64_t follow_ms; /* no earlier hand-over to the primary */
    struct state_mark mark;
    uint64_t mark_ms; /* when the leader makes the next one */
    bool diverged;
    bool was_odd; /* it was when it stopped, as a file says */
    uint64_t divergences;
    struct node_cert own_cert; /* the one that new connections show */
    struct cert_key *next_key; /* of a request on its way; NULL: none */
    bool renew_asked, cert_proposed;
    uint64_t renew_ms; /* no request before */
    uint32_t level_heard;   /* the cluster's, above this build's; 0: not */
    uint32_t level_refused; /* that the command asks for that was refused last; 0: none was */
    bool disk_slow;
    uint64_t disk_slow_since_ms;
    bool installing;
    struct raft_node_update install; /* meta and stream that wait for the disk */

    struct proposal proposals[PROPOSAL_MAX]; /* ring */
    size_t proposal_head;
    size_t proposal_count;
    size_t proposal_flying; /* submitted ones among them */
    uint8_t *queue;         /* encoded commands that wait, back to back */
    size_t queue_len;
    size_t queue_cap;
    uint8_t *entry; /* the batch that is being put together: BATCH_LEN_MAX octets */

    struct log_write writes[RAFT_PENDING_MAX]; /* ring */
    size_t write_head;
    size_t write_count;
    struct log_job log_job;
    struct snapshot_job snapshot_job;
    struct backup_job backup_job;
    void (*stopped)(void *context);
    void *stopped_context;
};

uint64_t cluster_mono_ms(const struct cluster *c);
/* Ends service for good: event, callbacks, proposals dropped. Only the first one counts. */
void cluster_fatal(struct cluster *c, err_t err, const char *reason);
/* What raft_node asked for. Then cluster_pump. */
void cluster_take(struct cluster *c, const struct raft_node_update *update);
/* Starts what can start: log writes, applies, snapshots; tells readiness. */
void cluster_pump(struct cluster *c);
void cluster_flush(struct cluster *c); /* what waits becomes entries */
err_t cluster_queue(struct cluster *c, const struct command *command, cluster_done_fn done,
                    void *context) MUST_USE;
/* Everything that has no outcome yet ends with err. */
void cluster_drop_proposals(struct cluster *c, err_t err);
void cluster_apply(struct cluster *c);
void cluster_log_start(struct cluster *c); /* a log job if there is work and none runs */
void cluster_snapshot_start(struct cluster *c);
void cluster_arm(struct cluster *c);
void cluster_finish_stop(struct cluster *c); /* when nothing is on its way any more */
/* Directories, keys, store, log: everything up to raft_node_start. */
err_t cluster_recover(struct cluster *c) MUST_USE;
bool cluster_leads(const struct cluster *c);

/* ---- peers ---- */
static inline bool cluster_has_peers(const struct cluster *c)
{
    return c->options.listen.addr.family != 0;
}
struct addr cluster_own_address(const struct cluster *c);
err_t cluster_transport_open(struct cluster *c) MUST_USE; /* certificate, key and authority are on disk */
bool cluster_has_certificate(const struct cluster *c);
void cluster_peers_refresh(struct cluster *c); /* from the node table */
void cluster_send_messages(struct cluster *c, const struct raft_node_update *update);
void cluster_install_start(struct cluster *c); /* if one waits and the disk is free */
void cluster_peer_tick(struct cluster *c);     /* signs of life, forwards, elections */
struct peer *cluster_peer(struct cluster *c, const uint8_t id[NODE_ID_LEN]);
const struct peer *cluster_peer_by_raft(const struct cluster *c, uint64_t raft_id);
bool cluster_peer_fresh(const struct cluster *c, const struct peer *peer);
/* Applied here: events, peers. */
void cluster_note_applied(struct cluster *c, const struct command *command, const struct apply_result *result,
                          const struct cluster_record *before);
err_t cluster_peers_file_read(struct cluster *c) MUST_USE;
err_t cluster_peers_file_write(struct cluster *c, const struct transport_peer *members,
                               size_t count) MUST_USE;
err_t cluster_load_state(struct cluster *c) MUST_USE;

/* The clock: from mark, committed time and wall clock; and its mark, written where it is off. */
void cluster_time_open(struct cluster *c);
void cluster_time_mark(struct cluster *c);

void cluster_keep_house(struct cluster *c);
void cluster_judge_ready(struct cluster *c);
void cluster_set_ready(struct cluster *c, bool ready, const char *reason);
bool cluster_in_contact(const struct cluster *c);

/* ---- leadership, liveness ---- */
unsigned cluster_dead_ms(const struct cluster *c);
unsigned cluster_election_ms(const struct cluster *c);
bool cluster_is_well(const struct cluster *c); /* may be primary */
size_t cluster_signs(const struct cluster *c, uint64_t now_ms, struct coop_sign out[KS_NODE_MAX + 1]);
void cluster_peer_gone(struct cluster *c, struct peer *peer); /* its end of the connection was closed */
void cluster_lead_take(struct cluster *c, const struct peer *from, struct bytes body);
void cluster_lead_watch(struct cluster *c); /* each turn */
void cluster_lead_tick(struct cluster *c, uint64_t now_ms);
void cluster_lead_drop(struct cluster *c, err_t err);
void cluster_disk_watch(struct cluster *c, uint64_t now_ms); /* is a write to the log overdue? */

/* ---- certificates: cluster_cert.c ---- */
err_t cluster_open_tls(struct cluster *c, struct transport_tls **out) MUST_USE;
err_t cluster_issue(struct cluster *c, struct bytes csr, const uint8_t node_id[NODE_ID_LEN], struct cert **ca,
                    struct cert **out) MUST_USE;
void cluster_cert_tick(struct cluster *c, uint64_t now_ms);
void cluster_cert_ask_take(struct cluster *c, const struct peer *from, struct bytes csr);
void cluster_cert_take(struct cluster *c, const struct peer *from, struct bytes der);
void cluster_cert_due_take(struct cluster *c);

/* ---- marks ---- */
unsigned cluster_mark_every_ms(const struct cluster *c);
void cluster_mark_open(struct cluster *c); /* was it the odd one in its last life? */
void cluster_mark_applied(struct cluster *c);
void cluster_mark_compare(struct cluster *c);
void cluster_mark_tick(struct cluster *c, uint64_t now_ms);

/* ---- levels: cluster_level.c ---- */
/* A sign of life: the level of that server's build, and of the cluster as far as it has applied. */
void cluster_level_hear(struct cluster *c, struct peer *peer, uint32_t level, uint32_t cluster_level);
/* Before a command is proposed. E_UNSUPPORTED: the cluster is below its level. */
err_t cluster_level_gate(struct cluster *c, unsigned command) MUST_USE;
bool cluster_level_raise(struct cluster *c); /* the leader's part. true: a command is on its way */
void cluster_level_tell_old(const struct cluster *c); /* the event of E_OLD_BUILD */

/* ---- forwards ---- */
err_t cluster_forward(struct cluster *c, const struct command *command, cluster_done_fn done,
                      void *context) MUST_USE;
void cluster_forward_take(struct cluster *c, const uint8_t from[NODE_ID_LEN], struct bytes body);
void cluster_forward_applied(struct cluster *c, uint64_t request, const struct apply_result *result);
void cluster_forward_tick(struct cluster *c, uint64_t now_ms);
void cluster_forward_again(struct cluster *c); /* at once: there is a new leader */
void cluster_forward_drop(struct cluster *c, err_t err);
err_t cluster_queue_bytes(struct cluster *c, const uint8_t *origin, uint64_t request, struct bytes command,
                          cluster_done_fn done, void *context) MUST_USE;

/* ---- members ---- */
bool cluster_keep_members(struct cluster *c); /* true: something was begun */
err_t cluster_make_authority(struct cluster *c, struct command *command) MUST_USE;
err_t cluster_make_own_certificate(struct cluster *c) MUST_USE;
err_t cluster_join_fetch(struct cluster *c) MUST_USE; /* blocking, at the first start */
typedef void (*cluster_join_fn)(void *context, struct bytes answer);
/* One request; answered once, at the earliest before this returns. */
void cluster_join_request(struct cluster *c, struct bytes request, const char *remote, cluster_join_fn answer,
                          void *context);

/* The same for a member that enrols: cluster_enrol.c. */
void cluster_enrol_request(struct cluster *c, struct bytes request, const char *remote, cluster_join_fn answer,
                           void *context);
/* A request was refused: counted, and told once in a while, as a stranger does not fill the log. */
bool cluster_tell_refusal(struct cluster *c);

/* ---- the port for join requests: cluster_join_loop_uv.c ---- */
err_t cluster_join_open(struct cluster_join **out, struct cluster *c, struct uv_loop_s *loop,
                        const struct endpoint *at) MUST_USE;
void cluster_join_stop(struct cluster_join *join, void (*done)(void *context), void *context); /* frees */
/* Asks and waits, limit_ms at most. */
err_t cluster_join_ask(const struct endpoint *at, struct bytes request, uint8_t answer[JOIN_ANSWER_MAX],
                       size_t *answer_len, unsigned limit_ms) MUST_USE;

enum peer_message {
    MSG_RAFT = FRAME_USER,
    MSG_FORWARD,
    MSG_HEALTH,
    MSG_KEY_ASK,
    MSG_KEY,
    MSG_LEAD,
    MSG_CERT_ASK,
    MSG_CERT,
    MSG_CERT_DUE
};

#endif

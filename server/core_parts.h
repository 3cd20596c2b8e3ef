/* core_parts.h - the core's inside, shared by its files: core (dispatch, time), phase1, registration,
 * notices, rekey_engine, engine_watch, state_sync. Nobody else includes it. */
#ifndef SERVER_CORE_PARTS_H
#define SERVER_CORE_PARTS_H

#include "base/event.h"
#include "proto/ike/informational.h"
#include "server/admission.h"
#include "server/core.h"
#include "server/rekey_push.h"

enum {
    DRAFT_RETRY_MS = 1000, /* after a draft that could not be made, sealed or committed */
    KEY_GRACE_MS =
        5000, /* a signing key may be missing for that long before somebody is told: it is being made */
    DONE_RETRY_MS = 1000, /* after a PUSH_DONE that could not be committed */
    SYNC_RETRY_MS = 1000, /* after a comparison with the configuration that had to stop */
    SYNC_ROUND_MAX =
        8, /* comparisons in a row that find a difference; then it is the configuration that is wrong */
    SYNC_FLIGHT_MAX = 256, /* proposals of the comparison under way at once */
    SWEEP_GAP_MS = 250,    /* between two looks for expired SAs */
    SIGNER_MAX = 2, /* opened signing keys: the current, and the one before for groups still under it */
    MINORITY_AFTER_MS = 3000, /* so long without a leader before committed keys are served without one */
    MINORITY_LIFETIMES = 2,   /* of the TEK, for so long, when the configuration says nothing */
    MINORITY_KEPT_MAX = 1024, /* registrations kept for the time after it */
    MINORITY_FLIGHT_MAX = 64, /* proposals of those under way at once */
    PUSH_KEEP_MS = 60000,     /* a finished push is remembered that long, for late acknowledgements */
    WORKER_STUCK_MS = 10000,  /* jobs are out and none came back */
    SIGN_KEY_STUCK_MS = 120000, /* the same while a signing key is made: one of RSA takes its time */
    GROUP_STUCK_MS = 15000,     /* a rekey is due or under way and does not move: time for two lost proposals */
    ENGINE_REST_MS = 120000,    /* after giving the role away for that, no primary again for so long */
};

/* How far a group's rekey has come. */
struct rekey_step {
    const char *fault; /* what it is if it stays there, as static text; NULL: nothing is to move now */
    uint32_t generation, seq, round;
    size_t cursor;
};

/* What the core knows of a group beside the replicated state. */
struct group_work {
    uint32_t group_id;  /* 0: free */
    bool drafting;      /* a rekey is being made, sealed or committed */
    bool runway_making; /* RUNWAY_SET is on its way: no rekey is drafted meanwhile, nor the other way round */
    bool key_missing;   /* KS_NO_RSA_KEYS was written */
    uint64_t retry_ms;  /* monotonic: no new draft before */
    struct push_run *push;
    bool done_proposed;  /* PUSH_DONE is on its way */
    core_rekey_fn asked; /* an operator waits */
    void *asked_context;
    bool due;     /* a rekey, as of the last tick as primary */
    err_t failed; /* why the last draft or runway came to nothing; E_OK: it did not */
    struct rekey_step step;
    uint64_t step_ms; /* monotonic: it is there since then */
};

/* Is the rekey engine stuck? See engine_watch.c. */
struct engine_watch {
    size_t jobs;          /* out in the pool */
    uint64_t answered_ms; /* when one came back last, or the first went out */
    const char *fault;    /* static text; NULL: well */
    uint64_t since_ms;
    uint64_t rest_ms;
};

struct served;

/* How this server stands to the quorum. */
struct minority {
    enum ks_contact contact;
    bool was_ready;    /* since the start */
    bool lost;         /* the quorum */
    uint64_t since_ms; /* of that: when it was seen */
    uint64_t lost_ms;  /* when the state was known to be current last: after a restart that is before it; modulo 2^64 */
    bool serving;      /* committed keys, without a quorum */
    uint64_t split_ms; /* when not all servers were reached, last; 0: never */
    struct served *first;
    size_t kept, in_flight;
};

struct core {
    const struct ksd_config *config;
    const struct clock *clock;
    const struct rng *rng;
    struct core_ports ports;
    uint64_t now_ms; /* of the entry that is running */
    bool ready;
    struct ike_policy policy; /* copied: negotiations keep a pointer to it */
    struct ike_table table;
    struct metrics metrics;
    struct group_work groups[GROUP_MAX];
    uint64_t wake_ms;
    uint64_t sweep_ms;
    struct signer *signers[SIGNER_MAX];
    uint64_t key_missing_ms; /* since when there has been no signing key */
    bool sign_key_making;
    core_rekey_fn rotate_asked; /* an operator waits for the key that is made */
    void *rotate_context;
    struct {
        bool wanted;
        bool once; /* the file was compared in full at least once since the start */
        unsigned rounds;
        size_t in_flight;
        bool refused;
        uint64_t retry_ms;
    } sync;
    struct minority minority;
    struct engine_watch watch;
    struct {
        uint64_t second_ms;
        unsigned count;
    } quarantine; /* commands of this second */
    uint8_t reply[ISAKMP_MESSAGE_MAX];
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct admission admission; /* large: last */
};

/* Log lines that a stranger can cause are held back when they come too often. */
#define stranger_event(core, name, ...)                                                                      \
    do {                                                                                                     \
        if (core_may_log((core), EV_##name))                                                                 \
            event(name, ##__VA_ARGS__);                                                                      \
    } while (0)
bool core_may_log(struct core *core, enum event_id id);

static inline const struct ks_state *core_state(const struct core *core)
{
    return core->ports.state(core->ports.context);
}
static inline uint64_t core_cluster_now(const struct core *core)
{
    return core->ports.cluster_now_ms(core->ports.context);
}
static inline void core_count(struct core *core, enum metric metric)
{
    metrics_add(&core->metrics, metric, 1);
}
/* May members be answered? Not while what the file says is still on its way into a fresh cluster: they would
 * be refused. */
bool core_serves(const struct core *core);
/* Something happened that core_tick looks at. */
static inline void core_soon(struct core *core)
{
    core->wake_ms = 0;
}
void core_send(struct core *core, const struct ike_path *path, struct bytes datagram);
/* A fresh, random, non-zero message id. */
err_t core_message_id(const struct core *core, uint32_t *out) MUST_USE;
/* May this source begin something new? Counts and logs a refusal. */
bool core_admit(struct core *core, const struct ike_path *path);
/* "addr" of the path's peer, without port. Returns out. */
const char *core_peer_text(const struct ike_path *path, char out[ADDR_TEXT_MAX]);

/* phase1.c */
void phase1_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                     struct bytes datagram);
void phase1_job_done(struct core *core, struct job *job);
void phase1_tick(struct core *core);

/* registration.c */
void registration_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                           struct bytes datagram);

/* quarantine.c: data of a notify under the member's SA. */
enum { QUARANTINE_PER_SECOND_MAX = 200 };
void quarantine_notice(struct core *core, const struct isakmp_sa *sa, struct bytes data);

/* notices.c */
void notices_datagram(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                      struct bytes body);
/* A clear notify that answers the header, if one is due for the error. */
void notices_refuse(struct core *core, const struct ike_path *path, const struct isakmp_header *header,
                    uint16_t type);
/* A notify under the SA; *out views core->reply. */
err_t notices_protected(struct core *core, const struct isakmp_sa *sa, uint16_t type,
                        struct bytes *out) MUST_USE;

/* rekey_engine.c: drafts and signing keys; push_engine.c: what is on the wire. */
void rekey_engine_tick(struct core *core, uint64_t *next_ms);
void rekey_engine_job_done(struct core *core, struct job *job);
void rekey_engine_applied(struct core *core, const struct command *command,
                          const struct apply_result *result);
void rekey_engine_close(struct core *core);
struct group_work *group_work_find(struct core *core, uint32_t group_id); /* NULL: none yet */
struct group_work *group_work_of(struct core *core,
                                 uint32_t group_id); /* made if absent; NULL: no room (groups removed) */

void push_engine_ack(struct core *core, const struct ike_path *path, struct bytes datagram);
/* A REKEY was applied, or found going on: send its bytes. */
void push_engine_begin(struct core *core, const struct ks_group *group);
void push_engine_member(struct core *core, const struct ks_group *group, const struct ks_member *member);
void push_engine_member_gone(struct core *core, uint32_t group_id, const struct ks_member *member);
void push_engine_over(struct core *core, const struct apply_result *result);
void push_engine_tick(struct core *core, uint64_t *next_ms);
/* No longer primary: stop sending. */
void push_engine_stop(struct core *core, struct group_work *work);

/* engine_watch.c */
extern const char engine_fault_worker[];
void engine_watch_tick(struct core *core);
/* To the pool, counted. E_FULL: not taken, the job stays the caller's. */
err_t core_compute(struct core *core, struct job *job) MUST_USE;
void engine_watch_job_back(struct core *core);

/* signing.c */
/* The signing key of a version, opened: the current, or the one before while a KEK needs it. NULL if the
 * state has it not (any more). Borrowed. */
struct signer *signing_find(struct core *core, uint32_t version);
void signing_tick(struct core *core);
void signing_job_done(struct core *core, struct job *job);
void signing_applied(struct core *core, const struct command *command, const struct apply_result *result);
void signing_close(struct core *core);

/* minority.c */
void minority_look(struct core *core); /* at the beginning of each entry */
/* How members of the group are to be told keys; CONTACT_NONE: not at all. */
enum ks_contact minority_contact(const struct core *core, const struct ks_group *group);
void minority_keep(struct core *core, const struct cmd_member_served *command);
void minority_tick(struct core *core);
void minority_close(struct core *core);

/* state_sync.c */
void state_sync_tick(struct core *core);
void state_sync_want(struct core *core);
/* The pre-shared key for an address, unwrapped. E_NOT_FOUND, or what the unwrapping says. */
err_t state_psk(const struct core *core, const struct addr *peer, struct secret *out) MUST_USE;

#endif

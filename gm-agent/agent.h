/* agent.h - the group member as a pure core: (state, event, now) -> effects. It decides when to register and
 * with whom, takes rekeys, answers them, and says what the data path must do. No clock, no I/O; log lines go
 * out by event(). Keys are kept until they end, whatever happens to a registration meanwhile (fail-close
 * comes only then). */
#ifndef GM_AGENT_AGENT_H
#define GM_AGENT_AGENT_H

#include "gm-agent/datapath.h"
#include "gm-agent/registration.h"
#include "gm-agent/rekey_listen.h"
#include "gm-agent/tek_table.h"

enum {
    AGENT_SEND_MAX = 6,            /* datagrams of one step */
    AGENT_REGISTER_GAP_MS = 1000,  /* shortest time between the starts of two rounds over the server list */
    AGENT_DELETE_JITTER_MS = 5000, /* after deleted keys all members come at once, or rather not */
    AGENT_UNSUPPORTED_RETRY_MS = 600000, /* a policy that we cannot do is not asked for every minute */
    AGENT_REFUSAL_GAP_MS = 60000,        /* between two words about rekeys that we cannot do */
    AGENT_APPLY_RETRY_MS = 5000,         /* the data path refused: try again */
    AGENT_BACKOFF_DOUBLINGS_MAX = 12,
    AGENT_LOG_LINES_MAX = 5, /* of refused rekeys, a second */
};

enum rekey_transport { REKEY_TRANSPORT_NONE, REKEY_TRANSPORT_UNICAST, REKEY_TRANSPORT_MULTICAST };

enum agent_event_kind {
    AGENT_EVENT_START,
    AGENT_EVENT_TIMER,
    AGENT_EVENT_DATAGRAM, /* from, datagram */
    AGENT_EVENT_DH_DONE,  /* job (consumed), job_id */
    AGENT_EVENT_APPLIED,  /* answer to effects.apply: err, why */
    AGENT_EVENT_DEVICES,  /* the machine's devices or addresses have changed */
    AGENT_EVENT_CLEAR,    /* the operator: drop the keys and register again */
    AGENT_EVENT_STOP,
};

struct agent_event {
    enum agent_event_kind kind;
    struct endpoint from;
    struct bytes datagram;
    struct dh_job *job;
    uint64_t job_id;
    err_t err;
    const char *why;
};

struct agent_send {
    struct endpoint to;
    size_t len;
    uint8_t data[ISAKMP_MESSAGE_MAX];
};

struct agent_effects {
    struct agent_send sends[AGENT_SEND_MAX];
    size_t send_count;
    bool compute; /* run the job, give it back as DH_DONE with its id */
    struct dh_job job;
    uint64_t job_id;
    bool apply;          /* make the data path as agent_datapath_state says, then APPLIED */
    uint64_t wake_at_ms; /* TIMER is due then; TIME_NEVER */
};

struct agent_stats {
    uint32_t attempts; /* registrations begun, one per server */
    uint32_t registrations;
    uint32_t failures;
    uint32_t rekeys;       /* taken, since start */
    uint32_t rekeys_since; /* taken since the latest registration */
    uint32_t acks;
    uint32_t repeated;
    uint32_t replayed;
    uint32_t refused; /* rekeys that were not genuine or not understood */
    uint32_t unknown_kek;
    uint32_t strays; /* datagrams of no exchange of ours */
    struct endpoint last_rekey_from;
    uint32_t last_rekey_seq;
    uint64_t last_rekey_ms; /* monotonic; 0: none */
};

struct agent {
    const struct gm_config *config;
    const struct rng *rng;
    err_t (*check)(const struct group_policy *policy, const char **why);

    /* registration */
    struct registration reg;
    uint64_t job_id;        /* of the computation that is out; others come too late */
    size_t server;          /* index into the list, while registering */
    unsigned failed_rounds; /* over the whole list, in a row */
    uint64_t round_started_ms;
    uint64_t next_round_ms; /* TIME_NEVER: none is due */
    bool refused_policy;    /* in this round a server had a policy that we cannot do */
    uint64_t told_ms; /* monotonic: when a key server was last told of a rekey that we cannot do; 0: never */
    bool ipv6_refused; /* the latest policy that names IPv6 was one that we cannot do: see datapath_state.ipv6_closed */
    bool registered;  /* have policy and keys of some server */
    bool stopped;
    struct endpoint registered_with;
    uint64_t registered_ms;
    uint64_t reregister_ms; /* before the keys end */
    bool announce;          /* say that the registration is installed */
    enum rekey_transport transport;

    /* the phase-1 SA behind the latest registration: for DPD, Delete and our own Delete at the end */
    struct isakmp_sa idle_sa;
    struct endpoint idle_peer;
    uint64_t idle_until_ms;

    /* keys and policy */
    struct rekey_listen listen;
    struct tek_table teks;
    struct selector selectors[POLICY_SELECTOR_MAX];
    size_t selector_count;
    uint16_t sid_bits;
    uint32_t sids[POLICY_SID_MAX];
    size_t sid_count;
    struct group_clock clock; /* pseudotime of the group */
    uint32_t time_window_ms;  /* 0: the group has no time-based anti-replay */
    bool apply_failed;
    uint64_t apply_retry_ms;

    /* the acknowledgement that waits: for the data path, then for its jitter */
    struct endpoint ack_to;
    size_t ack_len;
    uint8_t ack[PUSH_ACK_LEN_MAX];
    bool ack_applied;
    uint64_t ack_at_ms;

    uint64_t log_second_ms;
    unsigned log_lines;
    struct agent_stats stats;
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct registration_effects reg_effects;
};

/* config and rng outlive the agent. check: what the data path can do. */
void agent_init(struct agent *agent, const struct gm_config *config, const struct rng *rng,
                err_t (*check)(const struct group_policy *policy, const char **why));
void agent_close(struct agent *agent);
/* *out is filled anew. A job in it belongs to the caller. */
void agent_step(struct agent *agent, const struct agent_event *event, uint64_t now_ms,
                struct agent_effects *out);
/* What the data path must be; borrows the agent. */
void agent_datapath_state(const struct agent *agent, struct datapath_state *out);
/* 0 when nothing is due; else milliseconds from now. */
uint64_t agent_reregisters_in_ms(const struct agent *agent, uint64_t now_ms);

#endif

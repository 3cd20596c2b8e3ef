/* ike_table.h - phase-1 SAs and what runs under them, at the key server. Not replicated; owned by the loop
 * thread. An SA is known by an id that is never reused: jobs and commits carry it and look it up again.
 *
 * An SA that only waits is small: its keys packed behind each other, about 300 octets in all. What an
 * exchange needs (answers for repeats) is made when a message comes and freed WORK_IDLE_MS after the last one;
 * a pull is freed as soon as it is over. Packed keys stay in locked memory like any secret, and are wiped when freed. */
#ifndef SERVER_IKE_TABLE_H
#define SERVER_IKE_TABLE_H

#include "base/map.h"
#include "proto/gdoi/pull_server.h"
#include "proto/ike/answer_cache.h"
#include "proto/ike/main_mode.h"

enum {
    SA_MAX = 65536,            /* SAs, half-open ones included; beyond, the one that was idle longest goes */
    SA_PER_PEER_MAX = 8,       /* SAs of one address that are established: a NAT in front, or restarts */
    PULL_PER_SA_MAX = 2,       /* pulls at once under one SA; the older one goes */
    HALF_OPEN_MS = 30000,      /* from message 1 to message 5 */
    HALF_OPEN_YOUNG_MS = 2000, /* a full table drops no negotiation younger than that */
    WORK_IDLE_MS = 15000,      /* answers are kept for repeats that long */
    SWEEP_STEP = 4096,         /* slots looked at in one sweep */
};

/* Where a message came from, so where its answer goes. local: our address that it was sent to (family 0:
 * unknown). marker: it stood behind a non-ESP marker, so the answer will. */
struct ike_path {
    struct endpoint peer;
    struct addr local;
    bool marker;
};

/* A request that is being worked on elsewhere, kept for its answer. */
struct ike_request {
    uint8_t *data;
    size_t len;
    struct ike_path path;
};
err_t ike_request_set(struct ike_request *request, const struct ike_path *path,
                      struct bytes datagram) MUST_USE;
struct bytes ike_request_view(const struct ike_request *request);
void ike_request_close(struct ike_request *request);

struct ike_pull {
    bool committing; /* message 3 proposed, its fate open; request holds it */
    struct pull_server pull;
    struct pull_server before; /* as it was before message 3: comes back when the commit is lost */
    uint32_t group_id;
    uint32_t generation; /* told in message 2 */
    uint32_t seq;
    uint64_t last_ms;
    struct ike_request request;
};

struct ike_half {
    struct main_mode mm;
    struct ike_request request; /* message 3, while the pool computes */
    uint64_t begun_ms;
    err_t last_error;
    bool reported;
    uint8_t start_key[COOKIE_LEN + sizeof(struct endpoint)];
};

struct ike_sa;
struct ike_work {
    struct answer_cache cache;
    struct ike_pull *pulls[PULL_PER_SA_MAX]; /* NULL: free; most are over as soon as they have begun */
    uint64_t last_ms;
    bool listed; /* established SAs only */
    struct ike_sa *sa;
    struct ike_work *prev, *next; /* by last use */
};

struct ike_keys; /* packed */

struct ike_sa {
    uint64_t id;
    struct addr peer; /* does not change */
    uint8_t cookies[2 * COOKIE_LEN];
    struct ike_half *half;      /* NULL once established */
    struct ike_keys *keys;      /* NULL before */
    struct ike_work *work;      /* NULL when idle */
    uint64_t expires_ms;        /* established */
    struct ike_sa *prev, *next; /* half open: by age; established: by last use */
    struct ike_sa *peer_next;   /* established, same peer, newest first */
};

struct ike_list {
    struct ike_sa *first, *last;
};

struct ike_slot {
    struct ike_sa *sa;
    uint32_t generation;
};

struct ike_table {
    struct ike_slot *slots;
    size_t slot_cap;
    uint32_t free_hint;
    size_t sweep_at;
    size_t count;
    size_t half_count;
    struct ike_list half;        /* oldest first */
    struct ike_list established; /* idle longest first */
    struct ike_work *work_first, *work_last;
    struct map by_cookies;
    struct map by_start; /* half open: initiator cookie and end point */
    struct map by_peer;  /* established: address -> newest SA */
};

void ike_table_init(struct ike_table *table, const uint64_t seed[2]);
void ike_table_close(struct ike_table *table);

/* A responder's half-open SA. E_FULL, E_NO_MEMORY, or what main_mode_responder_init says. */
err_t ike_table_begin(struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                      const struct endpoint *peer, const struct mm_params *params, uint64_t now_ms,
                      struct ike_sa **out) MUST_USE;
/* The main mode of sa is done: pack its SA, forget the negotiation. On an error the SA is gone. */
err_t ike_table_establish(struct ike_table *table, struct ike_sa *sa, uint64_t now_ms) MUST_USE;
void ike_table_remove(struct ike_table *table, struct ike_sa *sa);

struct ike_sa *ike_table_find(const struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                              const uint8_t cookie_r[COOKIE_LEN]); /* or NULL */
struct ike_sa *ike_table_find_start(const struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                                    const struct endpoint *peer);
struct ike_sa *ike_table_by_id(const struct ike_table *table, uint64_t id);
/* The newest established SA of an address; go on with ->peer_next. */
struct ike_sa *ike_table_of_peer(const struct ike_table *table, const struct addr *peer);

/* A message under sa: move it behind the others, and have its work (made if absent). NULL: out of memory. */
struct ike_work *ike_table_use(struct ike_table *table, struct ike_sa *sa, uint64_t now_ms);
/* The pull with that message id, or NULL. */
struct ike_pull *ike_work_pull(const struct ike_work *work, uint32_t message_id);
/* Keeps a copy of a new pull. Without a free place that of the one that was quiet longest: one that waits for its commit stays,
 * unless all do. E_NO_MEMORY: nothing is changed. */
err_t ike_work_keep(struct ike_work *work, const struct ike_pull *fresh) MUST_USE;
/* It is over: wiped and freed. */
void ike_work_end(struct ike_work *work, const struct ike_pull *pull);
/* Established SA in its full form; the caller closes it. */
void ike_sa_open(const struct ike_sa *sa, struct isakmp_sa *out);
bool ike_sa_peer_is(const struct ike_sa *sa, const struct identity *identity);

/* The oldest negotiation if its time is over, else NULL: report and remove it, ask again. */
struct ike_sa *ike_table_overdue(const struct ike_table *table, uint64_t now_ms);
/* Frees idle work and expired SAs, a bounded number of them. */
void ike_table_sweep(struct ike_table *table, uint64_t now_ms);

#endif

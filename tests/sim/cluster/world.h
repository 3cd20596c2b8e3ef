/* world.h - key servers in one process: raft_node and ks_state over a simulated disk and a simulated net, in
 * virtual time. The same seed gives the same run. After every step it is checked that
 *   - no term has two leaders,
 *   - every node applies the same entry at the same index,
 *   - a group's sequence number only grows and is used once (I2), and no SPI and no sender id is given twice,
 *   - what was acknowledged is applied on every node in the end, and then all states hash equal.
 * A violation prints the seed and exits. */
#ifndef TESTS_SIM_CLUSTER_WORLD_H
#define TESTS_SIM_CLUSTER_WORLD_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/coop.h"
#include "cluster/raft_node.h"
#include "cluster/rekey_plan.h"
#include "cluster/wal.h"

enum {
    SIM_NODE_MAX = 3,
    LOG_MAX = 4000,
    NET_MAX = 4096,
    WRITE_MAX = 2048,
    SPI_MAX = LOG_MAX,
    ACK_MAX = LOG_MAX,
    SIM_ELECTION_MS = 300,
    SIM_HEARTBEAT_MS = 60,
    SIM_SNAPSHOT_EVERY = 60,
    SIM_TRAILING = 10,
    GROUP_ONE = 1,
    SIM_FORWARD_MAX = 32, /* forwarded commands that a node waits for */
    SIM_REQUEST_MAX = 1 << 14,
    SIM_EPOCH_MAX = 1024,
    SIM_HEALTH_MS = 150,
    SIM_AGAIN_MS = 400,
    SIM_LIMIT_MS = 5000,
};

struct sim_entry {
    uint64_t term;
    uint8_t kind;
    uint8_t *data;
    size_t len;
};

/* What survives a crash. */
struct sim_disk {
    uint64_t term;
    uint64_t vote;
    uint64_t first; /* index of entries[0] */
    size_t count;
    struct sim_entry entries[LOG_MAX];
    struct snapshot_meta snapshot; /* index 0: none */
    uint8_t *stream;
    size_t stream_len;
};

/* On its way to the disk; one at a time reaches it. */
struct sim_write {
    uint64_t done_ms;
    uint64_t first;
    size_t count;
    struct sim_entry entries[RAFT_APPEND_MAX];
    bool install;
    bool own_snapshot;
    struct snapshot_meta meta;
    uint8_t *stream;
    size_t stream_len;
};

/* A command that was sent to the leader; a crash forgets it. */
struct sim_forward {
    uint64_t request;
    uint64_t sent_ms, limit_ms;
    uint8_t *data;
    size_t len;
};

struct sim_node {
    unsigned at;
    uint64_t id;
    uint8_t node_id[NODE_ID_LEN];
    bool up;
    uint64_t wake_ms; /* when down: restart; when up: timer */
    struct raft_node *raft;
    struct ks_state state;
    uint64_t applied;
    uint8_t *history; /* every applied entry as len u32, data: the snapshot's stream */
    size_t history_len;
    struct sim_disk disk;
    struct sim_write *writes[WRITE_MAX];
    size_t write_count;
    bool snapshotting;
    struct sim_forward forwards[SIM_FORWARD_MAX];
    size_t forward_count;
    uint64_t request; /* last number given */
    uint64_t health_ms, leader_since_ms;
    bool led;
    struct coop_sign signs[SIM_NODE_MAX];
};

enum sim_kind { SIM_RAFT, SIM_FORWARD, SIM_HEALTH };

struct sim_message {
    uint64_t at_ms;
    enum sim_kind kind;
    uint64_t request; /* of a forwarded command */
    unsigned from, to;
    uint8_t *body;
    size_t len;
    uint8_t *stream;
    size_t stream_len;
};

struct sim_ack {
    uint64_t index;
    uint64_t hash;
};

struct world {
    uint64_t seed;
    struct rng_seeded seeded;
    struct rng rng;
    uint64_t now_ms;
    unsigned count;
    struct sim_node *nodes[SIM_NODE_MAX];
    struct sim_message net[NET_MAX];
    size_t net_count;
    unsigned loss_percent, dup_percent, delay_ms;
    uint32_t disk_ms[SIM_NODE_MAX]; /* a write takes up to so long */
    bool cut[SIM_NODE_MAX][SIM_NODE_MAX];
    bool calm; /* no more faults: everything must come together */
    uint64_t leader_of_term[LOG_MAX];
    uint64_t hash_at[LOG_MAX]; /* of the entry applied at each index, by whoever was first */
    uint64_t last_applied;
    uint32_t seq_at_index[LOG_MAX]; /* group's seq after it */
    uint64_t spi_index[SPI_MAX];
    uint32_t spis[SPI_MAX];
    size_t spi_count;
    uint64_t sid_index[1 << 16]; /* entry that gave each sender id of the epoch, 0 none */
    struct sim_ack acks[ACK_MAX];
    size_t ack_count;
    struct sim_ack proposed[SIM_NODE_MAX]
                           [LOG_MAX]; /* by index: what this node submitted as leader, not yet applied */
    uint64_t trace;                   /* digest of what happened */
    uint8_t primary_of_epoch[SIM_EPOCH_MAX]; /* node + 1; 0: none yet */
    uint64_t
        done_requests[SIM_REQUEST_MAX]; /* numbers that were applied, each node's apart by its low bits */
    uint64_t done_at[SIM_REQUEST_MAX];  /* entry that did */
    size_t done_count;
    unsigned crashes, elections, installs, forwards, repeats, primaries;
};

#define CHECK(w, condition)                                                                                  \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ms: %s:%d: %s\n", (w)->seed, (w)->now_ms,       \
                    __FILE__, __LINE__, #condition);                                                         \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)
#define CHECK_OK(w, expression) CHECK(w, (expression) == E_OK)

static inline uint32_t sim_below(struct world *w, uint32_t bound)
{
    uint32_t v;
    CHECK_OK(w, rng_fill(&w->rng, (uint8_t *)&v, sizeof(v)));
    return v % bound;
}

static inline bool sim_chance(struct world *w, unsigned percent)
{
    return sim_below(w, 100) < percent;
}

static inline uint64_t sim_hash(const void *data, size_t len, uint64_t hash)
{
    static const uint64_t seed[2] = {3, 4};
    return map_hash(seed, (struct bytes){data, len}) + hash * 31;
}

static inline void sim_note(struct world *w, uint64_t what)
{
    w->trace = w->trace * 1099511628211u + what + w->now_ms;
}

static inline uint8_t *sim_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len + 1);
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    return copy;
}

/* ---- applying ---- */

static inline void check_rekey(struct world *w, struct sim_node *n, const struct command *c, uint64_t index)
{
    const struct cmd_rekey *r = &c->u.rekey;
    (void)n;
    for (size_t i = 0; i < w->spi_count; i++)
        CHECK(w, w->spis[i] != r->tek.spi || w->spi_index[i] == index);
    CHECK(w, w->spi_count < SPI_MAX);
    w->spis[w->spi_count] = r->tek.spi;
    w->spi_index[w->spi_count++] = index;
}

static inline void check_sids(struct world *w, const struct ks_member *m, uint64_t index)
{
    for (uint32_t i = 0; i < m->record.sid_count; i++) {
        uint32_t sid = m->record.first_sid + i;
        CHECK(w, sid < 1 << 16);
        CHECK(w, w->sid_index[sid] == 0 || w->sid_index[sid] == index);
        w->sid_index[sid] = index;
    }
}

/* A forwarded command takes effect at one index, whoever applies it and however often it was sent. */
static inline void check_request(struct world *w, uint64_t request, uint64_t index)
{
    for (size_t i = w->done_count; i-- > 0;) {
        if (w->done_requests[i] != request)
            continue;
        CHECK(w, w->done_at[i] == index);
        return;
    }
    CHECK(w, w->done_count < SIM_REQUEST_MAX);
    w->done_requests[w->done_count] = request;
    w->done_at[w->done_count++] = index;
    w->forwards++;
}

static inline void check_epoch(struct world *w, const struct ks_state *state)
{
    uint32_t epoch = state->cluster.coop_epoch;
    uint8_t who = state->cluster.primary_id[0];
    CHECK(w, epoch < SIM_EPOCH_MAX && who > 0);
    CHECK(w, w->primary_of_epoch[epoch] == 0 || w->primary_of_epoch[epoch] == who);
    w->primaries += w->primary_of_epoch[epoch] == 0;
    w->primary_of_epoch[epoch] = who;
}

/* Own forwarded commands up to request have found their end. */
static inline void end_forwards(struct world *w, struct sim_node *n, uint64_t request, uint64_t index,
                                uint64_t hash)
{
    size_t kept = 0;
    for (size_t i = 0; i < n->forward_count; i++) {
        struct sim_forward *f = &n->forwards[i];
        if (f->request > request) {
            n->forwards[kept++] = *f;
            continue;
        }
        if (f->request == request && index != 0) {
            CHECK(w, w->ack_count < ACK_MAX);
            w->acks[w->ack_count++] = (struct sim_ack){index, hash};
        }
        free(f->data);
    }
    n->forward_count = kept;
}

/* An entry: u32 length | origin: 0, or 1 + node u8 + request u64 | command. */
static inline void apply_data(struct world *w, struct sim_node *n, uint64_t index, struct bytes data,
                              uint64_t hash)
{
    struct reader r = reader_over(data);
    uint32_t len = read_u32(&r);
    struct reader body = reader_over(read_bytes(&r, len));
    struct command c;
    struct apply_result result;
    uint64_t request = 0;
    uint8_t from = 0;
    if (read_u8(&body) == 1) {
        from = read_u8(&body);
        request = read_u64(&body);
        uint8_t id[NODE_ID_LEN];
        CHECK(w, from < w->count);
        memcpy(id, w->nodes[from]->node_id, NODE_ID_LEN);
        if (!ks_state_take_request(&n->state, NULL, id, request)) {
            w->repeats++;
            return;
        }
        if (ks_state_node(&n->state, id) != NULL)
            check_request(w, request << 2 | from, index);
    }
    CHECK_OK(w, command_decode(&body, &c));
    const struct ks_group *group = ks_state_group(&n->state, GROUP_ONE);
    uint32_t before = group != NULL ? group->record.seq : 0;
    uint32_t epoch = n->state.cluster.coop_epoch;
    CHECK_OK(w, ks_state_apply(&n->state, &c, NULL, &result, NULL, NULL));
    group = ks_state_group(&n->state, GROUP_ONE);
    uint32_t after = group != NULL ? group->record.seq : 0;
    CHECK(w, after == before || (after == before + 1 && c.type == CMD_REKEY && result.err == E_OK));
    CHECK(w, n->state.cluster.coop_epoch == epoch ||
                 (c.type == CMD_ELECT && n->state.cluster.coop_epoch == epoch + 1));
    if (c.type == CMD_ELECT && result.err == E_OK)
        check_epoch(w, &n->state);
    if (c.type == CMD_REKEY && result.err == E_OK) { /* I4 */
        CHECK(w, c.u.rekey.epoch == n->state.cluster.coop_epoch);
        check_rekey(w, n, &c, index);
    }
    if (c.type == CMD_MEMBER_REGISTERED && result.err == E_OK)
        check_sids(w, result.member, index);
    command_close(&c);
    if (request != 0 && from == n->at)
        end_forwards(w, n, request, index, hash);
}

static inline void apply_entry(struct world *w, struct sim_node *n, uint64_t index, uint8_t kind,
                               struct bytes data)
{
    CHECK(w, index < LOG_MAX && index == n->applied + 1);
    uint64_t hash = sim_hash(data.data, data.len, kind) | 1;
    CHECK(w, w->hash_at[index] == 0 || w->hash_at[index] == hash);
    w->hash_at[index] = hash;
    if (kind == ENTRY_COMMAND)
        apply_data(w, n, index, data, hash);
    const struct ks_group *group = ks_state_group(&n->state, GROUP_ONE);
    uint32_t seq = group != NULL ? group->record.seq : 0;
    CHECK(w, index > w->last_applied || w->seq_at_index[index] == seq);
    w->seq_at_index[index] = seq;
    if (index > w->last_applied)
        w->last_applied = index;
    n->applied = index;
    n->history = realloc(n->history, n->history_len + 5 + data.len);
    struct writer h = writer_over(n->history + n->history_len, 5 + data.len);
    write_u8(&h, kind);
    write_u32(&h, (uint32_t)data.len);
    write_bytes(&h, data);
    n->history_len += h.len;
    struct sim_ack *mine = &w->proposed[n->at][index];
    if (mine->index == index && mine->hash == hash) {
        CHECK(w, w->ack_count < ACK_MAX);
        w->acks[w->ack_count++] = *mine;
    }
    *mine = (struct sim_ack){0};
}

static inline void empty_state(struct sim_node *n)
{
    memset(n->signs, 0, sizeof(n->signs));
    const uint64_t seed[2] = {n->id, 1};
    ks_state_close(&n->state);
    ks_state_init(&n->state, seed);
    n->applied = 0;
    free(n->history);
    n->history = NULL;
    n->history_len = 0;
}

/* A snapshot is the history: restoring is applying it again, which the checks of apply_entry watch too. */
static inline void restore(struct world *w, struct sim_node *n, struct bytes stream)
{
    empty_state(n);
    struct reader r = reader_over(stream);
    for (uint64_t index = 1; reader_left(&r) > 0; index++) {
        uint8_t kind = read_u8(&r);
        uint32_t len = read_u32(&r);
        apply_entry(w, n, index, kind, read_bytes(&r, len));
    }
    CHECK_OK(w, reader_end(&r));
}

#endif

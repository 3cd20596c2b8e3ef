/* rig.h - a key server's core in a box: its own clock, randomness, network, pool and replicated state.
 * Nothing here sleeps or opens a socket. Its members are in member.h. */
#ifndef TESTS_UNIT_SERVER_RIG_H
#define TESTS_UNIT_SERVER_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "server/core.h"
#ifdef RIG_PLAIN /* a fuzz target: no cmocka, no failing allocations; a broken promise aborts */
#define assert_true(x) ((x) ? (void)0 : abort())
#define assert_false(x) assert_true(!(x))
#define assert_ok(x) assert_true((x) == E_OK)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_non_null(x) assert_true((x) != NULL)
#define fail_msg(...) abort()
#define __real_malloc malloc
#define heap_fault_after(n) ((void)(n))
#define heap_fault_hit() false
#define heap_fault_left() (-1L)
#else
#include "tests/lib/test.h"
void *__real_malloc(size_t size); /* of the linker's --wrap: the rig's own memory never fails */
#endif

enum {
    RIG_WIRE_MAX = 4096,
    RIG_JOB_MAX = 256,
    RIG_PROPOSAL_MAX = 1024,
    RIG_STEPS_MAX = 2000,
    RIG_START_MS = 5000000,
};

#define RIG_PSK "a long random secret for branch 13"

struct rig_datagram {
    struct ike_path path; /* the peer's end */
    size_t len;
    uint8_t *data;
};

struct rig_proposal {
    uint8_t *encoded;
    size_t len;
    cluster_done_fn done;
    void *context;
};

enum rig_commit { RIG_COMMIT, RIG_HOLD, RIG_LOSE };

struct rig {
    uint64_t mono_ms;
    struct clock clock;
    struct rng_seeded seeded;
    struct rng rng;
    struct ksd_config config;
    struct config_psk psks[4];
    struct group_config groups[2];
    struct ks_state state;
    struct wrap_key wrap;
    uint8_t node_id[NODE_ID_LEN];
    bool primary;
    enum ks_contact contact;
    struct core *core;
    enum rig_commit commit;
    err_t propose_error; /* what propose answers at once */
    bool hold_jobs;
    bool pool_full;
    struct rig_datagram wire[RIG_WIRE_MAX]; /* from the server */
    size_t wire_count;
    struct job *jobs[RIG_JOB_MAX];
    size_t job_count;
    struct rig_proposal proposals[RIG_PROPOSAL_MAX];
    size_t proposal_count;
    size_t many_limit; /* what send_many takes at most at once; 0: all */
    bool many_stuck;   /* it takes none */
    size_t many_count; /* datagrams by send_many so far */
    size_t applied[CMD_MEMBER_QUARANTINED + 1];
    long fault; /* the allocation inside the core that fails, counted down; -1: none */
    bool fault_hit;
};

/* Allocation failures count only while the core runs; callbacks out of it are the rig's. */
static inline void rig_core_enter(struct rig *rig)
{
    heap_fault_after(rig->fault);
}

static inline void rig_core_leave(struct rig *rig)
{
    if (rig->fault >= 0 && heap_fault_hit()) {
        rig->fault_hit = true;
        rig->fault = -1;
    } else if (rig->fault >= 0) {
        rig->fault = heap_fault_left();
    }
    heap_fault_after(-1);
}

static inline uint64_t rig_mono(void *context)
{
    return ((struct rig *)context)->mono_ms;
}

static inline uint64_t rig_wall(void *context)
{
    return 1700000000000u + ((struct rig *)context)->mono_ms;
}

static inline void rig_send(void *context, const struct ike_path *path, struct bytes datagram)
{
    struct rig *rig = context;
    assert_true(rig->wire_count < RIG_WIRE_MAX);
    assert_true(datagram.len > 0);
    struct rig_datagram *d = &rig->wire[rig->wire_count++];
    *d = (struct rig_datagram){*path, datagram.len, __real_malloc(datagram.len)};
    memcpy(d->data, datagram.data, datagram.len);
}

static inline size_t rig_send_many(void *context, const struct addr *local, struct bytes datagram,
                                   const struct endpoint *to, size_t count)
{
    struct rig *rig = context;
    if (rig->many_stuck)
        return 0;
    if (rig->many_limit != 0 && count > rig->many_limit)
        count = rig->many_limit;
    for (size_t i = 0; i < count; i++)
        rig_send(rig, &(struct ike_path){.peer = to[i], .local = *local}, datagram);
    rig->many_count += count;
    return count;
}

static inline err_t rig_compute(void *context, struct job *job)
{
    struct rig *rig = context;
    if (rig->pool_full || rig->job_count == RIG_JOB_MAX)
        return E_FULL;
    rig->jobs[rig->job_count++] = job;
    return E_OK;
}

static inline err_t rig_propose(void *context, const struct command *command, cluster_done_fn done,
                                void *done_context)
{
    struct rig *rig = context;
    static uint8_t buf[BATCH_LEN_MAX];
    if (rig->propose_error != E_OK)
        return rig->propose_error;
    assert_true(rig->proposal_count < RIG_PROPOSAL_MAX);
    struct writer w = writer_over(buf, sizeof(buf));
    err_t err = command_encode(&w, command);
    if (err != E_OK)
        return E_LIMIT;
    struct rig_proposal *p = &rig->proposals[rig->proposal_count++];
    *p = (struct rig_proposal){__real_malloc(w.len), w.len, done, done_context};
    memcpy(p->encoded, buf, w.len);
    return E_OK;
}

static inline const struct ks_state *rig_state(void *context)
{
    return &((struct rig *)context)->state;
}

static inline const struct wrap_key *rig_wrap(void *context)
{
    return &((struct rig *)context)->wrap;
}

static inline bool rig_is_primary(void *context)
{
    return ((struct rig *)context)->primary;
}

static inline enum ks_contact rig_contact(void *context)
{
    return ((struct rig *)context)->contact;
}

static inline const uint8_t *rig_node_id(void *context)
{
    return ((struct rig *)context)->node_id;
}

static inline void rig_removed(void *context, const struct ks_group *group, const struct ks_member *member)
{
    core_member_removed(((struct rig *)context)->core, group, member);
}

static inline void rig_apply(struct rig *rig, const struct command *command, cluster_done_fn done,
                             void *context)
{
    struct apply_result result;
    assert_ok(
        ks_state_apply(&rig->state, command, NULL, &result, rig->core != NULL ? rig_removed : NULL, rig));
    if (result.err == E_OK)
        rig->applied[command->type]++;
    rig_core_enter(rig);
    if (done != NULL)
        done(context, &result);
    if (rig->core != NULL)
        core_applied(rig->core, command, &result);
    rig_core_leave(rig);
}

/* What stands in the queue now is committed, or its fate stays unknown. */
static inline size_t rig_commit_all(struct rig *rig, bool lose)
{
    size_t count = rig->proposal_count;
    struct rig_proposal *now = malloc((count != 0 ? count : 1) * sizeof(*now));
    memcpy(now, rig->proposals, count * sizeof(*now));
    rig->proposal_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (lose) {
            struct apply_result lost = {.err = E_NO_QUORUM};
            now[i].done(now[i].context, &lost);
        } else {
            struct command command;
            struct reader r = reader_over((struct bytes){now[i].encoded, now[i].len});
            assert_ok(command_decode(&r, &command));
            rig_apply(rig, &command, now[i].done, now[i].context);
            command_close(&command);
        }
        free(now[i].encoded);
    }
    free(now);
    return count;
}

static inline size_t rig_run_jobs(struct rig *rig)
{
    size_t count = rig->job_count;
    struct job *now[RIG_JOB_MAX];
    memcpy(now, rig->jobs, count * sizeof(now[0]));
    rig->job_count = 0;
    for (size_t i = 0; i < count; i++) {
        job_run(now[i]);
        rig_core_enter(rig);
        core_job_done(rig->core, now[i]);
        rig_core_leave(rig);
    }
    return count;
}

/* Pool and cluster work until both are quiet. The wire is left as it is. */
static inline void rig_settle(struct rig *rig)
{
    for (int i = 0; i < RIG_STEPS_MAX; i++) {
        size_t work = 0;
        if (core_wake_ms(rig->core) <= rig->mono_ms) {
            rig_core_enter(rig);
            core_tick(rig->core);
            rig_core_leave(rig);
            work++;
        }
        if (!rig->hold_jobs)
            work += rig_run_jobs(rig);
        if (rig->commit != RIG_HOLD)
            work += rig_commit_all(rig, rig->commit == RIG_LOSE);
        if (work == 0)
            return;
    }
    fail_msg("the core does not come to rest");
}

/* Time passes as the loop would let it: each wake-up in turn. */
static inline void rig_pass(struct rig *rig, uint64_t ms)
{
    uint64_t end = rig->mono_ms + ms;
    rig_settle(rig);
    while (core_wake_ms(rig->core) <= end) {
        uint64_t wake = core_wake_ms(rig->core);
        if (wake > rig->mono_ms)
            rig->mono_ms = wake;
        rig_settle(rig);
    }
    rig->mono_ms = end;
    rig_settle(rig);
}

static inline struct group_config rig_group(const char *name, uint32_t number)
{
    struct group_config group = {.identity = identity_from_number(number),
                                 .server_addr = addr_v4(10, 1, 11, 2),
                                 .kek_lifetime_s = 86400,
                                 .tek_lifetime_s = 7200,
                                 .retransmit_s = 10,
                                 .retransmit_count = 2,
                                 .kek_cipher = CIPHER_AES_CBC_256,
                                 .sig_hash = HASH_SHA256,
                                 .ack = KEK_ACK_SHA256,
                                 .suite = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
                                 .activation_s = 10,
                                 .deactivation_s = 30,
                                 .selector_count = 1};
    snprintf(group.name, sizeof(group.name), "%s", name);
    assert_ok(prefix_parse(&group.selectors[0].src, "192.168.0.0/16"));
    assert_ok(prefix_parse(&group.selectors[0].dst, "192.168.0.0/16"));
    return group;
}

static inline void rig_open_core(struct rig *rig)
{
    struct core_options options = {.config = &rig->config,
                                   .clock = &rig->clock,
                                   .rng = &rig->rng,
                                   .ports = {.context = rig,
                                             .send = rig_send,
                                             .send_many = rig_send_many,
                                             .compute = rig_compute,
                                             .propose = rig_propose,
                                             .state = rig_state,
                                             .wrap_key = rig_wrap,
                                             .is_primary = rig_is_primary,
                                             .cluster_now_ms = rig_wall,
                                             .node_id = rig_node_id,
                                             .contact = rig_contact}};
    assert_ok(core_open(&rig->core, &options));
}

/* Group G1 (3333) for everyone with a key; keys for 10.1.13.2, 10.1.14.0/24 and 10.2.0.0/16. Nothing
 * committed but the cluster. */
static inline struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    rig->mono_ms = RIG_START_MS;
    rig->fault = -1;
    rig->clock = (struct clock){rig_mono, rig_wall, rig};
    rig->rng = rng_seeded_init(&rig->seeded, 7);
    rig->primary = true;
    rig->contact = CONTACT_WHOLE;
    memset(rig->node_id, 0x11, sizeof(rig->node_id));
    uint8_t key[KEYWRAP_KEY_LEN];
    memset(key, 0x22, sizeof(key));
    rig->wrap.version = 1;
    assert_ok(secret_set(&rig->wrap.key, BYTES_OF(key)));
    rig->config = (struct ksd_config){.path = "ksd.conf",
                                      .listen = {addr_v4(10, 1, 11, 2), GDOI_PORT},
                                      .minority_serve_s = MINORITY_SERVE_DEFAULT,
                                      .half_open_max = 64,
                                      .rate_per_s = 20,
                                      .rate_burst = 60,
                                      .sign_alg = SIGN_ECDSA_256,
                                      .psks = rig->psks,
                                      .psk_count = 3,
                                      .groups = rig->groups,
                                      .group_count = 1};
    ike_policy_default(&rig->config.ike);
    rig->config.ike.lifetime_s = 1200;
    static const char *const peers[] = {"10.1.13.2", "10.1.14.0/24", "10.2.0.0/16"};
    for (size_t i = 0; i < 3; i++) {
        assert_ok(prefix_parse(&rig->psks[i].peer, peers[i]));
        assert_ok(secret_set(&rig->psks[i].secret, bytes_of_text(RIG_PSK)));
    }
    rig->groups[0] = rig_group("G1", 3333);
    ks_state_init(&rig->state, (const uint64_t[2]){1, 2});
    struct command init = {.type = CMD_CLUSTER_INIT, .time_ms = rig_wall(rig)};
    memset(init.u.cluster_init.cluster_id, 0x33, CLUSTER_ID_LEN);
    rig_apply(rig, &init, NULL, NULL);
    struct command elect = {.type = CMD_ELECT, .time_ms = rig_wall(rig), .u.elect.epoch = 1};
    memcpy(elect.u.elect.primary_id, rig->node_id, NODE_ID_LEN);
    rig_apply(rig, &elect, NULL, NULL);
    rig_open_core(rig);
    return rig;
}

/* Signing key, groups, keys: all committed. */
static inline struct rig *rig_ready(void)
{
    struct rig *rig = rig_new();
    core_ready(rig->core, true);
    rig_settle(rig);
    rig_pass(rig, 2000);
    assert_non_null(ks_state_group_by_name(&rig->state, "G1"));
    assert_true(ks_state_group_by_name(&rig->state, "G1")->record.has_kek);
    return rig;
}

static inline void rig_wire_clear(struct rig *rig)
{
    for (size_t i = 0; i < rig->wire_count; i++)
        free(rig->wire[i].data);
    rig->wire_count = 0;
}

/* The process dies: nothing that is under way comes back. The replicated state stays. */
static inline void rig_kill_core(struct rig *rig)
{
    for (size_t i = 0; i < rig->job_count; i++)
        job_free(rig->jobs[i]);
    rig->job_count = 0;
    rig_commit_all(rig, true);
    for (size_t i = 0; i < rig->job_count; i++)
        job_free(rig->jobs[i]);
    rig->job_count = 0;
    rig_commit_all(rig, true);
    core_free(rig->core);
    rig->core = NULL;
    rig_wire_clear(rig);
}

static inline void rig_free(struct rig *rig)
{
    rig_kill_core(rig);
    ks_state_close(&rig->state);
    secret_close(&rig->wrap.key);
    free(rig);
}

static inline const struct ks_group *rig_g1(const struct rig *rig)
{
    return ks_state_group_by_name(&rig->state, "G1");
}

static inline uint64_t rig_metric(const struct rig *rig, enum metric metric)
{
    return metrics_get(core_metrics(rig->core), metric);
}

/* A datagram from an end point to the server. */
static inline void rig_in(struct rig *rig, const struct endpoint *from, struct bytes datagram)
{
    struct ike_path path = {.peer = *from, .local = rig->config.listen.addr};
    uint8_t *exact = malloc(datagram.len != 0 ? datagram.len : 1); /* ASan sees a read past the end */
    if (datagram.len != 0)
        memcpy(exact, datagram.data, datagram.len);
    rig_core_enter(rig);
    core_datagram(rig->core, &path, (struct bytes){exact, datagram.len});
    rig_core_leave(rig);
    free(exact);
}

/* The oldest datagram for an end point, taken off the wire into buf; false if there is none. */
static inline bool rig_out(struct rig *rig, const struct endpoint *to, uint8_t *buf, struct bytes *out)
{
    for (size_t i = 0; i < rig->wire_count; i++) {
        struct rig_datagram d = rig->wire[i];
        if (!endpoint_equal(&d.path.peer, to))
            continue;
        memmove(&rig->wire[i], &rig->wire[i + 1], (rig->wire_count - i - 1) * sizeof(d));
        rig->wire_count--;
        assert_true(d.len <= ISAKMP_MESSAGE_MAX);
        memcpy(buf, d.data, d.len);
        free(d.data);
        *out = (struct bytes){buf, d.len};
        return true;
    }
    return false;
}

static inline size_t rig_waiting(const struct rig *rig, const struct endpoint *to)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->wire_count; i++)
        count += endpoint_equal(&rig->wire[i].path.peer, to);
    return count;
}

/* ---- what was logged since ---- */

static uint64_t rig_events[EVENT_COUNT];

static inline void events_mark(void)
{
    for (int i = 0; i < EVENT_COUNT; i++)
        rig_events[i] = event_count((enum event_id)i);
}
#define events_since(name) (event_count(EV_##name) - rig_events[EV_##name])

#endif

/* world.h - a member's core, key servers made of the server side of proto/, and the network between them, in
 * one process with its own clock and randomness. Packets can be lost, doubled and delayed. Nothing sleeps:
 * time jumps to what is due next. */
#ifndef TESTS_UNIT_GM_AGENT_WORLD_H
#define TESTS_UNIT_GM_AGENT_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "gm-agent/agent.h"
#include "proto/gdoi/pull_server.h"
#include "proto/gdoi/push.h"
#include "proto/gdoi/push_ack.h"
#include "proto/gdoi/quarantine.h"
#include "proto/ike/answer_cache.h"
#include "proto/ike/main_mode.h"
#include "tests/lib/test.h"

enum { WORLD_SERVERS = 3, WORLD_FLIGHT_MAX = 256, WORLD_LATENCY_MS = 5, WORLD_STEPS_MAX = 200000 };

struct world;

struct ks {
    struct world *world;
    struct endpoint address;
    bool dead;    /* says nothing */
    bool refuses; /* a protected notify instead of PULL message 2 */
    bool wrong_psk;
    bool clear_refusal; /* a clear notify instead of main mode message 2 */
    struct main_mode mm;
    struct isakmp_sa sa;
    struct pull_server pull;
    struct answer_cache cache;
    unsigned exchanges; /* main modes begun */
    unsigned deletes;   /* phase-1 Deletes received */
    unsigned refusals;  /* words that it cannot do the policy */
    char refusal[QUARANTINE_REASON_MAX];
    unsigned registered;
};

struct flight {
    bool used;
    uint64_t due_ms;
    struct endpoint from, to;
    uint8_t *data; /* heap, exact size: AddressSanitizer sees a read past the end */
    size_t len;
};

struct ack_seen {
    unsigned count;
    uint32_t last_seq;
    uint64_t last_ms;
    unsigned bad;
};

struct world {
    uint64_t now_ms;
    struct rng_seeded seeded;
    struct rng rng;
    struct rng_seeded net_seeded;
    struct rng net_rng;
    struct gm_config config;
    struct ike_policy ike;
    struct agent agent;
    struct agent_effects effects;
    struct ks ks[WORLD_SERVERS];
    struct flight flights[WORLD_FLIGHT_MAX];
    unsigned lose_per_mille, double_per_mille;
    uint64_t extra_latency_ms; /* random on top: reorders */
    unsigned sent_by_agent;
    uint64_t attempts_ms[1000]; /* when main mode message 1 was first seen, by any server */
    unsigned attempt_count;

    /* the group, as the key servers have it */
    struct group_policy policy;
    uint32_t seq;
    struct sign_key *sign_key;
    uint8_t public_key[SIGN_PUBLIC_MAX];
    size_t public_len;
    struct kek ack_keks[8]; /* every KEK so far, to check acknowledgements */
    size_t ack_kek_count;
    struct ack_seen acks;

    /* out of memory: in the agent's step number fault_step, at allocation fault_at */
    bool fault;
    unsigned step, fault_step;
    long fault_at;
    bool fault_hit;

    /* what the data path was told */
    unsigned applies;
    err_t apply_err;
    bool has_out;
    uint32_t out_spi;
    uint32_t in_spis[TEK_TABLE_MAX];
    size_t in_count;
    size_t selector_count;
    bool closed;
    bool ipv6_closed;
    uint32_t time_window_ms;
    struct group_clock clock;
    uint32_t sid;
    size_t sid_count;
};

static inline uint64_t world_random(struct world *w, uint64_t bound)
{
    uint64_t value = 0;
    assert_ok(rng_fill(&w->net_rng, (uint8_t *)&value, sizeof(value)));
    return value % bound;
}

static inline void world_put(struct world *w, const struct endpoint *from, const struct endpoint *to,
                             struct bytes datagram, uint64_t due_ms)
{
    for (size_t i = 0; i < WORLD_FLIGHT_MAX; i++) {
        struct flight *f = &w->flights[i];
        if (f->used)
            continue;
        f->used = true;
        f->due_ms = due_ms;
        f->from = *from;
        f->to = *to;
        f->data = malloc(datagram.len != 0 ? datagram.len : 1);
        assert_non_null(f->data);
        memcpy(f->data, datagram.data, datagram.len);
        f->len = datagram.len;
        return;
    }
    fail_msg("too many packets in flight");
}

static inline void world_send(struct world *w, const struct endpoint *from, const struct endpoint *to,
                              struct bytes datagram)
{
    unsigned copies = world_random(w, 1000) < w->double_per_mille ? 2 : 1;
    if (datagram.len == 0)
        return;
    for (unsigned i = 0; i < copies; i++) {
        if (world_random(w, 1000) < w->lose_per_mille)
            continue;
        uint64_t extra = w->extra_latency_ms != 0 ? world_random(w, w->extra_latency_ms) : 0;
        world_put(w, from, to, datagram, w->now_ms + WORLD_LATENCY_MS + extra);
    }
}

/* --- the agent's shell --- */

static inline void world_event(struct world *w, const struct agent_event *event);

static inline void world_apply(struct world *w)
{
    struct datapath_state state;
    agent_datapath_state(&w->agent, &state);
    w->applies++;
    if (w->apply_err == E_OK) {
        w->has_out = state.out != NULL;
        w->out_spi = state.out != NULL ? state.out->spi : 0;
        w->in_count = state.in_count;
        for (size_t i = 0; i < state.in_count; i++)
            w->in_spis[i] = state.in[i]->spi;
        w->selector_count = state.selector_count;
        w->closed = state.closed;
        w->ipv6_closed = state.ipv6_closed;
        w->time_window_ms = state.time_window_ms;
        w->clock = state.clock;
        w->sid_count = state.sid_count;
        w->sid = state.sid_count != 0 ? state.sids[0] : 0;
    }
    world_event(w, &(struct agent_event){.kind = AGENT_EVENT_APPLIED, .err = w->apply_err, .why = "test"});
}

static inline void world_event(struct world *w, const struct agent_event *event)
{
    struct dh_job job;
    if (w->fault && w->step++ == w->fault_step)
        heap_fault_after(w->fault_at);
    agent_step(&w->agent, event, w->now_ms, &w->effects);
    w->fault_hit |= heap_fault_hit() != 0;
    heap_fault_after(-1);
    for (size_t i = 0; i < w->effects.send_count; i++) {
        struct agent_send *send = &w->effects.sends[i];
        w->sent_by_agent++;
        world_send(w, &w->config.local, &send->to, (struct bytes){send->data, send->len});
    }
    if (w->effects.compute) {
        uint64_t id = w->effects.job_id;
        job = w->effects.job;
        memset(&w->effects.job, 0, sizeof(w->effects.job));
        bool apply = w->effects.apply;
        dh_job_run(&job);
        world_event(w, &(struct agent_event){.kind = AGENT_EVENT_DH_DONE, .job = &job, .job_id = id});
        w->effects.apply |= apply;
    }
    if (w->effects.apply) {
        w->effects.apply = false;
        world_apply(w);
    }
}

#include "world_ks.h"

/* GM_TRACE=1 in the environment shows the log lines of a failing test. */
static inline void world_trace(void)
{
    if (getenv("GM_TRACE") != NULL)
        assert_ok(event_add_sink(event_sink_stderr, NULL));
}

/* --- time --- */

static inline struct flight *world_next_flight(struct world *w)
{
    struct flight *next = NULL;
    for (size_t i = 0; i < WORLD_FLIGHT_MAX; i++)
        if (w->flights[i].used && (next == NULL || w->flights[i].due_ms < next->due_ms))
            next = &w->flights[i];
    return next;
}

static inline void world_arrive(struct world *w, struct flight *f)
{
    struct flight got = *f;
    f->used = false;
    struct bytes datagram = {got.data, got.len};
    if (endpoint_equal(&got.to, &w->config.local)) {
        world_event(
            w, &(struct agent_event){.kind = AGENT_EVENT_DATAGRAM, .from = got.from, .datagram = datagram});
    } else {
        for (size_t i = 0; i < WORLD_SERVERS; i++)
            if (endpoint_equal(&got.to, &w->ks[i].address))
                ks_datagram(&w->ks[i], &got.from, datagram);
    }
    free(got.data);
}

/* Runs until that much time has passed. */
static inline void world_run(struct world *w, uint64_t ms)
{
    uint64_t end_ms = w->now_ms + ms;
    for (unsigned steps = 0;; steps++) {
        if (steps == WORLD_STEPS_MAX)
            fail_msg("a tight loop at %llu ms", (unsigned long long)w->now_ms);
        struct flight *f = world_next_flight(w);
        uint64_t wake_ms = w->effects.wake_at_ms;
        uint64_t flight_ms = f != NULL ? f->due_ms : TIME_NEVER;
        uint64_t next_ms = wake_ms < flight_ms ? wake_ms : flight_ms;
        if (next_ms > end_ms) {
            w->now_ms = end_ms;
            return;
        }
        if (next_ms > w->now_ms)
            w->now_ms = next_ms;
        if (f != NULL && flight_ms <= wake_ms)
            world_arrive(w, f);
        else
            world_event(w, &(struct agent_event){.kind = AGENT_EVENT_TIMER});
    }
}

/* --- the group --- */

static inline void world_fill(struct world *w, struct secret *out, size_t len)
{
    uint8_t raw[SECRET_LEN_MAX];
    assert_ok(rng_fill(&w->net_rng, raw, len));
    assert_ok(secret_set(out, (struct bytes){raw, len}));
}

static inline struct tek world_tek(struct world *w, uint32_t spi, uint32_t lifetime_s)
{
    struct tek tek = {.spi = spi, .lifetime_s = lifetime_s};
    tek.suite = (struct esp_suite){ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    world_fill(w, &tek.key, 32);
    world_fill(w, &tek.integrity, 32);
    return tek;
}

static inline struct tek world_gcm_tek(struct world *w, uint32_t spi, uint32_t lifetime_s)
{
    struct tek tek = {.spi = spi, .lifetime_s = lifetime_s};
    tek.suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    world_fill(w, &tek.key, 36);
    return tek;
}

static inline struct kek world_kek(struct world *w, uint32_t lifetime_s)
{
    struct kek kek = {.cipher = CIPHER_AES_CBC_256,
                      .lifetime_s = lifetime_s,
                      .sig_hash = HASH_SHA256,
                      .sig_alg = sign_key_alg(w->sign_key),
                      .sig_key_bits = (uint16_t)sign_key_bits(w->sign_key),
                      .ack = KEK_ACK_SHA256};
    do
        assert_ok(rng_fill(&w->net_rng, kek.spi, KEK_SPI_LEN));
    while (!kek_spi_usable(kek.spi));
    world_fill(w, &kek.iv_key, 48);
    kek.public_len = (uint16_t)w->public_len;
    memcpy(kek.public_key, w->public_key, w->public_len);
    assert_in_range(w->ack_kek_count, 0, 7);
    w->ack_keks[w->ack_kek_count++] = kek;
    return kek;
}

static inline struct selector world_selector(const char *src, const char *dst)
{
    struct selector s = {0};
    assert_ok(prefix_parse(&s.src, src));
    assert_ok(prefix_parse(&s.dst, dst));
    return s;
}

static inline void world_push_content(struct world *w, const struct kek *kek,
                                      const struct push_content *content, struct writer *out)
{
    struct gdoi_dialect dialect = {0};
    assert_ok(push_build(kek, w->sign_key, &dialect, content, out));
}

/* A rekey with one more TEK, under the current KEK, from server 0. The bytes are in out. */
static inline struct bytes world_rekey(struct world *w, const struct tek *tek,
                                       uint8_t out[ISAKMP_MESSAGE_MAX])
{
    struct group_policy policy = {.has_delays = w->policy.has_delays,
                                  .activation_s = w->policy.activation_s,
                                  .deactivation_s = w->policy.deactivation_s,
                                  .time = w->policy.time};
    policy.teks[policy.tek_count++] = *tek;
    memcpy(policy.selectors, w->policy.selectors, sizeof(policy.selectors));
    policy.selector_count = w->policy.selector_count;
    struct push_content content = {.seq = ++w->seq, .policy = &policy};
    struct writer writer = writer_over(out, ISAKMP_MESSAGE_MAX);
    world_push_content(w, &w->policy.kek, &content, &writer);
    group_policy_close(&policy);
    return writer_bytes(&writer);
}

static inline void world_push(struct world *w, struct bytes datagram)
{
    world_send(w, &w->ks[0].address, &w->config.local, datagram);
}

static inline bool world_receives(const struct world *w, uint32_t spi)
{
    for (size_t i = 0; i < w->in_count; i++)
        if (w->in_spis[i] == spi)
            return true;
    return false;
}

static inline void world_config(struct world *w, size_t servers)
{
    struct gm_config *c = &w->config;
    strcpy(c->group_name, "G1");
    c->group = identity_from_number(3333);
    c->local = (struct endpoint){addr_v4(10, 1, 20, 2), 848};
    c->server_count = servers;
    assert_ok(secret_set(&c->psk, world_psk(false)));
    ike_policy_default(&w->ike);
    assert_ok(ike_policy_add(&c->ike, "aes256-sha256-ecp256"));
    c->ike.lifetime_s = 86400;
    c->datapath.backend = GM_BACKEND_USER;
    c->datapath.time_attribute = SAT_ATTR_REPLAY_DEFAULT;
    c->reregister_before_s = 60;
    c->retry_first_s = 2;
    c->retry_max_s = 60;
    c->request_timeout_s = 10;
    c->retransmit_ms = 500;
    for (size_t i = 0; i < WORLD_SERVERS; i++) {
        w->ks[i].world = w;
        w->ks[i].address = (struct endpoint){addr_v4(10, 1, (uint8_t)(11 + i), 2), 848};
        c->servers[i] = w->ks[i].address;
    }
}

/* A group of one TEK (spi 0x1001, 3600 s), a KEK of 86400 s, ATD 15 s, DTD 30 s, and a member that has not
 * begun yet. */
static inline struct world *world_open(uint64_t seed, size_t servers)
{
    struct world *w = calloc(1, sizeof(*w));
    uint8_t private_key[SIGN_PRIVATE_MAX];
    size_t private_len = 0;
    assert_non_null(w);
    w->now_ms = 1000000;
    w->rng = rng_seeded_init(&w->seeded, seed);
    w->net_rng = rng_seeded_init(&w->net_seeded, seed + 1);
    world_config(w, servers);
    assert_ok(sign_key_make(SIGN_ECDSA_256, 0, private_key, &private_len, w->public_key, &w->public_len));
    assert_ok(sign_key_open((struct bytes){private_key, private_len}, &w->sign_key));
    w->policy.has_kek = true;
    w->policy.kek = world_kek(w, 86400);
    w->policy.rekey_src = w->ks[0].address;
    w->policy.rekey_dst = (struct endpoint){addr_v4(0, 0, 0, 0), 848};
    w->policy.has_delays = true;
    w->policy.activation_s = 15;
    w->policy.deactivation_s = 30;
    w->policy.teks[w->policy.tek_count++] = world_tek(w, 0x1001, 3600);
    w->policy.selectors[w->policy.selector_count++] = world_selector("192.168.13.0/24", "192.168.14.0/24");
    w->policy.selectors[w->policy.selector_count++] = world_selector("192.168.14.0/24", "192.168.13.0/24");
    agent_init(&w->agent, &w->config, &w->rng, datapath_user_check);
    return w;
}

static inline void world_start(struct world *w)
{
    world_event(w, &(struct agent_event){.kind = AGENT_EVENT_START});
}

/* Registered, with 1 s gone. */
static inline struct world *world_registered(uint64_t seed)
{
    struct world *w = world_open(seed, 1);
    world_start(w);
    world_run(w, 1000);
    assert_true(w->agent.registered);
    return w;
}

static inline void world_close(struct world *w)
{
    for (size_t i = 0; i < WORLD_FLIGHT_MAX; i++)
        if (w->flights[i].used)
            free(w->flights[i].data);
    for (size_t i = 0; i < WORLD_SERVERS; i++) {
        main_mode_close(&w->ks[i].mm);
        isakmp_sa_close(&w->ks[i].sa);
        pull_server_close(&w->ks[i].pull);
        answer_cache_close(&w->ks[i].cache);
    }
    agent_close(&w->agent);
    sign_key_free(w->sign_key);
    free(w);
}

#endif

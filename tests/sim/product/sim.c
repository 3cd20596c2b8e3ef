#include "tests/sim/product/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/map.h"

enum { PAUSE_LOOK_MS = 100 };

void sim_violation(struct sim *sim, const char *invariant, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "\nseed %llu%s%s: %s violated at %llu ms: ", (unsigned long long)sim->seed,
            sim->plant != PLANT_NONE ? " with planted " : "",
            sim->plant != PLANT_NONE ? plant_name(sim->plant) : "", invariant,
            (unsigned long long)sim->now_ms);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n  again with: tests/sim/run --seed %llu --trace%s%s\n", (unsigned long long)sim->seed,
            sim->plant != PLANT_NONE ? " --plant " : "",
            sim->plant != PLANT_NONE ? plant_name(sim->plant) : "");
    va_end(args);
    sim_remove_tree(sim->dir);
    fflush(stdout);
    /* A planted bug is to be found by what it breaks. */
    _exit(sim->plant == PLANT_NONE || strcmp(invariant, plant_name(sim->plant)) == 0 ? 3 : 4);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    va_list args;
    if (!sim->trace)
        return;
    va_start(args, format);
    printf("%8llu ", (unsigned long long)sim->now_ms);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

uint64_t sim_random(struct sim *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t sim_below(struct sim *sim, uint32_t bound)
{
    return bound == 0 ? 0 : (uint32_t)(sim_random(sim) % bound);
}

uint64_t sim_hash(const void *data, size_t len, uint64_t before)
{
    const uint64_t seed[2] = {before, 4};
    return map_hash(seed, (struct bytes){data, len}) | 1;
}

void *sim_alloc(size_t size)
{
    void *p = calloc(1, size);
    if (p == NULL)
        abort();
    return p;
}

uint8_t *sim_copy(struct bytes b)
{
    uint8_t *copy = malloc(b.len != 0 ? b.len : 1); /* exact: AddressSanitizer sees a read past the end */
    if (copy == NULL)
        abort();
    if (b.len > 0)
        memcpy(copy, b.data, b.len);
    return copy;
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void push(struct sim *sim, struct sim_event event)
{
    if (sim->heap_count == sim->heap_cap) {
        sim->heap_cap = sim->heap_cap * 2 + 256;
        sim->heap = realloc(sim->heap, sim->heap_cap * sizeof(*sim->heap));
        if (sim->heap == NULL)
            abort();
    }
    event.order = ++sim->order;
    size_t at = sim->heap_count++;
    while (at > 0 && before(&event, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = event;
}

static struct sim_event pop(struct sim *sim)
{
    struct sim_event top = sim->heap[0], last = sim->heap[--sim->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= sim->heap_count)
            break;
        if (child + 1 < sim->heap_count && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &last))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = last;
    return top;
}

static uint32_t lifetime_of(const struct sim *sim, int end)
{
    if (end < 0)
        return 0;
    return end < SIM_SERVER_MAX ? sim->servers[end].lifetime : sim->members[end - SIM_SERVER_MAX].lifetime;
}

void sim_at(struct sim *sim, uint64_t at_ms, int end, sim_fn fn, void *arg)
{
    push(sim, (struct sim_event){
                  .at_ms = at_ms, .fn = fn, .arg = arg, .end = end, .lifetime = lifetime_of(sim, end)});
}

void sim_at_any(struct sim *sim, uint64_t at_ms, int end, sim_fn fn, void *arg)
{
    push(sim, (struct sim_event){.at_ms = at_ms, .fn = fn, .arg = arg, .end = end});
}

bool sim_step(struct sim *sim, uint64_t until_ms)
{
    if (sim->heap_count == 0 || sim->heap[0].at_ms > until_ms)
        return false;
    struct sim_event event = pop(sim);
    if (event.at_ms > sim->now_ms)
        sim->now_ms = event.at_ms;
    /* A stopped process sleeps through it. */
    if (event.end >= 0 && event.end < SIM_SERVER_MAX &&
        sim->servers[event.end].paused_until_ms > sim->now_ms) {
        /* In steps, for a pause may end early; all in the same ones, so that their order stays. */
        event.at_ms = (sim->now_ms / PAUSE_LOOK_MS + 1) * PAUSE_LOOK_MS;
        if (event.at_ms > sim->servers[event.end].paused_until_ms)
            event.at_ms = sim->servers[event.end].paused_until_ms;
        push(sim, event);
        return true;
    }
    bool live = event.lifetime == 0 || event.lifetime == lifetime_of(sim, event.end);
    event.fn(sim, event.arg, live);
    sim->counts.events++;
    if (live)
        check_step(sim, event.end);
    return true;
}

void sim_run(struct sim *sim, uint64_t until_ms)
{
    while (sim_step(sim, until_ms)) {
    }
    sim->now_ms = until_ms;
}

/* ---- a run ---- */

/* Short lives, so that a run sees many keys; a counter mode or not. */
static void make_group(struct sim *sim)
{
    uint8_t raw[24];
    bool counter = sim_chance(sim, 500) && !sim->quiet;
    sim->group = (struct group_config){.name = SIM_GROUP,
                                       .identity = identity_from_number(sim_group_number),
                                       .server_addr = addr_v4(10, 1, 11, 2),
                                       .kek_lifetime_s = SIM_KEK_S,
                                       .tek_lifetime_s = SIM_TEK_S,
                                       .retransmit_s = SIM_RETRANSMIT_S,
                                       .retransmit_count = SIM_RETRANSMITS,
                                       .kek_cipher = CIPHER_AES_CBC_128,
                                       .sig_hash = HASH_SHA256,
                                       .ack = KEK_ACK_SHA256,
                                       .suite = {ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
                                       .activation_s = SIM_ACTIVATION_S,
                                       .deactivation_s = SIM_ACTIVATION_S + 2,
                                       .short_lifetimes = true,
                                       .selector_count = 1};
    if (sim->quiet)
        sim->group.kek_lifetime_s = 3600; /* no rekey ahead of its time */
    if (counter) {
        sim->group.suite = (struct esp_suite){ESP_AES_GCM_16, 128, AUTH_NONE};
        sim->group.sid_bits = 8;
    } else {
        sim->group.runway = (uint8_t)sim_below(sim, RUNWAY_MAX + 1);
        if (sim->quiet && sim->group.runway < 3)
            sim->group.runway = 3; /* for as long as the split */
    }
    if (sim_chance(sim, 500)) { /* time-based anti-replay */
        sim->group.replay_window_ms = 5000;
        sim->group.replay_attribute = SAT_ATTR_PRIVATE_MIN;
    }
    for (size_t i = 0; i < sizeof(raw); i++)
        raw[i] = (uint8_t)sim_random(sim);
    err_t err = prefix_parse(&sim->group.selectors[0].src, "192.168.0.0/16");
    sim->group.selectors[0].dst = sim->group.selectors[0].src;
    if (err == E_OK)
        err = prefix_parse(&sim->psk.peer, "10.1.20.0/24");
    if (err == E_OK)
        err = secret_set(&sim->psk.secret, BYTES_OF(raw));
    if (err != E_OK)
        abort();
}

static void make_world(struct sim *sim)
{
    static const char *const places[] = {"/dev/shm", "/tmp"};
    const char *place = access(places[0], W_OK) == 0 ? places[0] : places[1];
    snprintf(sim->dir, sizeof(sim->dir), "%s/quorate-sim-XXXXXX", place);
    if (mkdtemp(sim->dir) == NULL)
        abort();
    sim->server_count = sim_chance(sim, 750) ? 3 : 5;
    sim->member_count = 2 + sim_below(sim, SIM_MEMBER_MAX - 1);
    sim->by_file = sim_chance(sim, 250);
    static const uint32_t bounds[] = {MINORITY_SERVE_DEFAULT, 6, 9, 0};
    sim->serve_s = bounds[sim_below(sim, 4)];
    sim->now_ms = 1000;
    sim->delay_ms = 5;
    sim->calm = true; /* until it is formed */
    sim->quiet = sim_chance(sim, 250);
    if (sim->quiet) {
        sim->serve_s = sim_chance(sim, 650) ? MINORITY_SERVE_DEFAULT : 6;
        split_draw_sides(sim);
    }
    make_group(sim);
    for (unsigned i = 0; i < sim->server_count; i++)
        server_init(sim, (int)i);
    for (unsigned i = 0; i < sim->member_count; i++)
        member_init(sim, (int)i);
    upgrade_init(sim);
    link_init(sim);
}

static void on_token(void *context, const struct apply_result *result)
{
    *(int *)context = result->err == E_OK ? 1 : -1;
}

#define SIM_UNTIL(sim, condition)                                                                            \
    do {                                                                                                     \
        uint64_t limit_ = (sim)->now_ms + 30000;                                                             \
        while (!(condition) && sim_step((sim), limit_)) {                                                    \
        }                                                                                                    \
        SIM_CHECK((sim), "formation", (condition), "never: %s", #condition);                                 \
    } while (0)

static void join(struct sim *sim, struct sim_server *server, struct sim_server *by)
{
    int made = 0;
    err_t err = cluster_token_make(by->cluster, JOIN_VOTER, server->token, on_token, &made);
    SIM_CHECK(sim, "formation", err == E_OK, "no token: %s", err_text(err));
    shell_turn_soon(by);
    SIM_UNTIL(sim, made == 1);
    upgrade_before_join(server, by);
    server->join_at = (struct endpoint){by->addr, CLUSTER_PORT_DEFAULT + 1};
    SIM_CHECK(sim, "formation", server_boot(server), "a server cannot join");
    SIM_UNTIL(sim, server->ready);
}

static void on_set(void *context, const struct apply_result *result)
{
    *(int *)context = result->err == E_OK ? 1 : -1;
}

static void set_group(struct sim *sim)
{
    struct sim_server *first = &sim->servers[0];
    int psk = 0, group = 0;
    struct command command = {.type = CMD_PSK_SET, .time_ms = cluster_now_ms(first->cluster)};
    err_t err = ks_psk_seal(cluster_state(first->cluster), cluster_wrap_key(first->cluster), &first->rng,
                            &sim->psk.peer, secret_view(&sim->psk.secret), &command.u.psk_set.psk);
    if (err == E_OK)
        err = server_propose(first, &command, on_set, &psk);
    command = (struct command){.type = CMD_GROUP_SET, .time_ms = command.time_ms};
    command.u.group_set.config = sim->group;
    if (err == E_OK)
        err = server_propose(first, &command, on_set, &group);
    SIM_CHECK(sim, "formation", err == E_OK, "no group: %s", err_text(err));
    SIM_UNTIL(sim, psk == 1 && group == 1);
}

static const struct ks_group *group_at(const struct sim_server *server)
{
    return server->up ? ks_state_group_by_name(cluster_state(server->cluster), SIM_GROUP) : NULL;
}

static bool has_keys(const struct sim_server *server)
{
    const struct ks_group *group = group_at(server);
    return group != NULL && group->record.has_kek;
}

/* Three or five servers that know each other, a group with keys, and members that begin. */
static void form(struct sim *sim)
{
    struct sim_server *first = &sim->servers[0];
    SIM_CHECK(sim, "formation", server_boot(first), "the first server does not start");
    SIM_UNTIL(sim, first->ready && cluster_state(first->cluster)->node_count == 1);
    for (unsigned i = 1; i < sim->server_count; i++)
        join(sim, &sim->servers[i], &sim->servers[sim_below(sim, i)]);
    struct cluster_status status;
    SIM_UNTIL(sim, (cluster_status(first->cluster, &status), status.voters == sim->server_count));
    if (!sim->by_file)
        set_group(sim);
    SIM_UNTIL(sim, has_keys(first));
    sim->start_ms = sim->now_ms;
    for (unsigned i = 0; i < sim->member_count; i++)
        member_start(&sim->members[i]);
}

static void take_down(struct sim *sim)
{
    for (unsigned i = 0; i < sim->server_count; i++)
        server_close(&sim->servers[i]);
    for (unsigned i = 0; i < sim->member_count; i++)
        member_close(&sim->members[i]);
    while (sim->heap_count > 0) {
        struct sim_event event = pop(sim);
        event.fn(sim, event.arg, false);
    }
    link_close(sim);
    sim_remove_tree(sim->dir);
    secret_close(&sim->psk.secret);
    free(sim->heap);
    free(sim->commits);
    free(sim->hashes);
    free(sim->values);
    free(sim->clients);
}

static void storm(struct sim *sim)
{
    sim->calm = false;
    chaos_begin(sim);
    client_begin(sim);
    upgrade_begin(sim);
    sim_run(sim, sim->now_ms + SIM_STORM_MS);
    chaos_heal(sim);
    sim_run(sim, sim->now_ms + SIM_CALM_MS);
}

void sim_seed(uint64_t seed, enum sim_plant plant, bool trace, struct sim_counts *total, uint64_t *digest)
{
    struct sim *sim = sim_alloc(sizeof(*sim));
    sim->seed = seed;
    sim->random = seed * 0x2545f4914f6cdd1du + 1;
    sim->plant = plant;
    sim->trace = trace;
    make_world(sim);
    form(sim);
    minority_begin(sim);
    if (sim->quiet)
        split_run(sim);
    else
        storm(sim);
    client_finish(sim);
    check_end(sim);
    *digest = sim->digest;
    unsigned long *to = (unsigned long *)total, *from = (unsigned long *)&sim->counts;
    for (size_t i = 0; i < sizeof(*total) / sizeof(*to); i++)
        to[i] += from[i];
    take_down(sim);
    free(sim);
}

/* Runs many seeds: raft_sim_test [--seed N] [--count N] [--nodes 1|3]. Each prints its seed when something
 * breaks. */
#include "tests/sim/cluster/driver.h"

enum { SEEDS = 200, STORM_MS = 12000, CALM_MS = 8000, STEP_MAX = 400000 };

static struct wrap_key wrap = {.version = 1, .key = {.len = KEYWRAP_KEY_LEN, .data = {1, 2, 3}}};

/* ---- what the primary proposes ---- */

/* As an entry, when n leads. */
static void submit_entry(struct world *w, struct sim_node *n, unsigned from, uint64_t request,
                         struct bytes command)
{
    static uint8_t buf[80 * 1024];
    struct writer out = writer_over(buf, sizeof(buf));
    size_t length = write_reserve(&out, 4);
    write_u8(&out, request != 0);
    if (request != 0) {
        write_u8(&out, (uint8_t)from);
        write_u64(&out, request);
    }
    write_bytes(&out, command);
    writer_patch_u32(&out, length, (uint32_t)(out.len - 4));
    write_zeros(&out, (8 - out.len % 8) % 8);
    struct raft_node_update u;
    err_t err = raft_node_submit(n->raft, w->now_ms, ENTRY_COMMAND, writer_bytes(&out), &u);
    if (err == E_NOT_PRIMARY)
        return; /* handing leadership over */
    CHECK_OK(w, err);
    CHECK(w, u.first_index < LOG_MAX);
    if (request == 0)
        w->proposed[n->at][u.first_index] =
            (struct sim_ack){u.first_index, sim_hash(buf, out.len, ENTRY_COMMAND) | 1};
    take_update(w, n, &u);
    after_event(w, n);
}

static struct sim_node *leader_of(struct world *w, struct sim_node *n)
{
    uint64_t id = raft_node_leader(n->raft);
    for (unsigned i = 0; i < w->count; i++) {
        if (w->nodes[i]->id == id)
            return w->nodes[i];
    }
    return NULL;
}

static void send_forward(struct world *w, struct sim_node *n, struct sim_forward *f)
{
    struct sim_node *leader = leader_of(w, n);
    f->sent_ms = w->now_ms;
    if (leader == n)
        submit_entry(w, n, n->at, f->request, (struct bytes){f->data, f->len});
    else if (leader != NULL)
        sim_tell(w, n, leader->at, SIM_FORWARD, f->request, (struct bytes){f->data, f->len});
}

/* Over the leader, as cluster_forward.c does it. */
static void submit(struct world *w, struct sim_node *n, const struct command *c)
{
    static uint8_t buf[64 * 1024];
    struct writer out = writer_over(buf, sizeof(buf));
    CHECK_OK(w, command_encode(&out, c));
    if (raft_node_is_leader(n->raft)) {
        submit_entry(w, n, n->at, 0, writer_bytes(&out));
        return;
    }
    const struct node_record *self = ks_state_node(&n->state, n->node_id);
    if (self == NULL || n->forward_count == SIM_FORWARD_MAX)
        return;
    if (n->request == 0)
        n->request = w->now_ms << 20;
    if (self->request > n->request)
        n->request = self->request;
    struct sim_forward *f = &n->forwards[n->forward_count++];
    *f = (struct sim_forward){.request = ++n->request,
                              .limit_ms = w->now_ms + SIM_LIMIT_MS,
                              .data = sim_copy(writer_bytes(&out)),
                              .len = out.len};
    send_forward(w, n, f);
}

static void keep_forwards(struct world *w, struct sim_node *n)
{
    const struct node_record *self = ks_state_node(&n->state, n->node_id);
    uint64_t over = self != NULL ? self->request : 0;
    if (n->forward_count > 0 && n->forwards[0].limit_ms <= w->now_ms && n->forwards[0].request > over)
        over = n->forwards[0].request;
    end_forwards(w, n, over, 0, 0);
    if (n->forward_count == 0 || w->now_ms - n->forwards[0].sent_ms < SIM_AGAIN_MS)
        return;
    for (size_t i = 0; i < n->forward_count; i++) {
        uint64_t request = n->forwards[i].request;
        send_forward(w, n, &n->forwards[i]);
        if (i >= n->forward_count || n->forwards[i].request != request)
            return; /* a lone server has applied it meanwhile */
    }
}

static void propose_group(struct world *w, struct sim_node *n)
{
    struct command c = {.type = CMD_GROUP_SET, .time_ms = w->now_ms};
    struct group_config *config = &c.u.group_set.config;
    *config = (struct group_config){
        .name = "blue",
        .identity = identity_from_number(3333),
        .kek_lifetime_s = 86400,
        .tek_lifetime_s = 3600 + sim_below(w, 3),
        .kek_cipher = CIPHER_AES_CBC_128,
        .sig_hash = HASH_SHA256,
        .ack = KEK_ACK_SHA256,
        .suite = {ESP_AES_GCM_16, 128, AUTH_NONE},
        .sid_bits = 16,
    };
    submit(w, n, &c);
}

static void propose_rekey(struct world *w, struct sim_node *n, const struct ks_group *group)
{
    static const uint8_t push[] = "sealed";
    struct rekey_due due = {.group_id = GROUP_ONE,
                            .kind = group->record.has_kek ? REKEY_TEK + sim_below(w, 2) : REKEY_INITIAL};
    struct rekey_draft *draft;
    struct command c;
    if (rekey_draft_make(&n->state, &due, &wrap, &w->rng, w->now_ms, &draft) != E_OK)
        return;
    rekey_draft_command(draft, w->now_ms, &c);
    if (due.kind != REKEY_INITIAL)
        c.u.rekey.push = (struct bytes){push, sizeof(push)};
    rekey_draft_free(draft);
    submit(w, n, &c);
}

static void propose_member(struct world *w, struct sim_node *n, const struct ks_group *group)
{
    struct command c = {.type = CMD_MEMBER_REGISTERED, .time_ms = w->now_ms};
    c.u.member_registered = (struct cmd_member_registered){
        .group_id = GROUP_ONE,
        .identity = identity_from_number(1 + sim_below(w, 40)),
        .sid_request = (uint16_t)sim_below(w, 4),
        .offered_generation = group->record.generation,
        .offered_seq = group->record.seq,
    };
    submit(w, n, &c);
}

static bool elect(struct world *w, struct sim_node *n, struct command *c)
{
    n->signs[n->at].connected = true;
    n->signs[n->at].healthy_ms = w->now_ms;
    memcpy(n->signs[n->at].id, n->node_id, NODE_ID_LEN);
    c->type = CMD_ELECT;
    c->u.elect.epoch = n->state.cluster.coop_epoch + 1;
    return coop_elect(&n->state, n->signs, w->count, n->leader_since_ms, w->now_ms, COOP_DEAD_MS,
                      c->u.elect.primary_id);
}

/* The leader's own: names, nodes, elections. True if there was something. */
static bool keep_house(struct world *w, struct sim_node *n)
{
    struct command c = {.time_ms = w->now_ms};
    if (!raft_node_is_leader(n->raft)) {
        n->led = false;
        return false;
    }
    if (!n->led)
        n->leader_since_ms = w->now_ms;
    n->led = true;
    if (!n->state.initialised) {
        c.type = CMD_CLUSTER_INIT;
        c.u.cluster_init.cluster_id[0] = 5;
        submit(w, n, &c);
        return true;
    }
    for (unsigned i = 0; i < w->count; i++) {
        if (ks_state_node(&n->state, w->nodes[i]->node_id) != NULL)
            continue;
        c.type = CMD_NODE_SET;
        c.u.node_set.node = (struct node_record){.role = NODE_VOTER, .priority = (uint8_t)(10 + i)};
        memcpy(c.u.node_set.node.id, w->nodes[i]->node_id, NODE_ID_LEN);
        submit(w, n, &c);
        return true;
    }
    if (!elect(w, n, &c))
        return false;
    submit(w, n, &c);
    return true;
}

/* A node whose state is behind proposes nonsense now and then; apply must refuse it alike everywhere. */
static void propose(struct world *w, struct sim_node *n)
{
    const struct ks_group *group = ks_state_group(&n->state, GROUP_ONE);
    struct command c = {.time_ms = w->now_ms};
    if (keep_house(w, n) || !n->state.initialised)
        return;
    if (memcmp(n->state.cluster.primary_id, n->node_id, NODE_ID_LEN) != 0) {
        if (group != NULL && group->record.has_kek)
            propose_member(w, n, group); /* any server registers; only the primary makes keys */
    } else if (n->state.signing.version == 0) {
        c.type = CMD_SIGNING_KEY;
        c.u.signing_key.key = (struct signing_record){.version = 1, .alg = SIGN_RSA, .bits = 2048};
        submit(w, n, &c);
    } else if (group == NULL || sim_chance(w, 5)) {
        propose_group(w, n);
    } else if (!group->record.has_kek || (!group->pushing && sim_chance(w, 40))) {
        propose_rekey(w, n, group);
    } else if (group->pushing && sim_chance(w, 50)) {
        c.type = CMD_PUSH_DONE;
        c.u.push_done = (struct cmd_push_done){.group_id = GROUP_ONE, .seq = group->rekey.seq};
        submit(w, n, &c);
    } else {
        propose_member(w, n, group);
    }
}

/* ---- the run ---- */

static void deliver(struct world *w, size_t at)
{
    struct sim_message m = w->net[at];
    struct sim_node *n = w->nodes[m.to];
    w->net[at] = w->net[--w->net_count];
    if (n->up && m.kind == SIM_HEALTH) {
        n->signs[m.from].connected = true;
        n->signs[m.from].healthy_ms = w->now_ms;
        memcpy(n->signs[m.from].id, w->nodes[m.from]->node_id, NODE_ID_LEN);
    } else if (n->up && m.kind == SIM_FORWARD) {
        const struct node_record *from = ks_state_node(&n->state, w->nodes[m.from]->node_id);
        if (from != NULL && m.request > from->request && raft_node_is_leader(n->raft))
            submit_entry(w, n, m.from, m.request, (struct bytes){m.body, m.len});
    } else if (n->up) {
        struct raft_node_update u;
        err_t err = raft_node_receive(n->raft, w->now_ms, w->nodes[m.from]->id, (struct bytes){m.body, m.len},
                                      (struct bytes){m.stream, m.stream_len}, &u);
        CHECK_OK(w, err);
        take_update(w, n, &u);
        after_event(w, n);
    }
    free(m.body);
    free(m.stream);
}

static void fault(struct world *w)
{
    struct sim_node *n = w->nodes[sim_below(w, w->count)];
    switch (sim_below(w, 5)) {
    case 0:
        if (n->up)
            crash(w, n);
        return;
    case 1:
        for (unsigned a = 0; a < w->count; a++)
            for (unsigned b = 0; b < w->count; b++)
                w->cut[a][b] = a != b && sim_chance(w, 30); /* one-way cuts too */
        return;
    case 2:
        memset(w->cut, 0, sizeof(w->cut));
        return;
    case 3: /* a disk so slow that leaders change while a write is on its way */
        w->disk_ms[n->at] = sim_chance(w, 50) ? 30 : 100 + sim_below(w, 1500);
        return;
    default:
        w->loss_percent = sim_below(w, 11);
        w->dup_percent = sim_below(w, 6);
        w->delay_ms = 1 + sim_below(w, 60);
    }
}

/* Everything that is due at this millisecond, in a fixed order. Returns whether something happened. */
static bool step_now(struct world *w)
{
    bool any = false;
    for (size_t i = 0; i < w->net_count;) {
        if (w->net[i].at_ms > w->now_ms) {
            i++;
            continue;
        }
        deliver(w, i);
        any = true;
    }
    for (unsigned i = 0; i < w->count; i++) {
        struct sim_node *n = w->nodes[i];
        if (!n->up && n->wake_ms <= w->now_ms) {
            boot(w, n);
            any = true;
        }
        while (n->up && n->write_count > 0 && n->writes[0]->done_ms <= w->now_ms) {
            write_done(w, n);
            any = true;
        }
        if (n->up && n->wake_ms <= w->now_ms) {
            struct raft_node_update u;
            CHECK_OK(w, raft_node_timeout(n->raft, w->now_ms, &u));
            take_update(w, n, &u);
            after_event(w, n);
            any = true;
        }
    }
    return any;
}

static void run_until(struct world *w, uint64_t end_ms)
{
    for (unsigned steps = 0; w->now_ms < end_ms; steps++) {
        CHECK(w, steps < STEP_MAX);
        if (step_now(w) && sim_chance(w, 90))
            continue;
        w->now_ms++;
        for (unsigned i = 0; i < w->count; i++) {
            struct sim_node *n = w->nodes[i];
            if (n->up && w->now_ms >= n->health_ms) {
                n->health_ms = w->now_ms + SIM_HEALTH_MS;
                for (unsigned to = 0; to < w->count; to++) {
                    if (to != i)
                        sim_tell(w, n, to, SIM_HEALTH, 0, (struct bytes){0});
                }
                keep_forwards(w, n);
            }
            if (n->up && sim_chance(w, raft_node_is_leader(n->raft) ? 3 : 1))
                propose(w, n);
        }
        if (!w->calm && sim_below(w, 1000) < 4)
            fault(w);
    }
}

static struct world *make_world(uint64_t seed, unsigned count)
{
    struct world *w = calloc(1, sizeof(*w));
    uint64_t ids[SIM_NODE_MAX];
    uint8_t *conf;
    size_t conf_len;
    w->seed = seed;
    w->rng = rng_seeded_init(&w->seeded, seed);
    w->now_ms = 1000;
    w->count = count;
    w->delay_ms = 5;
    for (unsigned i = 0; i < count; i++)
        w->disk_ms[i] = 30;
    for (unsigned i = 0; i < count; i++)
        ids[i] = 101 + i;
    CHECK_OK(w, raft_node_bootstrap(ids, count, &conf, &conf_len));
    for (unsigned i = 0; i < count; i++) {
        struct sim_node *n = calloc(1, sizeof(*n));
        *n = (struct sim_node){.at = i, .id = ids[i], .node_id = {(uint8_t)(i + 1)}};
        n->disk.term = 1;
        n->disk.first = 1;
        n->disk.count = 1;
        n->disk.entries[0] =
            (struct sim_entry){1, ENTRY_CHANGE, sim_copy((struct bytes){conf, conf_len}), conf_len};
        w->nodes[i] = n;
    }
    free(conf);
    for (unsigned i = 0; i < count; i++)
        boot(w, w->nodes[i]);
    return w;
}

static void free_world(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct sim_node *n = w->nodes[i];
        crash(w, n);
        empty_state(n);
        ks_state_close(&n->state);
        disk_reset(&n->disk, 1);
        free(n->disk.stream);
        free(n);
    }
    for (size_t i = 0; i < w->net_count; i++) {
        free(w->net[i].body);
        free(w->net[i].stream);
    }
    free(w);
}

static void check_end(struct world *w)
{
    uint8_t first[32], other[32];
    for (unsigned i = 0; i < w->count; i++)
        CHECK(w, w->nodes[i]->up && w->nodes[i]->applied == w->last_applied);
    CHECK_OK(w, ks_state_hash(&w->nodes[0]->state, first));
    for (unsigned i = 1; i < w->count; i++) {
        CHECK_OK(w, ks_state_hash(&w->nodes[i]->state, other));
        CHECK(w, memcmp(first, other, sizeof(first)) == 0);
    }
    for (size_t i = 0; i < w->ack_count; i++)
        CHECK(w, w->hash_at[w->acks[i].index] == w->acks[i].hash);
    CHECK(w, w->ack_count > 20); /* it was a run at all */
}

struct totals {
    unsigned long acks, crashes, elections, installs, rekeys, forwards, repeats, primaries;
};

/* Net and disks are healthy from now on: everything must come together. */
static void calm_down(struct world *w)
{
    w->calm = true;
    w->delay_ms = 3;
    memset(w->cut, 0, sizeof(w->cut));
    for (unsigned i = 0; i < w->count; i++) {
        for (size_t k = 0; k < w->nodes[i]->write_count; k++)
            w->nodes[i]->writes[k]->done_ms = w->now_ms + 1;
    }
}

static uint64_t run_seed(uint64_t seed, unsigned nodes, struct totals *t)
{
    struct world *w = make_world(seed, nodes);
    run_until(w, 1000 + STORM_MS);
    calm_down(w);
    run_until(w, 1000 + STORM_MS + CALM_MS);
    /* The last proposals settle. */
    for (int i = 0; i < 2000; i++) {
        step_now(w);
        w->now_ms++;
    }
    check_end(w);
    t->acks += w->ack_count;
    t->crashes += w->crashes;
    t->elections += w->elections;
    t->installs += w->installs;
    t->forwards += w->forwards;
    t->repeats += w->repeats;
    t->primaries += w->primaries;
    t->rekeys += w->seq_at_index[w->last_applied];
    uint64_t trace = w->trace;
    free_world(w);
    return trace;
}

static uint64_t number_after(int argc, char **argv, const char *option, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], option) == 0)
            return strtoull(argv[i + 1], NULL, 10);
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    uint64_t seed = number_after(argc, argv, "--seed", 1), count = number_after(argc, argv, "--count", SEEDS);
    unsigned only = (unsigned)number_after(argc, argv, "--nodes", 0);
    static const unsigned sizes[] = {3, 1};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        struct totals t = {0};
        if (only != 0 && only != sizes[s])
            continue;
        uint64_t runs = sizes[s] == 1 ? (count + 3) / 4 : count;
        for (uint64_t i = 0; i < runs; i++)
            run_seed(seed + i, sizes[s], &t);
        printf("%u nodes, seeds %" PRIu64 "..%" PRIu64
               ": %lu acknowledged, %lu crashes, %lu elections, %lu snapshots "
               "installed, %lu rekeys, %lu forwarded, %lu repeats dropped, %lu primaries\n",
               sizes[s], seed, seed + runs - 1, t.acks, t.crashes, t.elections, t.installs, t.rekeys,
               t.forwards, t.repeats, t.primaries);
        fflush(stdout);
        struct totals ignored = {0};
        if (run_seed(seed, sizes[s], &ignored) != run_seed(seed, sizes[s], &ignored)) {
            fprintf(stderr, "seed %" PRIu64 ": two runs differ\n", seed);
            return 1;
        }
    }
    return 0;
}

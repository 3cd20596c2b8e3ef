/* A child runs the real cluster on a real directory, registers members and rekeys as fast as it can and tells
 * its parent through a pipe what was acknowledged. The parent kills it with SIGKILL at a random moment, opens
 * the same directory itself and compares. The seed is printed; crash_test SEED runs it again (the moments
 * still depend on the machine). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "cluster/cluster.h"
#include "cluster/rekey_plan.h"
#include "tests/lib/test.h"

enum {
    ROUNDS = 30,
    FLYING = 16,
    ACKED_MAX = 400000,
    SEQ_MAX = 100000,
    KILL_MS_MAX = 250,
    DEADLINE_MS = 30000,
    GROUP_ONE = 1,
};

enum { ACK_MEMBER = 1, ACK_REKEY, ACK_DONE };

struct ack {
    uint32_t kind;
    uint32_t number; /* member, or sequence number */
    uint32_t spi;
};

static char dir[] = "/tmp/crash-test-XXXXXX";
static char key_file[64];
static uint64_t seed;

static struct cluster_options options_for(uv_loop_t *loop, void *context)
{
    return (struct cluster_options){
        .data_dir = dir,
        .node_key_file = key_file,
        .clock = &clock_system,
        .rng = &rng_system,
        .loop = loop,
        .snapshot_entries = 60,
        .wal_segment_len = 64 * 1024,
        .context = context,
    };
}

/* ---- child ---- */

struct flight {
    struct child *child;
    struct ack ack;
    bool used;
};

struct child {
    struct cluster *cluster;
    int pipe;
    uint32_t next_member;
    bool rekeying;
    struct flight flights[FLYING];
};

static void feed(struct child *c);

static void child_done(void *context, const struct apply_result *result)
{
    struct flight *f = context;
    struct child *c = f->child;
    f->used = false;
    if (f->ack.kind != ACK_MEMBER)
        c->rekeying = false;
    struct ack ack = f->ack;
    if (result->err == E_OK && ack.kind != 0 && write(c->pipe, &ack, sizeof(ack)) != sizeof(ack))
        _exit(3);
    feed(c);
}

static struct flight *free_flight(struct child *c)
{
    for (int i = 0; i < FLYING; i++) {
        if (!c->flights[i].used) {
            c->flights[i] = (struct flight){.child = c, .used = true};
            return &c->flights[i];
        }
    }
    return NULL;
}

static void propose(struct child *c, struct flight *f, const struct command *command)
{
    if (cluster_propose(c->cluster, command, child_done, f) != E_OK)
        f->used = false;
}

static bool propose_basics(struct child *c, struct flight *f)
{
    const struct ks_state *state = cluster_state(c->cluster);
    struct command command = {.time_ms = cluster_now_ms(c->cluster)};
    if (state->signing.version == 0) {
        command.type = CMD_SIGNING_KEY;
        command.u.signing_key.key = (struct signing_record){.version = 1, .alg = SIGN_RSA, .bits = 2048};
    } else if (state->group_count == 0) {
        command.type = CMD_GROUP_SET;
        command.u.group_set.config = (struct group_config){
            .name = "blue",
            .identity = identity_from_number(1),
            .kek_lifetime_s = 86400,
            .tek_lifetime_s = 3600,
            .kek_cipher = CIPHER_AES_CBC_128,
            .sig_hash = HASH_SHA256,
            .ack = KEK_ACK_SHA256,
            .suite = {ESP_AES_CBC, 128, AUTH_HMAC_SHA256},
        };
    } else {
        return false;
    }
    c->rekeying = true; /* wait for it */
    propose(c, f, &command);
    return true;
}

static void propose_rekey(struct child *c, struct flight *f, const struct ks_group *group)
{
    static const uint8_t push[] = "sealed";
    struct command command = {.type = CMD_PUSH_DONE, .time_ms = cluster_now_ms(c->cluster)};
    c->rekeying = true;
    if (group->pushing) {
        command.u.push_done = (struct cmd_push_done){.group_id = GROUP_ONE, .seq = group->rekey.seq};
        f->ack = (struct ack){ACK_DONE, group->rekey.seq, 0};
        propose(c, f, &command);
        return;
    }
    struct rekey_due due = {.group_id = GROUP_ONE, .kind = group->record.has_kek ? REKEY_TEK : REKEY_INITIAL};
    struct rekey_draft *draft;
    if (rekey_draft_make(cluster_state(c->cluster), &due, cluster_wrap_key(c->cluster), &rng_system,
                         cluster_now_ms(c->cluster), &draft) != E_OK)
        _exit(4);
    rekey_draft_command(draft, cluster_now_ms(c->cluster), &command);
    if (due.kind != REKEY_INITIAL)
        command.u.rekey.push = (struct bytes){push, sizeof(push)};
    rekey_draft_free(draft);
    f->ack = (struct ack){ACK_REKEY, command.u.rekey.seq, command.u.rekey.tek.spi};
    propose(c, f, &command);
}

static void propose_member(struct child *c, struct flight *f, const struct ks_group *group)
{
    struct command command = {.type = CMD_MEMBER_REGISTERED, .time_ms = cluster_now_ms(c->cluster)};
    uint32_t number = c->next_member++ % 4000;
    command.u.member_registered = (struct cmd_member_registered){
        .group_id = GROUP_ONE,
        .identity = identity_from_number(number),
        .offered_generation = group->record.generation,
        .offered_seq = group->record.seq,
    };
    f->ack = (struct ack){ACK_MEMBER, number, 0};
    propose(c, f, &command);
}

static void feed(struct child *c)
{
    struct flight *f;
    while ((f = free_flight(c)) != NULL) {
        const struct ks_group *group = ks_state_group(cluster_state(c->cluster), GROUP_ONE);
        bool settled = group != NULL && group->record.has_kek;
        if (c->rekeying && !settled) {
            f->used = false;
            return;
        }
        if (propose_basics(c, f))
            continue;
        group = ks_state_group(cluster_state(c->cluster), GROUP_ONE);
        if (!c->rekeying)
            propose_rekey(c, f, group);
        else
            propose_member(c, f, group);
        if (!f->used)
            return; /* refused for now: the next outcome feeds again */
    }
}

static void child_ready(void *context, bool ready, const char *reason)
{
    struct child *c = context;
    (void)reason;
    if (ready)
        feed(c);
}

static int child_main(const char *directory, const char *key, int pipe, uint32_t first_member)
{
    uv_loop_t loop;
    static struct child c;
    snprintf(dir, sizeof(dir), "%s", directory);
    snprintf(key_file, sizeof(key_file), "%s", key);
    uv_loop_init(&loop);
    struct cluster_options options = options_for(&loop, &c);
    options.on_ready = child_ready;
    c.pipe = pipe;
    c.next_member = first_member;
    if (cluster_open(&c.cluster, &options) != E_OK)
        return 5;
    if (cluster_start(c.cluster) != E_OK)
        return 6;
    uv_run(&loop, UV_RUN_DEFAULT);
    return 7; /* it runs until it is killed */
}

/* ---- parent ---- */

struct known {
    bool member[4000];
    uint32_t spi_of_seq[SEQ_MAX];
    uint32_t last_seq;
    uint32_t last_done;
    uint64_t acked;
};

static uint32_t random_below(uint32_t bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % bound;
}

static void learn(struct known *k, const struct ack *ack)
{
    k->acked++;
    switch (ack->kind) {
    case ACK_MEMBER:
        k->member[ack->number] = true;
        return;
    case ACK_REKEY:
        assert_true(ack->number < SEQ_MAX);
        if (ack->number == 0)
            return; /* the first keys */
        /* I2: never twice, never backwards. */
        assert_true(ack->number > k->last_seq);
        assert_int_equal(k->spi_of_seq[ack->number], 0);
        for (uint32_t seq = 1; seq <= k->last_seq; seq++)
            assert_int_not_equal(k->spi_of_seq[seq], ack->spi);
        k->spi_of_seq[ack->number] = ack->spi;
        k->last_seq = ack->number;
        return;
    default:
        k->last_done = ack->number;
    }
}

static pid_t start_child(int *out, uint32_t first_member)
{
    int fds[2];
    char number[16], member[16];
    assert_int_equal(pipe(fds), 0);
    snprintf(number, sizeof(number), "%d", fds[1]);
    snprintf(member, sizeof(member), "%u", first_member);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        execl("/proc/self/exe", "crash_test", "--child", dir, key_file, number, member, (char *)NULL);
        _exit(8);
    }
    close(fds[1]);
    *out = fds[0];
    return pid;
}

static uint64_t now_ms(void)
{
    return clock_mono_ms(&clock_system);
}

/* Reads acknowledgements until the kill time, kills, and reads what is left in the pipe. */
static void run_and_kill(struct known *k)
{
    int fd;
    pid_t pid = start_child(&fd, random_below(4000));
    uint64_t begun = now_ms(), kill_at = 0;
    struct ack ack;
    for (;;) {
        uint64_t now = now_ms();
        assert_true(now - begun < DEADLINE_MS);
        if (kill_at != 0 && now >= kill_at)
            break;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int wait = kill_at != 0 ? (int)(kill_at - now) : 1000;
        if (poll(&p, 1, wait) != 1)
            continue;
        ssize_t got = read(fd, &ack, sizeof(ack));
        if (got == 0)
            fail_msg("the child ended by itself");
        assert_int_equal(got, sizeof(ack));
        learn(k, &ack);
        if (kill_at == 0)
            kill_at = now_ms() + random_below(KILL_MS_MAX);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fd, &ack, sizeof(ack)) == sizeof(ack))
        learn(k, &ack);
    close(fd);
}

struct inspector {
    uv_loop_t loop;
    struct cluster *cluster;
    bool ready;
    bool stopped;
};

static void inspector_ready(void *context, bool ready, const char *reason)
{
    struct inspector *i = context;
    (void)reason;
    i->ready = ready;
}

static void inspector_stopped(void *context)
{
    struct inspector *i = context;
    i->stopped = true;
}

static void check_state(struct known *k, const struct ks_state *state)
{
    const struct ks_group *group = ks_state_group(state, GROUP_ONE);
    if (k->acked == 0)
        return;
    assert_non_null(group);
    for (uint32_t n = 0; n < ARRAY_LEN(k->member); n++) {
        struct identity id = identity_from_number(n);
        if (k->member[n] && ks_group_member(group, &id) == NULL)
            fail_msg("member %u was acknowledged and is gone", n);
    }
    const struct group_record *r = &group->record;
    assert_true(r->seq >= k->last_seq);
    assert_true(r->seq <= k->last_seq + 1); /* one more may be committed without having been told */
    for (size_t i = 0; i < r->tek_count; i++) {
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(r->teks[i].spi, r->teks[j].spi);
    }
    if (r->seq == k->last_seq && r->seq > 0)
        assert_int_equal(r->teks[r->tek_count - 1].spi, k->spi_of_seq[r->seq]);
    if (k->last_done == r->seq)
        assert_false(group->pushing);
    k->last_seq = r->seq; /* what is committed is used, told or not */
    if (r->seq > 0)
        k->spi_of_seq[r->seq] = r->teks[r->tek_count - 1].spi;
}

static void inspect(struct known *k)
{
    static struct inspector i;
    i = (struct inspector){0};
    uv_loop_init(&i.loop);
    struct cluster_options options = options_for(&i.loop, &i);
    options.on_ready = inspector_ready;
    assert_ok(cluster_open(&i.cluster, &options));
    assert_ok(cluster_start(i.cluster));
    while (!i.ready)
        uv_run(&i.loop, UV_RUN_ONCE);
    check_state(k, cluster_state(i.cluster));
    uint8_t before[32], after[32];
    assert_ok(ks_state_hash(cluster_state(i.cluster), before));
    /* The store says the same. */
    static const uint64_t map_seed[2] = {1, 1};
    struct ks_state loaded;
    struct store_txn *txn;
    ks_state_init(&loaded, map_seed);
    assert_ok(store_begin_read(cluster_store(i.cluster), &txn));
    assert_ok(ks_state_load(&loaded, txn));
    store_abort(txn);
    assert_ok(ks_state_hash(&loaded, after));
    ks_state_close(&loaded);
    assert_memory_equal(before, after, sizeof(before));
    cluster_stop(i.cluster, inspector_stopped, &i);
    while (!i.stopped)
        uv_run(&i.loop, UV_RUN_ONCE);
    cluster_free(i.cluster);
    uv_run(&i.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&i.loop), 0);
}

static void whatever_was_acknowledged_survives_sigkill(void **state)
{
    (void)state;
    static struct known known;
    assert_non_null(mkdtemp(dir));
    snprintf(key_file, sizeof(key_file), "%s/node.key", dir);
    for (int round = 0; round < ROUNDS; round++) {
        run_and_kill(&known);
        if (random_below(3) != 0) /* else killed again over what the first one left */
            inspect(&known);
    }
    inspect(&known);
    printf("%d kills, %llu acknowledged, %u rekeys\n", ROUNDS, (unsigned long long)known.acked,
           known.last_seq);
    assert_true(known.acked > ROUNDS);
    test_remove_tree(dir);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "--child") == 0)
        return child_main(argv[2], argv[3], atoi(argv[4]), (uint32_t)strtoul(argv[5], NULL, 10));
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_was_acknowledged_survives_sigkill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

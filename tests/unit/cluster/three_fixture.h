/* three_fixture.h - key servers with real disks and real TLS between them, in one process on one loop. */
#ifndef TESTS_UNIT_CLUSTER_THREE_FIXTURE_H
#define TESTS_UNIT_CLUSTER_THREE_FIXTURE_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/event.h"
#include "tests/unit/cluster/node_fixture.h"

enum { SERVERS = 3, PORT_FIRST = 21000, PORT_STEP = 2, DEADLINE_MS = 120000 };
/* The three share a loop with each other and the machine with other tests: what a busy disk does to it must
 * not look like death. Tests of time-outs set their own. */
enum { ELECTION_CALM_MS = 1000, DEAD_CALM_MS = 3000 };

/* Joining blocks, so it runs beside the loop that answers it. */
struct opening {
    struct cluster_options options;
    struct cluster *cluster;
    uv_thread_t thread;
    err_t err;
    bool running, done;
    uv_async_t async;
};

struct ks {
    struct three *all;
    struct opening opening;
    struct cluster *cluster;
    char dir[80], key[96];
    uint16_t port;
    bool ready, stopped, open, unwell;
    const struct disk *disk;
    const struct level_build *build; /* NULL: this one */
    err_t fatal;
    char token[JOIN_TOKEN_TEXT_MAX];
    const struct ks_above *above; /* NULL: nothing */
    void *above_context;
};

/* What a test puts on top of a server's cluster. */
struct ks_above {
    void (*ready)(void *context, bool ready);
    void (*applied)(void *context, const struct command *command, const struct apply_result *result);
    bool (*healthy)(void *context);
};

struct three {
    uv_loop_t loop;
    uv_timer_t deadline;
    bool late;
    char dir[64];
    uint64_t snapshot_entries;
    unsigned election_ms, dead_ms, mark_ms, disk_slow_ms, cert_life_s; /* 0: calm, or the default */
    struct ks ks[SERVERS];
};

static inline void ks_ready(void *context, bool ready, const char *reason)
{
    struct ks *ks = context;
    (void)reason;
    ks->ready = ready;
    if (ks->above != NULL)
        ks->above->ready(ks->above_context, ready);
}

static inline void ks_applied(void *context, const struct command *command, const struct apply_result *result)
{
    struct ks *ks = context;
    if (ks->above != NULL)
        ks->above->applied(ks->above_context, command, result);
}

static inline bool ks_healthy(void *context)
{
    struct ks *ks = context;
    return !ks->unwell && (ks->above == NULL || ks->above->healthy(ks->above_context));
}

static inline void ks_fatal(void *context, err_t err, const char *reason)
{
    (void)reason;
    ((struct ks *)context)->fatal = err;
}

static inline void ks_stopped(void *context)
{
    ((struct ks *)context)->stopped = true;
}

static inline void three_late(uv_timer_t *timer)
{
    ((struct three *)timer->data)->late = true;
}

/* A loopback address of this process alone: tests that run side by side meet at no port. */
static inline struct addr own_host(void)
{
    unsigned pid = (unsigned)getpid();
    return addr_v4(127, (uint8_t)(1 + (pid >> 16) % 254), (uint8_t)(pid >> 8), (uint8_t)pid);
}

/* Two ports in a row for each server, free now: the test before this one may have left some in TIME_WAIT. */
static inline uint16_t free_ports(void)
{
    struct addr host = own_host();
    for (uint16_t port = PORT_FIRST; port < 65000; port = (uint16_t)(port + SERVERS * PORT_STEP)) {
        bool free = true;
        for (uint16_t i = 0; i < SERVERS * PORT_STEP && free; i++) {
            struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port + i))};
            memcpy(&at.sin_addr, host.bytes, sizeof(at.sin_addr));
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            free = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
            close(fd);
        }
        if (free)
            return port;
    }
    return 0;
}

static inline void opening_run(void *context)
{
    struct opening *o = context;
    o->err = cluster_open(&o->cluster, &o->options);
    uv_async_send(&o->async);
}

static inline void opening_done(uv_async_t *async)
{
    ((struct opening *)async->data)->done = true;
}

/* Turns the loop until the condition holds. */
#define until(three, condition)                                                                              \
    do {                                                                                                     \
        while (!(condition) && !(three)->late)                                                               \
            uv_run(&(three)->loop, UV_RUN_ONCE);                                                             \
        assert_true(condition);                                                                              \
    } while (0)

/* Waits for the thread: it asks for so long at most. */
static inline void opening_end(struct ks *ks)
{
    if (!ks->opening.running)
        return;
    uv_thread_join(&ks->opening.thread);
    uv_close((uv_handle_t *)&ks->opening.async, NULL);
    ks->opening.running = false;
    ks->cluster = ks->opening.cluster;
}

static inline err_t ks_open(struct ks *ks, const struct ks *by, const char *token)
{
    struct opening *o = &ks->opening;
    *o = (struct opening){
        .options = {
            .data_dir = ks->dir,
            .node_key_file = ks->key,
            .clock = &clock_system,
            .rng = &rng_system,
            .loop = &ks->all->loop,
            .listen = {own_host(), ks->port},
            .priority = (uint8_t)(100 - (ks - ks->all->ks) * 10),
            .snapshot_entries = ks->all->snapshot_entries,
            .context = ks,
            .on_ready = ks_ready,
            .on_applied = ks_applied,
            .on_fatal = ks_fatal,
            .is_healthy = ks_healthy,
            .disk = ks->disk,
            .build = ks->build,
            .election_ms = ks->all->election_ms != 0 ? ks->all->election_ms : ELECTION_CALM_MS,
            .dead_ms = ks->all->dead_ms != 0 ? ks->all->dead_ms : DEAD_CALM_MS,
            .mark_ms = ks->all->mark_ms,
            .disk_slow_ms = ks->all->disk_slow_ms,
            .cert_life_s = ks->all->cert_life_s,
            .join_token = token,
        }};
    if (by != NULL)
        o->options.join = (struct endpoint){own_host(), (uint16_t)(by->port + 1)};
    ks->ready = ks->stopped = false;
    ks->fatal = E_OK;
    uv_async_init(&ks->all->loop, &o->async, opening_done);
    o->async.data = o;
    assert_int_equal(uv_thread_create(&o->thread, opening_run, o), 0);
    o->running = true;
    until(ks->all, o->done);
    opening_end(ks);
    uv_run(&ks->all->loop, UV_RUN_NOWAIT);
    err_t err = o->err == E_OK ? cluster_start(ks->cluster) : o->err;
    ks->open = err == E_OK;
    return err;
}

static inline void ks_close(struct ks *ks)
{
    cluster_stop(ks->cluster, ks_stopped, ks);
    until(ks->all, ks->stopped);
    cluster_free(ks->cluster);
    ks->cluster = NULL;
    ks->open = false;
}

/* How something that was asked for ended. */
struct ending {
    bool done;
    err_t err;
};

static inline void on_ending(void *context, const struct apply_result *result)
{
    *(struct ending *)context = (struct ending){true, result->err};
}

/* As a client does it: while a leader is being elected nothing is accepted, and what was may be lost; then
 * again. */
#define repeat(ks, call)                                                                                     \
    do {                                                                                                     \
        struct ending ending = {.err = E_STATE};                                                             \
        while (ending.err == E_STATE || ending.err == E_NO_QUORUM || ending.err == E_FULL) {                 \
            until((ks)->all, (ks)->ready);                                                                   \
            ending.done = false;                                                                             \
            ending.err = (call);                                                                             \
            if (ending.err == E_OK)                                                                          \
                until((ks)->all, ending.done);                                                               \
            assert_false((ks)->all->late);                                                                   \
            uv_run(&(ks)->all->loop, UV_RUN_NOWAIT);                                                         \
        }                                                                                                    \
        assert_ok(ending.err);                                                                               \
    } while (0)

static inline unsigned voters(const struct ks *ks)
{
    struct cluster_status status;
    cluster_status(ks->cluster, &status);
    return status.voters;
}

static inline uint64_t applied_of(const struct ks *ks)
{
    struct cluster_status status;
    cluster_status(ks->cluster, &status);
    return status.applied_index;
}

static inline bool same_state(const struct three *t)
{
    uint8_t first[32], other[32];
    bool have = false;
    for (size_t i = 0; i < SERVERS; i++) {
        if (!t->ks[i].open)
            continue;
        assert_ok(ks_state_hash(cluster_state(t->ks[i].cluster), have ? other : first));
        if (have && memcmp(first, other, sizeof(first)) != 0)
            return false;
        have = true;
    }
    return true;
}

static inline void make_token_for(struct ks *by, enum join_role role, char out[JOIN_TOKEN_TEXT_MAX])
{
    repeat(by, cluster_token_make(by->cluster, role, out, on_ending, &ending));
}

static inline void make_token(struct ks *by, char out[JOIN_TOKEN_TEXT_MAX])
{
    make_token_for(by, JOIN_VOTER, out);
}

static inline void set_group(struct ks *by, const struct group_config *config)
{
    struct command command = {.type = CMD_GROUP_SET};
    command.u.group_set.config = *config;
    repeat(by, (command.time_ms = cluster_now_ms(by->cluster),
                cluster_propose(by->cluster, &command, on_ending, &ending)));
}

static inline struct ks *leader_of(struct three *t)
{
    struct cluster_status status;
    for (size_t i = 0; i < SERVERS; i++) {
        if (!t->ks[i].open)
            continue;
        cluster_status(t->ks[i].cluster, &status);
        if (strcmp(status.role, "leader") == 0)
            return &t->ks[i];
    }
    return NULL;
}

static inline unsigned primaries(struct three *t)
{
    unsigned count = 0;
    for (size_t i = 0; i < SERVERS; i++)
        count += t->ks[i].open && cluster_is_primary(t->ks[i].cluster);
    return count;
}

static inline uint32_t epoch_of(const struct ks *ks)
{
    return cluster_state(ks->cluster)->cluster.coop_epoch;
}

static inline const struct node_record *row_of(const struct ks *by, const struct ks *of)
{
    return ks_state_node(cluster_state(by->cluster), cluster_node_id(of->cluster));
}

static inline void ks_join(struct ks *ks, struct ks *by)
{
    make_token(by, ks->token);
    assert_ok(ks_open(ks, by, ks->token));
    until(ks->all, ks->ready);
}

/* Three voters that are ready. */
static inline void three_form(struct three *t)
{
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    ks_join(&t->ks[1], &t->ks[0]);
    ks_join(&t->ks[2], &t->ks[1]); /* by one that does not lead */
    until(t, voters(&t->ks[0]) == 3 && voters(&t->ks[1]) == 3 && voters(&t->ks[2]) == 3);
}

static inline int three_setup(void **state)
{
    struct three *t = calloc(1, sizeof(*t));
    strcpy(t->dir, "/tmp/three-test-XXXXXX");
    if (mkdtemp(t->dir) == NULL)
        return -1;
    uv_loop_init(&t->loop);
    uv_timer_init(&t->loop, &t->deadline);
    t->deadline.data = t;
    uv_timer_start(&t->deadline, three_late, DEADLINE_MS, 0);
    uint16_t port = free_ports();
    for (size_t i = 0; i < SERVERS; i++) {
        struct ks *ks = &t->ks[i];
        ks->all = t;
        ks->port = (uint16_t)(port + i * PORT_STEP);
        snprintf(ks->dir, sizeof(ks->dir), "%s/%zu", t->dir, i);
        snprintf(ks->key, sizeof(ks->key), "%s/node.key", ks->dir);
    }
    *state = t;
    return 0;
}

static inline int three_teardown(void **state)
{
    struct three *t = *state;
    t->late = false; /* a test that was late is cleaned up after as well */
    uv_timer_start(&t->deadline, three_late, DEADLINE_MS, 0);
    for (size_t i = 0; i < SERVERS; i++) {
        opening_end(&t->ks[i]); /* in case that the test gave up on it */
        if (t->ks[i].cluster != NULL)
            ks_close(&t->ks[i]);
    }
    uv_close((uv_handle_t *)&t->deadline, NULL);
    uv_run(&t->loop, UV_RUN_DEFAULT);
    uv_loop_close(&t->loop);
    test_remove_tree(t->dir);
    free(t);
    return 0;
}

#define THREE(test) cmocka_unit_test_setup_teardown(test, three_setup, three_teardown)

/* [-v] [PATTERN]: with their events on stderr, and only the tests whose names match. */
static inline bool three_arguments(int argc, char **argv)
{
    bool loud = argc > 1 && strcmp(argv[1], "-v") == 0;
    if (loud && event_add_sink(event_sink_stderr, NULL) != E_OK)
        return false;
    if (argc > 1 + loud)
        cmocka_set_test_filter(argv[1 + loud]);
    return true;
}

#endif

/* node_fixture.h - a real cluster of one voter on a real directory and a real loop. */
#ifndef TESTS_UNIT_CLUSTER_NODE_FIXTURE_H
#define TESTS_UNIT_CLUSTER_NODE_FIXTURE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "cluster/cluster.h"
#include "cluster/disk.h"
#include "tests/lib/test.h"

struct node {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct cluster *cluster;
    char dir[64];
    char key[96];
    bool ready;
    bool failed;
    err_t fatal;
    unsigned applied;
    bool stopped;
    const struct disk *disk;
    const struct level_build *build; /* NULL: this one */
    uint64_t snapshot_entries;
    uint64_t segment_len;
};

static inline void on_ready(void *context, bool ready, const char *reason)
{
    struct node *n = context;
    (void)reason;
    n->ready = ready;
}

static inline void on_applied(void *context, const struct command *command, const struct apply_result *result)
{
    struct node *n = context;
    (void)command;
    (void)result;
    n->applied++;
}

static inline void on_fatal(void *context, err_t err, const char *reason)
{
    struct node *n = context;
    (void)reason;
    n->fatal = err;
}

static inline void on_stopped(void *context)
{
    struct node *n = context;
    n->stopped = true;
}

static inline void on_deadline(uv_timer_t *timer)
{
    struct node *n = timer->data;
    n->failed = true;
}

static inline err_t node_open(struct node *n)
{
    struct cluster_options options = {
        .data_dir = n->dir,
        .node_key_file = n->key,
        .clock = &clock_system,
        .rng = &rng_system,
        .loop = &n->loop,
        .context = n,
        .on_applied = on_applied,
        .on_ready = on_ready,
        .on_fatal = on_fatal,
        .disk = n->disk,
        .build = n->build,
        .snapshot_entries = n->snapshot_entries,
        .wal_segment_len = n->segment_len,
    };
    n->ready = n->failed = n->stopped = false;
    n->applied = 0;
    uv_loop_init(&n->loop);
    uv_timer_init(&n->loop, &n->deadline);
    n->deadline.data = n;
    uv_timer_start(&n->deadline, on_deadline, 20000, 0);
    return cluster_open(&n->cluster, &options);
}

static inline void run_until(struct node *n, const bool *flag)
{
    while (!*flag && !n->failed)
        uv_run(&n->loop, UV_RUN_ONCE);
    assert_true(*flag);
}

#define run_until_true(n, condition)                                                                         \
    do {                                                                                                     \
        while (!(condition) && !(n)->failed)                                                                 \
            uv_run(&(n)->loop, UV_RUN_ONCE);                                                                 \
        assert_true(condition);                                                                              \
    } while (0)

static inline void node_start(struct node *n)
{
    assert_ok(node_open(n));
    assert_ok(cluster_start(n->cluster));
    run_until(n, &n->ready);
}

static inline void node_close_loop(struct node *n)
{
    uv_close((uv_handle_t *)&n->deadline, NULL);
    uv_run(&n->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&n->loop), 0);
}

static inline void node_stop(struct node *n)
{
    cluster_stop(n->cluster, on_stopped, n);
    run_until(n, &n->stopped);
    cluster_free(n->cluster);
    node_close_loop(n);
}

static inline int setup(void **state)
{
    struct node *n = calloc(1, sizeof(*n));
    strcpy(n->dir, "/tmp/cluster-test-XXXXXX");
    if (mkdtemp(n->dir) == NULL)
        return -1;
    snprintf(n->key, sizeof(n->key), "%s/node.key", n->dir);
    *state = n;
    return 0;
}

static inline int teardown(void **state)
{
    struct node *n = *state;
    test_remove_tree(n->dir);
    free(n);
    return 0;
}

static inline struct group_config group_named(const char *name, uint32_t number)
{
    struct group_config config = {
        .identity = identity_from_number(number),
        .server_addr = addr_v4(10, 1, 1, 1),
        .kek_lifetime_s = 86400,
        .tek_lifetime_s = 3600,
        .retransmit_s = 10,
        .retransmit_count = 2,
        .kek_cipher = CIPHER_AES_CBC_256,
        .sig_hash = HASH_SHA256,
        .ack = KEK_ACK_SHA256,
        .suite = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256},
    };
    snprintf(config.name, sizeof(config.name), "%s", name);
    return config;
}

struct outcome {
    bool done;
    struct apply_result result;
};

static inline void on_outcome(void *context, const struct apply_result *result)
{
    struct outcome *o = context;
    o->done = true;
    o->result = *result;
}

static inline void propose_group(struct node *n, const char *name, uint32_t number, struct outcome *outcome)
{
    *outcome = (struct outcome){0};
    struct command command = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(n->cluster)};
    command.u.group_set.config = group_named(name, number);
    assert_ok(cluster_propose(n->cluster, &command, on_outcome, outcome));
}

#endif

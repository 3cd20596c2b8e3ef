/* commit_bench.c - commits of the replicated state on one disk, beside what that disk does bare: the same
 * octets by pwrite and fdatasync into a preallocated file, in the same run, in turn. A commit is: proposal ->
 * entry -> log on disk (on two of three disks) -> applied -> LMDB -> callback. commit_bench [DIR] [SECONDS]
 * [SERVERS]      DIR on the disk to be measured (default: the working directory); SERVERS 1 or 3: the others
 * are processes of their own, joined by token over loopback Prints a table and one line of JSON. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "cluster/cluster.h"

extern char **environ;

enum {
    SAMPLE_MAX = 1 << 20,
    MEMBERS = 1000,
    PEER_LEN = 300,
    SERVER_MAX = 3,
    PORTS = 2,
    ELECTION_MS = 3000,
    BARE_FILE = 16 << 20,
    ROUNDS = 3
};

static const unsigned depths[] = {1, 16, 128, 512};
enum { DEPTHS = 4 };

struct samples {
    uint32_t *us;
    size_t count;
    double seconds;
};

struct bench;

struct slot {
    struct bench *bench;
    uint64_t sent_us; /* 0: free */
};

struct bench {
    uv_loop_t loop;
    struct cluster *cluster;
    bool ready;
    bool setting;
    uint16_t port;
    unsigned flying;
    unsigned depth;
    uint64_t end_us;
    struct slot slots[PROPOSAL_MAX];
    uint32_t next;
    struct samples *into;
};

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "commit_bench: %s\n", what);
    exit(1);
}

static void add_sample(struct samples *s, uint64_t us)
{
    if (s->count < SAMPLE_MAX)
        s->us[s->count++] = (uint32_t)us;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t percentile(struct samples *s, double p)
{
    if (s->count == 0)
        return 0;
    qsort(s->us, s->count, sizeof(*s->us), by_value);
    return s->us[(size_t)((double)(s->count - 1) * p)];
}

/* ---- the floor ---- */

/* The loop turns in between: a leader that is silent for a second is followed by another. */
static void run_bare(struct bench *b, const char *dir, double seconds, struct samples *into)
{
    char path[4200];
    static uint8_t data[PEER_LEN];
    snprintf(path, sizeof(path), "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, BARE_FILE) != 0)
        die("cannot make the bare file");
    memset(data, 0x5a, sizeof(data));
    uint64_t end = now_us() + (uint64_t)(seconds * 1e6);
    for (off_t at = 0; now_us() < end && at + (off_t)sizeof(data) < BARE_FILE; at += sizeof(data)) {
        uint64_t before = now_us();
        if (pwrite(fd, data, sizeof(data), at) != sizeof(data) || fdatasync(fd) != 0)
            die("bare write");
        uint64_t took = now_us() - before;
        add_sample(into, took);
        into->seconds += (double)took / 1e6;
        uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    close(fd);
    unlink(path);
}

/* ---- the cluster ---- */

static void feed(struct bench *b);

static void on_member(void *context, const struct apply_result *result)
{
    struct slot *slot = context;
    if (result->err != E_OK)
        die(err_text(result->err));
    add_sample(slot->bench->into, now_us() - slot->sent_us);
    slot->sent_us = 0;
    slot->bench->flying--;
    feed(slot->bench);
}

static struct command registration(struct bench *b)
{
    struct command c = {.type = CMD_MEMBER_REGISTERED, .time_ms = cluster_now_ms(b->cluster)};
    const struct ks_group *group = ks_state_group_by_name(cluster_state(b->cluster), "bench");
    c.u.member_registered = (struct cmd_member_registered){
        .group_id = group->record.id,
        .identity = identity_from_number(b->next++ % MEMBERS),
        .endpoint = {addr_v4(10, 0, 0, 1), 848},
        .offered_generation = group->record.generation,
        .offered_seq = group->record.seq,
    };
    return c;
}

static void feed(struct bench *b)
{
    for (size_t i = 0; b->flying < b->depth && now_us() < b->end_us && i < PROPOSAL_MAX; i++) {
        struct slot *slot = &b->slots[i];
        if (slot->sent_us != 0)
            continue;
        struct command c = registration(b);
        *slot = (struct slot){b, now_us()};
        if (cluster_propose(b->cluster, &c, on_member, slot) != E_OK)
            die("a proposal was refused");
        b->flying++;
    }
}

static void run_cluster(struct bench *b, unsigned depth, double seconds, struct samples *into)
{
    uint64_t begun = now_us();
    b->depth = depth;
    b->into = into;
    b->end_us = begun + (uint64_t)(seconds * 1e6);
    feed(b);
    while (b->flying > 0)
        uv_run(&b->loop, UV_RUN_ONCE);
    into->seconds += (double)(now_us() - begun) / 1e6;
}

static void on_ready(void *context, bool ready, const char *reason)
{
    struct bench *b = context;
    (void)reason;
    b->ready = ready;
}

static void on_set(void *context, const struct apply_result *result)
{
    struct bench *b = context;
    if (result->err != E_OK)
        die(err_text(result->err));
    b->setting = false;
}

static void commit(struct bench *b, const struct command *c)
{
    b->setting = true;
    if (cluster_propose(b->cluster, c, on_set, b) != E_OK)
        die("setting up was refused");
    while (b->setting)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static void make_group(struct bench *b)
{
    struct command c = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(b->cluster)};
    c.u.group_set.config = (struct group_config){.name = "bench", .identity = identity_from_number(1)};
    commit(b, &c);
    c = (struct command){.type = CMD_REKEY, .time_ms = cluster_now_ms(b->cluster)};
    c.u.rekey = (struct cmd_rekey){
        .group_id = 1, .epoch = 1, .generation = 1, .policy_version = 1, .has_kek = true, .has_tek = true};
    c.u.rekey.kek = (struct kek_record){.generation = 1, .created_ms = c.time_ms, .lifetime_s = 86400};
    c.u.rekey.tek =
        (struct tek_record){.generation = 1, .spi = 1000, .created_ms = c.time_ms, .lifetime_s = 86400};
    commit(b, &c);
}

/* ---- the other servers ---- */

/* Ports for the cluster and its join requests, of all servers, free now. */
static uint16_t free_ports(void)
{
    for (unsigned port = 22000 + (unsigned)getpid() % 5000 * 6; port < 60000; port += SERVER_MAX * PORTS) {
        bool free = true;
        for (unsigned i = 0; i < SERVER_MAX * PORTS && free; i++) {
            struct sockaddr_in at = {.sin_family = AF_INET,
                                     .sin_port = htons((uint16_t)(port + i)),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            free = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
            close(fd);
        }
        if (free)
            return (uint16_t)port;
    }
    die("no free ports");
    return 0;
}

/* commit_bench peer DIR PORT JOIN_PORT TOKEN: runs until its parent ends. */
static int peer_main(char **argv)
{
    static struct bench b;
    char key[4200];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(key, sizeof(key), "%s/node.key", argv[2]);
    uv_loop_init(&b.loop);
    struct cluster_options options = {.data_dir = argv[2],
                                      .node_key_file = key,
                                      .clock = &clock_system,
                                      .rng = &rng_system,
                                      .loop = &b.loop,
                                      .listen = {addr_v4(127, 0, 0, 1), (uint16_t)strtoul(argv[3], NULL, 10)},
                                      .priority = 50,
                                      .join = {addr_v4(127, 0, 0, 1), (uint16_t)strtoul(argv[4], NULL, 10)},
                                      .join_token = argv[5],
                                      .context = &b,
                                      .on_ready = on_ready,
                                      .election_ms = ELECTION_MS};
    if (cluster_open(&b.cluster, &options) != E_OK || cluster_start(b.cluster) != E_OK)
        die("a peer does not start");
    return uv_run(&b.loop, UV_RUN_DEFAULT);
}

static unsigned voters(const struct bench *b)
{
    struct cluster_status status;
    cluster_status(b->cluster, &status);
    return status.voters;
}

static pid_t add_peer(struct bench *b, const char *dir, unsigned number)
{
    char token[JOIN_TOKEN_TEXT_MAX], path[4200], port[8], join[8];
    b->setting = true;
    if (cluster_token_make(b->cluster, JOIN_VOTER, token, on_set, b) != E_OK)
        die("no token");
    while (b->setting)
        uv_run(&b->loop, UV_RUN_ONCE);
    snprintf(path, sizeof(path), "%s/peer%u", dir, number);
    snprintf(port, sizeof(port), "%u", b->port + number * PORTS);
    snprintf(join, sizeof(join), "%u", b->port + 1u);
    char self[] = "commit_bench", word[] = "peer";
    char *argv[] = {self, word, path, port, join, token, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execve("/proc/self/exe", argv, environ);
        _exit(127);
    }
    while (pid > 0 && voters(b) != number + 1 && waitpid(pid, NULL, WNOHANG) == 0)
        uv_run(&b->loop, UV_RUN_ONCE);
    if (pid < 0 || voters(b) != number + 1)
        die("a peer does not join");
    return pid;
}

static void print_row(const char *name, struct samples *s)
{
    printf("%-28s %9.0f /s   p50 %6u us   p99 %6u us   max %7u us\n", name, (double)s->count / s->seconds,
           percentile(s, 0.5), percentile(s, 0.99), percentile(s, 1.0));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void report(struct samples *bare, struct samples *runs)
{
    print_row("bare write + fdatasync", bare);
    for (size_t i = 0; i < DEPTHS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "commit, %u in flight", depths[i]);
        print_row(name, &runs[i]);
    }
    printf("{\"bench\":\"commit\",\"bare_per_s\":%.0f,\"bare_p50_us\":%u",
           (double)bare->count / bare->seconds, percentile(bare, 0.5));
    for (size_t i = 0; i < DEPTHS; i++)
        printf(",\"commit_%u_per_s\":%.0f,\"commit_%u_p50_us\":%u,\"commit_%u_p99_us\":%u", depths[i],
               (double)runs[i].count / runs[i].seconds, depths[i], percentile(&runs[i], 0.5), depths[i],
               percentile(&runs[i], 0.99));
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct bench b;
    static char dir[4096], key[4200];
    struct samples bare = {0}, runs[DEPTHS] = {{0}};
    if (argc == 6 && strcmp(argv[1], "peer") == 0)
        return peer_main(argv);
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    unsigned servers = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    pid_t peers[SERVER_MAX] = {0};
    snprintf(dir, sizeof(dir), "%s/commit-bench-XXXXXX", argc > 1 ? argv[1] : ".");
    if (mkdtemp(dir) == NULL)
        die("cannot make a directory");
    snprintf(key, sizeof(key), "%s/node.key", dir);
    bare.us = malloc(SAMPLE_MAX * sizeof(*bare.us));
    for (size_t i = 0; i < DEPTHS; i++)
        runs[i].us = malloc(SAMPLE_MAX * sizeof(*runs[i].us));
    uv_loop_init(&b.loop);
    struct cluster_options options = {.data_dir = dir,
                                      .node_key_file = key,
                                      .clock = &clock_system,
                                      .rng = &rng_system,
                                      .loop = &b.loop,
                                      .context = &b,
                                      .on_ready = on_ready,
                                      .election_ms = ELECTION_MS};
    if (servers > 1) {
        b.port = free_ports();
        options.listen = (struct endpoint){addr_v4(127, 0, 0, 1), b.port};
    }
    if (cluster_open(&b.cluster, &options) != E_OK || cluster_start(b.cluster) != E_OK)
        die("the cluster does not start");
    while (!b.ready)
        uv_run(&b.loop, UV_RUN_ONCE);
    for (unsigned i = 1; i < servers && i < SERVER_MAX; i++)
        peers[i] = add_peer(&b, dir, i);
    while (!b.ready)
        uv_run(&b.loop, UV_RUN_ONCE);
    make_group(&b);
    for (int round = 0; round < ROUNDS; round++) {
        run_bare(&b, dir, seconds / ROUNDS, &bare);
        for (size_t i = 0; i < DEPTHS; i++)
            run_cluster(&b, depths[i], seconds / ROUNDS, &runs[i]);
    }
    report(&bare, runs);
    for (unsigned i = 1; i < SERVER_MAX; i++) {
        if (peers[i] > 0 && kill(peers[i], SIGKILL) == 0)
            waitpid(peers[i], NULL, 0);
    }
    cluster_stop(b.cluster, NULL, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    cluster_free(b.cluster);
    uv_loop_close(&b.loop);
    free(bare.us);
    for (size_t i = 0; i < DEPTHS; i++)
        free(runs[i].us);
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}

/* sim.h - the whole product in one process and on one seeded scheduler: key servers (server/core over the
 * real cluster with its write-ahead log and store on files), members (gm-agent/agent), and between them a
 * network, disks and clocks that fail. Nothing sleeps and nothing is random but by the seed: the same seed is
 * the same run.
 *
 *   sim.c     time: events in order, randomness, violations
 *   disk.c    struct disk over files: crashes that tear and lose writes, full, broken
 *   shell.c   cluster_loop.h and the join port for a simulated loop
 *   link.c    raft_transport.h: connections between servers
 *   net.c     datagrams between servers and members
 *   server.c  a server: boot, crash; server_ports.c: ports of its core
 *   member.c  a member: agent and a recording data path
 *   chaos.c   what goes wrong when
 *   split.c   a run with a split and nothing else
 *   upgrade.c servers of two builds, and what must hold among them
 *   client.c  operators whose calls are recorded; linear.c judges them
 *   check.c   what must always hold, with check_wire.c, check_minority.c,
 *             check_time.c, check_end.c; seen.h is its memory
 *   plant.c   breaks it on purpose
 */
#ifndef TESTS_SIM_PRODUCT_SIM_H
#define TESTS_SIM_PRODUCT_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/rng.h"
#include "cluster/cluster_internal.h"
#include "gm-agent/agent.h"
#include "server/core.h"
#include "tests/sim/product/linear.h"
#include "tests/sim/product/seen.h"

enum {
    SIM_ERA_MAX = 64,
    SIM_END_MAX = SIM_SERVER_MAX + SIM_MEMBER_MAX,
    SIM_PATH_MAX = 128,
    SIM_TEK_S = 24,
    SIM_KEK_S = 60,
    SIM_PERIOD_MS = SIM_TEK_S * 500, /* a rekey at half of the TEK's life */
    SIM_RETRANSMIT_S = 1,
    SIM_RETRANSMITS = 3,
    SIM_ACTIVATION_S = 2,
    SIM_STORM_MS = 30000,
    SIM_CALM_MS = 2 * SIM_PERIOD_MS + 10000,
    SIM_LINK_SILENT_MS = 3000,
    SIM_STALE_PRIMARY_MS =
        5000, /* until a primary without contact has noticed it: what was under way may be old */
    SIM_ALONE_LOOK_MS = 100,
    SIM_MINORITY_AFTER_MS = 3000, /* no service without a quorum before */
    SIM_MINORITY_LIFETIMES = 2,   /* of the TEK, where the configuration does not say how long */
    SIM_CORE_LOOK_MS = 1200,      /* until a core has noticed how its contact is */
    SIM_OBJECTS = 3,              /* groups that the operators work on */
};
#define SIM_GROUP "G1"
static const uint32_t sim_group_number = 3333;
static const uint64_t sim_epoch_ms = 1700000000000u; /* wall clock at the begin */

struct sim;

/* ---- time ---- */

/* live: else only free what arg holds. */
typedef void (*sim_fn)(struct sim *sim, void *arg, bool live);

struct sim_event {
    uint64_t at_ms, order;
    sim_fn fn;
    void *arg;
    int end;           /* which server or member it is for; -1: nobody's */
    uint32_t lifetime; /* of that one; 0: any */
};

/* ---- disk ---- */

struct sim_undo { /* a write that no sync has covered yet */
    struct sim_undo *next;
    int fd;
    uint64_t inode;
    uint64_t at;
    size_t len, had; /* octets there before */
    uint8_t *old;
};

struct sim_disk {
    struct disk ops;
    struct sim *sim;
    struct sim_undo *undo; /* newest first */
    int fails;             /* errno of every write; 0: none */
    int crash_after;       /* operations until the power goes; -1: never */
    bool dead;
};

/* ---- servers ---- */

struct cluster_loop {
    struct sim_server *server;
    struct cluster_loop_callbacks callbacks;
    uint64_t armed; /* number of the timer that counts */
    struct cluster_job *pending[2];
    bool started;
};

struct sim_server {
    struct sim *sim;
    int index;
    bool up, founder, dying, ready, stopping;
    uint32_t lifetime;
    unsigned boots; /* of its machine */
    struct addr addr;
    char dir[SIM_PATH_MAX], key[SIM_PATH_MAX];
    uint8_t node_id[NODE_ID_LEN]; /* from its first start on */
    int64_t mono_shift, wall_shift;
    uint64_t paused_until_ms, up_ms;
    struct clock clock;
    struct rng_seeded seeded;
    struct rng rng;
    struct sim_disk disk;
    unsigned disk_delay_ms;
    struct ksd_config config;
    const struct level_build *build; /* NULL: the product's own */
    unsigned boots_seen;             /* of its process */
    struct cluster *cluster;
    struct core *core;
    struct cluster_loop *loop;
    struct raft_transport *transport;
    struct cluster_join *join;
    char token[JOIN_TOKEN_TEXT_MAX];
    struct endpoint join_at;
    bool turning;
    uint64_t wake_ms; /* scheduled core_tick, simulated time */
    size_t jobs;      /* in the pool */
    /* the place in the log of the command that on_applied is called for */
    uint64_t at_index;
    uint32_t at_k;
    bool looked; /* at that command already */
    uint64_t hashed_index;
    uint64_t pseudotime_ms;              /* told, in all lives */
    enum clock_trust trust;              /* seen last */
    bool tells;                          /* a time, in this life */
    unsigned era;                        /* index into eras: whose time it told last */
    uint64_t back_ms;                    /* after a stop */
    unsigned pulls_told[SIM_MEMBER_MAX]; /* message 4 of different PULLs */
    uint64_t last_pull[SIM_MEMBER_MAX], last_offer[SIM_MEMBER_MAX];
    uint64_t contact_ms;       /* when it was ready last, in all lives */
    uint64_t lost_ms;          /* it says that it is in a minority, since then; 0: it does not */
    uint64_t alone_ms;         /* no majority is within its reach, since then; 0: one is */
    uint64_t minority_answers; /* of its core, seen */
    bool owes[SIM_MEMBER_MAX]; /* served in a minority, and the log does not know it yet */
};

/* ---- members ---- */

struct sim_member {
    struct sim *sim;
    int index;
    bool up;
    uint32_t lifetime;
    struct addr addr;
    struct rng_seeded seeded;
    struct rng rng;
    struct gm_config config;
    struct agent agent;
    struct agent_effects effects;
    uint64_t wake_ms;
    int64_t mono_shift;
    uint64_t began_ms;      /* without keys: a start, or cleared by its operator */
    unsigned registrations; /* of all lives */
    unsigned seen;          /* agent.stats.registrations that are counted in it */
    bool has_out;
    uint32_t out_spi;
};

/* ---- connections between servers ---- */

struct sim_message {
    struct sim_message *next;
    uint64_t due_ms;
    uint8_t kind;
    bool snapshot;
    uint64_t index;
    size_t len, stream_len;
    uint8_t *body, *stream;
};

struct sim_pipe { /* one direction */
    struct sim_message *head, *tail;
    size_t octets;
    bool told; /* the sender knows that the connection is up */
};

struct sim_link {
    bool up;
    uint32_t conn;
    uint64_t cut_since_ms, whole_since_ms, next_dial_ms; /* cut: in a direction, or an end is paused */
    struct sim_pipe pipe[2]; /* 0: from the lower index */
};

struct sim {
    uint64_t seed;
    enum sim_plant plant;
    bool trace;
    uint64_t now_ms, order, random, digest;
    uint64_t start_ms; /* the cluster was formed */
    struct sim_event *heap;
    size_t heap_count, heap_cap;
    char dir[SIM_PATH_MAX];
    struct sim_server servers[SIM_SERVER_MAX];
    unsigned server_count;
    struct sim_member members[SIM_MEMBER_MAX];
    unsigned member_count;
    struct sim_link links[SIM_SERVER_MAX][SIM_SERVER_MAX]; /* [lower][higher] */
    bool cut[SIM_END_MAX][SIM_END_MAX];                    /* one way */
    unsigned split_side; /* ends by bit: a split that no healing ends before split_until_ms */
    uint64_t split_until_ms;
    uint32_t serve_s; /* cluster.minority_serve_s */
    bool calm;
    bool quiet;                 /* a run of split.c */
    bool mixed;                 /* of two builds: upgrade.c */
    int stays;                  /* the server that is never upgraded; -1: none */
    uint32_t level;             /* of the cluster, by the log; 0: never raised */
    bool by_file;               /* groups and keys come from the configuration of the first server */
    unsigned loss, dup, mangle; /* per mille, of datagrams */
    unsigned delay_ms;
    uint64_t healed_ms;
    struct group_config group;
    struct config_psk psk;

    /* what must hold */
    struct sim_commit *commits;
    size_t commit_count, commit_cap;
    struct sim_hash *hashes; /* of the state, by applied index */
    size_t hash_cap;
    uint64_t leader_of[SIM_TERM_MAX];
    uint8_t primary_of[SIM_TERM_MAX][NODE_ID_LEN];
    uint32_t epoch;
    uint64_t epoch_ms; /* when its first server had it */
    struct sim_push pushes[SIM_PUSH_MAX];
    size_t push_count;
    uint32_t group_seq;
    uint32_t group_id;
    uint64_t pseudotime_base_ms, pushed_us;
    int64_t pseudotime_low, pseudotime_high; /* to simulated time */
    int64_t eras[SIM_ERA_MAX];               /* likewise: the first time, and those that were begun anew */
    unsigned era_count;
    struct sim_spi spis[2 * SIM_PUSH_MAX];
    size_t spi_count;
    struct sim_sid sids[SIM_SID_MAX];
    size_t sid_count;
    uint32_t secret_generation;
    struct sim_secret secrets[SIM_SECRET_MAX];
    size_t secret_count;
    unsigned registered[SIM_SERVER_MAX][SIM_MEMBER_MAX]; /* committed, by server */
    unsigned served[SIM_MEMBER_MAX];                     /* by a minority, committed afterwards */
    bool member_of[SIM_MEMBER_MAX];                      /* of the group, by the log */

    /* operators */
    struct sim_client *clients;
    struct linear_history history[SIM_OBJECTS];
    struct sim_value *values; /* of the objects after each command that changed one */
    size_t value_count, value_cap;
    struct sim_counts counts;
};

/* ---- sim.c ---- */

/* Something that must hold does not: prints seed and text, ends the process with exit status 3. */
_Noreturn void sim_violation(struct sim *sim, const char *invariant, const char *format, ...)
    PRINTF_LIKE(3, 4);
#define SIM_CHECK(sim, invariant, condition, ...)                                                            \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            sim_violation((sim), (invariant), __VA_ARGS__);                                                  \
    } while (0)
void sim_trace(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);

uint64_t sim_random(struct sim *sim);
uint32_t sim_below(struct sim *sim, uint32_t bound); /* 0 .. bound - 1 */
static inline bool sim_chance(struct sim *sim, unsigned per_mille)
{
    return sim_below(sim, 1000) < per_mille;
}
uint64_t sim_hash(const void *data, size_t len, uint64_t before);
uint8_t *sim_copy(struct bytes b);
void *sim_alloc(size_t size); /* zeroed; never NULL */

/* end: -1, a server's index, or sim_member_end. */
void sim_at(struct sim *sim, uint64_t at_ms, int end, sim_fn fn, void *arg);
/* The same, also when that one has died and come back since. */
void sim_at_any(struct sim *sim, uint64_t at_ms, int end, sim_fn fn, void *arg);
bool sim_step(struct sim *sim, uint64_t until_ms); /* one event; false: none is due by then */
void sim_run(struct sim *sim, uint64_t until_ms);
static inline int sim_member_end(int member)
{
    return SIM_SERVER_MAX + member;
}

/* One seed from begin to end; violations end the process. */
void sim_seed(uint64_t seed, enum sim_plant plant, bool trace, struct sim_counts *total, uint64_t *digest);

/* ---- disk.c ---- */
void sim_disk_init(struct sim_disk *disk, struct sim *sim);
void sim_disk_lose(
    struct sim_disk *disk); /* the power went: what was not synced is gone, wholly or in part */
void sim_disk_close(struct sim_disk *disk);
void sim_remove_tree(const char *dir);

/* ---- shell.c ---- */
void shell_drop(struct sim_server *server); /* the process died; its disk jobs got somewhere or nowhere */
void shell_turn_soon(struct sim_server *server);
void shell_turn(struct sim_server *server);
void shell_asking(struct sim *sim); /* whose server is about to block in a join */
void shell_join_drop(struct sim_server *server);

/* ---- link.c ---- */
void link_init(struct sim *sim);
void link_server_died(struct sim *sim, int server);
uint64_t link_whole_ms(struct sim *sim, int a, int b); /* for how long nothing has been between them; 0: something is */
void link_close(struct sim *sim);

/* ---- net.c ---- */
bool net_is_cut(const struct sim *sim, int from, int to);
void net_send(struct sim *sim, int from, int to, struct bytes datagram);
int net_end_of(const struct sim *sim, const struct addr *addr); /* -1: nobody */
struct addr net_addr(const struct sim *sim, int end);

/* ---- server.c ---- */
void server_init(struct sim *sim, int index);
bool server_boot(struct sim_server *server);
void server_crash(struct sim_server *server, bool power, uint64_t back_ms);
void server_stop(struct sim_server *server, uint64_t back_ms); /* in order */
void server_close(struct sim_server *server);
void server_datagram(struct sim_server *server, const struct addr *from, struct bytes datagram);
err_t server_propose(struct sim_server *server, const struct command *command, cluster_done_fn done,
                     void *context);
struct core_ports server_ports(struct sim_server *server); /* server_ports.c */
uint64_t server_mono(const struct sim_server *server);
void server_step_clock(struct sim_server *server);
bool server_claims_primary(struct sim_server *server); /* as its core is told */

/* ---- member.c ---- */
void member_init(struct sim *sim, int index);
void member_start(struct sim_member *member);
void member_restart(struct sim_member *member);
void member_clear(struct sim_member *member); /* by its operator */
void member_datagram(struct sim_member *member, const struct addr *from, struct bytes datagram);
void member_close(struct sim_member *member);

/* ---- chaos.c ---- */
void chaos_begin(struct sim *sim);
void chaos_heal(struct sim *sim);

/* ---- split.c ---- */
void split_draw_sides(struct sim *sim);
bool split_is_same_side(const struct sim *sim, int a, int b);
void split_run(struct sim *sim);

/* ---- upgrade.c ---- */
void upgrade_init(struct sim *sim);
void upgrade_begin(struct sim *sim);
void upgrade_before_join(struct sim_server *server, const struct sim_server *by);
void upgrade_boot(struct sim_server *server);
void upgrade_applied(struct sim_server *server, const struct command *command, const struct apply_result *result);
void upgrade_committed(struct sim *sim, const struct command *command);
void upgrade_end(struct sim *sim);

/* ---- client.c ---- */
void client_begin(struct sim *sim);
void client_applied(struct sim *sim, const struct command *command, const struct apply_result *result,
                    uint64_t index);
void client_finish(struct sim *sim);
const char *client_object(unsigned object);

/* ---- check.c, check_wire.c ---- */
void check_applied(struct sim_server *server, const struct command *command,
                   const struct apply_result *result);
void check_member_removed(struct sim_server *server, const struct ks_group *group,
                          const struct ks_member *member);
void check_step(struct sim *sim, int end); /* after each event */
void check_end(struct sim *sim);
void check_sent(struct sim_server *server, int to, struct bytes datagram);
void check_commit_secrets(struct sim_server *server, struct bytes encoded);
void check_member_keys(struct sim_member *member);
bool check_has_secret(const struct sim *sim, struct bytes where);
void check_files(struct sim *sim);
int check_server_by_id(const struct sim *sim, const uint8_t *id);                     /* -1: nobody */
int check_member_by_identity(const struct sim *sim, const struct identity *identity); /* -1: nobody */

/* ---- check_minority.c ---- */
void minority_begin(struct sim *sim);
void minority_step(struct sim_server *server);
void minority_planned(struct sim *sim, const struct ks_group *group);
void minority_committed(struct sim_server *server, const struct cmd_member_served *command);
void minority_proposed(struct sim_server *server, const struct command *command);
void minority_offered(struct sim_server *server, const struct group_policy *policy);
bool minority_told(struct sim_server *server, int member,
                   const struct group_policy *policy); /* true: by one */
void minority_end(struct sim *sim);

/* ---- check_time.c ---- */
void time_step(struct sim_server *server);
void time_pushed(struct sim *sim, const struct policy_time *time);
void time_offered(struct sim_server *server, const struct policy_time *time);

/* ---- plant.c ---- */
const char *plant_name(enum sim_plant plant);
enum sim_plant plant_by_name(const char *name); /* PLANT_COUNT: none of that name */
err_t plant_propose(struct sim_server *server, const struct command *command, cluster_done_fn done,
                    void *context);
void plant_job(struct sim_server *server, struct job *job, bool before);
void plant_applied(struct sim_server *server, const struct command *command,
                   const struct apply_result *result);
void plant_datagram(struct sim_server *server, struct bytes datagram);
enum ks_contact plant_contact(struct sim_server *server, enum ks_contact contact);
bool plant_is_primary(struct sim_server *server, bool primary);
void plant_level(struct sim_server *server);
uint32_t plant_serve_s(const struct sim *sim, uint32_t serve_s);
uint64_t plant_wall(const struct sim_server *server, uint64_t now_ms);
uint64_t plant_time(struct sim_server *server, uint64_t now_ms);
size_t plant_sending(struct sim_server *server, struct bytes datagram, uint8_t *out, size_t cap);
void plant_pushed(struct sim_server *server, int to, struct bytes datagram);

#endif

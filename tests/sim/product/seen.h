/* seen.h - what the checks remember of a run: commits, rekeys, keys; what is counted; the planted bugs. */
#ifndef TESTS_SIM_PRODUCT_SEEN_H
#define TESTS_SIM_PRODUCT_SEEN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SIM_SERVER_MAX = 5,
    SIM_MEMBER_MAX = 6,
    SIM_PUSH_MAX = 256, /* committed rekeys of a run */
    SIM_SECRET_MAX = 256,
    SIM_SID_MAX = 1024,
    SIM_TERM_MAX = 1024,
};

struct sim_commit { /* one command at its place in the log */
    uint64_t index;
    uint32_t k;
    uint64_t hash;
};

struct sim_hash { /* of the state after an index */
    bool known;
    uint8_t hash[8];
};

struct sim_push {
    uint64_t hash; /* of the datagram, 0: REKEY_INITIAL */
    uint32_t seq;
    uint32_t tek_spi;
    uint64_t at_ms;
    unsigned activation_s; /* as it tells */
    unsigned sent[SIM_MEMBER_MAX];
    unsigned primaries; /* servers and lives that have sent it */
    uint64_t last_sender;
};

struct sim_spi {
    uint32_t spi;
    bool kek, ahead;   /* of the runway, not used yet */
    uint64_t index;    /* of the command that brought it */
    uint64_t start_ms; /* cluster time at which its life begins, as planned or as it came */
    uint64_t moved_ms; /* simulated time at which that last changed; 0: never */
    uint32_t lifetime_s;
    uint64_t key_hash;
};

struct sim_sid {
    uint32_t epoch, sid;
    int member, server;
};

struct sim_secret {
    uint8_t data[16];
};

struct sim_counts {
    unsigned long events, commits, rekeys, pushes, pulls, pulls_checked, registrations, crashes, powers,
        elections, primaries, snapshots, cuts, pauses, calls, unknown, reads, refused_disk, mangled,
        histories, too_long, runways, minorities, times, pairs, upgrades, levels, waits;
};

enum sim_plant {
    PLANT_NONE,
    PLANT_I1,
    PLANT_I2,
    PLANT_I3,
    PLANT_I4,
    PLANT_I5,
    PLANT_I6,
    PLANT_I7,
    PLANT_LINEAR,
    PLANT_MINORITY,
    PLANT_BOUND,
    PLANT_SCHEDULE,
    PLANT_PRIMARY,
    PLANT_PSEUDOTIME,
    PLANT_SHARED_KEY,
    PLANT_LEVEL,
    PLANT_COUNT,
};

#endif

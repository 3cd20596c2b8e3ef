/* time_check.h - time-based anti-replay: a packet's pseudotime (the SSIV of its GCM IV, authenticated with
 * the packet) must lie within the window around the receiver's. Keeps what operators ask for: counters, the
 * skew of each sender, and a history of what was refused, sampled so that a flood shows its beginning and not
 * only its end. Pure; only authenticated packets may come here. */
#ifndef GM_AGENT_TIME_CHECK_H
#define GM_AGENT_TIME_CHECK_H

#include <stddef.h>

#include "base/addr.h"
#include "gm-agent/group_clock.h"

enum {
    TIME_WINDOW_MS_MAX = 100000,
    TIME_HISTORY_MAX = 50,        /* refused packets remembered */
    TIME_SAMPLES_PER_MINUTE = 10, /* of them written down */
    TIME_PEER_MAX = 128,          /* senders whose skew is known; the one heard longest ago makes room */
};

struct time_reject {
    uint64_t wall_ms;
    uint64_t mine_us, peer_us;
    uint32_t window_ms;
    uint32_t spi;
    uint32_t sid;
    struct addr src, dst;
};

/* Skew is the sender's pseudotime less ours when the packet comes: what the journey takes makes it smaller.
 */
struct time_peer {
    uint32_t sid;
    struct addr src; /* of its last packet */
    uint64_t packets;
    uint64_t rejected;
    int64_t last_us, min_us, max_us;
    uint64_t heard;
};

struct time_check {
    struct group_clock clock;
    uint32_t window_ms; /* 0: off */
    uint64_t accepted;
    uint64_t rejected;
    uint64_t max_delta_us;                        /* largest distance of a packet that was let through */
    struct time_reject history[TIME_HISTORY_MAX]; /* a ring */
    size_t history_count;                         /* written down since the start */
    uint64_t minute_ms;                           /* when this minute's samples began */
    unsigned minute_samples;
    struct time_peer peers[TIME_PEER_MAX];
    size_t peer_count;
    uint64_t heard;
};

/* peer->spi, sid, src, dst, peer_us and wall_ms are the packet's; mine_us and window_ms are filled in. True:
 * let it through (also when off). sampled: it was written down, so it may be logged too. */
bool time_check_accept(struct time_check *check, struct time_reject *packet, uint64_t now_ms, bool *sampled);
/* The nth newest of the history, NULL beyond its end. */
const struct time_reject *time_check_history(const struct time_check *check, size_t nth);

/* "620051.84" and "4" or "0.5": as in the log line that people know. out has 32 octets. */
void time_check_format(uint64_t us, char out[32]);
void time_check_format_window(uint32_t window_ms, char out[32]);

#endif

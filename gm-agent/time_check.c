/* time_check.c - is a packet of this time? */
#include "gm-agent/time_check.h"

#include <stdio.h>
#include <string.h>

enum { MINUTE_MS = 60000 };

static struct time_peer *peer_of(struct time_check *check, uint32_t sid)
{
    size_t at = 0, oldest = 0;
    for (; at < check->peer_count && check->peers[at].sid != sid; at++)
        if (check->peers[at].heard < check->peers[oldest].heard)
            oldest = at;
    if (at == check->peer_count) {
        at = check->peer_count < TIME_PEER_MAX ? check->peer_count++ : oldest;
        check->peers[at] = (struct time_peer){.sid = sid, .min_us = INT64_MAX, .max_us = INT64_MIN};
    }
    check->peers[at].heard = ++check->heard;
    return &check->peers[at];
}

static bool sample(struct time_check *check, const struct time_reject *packet, uint64_t now_ms)
{
    if (check->history_count == 0 || now_ms - check->minute_ms >= MINUTE_MS) {
        check->minute_ms = now_ms;
        check->minute_samples = 0;
    }
    if (check->minute_samples == TIME_SAMPLES_PER_MINUTE)
        return false;
    check->minute_samples++;
    check->history[check->history_count++ % TIME_HISTORY_MAX] = *packet;
    return true;
}

bool time_check_accept(struct time_check *check, struct time_reject *packet, uint64_t now_ms, bool *sampled)
{
    *sampled = false;
    if (check->window_ms == 0 || !check->clock.set)
        return true;
    packet->mine_us = group_clock_us(&check->clock, now_ms);
    packet->window_ms = check->window_ms;
    bool older = packet->peer_us < packet->mine_us;
    uint64_t delta_us = older ? packet->mine_us - packet->peer_us : packet->peer_us - packet->mine_us;
    struct time_peer *peer = peer_of(check, packet->sid);
    peer->src = packet->src;
    if (delta_us > (uint64_t)check->window_ms * 1000) {
        check->rejected++;
        peer->rejected++;
        *sampled = sample(check, packet, now_ms);
        return false;
    }
    int64_t skew_us = older ? -(int64_t)delta_us : (int64_t)delta_us;
    peer->packets++;
    peer->last_us = skew_us;
    peer->min_us = skew_us < peer->min_us ? skew_us : peer->min_us;
    peer->max_us = skew_us > peer->max_us ? skew_us : peer->max_us;
    check->accepted++;
    if (delta_us > check->max_delta_us)
        check->max_delta_us = delta_us;
    return true;
}

const struct time_reject *time_check_history(const struct time_check *check, size_t nth)
{
    size_t held = check->history_count < TIME_HISTORY_MAX ? check->history_count : TIME_HISTORY_MAX;
    if (nth >= held)
        return NULL;
    return &check->history[(check->history_count - 1 - nth) % TIME_HISTORY_MAX];
}

void time_check_format(uint64_t us, char out[32])
{
    snprintf(out, 32, "%llu.%02u", (unsigned long long)(us / 1000000), (unsigned)(us % 1000000 / 10000));
}

void time_check_format_window(uint32_t window_ms, char out[32])
{
    snprintf(out, 32, "%g", window_ms / 1000.0);
}

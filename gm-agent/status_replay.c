/* status_replay.c - "show crypto gdoi gm replay": the group's time here, and what was refused by it. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "gm-agent/status.h"
#include "gm-agent/status_text.h"

/* One line as on IOS: "19:29:32.081 UTC Wed Nov 13 2013: src=192.168.13.2; my_pst=620051.84 secs;
 * peer_pst=619767.09 secs; win=4". */
static void add_reject(struct text *t, const struct time_reject *r)
{
    char clock[16] = "", day[32] = "", mine[32], peer[32], window[32], src[ADDR_TEXT_MAX];
    time_t seconds = (time_t)(r->wall_ms / 1000);
    struct tm broken;
    if (gmtime_r(&seconds, &broken) != NULL) {
        strftime(clock, sizeof(clock), "%H:%M:%S", &broken);
        strftime(day, sizeof(day), "%a %b %d %Y", &broken);
    }
    time_check_format(r->mine_us, mine);
    time_check_format(r->peer_us, peer);
    time_check_format_window(r->window_ms, window);
    add(t, "    %s.%03u UTC %s: src=%s; my_pst=%s secs; peer_pst=%s secs; win=%s\n", clock,
        (unsigned)(r->wall_ms % 1000), day, addr_format(&r->src, src), mine, peer, window);
}

static void add_peers(struct text *t, const struct time_check *time)
{
    add(t, "Peers (skew in milliseconds: last, smallest, largest):\n");
    for (size_t i = 0; i < time->peer_count; i++) {
        const struct time_peer *p = &time->peers[i];
        char src[ADDR_TEXT_MAX];
        double least = p->packets != 0 ? (double)p->min_us / 1000 : 0;
        double most = p->packets != 0 ? (double)p->max_us / 1000 : 0;
        add(t, "    sid 0x%X %s: %.1f, %.1f, %.1f; packets %" PRIu64 ", errors %" PRIu64 "\n", p->sid,
            addr_format(&p->src, src), (double)p->last_us / 1000, least, most, p->packets, p->rejected);
    }
}

static void add_time(struct text *t, const struct status_view *view)
{
    const struct time_check *time = view->replay.time;
    char now[32];
    time_check_format(group_clock_us(&view->agent->clock, view->now_ms), now);
    add(t, "Replay Value : %s secs\n", now);
    add(t, "Input Packets : %" PRIu64 " Output Packets : %" PRIu64 "\n", time->accepted,
        view->counters[DP_ENCRYPT].count);
    add(t, "Input Error Packets : %" PRIu64 " Output Error Packets : %" PRIu64 "\n", time->rejected,
        view->counters[DP_NO_KEY].count);
    add(t, "Time Sync Error : 0 Max time delta : %" PRIu64 ".%02u secs\n", time->max_delta_us / 1000000,
        (unsigned)(time->max_delta_us % 1000000 / 10000));
    add(t, "Replay Window : %g secs\n\n", view->agent->time_window_ms / 1000.0);
    add(t, "TBAR Error History (sampled at %dpak/min):\n", TIME_SAMPLES_PER_MINUTE);
    if (time->history_count == 0)
        add(t, "    No TBAR errors detected\n");
    for (size_t i = 0; time_check_history(time, i) != NULL; i++)
        add_reject(t, time_check_history(time, i));
    add(t, "\n");
    add_peers(t, time);
}

size_t status_replay_text(const struct status_view *view, char *out, size_t cap)
{
    struct text t = {out, cap, 0};
    bool timed = view->has_replay && view->agent->time_window_ms != 0;
    add(&t, "Anti-replay Information For Group %s:\n", view->agent->config->group_name);
    add(&t, "Timebased Replay:\n");
    if (timed)
        add_time(&t, view);
    else if (view->agent->time_window_ms != 0)
        add(&t, "         is not checked by the data path \"%s\"\n", view->backend);
    else
        add(&t, "         is not enabled\n");
    if (view->has_replay && view->replay.window != 0)
        add(&t,
            "\nCounter Replay:\nWindow : %u packets\nSenders known : %zu, forgotten : %" PRIu64
            "\nInput Error Packets : %" PRIu64 "\n",
            view->replay.window, view->replay.senders, view->replay.evicted, view->counters[DP_REPLAY].count);
    return t.len;
}

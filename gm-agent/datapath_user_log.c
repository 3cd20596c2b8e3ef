/* datapath_user_log.c - what the user data path dropped, in the log. */
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"

enum { LOG_INTERVAL_MS = 10000 /* one line of each kind in so long */ };

/* Sampled already. The text is the one that people know: hundredths of seconds, the window in seconds. */
static void log_time(struct user_datapath *dp, const struct esp_note *note)
{
    const struct time_reject *t = &note->time;
    char mine[32], peer[32], window[32], src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    time_check_format(t->mine_us, mine);
    time_check_format(t->peer_us, peer);
    time_check_format_window(t->window_ms, window);
    event(TIMEBASED_REPLAY_FAILED, dp->group, mine, peer, window, addr_format(&note->src, src),
          addr_format(&note->dst, dst));
}

void user_log_note(struct user_datapath *dp, const struct esp_note *note)
{
    char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
    uint64_t now_ms = dp->path.mono_ms;
    if (note->why == DP_TIME_REPLAY) {
        if (note->sampled)
            log_time(dp, note);
        return;
    }
    if (dp->logged_ms[note->why] != 0 && now_ms - dp->logged_ms[note->why] < LOG_INTERVAL_MS)
        return;
    dp->logged_ms[note->why] = now_ms;
    addr_format(&note->src, src);
    addr_format(&note->dst, dst);
    if (note->why == DP_INVALID_SPI)
        event(RECVD_PKT_INV_SPI, dst, note->spi, src);
    else if (note->why == DP_VERIFY_ERROR)
        event(RECVD_PKT_MAC_ERR, note->spi, src, dst);
    else if (note->why == DP_NOT_IPSEC)
        event(RECVD_PKT_NOT_IPSEC, dst, src, note->protocol);
    else if (note->why == DP_REPLAY)
        event(PKT_REPLAY_ERR, note->spi, src, note->seq);
}

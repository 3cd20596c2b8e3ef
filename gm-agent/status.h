/* status.h - what "gm-agent show ..." prints: text with the labels, order and spacing of IOS, so that
 * people's parsers read it, or JSON. Pure. Never a key. */
#ifndef GM_AGENT_STATUS_H
#define GM_AGENT_STATUS_H

#include "gm-agent/agent.h"
#include "gm-agent/path_probe.h"

enum {
    STATUS_ANSWER_MAX = 256 << 10, /* bytes with NUL of an answer */
    STATUS_COMMAND_MAX = 128,      /* bytes with NUL of a command */
};

enum status_command {
    STATUS_UNKNOWN,
    STATUS_SHOW_GDOI,
    STATUS_SHOW_GM,
    STATUS_SHOW_REKEY,
    STATUS_SHOW_IPSEC,
    STATUS_SHOW_REPLAY,
    STATUS_SHOW_PATH,
    STATUS_SHOW_DATAPLANE,
    STATUS_CLEAR,
    STATUS_SHOW_ELI,        /* abilities only */
    STATUS_SHOW_ELI_DETAIL, /* likewise */
    STATUS_TRACE,           /* line */
};

struct status_view {
    const struct agent *agent;
    const struct datapath_counter *counters; /* DP_COUNTER_COUNT */
    const char *backend;
    uint64_t now_ms;                          /* monotonic */
    const struct datapath_ability *abilities; /* for "show crypto eli" */
    size_t ability_count;
    bool has_replay; /* the back end can tell */
    struct datapath_replay replay;
    bool has_dscp; /* likewise */
    struct dscp_table dscp;
    struct datapath_lane lanes[GM_THREAD_MAX];
    size_t lane_count;              /* 0: no threads of its own */
    const struct path_probe *probe; /* NULL: no host is named */
    const char *line;               /* as it was asked; NULL: not known */
};

/* "show crypto gdoi", "show crypto gdoi gm", "show crypto gdoi gm rekey", "show crypto gdoi gm replay",
 * "show crypto gdoi gm path", "show crypto gdoi gm dataplane counters",
 * "show crypto ipsec sa", "show crypto eli [detail]", "clear crypto gdoi", "trace ..." (trace.h); words are
 * divided by blanks; a last word "json" asks for JSON. */
enum status_command status_parse(const char *line, bool *json);
/* What stands behind the first word of a command, without "json". */
const char *status_words(const char *line, char out[STATUS_COMMAND_MAX]);
/* NUL-ended, cut at cap. Returns the length. CLEAR and UNKNOWN have answers too: what was done is up to the
 * caller. */
size_t status_text(const struct status_view *view, enum status_command command, char *out, size_t cap);
size_t status_json(const struct status_view *view, enum status_command command, char *out, size_t cap);

/* status_replay.c */
size_t status_replay_text(const struct status_view *view, char *out, size_t cap);

/* Shared by both forms. */
const char *status_transform(const struct esp_suite *suite, char out[64]);
uint64_t status_left_s(uint64_t at_ms, uint64_t now_ms); /* 0 when it is over or never */

#endif

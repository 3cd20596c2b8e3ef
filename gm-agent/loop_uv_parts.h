/* loop_uv_parts.h - between loop_uv*.c: the only files that include uv.h. */
#ifndef GM_AGENT_LOOP_UV_PARTS_H
#define GM_AGENT_LOOP_UV_PARTS_H

#include <uv.h>

#include "gm-agent/loop_uv.h"
#include "gm-agent/path_probe.h"
#include "gm-agent/status.h"
#include "gm-agent/status_socket.h"

enum {
    LOOP_DATAGRAM_MAX = 65536, /* octets; the agent drops what is longer than an ISAKMP message may be */
    LOOP_TIMER_MS_MAX = 30000, /* after a suspend libuv's clock and ours differ: look again */
    LOOP_TIMER_MS_MIN = 5,     /* whatever a core asks for, no tight loop */
};

struct status_client {
    struct gm_loop *loop;
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t write;
    unsigned open_handles;
    bool closing;
    char line[STATUS_COMMAND_MAX];
    size_t line_len;
    char answer[STATUS_ANSWER_MAX];
};

/* Echo requests against black holes. */
struct loop_probe {
    struct path_probe core;
    uint16_t id; /* of our echo requests */
    int fds[GM_PROBE_MAX];
    bool bound[GM_PROBE_MAX];
    uv_poll_t polls[GM_PROBE_MAX];
    size_t poll_count;
    uv_timer_t timer;
};

struct gm_loop {
    struct loop_probe probe;
    const struct gm_config *config;
    struct datapath *datapath;
    struct agent agent;
    struct agent_effects effects;
    uv_loop_t uv;
    uv_udp_t udp;
    uv_timer_t timer;
    uv_signal_t sigterm;
    uv_signal_t sigint;
    uv_signal_t sigusr2;
    uv_timer_t watchdog;
    uv_pipe_t status;
    uv_poll_t polls[DATAPATH_FD_MAX];
    int poll_fds[DATAPATH_FD_MAX];
    size_t poll_count;
    bool has_status;
    bool stopping;
    bool hands_over;
    unsigned clients;
    uint8_t datagram[LOOP_DATAGRAM_MAX];
};

/* loop_uv_probe.c */
err_t loop_probe_open(struct gm_loop *loop, char *why, size_t why_size) MUST_USE;
void loop_probe_close(struct gm_loop *loop);

void loop_step(struct gm_loop *loop, const struct agent_event *event);
err_t loop_status_open(struct gm_loop *loop, char *why, size_t why_size) MUST_USE;

#endif

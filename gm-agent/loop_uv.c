/* loop_uv.c - effects of the agent, carried out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "gm-agent/loop_uv_parts.h"

struct dh_work {
    uv_work_t work;
    struct gm_loop *loop;
    struct dh_job job;
    uint64_t id;
};

static void on_dh_work(uv_work_t *work)
{
    struct dh_work *dh = work->data;
    dh_job_run(&dh->job);
}

static void on_dh_done(uv_work_t *work, int status)
{
    struct dh_work *dh = work->data;
    if (status != 0)
        dh->job.err = E_CANCELED;
    loop_step(dh->loop,
              &(struct agent_event){.kind = AGENT_EVENT_DH_DONE, .job = &dh->job, .job_id = dh->id});
    secret_wipe(&dh->job, sizeof(dh->job));
    free(dh);
}

static void start_job(struct gm_loop *loop)
{
    struct dh_work *dh = calloc(1, sizeof(*dh));
    if (dh != NULL) {
        dh->work.data = dh;
        dh->loop = loop;
        dh->job = loop->effects.job;
        dh->id = loop->effects.job_id;
        secret_wipe(&loop->effects.job, sizeof(loop->effects.job));
        if (uv_queue_work(&loop->uv, &dh->work, on_dh_work, on_dh_done) == 0)
            return;
        loop->effects.job = dh->job;
        secret_wipe(&dh->job, sizeof(dh->job));
        free(dh);
    }
    /* No memory: the try ends by its time limit and the next one may have more luck. */
    dh_job_close(&loop->effects.job);
}

static void send_all(struct gm_loop *loop)
{
    for (size_t i = 0; i < loop->effects.send_count; i++) {
        struct agent_send *send = &loop->effects.sends[i];
        struct sockaddr_storage to;
        uv_buf_t buffer = uv_buf_init((char *)send->data, (unsigned)send->len);
        if (endpoint_to_sockaddr(&send->to, &to) == 0)
            continue;
        int sent = uv_udp_try_send(&loop->udp, &buffer, 1, (struct sockaddr *)&to);
        if (sent < 0 && sent != UV_EAGAIN) {
            char text[ADDR_TEXT_MAX];
            event(SOCKET_ERROR, "send", endpoint_format(&send->to, text), uv_strerror(sent));
        }
    }
}

static void on_timer(uv_timer_t *timer)
{
    loop_step(timer->data, &(struct agent_event){.kind = AGENT_EVENT_TIMER});
}

static void set_timer(struct gm_loop *loop)
{
    uint64_t now_ms = clock_mono_ms(&clock_system);
    uint64_t wait_ms = LOOP_TIMER_MS_MAX;
    if (loop->effects.wake_at_ms <= now_ms + LOOP_TIMER_MS_MIN)
        wait_ms = LOOP_TIMER_MS_MIN;
    else if (loop->effects.wake_at_ms - now_ms < wait_ms)
        wait_ms = loop->effects.wake_at_ms - now_ms;
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->timer, on_timer, wait_ms, 0);
}

static void tell_systemd(struct gm_loop *loop, uint32_t registrations_before)
{
    char ks[ADDR_TEXT_MAX];
    if (loop->agent.stats.registrations != registrations_before)
        sd_notifyf(0, "STATUS=Registered with %s, group %s",
                   addr_format(&loop->agent.registered_with.addr, ks), loop->config->group_name);
}

void loop_step(struct gm_loop *loop, const struct agent_event *event)
{
    uint32_t registrations = loop->agent.stats.registrations;
    agent_step(&loop->agent, event, clock_mono_ms(&clock_system), &loop->effects);
    for (;;) {
        send_all(loop);
        if (loop->effects.compute)
            start_job(loop);
        if (!loop->effects.apply)
            break;
        struct datapath_state state;
        struct agent_event applied = {.kind = AGENT_EVENT_APPLIED};
        agent_datapath_state(&loop->agent, &state);
        applied.err = loop->datapath->ops->apply(loop->datapath, &state, &applied.why);
        agent_step(&loop->agent, &applied, clock_mono_ms(&clock_system), &loop->effects);
    }
    if (!loop->stopping)
        set_timer(loop);
    tell_systemd(loop, registrations);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct gm_loop *loop = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)loop->datagram, sizeof(loop->datagram));
}

static void on_datagram(uv_udp_t *udp, ssize_t got, const uv_buf_t *buffer, const struct sockaddr *from,
                        unsigned flags)
{
    struct gm_loop *loop = udp->data;
    (void)buffer;
    if (got <= 0 || from == NULL || (flags & UV_UDP_PARTIAL) != 0)
        return; /* nothing, an ICMP error, or longer than anything we take */
    loop_step(loop, &(struct agent_event){
                        .kind = AGENT_EVENT_DATAGRAM,
                        .from = endpoint_from_sockaddr(from),
                        .datagram = {loop->datagram, (size_t)got},
                    });
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct gm_loop *loop = poll->data;
    size_t at = (size_t)(poll - loop->polls);
    if (status == 0 && (events & UV_READABLE) != 0)
        loop->datapath->ops->ready(loop->datapath, loop->poll_fds[at]);
    if (loop->datapath->stale) {
        loop->datapath->stale = false;
        loop_step(loop, &(struct agent_event){.kind = AGENT_EVENT_DEVICES});
    }
}

static void close_handle(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct gm_loop *loop = signal->data;
    if (loop->stopping)
        return;
    loop->stopping = true;
    loop->hands_over = number == SIGUSR2;
    sd_notify(0, "STOPPING=1");
    loop_step(loop, &(struct agent_event){.kind = AGENT_EVENT_STOP});
    uv_stop(&loop->uv);
}

static err_t fail(char *why, size_t why_size, const char *what, int number)
{
    snprintf(why, why_size, "%s: %s", what, uv_strerror(number));
    return number == UV_EACCES || number == UV_EPERM ? E_PERMISSION : E_IO;
}

/* Registration and rekeys by the tables of a VRF, and from nowhere else. */
static int bind_to_vrf(struct gm_loop *loop)
{
    const char *vrf = loop->config->vrf;
    if (vrf[0] == '\0')
        return 0;
    int fd = socket(loop->config->local.addr.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    int failed = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, vrf, (socklen_t)strlen(vrf) + 1) != 0)
        failed = uv_translate_sys_error(errno);
    else
        failed = uv_udp_open(&loop->udp, fd);
    if (failed != 0)
        close(fd);
    return failed;
}

static err_t open_udp(struct gm_loop *loop, char *why, size_t why_size)
{
    struct sockaddr_storage local;
    char what[ADDR_TEXT_MAX + 16], text[ADDR_TEXT_MAX];
    endpoint_to_sockaddr(&loop->config->local, &local);
    snprintf(what, sizeof(what), "local %s", endpoint_format(&loop->config->local, text));
    int failed = bind_to_vrf(loop);
    if (failed != 0)
        return fail(why, why_size, loop->config->vrf, failed);
    failed = uv_udp_bind(&loop->udp, (struct sockaddr *)&local, 0);
    if (failed == 0)
        failed = uv_udp_recv_start(&loop->udp, on_alloc, on_datagram);
    return failed == 0 ? E_OK : fail(why, why_size, what, failed);
}

static err_t open_polls(struct gm_loop *loop, char *why, size_t why_size)
{
    size_t count = loop->datapath->ops->fds(loop->datapath, loop->poll_fds);
    for (size_t i = 0; i < count; i++) {
        int failed = uv_poll_init(&loop->uv, &loop->polls[i], loop->poll_fds[i]);
        if (failed != 0)
            return fail(why, why_size, "data path", failed);
        loop->polls[i].data = loop;
        loop->poll_count++;
        failed = uv_poll_start(&loop->polls[i], UV_READABLE, on_poll);
        if (failed != 0)
            return fail(why, why_size, "data path", failed);
    }
    return E_OK;
}

err_t gm_loop_open(struct gm_loop **out, const struct gm_config *config, struct datapath *datapath, char *why,
                   size_t why_size)
{
    struct gm_loop *loop = calloc(1, sizeof(*loop));
    *out = NULL;
    why[0] = '\0';
    if (loop == NULL || uv_loop_init(&loop->uv) != 0) {
        snprintf(why, why_size, "no memory for the loop");
        free(loop);
        return E_NO_MEMORY;
    }
    loop->config = config;
    loop->datapath = datapath;
    agent_init(&loop->agent, config, &rng_system, datapath->ops->check);
    uv_udp_init(&loop->uv, &loop->udp);
    uv_timer_init(&loop->uv, &loop->timer);
    uv_signal_init(&loop->uv, &loop->sigterm);
    uv_signal_init(&loop->uv, &loop->sigint);
    uv_signal_init(&loop->uv, &loop->sigusr2);
    uv_timer_init(&loop->uv, &loop->watchdog);
    loop->udp.data = loop->timer.data = loop->sigterm.data = loop->sigint.data = loop->sigusr2.data = loop;
    err_t err = open_udp(loop, why, why_size);
    if (err == E_OK)
        err = open_polls(loop, why, why_size);
    if (err == E_OK)
        err = loop_status_open(loop, why, why_size);
    if (err == E_OK)
        err = loop_probe_open(loop, why, why_size);
    if (err == E_OK && (uv_signal_start(&loop->sigterm, on_signal, SIGTERM) != 0 ||
                        uv_signal_start(&loop->sigint, on_signal, SIGINT) != 0 ||
                        uv_signal_start(&loop->sigusr2, on_signal, SIGUSR2) != 0))
        err = fail(why, why_size, "signals", UV_EINVAL);
    if (err != E_OK) {
        gm_loop_free(loop);
        return err;
    }
    *out = loop;
    return E_OK;
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    sd_notify(0, "WATCHDOG=1");
}

/* Half of what systemd waits: a loop that stands still for the whole of it is restarted. */
static void start_watchdog(struct gm_loop *loop)
{
    uint64_t limit_us = 0;
    if (sd_watchdog_enabled(0, &limit_us) > 0)
        uv_timer_start(&loop->watchdog, on_watchdog, 0, limit_us / 2000 + 1);
}

bool gm_loop_run(struct gm_loop *loop)
{
    loop_step(loop, &(struct agent_event){.kind = AGENT_EVENT_START});
    sd_notify(0, "READY=1");
    start_watchdog(loop);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    return loop->hands_over;
}

/* Jobs in the pool come back before the loop can be closed, so all that they touch lives until then. */
void gm_loop_free(struct gm_loop *loop)
{
    if (loop == NULL)
        return;
    loop->stopping = true;
    uv_walk(&loop->uv, close_handle, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    loop_probe_close(loop);
    agent_close(&loop->agent);
    secret_wipe(&loop->effects, sizeof(loop->effects));
    free(loop);
}

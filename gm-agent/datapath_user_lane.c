/* datapath_user_lane.c - threads of the user back end. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/tun.h"

enum { LANE_FDS = 4 };

static void *run(void *context)
{
    struct user_lane *lane = context;
    struct pollfd fds[LANE_FDS] = {
        {lane->wake, POLLIN, 0},
        {lane->dp->tun, POLLIN, 0},
        {lane->dp->wan_in, POLLIN, 0},
        {lane->dp->wan_in6, POLLIN, 0}, /* -1 where there is no IPv6 */
    };
    (void)prctl(PR_SET_NAME, "gm-packets"); /* for whoever looks at the processors */
    while (!atomic_load(&lane->stop)) {
        if (poll(fds, LANE_FDS, -1) < 0)
            continue;
        pthread_mutex_lock(&lane->lock);
        for (size_t i = 1; i < LANE_FDS; i++)
            if (fds[i].revents != 0)
                user_serve(lane->dp, fds[i].fd);
        pthread_mutex_unlock(&lane->lock);
        if ((fds[1].revents & (POLLERR | POLLIN)) == POLLERR)
            fds[1].fd = -1; /* somebody has deleted the device: it does not come back by itself */
    }
    return NULL;
}

static err_t start(struct user_lane *lane)
{
    sigset_t all, before;
    if (lane->runs)
        return E_OK;
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    lane->runs = pthread_create(&lane->thread, NULL, run, lane) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return lane->runs ? E_OK : E_NO_MEMORY;
}

/* What came before it had its part is another's as well, or of before there was a key. */
static void drain(int fd)
{
    uint8_t octet;
    while (fd >= 0 && recv(fd, &octet, sizeof(octet), MSG_DONTWAIT | MSG_TRUNC) >= 0)
        ;
}

static err_t take_shard(struct user_datapath *lane, const struct shard *shard)
{
    err_t err = shard_attach(lane->wan_in, AF_INET, shard);
    return err == E_OK && lane->wan_in6 >= 0 ? shard_attach(lane->wan_in6, AF_INET6, shard) : err;
}

static err_t open_lane(struct user_datapath *dp, struct user_lane *lane)
{
    struct user_datapath *own = calloc(1, sizeof(*own));
    lane->wake = -1;
    pthread_mutex_init(&lane->lock, NULL);
    lane->dp = own;
    if (own == NULL)
        return E_NO_MEMORY;
    user_fds_none(own);
    own->config = dp->config;
    esp_path_init(&own->path, &rng_system, &clock_system);
    own->path.time_held = true;
    esp_path_share(&own->path, &dp->path);
    err_t err = tun_open_queue(dp->config->tun, &own->tun);
    if (err == E_OK)
        err = user_open_raw(own);
    if (err == E_OK)
        err = user_six_open_in(own);
    if (err == E_OK)
        err = take_shard(own, &(struct shard){.key = SHARD_NOTHING, .count = 1});
    if (err != E_OK)
        return err;
    drain(own->wan_in);
    drain(own->wan_in6);
    lane->attached = true;
    own->to_lan.tcp = dp->to_lan.tcp;
    own->to_lan.udp = dp->to_lan.udp;
    lane->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return lane->wake >= 0 ? E_OK : E_IO;
}

err_t user_lanes_open(struct user_datapath *dp)
{
    if (dp->config->threads <= 1)
        return E_OK;
    dp->lanes = calloc(dp->config->threads - 1, sizeof(*dp->lanes));
    if (dp->lanes == NULL)
        return E_NO_MEMORY;
    err_t err = E_OK;
    while (dp->lane_count < dp->config->threads - 1 && err == E_OK)
        err = open_lane(dp, &dp->lanes[dp->lane_count++]);
    return err;
}

static void lock_all(struct user_datapath *dp)
{
    for (size_t i = 0; i < dp->lane_count; i++)
        pthread_mutex_lock(&dp->lanes[i].lock);
}

static void unlock_all(struct user_datapath *dp)
{
    for (size_t i = dp->lane_count; i-- > 0;)
        pthread_mutex_unlock(&dp->lanes[i].lock);
}

/* Packets for a lane that cannot send would be lost. */
static err_t attach(struct user_lane *lane, bool wanted)
{
    if (lane->attached == wanted)
        return E_OK;
    err_t err = tun_queue_attach(lane->dp->tun, wanted);
    if (err == E_OK)
        lane->attached = wanted;
    return err;
}

static err_t share_out(struct user_datapath *dp, const struct datapath_state *state)
{
    uint16_t sid_bits = 0;
    enum shard_key key = user_lane_key(state, dp->config->replay_window, &sid_bits);
    if (dp->shared_out && dp->shard == key && dp->shard_bits == sid_bits)
        return E_OK;
    struct shard shard = {.key = key, .sid_bits = sid_bits, .count = dp->lane_count + 1};
    err_t err = take_shard(dp, &shard);
    for (; shard.index < dp->lane_count && err == E_OK;) {
        shard.index++;
        err = take_shard(dp->lanes[shard.index - 1].dp, &shard);
    }
    dp->shared_out = err == E_OK;
    dp->shard = key;
    dp->shard_bits = sid_bits;
    return err;
}

static err_t apply_to_lane(struct user_datapath *dp, size_t index, const struct datapath_state *state,
                           size_t senders)
{
    struct user_lane *lane = &dp->lanes[index];
    struct datapath_state part;
    uint32_t sids[POLICY_SID_MAX];
    user_lane_part(state, index + 1, senders, &part, sids);
    esp_path_tick(&lane->dp->path);
    memcpy(lane->dp->group, dp->group, sizeof(dp->group));
    err_t err = esp_path_apply(&lane->dp->path, &part);
    if (err == E_OK)
        err = start(lane);
    return err == E_OK ? attach(lane, index + 1 < senders) : err;
}

err_t user_lanes_apply(struct user_datapath *dp, const struct datapath_state *state)
{
    struct datapath_state part;
    uint32_t sids[POLICY_SID_MAX];
    size_t senders = user_lane_senders(state, dp->lane_count + 1);
    if (dp->lane_count == 0)
        return esp_path_apply(&dp->path, state);
    user_lane_part(state, 0, senders, &part, sids);
    lock_all(dp);
    /* A sender id may go from one lane to another: all let go before any takes one. */
    for (size_t i = 0; i < dp->lane_count; i++)
        esp_path_mute(&dp->lanes[i].dp->path);
    err_t err = esp_path_apply(&dp->path, &part);
    for (size_t i = 0; i < dp->lane_count && err == E_OK; i++)
        err = apply_to_lane(dp, i, state, senders);
    if (err == E_OK)
        err = share_out(dp, state);
    for (size_t i = 0; i < dp->lane_count && err != E_OK; i++)
        if (!dp->lanes[i].dp->path.has_out)
            (void)attach(&dp->lanes[i], false);
    unlock_all(dp);
    return err;
}

static void add_counter(struct datapath_counter *sum, const struct datapath_counter *part)
{
    if (part->count == 0)
        return;
    struct datapath_counter before = *sum;
    uint64_t count = before.count + part->count;
    if (before.count == 0) {
        *sum = *part;
        return;
    }
    const struct datapath_counter *first = part->first_ms < before.first_ms ? part : &before;
    const struct datapath_counter *last = part->last_ms > before.last_ms ? part : &before;
    *sum = *last;
    sum->count = count;
    sum->first_ms = first->first_ms;
    memcpy(&sum->first_src, &first->first_src, sizeof(sum->first_src));
    memcpy(&sum->first_dst, &first->first_dst, sizeof(sum->first_dst));
}

struct datapath_counter *user_lanes_counters(struct user_datapath *dp)
{
    memcpy(dp->counters, dp->path.counters, sizeof(dp->counters));
    for (size_t i = 0; i < dp->lane_count; i++) {
        pthread_mutex_lock(&dp->lanes[i].lock);
        for (size_t id = 0; id < DP_COUNTER_COUNT; id++)
            add_counter(&dp->counters[id], &dp->lanes[i].dp->path.counters[id]);
        pthread_mutex_unlock(&dp->lanes[i].lock);
    }
    return dp->counters;
}

void user_lanes_dscp(const struct datapath *datapath, struct dscp_table *out)
{
    const struct user_datapath *dp = (const struct user_datapath *)datapath;
    *out = dp->path.dscp;
    for (size_t i = 0; i < dp->lane_count; i++) {
        pthread_mutex_lock(&dp->lanes[i].lock);
        dscp_add(out, &dp->lanes[i].dp->path.dscp);
        pthread_mutex_unlock(&dp->lanes[i].lock);
    }
}

static struct datapath_lane load_of(const struct esp_path *path, bool sends)
{
    return (struct datapath_lane){path->counters[DP_ENCAPS].count, path->counters[DP_DECAPS].count, sends};
}

size_t user_lanes_list(const struct datapath *datapath, struct datapath_lane out[GM_THREAD_MAX])
{
    const struct user_datapath *dp = (const struct user_datapath *)datapath;
    out[0] = load_of(&dp->path, true);
    for (size_t i = 0; i < dp->lane_count; i++) {
        pthread_mutex_lock(&dp->lanes[i].lock);
        out[i + 1] = load_of(&dp->lanes[i].dp->path, dp->lanes[i].attached);
        pthread_mutex_unlock(&dp->lanes[i].lock);
    }
    return dp->lane_count + 1;
}

static void close_lane(struct user_lane *lane)
{
    if (lane->runs) {
        atomic_store(&lane->stop, true);
        if (eventfd_write(lane->wake, 1) == 0) /* cannot be full */
            pthread_join(lane->thread, NULL);
    }
    if (lane->wake >= 0)
        close(lane->wake);
    pthread_mutex_destroy(&lane->lock);
    if (lane->dp == NULL)
        return;
    user_fds_close(lane->dp);
    esp_path_close(&lane->dp->path);
    free(lane->dp);
}

void user_lanes_close(struct user_datapath *dp)
{
    for (size_t i = 0; i < dp->lane_count; i++)
        close_lane(&dp->lanes[i]);
    free(dp->lanes);
    dp->lanes = NULL;
    dp->lane_count = 0;
}

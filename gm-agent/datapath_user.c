/* datapath_user.c - the user back end: TUN on one side, raw ESP on the other, esp_path between them. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/packet_tap.h"
#include "gm-agent/tun.h"

err_t datapath_user_check(const struct group_policy *policy, const char **why)
{
    static const struct policy_ability ability = {
        .ipv6 = true, .multicast = true, .entries_max = POLICY_ENTRY_MAX};
    struct policy_list list;
    size_t entry;
    *why = NULL;
    err_t err = policy_list_build(&list, NULL, 0, policy->selectors, policy->selector_count);
    if (err == E_OK)
        err = policy_check(&list, &ability, why, &entry);
    if (err != E_OK)
        return E_UNSUPPORTED;
    for (size_t i = 0; i < policy->tek_count; i++)
        if (esp_key_len(&policy->teks[i].suite) == 0)
            *why = "a transform that this data path does not have";
    return *why == NULL ? E_OK : E_UNSUPPORTED;
}

void user_count_lost(struct user_datapath *dp, const uint8_t *packet)
{
    struct addr src = {.family = AF_INET}, dst = {.family = AF_INET};
    if (packet[0] >> 4 == 6) {
        src.family = dst.family = AF_INET6;
        memcpy(src.bytes, packet + 8, 16);
        memcpy(dst.bytes, packet + 24, 16);
    } else {
        memcpy(src.bytes, packet + 12, 4);
        memcpy(dst.bytes, packet + 16, 4);
    }
    esp_path_count(&dp->path, DP_SEND_ERROR, &src, &dst);
}

union destination {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Packets of ours have whole headers. */
static socklen_t destination_of(const uint8_t *packet, union destination *out)
{
    memset(out, 0, sizeof(*out));
    if (packet[0] >> 4 == 4) {
        out->v4.sin_family = AF_INET;
        memcpy(&out->v4.sin_addr, packet + 16, 4);
        return sizeof(out->v4);
    }
    out->v6.sin6_family = AF_INET6;
    memcpy(&out->v6.sin6_addr, packet + 24, 16);
    return sizeof(out->v6);
}

/* How many of the queue, from the nth on, are of one family. */
static size_t run_of_family(const struct user_datapath *dp, size_t n)
{
    size_t end = n + 1;
    while (end < dp->queued && dp->out[end][0] >> 4 == dp->out[n][0] >> 4)
        end++;
    return end - n;
}

static void flush_wan(struct user_datapath *dp)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    union destination to[BATCH];
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < dp->queued; i++) {
        parts[i] = (struct iovec){dp->out[i], dp->out_len[i]};
        messages[i].msg_hdr.msg_name = &to[i];
        messages[i].msg_hdr.msg_namelen = destination_of(dp->out[i], &to[i]);
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    for (size_t done = 0; done < dp->queued;) {
        int fd = dp->out[done][0] >> 4 == 4 ? dp->wan_out : dp->wan_out6;
        int sent = sendmmsg(fd, messages + done, (unsigned)run_of_family(dp, done), MSG_DONTWAIT);
        if (sent > 0) {
            done += (size_t)sent;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        user_count_lost(dp, dp->out[done]);
        done++; /* that one is lost, as on a full link */
    }
    dp->queued = 0;
}

void user_queue_wan(struct user_datapath *dp, size_t len)
{
    dp->out_len[dp->queued++] = len;
    if (dp->queued == BATCH)
        flush_wan(dp);
}

/* Groups come by a socket of their own; a machine that is a member gets them by the other one as well. */
static bool is_of(const struct user_datapath *dp, int fd, struct bytes packet)
{
    bool group = packet.len >= IP_HEADER_LEN && (packet.data[16] & 0xf0) == 0xe0;
    return group == (fd == dp->wan_group);
}

void user_take_esp(struct user_datapath *dp, struct bytes packet)
{
    struct esp_note note;
    size_t len = 0;
    uint8_t *room = user_lan_room(dp);
    enum esp_verdict verdict = esp_path_decapsulate(&dp->path, packet, room, PACKET_MAX, &len, &note);
    if (verdict == ESP_TO_LAN)
        user_to_lan(dp, room, len);
    else if (verdict == ESP_DROP)
        user_log_note(dp, &note);
}

static bool from_esp(struct user_datapath *dp, int fd)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    memset(messages, 0, sizeof(messages));
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){dp->in[i], PACKET_MAX};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++) {
        struct bytes packet = {dp->in[i], messages[i].msg_len};
        if (is_of(dp, fd, packet))
            user_take_esp(dp, packet);
    }
    return got == BATCH;
}

static bool from_wan(struct user_datapath *dp)
{
    return from_esp(dp, dp->wan_in);
}

static bool from_group(struct user_datapath *dp)
{
    return from_esp(dp, dp->wan_group);
}

static bool from_guard(struct user_datapath *dp)
{
    for (unsigned i = 0; i < BATCH; i++) {
        ssize_t got = read(dp->guard, dp->in[dp->to_lan.packet_count], PACKET_MAX);
        if (got <= 0)
            return false;
        struct esp_note note;
        enum esp_verdict verdict =
            esp_path_guard(&dp->path, (struct bytes){dp->in[dp->to_lan.packet_count], (size_t)got}, &note);
        if (verdict == ESP_PASS)
            user_to_lan(dp, dp->in[dp->to_lan.packet_count], (size_t)got);
        else if (verdict == ESP_DROP)
            user_log_note(dp, &note);
    }
    return true;
}

void user_serve(struct user_datapath *dp, int fd)
{
    bool (*batch)(struct user_datapath *) = fd == dp->tun         ? user_from_lan
                                            : fd == dp->wan_in    ? from_wan
                                            : fd == dp->wan_group ? from_group
                                            : fd == dp->wan_icmp  ? user_mtu_batch
                                            : fd == dp->wan_in6   ? user_six_batch
                                            : fd == dp->wan_icmp6 ? user_mtu_batch_6
                                                                  : from_guard;
    esp_path_tick(&dp->path);
    for (unsigned i = 0; i < BATCHES_MAX && batch(dp); i++)
        ;
    flush_wan(dp);
    user_flush_lan(dp);
}

static void user_ready(struct datapath *datapath, int fd)
{
    struct user_datapath *dp = (struct user_datapath *)datapath;
    if (user_fence_ready(dp, fd))
        return;
    user_serve(dp, fd);
    user_mtu_age(dp);
}

static size_t user_fds(const struct datapath *datapath, int out[DATAPATH_FD_MAX])
{
    const struct user_datapath *dp = (const struct user_datapath *)datapath;
    out[0] = dp->tun;
    out[1] = dp->wan_in;
    out[2] = dp->guard;
    out[3] = dp->wan_group;
    out[4] = dp->wan_icmp;
    size_t count = 5;
    if (dp->fence.watch != NULL)
        out[count++] = xfrm_socket_fd(dp->fence.watch);
    if (dp->ipv6) {
        out[count++] = dp->wan_in6;
        out[count++] = dp->wan_icmp6;
    }
    return count;
}

/* Once there is a group in the policy. It stays: what no policy names any more is dropped by the path. */
static err_t hear_groups(struct user_datapath *dp, const struct datapath_state *state)
{
    struct link_info wan;
    bool wanted = false;
    for (size_t i = 0; i < state->selector_count; i++)
        wanted = wanted || addr_is_multicast(&state->selectors[i].dst.addr);
    if (!wanted || dp->hears_groups)
        return E_OK;
    err_t err = netlink_link_info(dp->netlink, dp->config->wan, &wan);
    if (err == E_OK)
        err = packet_tap_listen(TAP_GROUP_ESP, dp->wan_group, wan.index);
    dp->hears_groups = err == E_OK;
    return err;
}

static err_t user_apply(struct datapath *datapath, const struct datapath_state *state, const char **why)
{
    struct user_datapath *dp = (struct user_datapath *)datapath;
    struct datapath_state steered = *state;
    if (state->closed) {
        /* Everything is led here, and goes no further. */
        steered.selectors = policy_everything;
        steered.selector_count = POLICY_EVERYTHING;
    }
    *why = NULL;
    snprintf(dp->group, sizeof(dp->group), "%s", state->group != NULL ? state->group : "");
    esp_path_tick(&dp->path);
    err_t err = user_six_check(dp, state, why);
    if (err != E_OK)
        return err;
    err = user_lanes_apply(dp, state);
    if (err != E_OK) {
        *why = "the keys cannot be used";
        return err;
    }
    if ((err = user_fence_apply(dp, &steered)) != E_OK) {
        *why = "the kernel refused nftables rules";
        return err;
    }
    /* Selectors and keys are in place before the rules that lead packets to them. */
    err = steer_apply(&dp->steer, &steered);
    if (err != E_OK) {
        *why = "the kernel refused policy rules";
        return err;
    }
    if ((err = hear_groups(dp, state)) != E_OK) {
        *why = "multicast on the WAN device cannot be received";
        return err;
    }
    err = user_mtu_set(dp, user_six_wanted(state));
    if (err != E_OK)
        *why = err == E_UNSUPPORTED ? "the WAN device is too narrow for protected IPv6 packets of 1280 octets"
                                    : "the MTU of the TUN cannot be set";
    return err;
}

static const struct datapath_counter *user_counters(const struct datapath *datapath)
{
    /* Asked for by the operator, and only then worth a look into the kernel. */
    struct user_datapath *dp = (struct user_datapath *)(uintptr_t)datapath;
    struct datapath_counter *counters = user_lanes_counters(dp);
    user_fence_count(dp, counters);
    return counters;
}

static void user_close(struct datapath *datapath)
{
    struct user_datapath *dp = (struct user_datapath *)datapath;
    user_lanes_close(dp);
    steer_close(&dp->steer);
    user_fence_close(dp);
    netlink_route_close(dp->netlink);
    user_fds_close(dp);
    send_store_close(&dp->store);
    esp_path_close(&dp->path);
    free(dp);
}

static void user_replay(const struct datapath *datapath, struct datapath_replay *out)
{
    struct user_datapath *dp = (struct user_datapath *)datapath;
    struct esp_path *path = &dp->path;
    pthread_mutex_lock(&path->fresh_lock);
    dp->time_seen = path->time;
    *out = (struct datapath_replay){.time = &dp->time_seen,
                                    .window = path->replay.window,
                                    .senders = replay_table_count(&path->replay),
                                    .evicted = path->replay.evicted};
    pthread_mutex_unlock(&path->fresh_lock);
}

static const struct datapath_ops user_ops = {
    .name = "user",
    .check = datapath_user_check,
    .apply = user_apply,
    .fds = user_fds,
    .ready = user_ready,
    .counters = user_counters,
    .close = user_close,
    .replay = user_replay,
    .fits = user_mtu_fits,
    .dscp = user_lanes_dscp,
    .lanes = user_lanes_list,
};

err_t datapath_user_open(const struct gm_datapath_config *config, struct datapath **out, const char **why)
{
    struct user_datapath *dp = calloc(1, sizeof(*dp));
    *out = NULL;
    *why = NULL;
    if (dp == NULL)
        return E_NO_MEMORY;
    dp->base.ops = &user_ops;
    dp->config = config;
    user_fds_none(dp);
    err_t err = user_open_path(dp, why);
    if (err == E_OK)
        err = user_open_devices(dp, why);
    if (err != E_OK) {
        user_close(&dp->base);
        return err;
    }
    if (!tun_forwarding(AF_INET))
        event(DATAPATH_STATE, "user", "net.ipv4.ip_forward is 0: no packet of a host is forwarded");
    *out = &dp->base;
    return E_OK;
}

/* datapath_user_open.c - what the user back end has open: the send ledger's file, the TUN and the guard, raw
 * sockets, and the netlink and nftables sockets by which they are set up. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/packet_tap.h"
#include "gm-agent/tun.h"

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void user_fds_none(struct user_datapath *dp)
{
    dp->tun = dp->guard = dp->wan_in = dp->wan_out = dp->wan_group = dp->wan_icmp = -1;
    dp->wan_in6 = dp->wan_out6 = dp->wan_icmp6 = -1;
    dp->store.lock = -1;
}

void user_fds_close(struct user_datapath *dp)
{
    close_fd(dp->tun);
    close_fd(dp->guard);
    close_fd(dp->wan_in);
    close_fd(dp->wan_group);
    close_fd(dp->wan_icmp);
    close_fd(dp->wan_in6);
    close_fd(dp->wan_icmp6);
    close_fd(dp->wan_out6);
    close_fd(dp->wan_out);
}

/* Before reserved numbers are used they are on disk. */
static err_t keep(void *context, const struct send_ledger *ledger)
{
    struct user_datapath *dp = context;
    err_t err = send_store_write(&dp->store, ledger);
    if (err != E_OK)
        event(DATAPATH_ERROR, "counter_file", err_text(err));
    return err;
}

err_t user_open_path(struct user_datapath *dp, const char **why)
{
    esp_path_init(&dp->path, &rng_system, &clock_system);
    dp->path.time_held = true;
    err_t err = esp_path_set_replay(&dp->path, dp->config->replay_window);
    if (err != E_OK || dp->config->counter_file[0] == '\0')
        return err;
    dp->path.keep = keep;
    dp->path.keep_context = dp;
    err = send_store_open(&dp->store, dp->config->counter_file, &dp->path.ledger);
    if (err == E_CORRUPT)
        *why = "counter_file is damaged; delete it after the group's next rekey";
    else if (err == E_EXISTS)
        *why = "counter_file is in use by another agent";
    else if (err != E_OK)
        *why = "counter_file cannot be read and written";
    return err;
}

err_t user_raw_socket(int family, const char *device, int protocol, int option, int *out)
{
    int size = SOCKET_BUFFER;
    *out = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (*out < 0)
        return errno == EPERM ? E_PERMISSION : errno == EAFNOSUPPORT ? E_UNSUPPORTED : E_IO;
    if (setsockopt(*out, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device) + 1) != 0)
        return errno == EPERM ? E_PERMISSION : E_NOT_FOUND;
    if (setsockopt(*out, SOL_SOCKET, option, &size, sizeof(size)) != 0)
        return E_PERMISSION;
    return E_OK;
}

err_t user_open_raw(struct user_datapath *dp)
{
    const int no = 0;
    err_t err = user_raw_socket(AF_INET, dp->config->wan, IPPROTO_RAW, SO_SNDBUFFORCE, &dp->wan_out);
    if (err == E_OK)
        err = user_raw_socket(AF_INET, dp->config->wan, IPPROTO_ESP, SO_RCVBUFFORCE, &dp->wan_in);
    /* What we send to a group is not for this machine, and must not be routed by it once more. */
    if (err == E_OK && setsockopt(dp->wan_out, IPPROTO_IP, IP_MULTICAST_LOOP, &no, sizeof(no)) != 0)
        err = E_IO;
    return err == E_OK ? user_six_open_out(dp) : err;
}

/* Rules by the device where a packet comes in are not asked there: the VRF's own rule comes first. */
static err_t refuse_vrf(struct netlink_route *netlink, const struct link_info *wan, const char **why)
{
    struct link_info master;
    if (wan->master == 0)
        return E_OK;
    err_t err = netlink_link_by_index(netlink, wan->master, &master);
    if (err != E_OK || master.vrf_table == 0)
        return err;
    *why = "the WAN device is in a VRF, which only backend \"xfrm\" can do";
    return E_UNSUPPORTED;
}

err_t user_open_devices(struct user_datapath *dp, const char **why)
{
    char guard_name[GM_DEVICE_MAX + 1];
    struct link_info lo, tun, guard, wan;
    snprintf(guard_name, sizeof(guard_name), "%sg", dp->config->tun);
    err_t err;
    *why = "the TUN device cannot be made";
    err = dp->config->threads > 1 ? tun_open_queue(dp->config->tun, &dp->tun)
                                  : tun_open_framed(dp->config->tun, &dp->tun);
    if (err != E_OK || (err = tun_open(guard_name, &dp->guard)) != E_OK)
        return err;
    if (dp->config->offload)
        tun_offload(dp->tun, &dp->to_lan.tcp, &dp->to_lan.udp);
    tun_relax(dp->config->tun);
    tun_relax(guard_name);
    *why = "a raw socket on the WAN device cannot be opened";
    if ((err = user_open_raw(dp)) != E_OK ||
        (err = packet_tap_open(TAP_GROUP_ESP, SOCKET_BUFFER, &dp->wan_group)) != E_OK ||
        (err = packet_tap_open(TAP_TOO_BIG, ICMP_BUFFER, &dp->wan_icmp)) != E_OK ||
        (err = user_six_open(dp)) != E_OK)
        return err;
    if ((err = user_six_settle(dp, guard_name, why)) != E_OK)
        return err;
    *why = "the devices cannot be set up by netlink";
    if ((err = netlink_route_open(&dp->netlink)) != E_OK ||
        (err = netlink_link_info(dp->netlink, dp->config->wan, &wan)) != E_OK ||
        (err = refuse_vrf(dp->netlink, &wan, why)) != E_OK ||
        (err = netlink_link_info(dp->netlink, "lo", &lo)) != E_OK ||
        (err = netlink_link_info(dp->netlink, dp->config->tun, &tun)) != E_OK ||
        (err = netlink_link_info(dp->netlink, guard_name, &guard)) != E_OK ||
        (err = netlink_link_set(dp->netlink, guard.index, wan.mtu, true)) != E_OK ||
        (err = packet_tap_listen(TAP_TOO_BIG, dp->wan_icmp, wan.index)) != E_OK ||
        (dp->ipv6 && (err = packet_tap_listen(TAP_TOO_BIG_6, dp->wan_icmp6, wan.index)) != E_OK))
        return err;
    dp->tun_index = tun.index;
    if ((err = user_mtu_set(dp, false)) != E_OK)
        return err;
    *why = "the threads' queues and sockets cannot be opened";
    if ((err = user_lanes_open(dp)) != E_OK)
        return err;
    *why = "there is no socket for nftables";
    if ((err = user_fence_open(dp)) != E_OK)
        return err;
    *why = "policy tables cannot be set up by netlink";
    return steer_open(&dp->steer, dp->netlink, dp->config, lo.index, tun.index, guard.index, dp->ipv6);
}

/* config.h - the member's configuration file (libconfig syntax, deploy/config/gm-agent.conf).
 * Reading changes nothing; every complaint names file, line and what was expected. */
#ifndef GM_AGENT_CONFIG_H
#define GM_AGENT_CONFIG_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/conf.h"
#include "base/secret.h"
#include "proto/gdoi/group_policy.h"
#include "proto/ike/ike_policy.h"
#include "proto/wire/id_payload.h"

enum {
    GM_SERVER_MAX = 16,   /* key servers in the list */
    GM_LAN_MAX = 8,       /* devices towards the protected hosts */
    GM_WAN_MAX = 4,       /* devices towards the WAN */
    GM_THREAD_MAX = 8,    /* of the user back end */
    GM_PROBE_MAX = 8,     /* hosts that are asked whether long packets reach them */
    GM_DENY_MAX = 32,     /* local exceptions */
    GM_DEVICE_MAX = 16,   /* bytes with NUL of a device name (IFNAMSIZ) */
    GM_TUN_NAME_MAX = 14, /* bytes with NUL: one letter is added for the guard device */
    GM_NAME_MAX = 64,     /* bytes with NUL of the group's name */
    GM_PATH_MAX = 108,    /* bytes with NUL of a socket path (sun_path) */
    GM_COUNTER_PATH_MAX = 240,
};

enum gm_backend {
    GM_BACKEND_USER, /* TUN and raw ESP */
    GM_BACKEND_NONE, /* keys are fetched and kept current, packets are not touched */
    GM_BACKEND_XFRM, /* the kernel's IPsec and nftables */
};

/* Migration of a network to the group, site by site: who sends in clear, who still takes clear packets. */
enum datapath_direction {
    DATAPATH_BOTH,             /* send protected, take protected only */
    DATAPATH_INBOUND_OPTIONAL, /* send protected, take clear packets too */
    DATAPATH_RECEIVE_ONLY,     /* send in clear, take both */
};

struct gm_datapath_config {
    enum gm_backend backend;
    char wan[GM_DEVICE_MAX];                      /* the only device towards the WAN, or the first */
    char more_wan[GM_WAN_MAX - 1][GM_DEVICE_MAX]; /* xfrm: further uplinks */
    size_t more_wan_count;
    char lan[GM_LAN_MAX][GM_DEVICE_MAX];
    size_t lan_count;
    char tun[GM_DEVICE_MAX]; /* xfrm: only tells several agents of one machine apart */
    struct addr anchor;      /* xfrm: IPv4 address of nobody, the tunnel's far end as the kernel sees it */
    struct addr address;     /* xfrm: our end of the tunnels, IPv4; no family: that of the first uplink */
    struct selector deny[GM_DENY_MAX]; /* passes in clear although the group protects it, IPv4 */
    size_t deny_count;
    struct addr probe[GM_PROBE_MAX]; /* hosts behind other members, IPv4 (path_probe.h) */
    size_t probe_count;
    bool copy_df; /* xfrm: ESP has DF as the packet in it; default: never, so that routers may fragment it */
    bool offload; /* user: the kernel hands us long packets to cut, and takes joined ones */
    uint32_t threads; /* user: that share the packets, the loop's own among them */
    uint32_t mtu;     /* bytes; 0: WAN MTU less the ESP overhead */
    bool fail_open;   /* before the first registration everything passes in clear; default: nothing does */
    bool revert; /* when all keys have ended, go back to that state; default: the policy stays, all it names
                    is dropped */
    enum datapath_direction direction;
    uint32_t replay_window;  /* user: packets per sender, 0: not checked */
    uint16_t time_attribute; /* SAT attribute class of time-based anti-replay, 0: not understood */
    char counter_file[GM_COUNTER_PATH_MAX]; /* user: send counters over a restart; empty: not kept */
};

struct gm_config {
    char group_name[GM_NAME_MAX];
    struct identity group;
    struct endpoint servers[GM_SERVER_MAX];
    size_t server_count;
    struct endpoint local;
    char vrf[GM_DEVICE_MAX]; /* the device that the registration socket is bound to; empty: none */
    struct secret psk;
    struct ike_policy ike;
    struct gm_datapath_config datapath;
    char status_socket[GM_PATH_MAX];
    uint32_t ack_jitter_ms;
    uint32_t reregister_before_s;
    uint32_t retry_first_s;
    uint32_t retry_max_s;
    uint32_t request_timeout_s;
    uint32_t retransmit_ms;
    bool accept_dialect;
};

/* E_CONFIG with error filled; *out is then wiped. */
err_t gm_config_load(struct gm_config *out, const char *path, struct conf_error *error) MUST_USE;
/* Of 1 + more_wan_count. */
const char *gm_config_wan(const struct gm_datapath_config *config, size_t at);
void gm_config_close(struct gm_config *config); /* wipes; fine on a zeroed struct */

#endif

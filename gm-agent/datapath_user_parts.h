/* datapath_user_parts.h - parts of the user back end, among datapath_user*.c. */
#ifndef GM_AGENT_DATAPATH_USER_PARTS_H
#define GM_AGENT_DATAPATH_USER_PARTS_H

#include "gm-agent/coalesce.h"
#include "gm-agent/datapath_user_lane.h"
#include "gm-agent/esp_path.h"
#include "gm-agent/nft_ruleset.h"
#include "gm-agent/path_mtu.h"
#include "gm-agent/send_store.h"
#include "gm-agent/steer.h"
#include "gm-agent/xfrm_socket.h"

enum {
    BATCH = COALESCE_MAX,    /* packets in one go */
    BATCHES_MAX = 8,         /* goes before other descriptors have their turn */
    PACKET_MAX = 10240,      /* octets: a TUN of at most 9000, and ESP around it */
    SOCKET_BUFFER = 4 << 20, /* octets */
    ICMP_BUFFER = 64 << 10,
};

/* The kernel's rules behind ours. */
struct user_fence {
    struct xfrm_socket *nft, *watch; /* NULL: no nftables */
    uint8_t *rules;                  /* NFT_FENCE_MAX octets, heap: the batch in force */
    size_t rules_len;
    uint32_t last_seq;
    bool made;
    bool told; /* that this kernel takes none */
    uint64_t counted[NFT_COUNTER_COUNT]; /* as of the latest look */
};

struct user_datapath {
    struct datapath base;
    const struct gm_datapath_config *config;
    struct esp_path path;
    struct netlink_route *netlink;
    struct steer steer;
    struct user_fence fence;
    uint32_t tun_index;
    uint32_t tun_mtu;
    int tun;
    int guard;
    int wan_out;   /* raw, headers are ours */
    int wan_in;    /* raw ESP */
    int wan_group; /* ESP to multicast groups */
    int wan_icmp;  /* complaints of routers */
    bool ipv6;     /* this kernel has it; else these are -1 */
    int wan_out6, wan_in6, wan_icmp6;
    bool told_forwarding; /* that IPv6 is not forwarded */
    struct path_mtu mtu;
    uint64_t mtu_age_ms; /* when to look for what is old */
    bool hears_groups;   /* wan_group does */
    struct send_store store;
    char group[GM_NAME_MAX];
    uint64_t logged_ms[DP_COUNTER_COUNT];
    struct user_lane *lanes; /* behind the first, which is this; heap */
    size_t lane_count;
    bool shared_out; /* the sockets have their filters, by this key */
    enum shard_key shard;
    uint16_t shard_bits;
    struct datapath_counter counters[DP_COUNTER_COUNT]; /* of all lanes, when they were asked for */
    struct time_check time_seen;                        /* the same */
    size_t queued;                                      /* packets in out, to be sent */
    struct coalesce to_lan;                             /* packets in out or in, to be written to the TUN */
    uint8_t frame[SEGMENT_FRAME_MAX];
    uint8_t piece[PACKET_MAX];
    uint8_t in[BATCH][PACKET_MAX];
    uint8_t out[BATCH][PACKET_MAX];
    size_t out_len[BATCH];
};

/* datapath_user.c: what a lane needs. A bounded batch from one descriptor; all that it made has been sent
 * after that. */
void user_serve(struct user_datapath *dp, int fd);

/* datapath_user_open.c: the first lane's path with its ledger, then all devices and sockets. After an error why (static
 * text, or NULL) says what could not be opened; what is open then is left to user_close. */
err_t user_open_path(struct user_datapath *dp, const char **why) MUST_USE;
err_t user_open_devices(struct user_datapath *dp, const char **why) MUST_USE;
err_t user_open_raw(struct user_datapath *dp) MUST_USE; /* wan_in and wan_out, of each lane */
/* A raw socket on a device, with a buffer (SO_RCVBUFFORCE, SO_SNDBUFFORCE) of SOCKET_BUFFER. */
err_t user_raw_socket(int family, const char *device, int protocol, int option, int *out) MUST_USE;
void user_fds_none(struct user_datapath *dp);
void user_fds_close(struct user_datapath *dp);

/* datapath_user.c: out[queued] has a packet of that length for the WAN. */
void user_queue_wan(struct user_datapath *dp, size_t len);
/* A packet, of which at least the addresses are there, that the kernel did not take. */
void user_count_lost(struct user_datapath *dp, const uint8_t *packet);

/* datapath_user_lan.c: one batch from the protected side. False: nothing is left. */
bool user_from_lan(struct user_datapath *dp);
/* Where the next packet for the hosts is to be put; then it waits for others of its flow until
 * user_flush_lan. Nothing may be queued for the WAN meanwhile: they share their room. */
uint8_t *user_lan_room(struct user_datapath *dp);
void user_to_lan(struct user_datapath *dp, uint8_t *packet, size_t len);
void user_flush_lan(struct user_datapath *dp);

/* datapath_user_log.c: one line of each kind now and then; the counters have all of them. */
void user_log_note(struct user_datapath *dp, const struct esp_note *note);

/* datapath_user.c: an ESP packet from the WAN, IP header included. */
void user_take_esp(struct user_datapath *dp, struct bytes packet);

/* datapath_user_six.c: IPv6 sockets: each lane sends and receives by its own, the first hears complaints as
 * well. Where the kernel has no IPv6, none, and ipv6 is false. */
err_t user_six_open_out(struct user_datapath *dp) MUST_USE;
err_t user_six_open_in(struct user_datapath *dp) MUST_USE;
err_t user_six_open(struct user_datapath *dp) MUST_USE;
/* After the devices were made: ipv6 becomes false where IPv6 is off on this machine and cannot be switched on for the TUN, as in
 * a container with a /proc/sys that is read only. E_PERMISSION, with why: it is on for others, whose packets would pass by. */
err_t user_six_settle(struct user_datapath *dp, const char *guard, const char **why) MUST_USE;
/* Does the group protect IPv6? */
bool user_six_wanted(const struct datapath_state *state);
/* E_UNSUPPORTED, with why (static text): the group does, and the kernel has none. Says once in the log when
 * the kernel forwards none. */
err_t user_six_check(struct user_datapath *dp, const struct datapath_state *state, const char **why) MUST_USE;
/* A batch of ESP; the kernel takes the IPv6 header off, here it is put back. */
bool user_six_batch(struct user_datapath *dp);

/* datapath_user_fence.c: state as it is steered by. A kernel that never took such rules is told of in the log, once, and is no
 * error. */
err_t user_fence_open(struct user_datapath *dp) MUST_USE;
err_t user_fence_apply(struct user_datapath *dp, const struct datapath_state *state) MUST_USE;
/* If fd says that somebody changed the rules, they are put back. False: another's descriptor. */
bool user_fence_ready(struct user_datapath *dp, int fd);
/* Adds what it dropped. */
void user_fence_count(struct user_datapath *dp, struct datapath_counter *counters);
void user_fence_close(struct user_datapath *dp);

/* datapath_user_mtu.c: a batch of complaints; hosts are answered by the kernel from then on. False: nothing
 * is left. */
bool user_mtu_batch(struct user_datapath *dp);
bool user_mtu_batch_6(struct user_datapath *dp);
/* What was learnt long ago is forgotten. */
uint32_t user_mtu_fits(const struct datapath *datapath, const struct addr *dst);
void user_mtu_age(struct user_datapath *dp);
/* The TUN's own MTU, with IPv6 in the policy or without. E_UNSUPPORTED: the WAN is too narrow for IPv6. */
err_t user_mtu_set(struct user_datapath *dp, bool six) MUST_USE;

#endif

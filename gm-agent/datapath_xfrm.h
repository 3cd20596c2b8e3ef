/* datapath_xfrm.h - parts of the XFRM back end, among datapath_xfrm*.c. The kernel moves the packets; we keep
 * its tables as the plan says. What is found there of ours at start is taken over, so a killed agent that
 * comes back loses no packet. */
#ifndef GM_AGENT_DATAPATH_XFRM_H
#define GM_AGENT_DATAPATH_XFRM_H

#include "gm-agent/netlink_route.h"
#include "gm-agent/nft_ruleset.h"
#include "gm-agent/path_mtu.h"
#include "gm-agent/xfrm_probe.h"
#include "gm-agent/xfrm_socket.h"

/* Sums over SAs that are gone. */
struct xfrm_totals {
    uint64_t out_packets, in_packets;
    uint64_t replay, integrity_failed;
};

/* Of /proc/net/xfrm_stat: the whole network namespace's. */
struct xfrm_stat {
    uint64_t in_no_policy; /* XfrmInNoPols, XfrmInTmplMismatch */
    uint64_t out_blocked;  /* XfrmOutPolBlock, XfrmOutNoStates */
    uint64_t out_error;    /* XfrmOutStateSeqError, XfrmOutStateProtoError, XfrmOutError */
};

/* Path MTU of single hosts, where ESP may not be fragmented (datapath_xfrm_mtu.c). */
struct xfrm_mtu {
    struct netlink_route *netlink; /* NULL: off */
    int complaints[GM_WAN_MAX];    /* a tap for each uplink; -1: not open */
    int timer;                     /* for what was learnt to be looked at again; -1: not open */
    struct path_mtu table;
    struct route_rule rules[2 * GM_LAN_MAX]; /* that are in force */
    size_t rule_count;
};

struct xfrm_datapath {
    struct datapath base;
    const struct gm_datapath_config *config;
    struct xfrm_site site;
    bool track; /* xfrm_site.track, tried when it was opened */
    struct xfrm_socket *xfrm;
    struct xfrm_socket *nft;
    struct xfrm_socket *route;
    struct xfrm_socket *watch_xfrm; /* told of changes by others */
    struct xfrm_socket *watch_nft;
    struct xfrm_socket *watch_route; /* devices and addresses */
    uint32_t anchor_mtu;             /* as of the latest apply */
    struct xfrm_kernel kernel;       /* as of the latest look */
    struct xfrm_plan plan;           /* as of the latest apply */
    bool applied;                    /* plan and ruleset are to be kept */
    bool taken_over;                 /* something of an earlier run was there */
    bool table_made;
    bool route_made;
    uint8_t *ruleset; /* the batch in force; NFT_RULESET_MAX octets */
    size_t ruleset_len;
    uint8_t *fresh; /* the same with everything made anew */
    size_t fresh_len;
    uint32_t fresh_seq, ruleset_seq;
    uint8_t *scratch; /* NFT_RULESET_MAX octets */
    struct xfrm_diff diff;
    struct xfrm_mtu mtu;
    struct xfrm_totals gone;
    struct xfrm_stat stat_before;
    int probe_tun, probe_udp; /* -1: not needed yet */
    struct xfrm_ledger ledger;
    uint16_t sid_bits; /* as of the latest apply */
    uint32_t sids[POLICY_SID_MAX];
    size_t sid_count;
    uint64_t nft_before[NFT_COUNTER_COUNT]; /* of tables that are gone */
    uint64_t nft_last[NFT_COUNTER_COUNT];
    struct dscp_table dscp_before, dscp_last; /* the same */
    struct datapath_counter counters[DP_COUNTER_COUNT];
};

/* datapath_xfrm_site.c: devices and the route to the anchor. */
/* Reads indices, addresses and MTUs as they are now. E_NOT_FOUND with why: no such device, or no address; of
 * several uplinks one is enough. */
err_t xfrm_site_read(struct xfrm_site *site, const struct gm_datapath_config *config,
                     const char **why) MUST_USE;
/* The anchor by each uplink that is up, with a neighbour that is never asked for. mtu: of ESP packets; 0: the
 * device's. */
err_t xfrm_anchor_add(struct xfrm_socket *route, const struct xfrm_site *site, uint32_t mtu) MUST_USE;
void xfrm_anchor_remove(struct xfrm_socket *route, const struct xfrm_site *site);
/* One address by a device. */
err_t xfrm_host_route_add(struct xfrm_socket *route, const uint8_t addr[4], uint32_t index) MUST_USE;

/* datapath_xfrm_mtu.c: nothing is done unless the configuration lets ESP have DF. */
err_t xfrm_mtu_open(struct xfrm_datapath *dp, const char **why) MUST_USE;
/* After the site was read anew: taps at its uplinks, rules for its LANs. */
err_t xfrm_mtu_apply(struct xfrm_datapath *dp, const char **why) MUST_USE;
/* Adds descriptors to out; returns how many are there then. */
size_t xfrm_mtu_fds(const struct xfrm_mtu *mtu, int *out, size_t count);
/* One of them is readable. False: not one of ours. */
bool xfrm_mtu_ready(struct xfrm_datapath *dp, int fd);
uint32_t xfrm_mtu_fits(const struct datapath *datapath, const struct addr *dst);
void xfrm_mtu_close(struct xfrm_datapath *dp);

/* datapath_xfrm_kernel.c: the kernel's tables. */
/* Fills kernel with what is ours. E_LIMIT: more than an agent ever had. */
err_t xfrm_kernel_read(struct xfrm_datapath *dp) MUST_USE;
void xfrm_kernel_close(struct xfrm_kernel *kernel);
/* Carries out the difference: what receives first, then rules, what sends, policies; old keys last. A missing
 * entry that was to go is fine. */
err_t xfrm_kernel_update(struct xfrm_datapath *dp, const char **why) MUST_USE;
/* Policies of the plan that have no place in the kernel yet go there, in their dropping form: after a failure
 * nothing that is protected leaves in clear. */
err_t xfrm_kernel_fail_close(struct xfrm_datapath *dp) MUST_USE;
/* All of ours goes; policies last. */
void xfrm_kernel_clear(struct xfrm_datapath *dp);
/* The nftables batch: replaces, or makes anew if that fails or is asked for. */
err_t xfrm_rules_update(struct xfrm_datapath *dp, bool fresh) MUST_USE;

err_t xfrm_sa_add(struct xfrm_datapath *dp, const struct xfrm_sa *sa) MUST_USE;
err_t xfrm_sa_delete(struct xfrm_datapath *dp, const struct xfrm_sa *sa) MUST_USE; /* gone already is fine */
err_t xfrm_policy_put(struct xfrm_datapath *dp, const struct xfrm_policy *policy) MUST_USE;
err_t xfrm_policy_delete(struct xfrm_datapath *dp, const struct xfrm_policy *policy) MUST_USE; /* likewise */

/* datapath_xfrm_probe.c: AES-GCM. */
/* Puts an outbound SA in that has a sender id of ours. E_FULL: all were used with this key already;
 * E_TIMEOUT and those of the kernel. On an error no SA is there. */
err_t xfrm_probe_draw(struct xfrm_datapath *dp, const struct xfrm_sa *sa, const char **why) MUST_USE;
/* Looks at outbound SAs in the kernel that this run did not draw: those that an earlier run sends on are
 * taken over, others are deleted (changed: look anew). */
err_t xfrm_probe_review(struct xfrm_datapath *dp, bool *changed) MUST_USE;
void xfrm_probe_close(struct xfrm_datapath *dp);

/* datapath_xfrm_try.c */
/* Do our rules go in, as a table of another name that protects nothing and is taken away again? */
err_t xfrm_try_rules(struct xfrm_datapath *dp, bool track) MUST_USE;
size_t xfrm_abilities(struct datapath *datapath, struct datapath_ability out[DATAPATH_ABILITY_MAX]);

/* datapath_xfrm_count.c */
void xfrm_stat_read(struct xfrm_stat *out);
/* Pure: the text of /proc/net/xfrm_stat. */
void xfrm_stat_parse(struct xfrm_stat *out, const char *text);
void xfrm_counters_read(struct xfrm_datapath *dp);
void xfrm_nft_counters_read(struct xfrm_datapath *dp); /* only those of our rules */
/* As of the latest look. */
void xfrm_dscp(const struct datapath *datapath, struct dscp_table *out);

#endif

/* datapath_xfrm.h - parts of the XFRM back end, among datapath_xfrm*.c. The kernel moves the packets; we keep
 * its tables as the plan says. What is found there of ours at start is taken over, so a killed agent that
 * comes back loses no packet. */
#ifndef GM_AGENT_DATAPATH_XFRM_H
#define GM_AGENT_DATAPATH_XFRM_H

#include "gm-agent/nft_ruleset.h"
#include "gm-agent/xfrm_socket.h"

struct netlink_route;

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

struct xfrm_datapath {
    struct datapath base;
    const struct gm_datapath_config *config;
    struct xfrm_site site;
    struct xfrm_socket *xfrm;
    struct xfrm_socket *nft;
    struct xfrm_socket *route;
    struct xfrm_socket *watch_xfrm; /* told of changes by others */
    struct xfrm_socket *watch_nft;
    struct xfrm_kernel kernel; /* as of the latest look */
    struct xfrm_plan plan;     /* as of the latest apply */
    bool applied;              /* plan and ruleset are to be kept */
    bool taken_over;           /* something of an earlier run was there */
    bool table_made;
    bool route_made;
    uint8_t *ruleset; /* the batch in force; NFT_RULESET_MAX octets */
    size_t ruleset_len;
    uint8_t *fresh; /* the same with everything made anew */
    size_t fresh_len;
    uint32_t fresh_seq, ruleset_seq;
    uint8_t *scratch; /* NFT_RULESET_MAX octets */
    struct xfrm_diff diff;
    struct xfrm_totals gone;
    struct xfrm_stat stat_before;
    uint64_t nft_before[NFT_COUNTER_COUNT]; /* of tables that are gone */
    uint64_t nft_last[NFT_COUNTER_COUNT];
    struct datapath_counter counters[DP_COUNTER_COUNT];
};

/* datapath_xfrm_site.c: devices and the route to the anchor. */
/* Reads indices, address and MTU as they are now. E_NOT_FOUND with why: no such device, or no address. */
err_t xfrm_site_read(struct xfrm_site *site, const struct gm_datapath_config *config,
                     const char **why) MUST_USE;
/* The anchor by the WAN device, with a neighbour that is never asked for. mtu: of ESP packets; 0: the
 * device's. */
err_t xfrm_anchor_add(struct xfrm_socket *route, const struct xfrm_site *site, uint32_t mtu) MUST_USE;
void xfrm_anchor_remove(struct xfrm_socket *route, const struct xfrm_site *site);

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

/* datapath_xfrm_count.c */
void xfrm_stat_read(struct xfrm_stat *out);
/* Pure: the text of /proc/net/xfrm_stat. */
void xfrm_stat_parse(struct xfrm_stat *out, const char *text);
void xfrm_counters_read(struct xfrm_datapath *dp);
void xfrm_nft_counters_read(struct xfrm_datapath *dp); /* only those of our rules */

#endif

/* xfrm_plan.h - from group policy and keys to what the kernel must have: SAs and policies (DATAPATH 2 c, 5,
 * 6), and what that changes. Pure. Two tunnel SAs for the key that sends, one for every key that only
 * receives: in    from anywhere to our WAN address: nftables leads every packet under a known SPI there out
 * from our WAN address to the anchor: nftables writes the hosts' addresses back Policies for each selector:
 *   OUT   towards each WAN device, protected under the SPI that sends; dropped while there is none
 *   FWD   towards each LAN device: only what was protected. With several LAN devices clear packets pass here,
 *         since the kernel cannot tell from where they come; nftables stops those that come from the WAN
 *   IN    to ourselves: protected or clear, for the same reason
 * A multicast selector has its OUT policy a second time from any source: the kernel's multicast forwarding
 * asks with no source at all. */
#ifndef GM_AGENT_XFRM_PLAN_H
#define GM_AGENT_XFRM_PLAN_H

#include "gm-agent/datapath.h"
#include "gm-agent/xfrm_message.h"

enum {
    XFRM_PLAN_SA_MAX = TEK_TABLE_MAX + 1,
    XFRM_PLAN_CONTROL_MAX = 6 * (1 + GM_WAN_MAX) * GM_WAN_MAX, /* ways out for our own control traffic */
    XFRM_PLAN_DENY_MAX = GM_DENY_MAX,                          /* local exceptions */
    XFRM_PLAN_POLICY_MAX = (POLICY_SELECTOR_MAX + XFRM_PLAN_DENY_MAX) * (1 + 2 * GM_WAN_MAX + GM_LAN_MAX) +
                           XFRM_PLAN_CONTROL_MAX,
    XFRM_KERNEL_SA_MAX = 4 * XFRM_PLAN_SA_MAX,         /* of ours, found in the kernel */
    XFRM_KERNEL_POLICY_MAX = 2 * XFRM_PLAN_POLICY_MAX, /* likewise */
    XFRM_PLAN_ORDER_BITS = 12,                         /* of a priority: the order among our policies */
};

/* A device towards the WAN. */
struct xfrm_uplink {
    char name[GM_DEVICE_MAX];
    uint32_t index; /* 0: it is not there now; what goes by its name holds all the same */
    uint32_t mtu;
    uint8_t addr[4]; /* zeros: none of its own */
    bool ethernet;
    bool up;
};

/* The machine as far as the plan needs it. */
struct xfrm_site {
    char instance[GM_DEVICE_MAX]; /* tells agents of one machine apart */
    struct xfrm_uplink wan[GM_WAN_MAX];
    size_t wan_count;
    char vrf[GM_DEVICE_MAX]; /* that the uplinks are enslaved to; empty: none */
    uint32_t vrf_index;
    uint32_t table;      /* of the routes by the uplinks: the VRF's, or main */
    uint32_t wan_mtu;    /* of the narrowest */
    uint8_t wan_addr[4]; /* our end of the tunnels: whichever uplink a packet comes in by */
    uint8_t anchor[4];   /* an address that nobody has */
    uint32_t lan_index[GM_LAN_MAX];
    size_t lan_count;
    bool track;                  /* this kernel puts fragments together only where it tracks connections */
    bool ipv6;                   /* this kernel has it: where IPv4 is closed, it is, too */
    bool copy_df;                /* ESP may be fragmented only if what is in it may */
    uint32_t inner_mtu;          /* as configured; 0: as long as fits */
    const struct selector *deny; /* what this machine lets pass in clear although a selector protects it */
    size_t deny_count;           /* at most XFRM_PLAN_DENY_MAX */
};

struct xfrm_plan {
    struct xfrm_sa sas[XFRM_PLAN_SA_MAX];
    size_t sa_count;
    struct xfrm_policy *policies; /* heap */
    size_t policy_count;
};

/* What there is of ours. */
struct xfrm_kernel {
    struct xfrm_sa sas[XFRM_KERNEL_SA_MAX];
    struct xfrm_sa_usage usage[XFRM_KERNEL_SA_MAX];
    size_t sa_count;
    struct xfrm_policy *policies; /* heap */
    size_t policy_count;
};

/* Indices; in the order in which they are to be done. */
struct xfrm_diff {
    uint16_t replace_sas[XFRM_KERNEL_SA_MAX]; /* of the kernel's: in the way of a wanted one */
    size_t replace_sa_count;
    uint16_t add_sas[XFRM_PLAN_SA_MAX]; /* of the plan's */
    size_t add_sa_count;
    uint16_t put_policies[XFRM_PLAN_POLICY_MAX]; /* of the plan's: new or other than they were */
    size_t put_policy_count;
    uint16_t drop_policies[XFRM_KERNEL_POLICY_MAX]; /* of the kernel's */
    size_t drop_policy_count;
    uint16_t drop_sas[XFRM_KERNEL_SA_MAX]; /* of the kernel's: not wanted any more */
    size_t drop_sa_count;
};

uint32_t xfrm_plan_reqid_in(const struct xfrm_site *site);
uint32_t xfrm_plan_reqid_out(const struct xfrm_site *site);
/* Before all others of ours. */
uint32_t xfrm_plan_priority_first(const struct xfrm_site *site);
/* Is it one that an agent of this instance put there, now or earlier? */
bool xfrm_plan_owns_sa(const struct xfrm_site *site, const struct xfrm_sa *sa);
bool xfrm_plan_owns_policy(const struct xfrm_site *site, const struct xfrm_policy *policy);

/* out is filled anew. E_NO_MEMORY. */
err_t xfrm_plan_make(struct xfrm_plan *out, const struct xfrm_site *site,
                     const struct datapath_state *state) MUST_USE;
void xfrm_plan_close(struct xfrm_plan *plan); /* wipes; fine on a zeroed struct */
void xfrm_plan_diff(struct xfrm_diff *out, const struct xfrm_plan *plan, const struct xfrm_kernel *kernel);
bool xfrm_diff_empty(const struct xfrm_diff *diff);

/* The longest clear packet whose ESP packet fits into mtu octets under the suite, but no less than 576. */
uint32_t xfrm_plan_fits(const struct esp_suite *suite, uint32_t mtu);
/* The longest clear packet whose ESP packet fits into the WAN MTU under every key in use (all of them when
 * there is none yet), or as configured. */
uint32_t xfrm_plan_inner_mtu(const struct xfrm_site *site, const struct datapath_state *state);
/* The tunnels' end, and those of the uplinks; each once. */
enum { XFRM_OUR_ADDRESS_MAX = 1 + GM_WAN_MAX };
size_t xfrm_plan_our_addresses(const struct xfrm_site *site, uint8_t out[XFRM_OUR_ADDRESS_MAX][4]);
/* Is an address of ours inside a selector, so that control traffic needs exceptions? */
bool xfrm_plan_covers_us(const struct xfrm_site *site, const struct datapath_state *state);

extern const uint16_t xfrm_control_ports[];
enum { XFRM_CONTROL_PORT_COUNT = 3 };

#endif

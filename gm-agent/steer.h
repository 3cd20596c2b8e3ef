/* steer.h - leads packets into the user data path by policy rules, and takes exactly those away again.
 * Three tables of our own, chosen by the TUN's name:
 *   in     WAN, protocol 50, selector's addresses -> delivered here (raw ESP socket)
 *   guard  WAN, the rest of the selector          -> guard TUN: clear packets that must not pass
 *   out    each LAN device, the selector          -> TUN: to be encrypted; but not what goes to a network
 * that a LAN device is directly in (from one LAN to the other), which never crosses the WAN Decrypted packets
 * come in on the TUN and match none of them; so does all that the machine itself sends.
 * Multicast is not led by rules: the machine's multicast routes go from the LAN to the TUN, and from the TUN
 * to the LAN, instead of the WAN device. To the kernel a rule that lacks an address or protocol is "any rule
 * of this priority", both when it is to be deleted and when it looks whether there is such a rule already. So
 * "any address" is said as two halves, and rules with a protocol have a priority of their own.
 * IPv6 has the same tables and rules, but for one thing: its rules name no protocol of a selector, since one
 * could stand behind more extension headers than the kernel looks through. Neighbour discovery and all else
 * of a link is not touched: it is not forwarded. */
#ifndef GM_AGENT_STEER_H
#define GM_AGENT_STEER_H

#include "gm-agent/datapath.h"
#include "gm-agent/netlink_route.h"

enum {
    STEER_HALVES_MAX = 4, /* rules that one selector becomes for a device */
    STEER_RULE_MAX = POLICY_SELECTOR_MAX * (GM_LAN_MAX + 2) * STEER_HALVES_MAX,
    STEER_LOCAL_MAX = 64,     /* networks of the LAN devices */
    STEER_PRIORITY_IN = 8480, /* ip rule preferences: behind local (0), before main (32766) */
    STEER_PRIORITY_GUARD = 8481,
    STEER_PRIORITY_OUT = 8482,
    STEER_PROTOCOL_STEP = 2, /* added for selectors of one IP protocol: 8483, 8484 */
};

enum steer_table { STEER_TABLE_IN, STEER_TABLE_GUARD, STEER_TABLE_OUT, STEER_TABLE_COUNT };

struct steer {
    struct netlink_route *netlink;
    const struct gm_datapath_config *config;
    uint32_t tables;          /* number of the first */
    bool ipv6;                /* this kernel has it: what leads IPv6 packets is kept as well */
    struct route_rule *rules; /* STEER_RULE_MAX, heap */
    size_t count;
    struct prefix locals[STEER_LOCAL_MAX];
    size_t local_count;
};

/* Fills the tables, and takes over the rules that a killed agent left: they hold until the first policy. lo,
 * tun, guard: device indices. ipv6: not when the kernel has none. E_NO_MEMORY and those of netlink_route.h.
 */
err_t steer_open(struct steer *steer, struct netlink_route *netlink, const struct gm_datapath_config *config,
                 uint32_t lo, uint32_t tun, uint32_t guard, bool ipv6) MUST_USE;
/* New rules first, then the old ones go: no moment without protection. On an error the new ones go again. */
err_t steer_apply(struct steer *steer, const struct datapath_state *state) MUST_USE;
void steer_close(struct steer *steer);
/* The rules for a policy, without duplicates (selectors that differ in ports are one); returns how many.
 * Pure. */
size_t steer_rules(const struct gm_datapath_config *config, uint32_t tables,
                   const struct datapath_state *state, struct route_rule out[STEER_RULE_MAX]);
uint32_t steer_first_table(const char *tun);

#endif

/* netlink_route.h - links, policy rules and routes over rtnetlink (libmnl): what the user data path asks of
 * the kernel. Every request waits for its acknowledgement; no shell. All that is ours carries
 * NETLINK_ROUTE_PROTOCOL and tables of our own, so that leftovers of a killed agent are found again. Needs
 * CAP_NET_ADMIN. */
#ifndef GM_AGENT_NETLINK_ROUTE_H
#define GM_AGENT_NETLINK_ROUTE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
    NETLINK_ROUTE_PROTOCOL =
        84, /* rtm_protocol / FRA_PROTOCOL of ours (8-bit, not one of the assigned ones) */
};

struct netlink_route; /* a socket */

struct link_info {
    uint32_t index;
    uint32_t mtu;
    uint32_t master;    /* index of the device that it is enslaved to; 0: none */
    uint32_t vrf_table; /* it is a VRF, and this is its table; else 0 */
    char name[IF_NAMESIZE];
    bool up;
};

/* "packets that come in on iif from src to dst [of protocol]: look into table". Both prefixes are of one
 * family. */
struct route_rule {
    char iif[IF_NAMESIZE];
    struct prefix src;
    struct prefix dst;
    uint8_t ip_protocol; /* 0: any */
    uint32_t priority;
    uint32_t table;
};

/* The next step of a way. */
struct route_hop {
    uint32_t index;     /* device */
    uint8_t gateway[4]; /* zeros: the device itself */
};

err_t netlink_route_open(struct netlink_route **out) MUST_USE; /* E_IO, E_NO_MEMORY */
void netlink_route_close(struct netlink_route *netlink);       /* NULL is fine */

/* All return E_OK, E_PERMISSION, E_NOT_FOUND (no such device or entry), E_EXISTS, E_TIMEOUT or E_IO. */
err_t netlink_link_info(struct netlink_route *netlink, const char *name, struct link_info *out) MUST_USE;
err_t netlink_link_by_index(struct netlink_route *netlink, uint32_t index, struct link_info *out) MUST_USE;
err_t netlink_link_set(struct netlink_route *netlink, uint32_t index, uint32_t mtu, bool up) MUST_USE;
/* The tables of IPv4 and IPv6 are two, with one number: family is AF_INET or AF_INET6.
 * The route of a table: everything out of the device, or everything delivered here (local). */
err_t netlink_table_default(struct netlink_route *netlink, uint8_t family, uint32_t table, uint32_t index,
                            bool local) MUST_USE;
/* The last route of a table: what no other one takes is refused. It stays when a device, and the route
 * through it, are gone: a member that was killed does not open the way for clear packets. */
err_t netlink_table_stop(struct netlink_route *netlink, uint8_t family, uint32_t table) MUST_USE;
/* "look elsewhere for this prefix": the table does not decide it. Adding twice is fine. */
err_t netlink_table_throw(struct netlink_route *netlink, uint32_t table, const struct prefix *prefix,
                          bool add) MUST_USE;
/* A host to which packets longer than mtu are answered or cut; mtu 0: no such route any more (index 0: by
 * whatever device). */
err_t netlink_table_narrow(struct netlink_route *netlink, uint32_t table, const struct addr *dst,
                           const struct route_hop *hop, uint32_t mtu) MUST_USE;
/* Where the machine sends a packet of its own to dst, IPv4. E_UNSUPPORTED: no plain way (local, an IPv6 hop).
 */
err_t netlink_hop_to(struct netlink_route *netlink, const struct addr *dst, struct route_hop *out) MUST_USE;
/* The networks that a device is directly in: the kernel's own routes of the main table. *count is at most
 * max. */
err_t netlink_connected(struct netlink_route *netlink, uint8_t family, uint32_t index, struct prefix *out,
                        size_t max, size_t *count) MUST_USE;
err_t netlink_table_flush(struct netlink_route *netlink, uint8_t family, uint32_t table) MUST_USE;
/* Only what netlink_table_throw put there. */
err_t netlink_table_flush_throws(struct netlink_route *netlink, uint8_t family, uint32_t table) MUST_USE;
err_t netlink_rule_add(struct netlink_route *netlink, const struct route_rule *rule) MUST_USE;
err_t netlink_rule_delete(struct netlink_route *netlink, const struct route_rule *rule) MUST_USE;
/* Our rules that lead into tables first..last, whoever left them; at most max. */
err_t netlink_rules_find(struct netlink_route *netlink, uint8_t family, uint32_t first, uint32_t last,
                         struct route_rule *out, size_t max, size_t *count) MUST_USE;
/* Deletes our rules that lead into tables first..last, whoever left them. */
err_t netlink_rules_flush(struct netlink_route *netlink, uint8_t family, uint32_t first,
                          uint32_t last) MUST_USE;
bool route_rule_equal(const struct route_rule *a, const struct route_rule *b);

#endif

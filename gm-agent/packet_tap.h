/* packet_tap.h - packets that come in on a device but are not for this machine: the user data path needs
 * two kinds. ESP to multicast groups, which a raw IP socket would get only for groups that the machine has
 * joined, and a policy names whole ranges. And complaints of routers that ESP is too long, which are for the
 * hosts whose addresses it has. Fragments are not put together. */
#ifndef GM_AGENT_PACKET_TAP_H
#define GM_AGENT_PACKET_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum packet_tap {
    TAP_GROUP_ESP, /* protocol 50 to 224.0.0.0/4; while listening the device takes all multicast */
    TAP_TOO_BIG,   /* ICMP type 3 code 4 */
    TAP_TOO_BIG_6, /* ICMPv6 type 2, without extension headers */
};

/* Hears nothing yet. buffer: octets. Non-blocking; needs CAP_NET_RAW and CAP_NET_ADMIN. E_PERMISSION, E_IO.
 */
err_t packet_tap_open(enum packet_tap kind, int buffer, int *out) MUST_USE;
/* From now on reads give packets from the IP header on. */
err_t packet_tap_listen(enum packet_tap kind, int fd, uint32_t device_index) MUST_USE;

/* A batch of complaints (TAP_TOO_BIG) that quote ESP. False: nothing is left. */
struct path_mtu_hint;
bool packet_tap_complaints(int fd, void (*take)(void *context, const struct path_mtu_hint *hint),
                           void *context);

#endif

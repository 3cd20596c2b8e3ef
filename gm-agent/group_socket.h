/* group_socket.h - ESP to multicast groups, as it comes in on a device. A raw IP socket would get it only for
 * groups that the machine is a member of, and a policy names whole ranges; a packet socket gets it for all.
 * Fragments are not put together here: they arrive as they are. */
#ifndef GM_AGENT_GROUP_SOCKET_H
#define GM_AGENT_GROUP_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Hears nothing yet. buffer: octets. Non-blocking; needs CAP_NET_RAW and CAP_NET_ADMIN. E_PERMISSION, E_IO.
 */
err_t group_socket_open(int buffer, int *out) MUST_USE;
/* From now on: the device takes all multicast, and reads give its packets from the IP header on. */
err_t group_socket_listen(int fd, uint32_t device_index) MUST_USE;

#endif

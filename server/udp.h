/* udp.h - the UDP socket of ksd: many datagrams per system call, answers from the address that was asked.
 * Bound to a wildcard, it learns each datagram's destination (IP_PKTINFO) and sends from it. IPv4 on an IPv6
 * socket shows as IPv4. No libuv: the loop watches udp_fd. */
#ifndef SERVER_UDP_H
#define SERVER_UDP_H

#include "server/ike_table.h"

enum {
    UDP_BATCH = 32, /* datagrams per recvmmsg */
    UDP_ROUNDS = 8, /* batches per turn: then timers and commits have their go */
    UDP_DATAGRAM_MAX = NON_ESP_MARKER_LEN + ISAKMP_MESSAGE_MAX + 64,
    UDP_OUT_MAX = 256, /* datagrams that wait for the end of the turn */
    UDP_OUT_OCTETS = 1 << 20,
    UDP_MANY_MAX = 256,   /* per sendmmsg of the same bytes */
    UDP_BUFFER = 4 << 20, /* octets asked of the kernel, each way: a fan-out and its acknowledgements */
};

struct udp;
/* E_IO with errno set, E_NO_MEMORY. */
err_t udp_open(struct udp **out, const struct endpoint *listen) MUST_USE;
void udp_free(struct udp *udp); /* NULL is fine */
int udp_fd(const struct udp *udp);
struct endpoint
udp_endpoint(const struct udp *udp); /* where it listens; port 0 was asked for: the real one */

typedef void (*udp_datagram_fn)(void *context, const struct ike_path *path, struct bytes datagram);
/* All that is there, within UDP_ROUNDS batches. */
void udp_receive(struct udp *udp, udp_datagram_fn datagram, void *context);
/* Copies; goes out with udp_flush. */
void udp_queue(struct udp *udp, const struct ike_path *path, struct bytes datagram);
void udp_flush(struct udp *udp);
/* See core_ports.send_many. A destination that the kernel refuses counts as sent: it will not answer. */
size_t udp_send_many(struct udp *udp, const struct addr *local, struct bytes datagram,
                     const struct endpoint *to, size_t count);
/* Datagrams lost on our side so far. */
uint64_t udp_lost(const struct udp *udp);

#endif

/* xfrm_socket.h - requests to the kernel over a netlink socket of any family: one request and its
 * acknowledgement, a dump, or an nftables batch. All wait for the kernel, which answers at once; an
 * interrupted dump is begun again. Needs CAP_NET_ADMIN. */
#ifndef GM_AGENT_XFRM_SOCKET_H
#define GM_AGENT_XFRM_SOCKET_H

#include <linux/netlink.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/wire.h"

enum {
    XFRM_SOCKET_ANSWER_MAX = 65536, /* octets of one datagram of answers */
    XFRM_SOCKET_TIMEOUT_S = 2,      /* for a kernel that does not answer */
    XFRM_SOCKET_DUMP_TRIES = 8,     /* a dump over a table that changes meanwhile */
};

struct xfrm_socket;

/* Takes one message of a dump; false ends it (no error). */
typedef bool (*xfrm_dump_fn)(const struct nlmsghdr *message, void *context);

/* family: NETLINK_XFRM, NETLINK_NETFILTER, NETLINK_ROUTE. groups: multicast groups by bit, 0 for requests.
 * E_IO, E_NO_MEMORY, E_PERMISSION. */
err_t xfrm_socket_open(struct xfrm_socket **out, int family, uint32_t groups) MUST_USE;
void xfrm_socket_close(struct xfrm_socket *s); /* NULL is fine; wipes what it received */
int xfrm_socket_fd(const struct xfrm_socket *s);
uint32_t xfrm_socket_next_seq(struct xfrm_socket *s);

/* The message has NLM_F_ACK and a sequence number of this socket. E_PERMISSION, E_NOT_FOUND, E_EXISTS,
 * E_UNSUPPORTED (the kernel lacks it), E_BUSY as E_AGAIN, E_TIMEOUT, E_IO (refused otherwise). */
err_t xfrm_socket_request(struct xfrm_socket *s, const struct nlmsghdr *message) MUST_USE;
/* restart (may be NULL) is called before the dump is begun anew: forget what was taken so far. */
err_t xfrm_socket_dump(struct xfrm_socket *s, const struct nlmsghdr *request, xfrm_dump_fn take,
                       void (*restart)(void *context), void *context) MUST_USE;
/* A batch is all or nothing. last_seq is the number of its last message with NLM_F_ACK. */
err_t xfrm_socket_batch(struct xfrm_socket *s, struct bytes batch, uint32_t last_seq) MUST_USE;
/* For a socket with groups: takes what has come in, up to a bound. False: more is there. lost is set when
 * messages were dropped. Messages that our own port caused are skipped. */
bool xfrm_socket_drain(struct xfrm_socket *s, uint32_t own_port, xfrm_dump_fn take, void *context,
                       bool *lost);
uint32_t xfrm_socket_port(const struct xfrm_socket *s);

/* The next whole message, which *left is then behind; NULL: none. Any octets, aligned to 4. Pure. */
const struct nlmsghdr *xfrm_reply_next(struct bytes *left);
enum xfrm_reply { XFRM_REPLY_MORE, XFRM_REPLY_DONE, XFRM_REPLY_INTERRUPTED };
/* One datagram of answers to the request with this number, any octets: *err is the kernel's verdict when it
 * is done. Pure. */
enum xfrm_reply xfrm_reply_walk(struct bytes datagram, uint32_t seq, xfrm_dump_fn take, void *context,
                                err_t *err);
err_t xfrm_error(int number); /* errno as err_t */

#endif

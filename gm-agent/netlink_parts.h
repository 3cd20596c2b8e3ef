/* netlink_parts.h - between the netlink files: the socket, and one request with its answers. */
#ifndef GM_AGENT_NETLINK_PARTS_H
#define GM_AGENT_NETLINK_PARTS_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "gm-agent/netlink_route.h"

enum {
    NETLINK_REQUEST_MAX = 512,  /* bytes of one request */
    NETLINK_ANSWER_MAX = 65536, /* bytes of one datagram of answers */
    NETLINK_FLUSH_MAX = 4096,   /* rules or routes looked at in one flush */
};

struct netlink_route {
    struct mnl_socket *socket;
    uint32_t port;
    uint32_t seq;
    uint8_t answer[NETLINK_ANSWER_MAX];
};

/* The header of a request in buffer (NETLINK_REQUEST_MAX zeroed bytes). */
struct nlmsghdr *netlink_begin(struct netlink_route *netlink, uint8_t *buffer, uint16_t type, uint16_t flags);
/* Sends, and hands the answers to the callback (or NULL) until the acknowledgement or the end of the dump. */
err_t netlink_talk(struct netlink_route *netlink, const struct nlmsghdr *message, mnl_cb_t callback,
                   void *context);
err_t netlink_request(struct netlink_route *netlink, const struct nlmsghdr *message);

#endif

#include "server/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL_LEN = 64, MAPPED_AT = 10 }; /* ::ffff:a.b.c.d (RFC 4291 2.5.5.2) */

struct out {
    struct ike_path path;
    size_t at;
    size_t len;
};

union control {
    struct cmsghdr align;
    uint8_t raw[CONTROL_LEN];
};

struct udp {
    int fd;
    int family;
    bool wildcard;
    struct endpoint endpoint;
    uint64_t lost;
    struct out outs[UDP_OUT_MAX];
    size_t out_count;
    size_t out_len;
    uint8_t out_buf[UDP_OUT_OCTETS];
    uint8_t in_buf[UDP_BATCH][UDP_DATAGRAM_MAX];
};

static const uint8_t mapped_prefix[12] = {[MAPPED_AT] = 0xff, [MAPPED_AT + 1] = 0xff};

static struct addr unmap(struct addr addr)
{
    if (addr.family != AF_INET6 || memcmp(addr.bytes, mapped_prefix, sizeof(mapped_prefix)) != 0)
        return addr;
    return addr_v4(addr.bytes[12], addr.bytes[13], addr.bytes[14], addr.bytes[15]);
}

static struct addr map_to(struct addr addr, int family)
{
    if (family != AF_INET6 || addr.family != AF_INET)
        return addr;
    struct addr mapped = {.family = AF_INET6};
    memcpy(mapped.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(mapped.bytes + sizeof(mapped_prefix), addr.bytes, 4);
    return mapped;
}

static bool is_wildcard(const struct addr *addr)
{
    static const uint8_t zero[16];
    return memcmp(addr->bytes, zero, addr_len(addr)) == 0;
}

static err_t socket_setup(struct udp *udp, const struct endpoint *listen)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(listen, &sa);
    int on = 1, off = 0, size = UDP_BUFFER;
    udp->fd = socket(listen->addr.family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (udp->fd < 0)
        return E_IO;
    /* More than rmem_max needs a privilege; what we get is what we have. */
    if (setsockopt(udp->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0)
        setsockopt(udp->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (setsockopt(udp->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0)
        setsockopt(udp->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (udp->family == AF_INET6) {
        if (setsockopt(udp->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0 ||
            setsockopt(udp->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) != 0)
            return E_IO;
    } else if (setsockopt(udp->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) != 0) {
        return E_IO;
    }
    if (bind(udp->fd, (struct sockaddr *)&sa, len) != 0)
        return E_IO;
    len = sizeof(sa);
    if (getsockname(udp->fd, (struct sockaddr *)&sa, &len) != 0)
        return E_IO;
    udp->endpoint = endpoint_from_sockaddr((struct sockaddr *)&sa);
    return E_OK;
}

err_t udp_open(struct udp **out, const struct endpoint *listen)
{
    *out = NULL;
    struct udp *udp = calloc(1, sizeof(*udp));
    if (udp == NULL)
        return E_NO_MEMORY;
    udp->family = listen->addr.family;
    udp->wildcard = is_wildcard(&listen->addr);
    err_t err = socket_setup(udp, listen);
    if (err != E_OK) {
        int saved = errno;
        udp_free(udp);
        errno = saved;
        return err;
    }
    *out = udp;
    return E_OK;
}

void udp_free(struct udp *udp)
{
    if (udp == NULL)
        return;
    if (udp->fd >= 0)
        close(udp->fd);
    free(udp);
}

int udp_fd(const struct udp *udp)
{
    return udp->fd;
}

struct endpoint udp_endpoint(const struct udp *udp)
{
    return udp->endpoint;
}

uint64_t udp_lost(const struct udp *udp)
{
    return udp->lost;
}

static struct addr local_of(const struct udp *udp, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        struct addr addr = {0};
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            addr.family = AF_INET;
            memcpy(addr.bytes, &info.ipi_addr, 4);
            return addr;
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof(info));
            addr.family = AF_INET6;
            memcpy(addr.bytes, &info.ipi6_addr, 16);
            return unmap(addr);
        }
    }
    return udp->wildcard ? (struct addr){0} : udp->endpoint.addr;
}

void udp_receive(struct udp *udp, udp_datagram_fn datagram, void *context)
{
    struct mmsghdr messages[UDP_BATCH];
    struct iovec iov[UDP_BATCH];
    struct sockaddr_storage from[UDP_BATCH];
    union control control[UDP_BATCH];
    for (int round = 0; round < UDP_ROUNDS; round++) {
        memset(messages, 0, sizeof(messages));
        for (size_t i = 0; i < UDP_BATCH; i++) {
            iov[i] = (struct iovec){udp->in_buf[i], UDP_DATAGRAM_MAX};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
                                                  .msg_namelen = sizeof(from[i]),
                                                  .msg_iov = &iov[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = control[i].raw,
                                                  .msg_controllen = sizeof(control[i].raw)};
        }
        int count = recvmmsg(udp->fd, messages, UDP_BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++) {
            struct ike_path path = {.peer = endpoint_from_sockaddr((struct sockaddr *)&from[i]),
                                    .local = local_of(udp, &messages[i].msg_hdr)};
            path.peer.addr = unmap(path.peer.addr);
            if (path.peer.addr.family != 0 && path.peer.port != 0)
                datagram(context, &path, (struct bytes){udp->in_buf[i], messages[i].msg_len});
        }
        if (count < UDP_BATCH)
            return;
    }
}

/* The source address of what we send, where the socket has none of its own. Returns the length of the control
 * data. */
static size_t control_fill(const struct udp *udp, const struct addr *local, union control *control)
{
    memset(control, 0, sizeof(*control));
    if (!udp->wildcard || local->family == 0 || is_wildcard(local))
        return 0;
    struct cmsghdr *c = &control->align;
    if (udp->family == AF_INET && local->family == AF_INET) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, local->bytes, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
        return CMSG_SPACE(sizeof(info));
    }
    if (udp->family != AF_INET6)
        return 0;
    struct in6_pktinfo info = {0};
    struct addr mapped = map_to(*local, AF_INET6);
    memcpy(&info.ipi6_addr, mapped.bytes, 16);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    return CMSG_SPACE(sizeof(info));
}

/* Sends messages in order until the socket is full. One that the kernel refuses (no route, a filter) is left
 * behind and counted. How many are dealt with. */
static size_t send_all(struct udp *udp, struct mmsghdr *messages, size_t count)
{
    size_t at = 0;
    while (at < count) {
        int sent = sendmmsg(udp->fd, messages + at, (unsigned)(count - at), MSG_DONTWAIT);
        if (sent > 0) {
            at += (size_t)sent;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)
            return at;
        struct msghdr *refused = &messages[at].msg_hdr;
        if (refused->msg_controllen != 0) { /* perhaps no address of this machine: any will do */
            refused->msg_control = NULL;
            refused->msg_controllen = 0;
            continue;
        }
        udp->lost++;
        at++;
    }
    return at;
}

static struct msghdr message_to(struct sockaddr_storage *sa, socklen_t sa_len, struct iovec *iov,
                                union control *control, size_t control_len)
{
    return (struct msghdr){.msg_name = sa,
                           .msg_namelen = sa_len,
                           .msg_iov = iov,
                           .msg_iovlen = 1,
                           .msg_control = control_len != 0 ? control->raw : NULL,
                           .msg_controllen = control_len};
}

void udp_flush(struct udp *udp)
{
    struct mmsghdr messages[UDP_OUT_MAX];
    struct iovec iov[UDP_OUT_MAX];
    struct sockaddr_storage to[UDP_OUT_MAX];
    union control control[UDP_OUT_MAX];
    size_t count = udp->out_count;
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct out *out = &udp->outs[i];
        struct endpoint peer = {map_to(out->path.peer.addr, udp->family), out->path.peer.port};
        size_t control_len = control_fill(udp, &out->path.local, &control[i]);
        socklen_t len = endpoint_to_sockaddr(&peer, &to[i]);
        iov[i] = (struct iovec){udp->out_buf + out->at, out->len};
        messages[i] = (struct mmsghdr){.msg_hdr = message_to(&to[i], len, &iov[i], &control[i], control_len)};
    }
    udp->lost += count - send_all(udp, messages, count);
    udp->out_count = 0;
    udp->out_len = 0;
}

void udp_queue(struct udp *udp, const struct ike_path *path, struct bytes datagram)
{
    size_t marker = path->marker ? NON_ESP_MARKER_LEN : 0;
    size_t len = datagram.len + marker;
    if (len > UDP_DATAGRAM_MAX || datagram.len == 0)
        return;
    if (udp->out_count == UDP_OUT_MAX || udp->out_len + len > UDP_OUT_OCTETS)
        udp_flush(udp);
    struct out *out = &udp->outs[udp->out_count++];
    *out = (struct out){*path, udp->out_len, len};
    memset(udp->out_buf + out->at, 0, marker);
    memcpy(udp->out_buf + out->at + marker, datagram.data, datagram.len);
    udp->out_len += len;
}

size_t udp_send_many(struct udp *udp, const struct addr *local, struct bytes datagram,
                     const struct endpoint *to, size_t count)
{
    struct mmsghdr messages[UDP_MANY_MAX];
    struct sockaddr_storage sas[UDP_MANY_MAX];
    union control control;
    struct iovec iov = {(void *)(uintptr_t)datagram.data, datagram.len};
    size_t control_len = control_fill(udp, local, &control);
    size_t done = 0;
    while (done < count) {
        size_t part = count - done < UDP_MANY_MAX ? count - done : UDP_MANY_MAX;
        for (size_t i = 0; i < part; i++) {
            struct endpoint peer = {map_to(to[done + i].addr, udp->family), to[done + i].port};
            socklen_t len = endpoint_to_sockaddr(&peer, &sas[i]);
            messages[i] = (struct mmsghdr){.msg_hdr = message_to(&sas[i], len, &iov, &control, control_len)};
        }
        size_t sent = send_all(udp, messages, part);
        done += sent;
        if (sent < part)
            break;
    }
    return done;
}

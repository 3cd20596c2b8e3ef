/* xfrm_socket.c - netlink requests by libmnl, for XFRM, nftables and routes alike. */
#include "gm-agent/xfrm_socket.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/secret.h"

enum {
    BUFFER = 4 << 20,   /* octets of the socket's buffers: a whole batch goes out as one datagram */
    DRAIN_MAX = 256,    /* datagrams of one drain */
    ANSWERS_MAX = 4096, /* datagrams of one request */
};

struct xfrm_socket {
    struct mnl_socket *mnl;
    uint32_t seq;
    _Alignas(struct nlmsghdr) uint8_t answer[XFRM_SOCKET_ANSWER_MAX];
};

err_t xfrm_error(int number)
{
    switch (number) {
    case 0:
        return E_OK;
    case EPERM:
    case EACCES:
        return E_PERMISSION;
    case ENOENT:
    case ENODEV:
    case ESRCH:
    case ENXIO:
        return E_NOT_FOUND;
    case EEXIST:
        return E_EXISTS;
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case ENOSYS:
        return E_UNSUPPORTED;
    case EBUSY:
        return E_AGAIN;
    case EAGAIN:
        return E_TIMEOUT;
    case ENOMEM:
    case ENOBUFS:
        return E_NO_MEMORY;
    default:
        return E_IO;
    }
}

err_t xfrm_socket_open(struct xfrm_socket **out, int family, uint32_t groups)
{
    struct xfrm_socket *s = calloc(1, sizeof(*s));
    *out = NULL;
    if (s == NULL)
        return E_NO_MEMORY;
    s->mnl = mnl_socket_open2(family, SOCK_CLOEXEC | (groups != 0 ? SOCK_NONBLOCK : 0));
    struct timeval timeout = {.tv_sec = XFRM_SOCKET_TIMEOUT_S};
    int size = BUFFER;
    if (s->mnl == NULL || mnl_socket_bind(s->mnl, groups, MNL_SOCKET_AUTOPID) < 0 ||
        setsockopt(mnl_socket_get_fd(s->mnl), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0) {
        err_t err = errno == EPERM ? E_PERMISSION : errno == EPROTONOSUPPORT ? E_UNSUPPORTED : E_IO;
        xfrm_socket_close(s);
        return err;
    }
    /* Without the privilege the ordinary limit stays, which is enough for few selectors. */
    if (setsockopt(mnl_socket_get_fd(s->mnl), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0 ||
        setsockopt(mnl_socket_get_fd(s->mnl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) != 0) {
        xfrm_socket_close(s);
        return E_PERMISSION;
    }
    *out = s;
    return E_OK;
}

void xfrm_socket_close(struct xfrm_socket *s)
{
    if (s == NULL)
        return;
    if (s->mnl != NULL)
        mnl_socket_close(s->mnl);
    secret_wipe(s, sizeof(*s)); /* dumps of SAs have keys */
    free(s);
}

int xfrm_socket_fd(const struct xfrm_socket *s)
{
    return mnl_socket_get_fd(s->mnl);
}

uint32_t xfrm_socket_port(const struct xfrm_socket *s)
{
    return mnl_socket_get_portid(s->mnl);
}

uint32_t xfrm_socket_next_seq(struct xfrm_socket *s)
{
    if (++s->seq == 0)
        s->seq = 1;
    return s->seq;
}

static err_t verdict_of(const struct nlmsghdr *message)
{
    int number;
    if (message->nlmsg_len < NLMSG_HDRLEN + sizeof(number))
        return E_TRUNCATED;
    memcpy(&number, (const uint8_t *)message + NLMSG_HDRLEN, sizeof(number));
    return number > 0 ? E_IO : xfrm_error(number == -2147483647 - 1 ? EINVAL : -number);
}

const struct nlmsghdr *xfrm_reply_next(struct bytes *left)
{
    const struct nlmsghdr *message = (const struct nlmsghdr *)left->data;
    /* Not mnl_nlmsg_ok: it takes a length of 2^31 and more for a negative one, which fits everywhere. */
    if (left->len < NLMSG_HDRLEN || message->nlmsg_len < NLMSG_HDRLEN || message->nlmsg_len > left->len)
        return NULL;
    size_t step = NLMSG_ALIGN((size_t)message->nlmsg_len);
    *left = bytes_slice(*left, step < left->len ? step : left->len, left->len);
    return message;
}

enum xfrm_reply xfrm_reply_walk(struct bytes datagram, uint32_t seq, xfrm_dump_fn take, void *context,
                                err_t *err)
{
    const struct nlmsghdr *message;
    *err = E_OK;
    while ((message = xfrm_reply_next(&datagram)) != NULL) {
        if (message->nlmsg_seq != seq)
            continue; /* what is left of a request that timed out */
        if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0)
            return XFRM_REPLY_INTERRUPTED;
        if (message->nlmsg_type == NLMSG_DONE)
            return XFRM_REPLY_DONE;
        if (message->nlmsg_type == NLMSG_ERROR) {
            *err = verdict_of(message);
            return XFRM_REPLY_DONE;
        }
        if (message->nlmsg_type == NLMSG_OVERRUN)
            return XFRM_REPLY_INTERRUPTED;
        if (message->nlmsg_type >= NLMSG_MIN_TYPE && take != NULL && !take(message, context))
            return XFRM_REPLY_DONE;
    }
    return XFRM_REPLY_MORE;
}

/* One datagram; E_AGAIN: none is there (a socket that does not block), E_FULL: some were lost. */
static err_t receive(struct xfrm_socket *s, int flags, struct bytes *out)
{
    struct sockaddr_nl from;
    for (;;) {
        socklen_t from_len = sizeof(from);
        ssize_t got = recvfrom(xfrm_socket_fd(s), s->answer, sizeof(s->answer), flags | MSG_TRUNC,
                               (struct sockaddr *)&from, &from_len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno == ENOBUFS                          ? E_FULL
                   : errno == EAGAIN || errno == EWOULDBLOCK ? E_AGAIN
                                                             : xfrm_error(errno);
        if (from.nl_pid != 0)
            continue; /* not the kernel */
        if ((size_t)got > sizeof(s->answer))
            return E_FULL;
        *out = (struct bytes){s->answer, (size_t)got};
        return E_OK;
    }
}

static err_t send_all(struct xfrm_socket *s, const void *data, size_t len)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    for (;;) {
        ssize_t sent = sendto(xfrm_socket_fd(s), data, len, 0, (struct sockaddr *)&kernel, sizeof(kernel));
        if (sent == (ssize_t)len)
            return E_OK;
        if (sent >= 0)
            return E_IO;
        if (errno != EINTR)
            return errno == EMSGSIZE ? E_LIMIT : xfrm_error(errno);
    }
}

static err_t await(struct xfrm_socket *s, uint32_t seq, xfrm_dump_fn take, void *context)
{
    for (unsigned i = 0; i < ANSWERS_MAX; i++) {
        struct bytes datagram;
        err_t verdict;
        err_t err = receive(s, 0, &datagram);
        if (err != E_OK)
            return err == E_AGAIN ? E_TIMEOUT : err == E_FULL ? E_STALE : err;
        switch (xfrm_reply_walk(datagram, seq, take, context, &verdict)) {
        case XFRM_REPLY_DONE:
            return verdict;
        case XFRM_REPLY_INTERRUPTED:
            return E_STALE;
        case XFRM_REPLY_MORE:
            break;
        }
    }
    return E_LIMIT;
}

err_t xfrm_socket_request(struct xfrm_socket *s, const struct nlmsghdr *message)
{
    err_t err = send_all(s, message, message->nlmsg_len);
    return err != E_OK ? err : await(s, message->nlmsg_seq, NULL, NULL);
}

err_t xfrm_socket_dump(struct xfrm_socket *s, const struct nlmsghdr *request, xfrm_dump_fn take,
                       void (*restart)(void *context), void *context)
{
    struct nlmsghdr *again = malloc(request->nlmsg_len);
    err_t err = E_NO_MEMORY;
    if (again == NULL)
        return err;
    memcpy(again, request, request->nlmsg_len);
    for (unsigned i = 0; i < XFRM_SOCKET_DUMP_TRIES; i++) {
        if (i > 0 && restart != NULL)
            restart(context);
        again->nlmsg_seq = xfrm_socket_next_seq(s); /* what is left of the broken one does not count */
        err = send_all(s, again, again->nlmsg_len);
        if (err == E_OK)
            err = await(s, again->nlmsg_seq, take, context);
        if (err != E_STALE)
            break;
    }
    free(again);
    return err;
}

/* All answers to a batch are there when sending it returns: an error for each message that was refused, in
 * order, and the acknowledgement of the last one. */
err_t xfrm_socket_batch(struct xfrm_socket *s, struct bytes batch, uint32_t last_seq)
{
    err_t err = send_all(s, batch.data, batch.len), first = E_OK;
    bool acknowledged = false;
    for (unsigned i = 0; err == E_OK && i < ANSWERS_MAX; i++) {
        struct bytes datagram;
        err = receive(s, MSG_DONTWAIT, &datagram);
        if (err != E_OK)
            break;
        const struct nlmsghdr *message;
        while ((message = xfrm_reply_next(&datagram)) != NULL) {
            if (message->nlmsg_type != NLMSG_ERROR)
                continue;
            err_t verdict = verdict_of(message);
            if (first == E_OK)
                first = verdict;
            acknowledged = acknowledged || (verdict == E_OK && message->nlmsg_seq == last_seq);
        }
    }
    if (err != E_OK && err != E_AGAIN)
        return err;
    if (first != E_OK)
        return first;
    return acknowledged ? E_OK : E_TIMEOUT;
}

bool xfrm_socket_drain(struct xfrm_socket *s, uint32_t own_port, xfrm_dump_fn take, void *context, bool *lost)
{
    *lost = false;
    for (unsigned i = 0; i < DRAIN_MAX; i++) {
        struct bytes datagram;
        err_t err = receive(s, MSG_DONTWAIT, &datagram);
        if (err == E_FULL) {
            *lost = true;
            continue;
        }
        if (err != E_OK)
            return true;
        const struct nlmsghdr *message;
        while ((message = xfrm_reply_next(&datagram)) != NULL)
            if (message->nlmsg_type >= NLMSG_MIN_TYPE && message->nlmsg_pid != own_port)
                take(message, context);
    }
    return false;
}

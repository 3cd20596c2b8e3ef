#include "base/tcp_ask.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* Waits for the socket until the deadline. */
static err_t wait_for(int fd, short events, uint64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};
    for (;;) {
        uint64_t now = clock_mono_ms(&clock_system);
        int rc = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));
        if (rc > 0)
            return E_OK;
        if (rc == 0)
            return E_AGAIN;
        if (errno != EINTR)
            return E_IO;
    }
}

static err_t write_all(int fd, struct bytes data, uint64_t deadline_ms)
{
    for (size_t at = 0; at < data.len;) {
        err_t err = wait_for(fd, POLLOUT, deadline_ms);
        if (err != E_OK)
            return err;
        ssize_t n = send(fd, data.data + at, data.len - at, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return E_IO;
        at += n > 0 ? (size_t)n : 0;
    }
    return E_OK;
}

static err_t read_all(int fd, uint8_t *out, size_t len, uint64_t deadline_ms)
{
    for (size_t at = 0; at < len;) {
        err_t err = wait_for(fd, POLLIN, deadline_ms);
        if (err != E_OK)
            return err;
        ssize_t n = recv(fd, out + at, len - at, 0);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return E_IO;
        at += n > 0 ? (size_t)n : 0;
    }
    return E_OK;
}

static err_t exchange(int fd, struct bytes request, uint8_t *answer, size_t cap, size_t *answer_len,
                      uint64_t deadline_ms)
{
    uint8_t head[TCP_ASK_LENGTH_LEN];
    struct writer w = writer_over(head, sizeof(head));
    write_u32(&w, (uint32_t)request.len);
    err_t err = write_all(fd, writer_bytes(&w), deadline_ms);
    if (err == E_OK)
        err = write_all(fd, request, deadline_ms);
    if (err == E_OK)
        err = read_all(fd, head, sizeof(head), deadline_ms);
    if (err != E_OK)
        return err;
    struct reader r = reader_over(BYTES_OF(head));
    *answer_len = read_u32(&r);
    return *answer_len <= cap ? read_all(fd, answer, *answer_len, deadline_ms) : E_LIMIT;
}

err_t tcp_ask(const struct endpoint *at, struct bytes request, uint8_t *answer, size_t cap,
              size_t *answer_len, unsigned limit_ms)
{
    struct sockaddr_storage addr;
    uint64_t deadline_ms = clock_mono_ms(&clock_system) + limit_ms;
    socklen_t len = endpoint_to_sockaddr(at, &addr);
    int fd = len == 0 ? -1 : socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return E_IO;
    err_t err = E_OK;
    int error = 0;
    socklen_t error_len = sizeof(error);
    if (connect(fd, (struct sockaddr *)&addr, len) != 0 && errno != EINPROGRESS)
        err = E_IO;
    if (err == E_OK)
        err = wait_for(fd, POLLOUT, deadline_ms);
    if (err == E_OK && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0 || error != 0))
        err = E_IO;
    if (err == E_OK)
        err = exchange(fd, request, answer, cap, answer_len, deadline_ms);
    close(fd);
    return err;
}

/* status_ask.c - the client of the status socket. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "gm-agent/status_socket.h"

static err_t from_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ECONNREFUSED:
        return E_NOT_FOUND;
    case EACCES:
    case EPERM:
        return E_PERMISSION;
    case EAGAIN:
        return E_TIMEOUT;
    default:
        return E_IO;
    }
}

static err_t copy_answer(int fd)
{
    char buffer[4096];
    for (;;) {
        ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return from_errno(errno);
        if (got == 0)
            return fflush(stdout) == 0 ? E_OK : E_IO;
        if (fwrite(buffer, 1, (size_t)got, stdout) != (size_t)got)
            return E_IO;
    }
}

err_t status_ask(const char *path, const char *command)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = STATUS_CLIENT_TIMEOUT_MS / 1000};
    if (strlen(path) >= sizeof(name.sun_path))
        return E_RANGE;
    memcpy(name.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return E_IO;
    err_t err = E_OK;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) != 0 ||
        connect(fd, (struct sockaddr *)&name, sizeof(name)) != 0 ||
        send(fd, command, strlen(command), MSG_NOSIGNAL) < 0 || send(fd, "\n", 1, MSG_NOSIGNAL) < 0)
        err = from_errno(errno);
    if (err == E_OK)
        err = copy_answer(fd);
    close(fd);
    return err;
}

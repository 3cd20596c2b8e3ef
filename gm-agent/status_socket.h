/* status_socket.h - the Unix socket (mode 0600) behind "gm-agent show ...": one line in, one answer out,
 * closed. */
#ifndef GM_AGENT_STATUS_SOCKET_H
#define GM_AGENT_STATUS_SOCKET_H

#include <stddef.h>

#include "base/err.h"

enum {
    STATUS_CLIENT_MAX = 8, /* at once; more are closed at the door */
    STATUS_CLIENT_TIMEOUT_MS = 5000,
};

/* Client side: sends the command, writes the answer to stdout. E_NOT_FOUND (no agent there), E_PERMISSION,
 * E_IO, E_TIMEOUT. */
err_t status_ask(const char *path, const char *command) MUST_USE;

#endif

/* sandbox.h - what a daemon gives up once its sockets are open: capabilities, the way to new ones, and the
 * system calls that it never makes. What is lost stays lost, for the threads made later too.
 *
 * System calls are an allow list (sandbox_syscall.c): one that is not on it fails with EPERM, one that starts
 * a program or reads another process's memory ends the process (SIGSYS). New sockets are of the families
 * named by the role, and new threads are threads, never processes. */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum sandbox_role {
    SANDBOX_SERVER,         /* no capability: port 848 is bound, locked memory needs none (base/secret.h) */
    SANDBOX_JOINER,         /* as the server, but CAP_NET_BIND_SERVICE stays until sandbox_bound */
    SANDBOX_MEMBER,         /* CAP_NET_ADMIN, CAP_NET_RAW: routes, rules and SAs change with the policy */
    SANDBOX_MEMBER_NO_DATA, /* keys only: no capability */
};

/* capabilities, then system calls. E_PERMISSION: capabilities could not be dropped, and nothing else was
 * done; E_UNSUPPORTED: the kernel takes no filter. */
err_t sandbox_enter(enum sandbox_role role) MUST_USE;

/* Of a joiner: the port is bound, or will never be. The calling thread, and threads that it makes later, lose the last capability. */
void sandbox_bound(void);

/* sandbox_syscall.c: the filter alone. E_UNSUPPORTED, E_NO_MEMORY. */
err_t sandbox_filter(enum sandbox_role role) MUST_USE;

#endif

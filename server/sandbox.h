/* sandbox.h - what ksd gives up once its sockets are bound: every capability, and the way to new ones. */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include "base/err.h"

/* No capability stays, not even for binding: the sockets are open, and locked memory needs none once the
 * limit is lifted (base/secret.h). No exec gains any (no_new_privs). E_PERMISSION if one could not be
 * dropped. */
err_t sandbox_enter(void) MUST_USE;

#endif

#include "base/sandbox.h"

#include <cap-ng.h>
#include <sys/prctl.h>

static err_t drop_capabilities(enum sandbox_role role)
{
    if (capng_get_caps_process() != 0)
        return E_PERMISSION;
    /* The bounding set is ours to empty only with CAP_SETPCAP; without it, no_new_privs has to do. */
    capng_select_t set =
        capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
    bool may_bind = role == SANDBOX_JOINER && capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_BIND_SERVICE);
    capng_clear(set);
    if (may_bind)
        capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_BIND_SERVICE, -1);
    if (role == SANDBOX_MEMBER)
        capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN, CAP_NET_RAW, -1);
    return capng_apply(set) == 0 ? E_OK : E_PERMISSION;
}

err_t sandbox_enter(enum sandbox_role role)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return E_PERMISSION;
    err_t err = drop_capabilities(role);
    return err == E_OK ? sandbox_filter(role) : err;
}

void sandbox_bound(void)
{
    capng_clear(CAPNG_SELECT_CAPS);
    (void)!capng_apply(CAPNG_SELECT_CAPS); /* giving up what is there needs no permission */
}

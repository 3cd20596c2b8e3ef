#include "server/sandbox.h"

#include <cap-ng.h>
#include <sys/prctl.h>

err_t sandbox_enter(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return E_PERMISSION;
    if (capng_get_caps_process() != 0)
        return E_PERMISSION;
    /* The bounding set is ours to empty only with CAP_SETPCAP; without it, no_new_privs has to do. */
    capng_select_t set =
        capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
    capng_clear(set);
    return capng_apply(set) == 0 ? E_OK : E_PERMISSION;
}

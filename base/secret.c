#include "base/secret.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

err_t secret_set(struct secret *out, struct bytes from)
{
    if (from.len > SECRET_LEN_MAX)
        return E_BAD_KEY;
    /* from may be a view of out itself: move first, then wipe what is behind it. */
    if (from.len != 0)
        memmove(out->data, from.data, from.len);
    secret_wipe(out->data + from.len, SECRET_LEN_MAX - from.len);
    out->len = (uint16_t)from.len;
    return E_OK;
}

void secret_copy(struct secret *out, const struct secret *from)
{
    if (out != from)
        memcpy(out, from, sizeof(*out));
}

struct bytes secret_view(const struct secret *secret)
{
    return (struct bytes){secret->data, secret->len};
}

void secret_close(struct secret *secret)
{
    secret_wipe(secret, sizeof(*secret));
}

bool secret_equal(struct bytes a, struct bytes b)
{
    if (a.len != b.len)
        return false;
    /* volatile keeps the compiler from leaving the loop at the first difference */
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
    return difference == 0;
}

void secret_wipe(void *data, size_t len)
{
    if (len != 0)
        explicit_bzero(data, len);
}

/* With a finite limit a later allocation or the growth of a stack would fail because it cannot be
 * locked, so lock everything or nothing. Pages are locked as they are touched (MCL_ONFAULT), which
 * leaves large sparse mappings alone. */
static err_t lock_memory(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max != RLIM_INFINITY)
            return E_PERMISSION;
        limit.rlim_cur = RLIM_INFINITY;
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
            return E_PERMISSION;
    }
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? E_OK : E_PERMISSION;
}

err_t secret_harden_process(void)
{
    struct rlimit no_core = {0, 0};
    err_t err = setrlimit(RLIMIT_CORE, &no_core) == 0 ? E_OK : E_PERMISSION;
    if (QUORATE_SANITIZED)
        return err; /* the sanitizers trace the process and lock nothing well */
    /* A process that is not dumpable is not ptraceable either. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        err = E_PERMISSION;
    err_t locked = lock_memory();
    return err != E_OK ? err : locked;
}

/* datapath.c - the choice of a back end, and the one that touches no packets. */
#include "gm-agent/datapath.h"

#include <stdio.h>
#include <stdlib.h>

#include "gm-agent/xfrm_try.h"

static const char *const counter_names[DP_COUNTER_COUNT] = {
    [DP_ENCAPS] = "encaps",         [DP_ENCRYPT] = "encrypt",           [DP_DECAPS] = "decaps",
    [DP_DECRYPT] = "decrypt",       [DP_VERIFY_ERROR] = "verify_error", [DP_INVALID_SPI] = "invalid_spi",
    [DP_REPLAY] = "replay",         [DP_NO_POLICY] = "no_policy",       [DP_NOT_IPSEC] = "not_ipsec",
    [DP_NO_KEY] = "no_key",         [DP_MALFORMED] = "malformed",       [DP_BYPASS] = "bypass",
    [DP_SEND_ERROR] = "send_error", [DP_TIME_REPLAY] = "time_replay",
};

const char *datapath_counter_name(enum datapath_counter_id id)
{
    return (unsigned)id < DP_COUNTER_COUNT ? counter_names[id] : "?";
}

struct none_datapath {
    struct datapath base;
    struct datapath_counter counters[DP_COUNTER_COUNT];
};

static err_t none_apply(struct datapath *datapath, const struct datapath_state *state, const char **why)
{
    (void)datapath;
    (void)state;
    (void)why;
    return E_OK;
}

static size_t none_fds(const struct datapath *datapath, int out[DATAPATH_FD_MAX])
{
    (void)datapath;
    (void)out;
    return 0;
}

static void none_ready(struct datapath *datapath, int fd)
{
    (void)datapath;
    (void)fd;
}

static const struct datapath_counter *none_counters(const struct datapath *datapath)
{
    return ((const struct none_datapath *)datapath)->counters;
}

static void none_close(struct datapath *datapath)
{
    free(datapath);
}

static const struct datapath_ops none_ops = {
    .name = "none",
    .check = datapath_user_check,
    .apply = none_apply,
    .fds = none_fds,
    .ready = none_ready,
    .counters = none_counters,
    .close = none_close,
};

err_t datapath_open(const struct gm_datapath_config *config, struct datapath **out, const char **why)
{
    *out = NULL;
    *why = NULL;
    if (config->backend == GM_BACKEND_USER)
        return datapath_user_open(config, out, why);
    if (config->backend == GM_BACKEND_XFRM)
        return datapath_xfrm_open(config, out, why);
    struct none_datapath *none = calloc(1, sizeof(*none));
    if (none == NULL)
        return E_NO_MEMORY;
    none->base.ops = &none_ops;
    *out = &none->base;
    return E_OK;
}

/* With a key of zeros: what is asked is whether the cipher is there. */
static err_t try_library(const struct esp_suite *suite)
{
    static const uint8_t key[SECRET_LEN_MAX];
    struct esp_context *context = NULL;
    err_t err = esp_context_open(suite, (struct bytes){key, esp_key_len(suite)},
                                 (struct bytes){key, esp_integrity_len(suite)}, &context);
    esp_context_free(context);
    return err;
}

size_t datapath_abilities(struct datapath *datapath, struct datapath_ability out[DATAPATH_ABILITY_MAX])
{
    if (datapath->ops->abilities != NULL)
        return datapath->ops->abilities(datapath, out);
    for (size_t i = 0; i < xfrm_try_count(); i++) {
        struct esp_suite suite = xfrm_try_suite(i);
        xfrm_try_name(&suite, out[i].name);
        out[i].err = try_library(&suite);
    }
    return xfrm_try_count();
}

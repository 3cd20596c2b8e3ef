/* datapath_xfrm_try.c - what this kernel takes of all that the XFRM back end needs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/tun.h"
#include "gm-agent/xfrm_try.h"

err_t xfrm_try_rules(struct xfrm_datapath *dp, bool track)
{
    struct datapath_state nothing = {.selector_count = 0};
    struct xfrm_site site = dp->site;
    struct bytes batch;
    uint32_t last_seq;
    site.track = track;
    snprintf(site.instance, sizeof(site.instance), "%.*st", GM_TUN_NAME_MAX, dp->site.instance);
    err_t err = nft_ruleset_build(&site, &nothing, true, xfrm_socket_next_seq(dp->nft), dp->scratch,
                                  NFT_RULESET_MAX, &batch, &last_seq);
    if (err == E_OK)
        err = xfrm_socket_batch(dp->nft, batch, last_seq);
    if (err != E_OK)
        return err; /* a batch is all or nothing */
    err = nft_ruleset_remove(&site, xfrm_socket_next_seq(dp->nft), dp->scratch, NFT_RULESET_MAX, &batch,
                             &last_seq);
    return err == E_OK ? xfrm_socket_batch(dp->nft, batch, last_seq) : err;
}

static err_t try_tun(const struct xfrm_datapath *dp)
{
    char name[GM_DEVICE_MAX];
    int fd = -1;
    if (dp->probe_tun >= 0)
        return E_OK; /* in use */
    snprintf(name, sizeof(name), "%.*st", GM_TUN_NAME_MAX, dp->site.instance);
    err_t err = tun_open(name, &fd);
    if (err == E_OK)
        close(fd);
    return err;
}

size_t xfrm_abilities(struct datapath *datapath, struct datapath_ability out[DATAPATH_ABILITY_MAX])
{
    struct xfrm_datapath *dp = (struct xfrm_datapath *)datapath;
    size_t count = 0;
    for (; count < xfrm_try_count(); count++) {
        struct esp_suite suite = xfrm_try_suite(count);
        xfrm_try_name(&suite, out[count].name);
        out[count].err = xfrm_try(dp->xfrm, &dp->site, &suite);
    }
    snprintf(out[count].name, DATAPATH_ABILITY_NAME_MAX, "nftables");
    out[count++].err = xfrm_try_rules(dp, dp->track);
    snprintf(out[count].name, DATAPATH_ABILITY_NAME_MAX, "sender ids for esp-gcm (tun)");
    out[count++].err = try_tun(dp);
    return count;
}

/* datapath_user_fence.c - the kernel's part in keeping protected packets off the WAN (nft_fence.h), where it has nftables. */
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/nft_counters.h"
#include "gm-agent/nft_fence.h"

err_t user_fence_open(struct user_datapath *dp)
{
    dp->fence.rules = malloc(NFT_FENCE_MAX);
    if (dp->fence.rules == NULL)
        return E_NO_MEMORY;
    err_t err = xfrm_socket_open(&dp->fence.nft, NETLINK_NETFILTER, 0);
    if (err == E_OK)
        err = xfrm_socket_open(&dp->fence.watch, NETLINK_NETFILTER, NFT_WATCH_GROUPS);
    return err == E_NO_MEMORY ? err : E_OK; /* without a socket there are no rules, as without nftables */
}

static err_t replace(struct user_datapath *dp, const struct datapath_state *state)
{
    struct bytes batch;
    if (dp->fence.nft == NULL)
        return E_UNSUPPORTED;
    err_t err = nft_fence_build(dp->config, state, dp->ipv6, !dp->fence.made, xfrm_socket_next_seq(dp->fence.nft),
                                dp->fence.rules, NFT_FENCE_MAX, &batch, &dp->fence.last_seq);
    dp->fence.rules_len = err == E_OK ? batch.len : 0;
    return err == E_OK ? xfrm_socket_batch(dp->fence.nft, batch, dp->fence.last_seq) : err;
}

err_t user_fence_apply(struct user_datapath *dp, const struct datapath_state *state)
{
    err_t err = replace(dp, state);
    if (err == E_OK)
        dp->fence.made = true;
    else if (!dp->fence.told)
        event(DATAPATH_STATE, "user",
              "this kernel takes no nftables rules: protected multicast leaves in clear where multicast routes lead from "
              "the LAN to the WAN");
    dp->fence.told = dp->fence.told || err != E_OK;
    return dp->fence.made ? err : E_OK;
}

bool user_fence_ready(struct user_datapath *dp, int fd)
{
    char table[NFT_NAME_MAX];
    if (dp->fence.watch == NULL || fd != xfrm_socket_fd(dp->fence.watch))
        return false;
    nft_fence_table(dp->config, table);
    if (!nft_table_changed(dp->fence.watch, dp->fence.nft, table) || !dp->fence.made || dp->fence.rules_len == 0)
        return true;
    struct bytes batch = {dp->fence.rules, dp->fence.rules_len};
    err_t err = xfrm_socket_batch(dp->fence.nft, batch, dp->fence.last_seq);
    event(DATAPATH_STATE, "user",
          err == E_OK ? "somebody changed our nftables table; put back"
                      : "somebody changed our nftables table, and it cannot be put back");
    return true;
}

void user_fence_count(struct user_datapath *dp, struct datapath_counter *counters)
{
    char table[NFT_NAME_MAX];
    uint8_t scratch[NFT_MESSAGE_MAX];
    uint64_t *seen = dp->fence.counted;
    uint64_t now[NFT_COUNTER_COUNT];
    memcpy(now, seen, sizeof(now));
    if (!dp->fence.made)
        return;
    nft_fence_table(dp->config, table);
    nft_counters_dump(dp->fence.nft, scratch, table, now);
    memcpy(seen, now, sizeof(now));
    counters[DP_NO_KEY].count += now[NFT_COUNTER_LEAK];
    counters[DP_NOT_IPSEC].count += now[NFT_COUNTER_NOT_IPSEC];
}

void user_fence_close(struct user_datapath *dp)
{
    struct bytes batch;
    uint32_t last_seq;
    if (dp->fence.made &&
        nft_fence_remove(dp->config, dp->ipv6, xfrm_socket_next_seq(dp->fence.nft), dp->fence.rules, NFT_FENCE_MAX,
                         &batch, &last_seq) == E_OK &&
        xfrm_socket_batch(dp->fence.nft, batch, last_seq) == E_OK)
        dp->fence.made = false;
    xfrm_socket_close(dp->fence.nft);
    xfrm_socket_close(dp->fence.watch);
    free(dp->fence.rules);
    memset(&dp->fence, 0, sizeof(dp->fence));
}

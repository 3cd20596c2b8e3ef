/* datapath_user_mtu.c - narrow ways become routes into the TUN that say so. */
#include <string.h>
#include <sys/socket.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"

enum { COMPLAINTS = 32, COMPLAINT_MAX = 1500 /* octets */ };

/* Is it about ESP that we may have sent? Then the quoted addresses are of the policy, and the key is known.
 */
static bool is_about_us(const struct user_datapath *dp, const struct path_mtu_hint *hint)
{
    struct ip_packet quoted = {0};
    bool known = false;
    memcpy(quoted.src, hint->src, 4);
    memcpy(quoted.dst, hint->dst, 4);
    for (size_t i = 0; i < dp->path.sa_count; i++)
        known = known || dp->path.sas[i].spi == hint->spi;
    return known && policy_names_addresses(&dp->path.program, &quoted);
}

static void take(struct user_datapath *dp, const struct path_mtu_hint *hint)
{
    char dst[ADDR_TEXT_MAX], router[ADDR_TEXT_MAX];
    struct addr host = addr_v4(hint->dst[0], hint->dst[1], hint->dst[2], hint->dst[3]);
    struct addr from = addr_v4(hint->router[0], hint->router[1], hint->router[2], hint->router[3]);
    if (!is_about_us(dp, hint) || !path_mtu_learn(&dp->mtu, hint->dst, hint->mtu, dp->path.mono_ms))
        return;
    uint32_t inner = (uint32_t)esp_path_inner_mtu(&dp->path, hint->mtu);
    err_t err = netlink_table_narrow(dp->netlink, dp->steer.tables + STEER_TABLE_OUT, hint->dst,
                                     dp->tun_index, inner);
    addr_format(&host, dst);
    addr_format(&from, router);
    if (err == E_OK)
        event(PATH_MTU_FOUND, dst, (uint32_t)hint->mtu, router, inner);
    else
        event(DATAPATH_ERROR, "path MTU", err_text(err));
}

bool user_mtu_batch(struct user_datapath *dp)
{
    uint8_t packet[COMPLAINT_MAX];
    for (unsigned i = 0; i < COMPLAINTS; i++) {
        struct path_mtu_hint hint;
        ssize_t got = recv(dp->wan_icmp, packet, sizeof(packet), 0);
        if (got <= 0)
            return false;
        if (path_mtu_read(&hint, (struct bytes){packet, (size_t)got}))
            take(dp, &hint);
    }
    return true;
}

void user_mtu_age(struct user_datapath *dp)
{
    uint8_t dst[4];
    if (dp->path.mono_ms < dp->mtu_age_ms)
        return;
    dp->mtu_age_ms = dp->path.mono_ms + PATH_MTU_AGE_MS;
    while (path_mtu_forget(&dp->mtu, dp->path.mono_ms, dst)) {
        /* Gone already is fine: then it does not narrow anything. */
        err_t err =
            netlink_table_narrow(dp->netlink, dp->steer.tables + STEER_TABLE_OUT, dst, dp->tun_index, 0);
        if (err != E_OK && err != E_NOT_FOUND)
            event(DATAPATH_ERROR, "path MTU", err_text(err));
    }
}

/* datapath_user_mtu.c - narrow ways become routes into the TUN that say so. */
#include <string.h>

#include "base/event.h"
#include "gm-agent/datapath_user_parts.h"
#include "gm-agent/packet_tap.h"

/* Is it about ESP that we may have sent? Then the quoted addresses are of the policy, and the key is known.
 */
static bool is_about_us(const struct user_datapath *dp, const struct path_mtu_hint *hint)
{
    struct ip_packet quoted = {0};
    bool known = false;
    quoted.src = hint->src;
    quoted.dst = hint->dst;
    for (size_t i = 0; i < dp->path.sa_count; i++)
        known = known || dp->path.sas[i].spi == hint->spi;
    return known && policy_names_addresses(&dp->path.program, &quoted);
}

/* IPv6 hosts need not go below 1280 octets, and what ESP adds does not fit there: name the black hole. */
static void tell_too_narrow(const struct user_datapath *dp, const struct path_mtu_hint *hint)
{
    char dst[ADDR_TEXT_MAX];
    uint32_t needed = hint->mtu;
    while (esp_path_inner_mtu(&dp->path, AF_INET6, needed) < IP6_MTU_MIN && needed < PACKET_MAX)
        needed++;
    event(PATH_MTU_TOO_NARROW, addr_format(&hint->dst, dst), (uint32_t)hint->mtu, needed);
}

static void take(void *context, const struct path_mtu_hint *hint)
{
    struct user_datapath *dp = context;
    const struct route_hop tun = {.index = dp->tun_index};
    if (!is_about_us(dp, hint) || !path_mtu_learn(&dp->mtu, &hint->dst, hint->mtu, dp->path.mono_ms))
        return;
    uint32_t inner = (uint32_t)esp_path_inner_mtu(&dp->path, hint->dst.family, hint->mtu);
    if (hint->dst.family == AF_INET6 && inner < IP6_MTU_MIN) {
        tell_too_narrow(dp, hint);
        inner = IP6_MTU_MIN;
    }
    path_mtu_log(
        hint, inner,
        netlink_table_narrow(dp->netlink, dp->steer.tables + STEER_TABLE_OUT, &hint->dst, &tun, inner));
}

bool user_mtu_batch(struct user_datapath *dp)
{
    return packet_tap_complaints(dp->wan_icmp, take, dp);
}

bool user_mtu_batch_6(struct user_datapath *dp)
{
    return packet_tap_complaints(dp->wan_icmp6, take, dp);
}

void user_mtu_age(struct user_datapath *dp)
{
    struct addr dst;
    if (dp->path.mono_ms < dp->mtu_age_ms)
        return;
    dp->mtu_age_ms = dp->path.mono_ms + PATH_MTU_AGE_MS;
    while (path_mtu_forget(&dp->mtu, dp->path.mono_ms, &dst)) {
        /* Gone already is fine: then it does not narrow anything. */
        const struct route_hop tun = {.index = dp->tun_index};
        err_t err = netlink_table_narrow(dp->netlink, dp->steer.tables + STEER_TABLE_OUT, &dst, &tun, 0);
        if (err != E_OK && err != E_NOT_FOUND)
            event(DATAPATH_ERROR, "path MTU", err_text(err));
    }
}

uint32_t user_mtu_fits(const struct datapath *datapath, const struct addr *dst)
{
    const struct user_datapath *dp = (const struct user_datapath *)datapath;
    uint16_t mtu = path_mtu_find(&dp->mtu, dst);
    return mtu != 0 ? (uint32_t)esp_path_inner_mtu(&dp->path, dst->family, mtu) : 0;
}

/* The TUN is as long as a clear packet may be, so that the kernel tells hosts in time (fragmentation needed,
 * packet too big). With IPv6 in the policy it goes by the longer header; less than 1280 octets would take
 * IPv6 from the device. */
err_t user_mtu_set(struct user_datapath *dp, bool six)
{
    struct link_info wan;
    uint32_t mtu = dp->config->mtu;
    if (mtu == 0) {
        err_t err = netlink_link_info(dp->netlink, dp->config->wan, &wan);
        if (err != E_OK)
            return err;
        mtu = (uint32_t)esp_path_inner_mtu(&dp->path, six ? AF_INET6 : AF_INET,
                                           wan.mtu < PACKET_MAX ? wan.mtu : PACKET_MAX);
    }
    if (six && mtu < IP6_MTU_MIN)
        return E_UNSUPPORTED;
    if (mtu == dp->tun_mtu)
        return E_OK;
    err_t err = netlink_link_set(dp->netlink, dp->tun_index, mtu, true);
    if (err == E_OK)
        dp->tun_mtu = mtu;
    return err;
}

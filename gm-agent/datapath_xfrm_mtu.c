/* datapath_xfrm_mtu.c - where ESP may not be fragmented, routers that drop it tell the host whose address it
 * has. We listen, and narrow the way to that host: a route with an MTU in a table of our own, asked only for
 * packets that come in from a LAN, so that the kernel answers the next long one. */
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/packet_tap.h"
#include "gm-agent/steer.h"

enum { COMPLAINT_BUFFER = 64 << 10, COMPLAINT_BATCHES = 4 };

/* Of the tables that the user back end would have, the one with the same meaning. */
static uint32_t table_of(const struct xfrm_datapath *dp)
{
    return steer_first_table(dp->config->tun) + STEER_TABLE_OUT;
}

err_t xfrm_mtu_open(struct xfrm_datapath *dp, const char **why)
{
    if (!dp->config->copy_df)
        return E_OK;
    *why = "df = \"copy\" cannot be done in a VRF: rules by LAN device are not asked there";
    if (dp->site.vrf_index != 0)
        return E_UNSUPPORTED;
    *why = "complaints of routers cannot be heard";
    err_t err = netlink_route_open(&dp->mtu.netlink);
    if (err != E_OK)
        return err;
    dp->mtu.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    for (size_t i = 0; i <= dp->config->more_wan_count && err == E_OK; i++)
        err = packet_tap_open(TAP_TOO_BIG, COMPLAINT_BUFFER, &dp->mtu.complaints[i]);
    if (err == E_OK && dp->mtu.timer < 0)
        err = E_IO;
    /* Of an earlier run. */
    if (err == E_OK)
        err = netlink_rules_flush(dp->mtu.netlink, AF_INET, table_of(dp), table_of(dp));
    if (err == E_OK)
        err = netlink_table_flush(dp->mtu.netlink, AF_INET, table_of(dp));
    return err;
}

/* "any address" is said as two halves (steer.h). */
static size_t wanted_rules(const struct xfrm_datapath *dp, struct route_rule out[2 * GM_LAN_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < 2 * dp->config->lan_count; i++) {
        struct route_rule *rule = &out[count++];
        memset(rule, 0, sizeof(*rule));
        memcpy(rule->iif, dp->config->lan[i / 2], sizeof(rule->iif));
        rule->src.addr.family = rule->dst.addr.family = AF_INET;
        rule->dst.bits = 1;
        rule->dst.addr.bytes[0] = i % 2 == 0 ? 0 : 0x80;
        rule->priority = STEER_PRIORITY_OUT;
        rule->table = table_of(dp);
    }
    return count;
}

err_t xfrm_mtu_apply(struct xfrm_datapath *dp, const char **why)
{
    if (dp->mtu.netlink == NULL)
        return E_OK;
    *why = "complaints of routers cannot be heard";
    for (size_t i = 0; i < dp->site.wan_count; i++)
        if (dp->site.wan[i].index != 0 &&
            packet_tap_listen(TAP_TOO_BIG, dp->mtu.complaints[i], dp->site.wan[i].index) != E_OK)
            return E_IO;
    *why = "the rules for narrow ways are refused";
    if (dp->mtu.rule_count != 0)
        return E_OK;
    size_t count = wanted_rules(dp, dp->mtu.rules);
    for (size_t i = 0; i < count; i++) {
        err_t err = netlink_rule_add(dp->mtu.netlink, &dp->mtu.rules[i]);
        if (err != E_OK && err != E_EXISTS)
            return err;
    }
    dp->mtu.rule_count = count;
    return E_OK;
}

size_t xfrm_mtu_fds(const struct xfrm_mtu *mtu, int *out, size_t count)
{
    for (size_t i = 0; i < GM_WAN_MAX; i++)
        if (mtu->complaints[i] >= 0)
            out[count++] = mtu->complaints[i];
    if (mtu->timer >= 0)
        out[count++] = mtu->timer;
    return count;
}

static const struct xfrm_sa *sending_sa(const struct xfrm_datapath *dp)
{
    for (size_t i = 0; i < dp->plan.sa_count; i++)
        if (dp->plan.sas[i].reqid == xfrm_plan_reqid_out(&dp->site))
            return &dp->plan.sas[i];
    return NULL;
}

/* Is it about ESP that we may have sent? Then a key has its SPI, and the addresses are of the policy. */
static bool is_about_us(const struct xfrm_datapath *dp, const struct path_mtu_hint *hint)
{
    bool known = false;
    for (size_t i = 0; i < dp->plan.sa_count; i++)
        known = known || dp->plan.sas[i].spi == hint->spi;
    for (size_t i = 0; i < dp->plan.policy_count && known; i++) {
        const struct xfrm_policy *policy = &dp->plan.policies[i];
        if (policy->dir == XFRM_POLICY_OUT && policy->action == XFRM_PROTECT &&
            prefix_has(&policy->src, &hint->src) && prefix_has(&policy->dst, &hint->dst))
            return true;
    }
    return false;
}

/* Through the uplink that the machine's routes have for it now; elsewhere there is nothing to narrow. */
static err_t narrow(struct xfrm_datapath *dp, const struct addr *dst, uint32_t inner)
{
    struct route_hop hop;
    bool uplink = false;
    err_t err = netlink_hop_to(dp->mtu.netlink, dst, &hop);
    if (err != E_OK)
        return err;
    for (size_t i = 0; i < dp->site.wan_count; i++)
        uplink = uplink || dp->site.wan[i].index == hop.index;
    return uplink ? netlink_table_narrow(dp->mtu.netlink, table_of(dp), dst, &hop, inner) : E_NOT_FOUND;
}

static void widen(struct xfrm_datapath *dp, const struct addr *dst)
{
    const struct route_hop any = {.index = 0};
    err_t err = netlink_table_narrow(dp->mtu.netlink, table_of(dp), dst, &any, 0);
    if (err != E_OK && err != E_NOT_FOUND)
        event(DATAPATH_ERROR, "path MTU", err_text(err));
}

static void look_again_later(const struct xfrm_datapath *dp)
{
    const time_t period_s = dp->mtu.table.count != 0 ? PATH_MTU_AGE_MS / 1000 : 0;
    const struct itimerspec when = {.it_interval.tv_sec = period_s, .it_value.tv_sec = period_s};
    if (timerfd_settime(dp->mtu.timer, 0, &when, NULL) != 0)
        event(DATAPATH_ERROR, "path MTU", "what is learnt will not be forgotten");
}

static void take(void *context, const struct path_mtu_hint *hint)
{
    struct xfrm_datapath *dp = context;
    const struct xfrm_sa *sa = sending_sa(dp);
    bool first = dp->mtu.table.count == 0;
    if (sa == NULL || !is_about_us(dp, hint) ||
        !path_mtu_learn(&dp->mtu.table, &hint->dst, hint->mtu, clock_mono_ms(&clock_system)))
        return;
    uint32_t inner = xfrm_plan_fits(&sa->suite, hint->mtu);
    path_mtu_log(hint, inner, narrow(dp, &hint->dst, inner));
    if (first)
        look_again_later(dp);
}

/* The machine's own routes may lead elsewhere by now, and a rekey may have changed the suite. */
static void look_again(struct xfrm_datapath *dp)
{
    const struct xfrm_sa *sa = sending_sa(dp);
    struct addr dst;
    while (path_mtu_forget(&dp->mtu.table, clock_mono_ms(&clock_system), &dst))
        widen(dp, &dst);
    for (size_t i = 0; i < dp->mtu.table.count && sa != NULL; i++)
        if (narrow(dp, &dp->mtu.table.hosts[i].dst, xfrm_plan_fits(&sa->suite, dp->mtu.table.hosts[i].mtu)) !=
            E_OK)
            widen(dp, &dp->mtu.table.hosts[i].dst); /* no uplink leads to it now */
    if (dp->mtu.table.count == 0)
        look_again_later(dp);
}

bool xfrm_mtu_ready(struct xfrm_datapath *dp, int fd)
{
    uint64_t times;
    if (fd == dp->mtu.timer) {
        if (read(fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
            look_again(dp);
        return true;
    }
    for (size_t i = 0; i < GM_WAN_MAX; i++) {
        if (fd != dp->mtu.complaints[i])
            continue;
        for (unsigned k = 0; k < COMPLAINT_BATCHES && packet_tap_complaints(fd, take, dp); k++)
            ;
        return true;
    }
    return false;
}

uint32_t xfrm_mtu_fits(const struct datapath *datapath, const struct addr *dst)
{
    const struct xfrm_datapath *dp = (const struct xfrm_datapath *)datapath;
    const struct xfrm_sa *sa = sending_sa(dp);
    uint16_t mtu = path_mtu_find(&dp->mtu.table, dst);
    return mtu != 0 && sa != NULL ? xfrm_plan_fits(&sa->suite, mtu) : 0;
}

void xfrm_mtu_close(struct xfrm_datapath *dp)
{
    if (dp->mtu.netlink != NULL && !dp->base.keep) {
        err_t rules = netlink_rules_flush(dp->mtu.netlink, AF_INET, table_of(dp), table_of(dp));
        err_t table = netlink_table_flush(dp->mtu.netlink, AF_INET, table_of(dp));
        (void)rules; /* what does not go now goes at the next start */
        (void)table;
    }
    netlink_route_close(dp->mtu.netlink);
    for (size_t i = 0; i < GM_WAN_MAX; i++)
        if (dp->mtu.complaints[i] >= 0)
            close(dp->mtu.complaints[i]);
    if (dp->mtu.timer >= 0)
        close(dp->mtu.timer);
}

/* datapath_xfrm_probe.c - puts outbound AES-GCM SAs in until one has our sender id (xfrm_probe.h). The
 * device, a TUN, goes with the agent; its route goes with it. The loop waits meanwhile: a tenth of a second
 * for 8 bits, about a second for 12, while the kernel goes on encrypting under the key before. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "gm-agent/datapath_xfrm.h"
#include "gm-agent/netlink_route.h"
#include "gm-agent/tun.h"

enum {
    PROBE_WAIT_MS = 500,  /* for one packet through the kernel */
    PROBE_STRANGERS = 64, /* packets of others on the device, for one of ours */
    PROBE_PACKET_MAX = 512,
};

static void probe_name(const struct xfrm_datapath *dp, char out[GM_DEVICE_MAX])
{
    snprintf(out, GM_DEVICE_MAX, "%.*sp", GM_DEVICE_MAX - 2, dp->site.instance);
}

void xfrm_probe_close(struct xfrm_datapath *dp)
{
    if (dp->probe_tun >= 0)
        close(dp->probe_tun);
    if (dp->probe_udp >= 0)
        close(dp->probe_udp);
    dp->probe_tun = dp->probe_udp = -1;
}

static err_t route_to_device(const struct xfrm_datapath *dp, const char *name)
{
    struct netlink_route *route = NULL;
    struct link_info link;
    uint8_t address[4];
    err_t err = netlink_route_open(&route);
    if (err == E_OK)
        err = netlink_link_info(route, name, &link);
    if (err == E_OK)
        err = netlink_link_set(route, link.index, link.mtu, true);
    netlink_route_close(route);
    xfrm_probe_address(&dp->site, address);
    return err == E_OK ? xfrm_host_route_add(dp->route, address, link.index) : err;
}

static err_t open_probe(struct xfrm_datapath *dp, const char **why)
{
    char name[GM_DEVICE_MAX];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(XFRM_PROBE_PORT)};
    if (dp->probe_tun >= 0)
        return E_OK;
    probe_name(dp, name);
    *why = "no TUN device to see the kernel's counters on (tun)";
    err_t err = tun_open(name, &dp->probe_tun);
    if (err != E_OK)
        return err;
    tun_relax(name);
    *why = "no route to the probe device";
    if ((err = route_to_device(dp, name)) != E_OK) {
        xfrm_probe_close(dp);
        return err;
    }
    xfrm_probe_address(&dp->site, (uint8_t *)&to.sin_addr);
    *why = "no socket for probes";
    dp->probe_udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (dp->probe_udp < 0 || connect(dp->probe_udp, (struct sockaddr *)&to, sizeof(to)) != 0) {
        xfrm_probe_close(dp);
        return E_IO;
    }
    return E_OK;
}

/* One packet through the SA; what its IV begins with. */
static err_t probe_once(struct xfrm_datapath *dp, uint32_t spi, uint32_t *sid)
{
    uint8_t packet[PROBE_PACKET_MAX];
    if (send(dp->probe_udp, "", 1, MSG_DONTWAIT) != 1)
        return xfrm_error(errno);
    for (unsigned i = 0; i < PROBE_STRANGERS; i++) {
        ssize_t got = read(dp->probe_tun, packet, sizeof(packet));
        if (got > 0 && xfrm_probe_read((struct bytes){packet, (size_t)got}, spi, dp->sid_bits, sid))
            return E_OK;
        struct pollfd wait = {.fd = dp->probe_tun, .events = POLLIN};
        if (got < 0 && poll(&wait, 1, PROBE_WAIT_MS) == 0)
            return E_TIMEOUT;
    }
    return E_TIMEOUT;
}

static bool is_ours(const struct xfrm_datapath *dp, uint32_t spi, uint32_t sid)
{
    for (size_t i = 0; i < dp->sid_count; i++)
        if (dp->sids[i] == sid)
            return !xfrm_ledger_has(&dp->ledger, spi, sid);
    return false;
}

/* Puts the SA in, again and again. What is there at the end has one of our ids, or nothing is there. */
static err_t draw(struct xfrm_datapath *dp, const struct xfrm_sa *sa, const char **why)
{
    const uint32_t tries = (uint32_t)XFRM_PROBE_TRIES_FACTOR << dp->sid_bits;
    for (uint32_t i = 0; i < tries; i++) {
        uint32_t sid;
        *why = "the kernel takes no outbound AES-GCM SA";
        err_t err = xfrm_sa_add(dp, sa);
        if (err != E_OK)
            return err;
        err = probe_once(dp, sa->spi, &sid);
        if (err == E_OK && is_ours(dp, sa->spi, sid) &&
            (err = xfrm_ledger_add(&dp->ledger, sa->spi, sid)) == E_OK)
            return E_OK;
        err_t gone = xfrm_sa_delete(dp, sa);
        *why = "a probe of the kernel's AES-GCM counter did not come back; does a firewall stop it?";
        if (err != E_OK || gone != E_OK)
            return err != E_OK ? err : gone;
    }
    *why = "our sender id was never drawn";
    return E_TIMEOUT;
}

err_t xfrm_probe_draw(struct xfrm_datapath *dp, const struct xfrm_sa *sa, const char **why)
{
    *why = "no sender id of ours is left for this AES-GCM key";
    if (xfrm_ledger_left(&dp->ledger, sa->spi, dp->sids, dp->sid_count) == 0)
        return E_FULL;
    err_t err = open_probe(dp, why);
    if (err != E_OK)
        return err;
    struct xfrm_policy policy = xfrm_probe_policy(&dp->site, sa->spi);
    *why = "the kernel refuses a policy for probes";
    if ((err = xfrm_policy_put(dp, &policy)) == E_OK)
        err = draw(dp, sa, why);
    err_t gone = xfrm_policy_delete(dp, &policy);
    return err != E_OK ? err : gone;
}

/* Does an earlier run of ours send on it? Only then its salt was drawn to the end. */
static bool sends(const struct xfrm_datapath *dp, const struct xfrm_sa *sa)
{
    for (size_t i = 0; i < dp->kernel.policy_count; i++) {
        const struct xfrm_policy *policy = &dp->kernel.policies[i];
        if (policy->dir == XFRM_POLICY_OUT && policy->tmpl_spi == sa->spi &&
            !xfrm_probe_is_policy(&dp->site, policy))
            return true;
    }
    return false;
}

/* An SA that an earlier run sends on is kept, whose sender id is not given to anyone else while the key
 * lives; it is only noted as used. */
static err_t adopt(struct xfrm_datapath *dp, const struct xfrm_sa *sa)
{
    const char *why;
    uint32_t sid;
    struct xfrm_policy policy = xfrm_probe_policy(&dp->site, sa->spi);
    err_t err = open_probe(dp, &why);
    if (err == E_OK && (err = xfrm_policy_put(dp, &policy)) == E_OK) {
        err = probe_once(dp, sa->spi, &sid);
        err_t gone = xfrm_policy_delete(dp, &policy);
        if (err == E_OK)
            err = gone;
    }
    return err == E_OK ? xfrm_ledger_add(&dp->ledger, sa->spi, sid) : err;
}

err_t xfrm_probe_review(struct xfrm_datapath *dp, bool *changed)
{
    *changed = false;
    for (size_t i = 0; i < dp->kernel.sa_count; i++) {
        const struct xfrm_sa *sa = &dp->kernel.sas[i];
        if (sa->reqid != xfrm_plan_reqid_out(&dp->site) || sa->suite.transform == ESP_AES_CBC ||
            xfrm_ledger_has_key(&dp->ledger, sa->spi))
            continue;
        if (sends(dp, sa) && adopt(dp, sa) == E_OK)
            continue;
        err_t err = xfrm_sa_delete(dp, sa); /* of a run that was killed while it drew */
        *changed = true;
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

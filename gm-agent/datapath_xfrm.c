/* datapath_xfrm.c - the XFRM back end: the kernel encrypts, we keep its tables. */
#include "gm-agent/datapath_xfrm.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/event.h"
#include "gm-agent/nft_counters.h"

enum {
    WATCH_XFRM = XFRMGRP_SA | XFRMGRP_POLICY | XFRMGRP_EXPIRE,
    WATCH_ROUTE = RTMGRP_LINK | RTMGRP_IPV4_IFADDR,
    RULESET_SEQ = 1, /* always the same, so that batches can be compared */
    IP_HEADER = 20,
};

static err_t xfrm_check(const struct group_policy *policy, const char **why)
{
    *why = NULL;
    for (size_t i = 0; i < policy->selector_count; i++)
        if (policy->selectors[i].src.addr.family != AF_INET ||
            policy->selectors[i].dst.addr.family != AF_INET)
            *why = "IPv6 selectors are not supported by this data path";
    for (size_t i = 0; i < policy->tek_count; i++) {
        if (tek_is_counter_mode(&policy->teks[i]) &&
            (policy->sid_bits == 0 || policy->sid_bits > XFRM_SID_BITS_MAX))
            *why = "AES-GCM: the kernel's counters can be given sender ids of 8 and 12 bits, but not those "
                   "of the "
                   "policy; use backend \"user\", or AES-CBC with HMAC-SHA-2";
        else if (!xfrm_suite_known(&policy->teks[i].suite))
            *why = "a transform that this data path does not have";
    }
    return *why == NULL ? E_OK : E_UNSUPPORTED;
}

/* The longest ESP packet that a clear packet of the configured MTU becomes; 0: as the device says. */
static uint32_t anchor_mtu(const struct xfrm_site *site, const struct datapath_state *state)
{
    if (site->inner_mtu == 0 || state->out == NULL)
        return 0;
    uint32_t outer = IP_HEADER + (uint32_t)esp_sealed_len(&state->out->suite, site->inner_mtu);
    return outer < site->wan_mtu ? outer : 0;
}

static err_t build_rulesets(struct xfrm_datapath *dp, const struct datapath_state *state)
{
    struct bytes batch;
    err_t err = nft_ruleset_build(&dp->site, state, false, RULESET_SEQ, dp->ruleset, NFT_RULESET_MAX, &batch,
                                  &dp->ruleset_seq);
    dp->ruleset_len = batch.len;
    if (err == E_OK)
        err = nft_ruleset_build(&dp->site, state, true, RULESET_SEQ, dp->fresh, NFT_RULESET_MAX, &batch,
                                &dp->fresh_seq);
    dp->fresh_len = batch.len;
    return err;
}

static err_t look_and_update(struct xfrm_datapath *dp, const char **why)
{
    *why = "the kernel's SAs and policies cannot be read";
    bool again = false;
    err_t err = xfrm_kernel_read(dp);
    if (err == E_OK)
        err = xfrm_probe_review(dp, &again);
    if (err == E_OK && again)
        err = xfrm_kernel_read(dp);
    if (err != E_OK)
        return err;
    xfrm_plan_diff(&dp->diff, &dp->plan, &dp->kernel);
    err = xfrm_kernel_update(dp, why);
    if (err != E_OK && xfrm_kernel_fail_close(dp) != E_OK)
        *why = "the kernel refuses policies and rules: PROTECTED TRAFFIC MAY PASS IN CLEAR";
    return err;
}

static err_t read_site(const struct xfrm_datapath *dp, struct xfrm_site *out, const char **why)
{
    err_t err = xfrm_site_read(out, dp->config, why);
    out->track = dp->track;
    return err;
}

/* Beside the rules of an earlier run: what it could not know. */
static err_t close_ipv6(struct xfrm_datapath *dp, const char **why)
{
    struct bytes batch;
    uint32_t last_seq;
    if (!dp->site.ipv6)
        return E_OK;
    *why = "the kernel refuses the nftables rules that close IPv6";
    err_t err = nft_ruleset_close_ipv6(&dp->site, xfrm_socket_next_seq(dp->nft), dp->scratch, NFT_RULESET_MAX,
                                       &batch, &last_seq);
    return err == E_OK ? xfrm_socket_batch(dp->nft, batch, last_seq) : err;
}

static err_t xfrm_apply(struct datapath *datapath, const struct datapath_state *state, const char **why)
{
    struct xfrm_datapath *dp = (struct xfrm_datapath *)datapath;
    struct xfrm_site site;
    struct xfrm_plan plan;
    /* What an earlier run left is stricter than a closed door, and lets its packets through: it stays until
     * the first policy of this run. */
    if (state->closed && dp->taken_over && !dp->applied)
        return state->ipv6_closed ? close_ipv6(dp, why) : E_OK;
    err_t err = read_site(dp, &site, why);
    if (err != E_OK)
        return err;
    err = xfrm_plan_make(&plan, &site, state);
    if (err != E_OK)
        return err;
    dp->site = site;
    dp->sid_bits = state->sid_bits;
    dp->sid_count = state->sid_count < POLICY_SID_MAX ? state->sid_count : POLICY_SID_MAX;
    if (dp->sid_count != 0)
        memcpy(dp->sids, state->sids, dp->sid_count * sizeof(dp->sids[0]));
    xfrm_ledger_prune(&dp->ledger, state);
    xfrm_plan_close(&dp->plan);
    memcpy(&dp->plan, &plan, sizeof(plan));
    secret_wipe(&plan, sizeof(plan));
    dp->applied = true;
    *why = "no memory for the rules";
    if ((err = build_rulesets(dp, state)) != E_OK)
        return err;
    *why = "the route to the anchor cannot be set";
    dp->anchor_mtu = anchor_mtu(&dp->site, state);
    if ((err = xfrm_anchor_add(dp->route, &dp->site, dp->anchor_mtu)) != E_OK)
        return err;
    dp->route_made = true;
    const char *why_not = NULL;
    err_t mtu = xfrm_mtu_apply(dp, &why_not);
    err = look_and_update(dp, why);
    if (err != E_OK || mtu == E_OK)
        return err;
    *why = why_not;
    return mtu;
}

static size_t xfrm_fds(const struct datapath *datapath, int out[DATAPATH_FD_MAX])
{
    const struct xfrm_datapath *dp = (const struct xfrm_datapath *)datapath;
    out[0] = xfrm_socket_fd(dp->watch_xfrm);
    out[1] = xfrm_socket_fd(dp->watch_nft);
    out[2] = xfrm_socket_fd(dp->watch_route);
    return xfrm_mtu_fds(&dp->mtu, out, 3);
}

static bool note_change(const struct nlmsghdr *message, void *context)
{
    (void)message;
    *(bool *)context = true;
    return true;
}

static void repair_xfrm(struct xfrm_datapath *dp)
{
    char text[160];
    const char *why = NULL;
    if (xfrm_kernel_read(dp) != E_OK)
        return;
    xfrm_plan_diff(&dp->diff, &dp->plan, &dp->kernel);
    if (xfrm_diff_empty(&dp->diff))
        return;
    size_t sas = dp->diff.replace_sa_count + dp->diff.add_sa_count + dp->diff.drop_sa_count;
    size_t policies = dp->diff.put_policy_count + dp->diff.drop_policy_count;
    err_t err = xfrm_kernel_update(dp, &why);
    snprintf(text, sizeof(text), "somebody changed %zu SAs and %zu policies; %s", sas, policies,
             err == E_OK ? "put back" : why);
    event(DATAPATH_STATE, "xfrm", text);
}

static void repair_rules(struct xfrm_datapath *dp)
{
    err_t err = xfrm_rules_update(dp, false);
    event(DATAPATH_STATE, "xfrm",
          err == E_OK ? "somebody changed our nftables table; put back"
                      : "somebody changed our nftables table, and it cannot be put back");
}

/* A device that was down has lost its routes, whatever else is as before. */
static void look_at_devices(struct xfrm_datapath *dp)
{
    struct xfrm_site now;
    const char *why = NULL;
    err_t err = read_site(dp, &now, &why);
    if (err == E_OK && memcmp(&now, &dp->site, sizeof(now)) == 0)
        err = xfrm_anchor_add(dp->route, &dp->site, dp->anchor_mtu);
    else
        dp->base.stale = true;
    if (err != E_OK)
        event(DATAPATH_ERROR, "devices", why != NULL ? why : err_text(err));
}

static void xfrm_ready(struct datapath *datapath, int fd)
{
    struct xfrm_datapath *dp = (struct xfrm_datapath *)datapath;
    bool lost = false;
    if (xfrm_mtu_ready(dp, fd))
        return;
    if (fd == xfrm_socket_fd(dp->watch_xfrm)) {
        bool changed = false;
        xfrm_socket_drain(dp->watch_xfrm, xfrm_socket_port(dp->xfrm), note_change, &changed, &lost);
        if ((changed || lost) && dp->applied)
            repair_xfrm(dp);
    } else if (fd == xfrm_socket_fd(dp->watch_route)) {
        bool changed = false;
        xfrm_socket_drain(dp->watch_route, xfrm_socket_port(dp->route), note_change, &changed, &lost);
        if ((changed || lost) && dp->applied)
            look_at_devices(dp);
    } else {
        char table[NFT_NAME_MAX];
        nft_ruleset_table(&dp->site, table);
        if (nft_table_changed(dp->watch_nft, dp->nft, table) && dp->applied)
            repair_rules(dp);
    }
}

static const struct datapath_counter *xfrm_counters(const struct datapath *datapath)
{
    /* Asked for by the operator, and only then worth a look into the kernel. */
    struct xfrm_datapath *dp = (struct xfrm_datapath *)(uintptr_t)datapath;
    xfrm_counters_read(dp);
    return dp->counters;
}

static void xfrm_close(struct datapath *datapath)
{
    struct xfrm_datapath *dp = (struct xfrm_datapath *)datapath;
    if (!datapath->keep && (dp->applied || dp->taken_over))
        xfrm_kernel_clear(dp);
    if (!datapath->keep && (dp->route_made || dp->taken_over))
        xfrm_anchor_remove(dp->route, &dp->site);
    xfrm_mtu_close(dp);
    xfrm_probe_close(dp);
    xfrm_socket_close(dp->xfrm);
    xfrm_socket_close(dp->nft);
    xfrm_socket_close(dp->route);
    xfrm_socket_close(dp->watch_xfrm);
    xfrm_socket_close(dp->watch_nft);
    xfrm_socket_close(dp->watch_route);
    xfrm_kernel_close(&dp->kernel);
    xfrm_plan_close(&dp->plan);
    free(dp->ruleset);
    free(dp->fresh);
    free(dp->scratch);
    free(dp);
}

static const struct datapath_ops xfrm_ops = {
    .name = "xfrm",
    .check = xfrm_check,
    .apply = xfrm_apply,
    .fds = xfrm_fds,
    .ready = xfrm_ready,
    .counters = xfrm_counters,
    .close = xfrm_close,
    .abilities = xfrm_abilities,
    .fits = xfrm_mtu_fits,
    .dscp = xfrm_dscp,
};

static err_t open_sockets(struct xfrm_datapath *dp, const char **why)
{
    err_t err;
    *why = "the kernel's XFRM is not reachable by netlink (xfrm_user)";
    if ((err = xfrm_socket_open(&dp->xfrm, NETLINK_XFRM, 0)) != E_OK ||
        (err = xfrm_socket_open(&dp->watch_xfrm, NETLINK_XFRM, WATCH_XFRM)) != E_OK)
        return err;
    *why = "the kernel's nftables are not reachable by netlink";
    if ((err = xfrm_socket_open(&dp->nft, NETLINK_NETFILTER, 0)) != E_OK ||
        (err = xfrm_socket_open(&dp->watch_nft, NETLINK_NETFILTER, NFT_WATCH_GROUPS)) != E_OK)
        return err;
    *why = "no route socket";
    if ((err = xfrm_socket_open(&dp->route, NETLINK_ROUTE, 0)) != E_OK)
        return err;
    return xfrm_socket_open(&dp->watch_route, NETLINK_ROUTE, WATCH_ROUTE);
}

err_t datapath_xfrm_open(const struct gm_datapath_config *config, struct datapath **out, const char **why)
{
    struct xfrm_datapath *dp = calloc(1, sizeof(*dp));
    *out = NULL;
    *why = NULL;
    if (dp == NULL)
        return E_NO_MEMORY;
    dp->base.ops = &xfrm_ops;
    dp->config = config;
    dp->probe_tun = dp->probe_udp = -1;
    dp->mtu.timer = -1;
    for (size_t i = 0; i < GM_WAN_MAX; i++)
        dp->mtu.complaints[i] = -1;
    dp->ruleset = calloc(1, NFT_RULESET_MAX);
    dp->fresh = calloc(1, NFT_RULESET_MAX);
    dp->scratch = calloc(1, NFT_RULESET_MAX);
    err_t err = dp->ruleset == NULL || dp->fresh == NULL || dp->scratch == NULL ? E_NO_MEMORY : E_OK;
    if (err == E_OK)
        err = open_sockets(dp, why);
    if (err == E_OK)
        err = xfrm_site_read(&dp->site, config, why);
    if (err == E_OK)
        dp->track = xfrm_try_rules(dp, false) != E_OK && xfrm_try_rules(dp, true) == E_OK;
    if (err == E_OK)
        err = xfrm_mtu_open(dp, why);
    if (err == E_OK && (err = xfrm_kernel_read(dp)) != E_OK)
        *why = "the kernel's SAs and policies cannot be read";
    if (err != E_OK) {
        xfrm_close(&dp->base);
        return err;
    }
    dp->taken_over = dp->kernel.policy_count != 0;
    if (dp->taken_over)
        event(DATAPATH_STATE, "xfrm", "policies and keys of an earlier run are in force and taken over");
    xfrm_stat_read(&dp->stat_before);
    *out = &dp->base;
    return E_OK;
}

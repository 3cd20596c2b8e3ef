/* datapath_xfrm_kernel.c - looks into the kernel's tables and makes them as planned. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/datapath_xfrm.h"

void xfrm_kernel_close(struct xfrm_kernel *kernel)
{
    free(kernel->policies);
    secret_wipe(kernel, sizeof(*kernel));
}

struct look {
    struct xfrm_datapath *dp;
    err_t err;
};

static bool take_sa(const struct nlmsghdr *message, void *context)
{
    struct look *look = context;
    struct xfrm_kernel *kernel = &look->dp->kernel;
    struct xfrm_sa sa;
    struct xfrm_sa_usage usage;
    /* Whatever is not an ESP tunnel as we make them belongs to somebody else. */
    if (xfrm_parse_sa(&sa, &usage, message) == E_OK && xfrm_plan_owns_sa(&look->dp->site, &sa)) {
        if (kernel->sa_count == XFRM_KERNEL_SA_MAX) {
            look->err = E_LIMIT;
        } else {
            memcpy(&kernel->sas[kernel->sa_count], &sa, sizeof(sa)); /* the copy on the stack is wiped */
            kernel->usage[kernel->sa_count++] = usage;
        }
    }
    xfrm_sa_close(&sa);
    return true;
}

static bool take_policy(const struct nlmsghdr *message, void *context)
{
    struct look *look = context;
    struct xfrm_kernel *kernel = &look->dp->kernel;
    struct xfrm_policy policy;
    if (xfrm_parse_policy(&policy, message) != E_OK || !xfrm_plan_owns_policy(&look->dp->site, &policy))
        return true;
    if (kernel->policy_count == XFRM_KERNEL_POLICY_MAX)
        look->err = E_LIMIT;
    else
        kernel->policies[kernel->policy_count++] = policy;
    return true;
}

static void forget_sas(void *context)
{
    struct xfrm_kernel *kernel = &((struct look *)context)->dp->kernel;
    secret_wipe(kernel->sas, sizeof(kernel->sas));
    kernel->sa_count = 0;
}

static void forget_policies(void *context)
{
    ((struct look *)context)->dp->kernel.policy_count = 0;
}

err_t xfrm_kernel_read(struct xfrm_datapath *dp)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    struct look look = {dp, E_OK};
    xfrm_kernel_close(&dp->kernel);
    dp->kernel.policies = calloc(XFRM_KERNEL_POLICY_MAX, sizeof(*dp->kernel.policies));
    if (dp->kernel.policies == NULL)
        return E_NO_MEMORY;
    const struct nlmsghdr *request = xfrm_build_dump(buffer, 0, XFRM_MSG_GETSA);
    err_t err = xfrm_socket_dump(dp->xfrm, request, take_sa, forget_sas, &look);
    if (err != E_OK)
        return err;
    request = xfrm_build_dump(buffer, 0, XFRM_MSG_GETPOLICY);
    err = xfrm_socket_dump(dp->xfrm, request, take_policy, forget_policies, &look);
    return err != E_OK ? err : look.err;
}

err_t xfrm_sa_add(struct xfrm_datapath *dp, const struct xfrm_sa *sa)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    err_t err = xfrm_socket_request(dp->xfrm, xfrm_build_sa(buffer, xfrm_socket_next_seq(dp->xfrm), sa));
    secret_wipe(buffer, sizeof(buffer));
    return err;
}

err_t xfrm_sa_delete(struct xfrm_datapath *dp, const struct xfrm_sa *sa)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    err_t err =
        xfrm_socket_request(dp->xfrm, xfrm_build_sa_delete(buffer, xfrm_socket_next_seq(dp->xfrm), sa));
    return err == E_NOT_FOUND ? E_OK : err;
}

static err_t delete_sa(struct xfrm_datapath *dp, size_t at)
{
    const struct xfrm_sa *sa = &dp->kernel.sas[at];
    const struct xfrm_sa_usage *usage = &dp->kernel.usage[at];
    err_t err = xfrm_sa_delete(dp, sa);
    if (err == E_OK && sa->reqid == xfrm_plan_reqid_out(&dp->site)) {
        dp->gone.out_packets += usage->packets;
    } else if (err == E_OK) {
        dp->gone.in_packets += usage->packets;
        dp->gone.replay += usage->replay;
        dp->gone.integrity_failed += usage->integrity_failed;
    }
    return err;
}

err_t xfrm_policy_put(struct xfrm_datapath *dp, const struct xfrm_policy *policy)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    return xfrm_socket_request(dp->xfrm, xfrm_build_policy(buffer, xfrm_socket_next_seq(dp->xfrm), policy));
}

err_t xfrm_policy_delete(struct xfrm_datapath *dp, const struct xfrm_policy *policy)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    err_t err = xfrm_socket_request(dp->xfrm,
                                    xfrm_build_policy_delete(buffer, xfrm_socket_next_seq(dp->xfrm), policy));
    return err == E_NOT_FOUND ? E_OK : err;
}

static err_t add_sas(struct xfrm_datapath *dp, bool outbound, const char **why)
{
    for (size_t i = 0; i < dp->diff.add_sa_count; i++) {
        const struct xfrm_sa *sa = &dp->plan.sas[dp->diff.add_sas[i]];
        if ((sa->reqid == xfrm_plan_reqid_out(&dp->site)) != outbound)
            continue;
        bool draws = outbound && sa->suite.transform != ESP_AES_CBC;
        err_t err = draws ? xfrm_probe_draw(dp, sa, why) : xfrm_sa_add(dp, sa);
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

static err_t change_policies(struct xfrm_datapath *dp)
{
    err_t err = E_OK;
    for (size_t i = 0; i < dp->diff.put_policy_count && err == E_OK; i++)
        err = xfrm_policy_put(dp, &dp->plan.policies[dp->diff.put_policies[i]]);
    for (size_t i = 0; i < dp->diff.drop_policy_count && err == E_OK; i++)
        err = xfrm_policy_delete(dp, &dp->kernel.policies[dp->diff.drop_policies[i]]);
    return err;
}

err_t xfrm_kernel_update(struct xfrm_datapath *dp, const char **why)
{
    err_t err = E_OK;
    *why = "an SA in the way cannot be deleted";
    for (size_t i = 0; i < dp->diff.replace_sa_count && err == E_OK; i++)
        err = delete_sa(dp, dp->diff.replace_sas[i]);
    if (err == E_OK) {
        *why = "the kernel takes no inbound SA: it lacks ESP (esp4) or the cipher";
        err = add_sas(dp, false, why);
    }
    if (err == E_OK) {
        *why = "the kernel refuses the nftables rules";
        err = xfrm_rules_update(dp, false);
    }
    if (err == E_OK) {
        *why = "the kernel takes no outbound SA";
        err = add_sas(dp, true, why);
    }
    if (err == E_OK) {
        *why = "the kernel refuses a policy";
        err = change_policies(dp);
    }
    if (err == E_OK) {
        *why = "an old SA cannot be deleted";
        for (size_t i = 0; i < dp->diff.drop_sa_count && err == E_OK; i++)
            err = delete_sa(dp, dp->diff.drop_sas[i]);
    }
    if (err == E_OK)
        *why = NULL;
    return err;
}

err_t xfrm_kernel_fail_close(struct xfrm_datapath *dp)
{
    err_t first = dp->table_made ? E_OK : xfrm_rules_update(dp, false);
    for (size_t i = 0; i < dp->plan.policy_count; i++) {
        struct xfrm_policy policy = dp->plan.policies[i];
        bool there = false;
        for (size_t k = 0; k < dp->kernel.policy_count && !there; k++)
            there = xfrm_policy_same_place(&dp->kernel.policies[k], &policy);
        if (there)
            continue;
        if (policy.dir == XFRM_POLICY_OUT && policy.action == XFRM_PROTECT)
            policy.action = XFRM_DROP;
        err_t err = xfrm_policy_put(dp, &policy);
        if (first == E_OK)
            first = err;
    }
    return first;
}

void xfrm_kernel_clear(struct xfrm_datapath *dp)
{
    struct bytes batch;
    uint32_t last_seq;
    if (xfrm_kernel_read(dp) == E_OK) {
        err_t failed = E_OK; /* what does not go now is taken over or replaced by the next start */
        for (size_t i = 0; i < dp->kernel.sa_count; i++)
            if (delete_sa(dp, i) != E_OK)
                failed = E_IO;
        for (size_t i = 0; i < dp->kernel.policy_count; i++)
            if (xfrm_policy_delete(dp, &dp->kernel.policies[i]) != E_OK)
                failed = E_IO;
        (void)failed;
    }
    if (nft_ruleset_remove(&dp->site, xfrm_socket_next_seq(dp->nft), dp->scratch, NFT_RULESET_MAX, &batch,
                           &last_seq) == E_OK &&
        xfrm_socket_batch(dp->nft, batch, last_seq) == E_OK)
        dp->table_made = false;
}

static err_t make_anew(struct xfrm_datapath *dp)
{
    xfrm_nft_counters_read(dp); /* what can still be read of the table that goes */
    err_t err = xfrm_socket_batch(dp->nft, (struct bytes){dp->fresh, dp->fresh_len}, dp->fresh_seq);
    if (err != E_OK)
        return err;
    for (int i = 0; i < NFT_COUNTER_COUNT; i++) {
        dp->nft_before[i] += dp->nft_last[i];
        dp->nft_last[i] = 0;
    }
    dscp_add(&dp->dscp_before, &dp->dscp_last);
    memset(&dp->dscp_last, 0, sizeof(dp->dscp_last));
    dp->table_made = true;
    return E_OK;
}

err_t xfrm_rules_update(struct xfrm_datapath *dp, bool fresh)
{
    if (!fresh &&
        xfrm_socket_batch(dp->nft, (struct bytes){dp->ruleset, dp->ruleset_len}, dp->ruleset_seq) == E_OK) {
        dp->table_made = true;
        return E_OK;
    }
    return make_anew(dp);
}

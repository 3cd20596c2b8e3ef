/* xfrm_plan.c - what the kernel must have. */
#include "gm-agent/xfrm_plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Behind the policies of any other IPsec software on the machine. */
    PRIORITY_OURS = 0x40000000,
    PRIORITY_INSTANCE = 0x3fff, /* bits of the instance, above those of the order */
    ORDER_FIRST = 0,
    ORDER_CONTROL = 1,
    ORDER_DENY = 16,
    ORDER_SELECTORS = 64,
    IP_HEADER = 20,
    INNER_MTU_MIN = 576,
};

const uint16_t xfrm_control_ports[] = {848, 500, 4500};

static uint32_t instance_hash(const struct xfrm_site *site)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = site->instance; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    return hash;
}

uint32_t xfrm_plan_reqid_in(const struct xfrm_site *site)
{
    return 0x40000000u | (instance_hash(site) & 0x3ffffffeu);
}

uint32_t xfrm_plan_reqid_out(const struct xfrm_site *site)
{
    return xfrm_plan_reqid_in(site) | 1u;
}

static uint32_t priority_of(const struct xfrm_site *site, uint32_t order)
{
    return PRIORITY_OURS | (instance_hash(site) & PRIORITY_INSTANCE) << XFRM_PLAN_ORDER_BITS | order;
}

uint32_t xfrm_plan_priority_first(const struct xfrm_site *site)
{
    return priority_of(site, ORDER_FIRST);
}

bool xfrm_plan_owns_sa(const struct xfrm_site *site, const struct xfrm_sa *sa)
{
    return (sa->reqid | 1u) == xfrm_plan_reqid_out(site);
}

bool xfrm_plan_owns_policy(const struct xfrm_site *site, const struct xfrm_policy *policy)
{
    return policy->priority >> XFRM_PLAN_ORDER_BITS == priority_of(site, 0) >> XFRM_PLAN_ORDER_BITS;
}

static void add_sa(struct xfrm_plan *plan, const struct xfrm_site *site, const struct tek *tek, bool outbound)
{
    if (plan->sa_count == XFRM_PLAN_SA_MAX)
        return;
    struct xfrm_sa *sa = &plan->sas[plan->sa_count++];
    sa->spi = tek->spi;
    sa->suite = tek->suite;
    secret_copy(&sa->key, &tek->key);
    secret_copy(&sa->integrity, &tek->integrity);
    if (outbound) {
        memcpy(sa->src, site->wan_addr, 4);
        memcpy(sa->dst, site->anchor, 4);
        sa->reqid = xfrm_plan_reqid_out(site);
        /* Routers may fragment it: no black hole (DATAPATH 7). */
        sa->flags = site->copy_df ? 0 : XFRM_STATE_NOPMTUDISC;
        /* No receiver of a group checks the number, so it may begin anew; a GCM IV may not. */
        sa->extra_flags = tek->suite.transform == ESP_AES_CBC ? XFRM_SA_XFLAG_OSEQ_MAY_WRAP : 0;
    } else {
        memcpy(sa->dst, site->wan_addr, 4);
        sa->reqid = xfrm_plan_reqid_in(site);
    }
}

static void add_policy(struct xfrm_plan *plan, const struct xfrm_policy *policy)
{
    for (size_t i = 0; i < plan->policy_count; i++)
        if (xfrm_policy_same_place(&plan->policies[i], policy))
            return; /* the first one of the list decides */
    if (plan->policy_count < XFRM_PLAN_POLICY_MAX)
        plan->policies[plan->policy_count++] = *policy;
}

static struct xfrm_policy from_selector(const struct selector *selector, uint8_t dir, uint32_t priority)
{
    return (struct xfrm_policy){
        .dir = dir,
        .src = selector->src,
        .dst = selector->dst,
        .protocol = selector->protocol,
        .src_port = selector->src_port,
        .dst_port = selector->dst_port,
        .priority = priority,
    };
}

/* One for each way out that is there: without a device the kernel would take it for all. */
static void add_to_uplinks(struct xfrm_plan *plan, const struct xfrm_site *site, struct xfrm_policy policy)
{
    for (size_t i = 0; i < site->wan_count; i++) {
        policy.ifindex = site->wan[i].index;
        if (policy.ifindex != 0)
            add_policy(plan, &policy);
    }
}

static void add_out(struct xfrm_plan *plan, const struct xfrm_site *site, const struct datapath_state *state,
                    struct xfrm_policy policy)
{
    policy.action = XFRM_DROP;
    if (state->out != NULL) {
        policy.action = XFRM_PROTECT;
        memcpy(policy.tmpl_src, site->wan_addr, 4);
        memcpy(policy.tmpl_dst, site->anchor, 4);
        policy.tmpl_spi = state->out->spi; /* pinned: the kernel's own choice goes by the wall clock */
        policy.reqid = xfrm_plan_reqid_out(site);
    }
    add_to_uplinks(plan, site, policy);
}

static void add_inbound(struct xfrm_plan *plan, const struct xfrm_site *site, bool clear_too,
                        struct xfrm_policy policy)
{
    policy.action = XFRM_PROTECT;
    memcpy(policy.tmpl_dst, site->wan_addr, 4);
    policy.reqid = xfrm_plan_reqid_in(site);
    policy.dir = XFRM_POLICY_IN;
    policy.optional = true;
    add_policy(plan, &policy);
    if (addr_is_multicast(&policy.dst.addr))
        return; /* never looked up: nftables alone guards multicast */
    policy.dir = XFRM_POLICY_FWD;
    policy.optional = clear_too || site->lan_count > 1;
    for (size_t i = 0; i < site->lan_count; i++) {
        policy.ifindex = site->lan_index[i];
        add_policy(plan, &policy);
    }
}

static void add_selector(struct xfrm_plan *plan, const struct xfrm_site *site,
                         const struct datapath_state *state, size_t at)
{
    const struct selector *selector = &state->selectors[at];
    uint32_t order = ORDER_SELECTORS + (uint32_t)(2 * at);
    bool sends = state->direction != DATAPATH_RECEIVE_ONLY;
    if (sends)
        add_out(plan, site, state, from_selector(selector, XFRM_POLICY_OUT, priority_of(site, order)));
    if (sends && addr_is_multicast(&selector->dst.addr)) {
        struct xfrm_policy any = from_selector(selector, XFRM_POLICY_OUT, priority_of(site, order + 1));
        any.src = (struct prefix){.addr = {.family = AF_INET}};
        add_out(plan, site, state, any);
    }
    add_inbound(plan, site, state->direction != DATAPATH_BOTH,
                from_selector(selector, 0, priority_of(site, order)));
}

static bool inside(const struct prefix *prefix, const uint8_t raw[4])
{
    struct addr addr = addr_v4(raw[0], raw[1], raw[2], raw[3]);
    return prefix_has(prefix, &addr);
}

size_t xfrm_plan_our_addresses(const struct xfrm_site *site, uint8_t out[XFRM_OUR_ADDRESS_MAX][4])
{
    static const uint8_t none[4];
    size_t count = 1;
    memcpy(out[0], site->wan_addr, 4);
    for (size_t i = 0; i < site->wan_count; i++) {
        bool known = memcmp(site->wan[i].addr, none, 4) == 0;
        for (size_t k = 0; k < count; k++)
            known = known || memcmp(site->wan[i].addr, out[k], 4) == 0;
        if (!known)
            memcpy(out[count++], site->wan[i].addr, 4);
    }
    return count;
}

bool xfrm_plan_covers_us(const struct xfrm_site *site, const struct datapath_state *state)
{
    uint8_t ours[XFRM_OUR_ADDRESS_MAX][4];
    size_t count = xfrm_plan_our_addresses(site, ours);
    for (size_t i = 0; i < state->selector_count; i++)
        for (size_t k = 0; k < count; k++)
            if (inside(&state->selectors[i].src, ours[k]))
                return true;
    return false;
}

/* GDOI and IKE of this machine pass in clear: without keys there would be no way to get any. */
static void add_control(struct xfrm_plan *plan, const struct xfrm_site *site, const uint8_t ours[4])
{
    struct xfrm_policy pass = {
        .dir = XFRM_POLICY_OUT,
        .src = {.addr = addr_v4(ours[0], ours[1], ours[2], ours[3]), .bits = 32},
        .dst = {.addr = {.family = AF_INET}},
        .protocol = IPPROTO_UDP,
        .priority = priority_of(site, ORDER_CONTROL),
        .action = XFRM_PASS,
    };
    for (size_t i = 0; i < XFRM_CONTROL_PORT_COUNT; i++) {
        pass.src_port = 0;
        pass.dst_port = xfrm_control_ports[i];
        add_to_uplinks(plan, site, pass);
        pass.src_port = xfrm_control_ports[i];
        pass.dst_port = 0;
        add_to_uplinks(plan, site, pass);
    }
}

static void add_deny(struct xfrm_plan *plan, const struct xfrm_site *site, size_t at)
{
    struct xfrm_policy pass =
        from_selector(&site->deny[at], XFRM_POLICY_OUT, priority_of(site, ORDER_DENY + (uint32_t)at));
    pass.action = XFRM_PASS;
    add_to_uplinks(plan, site, pass);
    pass.dir = XFRM_POLICY_FWD;
    for (size_t i = 0; i < site->lan_count; i++) {
        pass.ifindex = site->lan_index[i];
        add_policy(plan, &pass);
    }
}

err_t xfrm_plan_make(struct xfrm_plan *out, const struct xfrm_site *site, const struct datapath_state *state)
{
    memset(out, 0, sizeof(*out));
    out->policies = calloc(XFRM_PLAN_POLICY_MAX, sizeof(*out->policies));
    if (out->policies == NULL)
        return E_NO_MEMORY;
    for (size_t i = 0; i < state->in_count; i++)
        add_sa(out, site, state->in[i], false);
    if (state->out != NULL)
        add_sa(out, site, state->out, true);
    uint8_t ours[XFRM_OUR_ADDRESS_MAX][4];
    size_t our_count = xfrm_plan_covers_us(site, state) ? xfrm_plan_our_addresses(site, ours) : 0;
    for (size_t i = 0; i < our_count; i++)
        add_control(out, site, ours[i]);
    for (size_t i = 0; i < site->deny_count && i < XFRM_PLAN_DENY_MAX && state->selector_count != 0; i++)
        add_deny(out, site, i);
    for (size_t i = 0; i < state->selector_count; i++)
        add_selector(out, site, state, i);
    return E_OK;
}

void xfrm_plan_close(struct xfrm_plan *plan)
{
    free(plan->policies);
    secret_wipe(plan, sizeof(*plan));
}

static void diff_sas(struct xfrm_diff *out, const struct xfrm_plan *plan, const struct xfrm_kernel *kernel)
{
    bool there[XFRM_PLAN_SA_MAX] = {false};
    for (size_t k = 0; k < kernel->sa_count; k++) {
        bool equal = false, in_the_way = false;
        for (size_t i = 0; i < plan->sa_count; i++) {
            if (xfrm_sa_equal(&plan->sas[i], &kernel->sas[k]))
                equal = there[i] = true;
            else if (xfrm_sa_same_place(&plan->sas[i], &kernel->sas[k]))
                in_the_way = true;
        }
        if (in_the_way)
            out->replace_sas[out->replace_sa_count++] = (uint16_t)k;
        else if (!equal)
            out->drop_sas[out->drop_sa_count++] = (uint16_t)k;
    }
    for (size_t i = 0; i < plan->sa_count; i++)
        if (!there[i])
            out->add_sas[out->add_sa_count++] = (uint16_t)i;
}

void xfrm_plan_diff(struct xfrm_diff *out, const struct xfrm_plan *plan, const struct xfrm_kernel *kernel)
{
    memset(out, 0, sizeof(*out));
    diff_sas(out, plan, kernel);
    for (size_t i = 0; i < plan->policy_count; i++) {
        bool there = false;
        for (size_t k = 0; k < kernel->policy_count && !there; k++)
            there = xfrm_policy_equal(&plan->policies[i], &kernel->policies[k]);
        if (!there)
            out->put_policies[out->put_policy_count++] = (uint16_t)i;
    }
    for (size_t k = 0; k < kernel->policy_count; k++) {
        bool wanted = false;
        for (size_t i = 0; i < plan->policy_count && !wanted; i++)
            wanted = xfrm_policy_same_place(&plan->policies[i], &kernel->policies[k]);
        if (!wanted)
            out->drop_policies[out->drop_policy_count++] = (uint16_t)k;
    }
}

bool xfrm_diff_empty(const struct xfrm_diff *diff)
{
    return diff->replace_sa_count == 0 && diff->add_sa_count == 0 && diff->put_policy_count == 0 &&
           diff->drop_policy_count == 0 && diff->drop_sa_count == 0;
}

uint32_t xfrm_plan_fits(const struct esp_suite *suite, uint32_t mtu)
{
    size_t inner = mtu > IP_HEADER ? esp_inner_len_max(suite, mtu - IP_HEADER) : 0;
    return inner > INNER_MTU_MIN ? (uint32_t)inner : INNER_MTU_MIN;
}

uint32_t xfrm_plan_inner_mtu(const struct xfrm_site *site, const struct datapath_state *state)
{
    static const struct esp_suite longest = {ESP_AES_CBC, 256, AUTH_HMAC_SHA512};
    uint32_t inner = site->wan_mtu;
    if (site->inner_mtu != 0)
        return site->inner_mtu;
    for (size_t i = 0; i < state->in_count || i == 0; i++) {
        const struct esp_suite *suite = state->in_count != 0 ? &state->in[i]->suite : &longest;
        uint32_t fits = xfrm_plan_fits(suite, site->wan_mtu);
        inner = fits < inner ? fits : inner;
    }
    return inner;
}

/* steer.c - policy rules for the selectors. */
#include "gm-agent/steer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gm-agent/ip_packet.h"

/* FNV-1a of the name: the same after a restart, and another one for another agent of this machine. */
uint32_t steer_first_table(const char *tun)
{
    uint32_t hash = 2166136261u;
    for (; *tun != '\0'; tun++)
        hash = (hash ^ (uint8_t)*tun) * 16777619u;
    return 0x47000000u | (hash & 0x00fffffcu);
}

struct rule_list {
    struct route_rule *rules; /* STEER_RULE_MAX */
    size_t count;
};

static void add(struct rule_list *list, const struct route_rule *rule)
{
    for (size_t i = 0; i < list->count; i++)
        if (route_rule_equal(&list->rules[i], rule))
            return;
    if (list->count < STEER_RULE_MAX)
        list->rules[list->count++] = *rule;
}

/* The prefix, or the two halves of all addresses. Returns how many. */
static size_t halves_of(const struct prefix *prefix, struct prefix out[2])
{
    out[0] = out[1] = *prefix;
    if (prefix->bits != 0)
        return 1;
    out[0] = (struct prefix){.addr = {.family = prefix->addr.family}, .bits = 1};
    out[1] = (struct prefix){.addr = {.family = prefix->addr.family, .bytes = {0x80}}, .bits = 1};
    return 2;
}

static void add_halves(struct rule_list *list, struct route_rule rule)
{
    struct prefix src[2], dst[2];
    size_t srcs = halves_of(&rule.src, src), dsts = halves_of(&rule.dst, dst);
    for (size_t i = 0; i < srcs; i++)
        for (size_t k = 0; k < dsts; k++) {
            rule.src = src[i];
            rule.dst = dst[k];
            add(list, &rule);
        }
}

static uint8_t protocol_of(const struct selector *selector)
{
    return selector->src.addr.family == AF_INET6 ? 0 : selector->protocol;
}

/* Ports are not matched here: a rule would miss the fragments behind the first. The packet path decides them.
 */
static struct route_rule rule_for(const struct selector *selector, const char *iif)
{
    struct route_rule rule = {
        .src = selector->src, .dst = selector->dst, .ip_protocol = protocol_of(selector)};
    snprintf(rule.iif, sizeof(rule.iif), "%s", iif);
    return rule;
}

static uint32_t priority_of(uint32_t priority, const struct selector *selector)
{
    return protocol_of(selector) != 0 ? priority + STEER_PROTOCOL_STEP : priority;
}

size_t steer_rules(const struct gm_datapath_config *config, uint32_t tables,
                   const struct datapath_state *state, struct route_rule out[STEER_RULE_MAX])
{
    struct rule_list list = {.rules = out};
    for (size_t i = 0; i < state->selector_count; i++) {
        const struct selector *selector = &state->selectors[i];
        if (addr_is_multicast(&selector->dst.addr))
            continue; /* multicast routes decide, not these rules */
        struct route_rule rule = rule_for(selector, config->wan);
        rule.priority = priority_of(STEER_PRIORITY_GUARD, selector);
        rule.table = tables + STEER_TABLE_GUARD;
        add_halves(&list, rule);
        rule.priority = STEER_PRIORITY_IN;
        rule.table = tables + STEER_TABLE_IN;
        rule.ip_protocol = IP_PROTOCOL_ESP;
        add_halves(&list, rule);
        for (size_t k = 0; k < config->lan_count; k++) {
            rule = rule_for(selector, config->lan[k]);
            rule.priority = priority_of(STEER_PRIORITY_OUT, selector);
            rule.table = tables + STEER_TABLE_OUT;
            add_halves(&list, rule);
        }
    }
    return list.count;
}

static const uint8_t families[] = {AF_INET, AF_INET6};

static size_t family_count(const struct steer *steer)
{
    return steer->ipv6 ? 2 : 1;
}

static err_t clear_all(struct steer *steer)
{
    err_t err = E_OK;
    for (size_t f = 0; f < family_count(steer) && err == E_OK; f++) {
        err = netlink_rules_flush(steer->netlink, families[f], steer->tables,
                                  steer->tables + STEER_TABLE_COUNT - 1);
        for (uint32_t i = 0; i < STEER_TABLE_COUNT && err == E_OK; i++)
            err = netlink_table_flush(steer->netlink, families[f], steer->tables + i);
    }
    return err;
}

/* Where IPv6 is switched off, lo takes no route of it, but it may be switched on later: so what is delivered
 * here hangs on the TUN, which we switch on. */
static err_t fill_tables(struct steer *steer, uint8_t family, uint32_t lo, uint32_t tun, uint32_t guard)
{
    const uint32_t in = steer->tables + STEER_TABLE_IN;
    const uint32_t clear = steer->tables + STEER_TABLE_GUARD;
    const uint32_t out = steer->tables + STEER_TABLE_OUT;
    err_t err = netlink_table_flush_throws(steer->netlink, family, out);
    if (err == E_OK)
        err = netlink_table_stop(steer->netlink, family, clear);
    if (err == E_OK)
        err = netlink_table_stop(steer->netlink, family, out);
    if (err == E_OK)
        err = netlink_table_default(steer->netlink, family, in, family == AF_INET6 ? tun : lo, true);
    if (err == E_OK)
        err = netlink_table_default(steer->netlink, family, clear, guard, false);
    if (err == E_OK)
        err = netlink_table_default(steer->netlink, family, out, tun, false);
    return err;
}

err_t steer_open(struct steer *steer, struct netlink_route *netlink, const struct gm_datapath_config *config,
                 uint32_t lo, uint32_t tun, uint32_t guard, bool ipv6)
{
    memset(steer, 0, sizeof(*steer));
    steer->netlink = netlink;
    steer->config = config;
    steer->tables = steer_first_table(config->tun);
    steer->ipv6 = ipv6;
    steer->rules = calloc(STEER_RULE_MAX, sizeof(*steer->rules));
    if (steer->rules == NULL)
        return E_NO_MEMORY;
    err_t err = E_OK;
    for (size_t f = 0; f < family_count(steer) && err == E_OK; f++)
        err = fill_tables(steer, families[f], lo, tun, guard);
    /* A killed agent's rules stay in force until there is a policy: what it protected is dropped meanwhile,
     * not sent in clear. */
    for (size_t f = 0; f < family_count(steer) && err == E_OK; f++) {
        size_t found = 0;
        err = netlink_rules_find(netlink, families[f], steer->tables, steer->tables + STEER_TABLE_COUNT - 1,
                                 steer->rules + steer->count, STEER_RULE_MAX - steer->count, &found);
        steer->count += found;
    }
    if (err != E_OK)
        steer_close(steer);
    return err;
}

static bool listed(const struct route_rule *rules, size_t count, const struct route_rule *rule)
{
    for (size_t i = 0; i < count; i++)
        if (route_rule_equal(&rules[i], rule))
            return true;
    return false;
}

static err_t swap_rules(struct steer *steer, const struct route_rule *wanted, size_t count)
{
    size_t added = 0;
    err_t err = E_OK;
    for (; added < count; added++) {
        if (listed(steer->rules, steer->count, &wanted[added]))
            continue;
        err = netlink_rule_add(steer->netlink, &wanted[added]);
        if (err != E_OK && err != E_EXISTS)
            break;
        err = E_OK;
    }
    const struct route_rule *obsolete = err == E_OK ? steer->rules : wanted;
    const struct route_rule *kept = err == E_OK ? wanted : steer->rules;
    size_t obsolete_count = err == E_OK ? steer->count : added;
    size_t kept_count = err == E_OK ? count : steer->count;
    for (size_t i = 0; i < obsolete_count; i++) {
        if (listed(kept, kept_count, &obsolete[i]))
            continue;
        err_t gone = netlink_rule_delete(steer->netlink, &obsolete[i]);
        if (gone != E_OK && gone != E_NOT_FOUND && err == E_OK)
            err = gone;
    }
    return err;
}

static bool has_prefix(const struct prefix *list, size_t count, const struct prefix *prefix)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_equal(&list[i], prefix))
            return true;
    return false;
}

/* The LAN's own networks as they are now. A device that is gone has none. */
static err_t find_locals(struct steer *steer, struct prefix out[STEER_LOCAL_MAX], size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < steer->config->lan_count; i++) {
        struct link_info lan;
        err_t err = netlink_link_info(steer->netlink, steer->config->lan[i], &lan);
        if (err == E_NOT_FOUND)
            continue;
        for (size_t f = 0; f < family_count(steer) && err == E_OK; f++) {
            size_t found = 0;
            err = netlink_connected(steer->netlink, families[f], lan.index, out + *count,
                                    STEER_LOCAL_MAX - *count, &found);
            *count += found;
        }
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

static err_t apply_locals(struct steer *steer)
{
    struct prefix now[STEER_LOCAL_MAX];
    size_t count = 0;
    uint32_t table = steer->tables + STEER_TABLE_OUT;
    err_t err = find_locals(steer, now, &count);
    for (size_t i = 0; i < count && err == E_OK; i++)
        err = netlink_table_throw(steer->netlink, table, &now[i], true);
    for (size_t i = 0; i < steer->local_count && err == E_OK; i++) {
        if (has_prefix(now, count, &steer->locals[i]))
            continue;
        err = netlink_table_throw(steer->netlink, table, &steer->locals[i], false);
        if (err == E_NOT_FOUND)
            err = E_OK;
    }
    if (err != E_OK)
        return err;
    memcpy(steer->locals, now, count * sizeof(now[0]));
    steer->local_count = count;
    return E_OK;
}

/* Without IPv6 in the kernel no packet of it can pass either. */
static size_t without_ipv6(struct route_rule *rules, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (rules[i].src.addr.family != AF_INET6)
            rules[kept++] = rules[i];
    return kept;
}

err_t steer_apply(struct steer *steer, const struct datapath_state *state)
{
    struct route_rule *wanted = calloc(STEER_RULE_MAX, sizeof(*wanted));
    if (wanted == NULL)
        return E_NO_MEMORY;
    size_t count = steer_rules(steer->config, steer->tables, state, wanted);
    if (!steer->ipv6)
        count = without_ipv6(wanted, count);
    err_t err = apply_locals(steer);
    if (err == E_OK)
        err = swap_rules(steer, wanted, count);
    if (err == E_OK) {
        free(steer->rules);
        steer->rules = wanted;
        steer->count = count;
    } else {
        free(wanted);
    }
    return err;
}

void steer_close(struct steer *steer)
{
    if (steer->rules == NULL)
        return;
    /* What the flush cannot do now, the next start does. */
    if (clear_all(steer) != E_OK)
        steer->count = 0;
    free(steer->rules);
    memset(steer, 0, sizeof(*steer));
}

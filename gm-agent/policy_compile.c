/* policy_compile.c - the list as the packet path runs it. */
#include <netinet/in.h>
#include <string.h>

#include "gm-agent/policy.h"

enum ports { HAS_PORTS, NO_PORTS, LATER_FRAGMENT };

static uint64_t take(const uint8_t *octets, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | octets[i];
    return value;
}

static struct policy_number number_of(const struct addr *addr)
{
    if (addr->family == AF_INET)
        return (struct policy_number){0, take(addr->bytes, 4)};
    return (struct policy_number){take(addr->bytes, 8), take(addr->bytes + 8, 8)};
}

static struct policy_number both(struct policy_number a, struct policy_number b)
{
    return (struct policy_number){a.high & b.high, a.low & b.low};
}

static bool equal(struct policy_number a, struct policy_number b)
{
    return a.high == b.high && a.low == b.low;
}

/* The family of either end, which must not be two. */
static bool number_prefix(const struct prefix *prefix, struct policy_number *value,
                          struct policy_number *mask, uint8_t *family)
{
    struct addr ones = {.family = prefix->addr.family};
    *value = *mask = (struct policy_number){0};
    if (prefix->addr.family == 0)
        return true;
    if ((*family != 0 && *family != prefix->addr.family) || prefix->bits > 8 * addr_len(&prefix->addr))
        return false;
    *family = prefix->addr.family;
    prefix_mask(prefix, ones.bytes);
    *mask = number_of(&ones);
    *value = both(number_of(&prefix->addr), *mask);
    return true;
}

static bool rule_of(const struct policy_entry *entry, size_t index, struct policy_rule *out)
{
    const struct selector *s = &entry->match;
    *out = (struct policy_rule){.src_port = s->src_port,
                                .dst_port = s->dst_port,
                                .protocol = s->protocol,
                                .action = (uint8_t)entry->action,
                                .entry = (uint16_t)index};
    return number_prefix(&s->src, &out->src, &out->src_mask, &out->family) &&
           number_prefix(&s->dst, &out->dst, &out->dst_mask, &out->family);
}

static bool has_ports(const struct policy_rule *r)
{
    return r->src_port != 0 || r->dst_port != 0;
}

static bool port_covers(uint16_t wide, uint16_t narrow)
{
    return wide == 0 || wide == narrow;
}

/* Can narrow decide nothing behind wide? What protects is kept even behind an entry that lets it pass:
 * whoever sends us such packets protected is understood (policy_may_protect). */
static bool covers(const struct policy_rule *wide, const struct policy_rule *narrow)
{
    if ((wide->family != 0 && wide->family != narrow->family) ||
        !equal(both(wide->src_mask, narrow->src_mask), wide->src_mask) ||
        !equal(both(narrow->src, wide->src_mask), wide->src) ||
        !equal(both(wide->dst_mask, narrow->dst_mask), wide->dst_mask) ||
        !equal(both(narrow->dst, wide->dst_mask), wide->dst))
        return false;
    if (wide->protocol != 0 && wide->protocol != narrow->protocol)
        return false;
    if (!port_covers(wide->src_port, narrow->src_port) || !port_covers(wide->dst_port, narrow->dst_port))
        return false;
    return wide->action == POLICY_PROTECT || narrow->action == POLICY_CLEAR;
}

void policy_compile(const struct policy_list *list, struct policy_program *out)
{
    out->count = out->unreachable = 0;
    memset(out->cache, 0, sizeof(out->cache));
    for (size_t i = 0; i < list->count && out->count < POLICY_ENTRY_MAX; i++) {
        struct policy_rule rule;
        bool reachable = true;
        if (!rule_of(&list->entries[i], i, &rule))
            continue;
        for (size_t k = 0; k < out->count && reachable; k++)
            reachable = !covers(&out->rules[k], &rule);
        if (reachable)
            out->rules[out->count++] = rule;
        else
            out->unreachable++;
    }
}

static bool addresses_match(const struct policy_rule *r, const struct policy_flow *flow)
{
    return (r->family == 0 || r->family == flow->family) && equal(both(flow->src, r->src_mask), r->src) &&
           equal(both(flow->dst, r->dst_mask), r->dst);
}

static bool flow_matches(const struct policy_rule *r, const struct policy_flow *flow)
{
    if (!addresses_match(r, flow) || (r->protocol != 0 && r->protocol != flow->protocol))
        return false;
    if (!has_ports(r))
        return true;
    if (flow->ports == LATER_FRAGMENT)
        return r->action == POLICY_PROTECT;
    return flow->ports == HAS_PORTS && (r->src_port == 0 || r->src_port == flow->src_port) &&
           (r->dst_port == 0 || r->dst_port == flow->dst_port);
}

static struct policy_flow flow_of(const struct ip_packet *packet)
{
    return (struct policy_flow){
        .src = number_of(&packet->src),
        .dst = number_of(&packet->dst),
        .family = packet->src.family,
        .src_port = packet->has_ports ? packet->src_port : 0,
        .dst_port = packet->has_ports ? packet->dst_port : 0,
        .protocol = packet->protocol,
        .ports = !packet->first_fragment ? LATER_FRAGMENT
                 : packet->has_ports     ? HAS_PORTS
                                         : NO_PORTS,
    };
}

static struct policy_verdict decide(const struct policy_program *program, const struct policy_flow *flow)
{
    for (size_t i = 0; i < program->count; i++)
        if (flow_matches(&program->rules[i], flow))
            return (struct policy_verdict){program->rules[i].action, program->rules[i].entry};
    return (struct policy_verdict){POLICY_NONE, POLICY_ENTRY_MAX};
}

static size_t place_of(const struct policy_flow *flow)
{
    uint64_t hash =
        ((flow->src.low << 32 ^ flow->src.low >> 32) ^ flow->dst.low) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= (flow->src.high + 31 * flow->dst.high) * UINT64_C(0x165667b19e3779f9);
    hash ^= ((uint64_t)flow->src_port << 32 | (uint64_t)flow->dst_port << 16 | (uint64_t)flow->protocol << 2 |
             flow->ports) *
            UINT64_C(0xc2b2ae3d27d4eb4f);
    return (size_t)(hash >> 40) % POLICY_CACHE;
}

struct policy_verdict policy_run(struct policy_program *program, const struct ip_packet *packet)
{
    struct policy_flow flow = flow_of(packet);
    struct policy_flow *held = &program->cache[place_of(&flow)];
    if (held->known && held->family == flow.family && equal(held->src, flow.src) &&
        equal(held->dst, flow.dst) && held->src_port == flow.src_port && held->dst_port == flow.dst_port &&
        held->protocol == flow.protocol && held->ports == flow.ports)
        return held->verdict;
    flow.verdict = decide(program, &flow);
    flow.known = true;
    *held = flow;
    return flow.verdict;
}

bool policy_may_protect(const struct policy_program *program, const struct ip_packet *packet)
{
    struct policy_flow flow = flow_of(packet);
    for (size_t i = 0; i < program->count; i++)
        if (program->rules[i].action == POLICY_PROTECT && flow_matches(&program->rules[i], &flow))
            return true;
    return false;
}

bool policy_names_addresses(const struct policy_program *program, const struct ip_packet *packet)
{
    struct policy_flow flow = flow_of(packet);
    for (size_t i = 0; i < program->count; i++)
        if (program->rules[i].action == POLICY_PROTECT && addresses_match(&program->rules[i], &flow))
            return true;
    return false;
}

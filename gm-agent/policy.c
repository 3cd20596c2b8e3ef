/* policy.c - the list of entries, and what it says read plainly. */
#include "gm-agent/policy.h"

#include <netinet/in.h>
#include <string.h>

static const uint16_t control_ports[] = {GDOI_PORT, IKE_PORT, NATT_PORT};

const struct selector policy_everything[POLICY_EVERYTHING] = {
    {.src.addr.family = AF_INET, .dst.addr.family = AF_INET},
    {.src.addr.family = AF_INET6, .dst.addr.family = AF_INET6},
};

static err_t add(struct policy_list *out, const struct selector *match, enum policy_action action,
                 enum policy_origin origin)
{
    if (out->count == POLICY_ENTRY_MAX)
        return E_LIMIT;
    out->entries[out->count++] = (struct policy_entry){*match, action, origin};
    return E_OK;
}

err_t policy_list_build(struct policy_list *out, const struct selector *denies, size_t deny_count,
                        const struct selector *selectors, size_t selector_count)
{
    err_t err = E_OK;
    out->count = 0;
    if (deny_count > POLICY_LOCAL_MAX || selector_count > POLICY_SELECTOR_MAX)
        return E_LIMIT;
    for (size_t i = 0; i < ARRAY_LEN(control_ports) && err == E_OK; i++) {
        struct selector s = {.protocol = IP_PROTOCOL_UDP, .dst_port = control_ports[i]};
        err = add(out, &s, POLICY_CLEAR, POLICY_OF_CONTROL);
        s = (struct selector){.protocol = IP_PROTOCOL_UDP, .src_port = control_ports[i]};
        if (err == E_OK)
            err = add(out, &s, POLICY_CLEAR, POLICY_OF_CONTROL);
    }
    for (size_t i = 0; i < deny_count && err == E_OK; i++)
        err = add(out, &denies[i], POLICY_CLEAR, POLICY_OF_LOCAL);
    for (size_t i = 0; i < selector_count && err == E_OK; i++)
        err = add(out, &selectors[i], POLICY_PROTECT, POLICY_OF_GROUP);
    return err;
}

err_t policy_check(const struct policy_list *list, const struct policy_ability *ability, const char **why,
                   size_t *entry)
{
    *why = NULL;
    for (*entry = 0; *entry < list->count; (*entry)++) {
        const struct policy_entry *e = &list->entries[*entry];
        if (e->origin == POLICY_OF_CONTROL)
            continue;
        if (*entry >= ability->entries_max)
            *why = "more entries than this data path can hold";
        else if (e->match.src.addr.family == AF_INET6 && !ability->ipv6)
            *why = "IPv6 selectors are not supported by this data path";
        else if (addr_is_multicast(&e->match.dst.addr) && e->match.dst.addr.family == AF_INET6)
            *why = "IPv6 multicast selectors are not supported by this data path";
        else if (addr_is_multicast(&e->match.dst.addr) && !ability->multicast)
            *why = "multicast selectors are not supported by this data path";
        if (*why != NULL)
            return E_UNSUPPORTED;
    }
    return E_OK;
}

static bool within(const struct prefix *prefix, const struct addr *address)
{
    if (prefix->addr.family == 0)
        return true;
    if (prefix->addr.family != address->family || prefix->bits > 8 * addr_len(address))
        return false;
    for (unsigned bit = 0; bit < prefix->bits; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        if ((prefix->addr.bytes[bit / 8] & mask) != (address->bytes[bit / 8] & mask))
            return false;
    }
    return true;
}

static bool ports_match(const struct policy_entry *e, const struct ip_packet *packet)
{
    const struct selector *s = &e->match;
    if (s->src_port == 0 && s->dst_port == 0)
        return true;
    if (!packet->first_fragment)
        return e->action == POLICY_PROTECT;
    return packet->has_ports && (s->src_port == 0 || s->src_port == packet->src_port) &&
           (s->dst_port == 0 || s->dst_port == packet->dst_port);
}

struct policy_verdict policy_interpret(const struct policy_list *list, const struct ip_packet *packet)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct policy_entry *e = &list->entries[i];
        if (within(&e->match.src, &packet->src) && within(&e->match.dst, &packet->dst) &&
            (e->match.protocol == 0 || e->match.protocol == packet->protocol) && ports_match(e, packet))
            return (struct policy_verdict){e->action, (uint16_t)i};
    }
    return (struct policy_verdict){POLICY_NONE, POLICY_ENTRY_MAX};
}

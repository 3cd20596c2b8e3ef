/* xfrm_probe.c - what a probe shows, and which sender ids were used. */
#include "gm-agent/xfrm_probe.h"

#include <string.h>

enum { IP_HEADER_MIN = 20, IP_PROTOCOL_AT = 9, ESP_IV_AT = 8 };

void xfrm_probe_address(const struct xfrm_site *site, uint8_t out[4])
{
    memcpy(out, site->anchor, 4);
    for (int i = 3; i >= 0 && ++out[i] == 0; i--)
        ;
}

struct xfrm_policy xfrm_probe_policy(const struct xfrm_site *site, uint32_t spi)
{
    struct xfrm_policy policy = {
        .dir = XFRM_POLICY_OUT,
        .src = {.addr = {.family = AF_INET}},
        .dst = {.addr = {.family = AF_INET}, .bits = 32},
        .priority = xfrm_plan_priority_first(site),
        .action = XFRM_PROTECT,
        .tmpl_spi = spi,
        .reqid = xfrm_plan_reqid_out(site),
    };
    xfrm_probe_address(site, policy.dst.addr.bytes);
    memcpy(policy.tmpl_src, site->wan_addr, 4);
    memcpy(policy.tmpl_dst, site->anchor, 4);
    return policy;
}

bool xfrm_probe_is_policy(const struct xfrm_site *site, const struct xfrm_policy *policy)
{
    struct xfrm_policy probe = xfrm_probe_policy(site, 0);
    return xfrm_policy_same_place(policy, &probe);
}

bool xfrm_probe_read(struct bytes packet, uint32_t spi, uint16_t sid_bits, uint32_t *sid)
{
    struct reader r = reader_over(packet);
    uint8_t first = read_u8(&r);
    size_t header = 4u * (first & 0x0fu);
    *sid = 0;
    if (first >> 4 != 4 || header < IP_HEADER_MIN || sid_bits == 0 || sid_bits > 32 ||
        packet.len < header + ESP_IV_AT + 8 || packet.data[IP_PROTOCOL_AT] != IPPROTO_ESP)
        return false;
    r = reader_over(bytes_slice(packet, header, packet.len));
    bool ours = read_u32(&r) == spi;
    (void)read_u32(&r); /* the number, which says nothing */
    *sid = read_u32(&r) >> (32 - sid_bits);
    return ours;
}

bool xfrm_ledger_has(const struct xfrm_ledger *ledger, uint32_t spi, uint32_t sid)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->used[i].spi == spi && ledger->used[i].sid == sid)
            return true;
    return false;
}

bool xfrm_ledger_has_key(const struct xfrm_ledger *ledger, uint32_t spi)
{
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->used[i].spi == spi)
            return true;
    return false;
}

err_t xfrm_ledger_add(struct xfrm_ledger *ledger, uint32_t spi, uint32_t sid)
{
    if (xfrm_ledger_has(ledger, spi, sid))
        return E_OK;
    if (ledger->count == XFRM_LEDGER_MAX)
        return E_FULL;
    ledger->used[ledger->count].spi = spi;
    ledger->used[ledger->count++].sid = sid;
    return E_OK;
}

void xfrm_ledger_prune(struct xfrm_ledger *ledger, const struct datapath_state *state)
{
    size_t kept = 0;
    for (size_t i = 0; i < ledger->count; i++) {
        bool there = false;
        for (size_t k = 0; k < state->in_count && !there; k++)
            there = state->in[k]->spi == ledger->used[i].spi;
        if (there)
            ledger->used[kept++] = ledger->used[i];
    }
    ledger->count = kept;
}

size_t xfrm_ledger_left(const struct xfrm_ledger *ledger, uint32_t spi, const uint32_t *sids, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        left += xfrm_ledger_has(ledger, spi, sids[i]) ? 0 : 1;
    return left;
}

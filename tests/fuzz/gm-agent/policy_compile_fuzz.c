/* Policies and packets of any octets: the compiled form gives the verdict of the plain one, with the cache of
 * flows cold and warm, and what either kernel back end is told of the policy fits. */
#include <stdlib.h>
#include <string.h>

#include "gm-agent/nft_ruleset.h"
#include "gm-agent/policy.h"
#include "gm-agent/steer.h"
#include "gm-agent/xfrm_plan.h"

enum {
    DENIES_MAX = 12,
    SELECTORS_MAX = 24,
    PACKETS_MAX = 64,
    PACKET_SEED = 9,
    KERNELS_IN = 4 /* it takes far longer than the rest */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static struct prefix take_prefix(struct reader *r)
{
    uint8_t bits = read_u8(r);
    bool six = bits >= 0xa0;
    struct bytes raw = read_bytes(r, 4);
    struct prefix p = {.addr = {.family = six ? AF_INET6 : AF_INET},
                       .bits = (uint8_t)(six ? bits % 12 * 11 : bits % 33)}; /* IPv6: 0, 11 ... 121 */
    for (size_t i = 0; raw.len == 4 && i < (six ? 16 : 4); i++)              /* its octets over and over */
        p.addr.bytes[i] = raw.data[i % 4];
    for (unsigned bit = p.bits; bit < 128; bit++) /* as decoding leaves them: no octet behind the mask */
        p.addr.bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return p;
}

static size_t take_selectors(struct reader *r, struct selector *out, size_t max)
{
    size_t count = read_u8(r) % (max + 1);
    for (size_t i = 0; i < count; i++) {
        out[i].src = take_prefix(r);
        out[i].dst = take_prefix(r);
        out[i].protocol = read_u8(r);
        out[i].src_port = read_u16(r);
        out[i].dst_port = read_u16(r);
    }
    return reader_left(r) != 0 ? count : 0;
}

/* Near an entry, since a packet drawn blindly matches none: its addresses, protocol and ports, some of them
 * changed. */
static struct ip_packet take_packet(struct reader *r, const struct policy_list *list)
{
    const struct selector *near = &list->entries[read_u8(r) % list->count].match;
    uint8_t how = read_u8(r), src = read_u8(r), dst = read_u8(r), protocol = read_u8(r);
    uint16_t src_port = read_u16(r), dst_port = read_u16(r);
    struct ip_packet p = {.protocol = how & 1 ? protocol : near->protocol,
                          .src_port = how & 2 ? src_port : near->src_port,
                          .dst_port = how & 4 ? dst_port : near->dst_port,
                          .first_fragment = (how & 0x18) != 0x18,
                          .has_ports = (how & 0x18) != 0x18 && (how & 0x20) == 0};
    p.src = near->src.addr;
    p.dst = near->dst.addr;
    if (p.src.family == 0)
        p.src.family = AF_INET;
    p.dst.family = p.src.family;
    p.src.bytes[how >> 6] ^= src;
    p.dst.bytes[p.dst.family == AF_INET6 ? 12 + (how >> 6) : how >> 6] ^= dst;
    return p;
}

static bool protected_somewhere(const struct policy_list *list, const struct ip_packet *packet)
{
    for (size_t i = 0; i < list->count; i++) {
        struct policy_list one = {.count = 1};
        one.entries[0] = list->entries[i];
        if (policy_interpret(&one, packet).action == POLICY_PROTECT)
            return true;
    }
    return false;
}

static void same_verdict(const struct policy_list *list, struct policy_program *program,
                         const struct ip_packet *packet)
{
    struct policy_verdict plain = policy_interpret(list, packet);
    for (int cached = 0; cached < 2; cached++) {
        struct policy_verdict ran = policy_run(program, packet);
        must(ran.action == plain.action && ran.entry == plain.entry);
    }
    must(policy_may_protect(program, packet) == protected_somewhere(list, packet));
}

static void kernels(const struct selector *denies, size_t deny_count, const struct selector *selectors,
                    size_t count)
{
    static uint8_t buffer[NFT_RULESET_MAX];
    static struct route_rule rules[STEER_RULE_MAX];
    struct xfrm_site site = {.instance = "gdoi0",
                             .wan = {{.name = "wan0", .index = 2, .addr = {10, 1, 13, 2}},
                                     {.name = "wan1", .index = 5, .addr = {10, 2, 13, 2}},
                                     {.name = "wan2"}},
                             .wan_count = 3,
                             .wan_mtu = 1500,
                             .wan_addr = {10, 1, 13, 2},
                             .anchor = {100, 127, 0, 1},
                             .lan_index = {3, 4},
                             .lan_count = 2,
                             .deny = denies,
                             .deny_count = deny_count};
    struct gm_datapath_config config = {
        .wan = "wan0", .tun = "gdoi0", .lan = {"lan0", "lan1"}, .lan_count = 2};
    struct datapath_state state = {.selectors = selectors, .selector_count = count};
    struct xfrm_plan plan;
    struct bytes batch;
    uint32_t last = 0;
    size_t steered = steer_rules(&config, 100, &state, rules);
    must(steered <= STEER_RULE_MAX && (count != 0 || steered == 0));
    for (size_t i = 0; i < count; i++)
        if (selectors[i].src.addr.family != AF_INET || selectors[i].dst.addr.family != AF_INET)
            return; /* refused before anything is made of it */
    must(xfrm_plan_make(&plan, &site, &state) == E_OK);
    must(plan.policy_count <= XFRM_PLAN_POLICY_MAX);
    for (size_t i = 0; i < plan.policy_count; i++)
        for (size_t k = 0; k < i; k++)
            must(!xfrm_policy_same_place(&plan.policies[i], &plan.policies[k]));
    xfrm_plan_close(&plan);
    must(nft_ruleset_build(&site, &state, true, 1, buffer, sizeof(buffer), &batch, &last) == E_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct policy_list list;
    static struct policy_program program;
    struct selector denies[DENIES_MAX], selectors[SELECTORS_MAX];
    struct reader r = reader_over((struct bytes){data, size});
    size_t deny_count = take_selectors(&r, denies, DENIES_MAX);
    size_t count = take_selectors(&r, selectors, SELECTORS_MAX);
    must(policy_list_build(&list, denies, deny_count, selectors, count) == E_OK);
    policy_compile(&list, &program);
    must(program.count + program.unreachable <= list.count);
    for (size_t i = 0; i < PACKETS_MAX && reader_left(&r) >= PACKET_SEED; i++) {
        struct ip_packet packet = take_packet(&r, &list);
        same_verdict(&list, &program, &packet);
    }
    for (size_t i = 0; i < deny_count; i++)
        if (denies[i].src.addr.family != AF_INET || denies[i].dst.addr.family != AF_INET)
            return 0; /* refused by the configuration, with xfrm */
    if (size % KERNELS_IN == 0)
        kernels(denies, deny_count, selectors, count);
    return 0;
}

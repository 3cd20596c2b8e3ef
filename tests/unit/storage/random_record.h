/* random_record.h - records with every field drawn from a seed, all of them valid. */
#ifndef TESTS_UNIT_STORAGE_RANDOM_RECORD_H
#define TESTS_UNIT_STORAGE_RANDOM_RECORD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "storage/record.h"

struct draw {
    struct rng_seeded seeded;
    struct rng rng;
};

static inline void draw_init(struct draw *d, uint64_t seed)
{
    d->rng = rng_seeded_init(&d->seeded, seed);
}

static inline void draw_bytes(struct draw *d, void *out, size_t len)
{
    if (rng_fill(&d->rng, out, len) != E_OK)
        abort();
}

static inline uint32_t draw_u32(struct draw *d)
{
    uint32_t v;
    draw_bytes(d, &v, sizeof(v));
    return v;
}

static inline uint64_t draw_u64(struct draw *d)
{
    uint64_t v;
    draw_bytes(d, &v, sizeof(v));
    return v;
}

static inline uint32_t draw_below(struct draw *d, uint32_t bound)
{
    return draw_u32(d) % bound;
}

static inline struct addr draw_addr(struct draw *d)
{
    uint8_t raw[16];
    struct addr addr = {0};
    draw_bytes(d, raw, sizeof(raw));
    uint32_t kind = draw_below(d, 3);
    if (kind > 0 && addr_from_bytes(&addr, (struct bytes){raw, kind == 1 ? 4 : 16}) != E_OK)
        abort();
    return addr;
}

static inline struct prefix draw_prefix(struct draw *d)
{
    struct prefix prefix = {.addr = draw_addr(d)};
    size_t len = addr_len(&prefix.addr);
    if (len == 0)
        return prefix;
    prefix.bits = (uint8_t)draw_below(d, (uint32_t)len * 8 + 1);
    for (size_t bit = prefix.bits; bit < len * 8; bit++)
        prefix.addr.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
    return prefix;
}

static inline struct identity draw_identity(struct draw *d)
{
    struct identity identity = {.type = (uint8_t)(1 + draw_below(d, 13)),
                                .len = (uint8_t)(1 + draw_below(d, 255))};
    draw_bytes(d, identity.data, identity.len);
    return identity;
}

static inline struct wrapped draw_wrapped(struct draw *d)
{
    struct wrapped wrapped = {.len = (uint16_t)draw_below(d, WRAPPED_MAX + 1)};
    draw_bytes(d, wrapped.data, wrapped.len);
    return wrapped;
}

static inline struct esp_suite draw_suite(struct draw *d)
{
    return (struct esp_suite){(uint8_t)draw_u32(d), (uint16_t)draw_u32(d), (uint16_t)draw_u32(d)};
}

static inline struct group_config draw_config(struct draw *d)
{
    struct group_config c = {
        .identity = draw_identity(d),
        .server_addr = draw_addr(d),
        .kek_lifetime_s = draw_u32(d),
        .tek_lifetime_s = draw_u32(d),
        .retransmit_s = draw_u32(d),
        .retransmit_count = draw_u32(d),
        .kek_cipher = draw_below(d, CIPHER_AES_CBC_256 + 1),
        .sig_hash = draw_below(d, HASH_SHA512 + 1),
        .ack = draw_below(d, LKH_ACK_SHA512 + 1),
        .suite = draw_suite(d),
        .activation_s = (uint16_t)draw_u32(d),
        .deactivation_s = (uint16_t)draw_u32(d),
        .sid_bits = (uint16_t)draw_below(d, 17),
        .runway = (uint8_t)draw_below(d, RUNWAY_MAX + 1),
        .short_lifetimes = draw_below(d, 2) == 1,
        .dialect = {draw_below(d, 2) == 1, draw_below(d, 2) == 1, draw_below(d, 2) == 1,
                    draw_below(d, 2) == 1, draw_below(d, 2) == 1},
        .selector_count = draw_below(d, POLICY_SELECTOR_MAX + 1),
        .rule_count = draw_below(d, GROUP_RULE_MAX + 1),
    };
    if (draw_below(d, 2) == 1) {
        c.replay_window_ms = 1 + draw_below(d, 100000);
        c.replay_attribute = (uint16_t)(SAT_ATTR_PRIVATE_MIN + draw_below(d, 767));
    }
    snprintf(c.name, sizeof(c.name), "group-%u", draw_u32(d));
    for (size_t i = 0; i < c.selector_count; i++)
        c.selectors[i] = (struct selector){draw_prefix(d), draw_prefix(d), (uint8_t)draw_u32(d),
                                           (uint16_t)draw_u32(d), (uint16_t)draw_u32(d)};
    for (size_t i = 0; i < c.rule_count; i++) {
        c.rules[i].is_prefix = draw_below(d, 2) == 1;
        if (c.rules[i].is_prefix)
            c.rules[i].prefix = draw_prefix(d);
        else
            c.rules[i].identity = draw_identity(d);
    }
    return c;
}

static inline struct kek_record draw_kek(struct draw *d)
{
    struct kek_record k = {
        .generation = draw_u32(d),
        .cipher = draw_below(d, CIPHER_AES_CBC_256 + 1),
        .sig_hash = draw_below(d, HASH_SHA512 + 1),
        .ack = draw_below(d, LKH_ACK_SHA512 + 1),
        .signing_version = draw_u32(d),
        .created_ms = draw_u64(d),
        .lifetime_s = draw_u32(d),
        .iv_key = draw_wrapped(d),
    };
    draw_bytes(d, k.spi, sizeof(k.spi));
    return k;
}

static inline struct tek_record draw_tek(struct draw *d)
{
    return (struct tek_record){
        .generation = draw_u32(d),
        .spi = draw_u32(d),
        .suite = draw_suite(d),
        .sid_epoch = draw_u32(d),
        .sid_bits = (uint16_t)draw_u32(d),
        .created_ms = draw_u64(d),
        .lifetime_s = draw_u32(d),
        .key = draw_wrapped(d),
        .integrity = draw_wrapped(d),
    };
}

static inline struct group_record draw_group(struct draw *d)
{
    struct group_record g = {
        .id = draw_u32(d),
        .policy_version = draw_u32(d),
        .told_version = draw_u32(d),
        .config = draw_config(d),
        .generation = draw_u32(d),
        .seq = draw_u32(d),
        .has_kek = draw_below(d, 2) == 1,
        .has_previous_kek = draw_below(d, 2) == 1,
        .tek_count = draw_below(d, GROUP_TEK_MAX + 1),
        .next_sid = draw_u32(d),
        .sid_epoch = draw_u32(d),
        .rekeys_sent = draw_u64(d),
        .runway_count = draw_below(d, RUNWAY_MAX + 1),
        .pseudotime_base_ms = draw_u64(d),
    };
    for (size_t i = 0; i < g.runway_count; i++)
        g.runway[i] = draw_tek(d);
    if (g.has_kek)
        g.kek = draw_kek(d);
    if (g.has_previous_kek)
        g.previous_kek = draw_kek(d);
    for (size_t i = 0; i < g.tek_count; i++)
        g.teks[i] = draw_tek(d);
    return g;
}

static inline struct member_record draw_member(struct draw *d)
{
    struct member_record m = {
        .group_id = draw_u32(d),
        .identity = draw_identity(d),
        .endpoint = {draw_addr(d), (uint16_t)draw_u32(d)},
        .first_ms = draw_u64(d),
        .last_ms = draw_u64(d),
        .registrations = draw_u32(d),
        .seq_base = draw_u32(d),
        .rekeys_sent = draw_u32(d),
        .acks = draw_u32(d),
        .missed = draw_u32(d),
        .missed_in_row = (uint8_t)draw_u32(d),
        .sid_count = (uint16_t)draw_below(d, MEMBER_SID_MAX + 1),
        .first_sid = draw_u32(d),
    };
    m.quarantined_ms = 1 + draw_below(d, 1000000);
    m.quarantine = "a reason of some length" + draw_below(d, 20);
    draw_bytes(d, m.key_server, sizeof(m.key_server));
    draw_bytes(d, m.sent_seq, sizeof(m.sent_seq));
    draw_bytes(d, m.acked_seq, sizeof(m.acked_seq));
    return m;
}

static inline struct rekey_record draw_rekey(struct draw *d)
{
    struct rekey_record r = {
        .group_id = draw_u32(d),
        .seq = draw_u32(d),
        .kind = draw_below(d, REKEY_POLICY + 1),
        .created_ms = draw_u64(d),
        .done_ms = draw_u64(d),
        .members = draw_u32(d),
        .acked = draw_u32(d),
        .silent = draw_u32(d),
        .retransmits = draw_u32(d),
        .push_len = draw_u32(d),
    };
    draw_bytes(d, r.kek_spi, sizeof(r.kek_spi));
    return r;
}

static inline struct signing_record draw_signing(struct draw *d)
{
    struct signing_record s = {
        .version = draw_u32(d),
        .alg = draw_below(d, SIGN_ECDSA_384 + 1),
        .bits = (uint16_t)draw_u32(d),
        .public_len = (uint16_t)draw_below(d, SIGN_PUBLIC_MAX + 1),
        .private_len = (uint16_t)draw_below(d, SIGN_PRIVATE_MAX + KEYWRAP_OVERHEAD + 1),
    };
    draw_bytes(d, s.public_key, s.public_len);
    draw_bytes(d, s.private_key, s.private_len);
    return s;
}

static inline struct cluster_record draw_cluster(struct draw *d)
{
    struct cluster_record c = {
        .coop_epoch = draw_u32(d), .time_ms = draw_u64(d), .next_group_id = draw_u32(d)};
    draw_bytes(d, c.cluster_id, sizeof(c.cluster_id));
    draw_bytes(d, c.primary_id, sizeof(c.primary_id));
    return c;
}

#endif

#include <string.h>

#include "storage/record_part.h"

enum {
    SID_BITS_MAX = 16,
    HAS_REPLAY = 0x8000, /* beside sid_bits: the two fields of anti-replay stand at the end */
    REPLAY_WINDOW_MS_MAX = 100000,
};

static void dialect_encode(struct writer *w, const struct gdoi_dialect *d)
{
    bool_encode(w, d->bare_signature);
    bool_encode(w, d->kek_under_old_spi);
    bool_encode(w, d->lifetime_basic);
    bool_encode(w, d->sign_padded_length);
    bool_encode(w, d->ack_short_length);
}

static void dialect_decode(struct reader *r, struct gdoi_dialect *out)
{
    out->bare_signature = bool_decode(r);
    out->kek_under_old_spi = bool_decode(r);
    out->lifetime_basic = bool_decode(r);
    out->sign_padded_length = bool_decode(r);
    out->ack_short_length = bool_decode(r);
}

static void selector_encode(struct writer *w, const struct selector *s)
{
    prefix_encode(w, &s->src);
    prefix_encode(w, &s->dst);
    write_u8(w, s->protocol);
    write_u16(w, s->src_port);
    write_u16(w, s->dst_port);
}

static void selector_decode(struct reader *r, struct selector *out)
{
    prefix_decode(r, &out->src);
    prefix_decode(r, &out->dst);
    out->protocol = read_u8(r);
    out->src_port = read_u16(r);
    out->dst_port = read_u16(r);
}

static void rule_encode(struct writer *w, const struct member_rule *rule)
{
    bool_encode(w, rule->is_prefix);
    if (rule->is_prefix)
        prefix_encode(w, &rule->prefix);
    else
        identity_encode(w, &rule->identity);
}

static void rule_decode(struct reader *r, struct member_rule *out)
{
    *out = (struct member_rule){.is_prefix = bool_decode(r)};
    if (out->is_prefix)
        prefix_decode(r, &out->prefix);
    else
        identity_decode(r, &out->identity);
}

/* A count that must not pass max; 0 after an error, so that the loop behind it ends. */
static size_t count_decode(struct reader *r, size_t max)
{
    uint16_t count = read_u16(r);
    reader_require(r, count <= max);
    return r->err == E_OK ? count : 0;
}

void group_config_encode(struct writer *w, const struct group_config *c)
{
    name_encode(w, c->name, sizeof(c->name));
    identity_encode(w, &c->identity);
    addr_encode(w, &c->server_addr);
    write_u32(w, c->kek_lifetime_s);
    write_u32(w, c->tek_lifetime_s);
    write_u32(w, c->retransmit_s);
    write_u32(w, c->retransmit_count);
    write_u8(w, (uint8_t)c->kek_cipher);
    write_u8(w, (uint8_t)c->sig_hash);
    write_u8(w, (uint8_t)c->ack);
    suite_encode(w, &c->suite);
    write_u16(w, c->activation_s);
    write_u16(w, c->deactivation_s);
    write_u16(w, (uint16_t)(c->sid_bits | (c->replay_window_ms != 0 ? HAS_REPLAY : 0)));
    bool_encode(w, c->short_lifetimes);
    dialect_encode(w, &c->dialect);
    write_u16(w, (uint16_t)c->selector_count);
    for (size_t i = 0; i < c->selector_count; i++)
        selector_encode(w, &c->selectors[i]);
    write_u16(w, (uint16_t)c->rule_count);
    for (size_t i = 0; i < c->rule_count; i++)
        rule_encode(w, &c->rules[i]);
    if (c->replay_window_ms != 0) {
        write_u32(w, c->replay_window_ms);
        write_u16(w, c->replay_attribute);
    }
}

static void replay_decode(struct reader *r, struct group_config *out)
{
    out->replay_window_ms = read_u32(r);
    out->replay_attribute = read_u16(r);
    reader_require(r, out->replay_window_ms != 0 && out->replay_window_ms <= REPLAY_WINDOW_MS_MAX);
    reader_require(r, out->replay_attribute >= SAT_ATTR_PRIVATE_MIN &&
                          out->replay_attribute <= SAT_ATTR_PRIVATE_MAX);
}

void group_config_decode(struct reader *r, struct group_config *out)
{
    *out = (struct group_config){0};
    name_decode(r, out->name, sizeof(out->name));
    identity_decode(r, &out->identity);
    addr_decode(r, &out->server_addr);
    out->kek_lifetime_s = read_u32(r);
    out->tek_lifetime_s = read_u32(r);
    out->retransmit_s = read_u32(r);
    out->retransmit_count = read_u32(r);
    out->kek_cipher = enum_decode(r, CIPHER_AES_CBC_256);
    out->sig_hash = enum_decode(r, HASH_SHA512);
    out->ack = enum_decode(r, LKH_ACK_SHA512);
    suite_decode(r, &out->suite);
    out->activation_s = read_u16(r);
    out->deactivation_s = read_u16(r);
    out->sid_bits = read_u16(r);
    bool has_replay = (out->sid_bits & HAS_REPLAY) != 0;
    out->sid_bits &= (uint16_t)~HAS_REPLAY;
    reader_require(r, out->sid_bits <= SID_BITS_MAX);
    out->short_lifetimes = bool_decode(r);
    dialect_decode(r, &out->dialect);
    out->selector_count = count_decode(r, POLICY_SELECTOR_MAX);
    for (size_t i = 0; i < out->selector_count; i++)
        selector_decode(r, &out->selectors[i]);
    out->rule_count = count_decode(r, GROUP_RULE_MAX);
    for (size_t i = 0; i < out->rule_count; i++)
        rule_decode(r, &out->rules[i]);
    if (has_replay)
        replay_decode(r, out);
}

bool dialect_equal(const struct gdoi_dialect *a, const struct gdoi_dialect *b)
{
    return a->bare_signature == b->bare_signature && a->kek_under_old_spi == b->kek_under_old_spi &&
           a->lifetime_basic == b->lifetime_basic && a->sign_padded_length == b->sign_padded_length &&
           a->ack_short_length == b->ack_short_length;
}

static bool selector_equal(const struct selector *a, const struct selector *b)
{
    return prefix_equal(&a->src, &b->src) && prefix_equal(&a->dst, &b->dst) && a->protocol == b->protocol &&
           a->src_port == b->src_port && a->dst_port == b->dst_port;
}

bool selectors_equal(const struct group_config *a, const struct group_config *b)
{
    if (a->selector_count != b->selector_count)
        return false;
    for (size_t i = 0; i < a->selector_count; i++) {
        if (!selector_equal(&a->selectors[i], &b->selectors[i]))
            return false;
    }
    return true;
}

static bool rules_equal(const struct group_config *a, const struct group_config *b)
{
    if (a->rule_count != b->rule_count)
        return false;
    for (size_t i = 0; i < a->rule_count; i++) {
        const struct member_rule *x = &a->rules[i], *y = &b->rules[i];
        if (x->is_prefix != y->is_prefix)
            return false;
        if (x->is_prefix ? !prefix_equal(&x->prefix, &y->prefix)
                         : !identity_equal(&x->identity, &y->identity))
            return false;
    }
    return true;
}

bool group_config_equal(const struct group_config *a, const struct group_config *b)
{
    return strncmp(a->name, b->name, sizeof(a->name)) == 0 && identity_equal(&a->identity, &b->identity) &&
           addr_equal(&a->server_addr, &b->server_addr) && a->kek_lifetime_s == b->kek_lifetime_s &&
           a->tek_lifetime_s == b->tek_lifetime_s && a->retransmit_s == b->retransmit_s &&
           a->retransmit_count == b->retransmit_count && a->kek_cipher == b->kek_cipher &&
           a->sig_hash == b->sig_hash && a->ack == b->ack && suite_equal(&a->suite, &b->suite) &&
           a->activation_s == b->activation_s && a->deactivation_s == b->deactivation_s &&
           a->sid_bits == b->sid_bits && a->runway == b->runway &&
           a->replay_window_ms == b->replay_window_ms && a->replay_attribute == b->replay_attribute &&
           a->short_lifetimes == b->short_lifetimes &&
           dialect_equal(&a->dialect, &b->dialect) && selectors_equal(a, b) && rules_equal(a, b);
}

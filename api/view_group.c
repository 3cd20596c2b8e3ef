#include "api/view.h"

#include <stdio.h>

#include "cluster/ks_state.h"

uint32_t seconds_left(uint64_t created_ms, uint32_t lifetime_s, uint64_t now_ms)
{
    uint64_t end_ms = created_ms + (uint64_t)lifetime_s * 1000;
    return end_ms > now_ms ? (uint32_t)((end_ms - now_ms) / 1000) : 0;
}

/* An array of one view per element; NULL as soon as one of them failed. */
static bool append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0; /* takes NULL for an error */
}

static json_t *view_prefix(const struct prefix *prefix)
{
    char text[PREFIX_TEXT_MAX];
    return json_string(prefix_format(prefix, text));
}

static json_t *view_selector(const struct selector *selector)
{
    return json_pack("{s:o, s:o, s:i, s:i, s:i}", "src", view_prefix(&selector->src), "dst",
                     view_prefix(&selector->dst), "protocol", selector->protocol, "src_port",
                     selector->src_port, "dst_port", selector->dst_port);
}

static json_t *view_selectors(const struct group_config *config)
{
    json_t *array = json_array();
    for (size_t i = 0; i < config->selector_count; i++)
        if (!append(array, view_selector(&config->selectors[i]))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *view_rules(const struct group_config *config)
{
    json_t *array = json_array();
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct member_rule *rule = &config->rules[i];
        if (!append(array, rule->is_prefix ? view_prefix(&rule->prefix) : view_identity(&rule->identity))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *view_dialect(const struct gdoi_dialect *dialect)
{
    return json_pack("{s:b, s:b, s:b, s:b, s:b}", "bare_signature", dialect->bare_signature,
                     "kek_under_old_spi", dialect->kek_under_old_spi, "lifetime_basic",
                     dialect->lifetime_basic, "sign_padded_length", dialect->sign_padded_length,
                     "ack_short_length", dialect->ack_short_length);
}

json_t *view_config(const struct group_config *config)
{
    char suite[SUITE_TEXT_MAX];
    return json_pack(
        "{s:{s:s, s:I, s:s, s:s}, s:{s:s, s:I, s:i, s:i}, s:{s:I, s:I, s:i, s:i}, s:{s:I, s:i}, s:o, s:o, s:b, "
        "s:o}",
        "kek", //
        "cipher", cipher_word(config->kek_cipher), "lifetime_s", (json_int_t)config->kek_lifetime_s, "hash",
        hash_word(config->sig_hash), "ack", ack_word(config->ack), "tek", //
        "transform", suite_word(&config->suite, suite), "lifetime_s", (json_int_t)config->tek_lifetime_s,
        "sid_bits", config->sid_bits, "runway", config->runway, "rekey", //
        "retransmit_s", (json_int_t)config->retransmit_s, "retransmit_count",
        (json_int_t)config->retransmit_count, "activation_s", config->activation_s, "deactivation_s",
        config->deactivation_s, "replay",                                                         //
        "window_ms", (json_int_t)config->replay_window_ms, "attribute", config->replay_attribute, //
        "selectors", view_selectors(config), "members", view_rules(config), "short_lifetimes",
        config->short_lifetimes, "dialect", view_dialect(&config->dialect));
}

json_t *view_group(const struct group_record *group, const struct member_count *count,
                   const struct rekey_record *last_rekey, uint64_t now_ms)
{
    const struct group_config *config = &group->config;
    return json_pack(
        "{s:o, s:o, s:I, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:i, s:o}",
        "name", view_text(config->name), "identity", view_identity(&config->identity), "handle",
        (json_int_t)group->id, "type", "gdoi", "transport", "unicast", "server_address",
        view_addr(&config->server_addr), "policy_version", (json_int_t)group->policy_version, "told_version",
        (json_int_t)group->told_version, "generation", (json_int_t)group->generation, "seq",
        (json_int_t)group->seq, "rekeys_sent", (json_int_t)group->rekeys_sent, "member_count",
        (json_int_t)count->all, "members_registered_here", (json_int_t)count->here, "sid_epoch",
        (json_int_t)group->sid_epoch, "next_sid", (json_int_t)group->next_sid, "last_rekey",
        last_rekey != NULL ? view_rekey(last_rekey) : json_null(), "pseudotime_ms",
        (json_int_t)ks_pseudotime_ms(group, now_ms), "keys_ahead", (int)group->runway_count, "config",
        view_config(config));
}

static json_t *view_kek(const struct kek_record *kek, uint64_t now_ms)
{
    uint64_t end_ms = kek->created_ms + (uint64_t)kek->lifetime_s * 1000;
    return json_pack("{s:o, s:I, s:s, s:i, s:i, s:s, s:s, s:I, s:o, s:o, s:I, s:I}", "spi",
                     view_hex(kek->spi, KEK_SPI_LEN, "0x"), "generation", (json_int_t)kek->generation,
                     "cipher", cipher_word(kek->cipher), "cipher_key_octets",
                     (int)cipher_key_len(kek->cipher), "iv_octets", (int)cipher_block_len(kek->cipher),
                     "hash", hash_word(kek->sig_hash), "ack", ack_word(kek->ack), "signing_version",
                     (json_int_t)kek->signing_version, "created", view_time(kek->created_ms), "expires",
                     view_time(end_ms), "lifetime_s", (json_int_t)kek->lifetime_s, "remaining_s",
                     (json_int_t)seconds_left(kek->created_ms, kek->lifetime_s, now_ms));
}

static json_t *view_tek(const struct tek_record *tek, uint64_t now_ms)
{
    char suite[SUITE_TEXT_MAX], spi[16];
    uint64_t end_ms = tek->created_ms + (uint64_t)tek->lifetime_s * 1000;
    snprintf(spi, sizeof(spi), "0x%08X", (unsigned)tek->spi);
    return json_pack("{s:s, s:I, s:s, s:i, s:i, s:i, s:I, s:i, s:o, s:o, s:I, s:I}", "spi", spi, "generation",
                     (json_int_t)tek->generation, "transform", suite_word(&tek->suite, suite), "key_bits",
                     tek->suite.key_bits, "cipher_key_octets", (int)tek_key_len(&tek->suite),
                     "integrity_key_octets", (int)tek_integrity_len(&tek->suite), "sid_epoch",
                     (json_int_t)tek->sid_epoch, "sid_bits", tek->sid_bits, "created",
                     view_time(tek->created_ms), "expires", view_time(end_ms), "lifetime_s",
                     (json_int_t)tek->lifetime_s, "remaining_s",
                     (json_int_t)seconds_left(tek->created_ms, tek->lifetime_s, now_ms));
}

static json_t *view_teks(const struct group_record *group, uint64_t now_ms)
{
    json_t *array = json_array();
    for (size_t i = 0; i < group->tek_count; i++)
        if (!append(array, view_tek(&group->teks[i], now_ms))) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *view_signing(const struct signing_record *signing)
{
    return json_pack("{s:I, s:s, s:i, s:i}", "version", (json_int_t)signing->version, "algorithm",
                     sign_word(signing->alg), "bits", signing->bits, "public_octets", signing->public_len);
}

json_t *view_policy(const struct group_record *group, const struct signing_record *signing, uint64_t now_ms)
{
    const struct group_config *config = &group->config;
    return json_pack(
        "{s:o, s:I, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "group", view_text(config->name),
        "handle", (json_int_t)group->id, "transport", "unicast", "server_address",
        view_addr(&config->server_addr), "policy_version", (json_int_t)group->policy_version, "generation",
        (json_int_t)group->generation, "seq", (json_int_t)group->seq, "now", view_time(now_ms), "kek",
        group->has_kek ? view_kek(&group->kek, now_ms) : json_null(), "previous_kek",
        group->has_previous_kek ? view_kek(&group->previous_kek, now_ms) : json_null(), "teks",
        view_teks(group, now_ms), "signing", signing != NULL ? view_signing(signing) : json_null(),
        "selectors", view_selectors(config));
}

#include <string.h>

#include "cluster/ks_internal.h"

/* Seconds until end_ms, at least 1: a key that is told is live, and a lifetime of 0 means something else on
 * the wire. */
static uint32_t left_s(uint64_t end_ms, uint64_t now_ms)
{
    uint64_t left = end_ms > now_ms ? (end_ms - now_ms) / 1000 : 0;
    return left == 0 ? 1 : (uint32_t)left;
}

err_t ks_kek_open(const struct ks_state *state, const struct ks_group *group, const struct kek_record *record,
                  const struct wrap_key *wrap, uint64_t now_ms, struct kek *out)
{
    const struct signing_record *signing = &state->signing;
    *out = (struct kek){
        .cipher = record->cipher,
        .lifetime_s = left_s(kek_end_ms(record), now_ms),
        .sig_hash = record->sig_hash,
        .sig_alg = signing->alg,
        .sig_key_bits = signing->bits,
        .ack = record->ack,
        .public_len = signing->public_len,
    };
    memcpy(out->spi, record->spi, KEK_SPI_LEN);
    memcpy(out->public_key, signing->public_key, signing->public_len);
    uint8_t context[WRAP_CONTEXT_MAX];
    return keywrap_open(wrap, wrap_context(state, group->record.id, WRAP_KEK, BYTES_OF(record->spi), context),
                        &record->iv_key, &out->iv_key);
}

static err_t open_tek(const struct ks_state *state, const struct ks_group *group,
                      const struct tek_record *record, const struct wrap_key *wrap, uint64_t now_ms,
                      struct tek *out)
{
    *out = (struct tek){
        .spi = record->spi, .suite = record->suite, .lifetime_s = left_s(tek_end_ms(record), now_ms)};
    uint8_t name[4], context[WRAP_CONTEXT_MAX];
    struct writer w = writer_over(name, sizeof(name));
    write_u32(&w, record->spi);
    uint32_t id = group->record.id;
    err_t err = keywrap_open(wrap, wrap_context(state, id, WRAP_TEK_KEY, writer_bytes(&w), context),
                             &record->key, &out->key);
    if (err != E_OK || record->integrity.len == 0)
        return err;
    return keywrap_open(wrap, wrap_context(state, id, WRAP_TEK_INTEGRITY, writer_bytes(&w), context),
                        &record->integrity, &out->integrity);
}

/* Told to a newcomer: live, and of the current epoch when sender ids count, since a TEK of an older epoch may
 * be in use under the newcomer's sender id by somebody else (RFC 6054 4). */
static bool is_told(const struct group_record *r, const struct tek_record *tek, uint64_t now_ms)
{
    return tek_end_ms(tek) > now_ms && (tek->sid_bits == 0 || tek->sid_epoch == r->sid_epoch);
}

/* One message has room for GDOI_SAT_MAX pairs of TEK and selector: the newest TEKs win. */
static size_t first_told(const struct group_record *r, uint64_t now_ms)
{
    size_t selectors = r->config.selector_count > 0 ? r->config.selector_count : 1;
    size_t room = GDOI_SAT_MAX / selectors, first = r->tek_count;
    for (size_t i = r->tek_count; i-- > 0 && room > 0;) {
        if (!is_told(r, &r->teks[i], now_ms))
            continue;
        first = i;
        room--;
    }
    return first;
}

static void fill_terms(const struct group_config *config, struct group_policy *out)
{
    out->rekey_src = (struct endpoint){config->server_addr, GDOI_PORT};
    out->rekey_dst =
        (struct endpoint){.addr.family = config->server_addr.family, .port = GDOI_PORT}; /* unicast */
    out->has_delays = config->activation_s != 0 || config->deactivation_s != 0;
    out->activation_s = config->activation_s;
    out->deactivation_s = config->deactivation_s;
    out->selector_count = config->selector_count;
    memcpy(out->selectors, config->selectors, config->selector_count * sizeof(config->selectors[0]));
}

err_t ks_group_policy(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                      const struct ks_member *member, uint64_t now_ms, struct group_policy *out)
{
    const struct group_record *r = &group->record;
    *out = (struct group_policy){0};
    if (!r->has_kek || r->tek_count == 0)
        return E_STATE;
    size_t first = first_told(r, now_ms);
    if (kek_end_ms(&r->kek) <= now_ms || first == r->tek_count)
        return E_EXPIRED;
    fill_terms(&r->config, out);
    out->has_kek = true;
    err_t err = ks_kek_open(state, group, &r->kek, wrap, now_ms, &out->kek);
    for (size_t i = first; i < r->tek_count && err == E_OK; i++) {
        if (is_told(r, &r->teks[i], now_ms))
            err = open_tek(state, group, &r->teks[i], wrap, now_ms, &out->teks[out->tek_count++]);
    }
    out->sid_bits = r->teks[r->tek_count - 1].sid_bits;
    if (member != NULL && out->sid_bits != 0) {
        out->sid_count = member->record.sid_count;
        for (uint16_t i = 0; i < member->record.sid_count; i++)
            out->sids[i] = member->record.first_sid + i;
    }
    if (err != E_OK)
        group_policy_close(out);
    return err;
}

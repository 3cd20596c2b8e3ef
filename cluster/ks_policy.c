#include <string.h>

#include "cluster/ks_internal.h"
#include "cluster/ks_runway.h"

uint32_t ks_left_s(uint64_t end_ms, uint64_t now_ms)
{
    uint64_t left = end_ms > now_ms ? (end_ms - now_ms) / 1000 : 0;
    return left == 0 ? 1 : (uint32_t)left;
}

err_t ks_kek_open(const struct ks_state *state, const struct ks_group *group, const struct kek_record *record,
                  const struct wrap_key *wrap, uint64_t now_ms, struct kek *out)
{
    /* Who is told this KEK verifies its next push, which the key of the KEK's time signs. */
    const struct signing_record *signing = ks_signing_of(state, record->signing_version);
    if (signing == NULL)
        signing = &state->signing; /* a KEK that is over, or of before previous keys were kept */
    *out = (struct kek){
        .cipher = record->cipher,
        .lifetime_s = ks_left_s(kek_end_ms(record), now_ms),
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

/* Told to a newcomer: live, and of the current epoch when sender ids count, since a TEK of an older epoch may
 * be in use under the newcomer's sender id by somebody else (RFC 6054 4). */
static bool is_told(const struct group_record *r, const struct tek_record *tek, uint64_t now_ms)
{
    return tek_end_ms(tek) > now_ms && (tek->sid_bits == 0 || tek->sid_epoch == r->sid_epoch);
}

enum { TOLD_MAX = GROUP_TEK_MAX + RUNWAY_MAX };

/* The keys that are told, in the order of their use. */
struct told {
    struct tek_record teks[TOLD_MAX];
    size_t count;
};

static void gather(const struct group_record *r, enum ks_contact contact, uint64_t now_ms, struct told *told)
{
    told->count = 0;
    for (size_t i = 0; i < r->tek_count; i++) {
        if (is_told(r, &r->teks[i], now_ms))
            told->teks[told->count++] = r->teks[i];
    }
    size_t ahead = contact == CONTACT_MINORITY ? ks_runway_usable(r) : 0;
    for (size_t i = 0; i < ahead; i++) {
        struct tek_record tek = r->runway[i];
        tek.created_ms = ks_runway_start_ms(r, i);
        if (tek.created_ms <= now_ms && is_told(r, &tek, now_ms))
            told->teks[told->count++] = tek;
    }
}

/* One message has room for GDOI_SAT_MAX pairs of TEK and selector, and the policy for POLICY_TEK_MAX keys:
 * the newest TEKs win. */
static size_t first_told(const struct group_record *r, const struct told *told)
{
    size_t selectors = r->config.selector_count > 0 ? r->config.selector_count : 1;
    size_t room = GDOI_SAT_MAX / selectors;
    if (room > POLICY_TEK_MAX)
        room = POLICY_TEK_MAX;
    return told->count > room ? told->count - room : 0;
}

static void fill_terms(const struct group_config *config, const struct told *told, enum ks_contact contact,
                       uint64_t now_ms, struct group_policy *out)
{
    out->rekey_src = (struct endpoint){config->server_addr, GDOI_PORT};
    out->rekey_dst =
        (struct endpoint){.addr.family = config->server_addr.family, .port = GDOI_PORT}; /* unicast */
    /* A single key is sent on at once, whatever the delay is; of several the last one waits. */
    uint64_t old_end_ms = told->count > 1 ? tek_end_ms(&told->teks[told->count - 2]) : 0;
    out->activation_s = ks_activation_s(config, old_end_ms, now_ms, contact != CONTACT_WHOLE);
    out->deactivation_s =
        out->activation_s > config->deactivation_s ? out->activation_s : config->deactivation_s;
    out->has_delays = out->activation_s != 0 || out->deactivation_s != 0;
    out->selector_count = config->selector_count;
    memcpy(out->selectors, config->selectors, config->selector_count * sizeof(config->selectors[0]));
}

/* A KEK that ended while nobody could make another one is left out: the keys for traffic matter, and the next
 * registration with a quorum brings the new one. */
static bool tells_kek(const struct group_record *r, enum ks_contact contact, uint64_t now_ms, err_t *err)
{
    bool live = kek_end_ms(&r->kek) > now_ms;
    *err = live || contact == CONTACT_MINORITY ? E_OK : E_EXPIRED;
    return live;
}

static void fill_sids(const struct group_record *r, const struct ks_member *member, struct group_policy *out)
{
    out->sid_bits = r->teks[r->tek_count - 1].sid_bits;
    if (member == NULL || out->sid_bits == 0)
        return;
    out->sid_count = member->record.sid_count;
    for (uint16_t i = 0; i < member->record.sid_count; i++)
        out->sids[i] = member->record.first_sid + i;
}

err_t ks_group_policy_in(const struct ks_state *state, const struct ks_group *group,
                         const struct wrap_key *wrap, const struct ks_member *member, enum ks_contact contact,
                         uint64_t now_ms, struct group_policy *out)
{
    const struct group_record *r = &group->record;
    struct told told;
    err_t err;
    *out = (struct group_policy){0};
    if (!r->has_kek || r->tek_count == 0)
        return E_STATE;
    if (contact == CONTACT_MINORITY && r->teks[r->tek_count - 1].sid_bits + r->config.sid_bits != 0)
        return E_NO_QUORUM; /* a sender id needs a commit, and without one the same nonce could be used twice
                             */
    gather(r, contact, now_ms, &told);
    out->time = ks_policy_time(r, now_ms);
    out->has_kek = tells_kek(r, contact, now_ms, &err);
    if (err != E_OK || told.count == 0)
        return E_EXPIRED;
    fill_terms(&r->config, &told, contact, now_ms, out);
    if (out->has_kek)
        err = ks_kek_open(state, group, &r->kek, wrap, now_ms, &out->kek);
    for (size_t i = first_told(r, &told); i < told.count && err == E_OK; i++)
        err = ks_tek_open(state, group, &told.teks[i], wrap, now_ms, &out->teks[out->tek_count++]);
    fill_sids(r, member, out);
    if (err != E_OK)
        group_policy_close(out);
    return err;
}

struct policy_time ks_policy_time(const struct group_record *group, uint64_t now_ms)
{
    if (group->config.replay_window_ms == 0)
        return (struct policy_time){0};
    return (struct policy_time){.attribute = group->config.replay_attribute,
                                .window_ms = group->config.replay_window_ms,
                                .pseudotime_us = ks_pseudotime_ms(group, now_ms) * 1000};
}

err_t ks_group_policy(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                      const struct ks_member *member, uint64_t now_ms, struct group_policy *out)
{
    return ks_group_policy_in(state, group, wrap, member, CONTACT_WHOLE, now_ms, out);
}

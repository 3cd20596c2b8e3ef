#include "cluster/ks_runway.h"

#include <string.h>

#include "cluster/ks_internal.h"
#include "cluster/rekey_plan.h"
#include "storage/record_part.h"

size_t ks_runway_wanted(const struct group_config *config)
{
    return config->sid_bits != 0 ? 0 : config->runway;
}

size_t ks_runway_usable(const struct group_record *r)
{
    size_t count = 0;
    while (count < r->runway_count && count < ks_runway_wanted(&r->config) &&
           suite_equal(&r->runway[count].suite, &r->config.suite) &&
           r->runway[count].lifetime_s == r->config.tek_lifetime_s)
        count++;
    return count;
}

bool ks_runway_due(const struct group_record *r)
{
    if (!r->has_kek || r->tek_count == 0)
        return false;
    size_t wanted = ks_runway_wanted(&r->config);
    return r->runway_count != wanted || ks_runway_usable(r) != wanted;
}

/* When a key that began at start_ms is due for renewal: the start of the one behind it. */
static uint64_t renewal_ms(const struct group_config *config, uint64_t start_ms, uint32_t lifetime_s)
{
    return start_ms + (uint64_t)(lifetime_s - tek_renewal_s(config, lifetime_s)) * 1000;
}

uint64_t ks_runway_start_ms(const struct group_record *r, size_t i)
{
    const struct tek_record *current = &r->teks[r->tek_count - 1];
    uint64_t start_ms = renewal_ms(&r->config, current->created_ms, current->lifetime_s);
    for (size_t k = 0; k < i; k++)
        start_ms = renewal_ms(&r->config, start_ms, r->runway[k].lifetime_s);
    return start_ms;
}

const struct tek_record *ks_runway_take(const struct group_record *r, uint64_t now_ms, bool split,
                                        uint64_t *created_ms)
{
    size_t usable = r->tek_count > 0 ? ks_runway_usable(r) : 0;
    for (size_t i = 0; i < usable; i++) {
        uint64_t start_ms = ks_runway_start_ms(r, i);
        if (renewal_ms(&r->config, start_ms, r->runway[i].lifetime_s) <= now_ms)
            continue; /* its turn is over: nobody pushed for that long */
        *created_ms = start_ms <= now_ms || split ? start_ms : now_ms;
        return &r->runway[i];
    }
    return NULL;
}

uint16_t ks_activation_s(const struct group_config *config, uint64_t old_end_ms, uint64_t now_ms, bool split)
{
    if (!split || old_end_ms <= now_ms)
        return config->activation_s;
    uint32_t margin_s = tek_lead_s(config) / 6;
    if (margin_s > LATE_MARGIN_MAX_S)
        margin_s = LATE_MARGIN_MAX_S;
    uint64_t left_s = (old_end_ms - now_ms) / 1000;
    left_s = left_s > margin_s ? left_s - margin_s : 0;
    if (left_s < config->activation_s)
        return config->activation_s;
    return left_s < UINT16_MAX ? (uint16_t)left_s : UINT16_MAX;
}

static err_t draw_one(const struct ks_state *state, const struct ks_group *group, const struct wrap_key *wrap,
                      const struct rng *rng, struct cmd_runway_set *c)
{
    struct tek clear;
    struct tek_record *fresh = &c->teks[c->count];
    err_t err = ks_tek_draw(state, group, wrap, rng, fresh, &clear);
    secret_close(&clear.key);
    secret_close(&clear.integrity);
    fresh->created_ms = 0;
    fresh->generation = 0;
    for (size_t i = 0; i < c->count && err == E_OK; i++) {
        if (c->teks[i].spi == fresh->spi)
            err = E_CRYPTO; /* twice in a row: no randomness */
    }
    c->count++;
    return err;
}

err_t ks_runway_make(const struct ks_state *state, uint32_t group_id, const struct wrap_key *wrap,
                     const struct rng *rng, uint64_t now_ms, struct command *out)
{
    const struct ks_group *group = ks_state_group(state, group_id);
    *out = (struct command){.type = CMD_RUNWAY_SET, .time_ms = now_ms};
    if (group == NULL)
        return E_UNKNOWN_GROUP;
    const struct group_record *r = &group->record;
    if (!ks_runway_due(r))
        return E_STATE;
    struct cmd_runway_set *c = &out->u.runway_set;
    *c = (struct cmd_runway_set){.group_id = group_id,
                                 .epoch = state->cluster.coop_epoch,
                                 .generation = r->generation,
                                 .policy_version = r->policy_version,
                                 .count = ks_runway_usable(r)};
    for (size_t i = 0; i < c->count; i++)
        c->teks[i] = r->runway[i];
    err_t err = E_OK;
    while (err == E_OK && c->count < ks_runway_wanted(&r->config))
        err = draw_one(state, group, wrap, rng, c);
    return err;
}

/* ---- apply ---- */

static bool spis_differ(const struct group_record *r, const struct cmd_runway_set *c)
{
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < i; k++)
            if (c->teks[k].spi == c->teks[i].spi)
                return false;
        for (size_t k = 0; k < r->tek_count; k++)
            if (r->teks[k].spi == c->teks[i].spi)
                return false;
    }
    return true;
}

static err_t set_fits(const struct ks_apply *a, const struct group_record *r, const struct cmd_runway_set *c)
{
    if (c->epoch != a->state->cluster.coop_epoch || c->generation != r->generation ||
        c->policy_version != r->policy_version)
        return E_STALE;
    if (c->count > RUNWAY_MAX)
        return E_LIMIT;
    return spis_differ(r, c) ? E_OK : E_EXISTS;
}

void ks_apply_runway_set(struct ks_apply *a, const struct cmd_runway_set *c)
{
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        a->result->err = E_UNKNOWN_GROUP;
        return;
    }
    struct group_record *r = &group->record;
    a->result->group = group;
    a->result->group_id = c->group_id;
    a->result->err = set_fits(a, r, c);
    if (a->result->err != E_OK)
        return;
    memset(r->runway, 0, sizeof(r->runway));
    memcpy(r->runway, c->teks, c->count * sizeof(c->teks[0]));
    r->runway_count = c->count;
    ks_put_group(a, group);
}

bool ks_runway_allows(const struct group_record *r, const struct tek_record *tek)
{
    for (size_t i = 0; i < r->runway_count; i++) {
        if (r->runway[i].spi == tek->spi)
            return bytes_equal((struct bytes){r->runway[i].key.data, r->runway[i].key.len},
                               (struct bytes){tek->key.data, tek->key.len});
    }
    return true;
}

void ks_runway_used(struct group_record *r, const struct tek_record *tek)
{
    size_t used = 0;
    while (used < r->runway_count && r->runway[used].spi != tek->spi)
        used++;
    /* A fresh key: what is left of the runway was for another policy, or its time is over. */
    used = used < r->runway_count ? used + 1 : r->runway_count;
    r->runway_count -= used;
    memmove(r->runway, r->runway + used, r->runway_count * sizeof(r->runway[0]));
    memset(r->runway + r->runway_count, 0, (RUNWAY_MAX - r->runway_count) * sizeof(r->runway[0]));
}

#include "cluster/rekey_plan.h"

#include "cluster/ks_internal.h"
#include "storage/record_part.h"

enum {
    TEK_LEAD_S = 90,
    KEK_LEAD_S = 200,
    LEAD_SLACK_S = 5,
    SID_RESET_GAP_S = 60, /* at least so long between two resets, or a quarter of the TEK's life */
};

/* Never later than half of a short life. */
static uint32_t lead(const struct group_config *config, uint32_t base_s, uint32_t lifetime_s)
{
    uint64_t lead_s = base_s + (uint64_t)config->retransmit_s * config->retransmit_count + LEAD_SLACK_S;
    return lead_s < lifetime_s / 2 ? (uint32_t)lead_s : lifetime_s / 2;
}

uint32_t tek_renewal_s(const struct group_config *config, uint32_t lifetime_s)
{
    return lead(config, TEK_LEAD_S, lifetime_s);
}

uint32_t tek_lead_s(const struct group_config *config)
{
    return lead(config, TEK_LEAD_S, config->tek_lifetime_s);
}

uint32_t kek_lead_s(const struct group_config *config)
{
    return lead(config, KEK_LEAD_S, config->kek_lifetime_s);
}

/* A key keeps the lifetime that it was told with, whatever the configuration says by now. */
static uint64_t kek_due_ms(const struct group_record *r)
{
    return kek_end_ms(&r->kek) - (uint64_t)lead(&r->config, KEK_LEAD_S, r->kek.lifetime_s) * 1000;
}

static uint64_t tek_due_ms(const struct group_record *r)
{
    const struct tek_record *tek = &r->teks[r->tek_count - 1];
    return tek_end_ms(tek) - (uint64_t)lead(&r->config, TEK_LEAD_S, tek->lifetime_s) * 1000;
}

static bool is_counter_mode(const struct group_record *r)
{
    return r->config.sid_bits != 0;
}

/* When sender ids must start again: UINT64_MAX while an eighth of them is left. */
static uint64_t sid_due_ms(const struct group_record *r)
{
    const struct tek_record *tek = &r->teks[r->tek_count - 1];
    if (!is_counter_mode(r) || tek->sid_bits != r->config.sid_bits)
        return UINT64_MAX;
    uint32_t room = (uint32_t)1 << r->config.sid_bits;
    if (r->next_sid < room - room / 8)
        return UINT64_MAX;
    uint32_t gap_s = tek->lifetime_s / 4 < SID_RESET_GAP_S ? tek->lifetime_s / 4 : SID_RESET_GAP_S;
    return tek->created_ms + (uint64_t)gap_s * 1000;
}

/* Are the ids that the newest TEK's senders have not of the kind that is given out now? */
bool rekey_changes_sids(const struct group_record *r)
{
    if (!is_counter_mode(r) || r->tek_count == 0)
        return false;
    const struct tek_record *tek = &r->teks[r->tek_count - 1];
    return tek->sid_bits != r->config.sid_bits || tek->sid_epoch != r->sid_epoch;
}

/* When the group's next rekey is due, and which one. */
static uint64_t next_due(const struct group_record *r, uint64_t now_ms, struct rekey_due *due)
{
    *due = (struct rekey_due){.group_id = r->id, .kind = REKEY_INITIAL, .sid_reset = rekey_changes_sids(r)};
    if (!r->has_kek || r->tek_count == 0 || kek_end_ms(&r->kek) <= now_ms)
        return now_ms; /* no key that a push could be sealed under: members come by themselves */
    uint64_t kek_ms = kek_due_ms(r), tek_ms = tek_due_ms(r), sid_ms = sid_due_ms(r);
    if (sid_ms <= now_ms)
        due->sid_reset = true;
    if (kek_ms <= now_ms) {
        due->kind = REKEY_KEK;
        return now_ms;
    }
    if (r->told_version != r->policy_version) {
        due->kind = REKEY_POLICY;
        return now_ms;
    }
    due->kind = REKEY_TEK;
    uint64_t first = kek_ms < tek_ms ? kek_ms : tek_ms;
    return sid_ms < first ? sid_ms : first;
}

size_t rekey_plan(const struct ks_state *state, uint64_t now_ms, struct rekey_due *due, size_t max,
                  uint64_t *next_ms)
{
    size_t count = 0;
    *next_ms = UINT64_MAX;
    if (!state->initialised || state->signing.version == 0)
        return 0;
    for (size_t i = 0; i < state->group_count; i++) {
        const struct ks_group *group = state->groups[i];
        if (group->pushing)
            continue;
        struct rekey_due found;
        uint64_t at_ms = next_due(&group->record, now_ms, &found);
        if (at_ms <= now_ms && count < max)
            due[count++] = found;
        else if (at_ms < *next_ms)
            *next_ms = at_ms;
    }
    return count;
}

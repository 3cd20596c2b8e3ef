/* datapath_user_share.c - which lane sends by what, and gets what. */
#include <string.h>

#include "gm-agent/datapath_user_parts.h"

/* Sender ids, each once: a server that names one twice means it once. */
static size_t unique_sids(const struct datapath_state *state, uint32_t out[POLICY_SID_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < state->sid_count && i < POLICY_SID_MAX; i++) {
        size_t at = 0;
        while (at < count && out[at] != state->sids[i])
            at++;
        out[at] = state->sids[i];
        count += at == count;
    }
    return count;
}

size_t user_lane_senders(const struct datapath_state *state, size_t lanes)
{
    uint32_t sids[POLICY_SID_MAX];
    if (state->out == NULL || !tek_is_counter_mode(state->out))
        return 1;
    size_t count = unique_sids(state, sids);
    return count == 0 ? 1 : count < lanes ? count : lanes;
}

void user_lane_part(const struct datapath_state *state, size_t nth, size_t senders,
                    struct datapath_state *out, uint32_t *sids)
{
    uint32_t all[POLICY_SID_MAX];
    size_t count = unique_sids(state, all);
    *out = *state;
    out->sids = sids;
    out->sid_count = 0;
    if (nth >= senders)
        out->out = NULL;
    for (size_t i = nth; nth < senders && i < count; i += senders)
        sids[out->sid_count++] = all[i];
}

enum shard_key user_lane_key(const struct datapath_state *state, uint32_t replay_window, uint16_t *sid_bits)
{
    *sid_bits = state->sid_bits;
    if (replay_window == 0)
        return SHARD_HOSTS;
    bool all_count = state->sid_bits != 0 && state->sid_bits <= 32 && state->in_count != 0;
    for (size_t i = 0; i < state->in_count; i++)
        all_count = all_count && tek_is_counter_mode(state->in[i]);
    return all_count ? SHARD_SID : SHARD_SOURCE;
}

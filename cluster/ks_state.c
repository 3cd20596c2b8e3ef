#include "cluster/ks_state.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"

void ks_state_init(struct ks_state *state, const uint64_t map_seed[2])
{
    *state = (struct ks_state){
        .cluster.next_group_id = 1, .level = 1, .build = &level_own, .map_seed = {map_seed[0], map_seed[1]}};
    map_init(&state->psks, PSK_MAX, map_seed);
}

static void free_values(struct map *map)
{
    void *value;
    for (size_t at = 0; (value = map_next(map, &at)) != NULL;)
        free(value);
    map_close(map);
}

static void free_members(struct map *map)
{
    void *member;
    for (size_t at = 0; (member = map_next(map, &at)) != NULL;)
        ks_member_free(member);
    map_close(map);
}

void ks_group_free(struct ks_group *group)
{
    free_members(&group->members);
    free(group->push);
    free(group);
}

void ks_state_close(struct ks_state *state)
{
    for (size_t i = 0; i < state->group_count; i++)
        ks_group_free(state->groups[i]);
    free_values(&state->psks);
    *state = (struct ks_state){0};
}

err_t ks_group_add(struct ks_state *state, uint32_t group_id, struct ks_group **out)
{
    if (state->group_count == GROUP_MAX)
        return E_FULL;
    struct ks_group *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return E_NO_MEMORY;
    group->record.id = group_id;
    map_init(&group->members, GROUP_MEMBER_MAX, state->map_seed);
    state->groups[state->group_count++] = group;
    *out = group;
    return E_OK;
}

struct bytes row_key_bytes(const struct row_key *key)
{
    return (struct bytes){key->data, key->len};
}

struct ks_group *ks_group_at(struct ks_state *state, uint32_t group_id)
{
    for (size_t i = 0; i < state->group_count; i++) {
        if (state->groups[i]->record.id == group_id)
            return state->groups[i];
    }
    return NULL;
}

uint64_t ks_pseudotime_ms(const struct group_record *group, uint64_t cluster_now_ms)
{
    return cluster_now_ms > group->pseudotime_base_ms ? cluster_now_ms - group->pseudotime_base_ms : 0;
}

const struct ks_group *ks_state_group(const struct ks_state *state, uint32_t group_id)
{
    for (size_t i = 0; i < state->group_count; i++) {
        if (state->groups[i]->record.id == group_id)
            return state->groups[i];
    }
    return NULL;
}

const struct ks_group *ks_state_group_by_identity(const struct ks_state *state,
                                                  const struct identity *identity)
{
    for (size_t i = 0; i < state->group_count; i++) {
        if (identity_equal(&state->groups[i]->record.config.identity, identity))
            return state->groups[i];
    }
    return NULL;
}

const struct ks_group *ks_state_group_by_name(const struct ks_state *state, const char *name)
{
    for (size_t i = 0; i < state->group_count; i++) {
        if (strncmp(state->groups[i]->record.config.name, name, GROUP_NAME_MAX) == 0)
            return state->groups[i];
    }
    return NULL;
}

const struct ks_member *ks_group_member(const struct ks_group *group, const struct identity *identity)
{
    struct row_key key = member_row_key(group->record.id, identity);
    return map_find(&group->members, row_key_bytes(&key));
}

/* The address with all but the first bits cleared. */
static struct prefix prefix_of(const struct addr *addr, unsigned bits)
{
    struct prefix prefix = {.addr = *addr, .bits = (uint8_t)bits};
    size_t len = addr_len(addr);
    for (size_t i = 0; i < len; i++) {
        unsigned kept = bits > i * 8 ? (unsigned)(bits - i * 8) : 0;
        if (kept < 8)
            prefix.addr.bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
    return prefix;
}

/* One look-up per prefix length: at most 129, whatever the number of keys. */
const struct psk_record *ks_state_psk(const struct ks_state *state, const struct addr *peer)
{
    unsigned len = (unsigned)addr_len(peer) * 8;
    if (len == 0)
        return NULL;
    for (unsigned bits = len + 1; bits-- > 0;) {
        struct prefix prefix = prefix_of(peer, bits);
        struct row_key key = psk_row_key(&prefix);
        const struct ks_psk *psk = map_find(&state->psks, row_key_bytes(&key));
        if (psk != NULL && psk->record.psk.len != 0)
            return &psk->record;
    }
    return NULL;
}

err_t ks_group_allows(const struct ks_group *group, const struct identity *identity, const struct addr *peer)
{
    const struct group_config *config = &group->record.config;
    if (config->rule_count == 0)
        return E_OK;
    bool by_address = false;
    for (size_t i = 0; i < config->rule_count; i++) {
        const struct member_rule *rule = &config->rules[i];
        by_address |= rule->is_prefix;
        if (rule->is_prefix ? prefix_has(&rule->prefix, peer) : identity_equal(&rule->identity, identity))
            return E_OK;
    }
    /* With only identities in the list the address was never asked for. */
    return by_address ? E_NOT_AUTHORIZED : E_BAD_ID;
}

uint64_t kek_end_ms(const struct kek_record *kek)
{
    return kek->created_ms + (uint64_t)kek->lifetime_s * 1000;
}

uint64_t tek_end_ms(const struct tek_record *tek)
{
    return tek->created_ms + (uint64_t)tek->lifetime_s * 1000;
}

enum kek_ack ks_push_ack(const struct ks_group *group)
{
    const struct group_record *r = &group->record;
    if (r->has_previous_kek && memcmp(r->previous_kek.spi, group->rekey.kek_spi, KEK_SPI_LEN) == 0)
        return r->previous_kek.ack;
    return r->kek.ack;
}

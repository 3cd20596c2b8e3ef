#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"
#include "storage/record_part.h"

static err_t apply_init(struct ks_apply *a, const struct cmd_cluster_init *c)
{
    if (a->state->initialised)
        return E_EXISTS;
    memcpy(a->state->cluster.cluster_id, c->cluster_id, CLUSTER_ID_LEN);
    a->state->initialised = true;
    return E_OK;
}

static err_t apply_elect(struct ks_apply *a, const struct cmd_elect *c)
{
    struct cluster_record *cluster = &a->state->cluster;
    if (cluster->coop_epoch == UINT32_MAX || c->epoch != cluster->coop_epoch + 1)
        return E_STALE;
    const struct node_record *node = ks_state_node(a->state, c->primary_id);
    if (node != NULL && node->role != NODE_VOTER)
        return E_STATE; /* witnesses and standbys never are */
    cluster->coop_epoch = c->epoch;
    memcpy(cluster->primary_id, c->primary_id, NODE_ID_LEN);
    return E_OK;
}

static bool signing_in_use(const struct ks_state *state, uint32_t version)
{
    for (size_t i = 0; i < state->group_count; i++) {
        const struct group_record *r = &state->groups[i]->record;
        if (r->has_kek && r->kek.signing_version == version)
            return true;
    }
    return false;
}

void ks_signing_settle(struct ks_apply *a)
{
    struct signing_record *previous = &a->state->previous_signing;
    if (previous->version == 0 || signing_in_use(a->state, previous->version))
        return;
    struct row_key key = previous_row_key();
    *previous = (struct signing_record){0};
    ks_drop(a, TABLE_SIGNING, &key);
}

static err_t apply_signing(struct ks_apply *a, const struct cmd_signing_key *c)
{
    if (c->key.version != a->state->signing.version + 1)
        return E_STALE;
    if (a->state->previous_signing.version != 0)
        return E_STATE; /* some KEK is two keys behind then, and nobody could sign for its members */
    a->state->previous_signing = a->state->signing;
    a->state->signing = c->key;
    ks_put_signing(a);
    ks_signing_settle(a);
    return E_OK;
}

static bool wrapped_equal(const struct wrapped *a, const struct wrapped *b)
{
    return bytes_equal((struct bytes){a->data, a->len}, (struct bytes){b->data, b->len});
}

err_t ks_psk_row(struct ks_apply *a, const struct prefix *peer, struct ks_psk **out)
{
    struct row_key key = psk_row_key(peer);
    *out = map_find(&a->state->psks, row_key_bytes(&key));
    if (*out != NULL)
        return E_OK;
    struct ks_psk *psk = calloc(1, sizeof(*psk));
    if (psk == NULL)
        return E_NO_MEMORY;
    psk->key = key;
    psk->record.peer = *peer;
    err_t err = map_insert(&a->state->psks, row_key_bytes(&psk->key), psk);
    if (err == E_OK) {
        *out = psk;
        return E_OK;
    }
    free(psk);
    a->result->err = err;
    return err == E_FULL ? E_OK : err;
}

static err_t apply_psk_set(struct ks_apply *a, const struct cmd_psk_set *c)
{
    struct ks_psk *psk;
    err_t err = ks_psk_row(a, &c->psk.peer, &psk);
    if (err != E_OK || psk == NULL)
        return err;
    a->result->changed = !wrapped_equal(&psk->record.psk, &c->psk.psk);
    psk->record = c->psk;
    ks_put_psk(a, psk);
    return E_OK;
}

static err_t apply_psk_delete(struct ks_apply *a, const struct cmd_psk_delete *c)
{
    struct row_key key = psk_row_key(&c->peer);
    struct ks_psk *psk = map_remove(&a->state->psks, row_key_bytes(&key));
    if (psk == NULL)
        return E_NOT_FOUND;
    ks_drop(a, TABLE_PSK, &psk->key);
    free(psk);
    return E_OK;
}

/* Does a member that knows the one have to be told the other? Lifetimes, names and who may register do not
 * count: they come with the next keys, or concern only newcomers. */
static bool told_alike(const struct group_config *a, const struct group_config *b)
{
    return addr_equal(&a->server_addr, &b->server_addr) && a->kek_cipher == b->kek_cipher &&
           a->sig_hash == b->sig_hash && a->ack == b->ack && suite_equal(&a->suite, &b->suite) &&
           a->activation_s == b->activation_s && a->deactivation_s == b->deactivation_s &&
           a->sid_bits == b->sid_bits && a->replay_window_ms == b->replay_window_ms &&
           a->replay_attribute == b->replay_attribute && dialect_equal(&a->dialect, &b->dialect) &&
           selectors_equal(a, b);
}

static err_t change_group(struct ks_apply *a, struct ks_group *group, const struct group_config *config)
{
    struct group_record *r = &group->record;
    a->result->group = group;
    a->result->group_id = r->id;
    if (group_config_equal(&r->config, config))
        return E_OK;
    bool all_told = r->told_version == r->policy_version && told_alike(&r->config, config);
    r->config = *config;
    r->policy_version++;
    if (all_told)
        r->told_version = r->policy_version;
    a->result->changed = true;
    ks_put_group(a, group);
    return E_OK;
}

err_t ks_apply_group_set(struct ks_apply *a, const struct cmd_group_set *c)
{
    const struct group_config *config = &c->config;
    const struct ks_group *named = ks_state_group_by_name(a->state, config->name);
    const struct ks_group *same = ks_state_group_by_identity(a->state, &config->identity);
    if (same != NULL && same != named) {
        a->result->err = E_EXISTS; /* two groups under one identity could not be told apart in a PULL */
        return E_OK;
    }
    if (named != NULL)
        return change_group(a, ks_group_at(a->state, named->record.id), config);
    struct ks_group *group;
    err_t err = ks_group_add(a->state, a->state->cluster.next_group_id, &group);
    if (err != E_OK) {
        a->result->err = err;
        return err == E_FULL ? E_OK : err;
    }
    a->state->cluster.next_group_id++;
    group->record.config = *config;
    group->record.policy_version = group->record.told_version = 1;
    group->record.pseudotime_base_ms = a->now_ms;
    a->result->created = a->result->changed = true;
    a->result->group = group;
    a->result->group_id = group->record.id;
    ks_put_group(a, group);
    return E_OK;
}

static void drop_rows(struct ks_apply *a, struct ks_group *group)
{
    struct ks_member *member;
    for (size_t at = 0; (member = map_next(&group->members, &at)) != NULL;) {
        struct row_key key = member_row_key(group->record.id, &member->record.identity);
        ks_drop(a, TABLE_MEMBER, &key);
    }
    for (uint32_t back = 0; back <= REKEY_HISTORY_MAX && back <= group->record.seq; back++) {
        struct row_key key = rekey_row_key(group->record.id, group->record.seq - back);
        ks_drop(a, TABLE_REKEY, &key);
        ks_drop(a, TABLE_PUSH, &key);
    }
    struct row_key key = group_row_key(group->record.id);
    ks_drop(a, TABLE_GROUP, &key);
}

void ks_apply_group_delete(struct ks_apply *a, const struct cmd_group_delete *c)
{
    struct ks_state *state = a->state;
    for (size_t i = 0; i < state->group_count; i++) {
        struct ks_group *group = state->groups[i];
        if (strncmp(group->record.config.name, c->name, GROUP_NAME_MAX) != 0)
            continue;
        a->result->group_id = group->record.id;
        drop_rows(a, group);
        memmove(&state->groups[i], &state->groups[i + 1],
                (state->group_count - i - 1) * sizeof(state->groups[0]));
        state->groups[--state->group_count] = NULL;
        ks_group_free(group);
        ks_signing_settle(a);
        return;
    }
    a->result->err = E_UNKNOWN_GROUP;
}

static err_t dispatch(struct ks_apply *a, const struct command *command)
{
    struct apply_result *result = a->result;
    switch (command->type) {
    case CMD_CLUSTER_INIT:
        result->err = apply_init(a, &command->u.cluster_init);
        return E_OK;
    case CMD_ELECT:
        result->err = apply_elect(a, &command->u.elect);
        return E_OK;
    case CMD_GROUP_SET:
        return ks_apply_group_set(a, &command->u.group_set);
    case CMD_GROUP_DELETE:
        ks_apply_group_delete(a, &command->u.group_delete);
        return E_OK;
    case CMD_PSK_SET:
        return apply_psk_set(a, &command->u.psk_set);
    case CMD_PSK_DELETE:
        result->err = apply_psk_delete(a, &command->u.psk_delete);
        return E_OK;
    case CMD_SIGNING_KEY:
        result->err = apply_signing(a, &command->u.signing_key);
        return E_OK;
    case CMD_MEMBER_REGISTERED:
        return ks_apply_member_registered(a, &command->u.member_registered);
    case CMD_MEMBER_QUARANTINED:
        return ks_apply_member_quarantined(a, &command->u.member_quarantined);
    case CMD_MEMBER_REMOVED:
        ks_apply_member_removed(a, &command->u.member_removed);
        return E_OK;
    case CMD_REKEY:
        return ks_apply_rekey(a, &command->u.rekey);
    case CMD_PUSH_DONE:
        return ks_apply_push_done(a, &command->u.push_done);
    case CMD_NODE_SET:
        result->err = ks_apply_node_set(a, &command->u.node_set);
        return E_OK;
    case CMD_NODE_REMOVE:
        result->err = ks_apply_node_remove(a, &command->u.node_remove);
        return E_OK;
    case CMD_CA_SET:
        result->err = ks_apply_ca_set(a, &command->u.ca_set);
        return E_OK;
    case CMD_JOIN_TOKEN_SET:
        result->err = ks_apply_token_set(a, &command->u.join_token_set);
        return E_OK;
    case CMD_JOIN_TOKEN_USED:
        result->err = ks_apply_token_used(a, &command->u.join_token_used);
        return E_OK;
    case CMD_RUNWAY_SET:
        ks_apply_runway_set(a, &command->u.runway_set);
        return E_OK;
    case CMD_MEMBER_SERVED:
        return ks_apply_member_served(a, &command->u.member_served);
    case CMD_NODE_PRIORITY:
        result->err = ks_apply_node_priority(a, &command->u.node_priority);
        return E_OK;
    case CMD_NODE_CERT:
        result->err = ks_apply_node_cert(a, &command->u.node_cert);
        return E_OK;
    case CMD_ENROL_SET:
        return ks_apply_enrol_set(a, &command->u.enrol_set);
    case CMD_ENROL_USED:
        result->err = ks_apply_enrol_used(a, &command->u.enrol_used);
        return E_OK;
    case CMD_CLUSTER_LEVEL_SET:
        return ks_apply_level_set(a, &command->u.cluster_level_set);
    case CMD_STATE_MARK:
        return E_OK;
    }
    return E_CORRUPT; /* level_allows lets none through that is not here */
}

err_t ks_state_apply(struct ks_state *state, const struct command *command, struct store_txn *txn,
                     struct apply_result *result, ks_member_fn removed, void *context)
{
    *result = (struct apply_result){.err = level_allows(state->build, state->level, command->type)};
    if (result->err != E_OK)
        return E_OK; /* not even the time counts: a build that does not know it does the same */
    if (command->time_ms > state->cluster.time_ms)
        state->cluster.time_ms = command->time_ms;
    struct ks_apply a = {state, txn, state->cluster.time_ms, result, removed, context};
    if (!state->initialised && command->type != CMD_CLUSTER_INIT) {
        result->err = E_STATE;
        return E_OK;
    }
    err_t err = dispatch(&a, command);
    if (state->initialised)
        ks_put_cluster(&a);
    return err;
}

#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"

/* Does what message 2 of the PULL told still hold? A push that is going on reaches the member too, if it was
 * told the state before it; a finished one would be missed for good. */
static err_t offer_fits(const struct ks_group *group, const struct cmd_member_registered *c)
{
    const struct group_record *r = &group->record;
    if (r->generation == 0 || !r->has_kek)
        return E_STATE;
    if (c->offered_generation > r->generation || c->offered_seq > r->seq)
        return E_STALE;
    if (c->offered_generation == r->generation)
        return E_OK;
    bool one_behind = c->offered_generation + 1 == r->generation;
    return one_behind && group->pushing && c->offered_seq < group->rekey.seq ? E_OK : E_STALE;
}

/* Sender ids for counter modes: fresh ones each time, none twice within an epoch (RFC 6054 4). */
static err_t draw_sids(struct ks_group *group, uint16_t wanted, uint32_t *first)
{
    struct group_record *r = &group->record;
    *first = 0;
    if (wanted == 0)
        return E_OK;
    if (wanted > MEMBER_SID_MAX)
        return E_LIMIT;
    /* The length of sender ids was changed and no TEK has the new one yet: its rekey is due now, the member
     * comes again. */
    if (r->tek_count == 0 || r->teks[r->tek_count - 1].sid_bits != r->config.sid_bits)
        return E_STALE;
    uint32_t room = (uint32_t)1 << r->config.sid_bits;
    if (r->next_sid > room || wanted > room - r->next_sid)
        return E_FULL;
    *first = r->next_sid;
    r->next_sid += wanted;
    return E_OK;
}

struct ks_member *ks_member_new(uint32_t group_id, const struct identity *identity)
{
    struct row_key key = member_row_key(group_id, identity);
    struct ks_member *member = calloc(1, sizeof(*member) + key.len);
    if (member == NULL)
        return NULL;
    member->record.group_id = group_id;
    member->record.identity = *identity;
    member->key_len = key.len;
    memcpy(member->key, key.data, key.len);
    return member;
}

struct bytes ks_member_key(const struct ks_member *member)
{
    return (struct bytes){member->key, member->key_len};
}

static err_t member_add(struct ks_group *group, const struct identity *identity, struct ks_member **out)
{
    struct ks_member *member = ks_member_new(group->record.id, identity);
    if (member == NULL)
        return E_NO_MEMORY;
    err_t err = map_insert(&group->members, ks_member_key(member), member);
    if (err != E_OK) {
        free(member);
        return err;
    }
    *out = member;
    return E_OK;
}

/* A member has its keys of that server since at_ms: a new one, if *member is NULL. E_NO_MEMORY: none was
 * added. */
static err_t came(struct ks_apply *a, struct ks_group *group, struct ks_member **member,
                  const struct identity *identity, const struct endpoint *endpoint,
                  const uint8_t key_server[NODE_ID_LEN], uint64_t at_ms)
{
    a->result->created = *member == NULL;
    if (*member == NULL) {
        err_t err = member_add(group, identity, member);
        if (err != E_OK)
            return err;
        (*member)->record.first_ms = at_ms;
    }
    struct member_record *r = &(*member)->record;
    r->endpoint = *endpoint;
    memcpy(r->key_server, key_server, NODE_ID_LEN);
    r->last_ms = at_ms;
    r->registrations++;
    r->missed_in_row = 0;
    a->result->member = *member;
    return E_OK;
}

err_t ks_apply_member_registered(struct ks_apply *a, const struct cmd_member_registered *c)
{
    struct apply_result *result = a->result;
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        result->err = E_UNKNOWN_GROUP;
        return E_OK;
    }
    result->group = group;
    result->group_id = c->group_id;
    result->err = offer_fits(group, c);
    if (result->err != E_OK)
        return E_OK;
    struct row_key key = member_row_key(c->group_id, &c->identity);
    struct ks_member *member = map_find(&group->members, row_key_bytes(&key));
    if (member == NULL && group->members.count >= group->members.max) {
        result->err = E_FULL;
        return E_OK;
    }
    /* Who asks for none gets one, as every sender of a counter mode must have one (RFC 6407 3.5). */
    uint16_t asked = c->sid_request != 0 ? c->sid_request : 1;
    uint16_t sids = group->record.config.sid_bits != 0 ? asked : 0;
    uint32_t first_sid;
    result->err = draw_sids(group, sids, &first_sid);
    if (result->err != E_OK)
        return E_OK;
    err_t err = came(a, group, &member, &c->identity, &c->endpoint, c->key_server, a->now_ms);
    if (err != E_OK)
        return err;
    struct member_record *r = &member->record;
    r->seq_base = c->offered_seq;
    ks_member_release(member);
    r->sid_count = sids;
    r->first_sid = first_sid;
    ks_put_member(a, &key, member);
    if (sids != 0)
        ks_put_group(a, group);
    return E_OK;
}

void ks_member_release(struct ks_member *member)
{
    free((char *)(uintptr_t)member->record.quarantine);
    member->record.quarantine = NULL;
    member->record.quarantined_ms = 0;
}

void ks_member_free(struct ks_member *member)
{
    if (member != NULL)
        ks_member_release(member);
    free(member);
}

err_t ks_member_quarantine(struct ks_member *member, uint64_t since_ms, const char *reason)
{
    char *copy = strdup(reason);
    if (copy == NULL)
        return E_NO_MEMORY;
    ks_member_release(member);
    member->record.quarantine = copy;
    member->record.quarantined_ms = since_ms;
    return E_OK;
}

err_t ks_apply_member_quarantined(struct ks_apply *a, const struct cmd_member_quarantined *c)
{
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    struct row_key key = member_row_key(c->group_id, &c->identity);
    struct ks_member *member = group != NULL ? map_find(&group->members, row_key_bytes(&key)) : NULL;
    a->result->group = group;
    a->result->group_id = c->group_id;
    if (member == NULL || !quarantine_reason_ok(c->reason)) {
        a->result->err = group == NULL ? E_UNKNOWN_GROUP : member == NULL ? E_NOT_FOUND : E_RANGE;
        return E_OK;
    }
    err_t err = ks_member_quarantine(member, a->now_ms != 0 ? a->now_ms : 1, c->reason);
    if (err != E_OK)
        return err;
    a->result->member = member;
    ks_put_member(a, &key, member);
    return E_OK;
}

void ks_apply_member_removed(struct ks_apply *a, const struct cmd_member_removed *c)
{
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        a->result->err = E_UNKNOWN_GROUP;
        return;
    }
    a->result->group = group;
    a->result->group_id = c->group_id;
    struct row_key key = member_row_key(c->group_id, &c->identity);
    struct ks_member *member = map_remove(&group->members, row_key_bytes(&key));
    if (member == NULL) {
        a->result->err = E_NOT_FOUND;
        return;
    }
    ks_drop(a, TABLE_MEMBER, &key);
    if (a->removed != NULL)
        a->removed(a->context, group, member);
    a->result->removed = 1;
    ks_member_free(member);
}

static err_t served_fits(const struct ks_group *group, const struct ks_member *member,
                         const struct cmd_member_served *c)
{
    const struct group_record *r = &group->record;
    if (!r->has_kek || r->config.sid_bits != 0)
        return r->has_kek ? E_UNSUPPORTED : E_STATE;
    if (member != NULL && member->record.last_ms >= c->served_ms)
        return E_STALE; /* it has come to somebody with a quorum since */
    if (member == NULL && group->members.count >= group->members.max)
        return E_FULL;
    return ks_group_allows(group, &c->identity,
                           &c->endpoint.addr); /* as it is now: a revoked one stays out */
}

/* Its keys were committed long before; only that it is there is news. A push that is going on is for it too.
 */
err_t ks_apply_member_served(struct ks_apply *a, const struct cmd_member_served *c)
{
    struct apply_result *result = a->result;
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        result->err = E_UNKNOWN_GROUP;
        return E_OK;
    }
    struct row_key key = member_row_key(c->group_id, &c->identity);
    struct ks_member *member = map_find(&group->members, row_key_bytes(&key));
    result->group = group;
    result->group_id = c->group_id;
    result->err = served_fits(group, member, c);
    if (result->err != E_OK)
        return E_OK;
    err_t err = came(a, group, &member, &c->identity, &c->endpoint, c->key_server, c->served_ms);
    if (err != E_OK)
        return err;
    member->record.seq_base = group->record.seq - (group->pushing ? 1 : 0);
    ks_put_member(a, &key, member);
    return E_OK;
}

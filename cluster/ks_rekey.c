#include <stdlib.h>
#include <string.h>

#include "cluster/ks_internal.h"

static bool kind_fits(const struct group_record *r, const struct cmd_rekey *c)
{
    bool needs_kek = c->kind == REKEY_INITIAL || c->kind == REKEY_KEK;
    uint32_t sid_epoch = r->sid_epoch + (c->sid_reset ? 1 : 0);
    return c->has_tek && (c->has_kek || !needs_kek) && !(c->has_kek && c->kind == REKEY_TEK) &&
           (c->push.len == 0) == (c->kind == REKEY_INITIAL) && c->tek.generation == c->generation &&
           c->tek.sid_epoch == sid_epoch && (!c->has_kek || c->kek.generation == c->generation);
}

/* Made for the state as it is now? Everything that could have changed since the primary drew the keys is
 * compared. */
static err_t rekey_fits(const struct ks_apply *a, const struct ks_group *group, const struct cmd_rekey *c)
{
    const struct group_record *r = &group->record;
    bool initial = c->kind == REKEY_INITIAL;
    if (c->epoch != a->state->cluster.coop_epoch || c->policy_version != r->policy_version || group->pushing)
        return E_STALE;
    if (r->seq == UINT32_MAX || r->generation == UINT32_MAX)
        return E_LIMIT;
    if (c->generation != r->generation + 1 || c->seq != r->seq + (initial ? 0 : 1))
        return E_STALE;
    if (!kind_fits(r, c))
        return E_RANGE;
    bool kek_live = r->has_kek && kek_end_ms(&r->kek) > a->now_ms;
    if (initial ? kek_live : !r->has_kek || memcmp(c->kek_spi, r->kek.spi, KEK_SPI_LEN) != 0)
        return E_STALE;
    for (size_t i = 0; i < r->tek_count; i++) {
        if (r->teks[i].spi == c->tek.spi)
            return E_EXISTS;
    }
    if (c->has_kek && c->kek.signing_version != a->state->signing.version)
        return E_STALE; /* told with a key that is the one before by now */
    return ks_runway_allows(r, &c->tek) ? E_OK : E_EXISTS;
}

static void drop_tek(struct group_record *r, size_t i)
{
    memmove(&r->teks[i], &r->teks[i + 1], (r->tek_count - i - 1) * sizeof(r->teks[0]));
    r->teks[--r->tek_count] = (struct tek_record){0};
}

static void add_tek(struct group_record *r, const struct tek_record *tek, uint64_t now_ms)
{
    for (size_t i = 0; i < r->tek_count;) {
        if (tek_end_ms(&r->teks[i]) + (uint64_t)r->config.deactivation_s * 1000 <= now_ms)
            drop_tek(r, i);
        else
            i++;
    }
    if (r->tek_count == GROUP_TEK_MAX)
        drop_tek(r, 0);
    r->teks[r->tek_count++] = *tek;
}

static void begin_push(struct ks_apply *a, struct ks_group *group, const struct cmd_rekey *c, uint8_t *push)
{
    group->rekey = (struct rekey_record){
        .group_id = c->group_id,
        .seq = c->seq,
        .kind = c->kind,
        .created_ms = a->now_ms,
        .members = (uint32_t)group->members.count,
        .push_len = (uint32_t)c->push.len,
    };
    memcpy(group->rekey.kek_spi, c->kek_spi, KEK_SPI_LEN);
    free(group->push);
    group->push = push;
    group->push_len = c->push.len;
    group->pushing = true;
    group->record.rekeys_sent++;
    ks_put_rekey(a, &group->rekey);
    ks_put_push(a, group);
}

err_t ks_apply_rekey(struct ks_apply *a, const struct cmd_rekey *c)
{
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        a->result->err = E_UNKNOWN_GROUP;
        return E_OK;
    }
    a->result->group = group;
    a->result->group_id = c->group_id;
    a->result->err = rekey_fits(a, group, c);
    if (a->result->err != E_OK)
        return E_OK;
    uint8_t *push = NULL;
    if (c->push.len > 0) {
        push = malloc(c->push.len);
        if (push == NULL)
            return E_NO_MEMORY;
        memcpy(push, c->push.data, c->push.len);
    }
    struct group_record *r = &group->record;
    r->generation = c->generation;
    r->seq = c->seq;
    r->told_version = c->policy_version;
    if (c->sid_reset) {
        r->sid_epoch++;
        r->next_sid = 0;
    }
    ks_runway_used(r, &c->tek);
    add_tek(r, &c->tek, a->now_ms);
    if (c->has_kek) {
        r->has_previous_kek = r->has_kek;
        r->previous_kek = r->kek;
        r->has_kek = true;
        r->kek = c->kek;
        ks_signing_settle(a);
    }
    if (push != NULL)
        begin_push(a, group, c, push);
    ks_put_group(a, group);
    return E_OK;
}

static void show(uint32_t shown[MEMBER_SEQ_SHOWN], uint32_t seq)
{
    memmove(&shown[1], &shown[0], (MEMBER_SEQ_SHOWN - 1) * sizeof(shown[0]));
    shown[0] = seq;
}

static int compare_keys(const void *a, const void *b)
{
    const struct row_key *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (int)x->len - (int)y->len;
}

struct tally {
    enum kek_ack ack;
    uint32_t seq;
    uint32_t acked;
    uint32_t silent;
};

/* Returns whether the member is given up. One that never acknowledged anything stays: it may not know how
 * (RFC 8263 6). */
static bool count_member(struct tally *tally, struct ks_member *member, bool silent)
{
    struct member_record *r = &member->record;
    r->rekeys_sent++;
    show(r->sent_seq, tally->seq);
    if (tally->ack == KEK_ACK_NONE)
        return false;
    if (!silent) {
        r->acks++;
        r->missed_in_row = 0;
        ks_member_release(member);
        show(r->acked_seq, tally->seq);
        tally->acked++;
        return false;
    }
    r->missed++;
    tally->silent++;
    if (r->missed_in_row < UINT8_MAX)
        r->missed_in_row++;
    return r->missed_in_row >= REKEY_LOST_AFTER && r->acks > 0;
}

static void count_members(struct ks_apply *a, struct ks_group *group, struct tally *tally,
                          const struct row_key *silent, size_t silent_count)
{
    struct ks_member *member;
    for (size_t at = 0; (member = map_next(&group->members, &at)) != NULL;) {
        if (member->record.seq_base >= tally->seq)
            continue;
        struct row_key key = member_row_key(group->record.id, &member->record.identity);
        bool is_silent =
            silent_count > 0 && bsearch(&key, silent, silent_count, sizeof(*silent), compare_keys) != NULL;
        if (!count_member(tally, member, is_silent)) {
            ks_put_member(a, &key, member);
            continue;
        }
        map_remove(&group->members, row_key_bytes(&key));
        ks_drop(a, TABLE_MEMBER, &key);
        if (a->removed != NULL)
            a->removed(a->context, group, member);
        a->result->removed++;
        ks_member_free(member);
    }
}

static void end_push(struct ks_apply *a, struct ks_group *group, const struct tally *tally,
                     uint32_t retransmits)
{
    struct rekey_record *rekey = &group->rekey;
    rekey->done_ms = a->now_ms;
    rekey->acked = tally->acked;
    rekey->silent = tally->silent;
    rekey->retransmits = retransmits;
    free(group->push);
    group->push = NULL;
    group->push_len = 0;
    group->pushing = false;
    struct row_key key = rekey_row_key(group->record.id, rekey->seq);
    ks_drop(a, TABLE_PUSH, &key);
    ks_put_rekey(a, rekey);
    if (rekey->seq > REKEY_HISTORY_MAX) {
        key = rekey_row_key(group->record.id, rekey->seq - REKEY_HISTORY_MAX);
        ks_drop(a, TABLE_REKEY, &key);
    }
}

err_t ks_apply_push_done(struct ks_apply *a, const struct cmd_push_done *c)
{
    struct ks_group *group = ks_group_at(a->state, c->group_id);
    if (group == NULL) {
        a->result->err = E_UNKNOWN_GROUP;
        return E_OK;
    }
    a->result->group = group;
    a->result->group_id = c->group_id;
    if (!group->pushing || c->seq != group->rekey.seq) {
        a->result->err = E_STALE;
        return E_OK;
    }
    struct row_key *silent = NULL;
    if (c->silent_count > 0) {
        silent = calloc(c->silent_count, sizeof(*silent));
        if (silent == NULL)
            return E_NO_MEMORY;
        for (size_t i = 0; i < c->silent_count; i++)
            silent[i] = member_row_key(c->group_id, &c->silent[i]);
        qsort(silent, c->silent_count, sizeof(*silent), compare_keys);
    }
    struct tally tally = {.ack = ks_push_ack(group), .seq = c->seq};
    count_members(a, group, &tally, silent, c->silent_count);
    free(silent);
    end_push(a, group, &tally, c->retransmits);
    return E_OK;
}

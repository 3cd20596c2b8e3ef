#include "server/rekey_push.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS_FIRST = 16, IDS_FIRST = 256 };

static size_t bucket_of(const struct push_run *run, const struct addr *addr)
{
    uint64_t hash = map_hash(run->seed, (struct bytes){(const uint8_t *)addr, sizeof(*addr)});
    return (size_t)hash & (run->bucket_count - 1);
}

static void bucket_add(struct push_run *run, size_t at)
{
    uint32_t *head = &run->buckets[bucket_of(run, &run->targets[at].endpoint.addr)];
    run->targets[at].next = *head;
    *head = (uint32_t)at + 1;
}

static void buckets_fill(struct push_run *run)
{
    memset(run->buckets, 0, run->bucket_count * sizeof(*run->buckets));
    for (size_t i = 0; i < run->count; i++)
        bucket_add(run, i);
}

static err_t targets_grow(struct push_run *run)
{
    if (run->count < run->cap)
        return E_OK;
    if (run->count >= PUSH_TARGET_MAX)
        return E_LIMIT;
    size_t cap = run->cap == 0 ? TARGETS_FIRST : 2 * run->cap;
    struct push_target *targets = realloc(run->targets, cap * sizeof(*targets));
    if (targets == NULL)
        return E_NO_MEMORY;
    run->targets = targets;
    uint32_t *buckets = realloc(run->buckets, cap * sizeof(*buckets));
    if (buckets == NULL)
        return E_NO_MEMORY;
    run->buckets = buckets;
    run->bucket_count = cap;
    run->cap = cap;
    buckets_fill(run);
    return E_OK;
}

static err_t ids_add(struct push_run *run, const struct identity *identity, uint32_t *at)
{
    if (run->ids_len + identity->len > run->ids_cap) {
        size_t cap = run->ids_cap == 0 ? IDS_FIRST : 2 * run->ids_cap;
        while (cap < run->ids_len + identity->len)
            cap *= 2;
        uint8_t *ids = realloc(run->ids, cap);
        if (ids == NULL)
            return E_NO_MEMORY;
        run->ids = ids;
        run->ids_cap = cap;
    }
    memcpy(run->ids + run->ids_len, identity->data, identity->len);
    *at = (uint32_t)run->ids_len;
    run->ids_len += identity->len;
    return E_OK;
}

static err_t target_add(struct push_run *run, const struct member_record *member)
{
    uint32_t id_at;
    err_t err = targets_grow(run);
    if (err == E_OK)
        err = ids_add(run, &member->identity, &id_at);
    if (err != E_OK)
        return err;
    run->targets[run->count] = (struct push_target){.endpoint = member->endpoint,
                                                    .id_at = id_at,
                                                    .id_type = member->identity.type,
                                                    .id_len = member->identity.len};
    bucket_add(run, run->count++);
    run->open++;
    return E_OK;
}

static bool target_is(const struct push_run *run, const struct push_target *target,
                      const struct identity *identity)
{
    return target->id_type == identity->type && target->id_len == identity->len &&
           memcmp(run->ids + target->id_at, identity->data, identity->len) == 0;
}

static struct push_target *target_find(struct push_run *run, const struct identity *identity)
{
    for (size_t i = 0; i < run->count; i++)
        if (target_is(run, &run->targets[i], identity))
            return &run->targets[i];
    return NULL;
}

static void target_close(struct push_run *run, struct push_target *target)
{
    if (target->closed)
        return;
    target->closed = true;
    run->open--;
}

static void over(struct push_run *run, uint64_t now_ms)
{
    run->phase = PUSH_OVER;
    run->over_ms = now_ms;
    run->next_ms = UINT64_MAX;
}

static err_t fill(struct push_run *run, const struct ks_group *group, const struct kek *under)
{
    size_t at = 0;
    const struct ks_member *member;
    err_t err = E_OK;
    run->datagram = malloc(group->push_len);
    if (run->datagram == NULL)
        return E_NO_MEMORY;
    memcpy(run->datagram, group->push, group->push_len);
    run->datagram_len = group->push_len;
    if (run->wants_ack && under != NULL)
        err = push_ack_key_derive(&run->ack_key, under);
    while (err == E_OK && (member = map_next(&group->members, &at)) != NULL)
        if (member->record.seq_base < run->seq)
            err = target_add(run, &member->record);
    return err;
}

err_t push_run_open(struct push_run **out, const struct ks_group *group, const struct kek *under,
                    const uint64_t seed[2], uint64_t now_ms)
{
    const struct group_config *config = &group->record.config;
    *out = NULL;
    if (!group->pushing || group->push == NULL)
        return E_STATE;
    struct push_run *run = calloc(1, sizeof(*run));
    if (run == NULL)
        return E_NO_MEMORY;
    run->group_id = group->record.id;
    run->seq = group->rekey.seq;
    memcpy(run->kek_spi, group->rekey.kek_spi, KEK_SPI_LEN);
    run->local = config->server_addr;
    run->wants_ack = under != NULL ? under->ack != KEK_ACK_NONE : config->ack != KEK_ACK_NONE;
    run->round_count = config->retransmit_count;
    run->period_ms = (uint64_t)config->retransmit_s * 1000;
    run->last_wait_ms = run->period_ms;
    if (!config->short_lifetimes && run->last_wait_ms < PUSH_WAIT_MS)
        run->last_wait_ms = PUSH_WAIT_MS;
    run->seed[0] = seed[0];
    run->seed[1] = seed[1];
    run->begun_ms = run->next_ms = now_ms;
    err_t err = fill(run, group, under);
    if (err != E_OK) {
        push_run_free(run);
        return err;
    }
    if (run->open == 0)
        over(run, now_ms);
    *out = run;
    return E_OK;
}

void push_run_free(struct push_run *run)
{
    if (run == NULL)
        return;
    push_ack_key_close(&run->ack_key);
    free(run->datagram);
    free(run->targets);
    free(run->ids);
    free(run->buckets);
    free(run);
}

/* Where a member is now may not be where it was when the push began: the old place is closed, the new one
 * added. */
err_t push_run_member(struct push_run *run, const struct ks_member *member, uint64_t now_ms)
{
    if (run->phase == PUSH_OVER)
        return E_OK;
    struct push_target *had = target_find(run, &member->record.identity);
    bool same = had != NULL && endpoint_equal(&had->endpoint, &member->record.endpoint);
    if (same && !had->closed && member->record.seq_base < run->seq)
        return E_OK; /* the next round finds it */
    if (had != NULL) {
        target_close(run, had);
        had->id_len = 0; /* it is not this member any more */
        had->id_type = 0;
    }
    if (member->record.seq_base >= run->seq) {
        if (run->open == 0)
            over(run, now_ms);
        return E_OK;
    }
    err_t err = target_add(run, &member->record);
    if (err == E_OK && run->phase == PUSH_WAITING) {
        /* It is the last of the list: let it have this round. Later ones come as they would. */
        run->cursor = run->count - 1;
        run->phase = PUSH_SENDING;
        run->next_ms = now_ms;
    }
    return err;
}

void push_run_member_gone(struct push_run *run, const struct identity *identity)
{
    struct push_target *target = target_find(run, identity);
    if (target != NULL) {
        target_close(run, target);
        target->id_len = 0;
        target->id_type = 0;
    }
}

/* One batch from the cursor on. False: the socket took less than offered. */
static bool send_batch(struct push_run *run, const struct push_sink *sink)
{
    struct endpoint to[PUSH_BATCH];
    size_t at[PUSH_BATCH];
    size_t count = 0;
    size_t next = run->cursor;
    for (; next < run->count && count < PUSH_BATCH; next++) {
        if (run->targets[next].closed)
            continue;
        at[count] = next;
        to[count++] = run->targets[next].endpoint;
    }
    if (count == 0) {
        run->cursor = next;
        return true;
    }
    size_t taken = sink->send_many(sink->context, &run->local,
                                   (struct bytes){run->datagram, run->datagram_len}, to, count);
    run->sent += (uint32_t)taken;
    if (run->round > 0)
        run->retransmits += (uint32_t)taken;
    run->cursor = taken < count ? at[taken] : next;
    return taken == count;
}

/* Everyone had this round's datagram. */
static void round_done(struct push_run *run, uint64_t now_ms)
{
    bool last = run->round == run->round_count;
    run->phase = PUSH_WAITING;
    if (last && !run->wants_ack)
        over(run, now_ms);
    else
        run->next_ms = now_ms + (last ? run->last_wait_ms : run->period_ms);
}

void push_run_step(struct push_run *run, const struct push_sink *sink, uint64_t now_ms)
{
    if (run->phase == PUSH_OVER)
        return;
    if (run->open == 0) {
        over(run, now_ms);
        return;
    }
    if (now_ms < run->next_ms)
        return;
    if (run->phase == PUSH_WAITING) {
        if (run->round == run->round_count) {
            over(run, now_ms);
            return;
        }
        run->round++;
        run->cursor = 0;
        run->phase = PUSH_SENDING;
    }
    bool all = send_batch(run, sink);
    if (run->cursor >= run->count)
        round_done(run, now_ms);
    else
        run->next_ms = now_ms + (all ? PUSH_GAP_MS : 5 * PUSH_GAP_MS);
}

/* The address in the ID payload is what the member takes for its own. It must be where we know the member, or
 * its identity (a NAT in between); the datagram must come from where we know it (RFC 8263 4.3; PROTOCOL 7 row
 * 10). */
static bool names_target(const struct push_run *run, const struct push_target *target,
                         const struct addr *claimed)
{
    struct identity identity = identity_from_addr(claimed);
    return addr_equal(claimed, &target->endpoint.addr) || target_is(run, target, &identity);
}

static struct push_target *ack_target(struct push_run *run, const struct endpoint *from,
                                      const struct addr *claimed, bool *address_known)
{
    struct push_target *best = NULL;
    *address_known = false;
    if (run->bucket_count == 0)
        return NULL;
    for (uint32_t at = run->buckets[bucket_of(run, &from->addr)]; at != 0; at = run->targets[at - 1].next) {
        struct push_target *target = &run->targets[at - 1];
        if (target->id_type == 0 || !addr_equal(&target->endpoint.addr, &from->addr))
            continue;
        *address_known = true;
        if (names_target(run, target, claimed) && (best == NULL || target->endpoint.port == from->port))
            best = target;
    }
    return best;
}

err_t push_run_ack(struct push_run *run, const struct endpoint *from, const struct push_ack *ack,
                   struct bytes datagram, uint64_t now_ms)
{
    bool address_known;
    struct push_target *target = ack_target(run, from, &ack->member, &address_known);
    if (target == NULL)
        return address_known ? E_NOT_AUTHORIZED : E_NOT_FOUND;
    if (target->acked)
        return E_DUPLICATE; /* before any computing */
    err_t err = push_ack_verify(&run->ack_key, datagram);
    if (err != E_OK)
        return err;
    target->acked = true;
    run->acked++;
    target_close(run, target);
    if (run->open == 0 && run->phase != PUSH_OVER)
        over(run, now_ms);
    return E_OK;
}

err_t push_run_silent(const struct push_run *run, struct identity **out, size_t *count)
{
    *out = NULL;
    *count = 0;
    if (run->open == 0 || !run->wants_ack)
        return E_OK;
    struct identity *silent = calloc(run->open, sizeof(*silent));
    if (silent == NULL)
        return E_NO_MEMORY;
    for (size_t i = 0; i < run->count && *count < run->open; i++) {
        const struct push_target *target = &run->targets[i];
        if (target->closed)
            continue;
        struct identity *one = &silent[(*count)++];
        one->type = target->id_type;
        one->len = target->id_len;
        memcpy(one->data, run->ids + target->id_at, target->id_len);
    }
    *out = silent;
    return E_OK;
}

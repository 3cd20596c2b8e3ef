#include "server/ike_table.h"

#include <stdlib.h>
#include <string.h>

#include "server/ike_work.h"

enum { SLOTS_FIRST = 64 };

void ike_table_init(struct ike_table *table, const uint64_t seed[2])
{
    *table = (struct ike_table){0};
    map_init(&table->by_cookies, SA_MAX, seed);
    map_init(&table->by_start, SA_MAX, seed);
    map_init(&table->by_peer, SA_MAX, seed);
}

void ike_table_close(struct ike_table *table)
{
    for (size_t i = 0; i < table->slot_cap; i++)
        if (table->slots[i].sa != NULL)
            ike_table_remove(table, table->slots[i].sa);
    map_close(&table->by_cookies);
    map_close(&table->by_start);
    map_close(&table->by_peer);
    free(table->slots);
    *table = (struct ike_table){0};
}

static struct bytes cookies_of(const struct ike_sa *sa)
{
    return BYTES_OF(sa->cookies);
}

static struct bytes start_of(const struct ike_half *half)
{
    return BYTES_OF(half->start_key);
}

static struct bytes peer_of(const struct ike_sa *sa)
{
    return (struct bytes){(const uint8_t *)&sa->peer, sizeof(sa->peer)};
}

static void make_start_key(uint8_t out[COOKIE_LEN + sizeof(struct endpoint)],
                           const uint8_t cookie_i[COOKIE_LEN], const struct endpoint *peer)
{
    memset(out, 0, COOKIE_LEN + sizeof(struct endpoint));
    struct writer w = writer_over(out, COOKIE_LEN + sizeof(struct endpoint));
    write_bytes(&w, (struct bytes){cookie_i, COOKIE_LEN});
    write_u16(&w, peer->port);
    write_bytes(&w, addr_bytes(&peer->addr));
}

static void list_add(struct ike_list *list, struct ike_sa *sa)
{
    sa->next = NULL;
    sa->prev = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = sa;
    list->last = sa;
}

static void list_drop(struct ike_list *list, struct ike_sa *sa)
{
    *(sa->prev != NULL ? &sa->prev->next : &list->first) = sa->next;
    *(sa->next != NULL ? &sa->next->prev : &list->last) = sa->prev;
    sa->prev = sa->next = NULL;
}

/* The slot's index stands in the lower half of an id, the number of its uses in the upper: no id comes twice.
 */
static err_t slot_take(struct ike_table *table, struct ike_sa *sa)
{
    if (table->count == table->slot_cap) {
        size_t cap = table->slot_cap == 0 ? SLOTS_FIRST : 2 * table->slot_cap;
        struct ike_slot *slots = realloc(table->slots, cap * sizeof(*slots));
        if (slots == NULL)
            return E_NO_MEMORY;
        memset(slots + table->slot_cap, 0, (cap - table->slot_cap) * sizeof(*slots));
        table->free_hint = (uint32_t)table->slot_cap;
        table->slots = slots;
        table->slot_cap = cap;
    }
    uint32_t at = table->free_hint;
    while (table->slots[at].sa != NULL)
        at = (at + 1) % (uint32_t)table->slot_cap;
    table->slots[at].sa = sa;
    table->slots[at].generation++;
    table->free_hint = (at + 1) % (uint32_t)table->slot_cap;
    table->count++;
    sa->id = (uint64_t)table->slots[at].generation << 32 | at;
    return E_OK;
}

struct ike_sa *ike_table_by_id(const struct ike_table *table, uint64_t id)
{
    uint32_t at = (uint32_t)id;
    if (at >= table->slot_cap || table->slots[at].sa == NULL || table->slots[at].sa->id != id)
        return NULL;
    return table->slots[at].sa;
}

static void half_free(struct ike_half *half)
{
    if (half == NULL)
        return;
    main_mode_close(&half->mm);
    ike_request_close(&half->request);
    free(half);
}

/* Room for one more: the established SA that was idle longest goes. */
static err_t make_room(struct ike_table *table)
{
    if (table->count < SA_MAX)
        return E_OK;
    if (table->established.first == NULL)
        return E_FULL;
    ike_table_remove(table, table->established.first);
    return E_OK;
}

static err_t index_half(struct ike_table *table, struct ike_sa *sa)
{
    err_t err = map_insert(&table->by_cookies, cookies_of(sa), sa);
    if (err != E_OK)
        return err;
    err = map_insert(&table->by_start, start_of(sa->half), sa);
    if (err == E_OK)
        err = slot_take(table, sa);
    if (err != E_OK) {
        map_remove(&table->by_cookies, cookies_of(sa));
        if (map_find(&table->by_start, start_of(sa->half)) == sa)
            map_remove(&table->by_start, start_of(sa->half));
    }
    return err;
}

err_t ike_table_begin(struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                      const struct endpoint *peer, const struct mm_params *params, uint64_t now_ms,
                      struct ike_sa **out)
{
    *out = NULL;
    err_t err = make_room(table);
    if (err != E_OK)
        return err;
    struct ike_sa *sa = calloc(1, sizeof(*sa));
    struct ike_half *half = calloc(1, sizeof(*half));
    struct ike_work *work = calloc(1, sizeof(*work));
    err = sa == NULL || half == NULL || work == NULL ? E_NO_MEMORY : E_OK;
    if (err == E_OK)
        err = main_mode_responder_init(&half->mm, params);
    if (err == E_OK) {
        *sa = (struct ike_sa){.peer = peer->addr, .half = half, .work = work};
        memcpy(sa->cookies, cookie_i, COOKIE_LEN);
        memcpy(sa->cookies + COOKIE_LEN, half->mm.sa.cookie_r, COOKIE_LEN);
        make_start_key(half->start_key, cookie_i, peer);
        half->begun_ms = now_ms;
        work->sa = sa;
        err = index_half(table, sa);
    }
    if (err != E_OK) {
        half_free(half);
        free(work);
        free(sa);
        return err;
    }
    list_add(&table->half, sa);
    table->half_count++;
    *out = sa;
    return E_OK;
}

struct ike_sa *ike_table_find(const struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                              const uint8_t cookie_r[COOKIE_LEN])
{
    uint8_t key[2 * COOKIE_LEN];
    memcpy(key, cookie_i, COOKIE_LEN);
    memcpy(key + COOKIE_LEN, cookie_r, COOKIE_LEN);
    return map_find(&table->by_cookies, BYTES_OF(key));
}

struct ike_sa *ike_table_find_start(const struct ike_table *table, const uint8_t cookie_i[COOKIE_LEN],
                                    const struct endpoint *peer)
{
    uint8_t key[COOKIE_LEN + sizeof(struct endpoint)];
    make_start_key(key, cookie_i, peer);
    return map_find(&table->by_start, BYTES_OF(key));
}

struct ike_sa *ike_table_of_peer(const struct ike_table *table, const struct addr *peer)
{
    return map_find(&table->by_peer, (struct bytes){(const uint8_t *)peer, sizeof(*peer)});
}

/* The map's key lives in the newest SA of the peer, so a new head is put in anew. */
static err_t peer_link(struct ike_table *table, struct ike_sa *sa)
{
    sa->peer_next = map_remove(&table->by_peer, peer_of(sa));
    err_t err = map_insert(&table->by_peer, peer_of(sa), sa);
    if (err != E_OK && sa->peer_next != NULL) {
        /* The slot of the one just taken out is still there: this cannot fail for want of memory. */
        err_t again = map_insert(&table->by_peer, peer_of(sa->peer_next), sa->peer_next);
        (void)again;
    }
    if (err != E_OK)
        sa->peer_next = NULL;
    return err;
}

static void peer_unlink(struct ike_table *table, struct ike_sa *sa)
{
    struct ike_sa *head = map_find(&table->by_peer, peer_of(sa));
    if (head == NULL)
        return;
    if (head != sa) {
        struct ike_sa *at = head;
        while (at != NULL && at->peer_next != sa)
            at = at->peer_next;
        if (at != NULL)
            at->peer_next = sa->peer_next;
    } else {
        map_remove(&table->by_peer, peer_of(sa));
        if (sa->peer_next != NULL &&
            map_insert(&table->by_peer, peer_of(sa->peer_next), sa->peer_next) != E_OK)
            sa->peer_next->peer_next = NULL; /* not reachable by peer; it expires like any other */
    }
    sa->peer_next = NULL;
}

static void bound_peer(struct ike_table *table, struct ike_sa *newest)
{
    struct ike_sa *at = newest;
    for (int i = 1; i < SA_PER_PEER_MAX && at != NULL; i++)
        at = at->peer_next;
    while (at != NULL && at->peer_next != NULL)
        ike_table_remove(table, at->peer_next);
}

void ike_table_remove(struct ike_table *table, struct ike_sa *sa)
{
    map_remove(&table->by_cookies, cookies_of(sa));
    if (sa->half != NULL) {
        map_remove(&table->by_start, start_of(sa->half));
        list_drop(&table->half, sa);
        table->half_count--;
        half_free(sa->half);
    } else {
        peer_unlink(table, sa);
        list_drop(&table->established, sa);
    }
    ike_work_free(table, sa);
    ike_keys_free(sa->keys);
    table->slots[(uint32_t)sa->id].sa = NULL;
    table->free_hint = (uint32_t)sa->id;
    table->count--;
    free(sa);
}

err_t ike_table_establish(struct ike_table *table, struct ike_sa *sa, uint64_t now_ms)
{
    struct isakmp_sa full;
    uint64_t lifetime_ms = (uint64_t)sa->half->mm.sa.lifetime_s * 1000;
    main_mode_take_sa(&sa->half->mm, &full);
    sa->keys = ike_keys_pack(&full);
    isakmp_sa_close(&full);
    err_t err = sa->keys == NULL ? E_NO_MEMORY : peer_link(table, sa);
    if (err != E_OK) {
        ike_table_remove(table, sa);
        return err;
    }
    map_remove(&table->by_start, start_of(sa->half));
    list_drop(&table->half, sa);
    table->half_count--;
    half_free(sa->half);
    sa->half = NULL;
    sa->expires_ms = now_ms + lifetime_ms;
    list_add(&table->established, sa);
    ike_work_list_add(table, sa->work, now_ms);
    bound_peer(table, sa);
    return E_OK;
}

struct ike_work *ike_table_use(struct ike_table *table, struct ike_sa *sa, uint64_t now_ms)
{
    if (sa->half != NULL)
        return sa->work;
    list_drop(&table->established, sa);
    list_add(&table->established, sa);
    if (sa->work == NULL) {
        sa->work = calloc(1, sizeof(*sa->work));
        if (sa->work == NULL)
            return NULL;
        sa->work->sa = sa;
    } else {
        ike_work_list_drop(table, sa->work);
    }
    ike_work_list_add(table, sa->work, now_ms);
    return sa->work;
}

struct ike_sa *ike_table_overdue(const struct ike_table *table, uint64_t now_ms)
{
    struct ike_sa *oldest = table->half.first;
    return oldest != NULL && now_ms >= oldest->half->begun_ms + HALF_OPEN_MS ? oldest : NULL;
}

void ike_table_sweep(struct ike_table *table, uint64_t now_ms)
{
    ike_work_sweep(table, now_ms);
    for (size_t i = 0; i < SWEEP_STEP && i < table->slot_cap; i++) {
        table->sweep_at = (table->sweep_at + 1) % table->slot_cap;
        struct ike_sa *sa = table->slots[table->sweep_at].sa;
        if (sa != NULL && sa->half == NULL && now_ms >= sa->expires_ms)
            ike_table_remove(table, sa);
    }
}

#include "server/ike_work.h"

#include <stdlib.h>
#include <string.h>

/* What later exchanges need of a phase-1 SA, and no more: SKEYID_a for hashes, the cipher key, the last block
 * for IVs. SKEYID, SKEYID_d and SKEYID_e are not needed once the cipher key is there (a PULL derives nothing
 * from SKEYID_d). */
struct ike_keys {
    struct ike_suite suite;
    uint32_t doi;
    uint32_t lifetime_s;
    uint32_t vendors;
    uint8_t last_block[CIPHER_BLOCK_MAX];
    uint8_t skeyid_a_len;
    uint8_t key_len;
    uint8_t id_type;
    uint8_t id_len;
    uint8_t data[]; /* SKEYID_a, key, identity of the peer */
};

static size_t keys_size(const struct ike_keys *keys)
{
    return sizeof(*keys) + keys->skeyid_a_len + keys->key_len + keys->id_len;
}

struct ike_keys *ike_keys_pack(const struct isakmp_sa *sa)
{
    _Static_assert(SECRET_LEN_MAX <= UINT8_MAX, "lengths of secrets fit an octet");
    struct ike_keys *keys = malloc(sizeof(*keys) + sa->skeyid_a.len + sa->key.len + sa->peer_id.len);
    if (keys == NULL)
        return NULL;
    *keys = (struct ike_keys){.suite = sa->suite,
                              .doi = sa->doi,
                              .lifetime_s = sa->lifetime_s,
                              .vendors = sa->peer_vendors,
                              .skeyid_a_len = (uint8_t)sa->skeyid_a.len,
                              .key_len = (uint8_t)sa->key.len,
                              .id_type = sa->peer_id.type,
                              .id_len = sa->peer_id.len};
    memcpy(keys->last_block, sa->last_block, CIPHER_BLOCK_MAX);
    memcpy(keys->data, sa->skeyid_a.data, sa->skeyid_a.len);
    memcpy(keys->data + sa->skeyid_a.len, sa->key.data, sa->key.len);
    memcpy(keys->data + sa->skeyid_a.len + sa->key.len, sa->peer_id.data, sa->peer_id.len);
    return keys;
}

void ike_keys_free(struct ike_keys *keys)
{
    if (keys == NULL)
        return;
    secret_wipe(keys, keys_size(keys));
    free(keys);
}

void ike_sa_open(const struct ike_sa *sa, struct isakmp_sa *out)
{
    const struct ike_keys *keys = sa->keys;
    *out = (struct isakmp_sa){.established = true,
                              .suite = keys->suite,
                              .doi = keys->doi,
                              .lifetime_s = keys->lifetime_s,
                              .peer_vendors = keys->vendors,
                              .skeyid_a = {.len = keys->skeyid_a_len},
                              .key = {.len = keys->key_len},
                              .peer_id = {.type = keys->id_type, .len = keys->id_len}};
    memcpy(out->cookie_i, sa->cookies, COOKIE_LEN);
    memcpy(out->cookie_r, sa->cookies + COOKIE_LEN, COOKIE_LEN);
    memcpy(out->last_block, keys->last_block, CIPHER_BLOCK_MAX);
    memcpy(out->skeyid_a.data, keys->data, keys->skeyid_a_len);
    memcpy(out->key.data, keys->data + keys->skeyid_a_len, keys->key_len);
    memcpy(out->peer_id.data, keys->data + keys->skeyid_a_len + keys->key_len, keys->id_len);
}

bool ike_sa_peer_is(const struct ike_sa *sa, const struct identity *identity)
{
    const struct ike_keys *keys = sa->keys;
    return keys->id_type == identity->type && keys->id_len == identity->len &&
           memcmp(keys->data + keys->skeyid_a_len + keys->key_len, identity->data, identity->len) == 0;
}

void ike_work_list_add(struct ike_table *table, struct ike_work *work, uint64_t now_ms)
{
    work->last_ms = now_ms;
    work->listed = true;
    work->next = NULL;
    work->prev = table->work_last;
    *(table->work_last != NULL ? &table->work_last->next : &table->work_first) = work;
    table->work_last = work;
}

void ike_work_list_drop(struct ike_table *table, struct ike_work *work)
{
    *(work->prev != NULL ? &work->prev->next : &table->work_first) = work->next;
    *(work->next != NULL ? &work->next->prev : &table->work_last) = work->prev;
    work->listed = false;
}

static void place_empty(struct ike_pull **place)
{
    struct ike_pull *pull = *place;
    if (pull == NULL)
        return;
    ike_request_close(&pull->request);
    secret_wipe(pull, sizeof(*pull));
    free(pull);
    *place = NULL;
}

struct ike_pull *ike_work_pull(const struct ike_work *work, uint32_t message_id)
{
    for (size_t i = 0; i < PULL_PER_SA_MAX; i++)
        if (work->pulls[i] != NULL && work->pulls[i]->pull.message_id == message_id)
            return work->pulls[i];
    return NULL;
}

static bool goes_before(const struct ike_pull *a, const struct ike_pull *b)
{
    if (a == NULL || b == NULL)
        return a == NULL && b != NULL;
    return a->committing == b->committing ? a->last_ms < b->last_ms : b->committing;
}

err_t ike_work_keep(struct ike_work *work, const struct ike_pull *fresh)
{
    struct ike_pull **best = &work->pulls[0];
    struct ike_pull *pull = malloc(sizeof(*pull));
    if (pull == NULL)
        return E_NO_MEMORY;
    *pull = *fresh;
    for (size_t i = 1; i < PULL_PER_SA_MAX; i++)
        if (goes_before(work->pulls[i], *best))
            best = &work->pulls[i];
    place_empty(best);
    *best = pull;
    return E_OK;
}

void ike_work_end(struct ike_work *work, const struct ike_pull *pull)
{
    for (size_t i = 0; i < PULL_PER_SA_MAX; i++)
        if (work->pulls[i] == pull)
            place_empty(&work->pulls[i]);
}

void ike_work_free(struct ike_table *table, struct ike_sa *sa)
{
    struct ike_work *work = sa->work;
    if (work == NULL)
        return;
    if (work->listed)
        ike_work_list_drop(table, work);
    answer_cache_close(&work->cache);
    for (size_t i = 0; i < PULL_PER_SA_MAX; i++)
        place_empty(&work->pulls[i]);
    secret_wipe(work, sizeof(*work));
    free(work);
    sa->work = NULL;
}

void ike_work_sweep(struct ike_table *table, uint64_t now_ms)
{
    while (table->work_first != NULL && now_ms >= table->work_first->last_ms + WORK_IDLE_MS)
        ike_work_free(table, table->work_first->sa);
}

err_t ike_request_set(struct ike_request *request, const struct ike_path *path, struct bytes datagram)
{
    ike_request_close(request);
    request->data = malloc(datagram.len != 0 ? datagram.len : 1);
    if (request->data == NULL)
        return E_NO_MEMORY;
    if (datagram.len != 0)
        memcpy(request->data, datagram.data, datagram.len);
    request->len = datagram.len;
    request->path = *path;
    return E_OK;
}

struct bytes ike_request_view(const struct ike_request *request)
{
    return (struct bytes){request->data, request->len};
}

void ike_request_close(struct ike_request *request)
{
    free(request->data);
    *request = (struct ike_request){0};
}

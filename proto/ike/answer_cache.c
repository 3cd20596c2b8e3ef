#include "proto/ike/answer_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "proto/crypto/prf.h"

/* SHA-256, so that no peer makes two requests that look alike. */
static err_t digest_of(struct bytes request, uint8_t out[32])
{
    return hash_parts(HASH_SHA256, &request, 1, out);
}

static void slot_close(struct answer_slot *slot)
{
    if (slot->reply != NULL)
        secret_wipe(slot->reply, slot->reply_len);
    free(slot->reply);
    *slot = (struct answer_slot){0};
}

static struct answer_slot *slot_find(struct answer_cache *cache, const uint8_t digest[32])
{
    for (size_t i = 0; i < ANSWER_CACHE_SLOTS; i++)
        if (cache->slots[i].used && memcmp(cache->slots[i].digest, digest, 32) == 0)
            return &cache->slots[i];
    return NULL;
}

/* Is a the better one to lose? Free ones before used ones, answered ones before pending ones, old before new.
 */
static bool goes_first(const struct answer_slot *a, const struct answer_slot *b)
{
    if (a->used != b->used)
        return !a->used;
    if (a->pending != b->pending)
        return !a->pending;
    return a->stamp < b->stamp;
}

/* The request's slot, or another one that is emptied for it. */
static struct answer_slot *slot_take(struct answer_cache *cache, const uint8_t digest[32])
{
    struct answer_slot *slot = slot_find(cache, digest);
    if (slot == NULL) {
        slot = &cache->slots[0];
        for (size_t i = 1; i < ANSWER_CACHE_SLOTS; i++)
            if (goes_first(&cache->slots[i], slot))
                slot = &cache->slots[i];
    }
    slot_close(slot);
    slot->used = true;
    slot->stamp = ++cache->stamp;
    memcpy(slot->digest, digest, 32);
    return slot;
}

enum answer answer_cache_look(struct answer_cache *cache, struct bytes request, struct bytes *reply)
{
    uint8_t digest[32];
    *reply = (struct bytes){0};
    if (digest_of(request, digest) != E_OK)
        return ANSWER_NEW;
    struct answer_slot *slot = slot_find(cache, digest);
    if (slot == NULL)
        return ANSWER_NEW;
    if (slot->pending)
        return ANSWER_PENDING;
    if (slot->reply == NULL || slot->resent >= ANSWER_RESEND_MAX)
        return ANSWER_SILENT;
    slot->resent++;
    *reply = (struct bytes){slot->reply, slot->reply_len};
    return ANSWER_RESEND;
}

void answer_cache_begin(struct answer_cache *cache, struct bytes request)
{
    uint8_t digest[32];
    if (digest_of(request, digest) == E_OK)
        slot_take(cache, digest)->pending = true;
}

err_t answer_cache_put(struct answer_cache *cache, struct bytes request, struct bytes reply)
{
    uint8_t digest[32];
    err_t err = digest_of(request, digest);
    if (err != E_OK)
        return err;
    struct answer_slot *slot = slot_take(cache, digest);
    if (reply.len == 0)
        return E_OK;
    slot->reply = malloc(reply.len);
    if (slot->reply == NULL) {
        slot_close(slot);
        return E_NO_MEMORY;
    }
    memcpy(slot->reply, reply.data, reply.len);
    slot->reply_len = reply.len;
    return E_OK;
}

void answer_cache_forget(struct answer_cache *cache, struct bytes request)
{
    uint8_t digest[32];
    if (digest_of(request, digest) != E_OK)
        return;
    struct answer_slot *slot = slot_find(cache, digest);
    if (slot != NULL)
        slot_close(slot);
}

void answer_cache_close(struct answer_cache *cache)
{
    for (size_t i = 0; i < ANSWER_CACHE_SLOTS; i++)
        slot_close(&cache->slots[i]);
    *cache = (struct answer_cache){0};
}

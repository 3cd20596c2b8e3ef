/* answer_cache.h - replies by hash of the request, so that a retransmitted request gets the same bytes again
 * and changes nothing (RFC 6407 3.2: keep a hash of recent messages). One small cache per phase-1 SA or
 * exchange. */
#ifndef PROTO_IKE_ANSWER_CACHE_H
#define PROTO_IKE_ANSWER_CACHE_H

#include <stdbool.h>

#include "base/wire.h"

enum {
    ANSWER_CACHE_SLOTS = 4, /* newest requests that are remembered */
    ANSWER_RESEND_MAX = 10, /* the same answer is given at most so often: no amplifier */
};

struct answer_slot {
    uint8_t digest[32];
    bool used;
    bool pending; /* request is being worked on: a repeat is dropped silently */
    uint8_t resent;
    uint8_t *reply; /* heap, may be NULL (no answer was due) */
    size_t reply_len;
    uint64_t stamp;
};

struct answer_cache {
    struct answer_slot slots[ANSWER_CACHE_SLOTS];
    uint64_t stamp;
};

enum answer { ANSWER_NEW, ANSWER_PENDING, ANSWER_RESEND, ANSWER_SILENT };

/* Is the request known? RESEND: *reply views the bytes to send again. PENDING, SILENT: drop. NEW: go on.
 * E_CRYPTO is NEW. */
enum answer answer_cache_look(struct answer_cache *cache, struct bytes request, struct bytes *reply);
/* Remember the request as being worked on (oldest slot that is not pending is reused; else the oldest). */
void answer_cache_begin(struct answer_cache *cache, struct bytes request);
/* Keep the answer to a request that was begun, or was not (copied; E_NO_MEMORY: forgotten, the peer's repeat
 * is worked again). */
err_t answer_cache_put(struct answer_cache *cache, struct bytes request, struct bytes reply) MUST_USE;
/* Forget a request that failed, so that a repeat is looked at again. */
void answer_cache_forget(struct answer_cache *cache, struct bytes request);
void answer_cache_close(struct answer_cache *cache); /* wipes and frees */

#endif

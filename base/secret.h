/* secret.h - key material that is owned, bounded and wiped (invariant I7).
 * A secret lives inline in the struct that owns it and is wiped by secret_close, which is fine on a
 * zeroed struct and fine twice. Copy with secret_copy, never with '='. Pages are kept out of swap and
 * core dumps process-wide by secret_harden_process, which every daemon calls first. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/wire.h"

enum {
    SECRET_LEN_MAX = 128, /* bytes: the longest key that is kept (an HMAC-SHA-512 pre-key, a long PSK) */
};

struct secret {
    uint16_t len;
    uint8_t data[SECRET_LEN_MAX];
};

/* Copies the bytes; E_BAD_KEY if there are more than SECRET_LEN_MAX. */
err_t secret_set(struct secret *out, struct bytes from) MUST_USE;
void secret_copy(struct secret *out, const struct secret *from);
/* A borrowed view; valid until the secret is changed or closed. */
struct bytes secret_view(const struct secret *secret);
/* Wipes and empties. */
void secret_close(struct secret *secret);
/* Constant-time in the content; lengths may show. */
bool secret_equal(struct bytes a, struct bytes b);
/* memset that no optimizer removes. */
void secret_wipe(void *data, size_t len);

/* Lock present and future memory (mlockall), no core dumps, not ptraceable by others of the same user.
 * Returns E_PERMISSION if memory cannot be locked (the rest is done all the same).
 * Under AddressSanitizer and ThreadSanitizer only the core-dump part is done. */
err_t secret_harden_process(void) MUST_USE;

#endif

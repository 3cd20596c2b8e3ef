/* replay_table.h - which ESP sequence numbers were seen, for each key and sender (RFC 4303 3.4.3): a group
 * has many senders under one SPI, and each counts for itself. A sender is its sender id where the key has
 * them (RFC 6054: the IV is authenticated, so nobody can be moved to another window), else the source
 * address. Bounded: the sender heard longest ago of its row makes room. Only authenticated packets may come
 * here. */
#ifndef GM_AGENT_REPLAY_TABLE_H
#define GM_AGENT_REPLAY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
    REPLAY_WINDOW_MIN = 64,
    REPLAY_WINDOW_MAX = 1024, /* packets */
    REPLAY_ROWS = 512,
    REPLAY_ROW_LEN = 8,
    REPLAY_SENDER_MAX = REPLAY_ROWS * REPLAY_ROW_LEN,
    REPLAY_WORDS = REPLAY_WINDOW_MAX / 64,
};

/* A sender id in low, or an address: IPv4 in low, as IPv6 maps it (RFC 4291 2.5.5.2). */
struct replay_id {
    uint64_t high, low;
};

struct replay_sender {
    bool used;
    uint32_t spi;
    struct replay_id sender;
    uint32_t top; /* highest number seen */
    uint64_t heard;
    uint64_t seen[REPLAY_WORDS]; /* a ring: bit n % REPLAY_WINDOW_MAX of number n */
};

struct replay_table {
    uint32_t window; /* 0: off */
    uint64_t clock;
    uint64_t evicted;
    struct replay_sender *senders; /* REPLAY_SENDER_MAX, heap; NULL when off */
};

/* window: 0, or REPLAY_WINDOW_MIN..MAX in steps of 64; another one keeps what is known. E_NO_MEMORY. */
err_t replay_table_open(struct replay_table *table, uint32_t window) MUST_USE;
void replay_table_close(struct replay_table *table);
/* False: seen before, or older than the window, or 0. Marks it as seen. Always true when off. */
bool replay_table_accept(struct replay_table *table, uint32_t spi, struct replay_id sender, uint32_t seq);
struct replay_id replay_id_of(const struct addr *addr);
void replay_table_forget(struct replay_table *table, uint32_t spi); /* the key is gone */
size_t replay_table_count(const struct replay_table *table);

#endif

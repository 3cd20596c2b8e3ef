/* send_ledger.h - where sending stands under each key and sender id, so that no counter is used twice: the
 * ESP sequence number and the SSIV of counter modes (RFC 6054 3). The SSIV is the group's pseudotime in
 * microseconds, or the last one and one more, whichever is larger: strictly increasing, and a receiver that
 * knows can tell the age of a packet by it.
 * Over a restart: numbers are used only up to a reservation that was written down before; a new process goes
 * on behind it. Pure: who writes it down is the caller's (send_store.h). */
#ifndef GM_AGENT_SEND_LEDGER_H
#define GM_AGENT_SEND_LEDGER_H

#include <stdbool.h>

#include "base/wire.h"

enum {
    /* Keys and sender ids remembered; the one used longest ago makes room. More than the key table and all
     * threads have together, so that none of a key that may be sent on again is forgotten. */
    SEND_LEDGER_MAX = 256,
    SEND_LEDGER_RESERVE = 60000000, /* SSIVs reserved at once: a minute of pseudotime */
    SEND_LEDGER_RESERVE_SEQ = 1 << 20,
    SEND_LEDGER_ENTRY_LEN = 4 + 4 + 2 + 8 + 4,
    SEND_LEDGER_FILE_MAX = 8 + SEND_LEDGER_MAX * SEND_LEDGER_ENTRY_LEN, /* octets, without the digest */
};

struct send_counter {
    uint32_t spi;
    uint32_t sid; /* 0 with sid_bits 0: a key that needs none */
    uint16_t sid_bits;
    uint32_t seq;          /* of the last packet */
    uint64_t ssiv;         /* of the last packet */
    uint64_t seq_reserved; /* numbers up to these may be used; UINT64_MAX: nobody writes them down */
    uint64_t ssiv_reserved;
    uint64_t used; /* for the choice of which to forget */
    bool held;     /* a path sends by it: never forgotten */
};

struct send_ledger {
    struct send_counter counters[SEND_LEDGER_MAX];
    size_t count;
    uint64_t clock;
    bool kept; /* reservations are written down */
};

/* The counter of that key and sender id, a new one at 0 if there is none. Index into counters. */
size_t send_ledger_find(struct send_ledger *ledger, uint32_t spi, uint32_t sid, uint16_t sid_bits);
/* The same for whoever sends by it: nothing makes room of it until it is released. E_EXISTS: another one
 * does. */
err_t send_ledger_hold(struct send_ledger *ledger, uint32_t spi, uint32_t sid, uint16_t sid_bits,
                       size_t *out) MUST_USE;
void send_ledger_release(struct send_ledger *ledger, size_t at);
/* The next SSIV, at least floor_us. E_AGAIN: beyond the reservation, reserve first; E_LIMIT: used up (or the
 * sender id does not fit its width). */
err_t send_counter_next_ssiv(struct send_counter *counter, uint64_t floor_us, uint64_t *out) MUST_USE;
/* The next sequence number. It wraps when wraps is true: nobody in a group checks it then (RFC 4303 3.3.3);
 * else E_LIMIT at its end. E_AGAIN as above. */
err_t send_counter_next_seq(struct send_counter *counter, bool wraps, uint32_t *out) MUST_USE;
/* Reserves for this counter; to be written down before it is used. */
void send_counter_reserve(struct send_counter *counter, uint64_t floor_us);
/* What a restart needs. decode makes counters that stand at their reservations; E_BAD_VERSION, E_RANGE ... */
void send_ledger_encode(struct writer *w, const struct send_ledger *ledger);
err_t send_ledger_decode(struct send_ledger *out, struct bytes data) MUST_USE;

#endif

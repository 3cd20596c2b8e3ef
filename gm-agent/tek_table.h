/* tek_table.h - the traffic keys of the member and when each is used: rollover without loss (RFC 5374 4.2.1,
 * RFC 6407 5.4).
 *   receive: at once, until the key's own lifetime ends, but at least DTD after its successor took over;
 *   send:    on the newest key whose activation delay (ATD) has passed.
 * Pure: times are milliseconds of the monotonic clock. Holds plaintext keys: close wipes. */
#ifndef GM_AGENT_TEK_TABLE_H
#define GM_AGENT_TEK_TABLE_H

#include <stdbool.h>

#include "proto/gdoi/group_policy.h"

enum {
    TEK_TABLE_MAX = 16,            /* keys kept; the one that ends first makes room */
    TEK_ACTIVATION_DEFAULT_S = 15, /* when the policy has no GAP */
    TEK_DEACTIVATION_DEFAULT_S = 30,
};
#define TIME_NEVER UINT64_MAX

struct tek_entry {
    struct tek tek;
    uint64_t installed_ms;
    uint64_t expires_ms;    /* end of its lifetime: never sent on behind it */
    uint64_t keep_until_ms; /* received on until then */
    uint64_t send_from_ms;
    bool
        receive_only; /* the latest registration did not list it any more, or a newer one takes over sooner */
};

struct tek_table {
    struct tek_entry entries[TEK_TABLE_MAX];
    size_t count;
    bool has_out;
    uint32_t out_spi; /* send on this one */
};

/* A registration's keys: the longest-lived one is new to others too, so it waits for ATD while the next one
 * sends; a single one sends at once. Keys that are not listed stay for receiving. */
void tek_table_register(struct tek_table *table, const struct group_policy *policy, uint64_t now_ms);
/* A rekey's keys: each new one waits for ATD. Keys that would wait for longer are not sent on any more. */
void tek_table_rekey(struct tek_table *table, const struct group_policy *policy, uint64_t now_ms);
void tek_table_delete(struct tek_table *table, uint32_t spi);
void tek_table_clear(struct tek_table *table); /* wipes all */
/* Drops what has ended and chooses the key to send on. True if anything changed. */
bool tek_table_advance(struct tek_table *table, uint64_t now_ms);
/* When tek_table_advance will change something; TIME_NEVER. */
uint64_t tek_table_next_ms(const struct tek_table *table, uint64_t now_ms);
const struct tek_entry *tek_table_out(const struct tek_table *table); /* NULL: none to send on */
/* The key that can be sent on longest; NULL if there is none. */
const struct tek_entry *tek_table_longest(const struct tek_table *table, uint64_t now_ms);

#endif

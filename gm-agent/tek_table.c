/* tek_table.c - which key receives, which one sends, and when that changes. */
#include "gm-agent/tek_table.h"

#include <string.h>

static struct tek_entry *find(struct tek_table *table, uint32_t spi)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i].tek.spi == spi)
            return &table->entries[i];
    return NULL;
}

static bool same_key(const struct tek *a, const struct tek *b)
{
    return a->suite.transform == b->suite.transform && a->suite.key_bits == b->suite.key_bits &&
           a->suite.auth == b->suite.auth && secret_equal(secret_view(&a->key), secret_view(&b->key)) &&
           secret_equal(secret_view(&a->integrity), secret_view(&b->integrity));
}

static void entry_copy(struct tek_entry *to, const struct tek_entry *from)
{
    memmove(to, from, sizeof(*to)); /* both are ours; the source is wiped by the caller */
}

static void remove_at(struct tek_table *table, size_t index)
{
    for (size_t i = index; i + 1 < table->count; i++)
        entry_copy(&table->entries[i], &table->entries[i + 1]);
    table->count--;
    secret_wipe(&table->entries[table->count], sizeof(table->entries[table->count]));
}

static bool sendable(const struct tek_entry *entry, uint64_t now_ms)
{
    return !entry->receive_only && entry->expires_ms > now_ms;
}

static uint64_t activation_ms(const struct group_policy *policy)
{
    return 1000u * (uint64_t)(policy->has_delays ? policy->activation_s : TEK_ACTIVATION_DEFAULT_S);
}

static uint64_t deactivation_ms(const struct group_policy *policy)
{
    return 1000u * (uint64_t)(policy->has_delays ? policy->deactivation_s : TEK_DEACTIVATION_DEFAULT_S);
}

/* A place for one more; when the table is full, the key goes that would end first. */
static struct tek_entry *make_room(struct tek_table *table)
{
    if (table->count == TEK_TABLE_MAX) {
        size_t first = 0;
        for (size_t i = 1; i < table->count; i++)
            if (table->entries[i].keep_until_ms < table->entries[first].keep_until_ms)
                first = i;
        remove_at(table, first);
    }
    return &table->entries[table->count++];
}

/* Adds the key or, when it is known, takes its lifetime as told now. Returns whether it is new. */
static bool put(struct tek_table *table, const struct tek *tek, uint64_t send_from_ms, uint64_t now_ms)
{
    struct tek_entry *entry = find(table, tek->spi);
    bool known = entry != NULL && same_key(&entry->tek, tek);
    if (entry != NULL && !known)
        tek_table_delete(table, tek->spi);
    if (!known) {
        entry = make_room(table);
        memset(entry, 0, sizeof(*entry));
        entry->tek.spi = tek->spi;
        entry->tek.suite = tek->suite;
        secret_copy(&entry->tek.key, &tek->key);
        secret_copy(&entry->tek.integrity, &tek->integrity);
        entry->installed_ms = now_ms;
        entry->send_from_ms = send_from_ms;
    }
    entry->tek.lifetime_s = tek->lifetime_s;
    entry->expires_ms = now_ms + 1000u * (uint64_t)tek->lifetime_s;
    entry->keep_until_ms = entry->expires_ms;
    entry->receive_only = false;
    return !known;
}

/* The others are received on for at least DTD after this one takes over. */
static void keep_others(struct tek_table *table, uint32_t spi, uint64_t switch_ms, uint64_t dtd_ms)
{
    for (size_t i = 0; i < table->count; i++) {
        struct tek_entry *entry = &table->entries[i];
        if (entry->tek.spi != spi && entry->keep_until_ms < switch_ms + dtd_ms)
            entry->keep_until_ms = switch_ms + dtd_ms;
    }
}

/* Who would still wait when this one takes over is overtaken: its turn would bring an older key back. */
static void overtake(struct tek_table *table, uint32_t spi, uint64_t from_ms)
{
    for (size_t i = 0; i < table->count; i++) {
        struct tek_entry *entry = &table->entries[i];
        if (entry->tek.spi != spi && entry->send_from_ms > from_ms)
            entry->receive_only = true;
    }
}

void tek_table_rekey(struct tek_table *table, const struct group_policy *policy, uint64_t now_ms)
{
    tek_table_advance(table, now_ms);
    for (size_t i = 0; i < policy->tek_count; i++) {
        uint64_t from = now_ms + activation_ms(policy);
        if (!put(table, &policy->teks[i], from, now_ms))
            continue;
        overtake(table, policy->teks[i].spi, from);
        keep_others(table, policy->teks[i].spi, from, deactivation_ms(policy));
    }
    tek_table_advance(table, now_ms);
}

static const struct tek *longest_of(const struct group_policy *policy)
{
    const struct tek *longest = NULL;
    for (size_t i = 0; i < policy->tek_count; i++)
        if (longest == NULL || policy->teks[i].lifetime_s >= longest->lifetime_s)
            longest = &policy->teks[i]; /* of equals the last: servers name the newest there */
    return longest;
}

void tek_table_register(struct tek_table *table, const struct group_policy *policy, uint64_t now_ms)
{
    tek_table_advance(table, now_ms);
    const struct tek *longest = longest_of(policy);
    if (longest == NULL)
        return; /* keys for rekeys only: what we have stays */
    uint64_t atd_ms = activation_ms(policy);
    for (size_t i = 0; i < table->count; i++)
        table->entries[i].receive_only = true;
    for (size_t i = 0; i < policy->tek_count; i++) {
        const struct tek *tek = &policy->teks[i];
        bool waits = tek == longest && policy->tek_count > 1;
        bool is_new = put(table, tek, now_ms + (waits ? atd_ms : 0), now_ms);
        struct tek_entry *entry = find(table, tek->spi);
        /* A key that we had goes on at its pace: one that is waiting waits, those that are active are equal,
         * so that the lifetime decides between them. */
        if (!is_new && entry->send_from_ms <= now_ms)
            entry->send_from_ms = now_ms;
        else if (!is_new && entry->send_from_ms > now_ms + atd_ms)
            entry->send_from_ms = now_ms + atd_ms;
    }
    keep_others(table, longest->spi, find(table, longest->spi)->send_from_ms, deactivation_ms(policy));
    tek_table_advance(table, now_ms);
}

void tek_table_delete(struct tek_table *table, uint32_t spi)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->entries[i].tek.spi == spi) {
            remove_at(table, i);
            return;
        }
    }
}

void tek_table_clear(struct tek_table *table)
{
    secret_wipe(table, sizeof(*table));
}

static bool before(const struct tek_entry *a, const struct tek_entry *b)
{
    if (a->send_from_ms != b->send_from_ms)
        return a->send_from_ms < b->send_from_ms;
    return a->expires_ms < b->expires_ms;
}

/* The newest that is active; if none is active yet, the one that comes first: better early than not at all.
 */
static const struct tek_entry *choose(const struct tek_table *table, uint64_t now_ms)
{
    const struct tek_entry *active = NULL, *waiting = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct tek_entry *entry = &table->entries[i];
        if (!sendable(entry, now_ms))
            continue;
        if (entry->send_from_ms <= now_ms) {
            if (active == NULL || before(active, entry))
                active = entry;
        } else if (waiting == NULL || before(entry, waiting)) {
            waiting = entry;
        }
    }
    return active != NULL ? active : waiting;
}

bool tek_table_advance(struct tek_table *table, uint64_t now_ms)
{
    bool changed = false;
    for (size_t i = table->count; i-- > 0;) {
        if (table->entries[i].keep_until_ms <= now_ms) {
            remove_at(table, i);
            changed = true;
        }
    }
    const struct tek_entry *out = choose(table, now_ms);
    if ((out != NULL) != table->has_out || (out != NULL && out->tek.spi != table->out_spi))
        changed = true;
    table->has_out = out != NULL;
    table->out_spi = out != NULL ? out->tek.spi : 0;
    return changed;
}

uint64_t tek_table_next_ms(const struct tek_table *table, uint64_t now_ms)
{
    uint64_t next = TIME_NEVER;
    for (size_t i = 0; i < table->count; i++) {
        const struct tek_entry *entry = &table->entries[i];
        const uint64_t times[] = {entry->keep_until_ms, entry->expires_ms, entry->send_from_ms};
        for (size_t k = 0; k < sizeof(times) / sizeof(times[0]); k++)
            if (times[k] > now_ms && times[k] < next)
                next = times[k];
    }
    return next;
}

const struct tek_entry *tek_table_out(const struct tek_table *table)
{
    for (size_t i = 0; table->has_out && i < table->count; i++)
        if (table->entries[i].tek.spi == table->out_spi)
            return &table->entries[i];
    return NULL;
}

const struct tek_entry *tek_table_longest(const struct tek_table *table, uint64_t now_ms)
{
    const struct tek_entry *longest = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct tek_entry *entry = &table->entries[i];
        if (sendable(entry, now_ms) && (longest == NULL || entry->expires_ms > longest->expires_ms))
            longest = entry;
    }
    return longest;
}

/* replay_table.c - sliding windows by sender. */
#include "gm-agent/replay_table.h"

#include <stdlib.h>
#include <string.h>

err_t replay_table_open(struct replay_table *table, uint32_t window)
{
    if (window != 0 && table->senders == NULL) {
        table->senders = calloc(REPLAY_SENDER_MAX, sizeof(*table->senders));
        if (table->senders == NULL)
            return E_NO_MEMORY;
    } else if (window == 0) {
        replay_table_close(table);
    }
    table->window = window;
    return E_OK;
}

void replay_table_close(struct replay_table *table)
{
    free(table->senders);
    memset(table, 0, sizeof(*table));
}

struct replay_id replay_id_of(const struct addr *addr)
{
    struct reader r = reader_over(addr_bytes(addr));
    if (addr->family == AF_INET)
        return (struct replay_id){0, UINT64_C(0xffff) << 32 | read_u32(&r)};
    uint64_t high = read_u64(&r);
    return (struct replay_id){high, read_u64(&r)};
}

static size_t row_of(uint32_t spi, struct replay_id sender)
{
    uint64_t hash = (sender.low ^ (uint64_t)spi << 32) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= sender.high * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (size_t)(hash >> 40) % REPLAY_ROWS;
}

static struct replay_sender *find(struct replay_table *table, uint32_t spi, struct replay_id sender)
{
    struct replay_sender *row = table->senders + row_of(spi, sender) * REPLAY_ROW_LEN;
    struct replay_sender *room = row;
    for (size_t i = 0; i < REPLAY_ROW_LEN; i++) {
        if (row[i].used && row[i].spi == spi && row[i].sender.high == sender.high &&
            row[i].sender.low == sender.low)
            return &row[i];
        if (room->used && (!row[i].used || row[i].heard < room->heard))
            room = &row[i];
    }
    table->evicted += room->used;
    *room = (struct replay_sender){.used = true, .spi = spi, .sender = sender};
    return room;
}

static uint64_t *word_of(struct replay_sender *s, uint32_t seq)
{
    return &s->seen[seq / 64 % REPLAY_WORDS];
}

/* The ring moves on: numbers between the old top and the new one were not seen. */
static void advance(struct replay_sender *s, uint32_t seq)
{
    if (seq - s->top >= REPLAY_WINDOW_MAX) {
        memset(s->seen, 0, sizeof(s->seen));
    } else {
        for (uint32_t n = s->top + 1; n != seq + 1; n++)
            *word_of(s, n) &= ~(UINT64_C(1) << n % 64);
    }
    s->top = seq;
}

bool replay_table_accept(struct replay_table *table, uint32_t spi, struct replay_id sender, uint32_t seq)
{
    if (table->window == 0)
        return true;
    if (seq == 0)
        return false;
    struct replay_sender *s = find(table, spi, sender);
    s->heard = ++table->clock;
    if (seq > s->top)
        advance(s, seq);
    else if (s->top - seq >= table->window)
        return false;
    uint64_t bit = UINT64_C(1) << seq % 64;
    if ((*word_of(s, seq) & bit) != 0)
        return false;
    *word_of(s, seq) |= bit;
    return true;
}

void replay_table_forget(struct replay_table *table, uint32_t spi)
{
    for (size_t i = 0; table->senders != NULL && i < REPLAY_SENDER_MAX; i++)
        if (table->senders[i].used && table->senders[i].spi == spi)
            table->senders[i].used = false;
}

size_t replay_table_count(const struct replay_table *table)
{
    size_t count = 0;
    for (size_t i = 0; table->senders != NULL && i < REPLAY_SENDER_MAX; i++)
        count += table->senders[i].used;
    return count;
}

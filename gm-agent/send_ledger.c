/* send_ledger.c - counters of sending. */
#include "gm-agent/send_ledger.h"

#include <assert.h>
#include <string.h>

enum { FILE_MAGIC = 0x51495631 /* "QIV1" */, SID_BITS_MAX = 32 };

static struct send_counter fresh(const struct send_ledger *ledger, uint32_t spi, uint32_t sid,
                                 uint16_t sid_bits)
{
    uint64_t reserved = ledger->kept ? 0 : UINT64_MAX;
    return (struct send_counter){
        .spi = spi, .sid = sid, .sid_bits = sid_bits, .seq_reserved = reserved, .ssiv_reserved = reserved};
}

static size_t oldest(const struct send_ledger *ledger)
{
    size_t at = SEND_LEDGER_MAX;
    for (size_t i = 0; i < ledger->count; i++)
        if (!ledger->counters[i].held &&
            (at == SEND_LEDGER_MAX || ledger->counters[i].used < ledger->counters[at].used))
            at = i;
    assert(at < SEND_LEDGER_MAX); /* there are fewer who hold one */
    return at;
}

size_t send_ledger_find(struct send_ledger *ledger, uint32_t spi, uint32_t sid, uint16_t sid_bits)
{
    size_t at = 0;
    while (at < ledger->count && (ledger->counters[at].spi != spi || ledger->counters[at].sid != sid ||
                                  ledger->counters[at].sid_bits != sid_bits))
        at++;
    if (at == ledger->count) {
        at = ledger->count < SEND_LEDGER_MAX ? ledger->count++ : oldest(ledger);
        ledger->counters[at] = fresh(ledger, spi, sid, sid_bits);
    }
    ledger->counters[at].used = ++ledger->clock;
    return at;
}

err_t send_ledger_hold(struct send_ledger *ledger, uint32_t spi, uint32_t sid, uint16_t sid_bits, size_t *out)
{
    size_t at = send_ledger_find(ledger, spi, sid, sid_bits);
    if (ledger->counters[at].held)
        return E_EXISTS; /* two who count by one would repeat a number */
    ledger->counters[at].held = true;
    *out = at;
    return E_OK;
}

void send_ledger_release(struct send_ledger *ledger, size_t at)
{
    ledger->counters[at].held = false;
}

static uint64_t ssiv_end(const struct send_counter *counter)
{
    return UINT64_C(1) << (64 - counter->sid_bits);
}

err_t send_counter_next_ssiv(struct send_counter *counter, uint64_t floor_us, uint64_t *out)
{
    if (counter->sid_bits == 0 || counter->sid_bits > SID_BITS_MAX ||
        (uint64_t)counter->sid >> counter->sid_bits != 0)
        return E_LIMIT;
    uint64_t next = counter->ssiv + 1;
    if (next < floor_us)
        next = floor_us;
    if (next >= ssiv_end(counter))
        return E_LIMIT;
    if (next > counter->ssiv_reserved)
        return E_AGAIN;
    *out = counter->ssiv = next;
    return E_OK;
}

err_t send_counter_next_seq(struct send_counter *counter, bool wraps, uint32_t *out)
{
    if (counter->seq == UINT32_MAX && !wraps)
        return E_LIMIT;
    uint32_t next = counter->seq + 1;
    if (next > counter->seq_reserved)
        return E_AGAIN;
    *out = counter->seq = next;
    return E_OK;
}

void send_counter_reserve(struct send_counter *counter, uint64_t floor_us)
{
    uint64_t from = counter->ssiv > floor_us ? counter->ssiv : floor_us;
    if (counter->ssiv_reserved != UINT64_MAX)
        counter->ssiv_reserved = from + SEND_LEDGER_RESERVE;
    if (counter->seq_reserved != UINT64_MAX)
        counter->seq_reserved = (uint64_t)counter->seq + SEND_LEDGER_RESERVE_SEQ;
}

void send_ledger_encode(struct writer *w, const struct send_ledger *ledger)
{
    write_u32(w, FILE_MAGIC);
    write_u32(w, (uint32_t)ledger->count);
    for (size_t i = 0; i < ledger->count; i++) {
        const struct send_counter *c = &ledger->counters[i];
        uint64_t seq = c->seq_reserved < UINT32_MAX ? c->seq_reserved : UINT32_MAX;
        write_u32(w, c->spi);
        write_u32(w, c->sid);
        write_u16(w, c->sid_bits);
        write_u64(w, c->ssiv_reserved);
        write_u32(w, (uint32_t)seq);
    }
}

err_t send_ledger_decode(struct send_ledger *out, struct bytes data)
{
    struct reader r = reader_over(data);
    memset(out, 0, sizeof(*out));
    out->kept = true;
    if (read_u32(&r) != FILE_MAGIC)
        reader_fail(&r, E_BAD_VERSION);
    uint32_t count = read_u32(&r);
    reader_require(&r, count <= SEND_LEDGER_MAX);
    for (uint32_t i = 0; i < count && r.err == E_OK; i++) {
        struct send_counter *c = &out->counters[out->count++];
        c->spi = read_u32(&r);
        c->sid = read_u32(&r);
        c->sid_bits = read_u16(&r);
        c->ssiv = c->ssiv_reserved = read_u64(&r);
        c->seq = read_u32(&r);
        c->seq_reserved = c->seq;
        c->used = ++out->clock;
    }
    return reader_end(&r);
}

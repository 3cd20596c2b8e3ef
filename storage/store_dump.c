#include <stdlib.h>
#include <string.h>

#include "storage/crc32c.h"
#include "storage/record.h"
#include "storage/store_internal.h"

/* magic 8 | version u32 | rows: table u8, key length u16, value length u32, key, value | END u8 | row count
 * u64 | CRC-32C u32 over everything before it. */
static const uint8_t dump_magic[8] = {'Q', 'R', 'T', 'S', 'T', 'O', 'R', 'E'};
enum {
    DUMP_VERSION = 1,
    DUMP_HEAD = 8 + 4,
    DUMP_ROW_HEAD = 1 + 2 + 4,
    DUMP_END = 255,
    DUMP_TAIL = 1 + 8 + 4,
    DUMP_KEY_MAX = 511, /* LMDB's own bound */
};

struct dump {
    store_chunk_fn sink;
    void *context;
    uint8_t *buf;
    size_t len;
    uint32_t crc;
    uint64_t rows;
    enum store_table table;
    err_t err;
};

static void dump_flush(struct dump *d)
{
    if (d->err != E_OK || d->len == 0)
        return;
    d->err = d->sink(d->context, (struct bytes){d->buf, d->len});
    d->len = 0;
}

static void dump_raw(struct dump *d, struct bytes b)
{
    while (b.len > 0 && d->err == E_OK) {
        size_t room = STORE_CHUNK_MAX - d->len;
        size_t part = b.len < room ? b.len : room;
        memcpy(d->buf + d->len, b.data, part);
        d->len += part;
        b = (struct bytes){b.data + part, b.len - part};
        if (d->len == STORE_CHUNK_MAX)
            dump_flush(d);
    }
}

static void dump_bytes(struct dump *d, struct bytes b)
{
    d->crc = crc32c(d->crc, b);
    dump_raw(d, b);
}

static bool dump_row(void *context, struct bytes key, struct bytes value)
{
    struct dump *d = context;
    uint8_t head[DUMP_ROW_HEAD];
    struct writer w = writer_over(head, sizeof(head));
    write_u8(&w, (uint8_t)d->table);
    write_u16(&w, (uint16_t)key.len);
    write_u32(&w, (uint32_t)value.len);
    dump_bytes(d, BYTES_OF(head));
    dump_bytes(d, key);
    dump_bytes(d, value);
    d->rows++;
    return d->err == E_OK;
}

err_t store_dump(struct store_txn *txn, store_chunk_fn sink, void *context)
{
    struct dump d = {.sink = sink, .context = context, .buf = malloc(STORE_CHUNK_MAX)};
    if (d.buf == NULL)
        return E_NO_MEMORY;
    uint8_t small[DUMP_HEAD + DUMP_TAIL];
    struct writer w = writer_over(small, sizeof(small));
    write_bytes(&w, BYTES_OF(dump_magic));
    write_u32(&w, DUMP_VERSION);
    dump_bytes(&d, writer_bytes(&w));
    for (int table = 0; table < STORE_TABLE_COUNT && d.err == E_OK; table++) {
        d.table = table;
        err_t err = store_each(txn, table, (struct bytes){0}, dump_row, &d);
        if (d.err == E_OK)
            d.err = err;
    }
    w = writer_over(small, sizeof(small));
    write_u8(&w, DUMP_END);
    write_u64(&w, d.rows);
    dump_bytes(&d, writer_bytes(&w));
    w = writer_over(small, sizeof(small));
    write_u32(&w, d.crc);
    dump_raw(&d, writer_bytes(&w));
    dump_flush(&d);
    free(d.buf);
    return d.err;
}

/* Walks the rows of a stream; with a transaction they are put too. */
static err_t walk(struct bytes snapshot, struct store_txn *txn)
{
    struct reader r = reader_over(snapshot);
    struct bytes magic = read_bytes(&r, sizeof(dump_magic));
    reader_require(&r, bytes_equal(magic, BYTES_OF(dump_magic)));
    reader_require(&r, read_u32(&r) == DUMP_VERSION);
    uint64_t rows = 0;
    for (;;) {
        uint8_t table = read_u8(&r);
        if (r.err != E_OK || table == DUMP_END)
            break;
        uint16_t key_len = read_u16(&r);
        uint32_t value_len = read_u32(&r);
        struct bytes key = read_bytes(&r, key_len);
        struct bytes value = read_bytes(&r, value_len);
        reader_require(&r, table < STORE_TABLE_COUNT && key.len > 0 && key.len <= DUMP_KEY_MAX);
        if (r.err != E_OK)
            break;
        if (txn != NULL)
            store_put(txn, table, key, value);
        rows++;
    }
    reader_require(&r, read_u64(&r) == rows);
    return reader_end(&r) == E_OK ? E_OK : E_CORRUPT;
}

static err_t replace_all(struct store *store, struct bytes body)
{
    struct store_txn *txn;
    err_t err = store_begin_write(store, &txn);
    if (err != E_OK)
        return err;
    store_clear(txn);
    err = walk(body, txn);
    if (err != E_OK) {
        store_abort(txn);
        return err;
    }
    return store_commit(txn);
}

err_t store_restore(struct store *store, struct bytes snapshot)
{
    if (snapshot.len < DUMP_HEAD + DUMP_TAIL)
        return E_CORRUPT;
    struct bytes body = {snapshot.data, snapshot.len - 4};
    struct reader tail = reader_over((struct bytes){snapshot.data + body.len, 4});
    if (read_u32(&tail) != crc32c(0, body))
        return E_CORRUPT;
    err_t err = walk(body, NULL);
    return err == E_OK ? replace_all(store, body) : err;
}

err_t store_wipe(struct store *store)
{
    struct store_txn *txn;
    err_t err = store_begin_write(store, &txn);
    if (err != E_OK)
        return err;
    store_clear(txn);
    return store_commit(txn);
}

#include "storage/store.h"

#include <stdlib.h>
#include <string.h>

#include "storage/store_internal.h"

static const char *const table_names[STORE_TABLE_COUNT] = {
    [TABLE_META] = "meta", [TABLE_GROUP] = "group", [TABLE_MEMBER] = "member",   [TABLE_REKEY] = "rekey",
    [TABLE_PUSH] = "push", [TABLE_PSK] = "psk",     [TABLE_SIGNING] = "signing", [TABLE_NODE] = "node",
    [TABLE_CA] = "ca",     [TABLE_TOKEN] = "token",
};

struct bytes store_applied_key(void)
{
    return bytes_of_text("applied");
}

struct bytes store_schema_key(void)
{
    return bytes_of_text("schema");
}

static MDB_val val_of(struct bytes b)
{
    return (MDB_val){b.len, (void *)(uintptr_t)b.data}; /* LMDB only reads it */
}

static struct bytes bytes_of(MDB_val v)
{
    return (struct bytes){v.mv_data, v.mv_size};
}

err_t store_open_tables(struct store *store)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    for (int i = 0; i < STORE_TABLE_COUNT && rc == 0; i++)
        rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &store->tables[i]);
    uint8_t buf[4];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u32(&w, SCHEMA_VERSION);
    MDB_val key = val_of(store_schema_key()), value, ours = val_of(writer_bytes(&w));
    if (rc == 0)
        rc = mdb_get(txn, store->tables[TABLE_META], &key, &value);
    if (rc == 0 && !bytes_equal(bytes_of(value), bytes_of(ours)))
        rc = MDB_INCOMPATIBLE;
    if (rc == MDB_NOTFOUND)
        rc = mdb_put(txn, store->tables[TABLE_META], &key, &ours, 0);
    if (rc == 0)
        return store_err(mdb_txn_commit(txn));
    if (txn != NULL)
        mdb_txn_abort(txn);
    return store_err(rc);
}

static err_t txn_open(struct store *store, bool write, struct store_txn **out)
{
    *out = NULL;
    struct store_txn *txn = calloc(1, sizeof(*txn));
    if (txn == NULL)
        return E_NO_MEMORY;
    *txn = (struct store_txn){.store = store, .write = write};
    int rc = mdb_txn_begin(store->env, NULL, write ? 0 : MDB_RDONLY, &txn->txn);
    if (rc != 0) {
        free(txn);
        return store_err(rc);
    }
    *out = txn;
    return E_OK;
}

err_t store_begin_write(struct store *store, struct store_txn **out)
{
    return txn_open(store, true, out);
}

static void reader_leaves(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    if (--store->readers == 0)
        pthread_cond_broadcast(&store->idle);
    pthread_mutex_unlock(&store->lock);
}

err_t store_begin_read(struct store *store, struct store_txn **out)
{
    pthread_mutex_lock(&store->lock);
    while (store->growing)
        pthread_cond_wait(&store->idle, &store->lock);
    store->readers++;
    pthread_mutex_unlock(&store->lock);
    err_t err = txn_open(store, false, out);
    if (err != E_OK)
        reader_leaves(store);
    return err;
}

static void txn_free(struct store_txn *txn)
{
    if (!txn->write)
        reader_leaves(txn->store);
    free(txn->log.data);
    free(txn);
}

err_t store_commit(struct store_txn *txn)
{
    err_t err = txn->err;
    if (err == E_OK && txn->write) {
        int rc = mdb_txn_commit(txn->txn);
        txn->txn = NULL;
        while (rc == MDB_MAP_FULL) {
            err = store_grow(txn);
            if (err != E_OK)
                break;
            rc = mdb_txn_commit(txn->txn);
            txn->txn = NULL;
        }
        if (err == E_OK)
            err = store_err(rc);
    }
    if (txn->txn != NULL)
        mdb_txn_abort(txn->txn);
    txn_free(txn);
    return err;
}

void store_abort(struct store_txn *txn)
{
    if (txn == NULL)
        return;
    if (txn->txn != NULL)
        mdb_txn_abort(txn->txn);
    txn_free(txn);
}

err_t store_error(const struct store_txn *txn)
{
    return txn->err;
}

/* One line of the log: table or CLEAR, key length, value length or DELETED, key, value. */
static const uint32_t log_deleted = UINT32_MAX;
enum { LOG_HEAD = 1 + 4 + 4, LOG_CLEAR = 255 };

static err_t log_add(struct store_log *log, uint8_t table, struct bytes key, const struct bytes *value)
{
    size_t need = LOG_HEAD + key.len + (value != NULL ? value->len : 0);
    if (log->cap - log->len < need) {
        size_t cap = (log->cap + need) * 2;
        uint8_t *data = realloc(log->data, cap);
        if (data == NULL)
            return E_NO_MEMORY;
        log->data = data;
        log->cap = cap;
    }
    struct writer w = writer_over(log->data + log->len, need);
    write_u8(&w, table);
    write_u32(&w, (uint32_t)key.len);
    write_u32(&w, value != NULL ? (uint32_t)value->len : log_deleted);
    write_bytes(&w, key);
    if (value != NULL)
        write_bytes(&w, *value);
    log->len += need;
    return writer_end(&w);
}

static int do_put(struct store_txn *txn, enum store_table table, struct bytes key, struct bytes value)
{
    MDB_val k = val_of(key), v = val_of(value);
    return mdb_put(txn->txn, txn->store->tables[table], &k, &v, 0);
}

static int do_delete(struct store_txn *txn, enum store_table table, struct bytes key)
{
    MDB_val k = val_of(key);
    int rc = mdb_del(txn->txn, txn->store->tables[table], &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int do_clear(struct store_txn *txn)
{
    int rc = 0;
    for (int table = 0; table < STORE_TABLE_COUNT && rc == 0; table++)
        rc = mdb_drop(txn->txn, txn->store->tables[table], 0);
    return rc;
}

static int log_replay(struct store_txn *txn)
{
    struct reader r = reader_over((struct bytes){txn->log.data, txn->log.len});
    int rc = 0;
    while (rc == 0 && reader_left(&r) > 0) {
        uint8_t table = read_u8(&r);
        uint32_t key_len = read_u32(&r), value_len = read_u32(&r);
        struct bytes key = read_bytes(&r, key_len);
        if (table == LOG_CLEAR)
            rc = do_clear(txn);
        else if (value_len == log_deleted)
            rc = do_delete(txn, table, key);
        else
            rc = do_put(txn, table, key, read_bytes(&r, value_len));
    }
    return rc;
}

static int grow_once(struct store_txn *txn)
{
    struct store *store = txn->store;
    if (txn->txn != NULL)
        mdb_txn_abort(txn->txn);
    txn->txn = NULL;
    if (store->map_len >= STORE_MAP_LAST)
        return MDB_MAP_FULL;
    pthread_mutex_lock(&store->lock);
    store->growing = true;
    while (store->readers > 0)
        pthread_cond_wait(&store->idle, &store->lock);
    int rc = mdb_env_set_mapsize(store->env, store->map_len * 2);
    if (rc == 0)
        store->map_len *= 2;
    store->growing = false;
    pthread_cond_broadcast(&store->idle);
    pthread_mutex_unlock(&store->lock);
    return rc != 0 ? rc : mdb_txn_begin(store->env, NULL, 0, &txn->txn);
}

err_t store_grow(struct store_txn *txn)
{
    int rc;
    do {
        rc = grow_once(txn);
        if (rc != 0)
            return store_err(rc);
        rc = log_replay(txn);
    } while (rc == MDB_MAP_FULL);
    return store_err(rc);
}

static void change(struct store_txn *txn, enum store_table table, struct bytes key, const struct bytes *value)
{
    if (txn->err != E_OK)
        return;
    txn->err = log_add(&txn->log, (uint8_t)table, key, value);
    if (txn->err != E_OK)
        return;
    int rc = value != NULL ? do_put(txn, table, key, *value) : do_delete(txn, table, key);
    txn->err = rc == MDB_MAP_FULL ? store_grow(txn) : store_err(rc);
}

void store_clear(struct store_txn *txn)
{
    if (txn->err != E_OK)
        return;
    txn->err = log_add(&txn->log, LOG_CLEAR, (struct bytes){0}, NULL);
    if (txn->err != E_OK)
        return;
    int rc = do_clear(txn);
    txn->err = rc == MDB_MAP_FULL ? store_grow(txn) : store_err(rc);
}

void store_fail(struct store_txn *txn, err_t err)
{
    if (txn->err == E_OK)
        txn->err = err;
}

void store_put(struct store_txn *txn, enum store_table table, struct bytes key, struct bytes value)
{
    change(txn, table, key, &value);
}

void store_delete(struct store_txn *txn, enum store_table table, struct bytes key)
{
    change(txn, table, key, NULL);
}

err_t store_get(struct store_txn *txn, enum store_table table, struct bytes key, struct bytes *value)
{
    *value = (struct bytes){0};
    if (txn->err != E_OK)
        return txn->err;
    MDB_val k = val_of(key), v;
    int rc = mdb_get(txn->txn, txn->store->tables[table], &k, &v);
    if (rc == 0)
        *value = bytes_of(v);
    else if (rc != MDB_NOTFOUND)
        txn->err = store_err(rc);
    return store_err(rc);
}

err_t store_each(struct store_txn *txn, enum store_table table, struct bytes start, store_row_fn row,
                 void *context)
{
    if (txn->err != E_OK)
        return txn->err;
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn->txn, txn->store->tables[table], &cursor);
    if (rc == 0) {
        MDB_val k = val_of(start), v;
        rc = mdb_cursor_get(cursor, &k, &v, start.len > 0 ? MDB_SET_RANGE : MDB_FIRST);
        while (rc == 0 && row(context, bytes_of(k), bytes_of(v)))
            rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    if (rc == MDB_NOTFOUND)
        rc = 0;
    if (rc != 0)
        txn->err = store_err(rc);
    return store_err(rc);
}

void store_set_applied(struct store_txn *txn, uint64_t index, uint64_t term)
{
    uint8_t buf[16];
    struct writer w = writer_over(buf, sizeof(buf));
    write_u64(&w, index);
    write_u64(&w, term);
    store_put(txn, TABLE_META, store_applied_key(), writer_bytes(&w));
}

err_t store_applied(struct store_txn *txn, uint64_t *index, uint64_t *term)
{
    *index = *term = 0;
    struct bytes value;
    err_t err = store_get(txn, TABLE_META, store_applied_key(), &value);
    if (err == E_NOT_FOUND)
        return E_OK;
    if (err != E_OK)
        return err;
    struct reader r = reader_over(value);
    *index = read_u64(&r);
    *term = read_u64(&r);
    return reader_end(&r) == E_OK ? E_OK : E_CORRUPT;
}

/* store_internal.h - what store*.c share; nobody else includes it, so that lmdb.h stays here. */
#ifndef STORAGE_STORE_INTERNAL_H
#define STORAGE_STORE_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>

#include "storage/store.h"

enum {
    SCHEMA_VERSION = 1,
    STORE_PATH_MAX = 4096,
    STORE_READER_MAX = 126,
};
#define STORE_MAP_FIRST ((size_t)256 << 20)
#define STORE_MAP_LAST ((size_t)64 << 30)

struct store {
    MDB_env *env;
    MDB_dbi tables[STORE_TABLE_COUNT];
    size_t map_len;
    char dir[STORE_PATH_MAX];
    /* The map may only grow while no transaction looks into it. */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    unsigned readers;
    bool growing;
};

/* What a write transaction has done, so that it can be done again after the map grew. */
struct store_log {
    uint8_t *data;
    size_t len;
    size_t cap;
};

struct store_txn {
    struct store *store;
    MDB_txn *txn;
    bool write;
    err_t err;
    struct store_log log;
};

err_t store_err(int rc); /* an LMDB or errno code as ours */
/* Ends txn->txn, makes the map larger and begins again, with everything in the log done once more. */
err_t store_grow(struct store_txn *txn) MUST_USE;
/* Removes every row of every table. */
void store_clear(struct store_txn *txn);
/* Opens the tables and checks the schema; on E_CORRUPT the files are to be made anew. */
err_t store_open_tables(struct store *store) MUST_USE;

/* Rows of ours in TABLE_META beside the cluster record. */
struct bytes store_applied_key(void);
struct bytes store_schema_key(void);

#endif

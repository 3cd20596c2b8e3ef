/* store.h - LMDB under Quorate: named tables, one write transaction per batch of applies, read transactions for the API,
 * snapshot dump and restore. A cache of the Raft log: opened NOSYNC, with the applied index in the same transaction; rebuilt
 * when another boot wrote it (RAFT.md 4). lmdb.h is included only in store*.c. */
#ifndef STORAGE_STORE_H
#define STORAGE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/wire.h"

enum store_table {
    TABLE_META,   /* applied index and term, schema version, cluster_record, the cluster's level */
    TABLE_GROUP,
    TABLE_MEMBER,
    TABLE_REKEY,  /* history, and the one going on */
    TABLE_PUSH,   /* datagram of the rekey going on, by rekey key */
    TABLE_PSK,
    TABLE_SIGNING,
    TABLE_NODE,   /* key servers, by node id */
    TABLE_CA,     /* the cluster's authority */
    TABLE_TOKEN,  /* join tokens, by token id */
    STORE_TABLE_COUNT
};

struct store;
struct store_txn; /* sticky result: after the first error calls do nothing and the end reports it */

/* dir exists and belongs to us. *rebuilt: the files were not trustworthy (other boot without clean close, other schema,
 * damaged) and were made anew: applied is 0 then and the caller replays. E_IO, E_CORRUPT, E_FULL. */
err_t store_open(struct store **out, const char *dir, bool *rebuilt) MUST_USE;
/* Syncs and marks the files clean. */
void store_close(struct store *store);

err_t store_begin_write(struct store *store, struct store_txn **out) MUST_USE;
err_t store_begin_read(struct store *store, struct store_txn **out) MUST_USE; /* any thread; short-lived */
/* Commits a write (aborts it if an error stuck) or ends a read. E_FULL: the map was grown, do the batch again. */
err_t store_commit(struct store_txn *txn) MUST_USE;
void store_abort(struct store_txn *txn);

void store_fail(struct store_txn *txn, err_t err); /* as if a call had: its row could not be made. Not E_FULL. */
void store_put(struct store_txn *txn, enum store_table table, struct bytes key, struct bytes value);
void store_delete(struct store_txn *txn, enum store_table table, struct bytes key); /* absent is fine */
/* A view into the map, valid until the transaction ends (reads) or the next put. E_NOT_FOUND does not stick. */
err_t store_get(struct store_txn *txn, enum store_table table, struct bytes key, struct bytes *value) MUST_USE;
err_t store_error(const struct store_txn *txn);

/* Rows in key order. start: first key wanted (>=), may be empty. The callback returns false to stop early. */
typedef bool (*store_row_fn)(void *context, struct bytes key, struct bytes value);
err_t store_each(struct store_txn *txn, enum store_table table, struct bytes start, store_row_fn row, void *context) MUST_USE;

/* Applied Raft index and term, in the same transaction as the rows. */
void store_set_applied(struct store_txn *txn, uint64_t index, uint64_t term);
err_t store_applied(struct store_txn *txn, uint64_t *index, uint64_t *term) MUST_USE;

/* Snapshot: all rows of all tables as one checksummed stream (format version, table, key, value ..., CRC). The sink is given
 * chunks of at most STORE_CHUNK_MAX octets. restore replaces everything in one transaction; E_CORRUPT leaves the old state. */
enum { STORE_CHUNK_MAX = 1 << 20 };
typedef err_t (*store_chunk_fn)(void *context, struct bytes chunk);
err_t store_dump(struct store_txn *txn, store_chunk_fn sink, void *context) MUST_USE;
err_t store_restore(struct store *store, struct bytes snapshot) MUST_USE;
/* Removes all rows: applied is 0 then. */
err_t store_wipe(struct store *store) MUST_USE;

#endif

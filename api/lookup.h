/* lookup.h - rows of the store by what a request names them. Errors: E_NOT_FOUND, E_CORRUPT, those of
 * store.h. Decoding goes to memory that the caller owns, since a group is large. */
#ifndef API_LOOKUP_H
#define API_LOOKUP_H

#include "api/view.h"
#include "storage/store.h"

/* The group of that name. */
err_t lookup_group(struct store_txn *txn, const char *name, struct group_record *out) MUST_USE;
/* The member whose identity reads like text. */
err_t lookup_member(struct store_txn *txn, uint32_t group_id, const char *text,
                    struct member_record *out) MUST_USE;
/* The rekey going on, or else the last one. */
err_t lookup_last_rekey(struct store_txn *txn, uint32_t group_id, struct rekey_record *out) MUST_USE;
err_t lookup_signing(struct store_txn *txn, uint32_t version, struct signing_record *out) MUST_USE;
err_t lookup_member_count(struct store_txn *txn, uint32_t group_id, const uint8_t node_id[NODE_ID_LEN],
                          struct member_count *out) MUST_USE;

/* Rows of one group, in key order, from the row after 'after' on (NULL: from the first). The callback returns
 * false to stop. */
err_t lookup_rows(struct store_txn *txn, enum store_table table, uint32_t group_id,
                  const struct row_key *after, store_row_fn row, void *context) MUST_USE;

#endif

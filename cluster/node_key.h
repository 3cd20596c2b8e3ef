/* node_key.h - who this node is and the keys that it keeps: the node id, random per data directory (a wiped
 * node never comes back under its old id); the node key, a file that the operator guards; the data key of the
 * cluster, wrapped by the node key in data.key. Secrets in the log, the store and snapshots are wrapped by
 * the data key. */
#ifndef CLUSTER_NODE_KEY_H
#define CLUSTER_NODE_KEY_H

#include "base/rng.h"
#include "cluster/disk.h"
#include "proto/crypto/keywrap.h"
#include "storage/record.h"

/* DIR/node.id: 32 hex digits. Made if absent and first; else E_NOT_FOUND. E_CORRUPT. */
err_t node_id_open(const char *dir, const struct disk *disk, const struct rng *rng, bool first,
                   uint8_t out[NODE_ID_LEN]) MUST_USE;
/* 64 hex digits in a regular file that nobody else may read: ours, or root's with our group (E_PERMISSION).
 * Made if absent and first; else E_NOT_FOUND. E_CORRUPT for other content. */
err_t node_key_open(const char *file, const struct disk *disk, const struct rng *rng, bool first,
                    struct secret *out) MUST_USE;
/* The backup key: the text of such a file, without a line end, BACKUP_KEY_MIN .. SECRET_LEN_MAX octets (E_BAD_LENGTH).
 * E_NOT_FOUND, E_PERMISSION, E_IO. */
err_t backup_key_open(const char *file, struct secret *out) MUST_USE;
/* DIR/data.key. Made if absent and first; else E_NOT_FOUND. E_CORRUPT: damaged, or of another node or node
 * key. */
err_t data_key_open(const char *dir, const struct disk *disk, const struct rng *rng,
                    const uint8_t node_id[NODE_ID_LEN], const struct secret *node_key, bool first,
                    struct wrap_key *out) MUST_USE;
/* DIR/data.key with a key that another node gave. */
err_t data_key_store(const char *dir, const struct disk *disk, const struct rng *rng,
                     const uint8_t node_id[NODE_ID_LEN], const struct secret *node_key,
                     const struct wrap_key *key) MUST_USE;

#endif

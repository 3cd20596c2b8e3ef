/* backup_file.h - a sealed backup of the replicated state, openable when all servers are lost: whoever has
 * the backup key (a passphrase) has all that is needed. Pure: octets in, octets out.
 *
 *   magic 8 | version u32 | cluster id 16 | index u64 | term u64 | cluster time u64 | wall time u64
 *   | groups u32 | members u32 | pre-shared keys u32 | key servers u32 | cost u8 | salt 16 | sealed octets
 * u64 | sealed: version u32 | nonce 12 | ciphertext | tag 16          (proto/crypto/keywrap.h) | SHA-256 over
 * everything before it
 *
 * Sealed with AES-256-GCM under a key of scrypt over the backup key and the salt, which is new each time; the
 * head is additional data. Inside: the data key of the cluster, then the store's stream (storage/store.h),
 * whose secrets are wrapped by that key. The digest tells damage without the key; the tag tells forgery. */
#ifndef CLUSTER_BACKUP_FILE_H
#define CLUSTER_BACKUP_FILE_H

#include "base/rng.h"
#include "proto/crypto/keywrap.h"
#include "proto/crypto/passphrase.h"
#include "storage/record.h"

enum {
    BACKUP_VERSION = 1,
    BACKUP_HEAD_LEN = 8 + 4 + CLUSTER_ID_LEN + 4 * 8 + 4 * 4 + 1 + PASSPHRASE_SALT_LEN + 8,
    BACKUP_DIGEST_LEN = 32,
    BACKUP_FILE_MAX = 512 << 20, /* octets */
    BACKUP_KEY_MIN = 16,         /* octets of a backup key: SECRET_LEN_MAX at most */
};

/* What anybody may read. */
struct backup_head {
    uint8_t cluster_id[CLUSTER_ID_LEN];
    uint64_t index, term; /* the last entry that is in it */
    uint64_t cluster_ms;  /* cluster time */
    uint64_t wall_ms;     /* the same moment on the wall clock of the server that took it */
    uint32_t groups, members, psks, nodes;
    uint8_t cost; /* of scrypt */
    uint8_t salt[PASSPHRASE_SALT_LEN];
    uint64_t sealed_len;
};

/* Draws salt and nonce; fills cost, salt and sealed_len of the head. *out is heap. E_LIMIT: longer than
 * BACKUP_FILE_MAX. */
err_t backup_seal(struct backup_head *head, const struct secret *key, const struct wrap_key *data_key,
                  struct bytes stream, const struct rng *rng, uint8_t **out, size_t *out_len) MUST_USE;
/* Whole and undamaged, as far as can be said without the key? E_CORRUPT: no backup, or damaged;
 * E_BAD_VERSION; E_TRUNCATED; E_TRAILING; E_RANGE: a cost that would not be paid. */
err_t backup_check(struct bytes file, struct backup_head *out) MUST_USE;
/* Errors of backup_check; E_AUTH: another key, or a forged file. *plain is heap, of *plain_len octets, for
 * the caller to wipe and free; *stream is in it. */
err_t backup_open(struct bytes file, const struct secret *key, struct backup_head *head,
                  struct wrap_key *data_key, uint8_t **plain, size_t *plain_len,
                  struct bytes *stream) MUST_USE;

#endif

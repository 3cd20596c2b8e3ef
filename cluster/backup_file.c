#include "cluster/backup_file.h"

#include <stdlib.h>
#include <string.h>

#include "proto/crypto/prf.h"

static const uint8_t backup_magic[8] = {'Q', 'R', 'T', 'B', 'K', 'U', 'P', '1'};
enum { KEY_PART_LEN = 4 + KEYWRAP_KEY_LEN, SEAL_VERSION = 1 };

static void head_encode(struct writer *w, const struct backup_head *head)
{
    write_bytes(w, BYTES_OF(backup_magic));
    write_u32(w, BACKUP_VERSION);
    write_bytes(w, BYTES_OF(head->cluster_id));
    write_u64(w, head->index);
    write_u64(w, head->term);
    write_u64(w, head->cluster_ms);
    write_u64(w, head->wall_ms);
    write_u32(w, head->groups);
    write_u32(w, head->members);
    write_u32(w, head->psks);
    write_u32(w, head->nodes);
    write_u8(w, head->cost);
    write_bytes(w, BYTES_OF(head->salt));
    write_u64(w, head->sealed_len);
}

static err_t head_decode(struct reader *r, struct backup_head *out)
{
    *out = (struct backup_head){0};
    struct bytes magic = read_bytes(r, sizeof(backup_magic));
    if (r->err == E_OK && !bytes_equal(magic, BYTES_OF(backup_magic)))
        return E_CORRUPT;
    uint32_t version = read_u32(r);
    if (r->err == E_OK && version != BACKUP_VERSION)
        return E_BAD_VERSION;
    read_into(r, out->cluster_id, CLUSTER_ID_LEN);
    out->index = read_u64(r);
    out->term = read_u64(r);
    out->cluster_ms = read_u64(r);
    out->wall_ms = read_u64(r);
    out->groups = read_u32(r);
    out->members = read_u32(r);
    out->psks = read_u32(r);
    out->nodes = read_u32(r);
    out->cost = read_u8(r);
    read_into(r, out->salt, PASSPHRASE_SALT_LEN);
    out->sealed_len = read_u64(r);
    return r->err;
}

/* Wiped by the caller: the data key and the stream, as they are sealed. */
static err_t plain_make(const struct wrap_key *data_key, struct bytes stream, uint8_t **out, size_t *len)
{
    *len = KEY_PART_LEN + stream.len;
    *out = malloc(*len);
    if (*out == NULL)
        return E_NO_MEMORY;
    struct writer w = writer_over(*out, *len);
    write_u32(&w, data_key->version);
    write_bytes(&w, secret_view(&data_key->key));
    write_bytes(&w, stream);
    return writer_end(&w);
}

static err_t seal_into(const struct backup_head *head, const struct secret *key, struct bytes plain,
                       const struct rng *rng, uint8_t *file, size_t len)
{
    struct wrap_key seal = {.version = SEAL_VERSION};
    struct writer w = writer_over(file, len);
    size_t sealed_len = 0;
    head_encode(&w, head);
    err_t err = passphrase_key(secret_view(key), BYTES_OF(head->salt), head->cost, &seal.key);
    if (err == E_OK)
        err = keywrap_seal_bytes(&seal, rng, (struct bytes){file, BACKUP_HEAD_LEN}, plain,
                                 file + BACKUP_HEAD_LEN, &sealed_len);
    struct bytes body = {file, len - BACKUP_DIGEST_LEN};
    if (err == E_OK)
        err = hash_parts(HASH_SHA256, &body, 1, file + body.len);
    secret_close(&seal.key);
    return err;
}

err_t backup_seal(struct backup_head *head, const struct secret *key, const struct wrap_key *data_key,
                  struct bytes stream, const struct rng *rng, uint8_t **out, size_t *out_len)
{
    *out = NULL;
    *out_len = 0;
    if (key->len < BACKUP_KEY_MIN || data_key->key.len != KEYWRAP_KEY_LEN)
        return E_BAD_KEY;
    if (stream.len > BACKUP_FILE_MAX - BACKUP_HEAD_LEN - KEY_PART_LEN - KEYWRAP_OVERHEAD - BACKUP_DIGEST_LEN)
        return E_LIMIT;
    head->cost = PASSPHRASE_COST;
    head->sealed_len = KEY_PART_LEN + stream.len + KEYWRAP_OVERHEAD;
    size_t len = BACKUP_HEAD_LEN + (size_t)head->sealed_len + BACKUP_DIGEST_LEN, plain_len = 0;
    uint8_t *plain = NULL, *file = NULL;
    err_t err = rng_fill(rng, head->salt, PASSPHRASE_SALT_LEN);
    if (err == E_OK)
        err = plain_make(data_key, stream, &plain, &plain_len);
    if (err == E_OK && (file = malloc(len)) == NULL)
        err = E_NO_MEMORY;
    if (err == E_OK)
        err = seal_into(head, key, (struct bytes){plain, plain_len}, rng, file, len);
    if (plain != NULL)
        secret_wipe(plain, plain_len);
    free(plain);
    if (err != E_OK) {
        free(file);
        return err;
    }
    *out = file;
    *out_len = len;
    return E_OK;
}

err_t backup_check(struct bytes file, struct backup_head *out)
{
    uint8_t digest[BACKUP_DIGEST_LEN];
    struct reader r = reader_over(file);
    err_t err = head_decode(&r, out);
    if (err != E_OK)
        return err;
    if (out->sealed_len < KEY_PART_LEN + KEYWRAP_OVERHEAD || out->sealed_len > BACKUP_FILE_MAX)
        return E_CORRUPT;
    size_t len = BACKUP_HEAD_LEN + (size_t)out->sealed_len + BACKUP_DIGEST_LEN;
    if (file.len != len)
        return file.len < len ? E_TRUNCATED : E_TRAILING;
    struct bytes body = {file.data, len - BACKUP_DIGEST_LEN};
    err = hash_parts(HASH_SHA256, &body, 1, digest);
    if (err != E_OK)
        return err;
    if (memcmp(digest, file.data + body.len, BACKUP_DIGEST_LEN) != 0)
        return E_CORRUPT;
    return out->cost >= 1 && out->cost <= PASSPHRASE_COST_MAX ? E_OK : E_RANGE;
}

static err_t plain_read(struct bytes plain, struct wrap_key *data_key, struct bytes *stream)
{
    struct reader r = reader_over(plain);
    data_key->version = read_u32(&r);
    err_t err = secret_set(&data_key->key, read_bytes(&r, KEYWRAP_KEY_LEN));
    *stream = read_rest(&r);
    return r.err != E_OK ? E_CORRUPT : err;
}

err_t backup_open(struct bytes file, const struct secret *key, struct backup_head *head,
                  struct wrap_key *data_key, uint8_t **plain, size_t *plain_len, struct bytes *stream)
{
    struct wrap_key seal = {.version = SEAL_VERSION};
    *plain = NULL;
    *plain_len = 0;
    *stream = (struct bytes){0};
    *data_key = (struct wrap_key){0};
    err_t err = backup_check(file, head);
    if (err == E_OK)
        err = passphrase_key(secret_view(key), BYTES_OF(head->salt), head->cost, &seal.key);
    if (err == E_OK && (*plain = malloc((size_t)head->sealed_len)) == NULL)
        err = E_NO_MEMORY;
    if (err == E_OK) {
        struct bytes sealed = {file.data + BACKUP_HEAD_LEN, (size_t)head->sealed_len};
        err =
            keywrap_open_bytes(&seal, (struct bytes){file.data, BACKUP_HEAD_LEN}, sealed, *plain, plain_len);
        err = err == E_CORRUPT || err == E_BAD_KEY ? E_AUTH : err;
    }
    secret_close(&seal.key);
    if (err == E_OK)
        err = plain_read((struct bytes){*plain, *plain_len}, data_key, stream);
    if (err == E_OK)
        return E_OK;
    if (*plain != NULL)
        secret_wipe(*plain, *plain_len);
    free(*plain);
    *plain = NULL;
    *plain_len = 0;
    secret_close(&data_key->key);
    return err;
}

#include "cluster/node_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "cluster/backup_file.h"
#include "proto/crypto/cipher.h"

static const uint8_t data_key_magic[8] = {'Q', 'R', 'T', 'D', 'K', 'E', 'Y', '1'};
enum {
    DATA_KEY_FILE_LEN = 8 + 4 + 2 + KEYWRAP_KEY_LEN + KEYWRAP_OVERHEAD,
    HEX_FILE_MAX = 2 * KEYWRAP_KEY_LEN + 2,
    CONTEXT_MAX = 64,
    NODE_KEY_VERSION = 0, /* of the key that wraps data.key: it is not a data key of the cluster */
};

static int nibble(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Exactly len octets in hex digits, perhaps with a line end. */
static err_t hex_parse(struct bytes text, uint8_t *out, size_t len)
{
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    if (text.len != 2 * len)
        return E_CORRUPT;
    for (size_t i = 0; i < len; i++) {
        int high = nibble(text.data[2 * i]), low = nibble(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return E_CORRUPT;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return E_OK;
}

static struct bytes hex_line(struct bytes raw, char out[HEX_FILE_MAX])
{
    char *end = hex_put(out, raw.data, raw.len);
    *end++ = '\n';
    return (struct bytes){(uint8_t *)out, (size_t)(end - out)};
}

err_t node_id_open(const char *dir, const struct disk *disk, const struct rng *rng, bool first,
                   uint8_t out[NODE_ID_LEN])
{
    char path[DISK_PATH_MAX], text[HEX_FILE_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    err_t err = disk_path(path, dir, "node.id");
    if (err == E_OK)
        err = disk_read(path, HEX_FILE_MAX, &data, &len);
    if (err == E_OK)
        err = hex_parse((struct bytes){data, len}, out, NODE_ID_LEN);
    free(data);
    if (err != E_NOT_FOUND || !first)
        return err == E_LIMIT ? E_CORRUPT : err;
    err = rng_fill(rng, out, NODE_ID_LEN);
    out[0] |= 0x80; /* never zero in the part that Raft knows it by */
    return err == E_OK ? disk_replace(disk, dir, "node.id", hex_line((struct bytes){out, NODE_ID_LEN}, text))
                       : err;
}

/* The directory and the name of a path; "." when it has no slash. */
static err_t split_path(const char *path, char dir[DISK_PATH_MAX], const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash != NULL ? slash + 1 : path;
    int len = slash == NULL   ? snprintf(dir, DISK_PATH_MAX, ".")
              : slash == path ? snprintf(dir, DISK_PATH_MAX, "/")
                              : snprintf(dir, DISK_PATH_MAX, "%.*s", (int)(slash - path), path);
    return len < DISK_PATH_MAX && **name != '\0' ? E_OK : E_LIMIT;
}

static err_t node_key_make(const char *file, const struct disk *disk, const struct rng *rng,
                           struct secret *out)
{
    char dir[DISK_PATH_MAX], text[HEX_FILE_MAX];
    const char *name;
    err_t err = split_path(file, dir, &name);
    out->len = KEYWRAP_KEY_LEN;
    if (err == E_OK)
        err = rng_fill(rng, out->data, out->len);
    if (err == E_OK)
        err = disk_replace(disk, dir, name, hex_line(secret_view(out), text));
    secret_wipe(text, sizeof(text));
    return err;
}

/* Opened first, checked on the descriptor: no other file can slip in between. */
static err_t key_file_read(const char *file, uint8_t *text, size_t max, size_t *len)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return disk_err(errno);
    struct stat st = {0};
    err_t err = fstat(fd, &st) == 0 ? E_OK : E_IO;
    /* A credential of systemd is root's, and an access list for us shows in the group's bits. */
    mode_t others = st.st_uid == 0 && geteuid() != 0 ? 037 : 077;
    if (err == E_OK &&
        (!S_ISREG(st.st_mode) || (st.st_mode & others) != 0 || (st.st_uid != geteuid() && st.st_uid != 0)))
        err = E_PERMISSION;
    ssize_t got = err == E_OK ? pread(fd, text, max, 0) : 0;
    close(fd);
    if (got < 0)
        return disk_err(errno);
    *len = (size_t)got;
    return err;
}

err_t node_key_open(const char *file, const struct disk *disk, const struct rng *rng, bool first,
                    struct secret *out)
{
    *out = (struct secret){.len = KEYWRAP_KEY_LEN};
    uint8_t text[HEX_FILE_MAX + 1];
    size_t len = 0;
    err_t err = key_file_read(file, text, sizeof(text), &len);
    if (err == E_OK)
        err = hex_parse((struct bytes){text, len}, out->data, out->len);
    secret_wipe(text, sizeof(text));
    if (err == E_NOT_FOUND && first)
        err = node_key_make(file, disk, rng, out);
    if (err != E_OK)
        secret_close(out);
    return err;
}

err_t backup_key_open(const char *file, struct secret *out)
{
    uint8_t text[SECRET_LEN_MAX + 2]; /* a line end, and one more that is too long */
    size_t len = 0;
    *out = (struct secret){0};
    err_t err = key_file_read(file, text, sizeof(text), &len);
    if (err == E_OK && len > 0 && text[len - 1] == '\n')
        len--;
    if (err == E_OK && (len < BACKUP_KEY_MIN || len > SECRET_LEN_MAX))
        err = E_BAD_LENGTH;
    if (err == E_OK)
        err = secret_set(out, (struct bytes){text, len});
    secret_wipe(text, sizeof(text));
    return err;
}

/* Node and version are part of what the tag covers: a file of another node, or with another version, does not
 * open. */
static struct bytes data_key_context(const uint8_t node_id[NODE_ID_LEN], uint32_t version,
                                     uint8_t out[CONTEXT_MAX])
{
    struct writer w = writer_over(out, CONTEXT_MAX);
    write_bytes(&w, bytes_of_text("data key of node "));
    write_bytes(&w, (struct bytes){node_id, NODE_ID_LEN});
    write_u32(&w, version);
    return writer_bytes(&w);
}

static err_t data_key_read(struct bytes file, const uint8_t node_id[NODE_ID_LEN], const struct wrap_key *node,
                           struct wrap_key *out)
{
    struct wrapped wrapped = {0};
    struct reader r = reader_over(file);
    struct bytes magic = read_bytes(&r, sizeof(data_key_magic));
    out->version = read_u32(&r);
    wrapped.len = read_u16(&r);
    reader_require(&r, bytes_equal(magic, BYTES_OF(data_key_magic)) && wrapped.len <= WRAPPED_MAX);
    if (r.err == E_OK)
        read_into(&r, wrapped.data, wrapped.len);
    if (reader_end(&r) != E_OK)
        return E_CORRUPT;
    uint8_t context[CONTEXT_MAX];
    err_t err = keywrap_open(node, data_key_context(node_id, out->version, context), &wrapped, &out->key);
    if (err != E_OK)
        return err == E_CRYPTO || err == E_NO_MEMORY ? err : E_CORRUPT;
    return out->key.len == KEYWRAP_KEY_LEN ? E_OK : E_CORRUPT;
}

static err_t data_key_write(const char *dir, const struct disk *disk, const struct rng *rng,
                            const uint8_t node_id[NODE_ID_LEN], const struct wrap_key *node,
                            const struct wrap_key *key)
{
    struct wrapped wrapped;
    uint8_t context[CONTEXT_MAX];
    err_t err = keywrap_seal(node, rng, data_key_context(node_id, key->version, context),
                             secret_view(&key->key), &wrapped);
    if (err != E_OK)
        return err;
    uint8_t buf[DATA_KEY_FILE_LEN];
    struct writer w = writer_over(buf, sizeof(buf));
    write_bytes(&w, BYTES_OF(data_key_magic));
    write_u32(&w, key->version);
    write_u16(&w, wrapped.len);
    write_bytes(&w, (struct bytes){wrapped.data, wrapped.len});
    err = writer_end(&w);
    return err == E_OK ? disk_replace(disk, dir, "data.key", writer_bytes(&w)) : err;
}

static err_t data_key_make(const char *dir, const struct disk *disk, const struct rng *rng,
                           const uint8_t node_id[NODE_ID_LEN], const struct wrap_key *node,
                           struct wrap_key *out)
{
    out->version = 1;
    out->key.len = KEYWRAP_KEY_LEN;
    err_t err = rng_fill(rng, out->key.data, out->key.len);
    return err == E_OK ? data_key_write(dir, disk, rng, node_id, node, out) : err;
}

err_t data_key_store(const char *dir, const struct disk *disk, const struct rng *rng,
                     const uint8_t node_id[NODE_ID_LEN], const struct secret *node_key,
                     const struct wrap_key *key)
{
    struct wrap_key node = {.version = NODE_KEY_VERSION};
    secret_copy(&node.key, node_key);
    err_t err = data_key_write(dir, disk, rng, node_id, &node, key);
    secret_close(&node.key);
    return err;
}

err_t data_key_open(const char *dir, const struct disk *disk, const struct rng *rng,
                    const uint8_t node_id[NODE_ID_LEN], const struct secret *node_key, bool first,
                    struct wrap_key *out)
{
    *out = (struct wrap_key){0};
    char path[DISK_PATH_MAX];
    uint8_t *data = NULL;
    size_t len = 0;
    struct wrap_key node = {.version = NODE_KEY_VERSION};
    secret_copy(&node.key, node_key);
    err_t err = disk_path(path, dir, "data.key");
    if (err == E_OK)
        err = disk_read(path, DATA_KEY_FILE_LEN, &data, &len);
    if (err == E_OK)
        err = data_key_read((struct bytes){data, len}, node_id, &node, out);
    else if (err == E_NOT_FOUND && first)
        err = data_key_make(dir, disk, rng, node_id, &node, out);
    else if (err == E_LIMIT)
        err = E_CORRUPT;
    free(data);
    secret_close(&node.key);
    if (err != E_OK)
        secret_close(&out->key);
    return err;
}

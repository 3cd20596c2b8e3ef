/* send_store.c - a small file, replaced as a whole: counters, then their SHA-256. */
#include "gm-agent/send_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file_save.h"
#include "proto/crypto/prf.h"

enum { DIGEST_LEN = 32, FILE_LEN_MAX = SEND_LEDGER_FILE_MAX + DIGEST_LEN };

static err_t from_errno(void)
{
    return errno == EACCES || errno == EPERM || errno == EROFS ? E_PERMISSION : E_IO;
}

static err_t read_all(int fd, uint8_t *out, size_t cap, size_t *len)
{
    *len = 0;
    while (*len < cap) {
        ssize_t got = read(fd, out + *len, cap - *len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return E_IO;
        if (got == 0)
            return E_OK;
        *len += (size_t)got;
    }
    return E_CORRUPT; /* longer than any that we write */
}

static err_t digest(struct bytes data, uint8_t out[HASH_LEN_MAX])
{
    return hash_parts(HASH_SHA256, &data, 1, out);
}

static err_t load(const char *path, struct send_ledger *ledger)
{
    uint8_t data[FILE_LEN_MAX + 1], sum[HASH_LEN_MAX];
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? E_NOT_FOUND : from_errno();
    err_t err = read_all(fd, data, sizeof(data), &len);
    close(fd);
    if (err != E_OK)
        return err;
    if (len < DIGEST_LEN)
        return E_CORRUPT;
    struct bytes body = {data, len - DIGEST_LEN};
    err = digest(body, sum);
    if (err != E_OK)
        return err;
    if (memcmp(sum, data + body.len, DIGEST_LEN) != 0)
        return E_CORRUPT;
    return send_ledger_decode(ledger, body) == E_OK ? E_OK : E_CORRUPT;
}

err_t send_store_open(struct send_store *store, const char *path, struct send_ledger *ledger)
{
    char lock_path[SEND_STORE_PATH_MAX + 8];
    store->lock = -1;
    if (strlen(path) >= sizeof(store->path))
        return E_RANGE;
    snprintf(store->path, sizeof(store->path), "%s", path);
    snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
    store->lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0)
        return from_errno();
    err_t err = flock(store->lock, LOCK_EX | LOCK_NB) == 0 ? E_OK : E_EXISTS;
    memset(ledger, 0, sizeof(*ledger));
    ledger->kept = true;
    if (err == E_OK)
        err = load(path, ledger);
    if (err == E_NOT_FOUND)
        err = send_store_write(store, ledger); /* can it be written at all? */
    if (err != E_OK)
        send_store_close(store);
    return err;
}

err_t send_store_write(struct send_store *store, const struct send_ledger *ledger)
{
    uint8_t data[FILE_LEN_MAX], sum[HASH_LEN_MAX];
    struct writer w = writer_over(data, sizeof(data));
    send_ledger_encode(&w, ledger);
    err_t err = writer_end(&w);
    if (err == E_OK)
        err = digest(writer_bytes(&w), sum);
    if (err != E_OK)
        return err;
    write_bytes(&w, (struct bytes){sum, DIGEST_LEN});
    return file_save(store->path, writer_bytes(&w), NULL);
}

void send_store_close(struct send_store *store)
{
    if (store->lock >= 0)
        close(store->lock);
    store->lock = -1;
}

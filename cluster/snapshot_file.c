#include "cluster/snapshot_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/crc32c.h"

static const uint8_t snapshot_magic[8] = {'Q', 'R', 'T', 'S', 'N', 'A', 'P', '1'};
static const char prefix[] = "snapshot-";
enum {
    HEAD_MAX = 8 + 8 + 8 + 8 + 2 + SNAPSHOT_CONF_MAX,
    TAIL_LEN = 8 + 4, /* length of the file u64, CRC-32C u32 of all before */
    DIGITS = 20,
};
static const uint64_t snapshot_len_max = (uint64_t)1 << 34;

static err_t file_name(char out[DISK_PATH_MAX], const char *dir, uint64_t index, const char *suffix)
{
    int len = snprintf(out, DISK_PATH_MAX, "%s/%s%020" PRIu64 "%s", dir, prefix, index, suffix);
    return len < DISK_PATH_MAX ? E_OK : E_LIMIT;
}

static void put(struct snapshot_writer *w, struct bytes data)
{
    if (w->err != E_OK)
        return;
    w->crc = crc32c(w->crc, data);
    w->err = disk_write(w->disk, w->fd, data, (off_t)w->at);
    w->at += data.len;
}

err_t snapshot_writer_open(struct snapshot_writer *w, const char *dir, const struct disk *disk,
                           const struct snapshot_meta *meta)
{
    *w = (struct snapshot_writer){.disk = disk, .fd = -1, .index = meta->index};
    int len = snprintf(w->dir, sizeof(w->dir), "%s", dir);
    char path[DISK_PATH_MAX];
    if (len >= (int)sizeof(w->dir) || file_name(path, dir, meta->index, ".tmp") != E_OK)
        return E_LIMIT;
    w->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->fd < 0)
        return disk_err(errno);
    uint8_t buf[HEAD_MAX];
    struct writer head = writer_over(buf, sizeof(buf));
    write_bytes(&head, BYTES_OF(snapshot_magic));
    write_u64(&head, meta->index);
    write_u64(&head, meta->term);
    write_u64(&head, meta->conf_index);
    write_u16(&head, meta->conf_len);
    write_bytes(&head, (struct bytes){meta->conf, meta->conf_len});
    put(w, writer_bytes(&head));
    return w->err;
}

err_t snapshot_writer_chunk(void *writer, struct bytes chunk)
{
    struct snapshot_writer *w = writer;
    put(w, chunk);
    return w->err;
}

err_t snapshot_writer_close(struct snapshot_writer *w)
{
    char path[DISK_PATH_MAX], temporary[DISK_PATH_MAX];
    if (w->fd < 0)
        return w->err;
    uint8_t buf[TAIL_LEN];
    struct writer tail = writer_over(buf, sizeof(buf));
    write_u64(&tail, w->at + TAIL_LEN); /* the file's length: a file that was cut shows at once */
    put(w, writer_bytes(&tail));
    tail = writer_over(buf, sizeof(buf));
    write_u32(&tail, w->crc);
    put(w, writer_bytes(&tail));
    if (w->err == E_OK)
        w->err = disk_sync(w->disk, w->fd);
    if (close(w->fd) != 0 && w->err == E_OK)
        w->err = disk_err(errno);
    w->fd = -1;
    err_t err = file_name(path, w->dir, w->index, "");
    if (err == E_OK)
        err = file_name(temporary, w->dir, w->index, ".tmp");
    if (err != E_OK)
        return err;
    if (w->err == E_OK && rename(temporary, path) != 0)
        w->err = disk_err(errno);
    if (w->err != E_OK) {
        unlink(temporary);
        return w->err;
    }
    w->err = disk_sync_dir(w->dir);
    return w->err;
}

static bool index_of(const char *name, uint64_t *index, bool *left_over)
{
    size_t len = strlen(name), fixed = sizeof(prefix) - 1;
    if (len < fixed + DIGITS || strncmp(name, prefix, fixed) != 0 ||
        strspn(name + fixed, "0123456789") != DIGITS)
        return false;
    *left_over = strcmp(name + fixed + DIGITS, ".tmp") == 0;
    *index = strtoull(name + fixed, NULL, 10);
    return *left_over || len == fixed + DIGITS;
}

/* The highest index in the directory, leftovers removed, and with them what lies below 'below'. */
static err_t scan(const char *path, uint64_t below, uint64_t *newest)
{
    *newest = 0;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return disk_err(errno);
    err_t err = E_OK;
    for (struct dirent *entry; err == E_OK && (entry = readdir(dir)) != NULL;) {
        uint64_t index;
        bool left_over;
        if (!index_of(entry->d_name, &index, &left_over))
            continue;
        if ((left_over && below == 0) || (!left_over && index < below)) {
            if (unlinkat(dirfd(dir), entry->d_name, 0) != 0)
                err = disk_err(errno);
        } else if (!left_over && index > *newest) {
            *newest = index;
        }
    }
    closedir(dir);
    return err;
}

static err_t parse(struct bytes file, uint64_t index, struct snapshot_meta *meta, struct bytes *stream)
{
    if (file.len < TAIL_LEN)
        return E_CORRUPT;
    struct reader tail = reader_over(bytes_slice(file, file.len - TAIL_LEN, TAIL_LEN));
    uint64_t len = read_u64(&tail);
    if (len != file.len || read_u32(&tail) != crc32c(0, bytes_slice(file, 0, file.len - 4)))
        return E_CORRUPT;
    struct reader r = reader_over(bytes_slice(file, 0, file.len - TAIL_LEN));
    struct bytes magic = read_bytes(&r, sizeof(snapshot_magic));
    meta->index = read_u64(&r);
    meta->term = read_u64(&r);
    meta->conf_index = read_u64(&r);
    meta->conf_len = read_u16(&r);
    reader_require(&r, bytes_equal(magic, BYTES_OF(snapshot_magic)) && meta->conf_len <= SNAPSHOT_CONF_MAX);
    reader_require(&r, meta->index == index);
    if (r.err == E_OK)
        read_into(&r, meta->conf, meta->conf_len);
    *stream = read_rest(&r);
    return r.err == E_OK ? E_OK : E_CORRUPT;
}

err_t snapshot_load(const char *dir, struct snapshot_meta *meta, uint8_t **data, struct bytes *stream,
                    char file[DISK_PATH_MAX])
{
    uint64_t newest;
    size_t len;
    *data = NULL;
    *stream = (struct bytes){0};
    file[0] = '\0';
    err_t err = scan(dir, 0, &newest);
    if (err != E_OK)
        return err;
    if (newest == 0)
        return E_NOT_FOUND;
    err = file_name(file, dir, newest, "");
    if (err == E_OK)
        err = disk_read(file, snapshot_len_max, data, &len);
    if (err == E_OK)
        err = parse((struct bytes){*data, len}, newest, meta, stream);
    if (err != E_OK) {
        free(*data);
        *data = NULL;
    }
    return err;
}

err_t snapshot_prune(const char *dir, uint64_t index)
{
    uint64_t newest;
    err_t err = scan(dir, index, &newest);
    return err == E_OK ? disk_sync_dir(dir) : err;
}

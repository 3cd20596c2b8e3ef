#include "cluster/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t real_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    (void)context;
    return pwrite(fd, data, len, at);
}

static int real_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

const struct disk disk_real = {real_pwrite, real_sync, NULL};

err_t disk_err(int errnum)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return E_FULL;
    case ENOENT:
        return E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_PERMISSION;
    case ENOMEM:
        return E_NO_MEMORY;
    default:
        return E_IO;
    }
}

err_t disk_path(char out[DISK_PATH_MAX], const char *dir, const char *name)
{
    int len = snprintf(out, DISK_PATH_MAX, "%s/%s", dir, name);
    return len > 0 && len < DISK_PATH_MAX ? E_OK : E_LIMIT;
}

err_t disk_write(const struct disk *disk, int fd, struct bytes data, off_t at)
{
    while (data.len > 0) {
        ssize_t done = disk->pwrite(disk->context, fd, data.data, data.len, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? disk_err(errno) : E_IO;
        data = (struct bytes){data.data + done, data.len - (size_t)done};
        at += done;
    }
    return E_OK;
}

err_t disk_sync(const struct disk *disk, int fd)
{
    return disk->sync(disk->context, fd) == 0 ? E_OK : disk_err(errno);
}

err_t disk_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return disk_err(errno);
    err_t err = fsync(fd) == 0 ? E_OK : disk_err(errno);
    close(fd);
    return err;
}

err_t disk_make_dir(const char *dir)
{
    if (mkdir(dir, 0700) == 0)
        return E_OK;
    if (errno != EEXIST)
        return disk_err(errno);
    struct stat st;
    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) ? E_OK : E_IO;
}

static err_t read_all(int fd, size_t max, uint8_t **out, size_t *out_len)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return E_IO;
    if ((uint64_t)st.st_size > max)
        return E_LIMIT;
    size_t len = (size_t)st.st_size, have = 0;
    uint8_t *data = malloc(len + 1);
    if (data == NULL)
        return E_NO_MEMORY;
    while (have < len) {
        ssize_t got = pread(fd, data + have, len - have, (off_t)have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            free(data);
            return E_IO;
        }
        have += (size_t)got;
    }
    *out = data;
    *out_len = len;
    return E_OK;
}

err_t disk_read(const char *path, size_t max, uint8_t **out, size_t *out_len)
{
    *out = NULL;
    *out_len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return disk_err(errno);
    err_t err = read_all(fd, max, out, out_len);
    close(fd);
    return err;
}

err_t disk_replace(const struct disk *disk, const char *dir, const char *name, struct bytes content)
{
    char path[DISK_PATH_MAX], temporary[DISK_PATH_MAX];
    err_t err = disk_path(path, dir, name);
    int len = snprintf(temporary, sizeof(temporary), "%s/%s.tmp", dir, name);
    if (err != E_OK || len >= (int)sizeof(temporary))
        return E_LIMIT;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return disk_err(errno);
    err = disk_write(disk, fd, content, 0);
    if (err == E_OK)
        err = disk_sync(disk, fd);
    if (close(fd) != 0 && err == E_OK)
        err = disk_err(errno);
    if (err == E_OK && rename(temporary, path) != 0)
        err = disk_err(errno);
    if (err != E_OK) {
        unlink(temporary);
        return err;
    }
    return disk_sync_dir(dir);
}

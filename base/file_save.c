#include "base/file_save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static err_t from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return E_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_PERMISSION;
    default:
        return E_IO;
    }
}

static bool write_all(int fd, struct bytes content)
{
    for (size_t at = 0; at < content.len;) {
        ssize_t done = write(fd, content.data + at, content.len - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += (size_t)done;
    }
    return true;
}

/* errno is that of what failed first. */
static err_t undo(const char *beside)
{
    int why = errno;
    (void)unlink(beside);
    errno = why;
    return from_errno();
}

err_t file_save_beside(const char *path, struct bytes content, const gid_t *readers,
                       char beside[FILE_SAVE_PATH_MAX])
{
    if (snprintf(beside, FILE_SAVE_PATH_MAX, "%s.new", path) >= FILE_SAVE_PATH_MAX) {
        errno = ENAMETOOLONG;
        return E_LIMIT;
    }
    (void)unlink(beside); /* what an interrupted run left behind, and a link that somebody put there */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return from_errno();
    bool good =
        readers == NULL || (fchown(fd, 0, *readers) == 0 && fchmod(fd, S_IRUSR | S_IWUSR | S_IRGRP) == 0);
    good = good && write_all(fd, content) && fsync(fd) == 0;
    int why = errno;
    if (close(fd) == 0)
        errno = why;
    else
        good = false;
    return good ? E_OK : undo(beside);
}

/* The new name must last too. A file system that syncs no directories says EINVAL: it does what it does. */
static err_t sync_directory(const char *path)
{
    char directory[FILE_SAVE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : slash == path ? 1 : (int)(slash - path);
    snprintf(directory, sizeof(directory), "%.*s", slash == NULL ? 1 : len, slash == NULL ? "." : path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return from_errno();
    err_t err = fsync(fd) == 0 || errno == EINVAL ? E_OK : from_errno();
    int why = errno;
    close(fd);
    errno = why;
    return err;
}

err_t file_save_rename(const char *beside, const char *path)
{
    return rename(beside, path) == 0 ? sync_directory(path) : undo(beside);
}

err_t file_save(const char *path, struct bytes content, const gid_t *readers)
{
    char beside[FILE_SAVE_PATH_MAX];
    err_t err = file_save_beside(path, content, readers, beside);
    return err == E_OK ? file_save_rename(beside, path) : err;
}

/* disk.h - the few disk operations of this floor, behind a table so that a test can make them fail, and small
 * files written whole or not at all. Blocking: for start-up and pool threads. */
#ifndef CLUSTER_DISK_H
#define CLUSTER_DISK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/wire.h"

enum { DISK_PATH_MAX = 4096 };

struct disk {
    ssize_t (*pwrite)(void *context, int fd, const void *data, size_t len, off_t at);
    int (*sync)(void *context, int fd); /* data and what is needed to find it: fdatasync */
    void *context;
};

extern const struct disk disk_real;

/* errno as ours: ENOSPC, EDQUOT and EFBIG are E_FULL; ENOENT E_NOT_FOUND; EACCES, EPERM, EROFS E_PERMISSION; else
 * E_IO. */
err_t disk_err(int errnum);
/* dir/name; E_LIMIT if it does not fit. */
err_t disk_path(char out[DISK_PATH_MAX], const char *dir, const char *name) MUST_USE;
/* All of it at that offset, resuming short writes. */
err_t disk_write(const struct disk *disk, int fd, struct bytes data, off_t at) MUST_USE;
err_t disk_sync(const struct disk *disk, int fd) MUST_USE;
err_t disk_sync_dir(const char *dir) MUST_USE;
/* A directory of mode 0700, made if absent; its parent must exist. */
err_t disk_make_dir(const char *dir) MUST_USE;
/* The whole file (heap, the caller frees), at most max octets (E_LIMIT). E_NOT_FOUND. */
err_t disk_read(const char *path, size_t max, uint8_t **out, size_t *out_len) MUST_USE;
/* dir/name holds the old content or the new one, after a crash at any moment: NAME.tmp, sync, rename, sync of
 * the directory. Mode 0600. */
err_t disk_replace(const struct disk *disk, const char *dir, const char *name, struct bytes content) MUST_USE;

#endif

/* file_save.h - a file is written beside its place and renamed into it: after a crash at any moment the name
 * has the old content or the new one, whole. Blocking; for small files at start-up, of commands and of rare
 * events. All errors have errno: E_LIMIT, the path is too long; E_PERMISSION; E_FULL, the disk, a quota or a
 * limit of the process is; E_IO, all else. The caller owns what it gives. */
#ifndef BASE_FILE_SAVE_H
#define BASE_FILE_SAVE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/wire.h"

enum { FILE_SAVE_PATH_MAX = 4096 }; /* bytes with NUL, of PATH.new */

/* On the disk when it returns E_OK. readers: a group that may read it, the file is then root's and of mode
 * 0640; NULL: mode 0600. After an error path is as it was, and PATH.new, which an interrupted run may have
 * left, is gone; but if only the directory could not be synced, path has the new content, which may not last.
 */
err_t file_save(const char *path, struct bytes content, const gid_t *readers) MUST_USE;

/* The same in two steps, for who looks at the new file first. Its name is then in beside; an unlink takes it
 * back. */
err_t file_save_beside(const char *path, struct bytes content, const gid_t *readers,
                       char beside[FILE_SAVE_PATH_MAX]) MUST_USE;
err_t file_save_rename(const char *beside, const char *path) MUST_USE;

#endif

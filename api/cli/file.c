#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/ksctl.h"

enum { FILE_NAME_MAX = 4096 };

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        data += done;
        len -= (size_t)done;
    }
    return fsync(fd) == 0;
}

/* The new name is on disk too, as far as the file system tells. */
static void sync_dir(const char *file)
{
    char dir[FILE_NAME_MAX];
    const char *slash = strrchr(file, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - file);
    if (slash == file)
        len = 1;
    memcpy(dir, slash == NULL ? "." : file, len > 0 ? len : 1);
    dir[len > 0 ? len : 1] = '\0';
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

bool file_save(const char *file, const void *data, size_t len)
{
    char name[FILE_NAME_MAX];
    if (snprintf(name, sizeof(name), "%s.new", file) >= (int)sizeof(name)) {
        fprintf(stderr, "ksctl: a name is too long\n");
        return false;
    }
    (void)unlink(name); /* what an interrupted run left behind */
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool good = fd >= 0 && write_all(fd, data, len);
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (good && rename(name, file) == 0) {
        sync_dir(file);
        return true;
    }
    fprintf(stderr, "ksctl: %s: %s\n", file, strerror(errno));
    if (fd >= 0)
        (void)unlink(name);
    return false;
}

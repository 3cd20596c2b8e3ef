/* disk.c - struct disk over real files, with a memory of what no sync has covered: when the power goes, such
 * a write is lost, kept, or torn at some octet. Renames are durable at once, since the product syncs the
 * directory behind each. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/product/sim.h"

static uint64_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void undo_free(struct sim_undo *u)
{
    close(u->fd);
    free(u->old);
    free(u);
}

/* Where a file is opened for writing only, a second descriptor reads what is there. */
static ssize_t pread_any(int fd, void *out, size_t len, off_t at)
{
    ssize_t had = pread(fd, out, len, at);
    if (had >= 0)
        return had;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    had = again >= 0 ? pread(again, out, len, at) : -1;
    if (again >= 0)
        close(again);
    return had;
}

static void remember(struct sim_disk *disk, int fd, size_t len, off_t at)
{
    struct sim_undo *u = sim_alloc(sizeof(*u));
    u->fd = dup(fd);
    u->inode = inode_of(fd);
    u->at = (uint64_t)at;
    u->len = len;
    u->old = sim_alloc(len);
    ssize_t had = pread_any(fd, u->old, len, at);
    u->had = had > 0 ? (size_t)had : 0;
    u->next = disk->undo;
    disk->undo = u;
}

/* True: this operation is the one in which the process dies. */
static bool dies(struct sim_disk *disk)
{
    if (disk->crash_after < 0 || disk->crash_after-- > 0)
        return false;
    disk->dead = true;
    return true;
}

static ssize_t sim_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct sim_disk *disk = context;
    if (disk->dead) {
        errno = EIO;
        return -1;
    }
    if (disk->fails != 0) {
        disk->sim->counts.refused_disk++;
        errno = disk->fails;
        return -1;
    }
    if (dies(disk)) {
        size_t part = sim_below(disk->sim, (uint32_t)len + 1);
        remember(disk, fd, len, at);
        ssize_t done = part > 0 ? pwrite(fd, data, part, at) : 0;
        (void)done;
        errno = EIO;
        return -1;
    }
    remember(disk, fd, len, at);
    if (len > 1 && sim_chance(disk->sim, 20)) /* a short write */
        len = 1 + sim_below(disk->sim, (uint32_t)len - 1);
    return pwrite(fd, data, len, at);
}

static int sim_sync(void *context, int fd)
{
    struct sim_disk *disk = context;
    if (disk->dead || disk->fails == EIO || dies(disk)) {
        errno = EIO;
        return -1;
    }
    uint64_t inode = inode_of(fd);
    for (struct sim_undo **at = &disk->undo; *at != NULL;) {
        struct sim_undo *u = *at;
        if (u->inode != inode) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        undo_free(u);
    }
    return 0;
}

void sim_disk_init(struct sim_disk *disk, struct sim *sim)
{
    *disk = (struct sim_disk){.sim = sim, .crash_after = -1};
    disk->ops = (struct disk){sim_pwrite, sim_sync, disk};
}

/* Newest first: each is as it was before, from some octet on. */
void sim_disk_lose(struct sim_disk *disk)
{
    while (disk->undo != NULL) {
        struct sim_undo *u = disk->undo;
        disk->undo = u->next;
        uint32_t fate = sim_below(disk->sim, 3);
        size_t keep = fate == 0 ? 0 : fate == 1 ? u->len : sim_below(disk->sim, (uint32_t)u->len + 1);
        /* Beyond the old end of the file there were no octets: zeros, as a hole reads. */
        if (keep < u->len && pwrite(u->fd, u->old + keep, u->len - keep, (off_t)(u->at + keep)) < 0)
            abort();
        undo_free(u);
    }
}

void sim_disk_close(struct sim_disk *disk)
{
    while (disk->undo != NULL) {
        struct sim_undo *u = disk->undo;
        disk->undo = u->next;
        undo_free(u);
    }
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void sim_remove_tree(const char *dir)
{
    if (dir[0] != '\0')
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

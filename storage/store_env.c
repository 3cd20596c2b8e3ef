#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/store_internal.h"

/* LMDB without sync survives the death of the process, since the kernel has the pages, but not that of the
 * machine: then it may even be damaged (RAFT.md 4). So a marker with the boot's id lies beside it while it is
 * open. Found under another boot's id, the files are thrown away and filled again from snapshot and log. */
enum { BOOT_ID_MAX = 64 };
static const char boot_id_file[] = "/proc/sys/kernel/random/boot_id";
static const char marker_name[] = "open-in-boot";

err_t store_err(int rc)
{
    switch (rc) {
    case 0:
        return E_OK;
    case MDB_NOTFOUND:
        return E_NOT_FOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
        return E_FULL;
    case ENOMEM:
        return E_NO_MEMORY;
    case EACCES:
    case EPERM:
        return E_PERMISSION;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_PANIC:
        return E_CORRUPT;
    case MDB_READERS_FULL:
        return E_LIMIT;
    default:
        return E_IO;
    }
}

static err_t path_in(const struct store *store, const char *name, char out[STORE_PATH_MAX])
{
    int len = snprintf(out, STORE_PATH_MAX, "%s/%s", store->dir, name);
    return len > 0 && len < STORE_PATH_MAX ? E_OK : E_LIMIT;
}

/* Text of a small file without its line end; empty if it cannot be read. */
static void read_text(const char *path, char out[BOOT_ID_MAX])
{
    memset(out, 0, BOOT_ID_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read(fd, out, BOOT_ID_MAX - 1);
    close(fd);
    out[len > 0 ? len : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static err_t sync_dir(const struct store *store)
{
    int fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return store_err(errno);
    err_t err = fsync(fd) == 0 ? E_OK : E_IO;
    close(fd);
    return err;
}

static err_t marker_write(const struct store *store, const char *boot)
{
    char path[STORE_PATH_MAX];
    err_t err = path_in(store, marker_name, path);
    if (err != E_OK)
        return err;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return store_err(errno);
    size_t len = strlen(boot);
    errno = 0;
    if (write(fd, boot, len) != (ssize_t)len || fsync(fd) != 0)
        err = errno == ENOSPC ? E_FULL : E_IO;
    close(fd);
    return err == E_OK ? sync_dir(store) : err;
}

static err_t unlink_files(const struct store *store)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[STORE_PATH_MAX];
        err_t err = path_in(store, names[i], path);
        if (err == E_OK && unlink(path) != 0 && errno != ENOENT)
            err = store_err(errno);
        if (err != E_OK)
            return err;
    }
    return E_OK;
}

/* Is what lies there of this boot, or closed in order? */
static err_t trustworthy(const struct store *store, const char *boot, bool *out)
{
    char path[STORE_PATH_MAX], writer[BOOT_ID_MAX];
    err_t err = path_in(store, marker_name, path);
    if (err != E_OK)
        return err;
    if (access(path, F_OK) != 0) {
        *out = errno == ENOENT;
        return E_OK;
    }
    read_text(path, writer);
    *out = boot[0] != '\0' && strcmp(writer, boot) == 0;
    return E_OK;
}

static err_t env_open(struct store *store)
{
    int rc = mdb_env_create(&store->env);
    if (rc != 0)
        return store_err(rc);
    rc = mdb_env_set_maxdbs(store->env, STORE_TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(store->env, STORE_READER_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, store->map_len);
    if (rc == 0)
        rc = mdb_env_open(store->env, store->dir, MDB_NOSYNC | MDB_NOTLS, 0600);
    err_t err = store_err(rc);
    if (err == E_OK) {
        int dead;
        mdb_reader_check(store->env, &dead); /* slots of a process that was killed */
        MDB_envinfo info;
        mdb_env_info(store->env, &info);
        store->map_len = info.me_mapsize;
        err = store_open_tables(store);
    }
    if (err != E_OK) {
        mdb_env_close(store->env);
        store->env = NULL;
    }
    return err;
}

static err_t open_or_rebuild(struct store *store, bool *rebuilt)
{
    char boot[BOOT_ID_MAX];
    read_text(boot_id_file, boot);
    bool good = false;
    err_t err = trustworthy(store, boot, &good);
    if (err == E_OK && !good) {
        *rebuilt = true;
        err = unlink_files(store);
    }
    if (err == E_OK)
        err = marker_write(store, boot);
    if (err == E_OK)
        err = env_open(store);
    if (err != E_CORRUPT)
        return err;
    *rebuilt = true;
    err = unlink_files(store);
    return err == E_OK ? env_open(store) : err;
}

err_t store_open(struct store **out, const char *dir, bool *rebuilt)
{
    *out = NULL;
    *rebuilt = false;
    struct store *store = calloc(1, sizeof(*store));
    if (store == NULL)
        return E_NO_MEMORY;
    store->map_len = STORE_MAP_FIRST;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->idle, NULL);
    int len = snprintf(store->dir, sizeof(store->dir), "%s", dir);
    err_t err = len > 0 && (size_t)len < sizeof(store->dir) ? open_or_rebuild(store, rebuilt) : E_LIMIT;
    if (err != E_OK) {
        pthread_cond_destroy(&store->idle);
        pthread_mutex_destroy(&store->lock);
        free(store);
        return err;
    }
    *out = store;
    return E_OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    int rc = mdb_env_sync(store->env, 1);
    mdb_env_close(store->env);
    char path[STORE_PATH_MAX];
    if (rc == 0 && path_in(store, marker_name, path) == E_OK && unlink(path) == 0)
        (void)sync_dir(store); /* if the removal is lost the files are only rebuilt once more */
    pthread_cond_destroy(&store->idle);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

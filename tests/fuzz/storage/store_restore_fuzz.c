/* The snapshot stream: as it is, and with its checksum put right so that the inside is reached. Whatever it
 * is, the store stays usable, and a refused stream changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/crc32c.h"
#include "storage/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;
static char dir[] = "/tmp/restore-fuzz-XXXXXX";

static void remove_store(void)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "open-in-boot"};
    store_close(store);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void make_store(void)
{
    bool rebuilt;
    must(mkdtemp(dir) != NULL && store_open(&store, dir, &rebuilt) == E_OK);
    atexit(remove_store);
}

static void mark(void)
{
    struct store_txn *txn;
    must(store_begin_write(store, &txn) == E_OK);
    store_put(txn, TABLE_GROUP, bytes_of_text("mark"), bytes_of_text("kept"));
    must(store_commit(txn) == E_OK);
}

static bool is_marked(void)
{
    struct store_txn *txn;
    struct bytes value;
    must(store_begin_read(store, &txn) == E_OK);
    err_t err = store_get(txn, TABLE_GROUP, bytes_of_text("mark"), &value);
    store_abort(txn);
    return err == E_OK;
}

static void restore(struct bytes stream)
{
    err_t err = store_restore(store, stream);
    must(err == E_OK || err == E_CORRUPT);
    must(err == E_OK || is_marked());
    if (err == E_OK)
        mark();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (store == NULL) {
        make_store();
        mark();
    }
    restore((struct bytes){data, size});
    if (size < 4)
        return 0;
    uint8_t *fixed = malloc(size);
    must(fixed != NULL);
    memcpy(fixed, data, size - 4);
    struct writer w = writer_over(fixed + size - 4, 4);
    write_u32(&w, crc32c(0, (struct bytes){fixed, size - 4}));
    restore((struct bytes){fixed, size});
    free(fixed);
    return 0;
}

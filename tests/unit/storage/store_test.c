#include "storage/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

struct disk_dir {
    char path[64];
};

static int setup(void **state)
{
    struct disk_dir *d = calloc(1, sizeof(*d));
    strcpy(d->path, "/tmp/store-test-XXXXXX");
    *state = d;
    return mkdtemp(d->path) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    struct disk_dir *d = *state;
    test_remove_tree(d->path);
    free(d);
    return 0;
}

static struct store *open_store(const struct disk_dir *d, bool want_rebuilt)
{
    struct store *store;
    bool rebuilt;
    assert_ok(store_open(&store, d->path, &rebuilt));
    assert_int_equal(rebuilt, want_rebuilt);
    return store;
}

static void put(struct store *store, const char *key, const char *value, uint64_t index)
{
    struct store_txn *txn;
    assert_ok(store_begin_write(store, &txn));
    store_put(txn, TABLE_GROUP, bytes_of_text(key), bytes_of_text(value));
    store_set_applied(txn, index, 3);
    assert_ok(store_commit(txn));
}

static void assert_value(struct store *store, const char *key, const char *value)
{
    struct store_txn *txn;
    struct bytes got;
    assert_ok(store_begin_read(store, &txn));
    err_t err = store_get(txn, TABLE_GROUP, bytes_of_text(key), &got);
    assert_int_equal(err, value != NULL ? E_OK : E_NOT_FOUND);
    if (value != NULL)
        assert_true(bytes_equal(got, bytes_of_text(value)));
    assert_ok(store_error(txn));
    assert_ok(store_commit(txn));
}

static uint64_t applied(struct store *store)
{
    struct store_txn *txn;
    uint64_t index, term;
    assert_ok(store_begin_read(store, &txn));
    assert_ok(store_applied(txn, &index, &term));
    store_abort(txn);
    return index;
}

static void rows_and_the_applied_index_survive_together(void **state)
{
    struct store *store = open_store(*state, false);
    put(store, "a", "one", 5);
    struct store_txn *txn;
    assert_ok(store_begin_write(store, &txn));
    store_put(txn, TABLE_GROUP, bytes_of_text("a"), bytes_of_text("two"));
    store_delete(txn, TABLE_GROUP, bytes_of_text("not there"));
    store_set_applied(txn, 6, 3);
    store_abort(txn);
    assert_value(store, "a", "one");
    store_close(store);
    store = open_store(*state, false);
    assert_value(store, "a", "one");
    assert_int_equal(applied(store), 5);
    store_close(store);
}

static void a_reader_sees_the_moment_at_which_it_began(void **state)
{
    struct store *store = open_store(*state, false);
    put(store, "a", "one", 1);
    struct store_txn *old;
    struct bytes got;
    assert_ok(store_begin_read(store, &old));
    put(store, "a", "two", 2);
    assert_ok(store_get(old, TABLE_GROUP, bytes_of_text("a"), &got));
    assert_true(bytes_equal(got, bytes_of_text("one")));
    store_abort(old);
    assert_value(store, "a", "two");
    store_close(store);
}

static void write_marker(const struct disk_dir *d, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/open-in-boot", d->path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void files_of_another_boot_are_made_anew(void **state)
{
    struct store *store = open_store(*state, false);
    put(store, "a", "one", 5);
    store_close(store);
    write_marker(*state, "00000000-0000-0000-0000-000000000000");
    store = open_store(*state, true);
    assert_value(store, "a", NULL);
    assert_int_equal(applied(store), 0);
    store_close(store);
}

static void files_left_by_a_killed_process_of_this_boot_are_kept(void **state)
{
    const struct disk_dir *d = *state;
    char boot[64] = "";
    struct store *store = open_store(d, false);
    put(store, "a", "one", 5);
    store_close(store);
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (f == NULL)
        skip();
    assert_non_null(fgets(boot, sizeof(boot), f));
    fclose(f);
    boot[strcspn(boot, "\n")] = '\0';
    write_marker(d, boot);
    store = open_store(d, false);
    assert_value(store, "a", "one");
    store_close(store);
}

static void damaged_files_are_made_anew(void **state)
{
    const struct disk_dir *d = *state;
    struct store *store = open_store(d, false);
    put(store, "a", "one", 5);
    store_close(store);
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", d->path);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    uint8_t junk[8192];
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
    close(fd);
    store = open_store(d, true);
    assert_int_equal(applied(store), 0);
    put(store, "b", "new", 1);
    assert_value(store, "b", "new");
    store_close(store);
}

static bool collect(void *context, struct bytes key, struct bytes value)
{
    char *out = context;
    (void)value;
    strncat(out, (const char *)key.data, key.len);
    return strlen(out) < 3;
}

static void rows_come_in_order_from_the_first_wanted_until_told_to_stop(void **state)
{
    struct store *store = open_store(*state, false);
    const char *const keys[] = {"d", "a", "c", "b", "e"};
    for (size_t i = 0; i < 5; i++)
        put(store, keys[i], "x", i + 1);
    struct store_txn *txn;
    char seen[16] = "";
    assert_ok(store_begin_read(store, &txn));
    assert_ok(store_each(txn, TABLE_GROUP, bytes_of_text("b"), collect, seen));
    assert_string_equal(seen, "bcd");
    seen[0] = '\0';
    assert_ok(store_each(txn, TABLE_GROUP, bytes_of_text("zz"), collect, seen));
    assert_string_equal(seen, "");
    store_abort(txn);
    store_close(store);
}

struct stream {
    uint8_t *data;
    size_t len;
    size_t chunks;
};

static err_t gather(void *context, struct bytes chunk)
{
    struct stream *s = context;
    assert_true(chunk.len <= STORE_CHUNK_MAX);
    s->data = realloc(s->data, s->len + chunk.len);
    memcpy(s->data + s->len, chunk.data, chunk.len);
    s->len += chunk.len;
    s->chunks++;
    return E_OK;
}

static struct stream dump(struct store *store)
{
    struct stream s = {0};
    struct store_txn *txn;
    assert_ok(store_begin_read(store, &txn));
    assert_ok(store_dump(txn, gather, &s));
    store_abort(txn);
    return s;
}

static void fill(struct store *store, unsigned rows, size_t value_len)
{
    uint8_t *value = malloc(value_len);
    memset(value, 0x5a, value_len);
    struct store_txn *txn;
    assert_ok(store_begin_write(store, &txn));
    for (unsigned i = 0; i < rows; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", i);
        value[0] = (uint8_t)i;
        store_put(txn, i % 2 ? TABLE_MEMBER : TABLE_REKEY, bytes_of_text(key),
                  (struct bytes){value, value_len});
    }
    store_set_applied(txn, 77, 4);
    assert_ok(store_commit(txn));
    free(value);
}

static void a_snapshot_restores_every_row_and_nothing_else(void **state)
{
    struct store *store = open_store(*state, false);
    fill(store, 3000, 900);
    struct stream before = dump(store);
    assert_true(before.chunks > 2);
    put(store, "later", "goes away", 99);
    assert_ok(store_restore(store, (struct bytes){before.data, before.len}));
    assert_int_equal(applied(store), 77);
    assert_value(store, "later", NULL);
    struct stream after = dump(store);
    assert_int_equal(after.len, before.len);
    assert_memory_equal(after.data, before.data, before.len);
    free(before.data);
    free(after.data);
    store_close(store);
    store = open_store(*state, false);
    assert_int_equal(applied(store), 77);
    store_close(store);
}

static void a_damaged_snapshot_changes_nothing(void **state)
{
    struct store *store = open_store(*state, false);
    fill(store, 20, 50);
    struct stream s = dump(store);
    put(store, "a", "kept", 80);
    for (size_t i = 0; i < s.len; i++) {
        s.data[i] ^= 0x10;
        assert_err(store_restore(store, (struct bytes){s.data, s.len}), E_CORRUPT);
        s.data[i] ^= 0x10;
        assert_err(store_restore(store, (struct bytes){s.data, i}), E_CORRUPT);
    }
    assert_value(store, "a", "kept");
    assert_int_equal(applied(store), 80);
    free(s.data);
    store_close(store);
}

static void the_map_grows_while_a_transaction_is_under_way(void **state)
{
    struct store *store = open_store(*state, false);
    /* 300 MB into a map of 256: the transaction is done again in a larger one, and nobody notices. */
    enum { ROWS = 300, LEN = 1 << 20 };
    put(store, "a", "before", 1);
    fill(store, ROWS, LEN);
    assert_int_equal(applied(store), 77);
    assert_value(store, "a", "before");
    struct store_txn *txn;
    struct bytes got;
    assert_ok(store_begin_read(store, &txn));
    for (unsigned i = 0; i < ROWS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", i);
        assert_ok(store_get(txn, i % 2 ? TABLE_MEMBER : TABLE_REKEY, bytes_of_text(key), &got));
        assert_int_equal(got.len, LEN);
        assert_int_equal(got.data[0], (uint8_t)i);
    }
    store_abort(txn);
    store_close(store);
}

static void a_row_that_could_not_be_made_fails_the_transaction(void **state)
{
    struct disk_dir *d = *state;
    struct store *store = open_store(d, false);
    struct store_txn *txn;
    put(store, "a", "1", 1);
    assert_ok(store_begin_write(store, &txn));
    store_put(txn, TABLE_GROUP, bytes_of_text("a"), bytes_of_text("2"));
    store_fail(txn, E_LIMIT);
    store_fail(txn, E_IO); /* the first one counts */
    store_put(txn, TABLE_GROUP, bytes_of_text("b"), bytes_of_text("2"));
    assert_err(store_commit(txn), E_LIMIT);
    assert_value(store, "a", "1");
    assert_value(store, "b", NULL);
    store_close(store);
}

static void a_failed_allocation_fails_the_transaction_and_changes_nothing(void **state)
{
    struct store *store = open_store(*state, false);
    put(store, "a", "one", 1);
    bool hit = true;
    for (long n = 0; hit && n < 1000; n++) {
        struct store_txn *txn;
        heap_fault_after(n);
        err_t err = store_begin_write(store, &txn);
        if (err == E_OK) {
            store_put(txn, TABLE_GROUP, bytes_of_text("a"), bytes_of_text("two"));
            store_set_applied(txn, 2, 1);
            err = store_commit(txn);
        }
        hit = heap_fault_hit();
        heap_fault_after(-1);
        assert_int_equal(err, hit ? E_NO_MEMORY : E_OK);
        assert_value(store, "a", hit ? "one" : "two");
    }
    assert_false(hit);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_and_the_applied_index_survive_together, setup, teardown),
        cmocka_unit_test_setup_teardown(a_reader_sees_the_moment_at_which_it_began, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_another_boot_are_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(files_left_by_a_killed_process_of_this_boot_are_kept, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_made_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_come_in_order_from_the_first_wanted_until_told_to_stop, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_restores_every_row_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_snapshot_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_map_grows_while_a_transaction_is_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_that_could_not_be_made_fails_the_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_allocation_fails_the_transaction_and_changes_nothing, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cluster/snapshot_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/snapshot-test-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    test_remove_tree(dir);
    return 0;
}

static struct snapshot_meta meta_at(uint64_t index)
{
    return (struct snapshot_meta){
        .index = index, .term = 7, .conf_index = 3, .conf_len = 4, .conf = {1, 2, 3, 4}};
}

static err_t write_snapshot(const struct disk *disk, uint64_t index, const char *text)
{
    struct snapshot_writer w;
    struct snapshot_meta meta = meta_at(index);
    err_t err = snapshot_writer_open(&w, dir, disk, &meta);
    for (const char *at = text; err == E_OK && *at != '\0'; at++)
        err = snapshot_writer_chunk(&w, (struct bytes){(const uint8_t *)at, 1});
    err_t closed = snapshot_writer_close(&w);
    return err != E_OK ? err : closed;
}

static err_t load(struct snapshot_meta *meta, char *text, size_t cap)
{
    uint8_t *data;
    struct bytes stream;
    char file[DISK_PATH_MAX];
    err_t err = snapshot_load(dir, meta, &data, &stream, file);
    if (err == E_OK) {
        assert_true(stream.len < cap);
        memcpy(text, stream.data, stream.len);
        text[stream.len] = '\0';
    }
    free(data);
    return err;
}

static void the_newest_snapshot_is_loaded_and_older_ones_go(void **state)
{
    (void)state;
    struct snapshot_meta meta;
    char text[64];
    assert_err(load(&meta, text, sizeof(text)), E_NOT_FOUND);
    assert_ok(write_snapshot(&disk_real, 9, "old"));
    assert_ok(write_snapshot(&disk_real, 100, "the state"));
    assert_ok(load(&meta, text, sizeof(text)));
    assert_string_equal(text, "the state");
    struct snapshot_meta want = meta_at(100);
    assert_int_equal(meta.index, 100);
    assert_int_equal(meta.term, 7);
    assert_int_equal(meta.conf_index, 3);
    assert_int_equal(meta.conf_len, 4);
    assert_memory_equal(meta.conf, want.conf, 4);
    assert_ok(snapshot_prune(dir, 100));
    char path[128];
    snprintf(path, sizeof(path), "%s/snapshot-%020d", dir, 9);
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(load(&meta, text, sizeof(text)));
}

static void an_unfinished_snapshot_is_swept_away_and_the_old_one_stands(void **state)
{
    (void)state;
    struct snapshot_writer w;
    struct snapshot_meta meta = meta_at(20);
    char text[64], path[128];
    assert_ok(write_snapshot(&disk_real, 10, "stands"));
    assert_ok(snapshot_writer_open(&w, dir, &disk_real, &meta));
    assert_ok(snapshot_writer_chunk(&w, bytes_of_text("half")));
    close(w.fd); /* the process dies here */
    assert_ok(load(&meta, text, sizeof(text)));
    assert_string_equal(text, "stands");
    snprintf(path, sizeof(path), "%s/snapshot-%020d.tmp", dir, 20);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_damaged_snapshot_is_refused_at_every_octet(void **state)
{
    (void)state;
    struct snapshot_meta meta;
    char text[64], path[128];
    uint8_t *data;
    size_t len;
    assert_ok(write_snapshot(&disk_real, 10, "stands"));
    snprintf(path, sizeof(path), "%s/snapshot-%020d", dir, 10);
    assert_ok(disk_read(path, 1 << 20, &data, &len));
    for (size_t at = 0; at < len; at++) {
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        uint8_t bad = data[at] ^ 0x20;
        assert_int_equal(pwrite(fd, &bad, 1, (off_t)at), 1);
        assert_err(load(&meta, text, sizeof(text)), E_CORRUPT);
        assert_int_equal(pwrite(fd, &data[at], 1, (off_t)at), 1);
        close(fd);
        assert_int_equal(truncate(path, (off_t)at), 0);
        assert_err(load(&meta, text, sizeof(text)), E_CORRUPT);
        fd = open(path, O_WRONLY);
        assert_int_equal(pwrite(fd, data, len, 0), len);
        close(fd);
    }
    assert_ok(load(&meta, text, sizeof(text)));
    free(data);
}

struct failing {
    struct disk disk;
    long good;
};

static ssize_t failing_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct failing *f = context;
    if (f->good-- > 0)
        return pwrite(fd, data, len, at);
    errno = ENOSPC;
    return -1;
}

static int failing_sync(void *context, int fd)
{
    struct failing *f = context;
    if (f->good-- > 0)
        return fdatasync(fd);
    errno = ENOSPC;
    return -1;
}

static void a_full_disk_leaves_the_old_snapshot(void **state)
{
    (void)state;
    struct snapshot_meta meta;
    char text[64];
    assert_ok(write_snapshot(&disk_real, 10, "stands"));
    for (long good = 0;; good++) {
        struct failing f = {.disk = {failing_pwrite, failing_sync, &f}, .good = good};
        err_t err = write_snapshot(&f.disk, 11, "new");
        if (err == E_OK) {
            assert_true(good > 4);
            break;
        }
        assert_err(err, E_FULL);
        assert_ok(load(&meta, text, sizeof(text)));
        assert_string_equal(text, "stands");
    }
    assert_ok(load(&meta, text, sizeof(text)));
    assert_string_equal(text, "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_snapshot_is_loaded_and_older_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_snapshot_is_swept_away_and_the_old_one_stands, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_damaged_snapshot_is_refused_at_every_octet, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_the_old_snapshot, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

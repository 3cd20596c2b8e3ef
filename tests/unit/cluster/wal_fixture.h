/* wal_fixture.h - a write-ahead log in a folder of its own, read back into a table of what lies where. */
#ifndef TESTS_UNIT_CLUSTER_WAL_FIXTURE_H
#define TESTS_UNIT_CLUSTER_WAL_FIXTURE_H

#include "cluster/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

enum { SEGMENT = 16384, SEEN_MAX = 4096 };

static const uint8_t node[NODE_ID_LEN] = {7, 7, 7};

/* The log as its reader sees it: what lies at each index, under which term, and the first octet of the data.
 */
struct seen {
    uint64_t first;
    uint64_t last; /* first - 1: empty */
    uint64_t term[SEEN_MAX];
    uint8_t mark[SEEN_MAX];
};

struct fixture {
    char dir[64];
    struct seen seen;
    struct wal_report report;
    struct wal *wal;
    struct wal_batch batch;
    const struct disk *disk;
};

static inline err_t see_entry(void *context, const struct wal_entry *entry)
{
    struct seen *s = context;
    if (s->first == 0)
        s->first = entry->index;
    else
        assert_true(entry->index <= s->last + 1);
    assert_true(entry->index < SEEN_MAX);
    s->last = entry->index;
    s->term[entry->index] = entry->term;
    s->mark[entry->index] = entry->data.len > 0 ? entry->data.data[0] : 0;
    return E_OK;
}

static inline err_t see_reset(void *context, uint64_t next_index)
{
    struct seen *s = context;
    s->first = next_index;
    s->last = next_index - 1;
    return E_OK;
}

static inline err_t see_truncate(void *context, uint64_t index)
{
    struct seen *s = context;
    if (index <= s->last)
        s->last = index - 1;
    return E_OK;
}

/* Writes without waiting, for tests that play a crash by changing files themselves. */
static inline ssize_t quick_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    (void)context;
    return pwrite(fd, data, len, at);
}

static inline int quick_sync(void *context, int fd)
{
    (void)context;
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

static const struct disk quick_disk UNUSED = {quick_pwrite, quick_sync, NULL};

static inline err_t open_with(struct fixture *f, bool first, const uint8_t *node_id)
{
    struct wal_options options = {
        .dir = f->dir, .disk = f->disk, .node_id = node_id, .segment_len = SEGMENT, .first = first};
    struct wal_reader reader = {&f->seen, see_entry, see_reset, see_truncate};
    f->seen = (struct seen){0};
    return wal_open(&f->wal, &options, &reader, &f->report);
}

static inline err_t reopen(struct fixture *f)
{
    wal_close(f->wal);
    f->wal = NULL;
    return open_with(f, false, node);
}

static inline void add(struct fixture *f, uint64_t index, uint64_t term, size_t len)
{
    uint8_t *data = malloc(len + 1);
    memset(data, (int)(0x40 + index % 64), len);
    struct wal_entry entry = {.index = index, .term = term, .type = 1, .data = {data, len}};
    assert_ok(wal_batch_add(&f->batch, &entry));
    free(data);
}

static inline void append_one(struct fixture *f, uint64_t index, uint64_t term, size_t len)
{
    add(f, index, term, len);
    assert_ok(wal_append(f->wal, &f->batch));
}

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/wal-test-XXXXXX");
    *state = f;
    f->disk = &disk_real;
    wal_batch_init(&f->batch);
    return mkdtemp(f->dir) != NULL && open_with(f, true, node) == E_OK ? 0 : -1;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    wal_close(f->wal);
    wal_batch_close(&f->batch);
    test_remove_tree(f->dir);
    free(f);
    return 0;
}

static inline void segment_path(const struct fixture *f, unsigned number, char out[128])
{
    snprintf(out, 128, "%s/wal-%016x", f->dir, number);
}

static inline uint8_t *slurp(const char *path, size_t *len)
{
    uint8_t *data;
    assert_ok(disk_read(path, 1 << 24, &data, len));
    return data;
}

static inline void spill(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static inline size_t used_of(const uint8_t *data, size_t len)
{
    while (len > 0 && data[len - 1] == 0)
        len--;
    return len;
}

#endif

#include "cluster/wal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
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

static err_t see_entry(void *context, const struct wal_entry *entry)
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

static err_t see_reset(void *context, uint64_t next_index)
{
    struct seen *s = context;
    s->first = next_index;
    s->last = next_index - 1;
    return E_OK;
}

static err_t see_truncate(void *context, uint64_t index)
{
    struct seen *s = context;
    if (index <= s->last)
        s->last = index - 1;
    return E_OK;
}

/* Writes without waiting, for tests that play a crash by changing files themselves. */
static ssize_t quick_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    (void)context;
    return pwrite(fd, data, len, at);
}

static int quick_sync(void *context, int fd)
{
    (void)context;
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

static const struct disk quick_disk = {quick_pwrite, quick_sync, NULL};

static err_t open_with(struct fixture *f, bool first, const uint8_t *node_id)
{
    struct wal_options options = {
        .dir = f->dir, .disk = f->disk, .node_id = node_id, .segment_len = SEGMENT, .first = first};
    struct wal_reader reader = {&f->seen, see_entry, see_reset, see_truncate};
    f->seen = (struct seen){0};
    return wal_open(&f->wal, &options, &reader, &f->report);
}

static err_t reopen(struct fixture *f)
{
    wal_close(f->wal);
    f->wal = NULL;
    return open_with(f, false, node);
}

static void add(struct fixture *f, uint64_t index, uint64_t term, size_t len)
{
    uint8_t *data = malloc(len + 1);
    memset(data, (int)(0x40 + index % 64), len);
    struct wal_entry entry = {.index = index, .term = term, .type = 1, .data = {data, len}};
    assert_ok(wal_batch_add(&f->batch, &entry));
    free(data);
}

static void append_one(struct fixture *f, uint64_t index, uint64_t term, size_t len)
{
    add(f, index, term, len);
    assert_ok(wal_append(f->wal, &f->batch));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/wal-test-XXXXXX");
    *state = f;
    f->disk = &disk_real;
    wal_batch_init(&f->batch);
    return mkdtemp(f->dir) != NULL && open_with(f, true, node) == E_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    wal_close(f->wal);
    wal_batch_close(&f->batch);
    nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static void segment_path(const struct fixture *f, unsigned number, char out[128])
{
    snprintf(out, 128, "%s/wal-%016x", f->dir, number);
}

static uint8_t *slurp(const char *path, size_t *len)
{
    uint8_t *data;
    assert_ok(disk_read(path, 1 << 24, &data, len));
    return data;
}

static void spill(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static size_t used_of(const uint8_t *data, size_t len)
{
    while (len > 0 && data[len - 1] == 0)
        len--;
    return len;
}

static void what_was_appended_comes_back_in_order(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 100; i++)
        append_one(f, i, 1 + i / 40, i % 5 * 8);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.first, 1);
    assert_int_equal(f->seen.last, 100);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(f->seen.term[i], 1 + i / 40);
        assert_int_equal(f->seen.mark[i], i % 5 == 0 ? 0 : 0x40 + i % 64);
    }
    assert_int_equal(f->report.cut_octets, 0);
    append_one(f, 101, 9, 16);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 101);
}

static void an_index_that_was_there_replaces_all_behind_it(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 10; i++)
        append_one(f, i, 1, 8);
    add(f, 6, 2, 8);
    add(f, 7, 2, 8);
    assert_ok(wal_append(f->wal, &f->batch));
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 7);
    assert_int_equal(f->seen.term[5], 1);
    assert_int_equal(f->seen.term[7], 2);
}

static void truncation_and_reset_are_kept(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 10; i++)
        append_one(f, i, 1, 8);
    assert_ok(wal_batch_truncate(&f->batch, 4));
    assert_ok(wal_append(f->wal, &f->batch));
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 3);
    assert_ok(wal_batch_reset(&f->batch, 1000));
    add(f, 1000, 3, 8);
    assert_ok(wal_append(f->wal, &f->batch));
    assert_ok(reopen(f));
    assert_int_equal(f->seen.first, 1000);
    assert_int_equal(f->seen.last, 1000);
}

static void segments_follow_each_other_and_old_ones_go(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 200; i++)
        append_one(f, i, 1, 1000);
    assert_true(wal_bytes(f->wal) > 10 * SEGMENT);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 200);
    assert_ok(wal_prune(f->wal, 150));
    assert_true(wal_bytes(f->wal) < 6 * SEGMENT);
    assert_ok(reopen(f));
    assert_true(f->seen.first > 100 && f->seen.first <= 151);
    assert_int_equal(f->seen.last, 200);
    append_one(f, 201, 1, 8);
    assert_ok(wal_prune(f->wal, 1000000)); /* the one in use stays */
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 201);
}

static void a_frame_longer_than_a_segment_gets_one_of_its_own(void **state)
{
    struct fixture *f = *state;
    append_one(f, 1, 1, 8);
    append_one(f, 2, 1, 5 * SEGMENT);
    append_one(f, 3, 1, 8);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 3);
}

/* The heart of it: the process dies when any number of octets of the last write are on disk. */
static void a_tail_torn_at_any_octet_is_cut_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    f->disk = &quick_disk;
    assert_ok(reopen(f));
    char path[128];
    size_t len;
    segment_path(f, 0, path);
    append_one(f, 1, 1, 64);
    append_one(f, 2, 1, 600);
    uint8_t *before = slurp(path, &len);
    add(f, 3, 2, 200);
    add(f, 4, 2, 40);
    assert_ok(wal_append(f->wal, &f->batch));
    uint8_t *after = slurp(path, &len);
    size_t start = used_of(before, len), end = used_of(after, len);
    start = (start + 7) / 8 * 8;
    for (size_t cut = start; cut <= end; cut++) {
        uint8_t *torn = malloc(len);
        memcpy(torn, after, cut);
        memcpy(torn + cut, before + cut, len - cut);
        spill(path, torn, len);
        assert_ok(reopen(f));
        assert_int_equal(f->seen.last, cut == end ? 4 : 2);
        assert_int_equal(f->report.cut_octets > 0, cut > start && cut < end);
        append_one(f, f->seen.last + 1, 3, 8); /* and the log goes on */
        assert_ok(reopen(f));
        assert_int_equal(f->seen.last, cut == end ? 5 : 3);
        assert_int_equal(f->report.cut_octets, 0);
        /* A file that ends there is the same. */
        spill(path, torn, cut);
        assert_ok(reopen(f));
        assert_int_equal(f->seen.last, cut == end ? 4 : 2);
        free(torn);
    }
    free(before);
    free(after);
}

static void a_tail_whose_sectors_came_out_of_order_is_cut(void **state)
{
    struct fixture *f = *state;
    f->disk = &quick_disk;
    assert_ok(reopen(f));
    char path[128];
    size_t len;
    segment_path(f, 0, path);
    append_one(f, 1, 1, 64);
    uint8_t *before = slurp(path, &len);
    append_one(f, 2, 1, 4000);
    uint8_t *after = slurp(path, &len);
    for (unsigned missing = 1; missing < 512; missing++) { /* any set of the nine sectors that it touches */
        uint8_t *torn = malloc(len);
        memcpy(torn, after, len);
        for (unsigned sector = 0; sector < 9; sector++) {
            if (missing & 1u << sector)
                memcpy(torn + sector * 512, before + sector * 512, 512);
        }
        spill(path, torn, len);
        assert_ok(reopen(f));
        assert_int_equal(f->seen.last, 1);
        free(torn);
    }
    free(before);
    free(after);
}

static void a_flipped_bit_anywhere_is_refused_with_file_and_offset(void **state)
{
    struct fixture *f = *state;
    f->disk = &quick_disk;
    assert_ok(reopen(f));
    char path[128];
    size_t len;
    segment_path(f, 0, path);
    for (uint64_t i = 1; i <= 4; i++)
        append_one(f, i, 1, 40 * i);
    uint8_t *good = slurp(path, &len);
    size_t end = used_of(good, len);
    for (size_t at = 0; at < end; at++) {
        uint8_t *bad = malloc(len);
        memcpy(bad, good, len);
        bad[at] ^= 0x04;
        spill(path, bad, len);
        free(bad);
        assert_err(reopen(f), E_CORRUPT);
        assert_string_equal(f->report.file, path);
        assert_true(f->report.offset <= at);
        assert_non_null(f->report.reason);
    }
    spill(path, good, len);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 4);
    free(good);
}

/* Any lost sector before the last frame, also one that begins with a frame's header, so that not even its
 * length is known. */
static void a_hole_before_the_last_frame_is_damage(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t len;
    f->disk = &quick_disk;
    assert_ok(reopen(f));
    segment_path(f, 0, path);
    append_one(f, 1, 1, 384); /* with all heads and tails it ends at 512 */
    for (uint64_t i = 2; i <= 8; i++)
        append_one(f, i, 1, 600);
    uint8_t *good = slurp(path, &len);
    size_t last = used_of(good, len) - (600 + 64);
    for (size_t sector = 0; (sector + 1) * 512 <= last; sector++) {
        uint8_t *bad = malloc(len);
        memcpy(bad, good, len);
        memset(bad + sector * 512, 0, 512);
        spill(path, bad, len);
        free(bad);
        assert_err(reopen(f), E_CORRUPT);
    }
    free(good);
}

static void a_lost_segment_is_damage(void **state)
{
    struct fixture *f = *state;
    char path[128];
    for (uint64_t i = 1; i <= 60; i++)
        append_one(f, i, 1, 1000);
    segment_path(f, 1, path);
    assert_int_equal(unlink(path), 0);
    assert_err(reopen(f), E_CORRUPT);
    assert_non_null(strstr(f->report.file, "wal-0000000000000002"));
}

static void an_unfinished_frame_with_a_segment_behind_it_is_damage(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t len;
    for (uint64_t i = 1; i <= 40; i++)
        append_one(f, i, 1, 1000);
    segment_path(f, 0, path);
    uint8_t *data = slurp(path, &len);
    size_t end = used_of(data, len);
    memset(data + end - 500, 0, 500);
    spill(path, data, len);
    free(data);
    assert_err(reopen(f), E_CORRUPT);
    assert_string_equal(f->report.file, path);
}

static void another_node_s_log_is_refused(void **state)
{
    struct fixture *f = *state;
    static const uint8_t other[NODE_ID_LEN] = {8};
    append_one(f, 1, 1, 8);
    wal_close(f->wal);
    f->wal = NULL;
    assert_err(open_with(f, false, other), E_CORRUPT);
}

static void a_log_that_is_gone_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    segment_path(f, 0, path);
    assert_int_equal(unlink(path), 0);
    assert_err(reopen(f), E_CORRUPT);
    assert_string_equal(f->report.file, f->dir);
}

static void a_half_made_segment_is_swept_away(void **state)
{
    struct fixture *f = *state;
    char path[128];
    append_one(f, 1, 1, 8);
    snprintf(path, sizeof(path), "%s/wal-0000000000000001.tmp", f->dir);
    spill(path, node, sizeof(node));
    assert_ok(reopen(f));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(f->seen.last, 1);
}

/* A disk whose n-th operation fails. */
struct bad_disk {
    struct disk disk;
    long good; /* operations that still work */
    int errnum;
    bool short_write; /* half of the failing write reaches the disk */
};

static ssize_t bad_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct bad_disk *b = context;
    if (b->good-- > 0)
        return pwrite(fd, data, len, at);
    if (b->short_write && pwrite(fd, data, len / 2, at) < 0)
        abort();
    errno = b->errnum;
    return -1;
}

static int bad_sync(void *context, int fd)
{
    struct bad_disk *b = context;
    if (b->good-- > 0)
        return fdatasync(fd);
    errno = b->errnum;
    return -1;
}

static void after_a_failed_write_or_sync_nothing_more_is_accepted(void **state)
{
    struct fixture *f = *state;
    for (long good = 0; good < 8; good++) {
        struct bad_disk bad = {
            .disk = {bad_pwrite, bad_sync, &bad}, .good = 1000, .errnum = EIO, .short_write = true};
        f->disk = &bad.disk;
        wal_close(f->wal);
        f->wal = NULL;
        assert_ok(open_with(f, true, node));
        bad.good = good;
        uint64_t acknowledged = 0;
        for (uint64_t i = 1; i <= 10; i++) {
            add(f, i, 1, 800);
            if (wal_append(f->wal, &f->batch) != E_OK)
                break;
            acknowledged = i;
        }
        assert_int_equal(acknowledged, good / 2);
        bad.good = 1000; /* it works again, but what is on disk is unknown */
        add(f, acknowledged + 1, 1, 8);
        assert_err(wal_append(f->wal, &f->batch), E_IO);
        f->disk = &disk_real;
        assert_ok(reopen(f));
        assert_true(f->seen.last == acknowledged || (good % 2 == 1 && f->seen.last == acknowledged + 1));
    }
}

static void a_full_disk_is_told_as_such_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small = {5 * SEGMENT, 5 * SEGMENT};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    for (uint64_t i = 1; i <= 20; i++)
        append_one(f, i, 1, 1000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    add(f, 21, 1, 6 * SEGMENT);
    err_t err = wal_append(f->wal, &f->batch);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_err(err, E_FULL);
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 20);
    append_one(f, 21, 1, 8);
}

static void an_entry_that_is_too_long_or_uneven_is_refused(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[WAL_ENTRY_MAX + 8];
    struct wal_entry entry = {.index = 1, .term = 1, .type = 1, .data = {data, WAL_ENTRY_MAX + 8}};
    assert_err(wal_batch_add(&f->batch, &entry), E_LIMIT);
    entry.data.len = 12;
    assert_err(wal_batch_add(&f->batch, &entry), E_LIMIT);
    entry.data.len = WAL_ENTRY_MAX;
    err_t err = E_OK;
    uint64_t added = 0;
    for (; (err = wal_batch_add(&f->batch, &entry)) == E_OK; entry.index++)
        added++;
    assert_err(err, E_FULL);
    assert_int_equal(added, WAL_FRAME_MAX / (WAL_ENTRY_MAX + 24));
    assert_ok(wal_append(f->wal, &f->batch));
}

static void term_and_vote_are_old_or_new_never_a_mixture(void **state)
{
    struct fixture *f = *state;
    struct wal_meta meta;
    assert_err(wal_meta_read(f->dir, node, &meta), E_NOT_FOUND);
    meta = (struct wal_meta){.term = 5, .vote = 77, .bootstrapped = true};
    assert_ok(wal_meta_write(f->dir, &disk_real, node, &meta));
    for (long good = 0; good < 3; good++) {
        struct bad_disk bad = {
            .disk = {bad_pwrite, bad_sync, &bad}, .good = good, .errnum = EIO, .short_write = true};
        struct wal_meta next = {.term = 6, .vote = 0, .bootstrapped = true};
        err_t err = wal_meta_write(f->dir, &bad.disk, node, &next);
        assert_int_equal(err, good < 2 ? E_IO : E_OK);
        assert_ok(wal_meta_read(f->dir, node, &meta));
        assert_int_equal(meta.term, good < 2 ? 5 : 6);
        assert_int_equal(meta.vote, good < 2 ? 77 : 0);
    }
}

static void a_damaged_meta_file_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t len;
    struct wal_meta meta = {.term = 5};
    assert_ok(wal_meta_write(f->dir, &disk_real, node, &meta));
    snprintf(path, sizeof(path), "%s/raft.meta", f->dir);
    uint8_t *good = slurp(path, &len);
    for (size_t at = 0; at < len; at++) {
        good[at] ^= 1;
        spill(path, good, len);
        assert_err(wal_meta_read(f->dir, node, &meta), E_CORRUPT);
        good[at] ^= 1;
        spill(path, good, at);
        assert_err(wal_meta_read(f->dir, node, &meta), E_CORRUPT);
    }
    spill(path, good, len);
    static const uint8_t other[NODE_ID_LEN] = {8};
    assert_err(wal_meta_read(f->dir, other, &meta), E_CORRUPT);
    free(good);
}

static void failed_allocations_leave_the_log_readable(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 1; i <= 20; i++)
        append_one(f, i, 1, 1000);
    bool hit = true;
    for (long n = 0; hit && n < 200; n++) {
        wal_close(f->wal);
        f->wal = NULL;
        heap_fault_after(n);
        err_t err = open_with(f, false, node);
        hit = heap_fault_hit();
        heap_fault_after(-1);
        assert_int_equal(err, hit ? E_NO_MEMORY : E_OK);
    }
    assert_false(hit);
    assert_int_equal(f->seen.last, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_appended_comes_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_was_there_replaces_all_behind_it, setup, teardown),
        cmocka_unit_test_setup_teardown(truncation_and_reset_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_follow_each_other_and_old_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_longer_than_a_segment_gets_one_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_torn_at_any_octet_is_cut_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_whose_sectors_came_out_of_order_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_anywhere_is_refused_with_file_and_offset, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_hole_before_the_last_frame_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_segment_is_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unfinished_frame_with_a_segment_behind_it_is_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_node_s_log_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_is_gone_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_half_made_segment_is_swept_away, setup, teardown),
        cmocka_unit_test_setup_teardown(after_a_failed_write_or_sync_nothing_more_is_accepted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_as_such_and_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_that_is_too_long_or_uneven_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(term_and_vote_are_old_or_new_never_a_mixture, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_meta_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(failed_allocations_leave_the_log_readable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

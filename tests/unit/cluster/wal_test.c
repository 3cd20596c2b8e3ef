#include "tests/unit/cluster/wal_fixture.h"

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

static int counted_sync(void *context, int fd)
{
    ++*(int *)context;
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* Killed between write and sync: the frame is read again, and counts. The power may go before the file is
 * synced next, perhaps never, when the next frame begins another segment. */
static void what_is_read_back_is_synced_before_it_counts(void **state)
{
    struct fixture *f = *state;
    int syncs = 0;
    struct disk counted = {quick_pwrite, counted_sync, &syncs};
    append_one(f, 1, 1, 64);
    f->disk = &counted;
    assert_ok(reopen(f));
    assert_int_equal(f->seen.last, 1);
    assert_int_equal(f->report.cut_octets, 0);
    assert_int_equal(syncs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_appended_comes_back_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_was_there_replaces_all_behind_it, setup, teardown),
        cmocka_unit_test_setup_teardown(truncation_and_reset_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(segments_follow_each_other_and_old_ones_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_frame_longer_than_a_segment_gets_one_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_read_back_is_synced_before_it_counts, setup, teardown),
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

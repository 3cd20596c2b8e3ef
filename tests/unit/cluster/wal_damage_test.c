/* Logs that a crash tore, which are cut, and logs that changed on disk, which are refused. */
#include "tests/unit/cluster/wal_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A real cluster is backed up, lost, restored and served from. */
#include "cluster/restore.h"

#include <dirent.h>
#include <errno.h>

#include "base/event.h"
#include "cluster/ks_restore.h"
#include "cluster/node_key.h"
#include "tests/unit/cluster/node_fixture.h"

struct backed {
    bool done;
    err_t err;
    uint64_t index;
    uint8_t *file;
    size_t len;
};

static void on_backup(void *context, err_t err, uint64_t index, uint8_t *file, size_t len)
{
    *(struct backed *)context = (struct backed){true, err, index, file, len};
}

static const char *key_file(const struct node *n, char out[96])
{
    snprintf(out, 96, "%s.backup.key", n->dir);
    return out;
}

static void write_key(const struct node *n, const char *text, mode_t mode)
{
    char path[96];
    unlink(key_file(n, path));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static struct backed take(struct node *n)
{
    struct backed b = {0};
    char path[96];
    assert_ok(cluster_backup(n->cluster, key_file(n, path), on_backup, &b));
    run_until(n, &b.done);
    return b;
}

static struct secret key_of(const char *text)
{
    struct secret key = {0};
    assert_ok(secret_set(&key, bytes_of_text(text)));
    return key;
}

static const char words[] = "a backup key of a test";

static int setup_key(void **state)
{
    if (setup(state) != 0)
        return -1;
    struct node *n = *state;
    snprintf(n->key, sizeof(n->key), "%s.node.key", n->dir);
    write_key(n, words, 0600);
    return 0;
}

static int teardown_key(void **state)
{
    struct node *n = *state;
    char path[96];
    unlink(key_file(n, path));
    unlink(n->key);
    return teardown(state);
}

static void lose(const struct node *n)
{
    test_remove_tree(n->dir);
    unlink(n->key);
}

static err_t restore(const struct node *n, struct bytes file, const char *key_text,
                     struct restore_report *report)
{
    struct restore_options options = {n->dir, n->key, &disk_real, &rng_system, n->build};
    struct secret key = key_of(key_text);
    return cluster_restore(&options, file, &key, report);
}

static size_t entries(const char *dir)
{
    size_t count = 0;
    DIR *d = opendir(dir);
    while (d != NULL && readdir(d) != NULL)
        count++;
    if (d != NULL)
        closedir(d);
    return count > 2 ? count - 2 : 0;
}

static void a_lost_cluster_comes_back_as_another(void **state)
{
    struct node *n = *state;
    struct outcome outcome;
    struct restore_report report;
    uint8_t old_id[CLUSTER_ID_LEN], old_node[NODE_ID_LEN];
    node_start(n);
    propose_group(n, "blue", 3333, &outcome);
    run_until(n, &outcome.done);
    struct backed b = take(n);
    assert_ok(b.err);
    memcpy(old_id, cluster_state(n->cluster)->cluster.cluster_id, sizeof(old_id));
    memcpy(old_node, cluster_node_id(n->cluster), sizeof(old_node));
    uint32_t old_epoch = cluster_state(n->cluster)->cluster.coop_epoch;
    propose_group(n, "unknown to it", 4444, &outcome);
    run_until(n, &outcome.done);
    node_stop(n);
    lose(n);
    assert_ok(restore(n, (struct bytes){b.file, b.len}, words, &report));
    assert_int_equal(report.head.index, b.index);
    assert_int_equal(report.head.groups, 1);
    free(b.file);
    for (int i = 0; i < 2; i++) { /* and over a restart */
        node_start(n);
        const struct ks_state *ks = cluster_state(n->cluster);
        assert_non_null(ks_state_group_by_name(ks, "blue"));
        assert_null(ks_state_group_by_name(ks, "unknown to it"));
        assert_true(ks_state_group_by_name(ks, "blue")->record.seq >= RESTORE_SEQ_JUMP);
        assert_memory_not_equal(ks->cluster.cluster_id, old_id, sizeof(old_id));
        assert_memory_equal(ks->cluster.cluster_id, report.cluster_id, sizeof(old_id));
        assert_memory_not_equal(cluster_node_id(n->cluster), old_node, sizeof(old_node));
        assert_true(cluster_is_primary(n->cluster));
        assert_int_equal(ks->cluster.coop_epoch, old_epoch + RESTORE_EPOCH_JUMP + 1);
        propose_group(n, i == 0 ? "green" : "red", 5555 + (uint32_t)i, &outcome);
        run_until(n, &outcome.done);
        assert_ok(outcome.result.err);
        node_stop(n);
    }
}

/* Pseudotime goes on: the clock stands to the wall clock as it did, and is not behind the last committed
 * time. */
static void the_clock_goes_on(void **state)
{
    struct node *n = *state;
    struct restore_report report;
    node_start(n);
    uint64_t before_ms = cluster_now_ms(n->cluster);
    struct backed b = take(n);
    node_stop(n);
    lose(n);
    assert_ok(restore(n, (struct bytes){b.file, b.len}, words, &report));
    free(b.file);
    node_start(n);
    assert_true(cluster_now_ms(n->cluster) >= before_ms);
    assert_true(cluster_now_ms(n->cluster) < before_ms + 60000);
    node_stop(n);
}

/* It would stand before commands and rows that it does not know. */
static void a_build_below_the_backups_level_restores_nothing(void **state)
{
    struct node *n = *state;
    struct restore_report report;
    struct level_build next = level_own;
    next.level++;
    n->build = &next;
    node_start(n);
    run_until_true(n, cluster_state(n->cluster)->level == next.level);
    struct backed b = take(n);
    node_stop(n);
    lose(n);
    n->build = NULL;
    assert_err(restore(n, (struct bytes){b.file, b.len}, words, &report), E_OLD_BUILD);
    assert_int_equal(entries(n->dir), 0);
    n->build = &next;
    assert_ok(restore(n, (struct bytes){b.file, b.len}, words, &report));
    free(b.file);
    n->build = NULL;
    uint64_t told = event_count(EV_BUILD_TOO_OLD);
    assert_err(node_open(n), E_OLD_BUILD);
    node_close_loop(n);
    assert_int_equal(event_count(EV_BUILD_TOO_OLD), told + 1);
    n->build = &next;
    node_start(n);
    assert_int_equal(cluster_state(n->cluster)->level, next.level);
    node_stop(n);
}

static void what_is_no_good_backup_leaves_nothing_behind(void **state)
{
    struct node *n = *state;
    struct restore_report report;
    node_start(n);
    struct backed b = take(n);
    node_stop(n);
    lose(n);
    assert_int_equal(mkdir(n->dir, 0700), 0);
    assert_err(restore(n, (struct bytes){b.file, b.len}, "another backup key", &report), E_AUTH);
    assert_err(restore(n, (struct bytes){b.file, b.len - 1}, words, &report), E_TRUNCATED);
    b.file[b.len / 2] ^= 1;
    assert_err(restore(n, (struct bytes){b.file, b.len}, words, &report), E_CORRUPT);
    b.file[b.len / 2] ^= 1;
    assert_int_equal(entries(n->dir), 0);
    assert_int_not_equal(access(n->key, F_OK), 0);
    free(b.file);
}

static void a_directory_with_anything_in_it_stays_as_it_is(void **state)
{
    struct node *n = *state;
    struct restore_report report;
    uint8_t id[NODE_ID_LEN];
    node_start(n);
    struct backed b = take(n);
    node_stop(n);
    size_t before = entries(n->dir);
    assert_err(restore(n, (struct bytes){b.file, b.len}, words, &report), E_EXISTS);
    assert_int_equal(entries(n->dir), before);
    assert_ok(node_id_open(n->dir, &disk_real, &rng_system, false, id));
    free(b.file);
}

/* A disk that fails at the n-th write, for each n: an error, an empty directory, and then all works. */
struct failing {
    unsigned left;
};

static ssize_t failing_write(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct failing *f = context;
    if (f->left-- == 0) {
        f->left = 0;
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, len, at);
}

static int working_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
    struct node *n = *state;
    struct restore_report report;
    struct failing failing;
    struct disk disk = {failing_write, working_sync, &failing};
    struct restore_options options = {n->dir, n->key, &disk, &rng_system, NULL};
    struct secret key = key_of(words);
    err_t err = E_FULL;
    unsigned writes = 0;
    node_start(n);
    struct backed b = take(n);
    node_stop(n);
    lose(n);
    while (writes < 50) {
        failing.left = writes;
        err = cluster_restore(&options, (struct bytes){b.file, b.len}, &key, &report);
        if (err == E_OK)
            break;
        assert_err(err, E_FULL);
        assert_int_equal(entries(n->dir), 0);
        writes++;
    }
    assert_ok(err);
    assert_true(writes > 3);
    free(b.file);
    node_start(n);
    node_stop(n);
}

static void a_backup_key_must_be_there_be_long_enough_and_be_nobody_elses(void **state)
{
    struct node *n = *state;
    char path[96];
    struct backed b;
    node_start(n);
    assert_err(cluster_backup(n->cluster, "", on_backup, &b), E_MISSING);
    write_key(n, "too short\n", 0600);
    assert_err(take(n).err, E_BAD_LENGTH);
    write_key(n, words, 0644);
    assert_err(take(n).err, E_PERMISSION);
    unlink(key_file(n, path));
    assert_err(take(n).err, E_NOT_FOUND);
    node_stop(n);
}

static void one_backup_at_a_time_and_a_stop_waits_for_it(void **state)
{
    struct node *n = *state;
    struct backed first = {0}, second = {0};
    char path[96];
    node_start(n);
    assert_ok(cluster_backup(n->cluster, key_file(n, path), on_backup, &first));
    assert_err(cluster_backup(n->cluster, key_file(n, path), on_backup, &second), E_AGAIN);
    node_stop(n);
    assert_true(first.done);
    assert_ok(first.err);
    assert_false(second.done);
    free(first.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_lost_cluster_comes_back_as_another, setup_key, teardown_key),
        cmocka_unit_test_setup_teardown(the_clock_goes_on, setup_key, teardown_key),
        cmocka_unit_test_setup_teardown(a_build_below_the_backups_level_restores_nothing, setup_key,
                                        teardown_key),
        cmocka_unit_test_setup_teardown(what_is_no_good_backup_leaves_nothing_behind, setup_key,
                                        teardown_key),
        cmocka_unit_test_setup_teardown(a_directory_with_anything_in_it_stays_as_it_is, setup_key,
                                        teardown_key),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_behind, setup_key, teardown_key),
        cmocka_unit_test_setup_teardown(a_backup_key_must_be_there_be_long_enough_and_be_nobody_elses,
                                        setup_key, teardown_key),
        cmocka_unit_test_setup_teardown(one_backup_at_a_time_and_a_stop_waits_for_it, setup_key,
                                        teardown_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

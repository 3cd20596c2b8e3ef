#include "cluster/cluster.h"

#include <dirent.h>
#include <errno.h>

#include "tests/unit/cluster/node_fixture.h"

static void a_new_cluster_names_itself_and_is_its_own_primary(void **state)
{
    struct node *n = *state;
    node_start(n);
    const struct ks_state *ks = cluster_state(n->cluster);
    assert_true(ks->initialised);
    assert_int_equal(ks->cluster.coop_epoch, 1);
    assert_memory_equal(ks->cluster.primary_id, cluster_node_id(n->cluster), NODE_ID_LEN);
    assert_true(cluster_is_primary(n->cluster));
    assert_int_equal(n->applied, 2);
    node_stop(n);
}

static void what_was_committed_is_there_after_a_restart(void **state)
{
    struct node *n = *state;
    struct outcome outcome;
    uint8_t before[32], after[32];
    node_start(n);
    propose_group(n, "blue", 3333, &outcome);
    run_until(n, &outcome.done);
    assert_ok(outcome.result.err);
    assert_int_equal(outcome.result.group_id, 1);
    assert_ok(ks_state_hash(cluster_state(n->cluster), before));
    node_stop(n);
    node_start(n);
    assert_non_null(ks_state_group_by_name(cluster_state(n->cluster), "blue"));
    assert_ok(ks_state_hash(cluster_state(n->cluster), after));
    assert_memory_equal(before, after, sizeof(before));
    assert_int_equal(n->applied, 0);
    node_stop(n);
}

static void propose_many(struct node *n, unsigned first, unsigned count, struct outcome *outcomes)
{
    for (unsigned i = 0; i < count; i++) {
        struct command command = {.type = CMD_PSK_SET, .time_ms = cluster_now_ms(n->cluster)};
        command.u.psk_set.psk.peer =
            (struct prefix){addr_v4(10, (uint8_t)((first + i) >> 8), (uint8_t)(first + i), 0), 24};
        command.u.psk_set.psk.psk = (struct wrapped){40, {1}};
        outcomes[i] = (struct outcome){0};
        assert_ok(cluster_propose(n->cluster, &command, on_outcome, &outcomes[i]));
    }
}

static void commit_many(struct node *n, unsigned first, unsigned count)
{
    struct outcome *outcomes = calloc(count, sizeof(*outcomes));
    propose_many(n, first, count, outcomes);
    for (unsigned i = 0; i < count; i++) {
        run_until(n, &outcomes[i].done);
        assert_ok(outcomes[i].result.err);
    }
    free(outcomes);
}

static void proposals_of_one_turn_become_one_entry(void **state)
{
    struct node *n = *state;
    struct cluster_status before, after;
    node_start(n);
    cluster_status(n->cluster, &before);
    commit_many(n, 0, BATCH_MAX);
    cluster_status(n->cluster, &after);
    assert_int_equal(after.last_index, before.last_index + 1);
    assert_int_equal(after.applied_index, after.last_index);
    assert_string_equal(after.role, "leader");
    assert_int_equal(after.voters, 1);
    node_stop(n);
}

static void beyond_the_bound_the_caller_is_pushed_back(void **state)
{
    struct node *n = *state;
    node_start(n);
    struct outcome *outcomes = calloc(PROPOSAL_MAX, sizeof(*outcomes));
    propose_many(n, 0, PROPOSAL_MAX, outcomes);
    struct command command = {.type = CMD_ELECT};
    assert_err(cluster_propose(n->cluster, &command, on_outcome, outcomes), E_FULL);
    run_until(n, &outcomes[PROPOSAL_MAX - 1].done);
    commit_many(n, 1000, 3);
    free(outcomes);
    node_stop(n);
}

static void nothing_is_accepted_before_the_cluster_is_ready(void **state)
{
    struct node *n = *state;
    struct command command = {.type = CMD_ELECT};
    assert_ok(node_open(n));
    assert_err(cluster_propose(n->cluster, &command, NULL, NULL), E_STATE);
    assert_ok(cluster_start(n->cluster));
    assert_err(cluster_propose(n->cluster, &command, NULL, NULL), E_STATE);
    run_until(n, &n->ready);
    node_stop(n);
}

static void what_was_proposed_before_a_stop_still_gets_its_outcome(void **state)
{
    struct node *n = *state;
    struct outcome outcome;
    node_start(n);
    propose_group(n, "blue", 1, &outcome);
    cluster_stop(n->cluster, on_stopped, n);
    assert_false(cluster_ready(n->cluster));
    run_until(n, &n->stopped);
    assert_true(outcome.done);
    assert_ok(outcome.result.err);
    cluster_free(n->cluster);
    node_close_loop(n);
    node_start(n);
    assert_non_null(ks_state_group_by_name(cluster_state(n->cluster), "blue"));
    node_stop(n);
}

static unsigned count_files(const struct node *n, const char *begin)
{
    char path[128];
    unsigned count = 0;
    snprintf(path, sizeof(path), "%s/wal", n->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, begin, strlen(begin)) == 0;
    closedir(dir);
    return count;
}

static void a_long_log_is_cut_by_snapshots_and_comes_back(void **state)
{
    struct node *n = *state;
    struct cluster_status status;
    uint8_t before[32], after[32];
    n->snapshot_entries = 100;
    n->segment_len = 32 * 1024;
    node_start(n);
    for (unsigned i = 0; i < 1500; i++)
        commit_many(n, i, 1);
    cluster_status(n->cluster, &status);
    assert_true(status.snapshot_index > 1000);
    assert_true(status.wal_bytes < 20 * 32 * 1024);
    assert_ok(ks_state_hash(cluster_state(n->cluster), before));
    node_stop(n);
    assert_true(count_files(n, "snapshot-") <= 2); /* the one before may wait for the next write */
    assert_true(count_files(n, "wal-") < 20);
    node_start(n);
    assert_int_equal(n->applied, 0);
    assert_ok(ks_state_hash(cluster_state(n->cluster), after));
    assert_memory_equal(before, after, sizeof(before));
    node_stop(n);
    /* Without the store: snapshot, then the rest of the log. */
    char path[128];
    snprintf(path, sizeof(path), "%s/store/data.mdb", n->dir);
    assert_int_equal(unlink(path), 0);
    node_start(n);
    assert_true(n->applied > 0 && n->applied < 600);
    assert_ok(ks_state_hash(cluster_state(n->cluster), after));
    assert_memory_equal(before, after, sizeof(before));
    node_stop(n);
}

static void a_store_of_another_boot_is_filled_again(void **state)
{
    struct node *n = *state;
    uint8_t before[32], after[32];
    char path[128];
    node_start(n);
    commit_many(n, 0, 50);
    assert_ok(ks_state_hash(cluster_state(n->cluster), before));
    node_stop(n);
    snprintf(path, sizeof(path), "%s/store/open-in-boot", n->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("another", f);
    fclose(f);
    node_start(n);
    assert_ok(ks_state_hash(cluster_state(n->cluster), after));
    assert_memory_equal(before, after, sizeof(before));
    assert_int_equal(n->applied, 52);
    node_stop(n);
}

/* Files that go missing one by one: the node must not make new ones as if it were another. */
static void a_node_that_lost_a_file_does_not_start_as_a_new_one(void **state)
{
    struct node *n = *state;
    static const char *const files[] = {"node.id", "data.key", "node.key", "wal/raft.meta",
                                        "wal/wal-0000000000000000"};
    node_start(n);
    commit_many(n, 0, 3);
    node_stop(n);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128], aside[160];
        snprintf(path, sizeof(path), "%s/%s", n->dir, files[i]);
        snprintf(aside, sizeof(aside), "%s.aside", path);
        assert_int_equal(rename(path, aside), 0);
        err_t err = node_open(n);
        if (err == E_OK)
            fail_msg("it started without %s", files[i]);
        assert_int_equal(err, E_CORRUPT);
        node_close_loop(n);
        assert_int_equal(rename(aside, path), 0);
    }
    node_start(n);
    node_stop(n);
}

static void a_node_key_that_others_may_read_is_refused(void **state)
{
    struct node *n = *state;
    struct stat st;
    node_start(n);
    node_stop(n);
    assert_int_equal(stat(n->key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(chmod(n->key, 0640), 0);
    assert_err(node_open(n), E_PERMISSION);
    node_close_loop(n);
    assert_int_equal(chmod(n->key, 0400), 0);
    node_start(n);
    node_stop(n);
}

static void another_node_key_opens_nothing(void **state)
{
    struct node *n = *state;
    node_start(n);
    node_stop(n);
    FILE *f = fopen(n->key, "w");
    assert_non_null(f);
    for (int i = 0; i < 32; i++)
        fputs("5a", f);
    fclose(f);
    assert_err(node_open(n), E_CORRUPT);
    node_close_loop(n);
}

static void the_data_key_is_not_in_clear_on_disk(void **state)
{
    struct node *n = *state;
    node_start(n);
    const struct wrap_key *wrap = cluster_wrap_key(n->cluster);
    assert_int_equal(wrap->key.len, KEYWRAP_KEY_LEN);
    static const char *const files[] = {"data.key", "node.key", "wal/wal-0000000000000000", "store/data.mdb"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        uint8_t *data;
        size_t len;
        snprintf(path, sizeof(path), "%s/%s", n->dir, files[i]);
        assert_ok(disk_read(path, 1 << 26, &data, &len));
        assert_null(memmem(data, len, wrap->key.data, wrap->key.len));
        free(data);
    }
    node_stop(n);
}

/* A disk that stops working at some operation. */
struct failing_disk {
    struct disk disk;
    long good;
    int errnum;
};

static ssize_t failing_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct failing_disk *f = context;
    if (__atomic_fetch_sub(&f->good, 1, __ATOMIC_SEQ_CST) > 0)
        return pwrite(fd, data, len, at);
    errno = f->errnum;
    return -1;
}

static int failing_sync(void *context, int fd)
{
    struct failing_disk *f = context;
    if (__atomic_fetch_sub(&f->good, 1, __ATOMIC_SEQ_CST) > 0)
        return fdatasync(fd);
    errno = f->errnum;
    return -1;
}

/* Whatever write or sync fails: the server is told to stop, nobody is told that something was committed which
 * was not, and with a working disk it comes back with all that was. */
static void fail_at(struct node *n, long good, int errnum, err_t wanted)
{
    struct failing_disk failing = {
        .disk = {failing_pwrite, failing_sync, &failing}, .good = 100000, .errnum = errnum};
    n->disk = &failing.disk;
    n->fatal = E_OK;
    node_start(n);
    __atomic_store_n(&failing.good, good, __ATOMIC_SEQ_CST);
    struct outcome outcomes[20];
    unsigned committed = 0;
    for (unsigned i = 0; i < ARRAY_LEN(outcomes) && n->fatal == E_OK; i++) {
        propose_many(n, i, 1, &outcomes[i]);
        run_until(n, &outcomes[i].done);
        assert_true(outcomes[i].result.err == E_OK || outcomes[i].result.err == E_CANCELED);
        committed += outcomes[i].result.err == E_OK;
    }
    assert_int_equal(n->fatal, wanted);
    assert_false(cluster_ready(n->cluster));
    struct command command = {.type = CMD_ELECT};
    assert_err(cluster_propose(n->cluster, &command, NULL, NULL), E_STATE);
    node_stop(n);
    n->disk = NULL;
    node_start(n);
    assert_true(cluster_state(n->cluster)->psks.count >= committed);
    node_stop(n);
}

static void a_failing_disk_stops_the_server_and_loses_nothing(void **state)
{
    struct node *n = *state;
    for (long good = 0; good < 6; good++)
        fail_at(n, good, good % 2 ? EIO : ENOSPC, good % 2 ? E_IO : E_FULL);
}

static void a_first_start_that_failed_midway_can_be_repeated(void **state)
{
    struct node *n = *state;
    for (long good = 0; good < 30; good++) {
        struct failing_disk failing = {
            .disk = {failing_pwrite, failing_sync, &failing}, .good = good, .errnum = ENOSPC};
        n->disk = &failing.disk;
        err_t err = node_open(n);
        if (err == E_OK) {
            cluster_free(n->cluster);
            node_close_loop(n);
            assert_true(good > 3); /* each try gets further: what was made before is kept */
            break;
        }
        assert_err(err, E_FULL);
        node_close_loop(n);
    }
    n->disk = NULL;
    node_start(n);
    node_stop(n);
}

static void a_tail_torn_in_the_log_is_cut_at_start(void **state)
{
    struct node *n = *state;
    char path[128];
    uint8_t *data;
    size_t len;
    node_start(n);
    commit_many(n, 0, 3);
    commit_many(n, 3, 1);
    node_stop(n);
    snprintf(path, sizeof(path), "%s/wal/wal-0000000000000000", n->dir);
    assert_ok(disk_read(path, 1 << 26, &data, &len));
    size_t used = len;
    while (data[used - 1] == 0)
        used--;
    free(data);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\0\0\0", 3, (off_t)used - 3), 3);
    close(fd);
    node_start(n);
    /* The store had the entry already; the log is the truth, so the store was filled again. */
    assert_int_equal(cluster_state(n->cluster)->psks.count, 3);
    node_stop(n);
}

static void time_does_not_run_back_when_the_wall_clock_does(void **state)
{
    struct node *n = *state;
    struct outcome outcome;
    node_start(n);
    struct command command = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(n->cluster) + 3600 * 1000};
    command.u.group_set.config = group_named("blue", 1);
    outcome = (struct outcome){0};
    assert_ok(cluster_propose(n->cluster, &command, on_outcome, &outcome));
    run_until(n, &outcome.done);
    assert_true(cluster_now_ms(n->cluster) >= command.time_ms);
    node_stop(n);
    node_start(n); /* the wall clock is an hour behind what was committed */
    uint64_t first = cluster_now_ms(n->cluster);
    assert_true(first >= command.time_ms);
    uint64_t begun = clock_mono_ms(&clock_system);
    while (clock_mono_ms(&clock_system) < begun + 5)
        uv_run(&n->loop, UV_RUN_NOWAIT);
    assert_true(cluster_now_ms(n->cluster) > first); /* and goes on */
    node_stop(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_cluster_names_itself_and_is_its_own_primary, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_committed_is_there_after_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(proposals_of_one_turn_become_one_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(beyond_the_bound_the_caller_is_pushed_back, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_accepted_before_the_cluster_is_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_proposed_before_a_stop_still_gets_its_outcome, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_long_log_is_cut_by_snapshots_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_of_another_boot_is_filled_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_that_lost_a_file_does_not_start_as_a_new_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_node_key_that_others_may_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(another_node_key_opens_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(the_data_key_is_not_in_clear_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_disk_stops_the_server_and_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_first_start_that_failed_midway_can_be_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tail_torn_in_the_log_is_cut_at_start, setup, teardown),
        cmocka_unit_test_setup_teardown(time_does_not_run_back_when_the_wall_clock_does, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Trouble with one server's disk, and with one server's memory: it gives its roles away with a reason, and
 * the cluster goes on. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/unit/cluster/three_fixture.h"

enum { SLOW_LIMIT_MS = 300 };

/* A disk that fails while it is told so, and does not come back from a sync while stuck is held. */
static pthread_t loop_thread;
static pthread_mutex_t stuck = PTHREAD_MUTEX_INITIALIZER;

struct bad_disk {
    struct disk disk;
    atomic_int errnum; /* 0: works */
};

static ssize_t bad_pwrite(void *context, int fd, const void *data, size_t len, off_t at)
{
    struct bad_disk *bad = context;
    errno = atomic_load(&bad->errnum);
    return errno != 0 ? -1 : pwrite(fd, data, len, at);
}

static int bad_sync(void *context, int fd)
{
    (void)context;
    /* Only the log's thread: the loop, which writes term and vote, is that of the others too. */
    if (!pthread_equal(pthread_self(), loop_thread)) {
        pthread_mutex_lock(&stuck);
        pthread_mutex_unlock(&stuck);
    }
    return fdatasync(fd);
}

static struct bad_disk bad;

static void form_on_bad_disk(struct three *t)
{
    loop_thread = pthread_self();
    bad = (struct bad_disk){.disk = {bad_pwrite, bad_sync, &bad}};
    t->ks[0].disk = &bad.disk;
    three_form(t);
    for (size_t i = 0; i < SERVERS; i++)
        until(t, row_of(&t->ks[0], &t->ks[i])->priority == 100 - i * 10);
    until(t, leader_of(t) == &t->ks[0] && cluster_is_primary(t->ks[0].cluster));
}

/* Something to write, so that the disk shows what it is worth. */
static void poke(struct three *t)
{
    struct command command = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(t->ks[0].cluster)};
    static struct ending ending;
    command.u.group_set.config = group_named("poke", 4);
    if (cluster_propose(t->ks[0].cluster, &command, on_ending, &ending) != E_OK)
        return; /* it is on its way out already */
}

static void goes_on_without_the_first(struct three *t, err_t why)
{
    struct group_config after = group_named("after", 7);
    poke(t);
    until(t, t->ks[0].fatal != E_OK);
    assert_err(t->ks[0].fatal, why);
    assert_false(t->ks[0].ready);
    ks_close(&t->ks[0]); /* as ksd does */
    until(t, cluster_is_primary(t->ks[1].cluster));
    set_group(&t->ks[2], &after);
    until(t, same_state(t));
    assert_int_equal(primaries(t), 1);
    /* Mended, it takes up where it was. */
    atomic_store(&bad.errnum, 0);
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && same_state(t));
    assert_false(cluster_is_primary(t->ks[0].cluster));
}

static void a_full_disk_ends_the_server_and_not_the_cluster(void **state)
{
    form_on_bad_disk(*state);
    atomic_store(&bad.errnum, ENOSPC);
    goes_on_without_the_first(*state, E_FULL);
}

static void a_failing_disk_ends_the_server_and_not_the_cluster(void **state)
{
    form_on_bad_disk(*state);
    atomic_store(&bad.errnum, EIO);
    goes_on_without_the_first(*state, E_IO);
}

static void a_disk_that_turned_read_only_ends_the_server_and_not_the_cluster(void **state)
{
    form_on_bad_disk(*state);
    atomic_store(&bad.errnum, EROFS);
    goes_on_without_the_first(*state, E_PERMISSION);
}

static void a_slow_disk_costs_a_server_its_roles_until_it_answers(void **state)
{
    struct three *t = *state;
    struct group_config after = group_named("after", 7);
    struct cluster_status status;
    t->disk_slow_ms = SLOW_LIMIT_MS;
    form_on_bad_disk(t);
    pthread_mutex_lock(&stuck);
    poke(t);
    until(t, (cluster_status(t->ks[0].cluster, &status), status.disk_slow));
    until(t, cluster_is_primary(t->ks[1].cluster) && leader_of(t) != &t->ks[0] && leader_of(t) != NULL);
    set_group(&t->ks[2], &after);
    pthread_mutex_unlock(&stuck);
    until(t, (cluster_status(t->ks[0].cluster, &status), !status.disk_slow));
    until(t, t->ks[0].ready && same_state(t));
    assert_ok(t->ks[0].fatal);
    assert_true(cluster_is_primary(t->ks[1].cluster)); /* no pre-emption */
}

static struct state_mark mark_of(const struct ks *ks)
{
    struct cluster_status status;
    cluster_status(ks->cluster, &status);
    return status.mark;
}

static bool marks_alike(const struct three *t)
{
    struct state_mark first = mark_of(&t->ks[0]);
    for (size_t i = 1; i < SERVERS; i++) {
        struct state_mark mark = mark_of(&t->ks[i]);
        if (mark.index == 0 || mark.index != first.index || memcmp(mark.hash, first.hash, 32) != 0)
            return false;
    }
    return true;
}

static void states_are_compared_by_themselves_and_on_demand(void **state)
{
    struct three *t = *state;
    struct cluster_status status;
    t->mark_ms = 200;
    three_form(t);
    until(t, marks_alike(t));
    uint64_t index = mark_of(&t->ks[0]).index;
    until(t, mark_of(&t->ks[2]).index > index);
    repeat(&t->ks[2], cluster_mark(t->ks[2].cluster, on_ending, &ending));
    until(t, marks_alike(t));
    cluster_status(t->ks[0].cluster, &status);
    assert_int_equal(status.divergences, 0);
    assert_false(status.diverged);
}

/* The first comes back while the others are away. */
static void restart_alone(struct three *t)
{
    for (size_t i = 0; i < SERVERS; i++)
        ks_close(&t->ks[i]);
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
}

/* A flipped bit in the memory of one: it stands against two. */
static void the_odd_one_serves_nobody_and_is_no_primary(void **state)
{
    struct three *t = *state;
    struct group_config config = group_named("one", 1);
    struct cluster_status status;
    t->mark_ms = 300;
    three_form(t);
    for (size_t i = 0; i < SERVERS; i++)
        until(t, row_of(&t->ks[0], &t->ks[i])->priority == 100 - i * 10);
    set_group(&t->ks[0], &config);
    until(t, same_state(t) && cluster_is_primary(t->ks[0].cluster));
    struct ks_state *flipped = (struct ks_state *)(uintptr_t)cluster_state(t->ks[0].cluster);
    flipped->groups[0]->record.next_sid ^= 0x40;
    until(t, (cluster_status(t->ks[0].cluster, &status), status.diverged));
    assert_false(t->ks[0].ready);
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_NONE); /* not as a minority either */
    until(t, cluster_is_primary(t->ks[1].cluster));
    cluster_status(t->ks[1].cluster, &status);
    assert_false(status.diverged);
    assert_true(status.divergences > 0);
    assert_true(t->ks[1].ready && t->ks[2].ready);
    flipped->groups[0]->record.next_sid ^= 0x40; /* as a state taken over anew would */
    until(t, (cluster_status(t->ks[0].cluster, &status), !status.diverged && t->ks[0].ready));
    restart_alone(t);
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_MINORITY); /* it is as the others again */
}

static void the_odd_one_is_no_minority_after_a_restart_either(void **state)
{
    struct three *t = *state;
    struct group_config config = group_named("one", 1);
    struct cluster_status status;
    t->mark_ms = 300;
    three_form(t);
    set_group(&t->ks[0], &config);
    until(t, same_state(t));
    struct ks_state *flipped = (struct ks_state *)(uintptr_t)cluster_state(t->ks[0].cluster);
    flipped->groups[0]->record.next_sid ^= 0x40;
    until(t, (cluster_status(t->ks[0].cluster, &status), status.diverged));
    restart_alone(t);
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_NONE);
    assert_non_null(strstr(cluster_alone(t->ks[0].cluster), "differed"));
}

int main(int argc, char **argv)
{
    if (!three_arguments(argc, argv))
        return 1;
    const struct CMUnitTest tests[] = {
        THREE(a_full_disk_ends_the_server_and_not_the_cluster),
        THREE(a_failing_disk_ends_the_server_and_not_the_cluster),
        THREE(a_disk_that_turned_read_only_ends_the_server_and_not_the_cluster),
        THREE(a_slow_disk_costs_a_server_its_roles_until_it_answers),
        THREE(states_are_compared_by_themselves_and_on_demand),
        THREE(the_odd_one_serves_nobody_and_is_no_primary),
        THREE(the_odd_one_is_no_minority_after_a_restart_either),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

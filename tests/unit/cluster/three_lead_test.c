/* Leadership and the primary's role, by themselves and by command. */
#include "tests/unit/cluster/three_fixture.h"

/* Three whose rows say what their configuration says, the first of them primary and leader. */
static void form_settled(struct three *t)
{
    three_form(t);
    for (size_t i = 0; i < SERVERS; i++)
        until(t, row_of(&t->ks[0], &t->ks[i])->priority == 100 - i * 10);
    until(t, leader_of(t) == &t->ks[0] && cluster_is_primary(t->ks[0].cluster));
}

static void transfer(struct ks *by, const struct ks *to)
{
    repeat(by, cluster_transfer(by->cluster, to != NULL ? cluster_node_id(to->cluster) : NULL, on_ending,
                                &ending));
}

/* Whether it was done is not known when there is no quorum for a moment: a second time would move the role on. */
static void step_down(struct ks *by)
{
    uint64_t before = epoch_of(by);
    struct ending ending = {.err = E_NO_QUORUM};
    while (ending.err == E_STATE || ending.err == E_NO_QUORUM || ending.err == E_FULL) {
        until(by->all, by->ready);
        if (epoch_of(by) != before)
            return;
        ending.done = false;
        ending.err = cluster_step_down(by->cluster, on_ending, &ending);
        if (ending.err == E_OK)
            until(by->all, ending.done);
        assert_false(by->all->late);
        uv_run(&by->all->loop, UV_RUN_NOWAIT);
    }
    assert_ok(ending.err);
}

static void leadership_goes_where_an_operator_wants_it(void **state)
{
    struct three *t = *state;
    form_settled(t);
    transfer(&t->ks[0], &t->ks[2]); /* by the leader */
    until(t, leader_of(t) == &t->ks[2]);
    until(t, cluster_is_primary(t->ks[0].cluster)); /* that is another matter */
    transfer(&t->ks[0], &t->ks[1]);                 /* by one that does not lead */
    until(t, leader_of(t) == &t->ks[1]);
    transfer(&t->ks[2], NULL); /* to the primary */
    until(t, leader_of(t) == &t->ks[0]);
    assert_int_equal(epoch_of(&t->ks[0]), 1);
    uint8_t nobody[NODE_ID_LEN] = {9};
    assert_err(cluster_transfer(t->ks[0].cluster, nobody, on_ending, &(struct ending){0}), E_NOT_FOUND);
}

static void the_primarys_role_goes_to_the_next_and_leadership_follows(void **state)
{
    struct three *t = *state;
    form_settled(t);
    step_down(&t->ks[2]); /* any server may be asked */
    until(t, cluster_is_primary(t->ks[1].cluster));
    assert_int_equal(epoch_of(&t->ks[1]), 2);
    until(t, leader_of(t) == &t->ks[1]);
    /* No pre-emption: the first is well and better, and stays secondary; it is the next one again. */
    assert_int_equal(primaries(t), 1);
    step_down(&t->ks[1]);
    until(t, cluster_is_primary(t->ks[0].cluster));
    assert_int_equal(epoch_of(&t->ks[0]), 3);
}

static void alone_nobody_can_step_down(void **state)
{
    struct three *t = *state;
    struct ending ending = {0};
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    assert_err(cluster_step_down(t->ks[0].cluster, on_ending, &ending), E_STATE);
}

static void a_priority_set_by_command_decides_the_next_election_and_outlives_a_restart(void **state)
{
    struct three *t = *state;
    form_settled(t);
    repeat(&t->ks[1],
           cluster_priority(t->ks[1].cluster, cluster_node_id(t->ks[2].cluster), 200, on_ending, &ending));
    until(t, row_of(&t->ks[0], &t->ks[2])->priority == 200);
    assert_true(cluster_is_primary(t->ks[0].cluster));
    ks_close(&t->ks[2]);
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, t->ks[2].ready && same_state(t));
    assert_int_equal(row_of(&t->ks[2], &t->ks[2])->priority, 200);
    step_down(&t->ks[0]);
    until(t, cluster_is_primary(t->ks[2].cluster));
    repeat(&t->ks[0],
           cluster_priority(t->ks[0].cluster, cluster_node_id(t->ks[2].cluster), 0, on_ending, &ending));
    until(t, row_of(&t->ks[0], &t->ks[2])->priority == 80); /* its configuration counts again */
}

/* Its silence would count only after ten minutes: what is seen is the end of its connections. */
static void a_primary_whose_process_ends_is_followed_without_waiting_for_silence(void **state)
{
    struct three *t = *state;
    t->dead_ms = 600000;
    form_settled(t);
    uint64_t start = clock_mono_ms(&clock_system);
    ks_close(&t->ks[0]);
    until(t, cluster_is_primary(t->ks[1].cluster));
    print_message("new primary after %llu ms\n", (unsigned long long)(clock_mono_ms(&clock_system) - start));
    until(t, leader_of(t) == &t->ks[1]);
    assert_int_equal(epoch_of(&t->ks[1]), 2);
}

static void a_primary_that_is_not_well_is_followed_though_it_leads(void **state)
{
    struct three *t = *state;
    form_settled(t);
    t->ks[0].unwell = true;
    until(t, cluster_is_primary(t->ks[1].cluster));
    assert_int_equal(epoch_of(&t->ks[1]), 2);
    until(t, leader_of(t) == &t->ks[1]);
    t->ks[0].unwell = false;
    until(t, t->ks[0].ready); /* it serves members all the same */
}

int main(int argc, char **argv)
{
    if (!three_arguments(argc, argv))
        return 1;
    const struct CMUnitTest tests[] = {
        THREE(leadership_goes_where_an_operator_wants_it),
        THREE(the_primarys_role_goes_to_the_next_and_leadership_follows),
        THREE(alone_nobody_can_step_down),
        THREE(a_priority_set_by_command_decides_the_next_election_and_outlives_a_restart),
        THREE(a_primary_whose_process_ends_is_followed_without_waiting_for_silence),
        THREE(a_primary_that_is_not_well_is_followed_though_it_leads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

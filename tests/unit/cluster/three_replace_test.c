/* three_replace_test.c - a server is lost with its disk, and a new one takes its place: also under a leader
 * that found the last change of the configuration in its log when it started. */
#include "tests/unit/cluster/three_fixture.h"

static bool leads(struct three *t, struct ks *ks)
{
    return leader_of(t) == ks;
}

static void a_leader_that_was_restarted_replaces_a_lost_server(void **state)
{
    struct three *t = *state;
    struct ks *first = &t->ks[0], *lost = &t->ks[2];
    uint8_t id[NODE_ID_LEN];
    char dir[sizeof(lost->dir)];
    three_form(t);
    ks_close(first);
    until(t, leader_of(t) != NULL && leader_of(t)->ready);
    assert_ok(ks_open(first, NULL, NULL));
    until(t, first->ready && t->ks[1].ready && lost->ready && same_state(t));
    while (!leads(t, first) && !t->late) {
        struct ks *leader = leader_of(t);
        if (leader != NULL)
            repeat(leader,
                   cluster_transfer(leader->cluster, cluster_node_id(first->cluster), on_ending, &ending));
        uv_run(&t->loop, UV_RUN_NOWAIT);
    }
    until(t, first->ready && primaries(t) == 1);
    memcpy(id, cluster_node_id(lost->cluster), NODE_ID_LEN);
    assert_memory_not_equal(cluster_state(first->cluster)->cluster.primary_id, id, NODE_ID_LEN);
    ks_close(lost);
    repeat(first, cluster_node_remove(first->cluster, id, on_ending, &ending));
    until(t, voters(first) == 2);
    snprintf(dir, sizeof(dir), "%s", lost->dir);
    assert_int_equal(test_remove_tree(dir), 0);
    ks_join(lost, first);
    until(t, voters(first) == 3 && voters(lost) == 3 && same_state(t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_leader_that_was_restarted_replaces_a_lost_server, three_setup,
                                        three_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

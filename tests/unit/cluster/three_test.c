/* Three key servers form a cluster, forward, lose one and take it back. */
#include "cluster/cluster_internal.h"
#include "tests/unit/cluster/three_fixture.h"

static void propose_at(struct ks *ks, const char *name, uint32_t number, struct outcome *outcome)
{
    struct command command = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(ks->cluster)};
    command.u.group_set.config = group_named(name, number);
    *outcome = (struct outcome){0};
    assert_ok(cluster_propose(ks->cluster, &command, on_outcome, outcome));
}

static void three_servers_form_one_cluster_by_tokens(void **state)
{
    struct three *t = *state;
    three_form(t);
    until(t, same_state(t));
    const struct ks_state *s = cluster_state(t->ks[2].cluster);
    assert_int_equal(s->node_count, 3);
    assert_int_equal(primaries(t), 1);
    assert_true(cluster_is_primary(t->ks[0].cluster));
    /* Each has the same data key, and each row what its server says of itself. */
    for (size_t i = 0; i < SERVERS; i++) {
        assert_true(secret_equal(secret_view(&cluster_wrap_key(t->ks[i].cluster)->key),
                                 secret_view(&cluster_wrap_key(t->ks[0].cluster)->key)));
        until(t, ks_state_node(s, cluster_node_id(t->ks[i].cluster))->priority == 100 - i * 10);
    }
}

/* Otherwise the leader may step down at once, with a voter beside it that does not know that it is one. */
static void nobody_votes_before_it_has_answered_the_leader(void **state)
{
    struct three *t = *state;
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    make_token(&t->ks[0], t->ks[1].token);
    assert_ok(ks_open(&t->ks[1], &t->ks[0], t->ks[1].token));
    const struct cluster *leader = t->ks[0].cluster;
    while (voters(&t->ks[0]) < 2 && !t->late)
        uv_run(&t->loop, UV_RUN_ONCE); /* Raft's configuration changes within a turn */
    assert_int_equal(leader->peer_count, 1);
    assert_int_not_equal(leader->peers[0].answered_ms, 0);
    assert_true(leader->peers[0].applied > 0); /* it has the log, and what it was told as a standby */
    until(t, t->ks[1].ready && voters(&t->ks[1]) == 2);
}

static void a_token_serves_once(void **state)
{
    struct three *t = *state;
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    ks_join(&t->ks[1], &t->ks[0]);
    assert_err(ks_open(&t->ks[2], &t->ks[0], t->ks[1].token), E_REPLAY);
    assert_int_equal(cluster_state(t->ks[0].cluster)->node_count, 2);
    struct cluster_status status;
    cluster_status(t->ks[0].cluster, &status);
    assert_int_equal(status.join_refused, 1);
}

static void a_wiped_server_founds_no_second_cluster(void **state)
{
    struct three *t = *state;
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready);
    assert_err(ks_open(&t->ks[1], &t->ks[0], NULL), E_MISSING);
}

static void a_follower_forwards_and_sees_its_result(void **state)
{
    struct three *t = *state;
    struct outcome twin;
    struct group_config one = group_named("one", 1), two = group_named("two", 2);
    three_form(t);
    set_group(&t->ks[1], &one);
    set_group(&t->ks[2], &two);
    until(t, t->ks[2].ready);
    propose_at(&t->ks[2], "other name", 1, &twin);
    until(t, twin.done);
    assert_err(twin.result.err, E_EXISTS);
    until(t, same_state(t));
    assert_int_equal(cluster_state(t->ks[0].cluster)->group_count, 2);
}

static void when_the_primary_dies_the_best_of_the_others_follows(void **state)
{
    struct three *t = *state;
    struct group_config after = group_named("after", 7);
    three_form(t);
    until(t,
          ks_state_node(cluster_state(t->ks[1].cluster), cluster_node_id(t->ks[1].cluster))->priority == 90 &&
              ks_state_node(cluster_state(t->ks[1].cluster), cluster_node_id(t->ks[2].cluster))->priority ==
                  80);
    ks_close(&t->ks[0]);
    until(t, cluster_is_primary(t->ks[1].cluster));
    assert_int_equal(cluster_state(t->ks[1].cluster)->cluster.coop_epoch, 2);
    until(t, t->ks[2].ready);
    set_group(&t->ks[2], &after);
    /* The old one comes back and stays secondary, though its priority is the highest. */
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && same_state(t));
    assert_int_equal(primaries(t), 1);
    assert_false(cluster_is_primary(t->ks[0].cluster));
    assert_int_equal(cluster_state(t->ks[0].cluster)->cluster.coop_epoch, 2);
}

static void alone_nobody_commits_and_nobody_is_primary(void **state)
{
    struct three *t = *state;
    struct outcome outcome;
    three_form(t);
    struct ks *rest = leader_of(t) == &t->ks[2] ? &t->ks[1] : &t->ks[2];
    for (size_t i = 0; i < SERVERS; i++) {
        if (&t->ks[i] != rest)
            ks_close(&t->ks[i]);
    }
    until(t, !rest->ready);
    assert_int_equal(primaries(t), 0);
    struct command command = {.type = CMD_GROUP_SET, .time_ms = cluster_now_ms(rest->cluster)};
    command.u.group_set.config = group_named("lonely", 9);
    assert_err(cluster_propose(rest->cluster, &command, on_outcome, &outcome), E_STATE);
}

static void a_server_that_was_away_long_gets_a_snapshot(void **state)
{
    struct three *t = *state;
    struct group_config busy = group_named("busy", 5);
    t->snapshot_entries = 40;
    three_form(t);
    ks_close(&t->ks[2]);
    for (unsigned i = 0; i < 400; i++) {
        busy.tek_lifetime_s = 3600 + i;
        set_group(&t->ks[0], &busy);
    }
    struct cluster_status status;
    cluster_status(t->ks[0].cluster, &status);
    assert_true(status.snapshot_index > 300);
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, t->ks[2].ready && same_state(t));
    cluster_status(t->ks[2].cluster, &status);
    assert_true(status.snapshot_index > 300);
    ks_close(&t->ks[2]); /* and it is on its disk */
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, t->ks[2].ready && same_state(t));
}

static void a_server_is_removed_unless_the_quorum_would_go(void **state)
{
    struct three *t = *state;
    uint8_t id[NODE_ID_LEN];
    three_form(t);
    memcpy(id, cluster_node_id(t->ks[2].cluster), NODE_ID_LEN);
    assert_err(cluster_node_remove(t->ks[0].cluster, cluster_node_id(t->ks[0].cluster), NULL, NULL), E_STATE);
    repeat(&t->ks[0], cluster_node_remove(t->ks[0].cluster, id, on_ending, &ending));
    until(t, voters(&t->ks[0]) == 2);
    assert_null(ks_state_node(cluster_state(t->ks[0].cluster), id));
    until(t, !t->ks[2].ready);
    ks_close(&t->ks[2]);
    ks_close(&t->ks[1]);
    until(t, !t->ks[0].ready);
}

/* The store counts as lost with the machine, and before the first snapshot there is nothing but the log:
 * whose entries are committed only the others can say. */
static void power_fails_everywhere_and_the_cluster_comes_back(void **state)
{
    struct three *t = *state;
    struct outcome outcome;
    three_form(t);
    propose_at(&t->ks[0], "before", 7, &outcome);
    until(t, outcome.done && same_state(t));
    for (size_t i = 0; i < SERVERS; i++) {
        char path[128];
        ks_close(&t->ks[i]);
        snprintf(path, sizeof(path), "%s/store/open-in-boot", t->ks[i].dir);
        FILE *marker = fopen(path, "w");
        assert_non_null(marker);
        assert_true(fputs("another boot", marker) >= 0);
        assert_int_equal(fclose(marker), 0);
    }
    for (size_t i = 0; i < SERVERS; i++)
        assert_ok(ks_open(&t->ks[i], NULL, NULL));
    until(t, t->ks[0].ready && t->ks[1].ready && t->ks[2].ready && same_state(t));
    assert_non_null(ks_state_group_by_name(cluster_state(t->ks[0].cluster), "before"));
}

int main(int argc, char **argv)
{
    if (!three_arguments(argc, argv))
        return 1;
    const struct CMUnitTest tests[] = {
        THREE(three_servers_form_one_cluster_by_tokens),
        THREE(nobody_votes_before_it_has_answered_the_leader),
        THREE(a_token_serves_once),
        THREE(a_wiped_server_founds_no_second_cluster),
        THREE(a_follower_forwards_and_sees_its_result),
        THREE(when_the_primary_dies_the_best_of_the_others_follows),
        THREE(alone_nobody_commits_and_nobody_is_primary),
        THREE(a_server_that_was_away_long_gets_a_snapshot),
        THREE(power_fails_everywhere_and_the_cluster_comes_back),
        THREE(a_server_is_removed_unless_the_quorum_would_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

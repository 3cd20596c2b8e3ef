/* Key servers of different builds in one cluster. */
#include "base/event.h"
#include "cluster/cluster_internal.h"
#include "tests/unit/cluster/three_fixture.h"

static const struct peer *peer_at(const struct ks *by, const struct ks *of)
{
    return cluster_peer(by->cluster, of->cluster->node_id);
}

static void each_server_tells_the_level_of_its_build(void **state)
{
    struct three *t = *state;
    struct level_build next = level_own;
    struct cluster_peer_status peers[KS_NODE_MAX];
    next.level++;
    t->ks[1].build = &next;
    three_form(t);
    until(t, peer_at(&t->ks[0], &t->ks[1])->level == 2 && peer_at(&t->ks[0], &t->ks[2])->level == 1);
    assert_int_equal(cluster_peers(t->ks[0].cluster, peers), 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(peers[i].level,
                         memcmp(peers[i].node.id, t->ks[1].cluster->node_id, NODE_ID_LEN) == 0 ? 2 : 1);
    /* Gone, its level is no longer known: it may come back as another build. */
    ks_close(&t->ks[1]);
    t->ks[1].build = NULL;
    assert_ok(ks_open(&t->ks[1], NULL, NULL));
    until(t, peer_at(&t->ks[0], &t->ks[1])->level == 1);
}

/* As builds of before levels send it. */
static void an_old_sign_of_life_is_of_level_1(void **state)
{
    struct three *t = *state;
    struct level_build next = level_own;
    uint8_t buf[80];
    next.level++;
    t->ks[1].build = &next;
    three_form(t);
    until(t, peer_at(&t->ks[0], &t->ks[1])->level == 2);
    uint64_t heard = peer_at(&t->ks[0], &t->ks[1])->applied;
    for (uint8_t version = 1; version <= 2; version++) {
        struct writer w = writer_over(buf, sizeof(buf));
        write_u8(&w, version);
        write_u8(&w, 1);
        write_u64(&w, heard + 1000 + version);
        write_zeros(&w, 8 + 8 + 32);
        if (version == 2)
            write_u64(&w, cluster_now_ms(t->ks[1].cluster));
        assert_ok(raft_transport_send(t->ks[1].cluster->transport, t->ks[0].cluster->node_id, MSG_HEALTH,
                                      writer_bytes(&w)));
        until(t, peer_at(&t->ks[0], &t->ks[1])->applied == heard + 1000 + version);
        assert_int_equal(peer_at(&t->ks[0], &t->ks[1])->level, 1);
        until(t, peer_at(&t->ks[0], &t->ks[1])->level == 2); /* the next one */
    }
}

/* Older builds go on in a rolling upgrade: what a newer one tells beyond what they know is passed over. */
static void a_newer_sign_of_life_is_still_understood(void **state)
{
    struct three *t = *state;
    uint8_t buf[160];
    three_form(t);
    uint64_t heard = peer_at(&t->ks[0], &t->ks[1])->applied;
    struct writer w = writer_over(buf, sizeof(buf));
    write_u8(&w, 77);
    write_u8(&w, 1);
    write_u64(&w, heard + 1000);
    write_zeros(&w, 8 + 8 + 32);
    write_u64(&w, cluster_now_ms(t->ks[1].cluster));
    write_u32(&w, 9);
    write_u32(&w, 1);
    write_zeros(&w, 40);
    assert_ok(raft_transport_send(t->ks[1].cluster->transport, t->ks[0].cluster->node_id, MSG_HEALTH,
                                  writer_bytes(&w)));
    until(t, peer_at(&t->ks[0], &t->ks[1])->applied == heard + 1000);
    assert_int_equal(peer_at(&t->ks[0], &t->ks[1])->level, 9);
}

/* ---- a command that comes with level 2: which one it is does not matter ---- */

static struct level_build build_of(uint32_t level)
{
    struct level_build build = level_own;
    build.level = level;
    build.of_command[CMD_NODE_PRIORITY] = 2;
    return build;
}

static err_t set_priority(struct ks *by, const struct ks *of, struct ending *ending)
{
    *ending = (struct ending){0};
    return cluster_priority(by->cluster, of->cluster->node_id, 70, on_ending, ending);
}

static void assert_waits_for_level_2(struct ks *by)
{
    struct ending ending;
    struct cluster_status status;
    until(by->all, by->ready);
    assert_err(set_priority(by, by, &ending), E_UNSUPPORTED);
    cluster_status(by->cluster, &status);
    assert_int_equal(status.level, 1);
    assert_int_equal(status.level_refused, 2);
}

static void upgrade(struct ks *ks, const struct level_build *build)
{
    ks_close(ks);
    ks->build = build;
    assert_ok(ks_open(ks, NULL, NULL));
    until(ks->all, ks->ready);
}

static bool all_at(const struct three *t, uint32_t level)
{
    bool all = true;
    for (size_t i = 0; i < SERVERS; i++)
        all &= cluster_state(t->ks[i].cluster)->level == level;
    return all;
}

static void form_of(struct three *t, const struct level_build *build)
{
    for (size_t i = 0; i < SERVERS; i++)
        t->ks[i].build = build;
    three_form(t);
}

static void the_level_rises_when_the_last_server_is_upgraded(void **state)
{
    struct three *t = *state;
    struct level_build old = build_of(1), next = build_of(2);
    form_of(t, &old);
    assert_waits_for_level_2(&t->ks[0]);
    upgrade(&t->ks[2], &next);
    upgrade(&t->ks[1], &next);
    assert_waits_for_level_2(leader_of(t));
    assert_waits_for_level_2(&t->ks[1]);
    assert_true(all_at(t, 1));
    uint64_t told = event_count(EV_CLUSTER_LEVEL);
    upgrade(&t->ks[0], &next);
    until(t, all_at(t, 2));
    assert_true(event_count(EV_CLUSTER_LEVEL) > told);
    until(t, same_state(t));
    for (size_t i = 0; i < SERVERS; i++)
        repeat(&t->ks[i], set_priority(&t->ks[i], &t->ks[i], &ending));
    until(t, row_of(&t->ks[0], &t->ks[2])->priority == 70);
    /* It stays over a restart: the row of it is in the store. */
    upgrade(&t->ks[1], &next);
    assert_int_equal(cluster_state(t->ks[1].cluster)->level, 2);
    until(t, same_state(t));
}

/* Somebody who is away has not been asked. */
static void the_level_waits_for_a_server_that_is_down(void **state)
{
    struct three *t = *state;
    struct level_build old = build_of(1), next = build_of(2);
    form_of(t, &old);
    ks_close(&t->ks[2]);
    upgrade(&t->ks[1], &next);
    upgrade(&t->ks[0], &next);
    struct ks *leader = leader_of(t);
    uint64_t end = applied_of(leader) + 20;
    while (applied_of(leader) < end) {
        struct group_config busy = group_named("busy", 5);
        busy.tek_lifetime_s = 3600 + (uint32_t)applied_of(leader) % 1000;
        set_group(leader, &busy);
        leader = leader_of(t) != NULL ? leader_of(t) : leader;
    }
    assert_int_equal(cluster_state(t->ks[0].cluster)->level, 1);
    t->ks[2].build = &next;
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, all_at(t, 2));
}

static void a_build_below_the_level_does_not_start(void **state)
{
    struct three *t = *state;
    struct level_build old = build_of(1), next = build_of(2);
    form_of(t, &next);
    until(t, all_at(t, 2)); /* the founder alone was, then all who joined */
    ks_close(&t->ks[2]);
    t->ks[2].build = &old;
    uint64_t told = event_count(EV_BUILD_TOO_OLD);
    assert_err(ks_open(&t->ks[2], NULL, NULL), E_OLD_BUILD);
    assert_int_equal(event_count(EV_BUILD_TOO_OLD), told + 1);
    t->ks[2].build = &next; /* nothing was lost by trying */
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, t->ks[2].ready && same_state(t));
}

/* As it would be if a build were exchanged for an older one while the leader asked: it learns of it from the
 * log or from a sign of life, whichever comes first. */
static void a_server_that_falls_below_the_level_ends_and_says_why(void **state)
{
    struct three *t = *state;
    struct level_build old = build_of(1), next = build_of(2);
    struct command command = {.type = CMD_CLUSTER_LEVEL_SET, .u.cluster_level_set.level = 2};
    struct cmd_cluster_level_set *set = &command.u.cluster_level_set;
    form_of(t, &old);
    upgrade(&t->ks[1], &next);
    upgrade(&t->ks[0], &next);
    for (size_t i = 0; i < SERVERS; i++)
        memcpy(set->asked[set->asked_count++], t->ks[i].cluster->node_id, NODE_ID_LEN);
    uint64_t told = event_count(EV_BUILD_TOO_OLD), failed = event_count(EV_STORAGE_FAILED);
    repeat(&t->ks[0], (command.time_ms = cluster_now_ms(t->ks[0].cluster),
                       cluster_propose(t->ks[0].cluster, &command, on_ending, &ending)));
    until(t, t->ks[2].fatal == E_OLD_BUILD);
    assert_int_equal(event_count(EV_BUILD_TOO_OLD), told + 1);
    assert_int_equal(event_count(EV_STORAGE_FAILED), failed);
    upgrade(&t->ks[2], &next);
    until(t, all_at(t, 2) && same_state(t));
    repeat(&t->ks[0], set_priority(&t->ks[0], &t->ks[0], &ending));
}

static void a_build_below_the_level_cannot_join(void **state)
{
    struct three *t = *state;
    struct level_build old = build_of(1), next = build_of(2);
    struct cluster_status status;
    t->ks[0].build = &next;
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    until(t, cluster_state(t->ks[0].cluster)->level == 2);
    make_token(&t->ks[0], t->ks[1].token);
    t->ks[1].build = &old;
    assert_err(ks_open(&t->ks[1], &t->ks[0], t->ks[1].token), E_OLD_BUILD);
    cluster_status(t->ks[0].cluster, &status);
    assert_int_equal(status.join_refused, 1);
    assert_int_equal(cluster_state(t->ks[0].cluster)->node_count, 1);
    t->ks[1].build = &next; /* the token is still good */
    assert_ok(ks_open(&t->ks[1], &t->ks[0], t->ks[1].token));
    until(t, t->ks[1].ready);
    assert_int_equal(cluster_state(t->ks[1].cluster)->level, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, three_setup, three_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_server_tells_the_level_of_its_build),
        TEST(an_old_sign_of_life_is_of_level_1),
        TEST(a_newer_sign_of_life_is_still_understood),
        TEST(the_level_rises_when_the_last_server_is_upgraded),
        TEST(the_level_waits_for_a_server_that_is_down),
        TEST(a_build_below_the_level_does_not_start),
        TEST(a_server_that_falls_below_the_level_ends_and_says_why),
        TEST(a_build_below_the_level_cannot_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Key servers of different builds in one cluster. */
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, three_setup, three_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_server_tells_the_level_of_its_build),
        TEST(an_old_sign_of_life_is_of_level_1),
        TEST(a_newer_sign_of_life_is_still_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

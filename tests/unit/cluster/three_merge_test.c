/* three_merge_test.c - two clusters do not become one by accident: not when a server of the one takes the
 * address of a server of the other, and not when it starts with a token of the other. */
#include "base/event.h"
#include "tests/unit/cluster/three_fixture.h"

static struct cluster_status status_of(const struct ks *ks)
{
    struct cluster_status status;
    cluster_status(ks->cluster, &status);
    return status;
}

static bool connected(const struct ks *ks)
{
    struct cluster_peer_status peers[KS_NODE_MAX];
    size_t count = cluster_peers(ks->cluster, peers);
    for (size_t i = 0; i < count; i++)
        if (!peers[i].self && peers[i].connected)
            return true;
    return false;
}

static uint64_t refusals(void)
{
    return event_count(EV_PEER_REFUSED) + event_count(EV_PEER_REFUSED_US);
}

/* The one that stays must be the one that calls: of two servers the one with the lower id does. */
static void two_of_one_cluster(struct three *t, struct ks **stays, struct ks **goes)
{
    struct ks *a = &t->ks[0], *b = &t->ks[1];
    assert_ok(ks_open(a, NULL, NULL));
    until(t, a->ready && cluster_state(a->cluster)->node_count == 1);
    ks_join(b, a);
    until(t, voters(a) == 2 && voters(b) == 2);
    bool a_calls = memcmp(cluster_node_id(a->cluster), cluster_node_id(b->cluster), NODE_ID_LEN) < 0;
    *stays = a_calls ? a : b;
    *goes = a_calls ? b : a;
}

static void a_server_of_another_cluster_at_a_known_address_is_refused(void **state)
{
    struct three *t = *state;
    struct ks *stays, *goes, *other = &t->ks[2];
    two_of_one_cluster(t, &stays, &goes);
    ks_close(goes);
    uint64_t before = refusals();
    other->port = goes->port;
    assert_ok(ks_open(other, NULL, NULL));
    until(t, other->ready && refusals() >= before + 2); /* each end says so */
    assert_memory_not_equal(cluster_state(stays->cluster)->cluster.cluster_id,
                            cluster_state(other->cluster)->cluster.cluster_id, CLUSTER_ID_LEN);
    assert_false(connected(stays));
    assert_false(connected(other));
    assert_int_equal(voters(stays), 2);
    assert_int_equal(voters(other), 1);
    assert_string_equal(status_of(other).role, "leader");
    assert_true(cluster_is_primary(other->cluster));
    ks_close(other);
    assert_ok(ks_open(goes, NULL, NULL)); /* and the two find each other again */
    until(t, stays->ready && goes->ready && connected(stays) && same_state(t));
}

static void a_member_of_a_cluster_that_gets_a_token_of_another_stays_what_it_is(void **state)
{
    struct three *t = *state;
    struct ks *one = &t->ks[0], *other = &t->ks[1];
    uint8_t id[NODE_ID_LEN], cluster_id[CLUSTER_ID_LEN];
    assert_ok(ks_open(one, NULL, NULL));
    assert_ok(ks_open(other, NULL, NULL));
    until(t, one->ready && other->ready);
    memcpy(id, cluster_node_id(other->cluster), NODE_ID_LEN);
    memcpy(cluster_id, cluster_state(other->cluster)->cluster.cluster_id, CLUSTER_ID_LEN);
    make_token(one, other->token);
    ks_close(other);
    assert_ok(ks_open(other, one, other->token));
    until(t, other->ready);
    assert_memory_equal(cluster_node_id(other->cluster), id, NODE_ID_LEN);
    assert_memory_equal(cluster_state(other->cluster)->cluster.cluster_id, cluster_id, CLUSTER_ID_LEN);
    assert_int_equal(voters(one), 1);
    assert_int_equal(voters(other), 1);
    assert_int_equal(cluster_state(one->cluster)->node_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREE(a_server_of_another_cluster_at_a_known_address_is_refused),
        THREE(a_member_of_a_cluster_that_gets_a_token_of_another_stays_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

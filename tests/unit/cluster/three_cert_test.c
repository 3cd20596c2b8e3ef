/* Certificates of key servers: told to all, renewed while they run, worth nothing once the server was
 * removed. */
#include "tests/unit/cluster/three_fixture.h"

static const struct node_cert *cert_of(const struct ks *by, const struct ks *of)
{
    return &row_of(by, of)->cert;
}

static bool all_known(struct three *t)
{
    for (size_t i = 0; i < SERVERS; i++) {
        if (cert_of(&t->ks[0], &t->ks[i])->not_after_s == 0)
            return false;
    }
    return true;
}

static void certificates_stand_in_the_rows_of_their_servers(void **state)
{
    struct three *t = *state;
    three_form(t);
    until(t, all_known(t) && same_state(t));
    const struct node_cert *a = cert_of(&t->ks[0], &t->ks[0]), *b = cert_of(&t->ks[0], &t->ks[1]);
    uint64_t now_s = clock_wall_ms(&clock_system) / 1000;
    assert_memory_not_equal(a->serial, b->serial, NODE_SERIAL_LEN);
    assert_memory_not_equal(a->fingerprint, b->fingerprint, NODE_FINGERPRINT_LEN);
    assert_true(a->not_before_s < now_s && a->not_after_s > now_s + 300 * 86400);
}

static bool is_another(const struct ks *by, const struct ks *of, const struct node_cert *old)
{
    return memcmp(cert_of(by, of)->fingerprint, old->fingerprint, NODE_FINGERPRINT_LEN) != 0;
}

static void each_renews_on_an_operators_word_without_losing_a_connection(void **state)
{
    struct three *t = *state;
    struct node_cert old[SERVERS];
    struct cluster_peer_status peers[KS_NODE_MAX];
    uint8_t nobody[NODE_ID_LEN] = {9};
    three_form(t);
    until(t, all_known(t) && leader_of(t) != NULL);
    for (size_t i = 0; i < SERVERS; i++)
        old[i] = *cert_of(&t->ks[0], &t->ks[i]);
    until(t, t->ks[1].ready);
    assert_ok(cluster_cert_renew(t->ks[1].cluster, NULL));
    assert_ok(cluster_cert_renew(t->ks[1].cluster, cluster_node_id(t->ks[0].cluster)));
    assert_ok(cluster_cert_renew(t->ks[1].cluster, cluster_node_id(t->ks[2].cluster)));
    assert_err(cluster_cert_renew(t->ks[1].cluster, nobody), E_NOT_FOUND);
    for (size_t i = 0; i < SERVERS; i++)
        until(t, is_another(&t->ks[1], &t->ks[i], &old[i]));
    size_t count = cluster_peers(t->ks[1].cluster, peers);
    for (size_t i = 0; i < count; i++)
        assert_true(peers[i].connected);
    /* What is on disk fits together, and the others believe it. */
    ks_close(&t->ks[2]);
    assert_ok(ks_open(&t->ks[2], NULL, NULL));
    until(t, t->ks[2].ready && same_state(t));
    assert_true(is_another(&t->ks[2], &t->ks[2], &old[2]));
}

static void a_certificate_is_renewed_at_two_thirds_of_its_life(void **state)
{
    struct three *t = *state;
    t->cert_life_s = 12;
    three_form(t);
    until(t, all_known(t));
    struct node_cert first = *cert_of(&t->ks[0], &t->ks[1]);
    until(t, is_another(&t->ks[0], &t->ks[1], &first));
    assert_true(clock_wall_ms(&clock_system) / 1000 >= first.not_after_s - 12 / 3 - 1);
    assert_true(t->ks[1].open && t->ks[1].fatal == E_OK);
}

/* Its certificate is valid for a year still: the node table decides. */
static void a_removed_server_is_disconnected_at_once_and_for_good(void **state)
{
    struct three *t = *state;
    struct cluster_peer_status peers[KS_NODE_MAX];
    uint8_t id[NODE_ID_LEN];
    three_form(t);
    memcpy(id, cluster_node_id(t->ks[2].cluster), NODE_ID_LEN);
    repeat(&t->ks[0], cluster_node_remove(t->ks[0].cluster, id, on_ending, &ending));
    until(t, !t->ks[2].ready);
    assert_int_equal(cluster_peers(t->ks[0].cluster, peers), 2);
    ks_close(&t->ks[2]);
    assert_ok(ks_open(&t->ks[2], NULL, NULL)); /* it tries again with what it has */
    uint64_t end = clock_mono_ms(&clock_system) + 3000;
    until(t, t->ks[2].ready || clock_mono_ms(&clock_system) > end);
    assert_false(t->ks[2].ready);
    for (size_t i = 0; i < cluster_peers(t->ks[2].cluster, peers); i++)
        assert_true(peers[i].self || !peers[i].connected);
}

int main(int argc, char **argv)
{
    if (!three_arguments(argc, argv))
        return 1;
    const struct CMUnitTest tests[] = {
        THREE(certificates_stand_in_the_rows_of_their_servers),
        THREE(each_renews_on_an_operators_word_without_losing_a_connection),
        THREE(a_certificate_is_renewed_at_two_thirds_of_its_life),
        THREE(a_removed_server_is_disconnected_at_once_and_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

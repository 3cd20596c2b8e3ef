/* Leadership that changes on purpose. */
#include "tests/unit/cluster/raft_trio.h"

static err_t transfer(struct trio *t, unsigned from, uint64_t id)
{
    struct raft_node_update u;
    err_t err = raft_node_transfer(t->nodes[from], t->now_ms, id, &u);
    carry_out(t, from, &u);
    return err;
}

static void leadership_goes_to_the_one_that_is_named(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    submit(t, 0, 0xaa);
    deliver_all(t);
    uint64_t last = raft_node_last(t->nodes[0]);
    for (unsigned round = 0; round < 3; round++) { /* and on, and back */
        unsigned from = round % SERVERS, to = (round + 1) % SERVERS;
        assert_ok(transfer(t, from, t->ids[to]));
        deliver_all(t);
        assert_true(raft_node_is_leader(t->nodes[to]));
        assert_false(raft_node_is_leader(t->nodes[from]));
        assert_int_equal(raft_node_transferee(t->nodes[to]), 0);
    }
    submit(t, 0, 0xbb);
    deliver_all(t);
    wake(t, 0);
    for (unsigned i = 0; i < SERVERS; i++) {
        assert_int_equal(mark_at(t, i, last), 0xaa);
        assert_int_equal(t->applied[i], raft_node_last(t->nodes[0]));
    }
}

static void one_that_lacks_entries_gets_them_first(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    t->slow_disk[1] = true;
    submit(t, 0, 1);
    deliver_all(t);
    assert_ok(transfer(t, 0, t->ids[1]));
    deliver_all(t);
    assert_true(raft_node_is_leader(t->nodes[0]));
    assert_int_equal(raft_node_transferee(t->nodes[0]), t->ids[1]);
    t->slow_disk[1] = false;
    struct raft_node_update none = {0};
    carry_out(t, 1, &none);
    deliver_all(t);
    assert_true(raft_node_is_leader(t->nodes[1]));
}

static void meanwhile_no_entry_is_taken_and_then_it_goes_on(void **state)
{
    struct trio *t = *state;
    struct raft_node_update u;
    uint8_t data[8] = {0};
    make_leader(t, 0);
    deliver_all(t);
    t->cut[1] = true;
    assert_ok(transfer(t, 0, t->ids[1]));
    assert_err(raft_node_submit(t->nodes[0], t->now_ms, ENTRY_COMMAND, BYTES_OF(data), &u), E_AGAIN);
    assert_err(transfer(t, 0, t->ids[2]), E_STATE);
    for (int i = 0; i < 20 && raft_node_transferee(t->nodes[0]) != 0; i++)
        wake(t, 0);
    assert_int_equal(raft_node_transferee(t->nodes[0]), 0); /* given up after an election time-out */
    assert_true(raft_node_is_leader(t->nodes[0]));
    submit(t, 0, 5);
    deliver_all(t);
    assert_int_equal(t->applied[0], raft_node_last(t->nodes[0]));
}

static void only_another_voter_can_be_named(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    assert_err(transfer(t, 0, t->ids[0]), E_NOT_FOUND);
    assert_err(transfer(t, 0, 0), E_NOT_FOUND);
    assert_err(transfer(t, 0, 12345), E_NOT_FOUND);
    assert_err(transfer(t, 1, t->ids[2]), E_NOT_PRIMARY);
}

/* Without it both would wait for an election time-out, since who has a leader refuses even pre-votes. */
static void a_leader_that_is_known_to_be_gone_is_followed_at_once(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    wake(t, 0);
    t->cut[0] = true;
    uint64_t start = t->now_ms;
    raft_node_leader_lost(t->nodes[1], start, t->ids[0], 20);
    raft_node_leader_lost(t->nodes[2], start, t->ids[0], 80);
    assert_int_equal(raft_node_deadline(t->nodes[1]), start + 20);
    assert_int_equal(raft_node_deadline(t->nodes[2]), start + 80);
    assert_int_equal(raft_node_leader(t->nodes[1]), 0);
    wake(t, 1);
    assert_true(raft_node_is_leader(t->nodes[1]));
    assert_true(t->now_ms - start <= 20);
    assert_int_equal(raft_node_leader(t->nodes[2]), t->ids[1]);
    assert_true(raft_node_deadline(t->nodes[2]) >= t->now_ms + 300); /* it has a leader again */
}

static void that_a_server_which_does_not_lead_is_gone_changes_nothing(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    wake(t, 0);
    uint64_t deadline = raft_node_deadline(t->nodes[1]), own = raft_node_deadline(t->nodes[0]);
    raft_node_leader_lost(t->nodes[1], t->now_ms, t->ids[2], 20);
    raft_node_leader_lost(t->nodes[1], t->now_ms, 0, 20);
    raft_node_leader_lost(t->nodes[0], t->now_ms, t->ids[0], 20);
    assert_int_equal(raft_node_deadline(t->nodes[1]), deadline);
    assert_int_equal(raft_node_deadline(t->nodes[0]), own);
    assert_int_equal(raft_node_leader(t->nodes[1]), t->ids[0]);
}

/* The connection was lost, the leader was not: the one that is alone in its belief disturbs nobody. */
static void a_false_alarm_ends_with_the_next_heartbeat(void **state)
{
    struct trio *t = *state;
    make_leader(t, 0);
    wake(t, 0);
    uint64_t term = raft_node_term(t->nodes[0]);
    raft_node_leader_lost(t->nodes[1], t->now_ms, t->ids[0], 20);
    wake(t, 1); /* its pre-vote is refused */
    assert_true(raft_node_is_leader(t->nodes[0]));
    wake(t, 0);
    assert_int_equal(raft_node_leader(t->nodes[1]), t->ids[0]);
    assert_int_equal(raft_node_term(t->nodes[1]), term);
}

int main(void)
{
#define TRIO(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TRIO(leadership_goes_to_the_one_that_is_named),
        TRIO(one_that_lacks_entries_gets_them_first),
        TRIO(meanwhile_no_entry_is_taken_and_then_it_goes_on),
        TRIO(only_another_voter_can_be_named),
        TRIO(a_leader_that_is_known_to_be_gone_is_followed_at_once),
        TRIO(that_a_server_which_does_not_lead_is_gone_changes_nothing),
        TRIO(a_false_alarm_ends_with_the_next_heartbeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

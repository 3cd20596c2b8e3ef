/* Who becomes primary. */
#include <string.h>

#include "cluster/coop.h"
#include "tests/lib/test.h"

enum { NODES = 3 };
struct world {
    struct ks_state state;
    struct coop_sign signs[NODES];
};

/* Three servers with priorities 100, 75, 50; the first is primary; all heard at 10,000. */
static struct world world(void)
{
    struct world w = {.state.node_count = NODES, .state.cluster.coop_epoch = 1};
    for (uint8_t i = 0; i < NODES; i++) {
        w.state.nodes[i] = (struct node_record){.id = {(uint8_t)(i + 1)},
                                                .role = NODE_VOTER,
                                                .priority = (uint8_t)(100 - 25 * i),
                                                .address = addr_v4(10, 0, 0, (uint8_t)(i + 1))};
        w.signs[i] = (struct coop_sign){.id = {(uint8_t)(i + 1)}, .connected = true, .healthy_ms = 10000};
    }
    w.state.cluster.primary_id[0] = 1;
    return w;
}

static uint8_t elected(const struct world *w, uint64_t since_ms, uint64_t now_ms)
{
    uint8_t id[NODE_ID_LEN] = {0};
    return coop_elect(&w->state, w->signs, NODES, since_ms, now_ms, COOP_DEAD_MS, id) ? id[0] : 0;
}

static void a_live_primary_stays_whatever_its_priority(void **state)
{
    (void)state;
    struct world w = world();
    assert_int_equal(elected(&w, 1, 10500), 0);
    w.state.nodes[0].priority = 1;
    assert_int_equal(elected(&w, 1, 10500), 0);
}

static void the_best_live_server_follows_a_dead_primary(void **state)
{
    (void)state;
    struct world w = world();
    w.signs[1].healthy_ms = w.signs[2].healthy_ms = 11000;
    assert_int_equal(elected(&w, 1, 10999), 0);
    assert_int_equal(elected(&w, 1, 11000), 2);
    w.signs[1].healthy_ms = 10000; /* silent as well */
    assert_int_equal(elected(&w, 1, 11000), 3);
}

static void between_equal_priorities_the_higher_address_wins(void **state)
{
    (void)state;
    struct world w = world();
    w.state.nodes[1].priority = w.state.nodes[2].priority = 60;
    w.signs[1].healthy_ms = w.signs[2].healthy_ms = 11000;
    assert_int_equal(elected(&w, 1, 11200), 3);
}

static void a_new_leader_gives_the_primary_time_to_be_heard(void **state)
{
    (void)state;
    struct world w = world();
    w.signs[0].healthy_ms = 0;
    w.signs[1].healthy_ms = 20500;
    assert_int_equal(elected(&w, 20000, 20999), 0);
    assert_int_equal(elected(&w, 20000, 21000), 2);
    /* One that was heard before this server led was silent since then. */
    w.signs[0].healthy_ms = 19500;
    assert_int_equal(elected(&w, 20000, 20499), 0);
    assert_int_equal(elected(&w, 20000, 20500), 2);
    w.signs[1].connected = false;
    assert_int_equal(elected(&w, 20000, 20500), 0);
}

static void a_removed_primary_is_followed_at_once(void **state)
{
    (void)state;
    struct world w = world();
    memset(w.state.cluster.primary_id, 9, NODE_ID_LEN);
    assert_int_equal(elected(&w, 10000, 10001), 1);
}

static void one_whose_process_is_gone_is_followed_before_it_is_silent(void **state)
{
    (void)state;
    struct world w = world();
    w.signs[0].gone_ms = 10010;
    assert_int_equal(elected(&w, 1, 10010 + COOP_GONE_MS - 1), 0);
    assert_int_equal(elected(&w, 1, 10010 + COOP_GONE_MS), 2);
    w.signs[0].gone_ms = 0; /* it dialled again */
    assert_int_equal(elected(&w, 1, 10010 + COOP_GONE_MS), 0);
}

static void a_leader_that_was_voted_out_has_less_time(void **state)
{
    (void)state;
    struct world w = world();
    w.signs[0].limit_ms = 600;
    assert_int_equal(elected(&w, 1, 10599), 0);
    assert_int_equal(elected(&w, 1, 10600), 2);
}

static void a_sign_heard_after_the_clock_was_read_is_no_death(void **state)
{
    (void)state;
    struct world w = world();
    w.signs[0].healthy_ms = 10001;
    assert_int_equal(elected(&w, 1, 10000), 0);
}

static void the_next_one_is_the_best_of_the_others(void **state)
{
    (void)state;
    struct world w = world();
    uint8_t id[NODE_ID_LEN];
    assert_true(coop_next(&w.state, w.signs, NODES, 10100, COOP_DEAD_MS, w.state.nodes[0].id, id));
    assert_int_equal(id[0], 2);
    w.state.nodes[1].role = NODE_WITNESS;
    assert_true(coop_next(&w.state, w.signs, NODES, 10100, COOP_DEAD_MS, w.state.nodes[0].id, id));
    assert_int_equal(id[0], 3);
    w.signs[2].connected = false;
    assert_false(coop_next(&w.state, w.signs, NODES, 10100, COOP_DEAD_MS, w.state.nodes[0].id, id));
    assert_true(coop_next(&w.state, w.signs, NODES, 10100, COOP_DEAD_MS, NULL, id));
    assert_int_equal(id[0], 1);
}

static void witnesses_and_standbys_are_never_primary(void **state)
{
    (void)state;
    struct world w = world();
    w.state.nodes[1].role = NODE_WITNESS;
    w.state.nodes[2].role = NODE_STANDBY;
    w.signs[1].healthy_ms = w.signs[2].healthy_ms = 11000;
    assert_int_equal(elected(&w, 1, 11500), 0);
}

static void nobody_is_elected_when_nobody_is_well(void **state)
{
    (void)state;
    struct world w = world();
    assert_int_equal(elected(&w, 1, 99999), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_live_primary_stays_whatever_its_priority),
        cmocka_unit_test(the_best_live_server_follows_a_dead_primary),
        cmocka_unit_test(between_equal_priorities_the_higher_address_wins),
        cmocka_unit_test(a_new_leader_gives_the_primary_time_to_be_heard),
        cmocka_unit_test(a_removed_primary_is_followed_at_once),
        cmocka_unit_test(one_whose_process_is_gone_is_followed_before_it_is_silent),
        cmocka_unit_test(a_leader_that_was_voted_out_has_less_time),
        cmocka_unit_test(a_sign_heard_after_the_clock_was_read_is_no_death),
        cmocka_unit_test(the_next_one_is_the_best_of_the_others),
        cmocka_unit_test(witnesses_and_standbys_are_never_primary),
        cmocka_unit_test(nobody_is_elected_when_nobody_is_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

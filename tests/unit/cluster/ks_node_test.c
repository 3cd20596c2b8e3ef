/* Nodes, authority and join tokens as replicated state: apply() of the fixture compares each step with what
 * the rows would bring back. */
#include "tests/unit/cluster/ks_fixture.h"

static struct node_record node(uint8_t first, uint8_t priority)
{
    return (struct node_record){.id = {first, 1, 1, 1, 1, 1, 1, 1},
                                .role = NODE_VOTER,
                                .priority = priority,
                                .cluster = {addr_v4(10, 1, 21, first), 8848},
                                .address = addr_v4(10, 1, 21, first)};
}

static err_t set_node(struct ks *ks, struct node_record record)
{
    struct command c = {.type = CMD_NODE_SET, .u.node_set.node = record};
    return apply(ks, &c);
}

static err_t remove_node(struct ks *ks, struct node_record record)
{
    struct command c = {.type = CMD_NODE_REMOVE};
    memcpy(c.u.node_remove.id, record.id, NODE_ID_LEN);
    return apply(ks, &c);
}

static void nodes_are_kept_in_the_order_of_their_ids(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_node(ks, node(3, 10)));
    assert_ok(set_node(ks, node(1, 20)));
    assert_ok(set_node(ks, node(2, 30)));
    assert_ok(set_node(ks, node(1, 99)));
    assert_int_equal(ks->state.node_count, 3);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(ks->state.nodes[i].id[0], i + 1);
    assert_int_equal(ks->state.nodes[0].priority, 99);
    assert_int_equal(ks->state.nodes[0].changed_ms, ks->now_ms);
    assert_err(set_node(ks, node(4, 0)), E_RANGE);
    struct node_record twin = node(3, 1);
    twin.id[NODE_ID_LEN - 1] = 1; /* the first eight octets are those of another */
    assert_err(set_node(ks, twin), E_EXISTS);
    assert_ok(remove_node(ks, node(2, 1)));
    assert_err(remove_node(ks, node(2, 1)), E_NOT_FOUND);
    assert_null(ks_state_node(&ks->state, node(2, 1).id));
    assert_non_null(ks_state_node(&ks->state, node(3, 1).id));
}

static void an_operators_priority_counts_more_than_the_configuration(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_NODE_PRIORITY};
    assert_ok(set_node(ks, node(1, 20)));
    memcpy(c.u.node_priority.id, node(1, 0).id, NODE_ID_LEN);
    c.u.node_priority.priority = 77;
    assert_ok(apply(ks, &c));
    assert_ok(set_node(ks, node(1, 30))); /* what it says of itself */
    assert_int_equal(ks->state.nodes[0].priority, 77);
    c.u.node_priority.priority = 0;
    assert_ok(apply(ks, &c));
    assert_ok(set_node(ks, node(1, 30)));
    assert_int_equal(ks->state.nodes[0].priority, 30);
    c.u.node_priority.id[0] = 9;
    assert_err(apply(ks, &c), E_NOT_FOUND);
}

static void a_nodes_certificate_stays_when_its_row_changes(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_NODE_CERT};
    assert_ok(set_node(ks, node(1, 20)));
    memcpy(c.u.node_cert.id, node(1, 0).id, NODE_ID_LEN);
    c.u.node_cert.cert = (struct node_cert){.serial = {7}, .not_after_s = 1000};
    assert_ok(apply(ks, &c));
    assert_ok(set_node(ks, node(1, 30)));
    assert_int_equal(ks->state.nodes[0].cert.not_after_s, 1000);
    assert_int_equal(ks->state.nodes[0].cert.serial[0], 7);
    c.u.node_cert.id[0] = 9;
    assert_err(apply(ks, &c), E_NOT_FOUND);
}

static void a_witness_is_never_elected(void **state)
{
    struct ks *ks = *state;
    struct node_record witness = node(5, 200);
    struct command c = {.type = CMD_ELECT};
    witness.role = NODE_WITNESS;
    assert_ok(set_node(ks, witness));
    memcpy(c.u.elect.primary_id, witness.id, NODE_ID_LEN);
    c.u.elect.epoch = ks->state.cluster.coop_epoch + 1;
    assert_err(apply(ks, &c), E_STATE);
}

static void the_primary_is_not_removed(void **state)
{
    struct ks *ks = *state;
    struct node_record self = node(1, 1);
    memcpy(self.id, this_node, NODE_ID_LEN);
    assert_ok(set_node(ks, self));
    assert_err(remove_node(ks, self), E_STATE);
}

static bool take(struct ks *ks, uint64_t request)
{
    struct store_txn *txn;
    assert_ok(store_begin_write(ks->store, &txn));
    bool taken = ks_state_take_request(&ks->state, txn, node(1, 1).id, request);
    assert_ok(store_commit(txn));
    return taken;
}

static void a_forwarded_command_is_taken_once(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_node(ks, node(1, 1)));
    assert_true(take(ks, 7));
    assert_false(take(ks, 7));
    assert_false(take(ks, 6));
    assert_true(take(ks, 9));
    assert_ok(set_node(ks, node(1, 2))); /* a change of the node forgets nothing */
    assert_false(take(ks, 9));
}

static void the_authority_is_set_once_and_opens_with_the_data_key(void **state)
{
    struct ks *ks = *state;
    static const uint8_t cert[] = "certificate", key[] = "private key";
    struct command c = {.type = CMD_CA_SET};
    assert_ok(ks_ca_seal(&ks->state, &ks->wrap, &ks->rng, BYTES_OF(cert), BYTES_OF(key), &c.u.ca_set.ca));
    assert_ok(apply(ks, &c));
    assert_err(apply(ks, &c), E_EXISTS);
    uint8_t out[CA_KEY_MAX];
    size_t len;
    assert_ok(ks_ca_open(&ks->state, &ks->wrap, out, &len));
    assert_int_equal(len, sizeof(key));
    assert_memory_equal(out, key, sizeof(key));
}

static err_t use(struct ks *ks, uint8_t token, uint8_t mac, struct node_record record)
{
    struct command c = {.type = CMD_JOIN_TOKEN_USED,
                        .u.join_token_used = {.token_id = {token}, .request_mac = {mac}, .node = record}};
    return apply(ks, &c);
}

static void a_join_token_brings_one_node(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_JOIN_TOKEN_SET};
    c.u.join_token_set.token =
        (struct join_record){.id = {5}, .role = JOIN_VOTER, .expires_ms = ks->now_ms + 1000};
    assert_ok(apply(ks, &c));
    assert_err(apply(ks, &c), E_EXISTS);
    assert_err(use(ks, 6, 1, node(1, 1)), E_AUTH);
    assert_ok(use(ks, 5, 1, node(1, 1)));
    assert_ok(use(ks, 5, 1, node(1, 1))); /* the same request: its answer got lost */
    assert_err(use(ks, 5, 2, node(2, 1)), E_REPLAY);
    assert_int_equal(ks->state.node_count, 1);
    c.u.join_token_set.token.id[0] = 4;
    assert_ok(apply(ks, &c));
    ks->now_ms += 1000;
    assert_err(use(ks, 4, 3, node(3, 1)), E_EXPIRED);
    assert_int_equal(ks->state.node_count, 1);
}

static void expired_tokens_make_room(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_JOIN_TOKEN_SET};
    c.u.join_token_set.token = (struct join_record){.role = JOIN_VOTER, .expires_ms = ks->now_ms + 1000};
    for (uint8_t i = 0; i < JOIN_TOKEN_MAX; i++) {
        c.u.join_token_set.token.id[0] = (uint8_t)(200 - i);
        assert_ok(apply(ks, &c));
    }
    c.u.join_token_set.token.id[0] = 1;
    assert_err(apply(ks, &c), E_FULL);
    ks->now_ms += 1000;
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->state.token_count, 1);
}

int main(void)
{
#define READY(test) cmocka_unit_test_setup_teardown(test, ks_setup_ready, ks_teardown)
    const struct CMUnitTest tests[] = {
        READY(nodes_are_kept_in_the_order_of_their_ids),
        READY(an_operators_priority_counts_more_than_the_configuration),
        READY(a_nodes_certificate_stays_when_its_row_changes),
        READY(a_witness_is_never_elected),
        READY(the_primary_is_not_removed),
        READY(a_forwarded_command_is_taken_once),
        READY(the_authority_is_set_once_and_opens_with_the_data_key),
        READY(a_join_token_brings_one_node),
        READY(expired_tokens_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

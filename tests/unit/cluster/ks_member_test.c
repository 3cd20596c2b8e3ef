#include "tests/unit/cluster/ks_fixture.h"

static void a_member_is_registered_with_what_it_was_offered(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 7));
    assert_true(ks->result.created);
    const struct member_record *m = member_of(ks, 1, 7);
    assert_non_null(m);
    assert_ptr_equal(&ks->result.member->record, m);
    assert_int_equal(m->registrations, 1);
    assert_int_equal(m->first_ms, start_ms);
    assert_memory_equal(m->key_server, this_node, NODE_ID_LEN);
}

static void an_unknown_group_is_told(void **state)
{
    struct ks *ks = *state;
    assert_err(register_as(ks, 9, 1, 1, 0, 0), E_UNKNOWN_GROUP);
    assert_null(ks->result.group);
}

static void nobody_registers_before_the_first_keys(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 1);
    assert_ok(set_group(ks, &config));
    assert_err(register_as(ks, 1, 1, 0, 0, 0), E_STATE);
}

static void an_offer_from_before_a_finished_rekey_is_stale(void **state)
{
    struct ks *ks = *state;
    uint32_t generation = group_of(ks, 1)->record.generation;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    assert_err(register_as(ks, 1, 1, generation, 0, 0), E_STALE);
    assert_null(member_of(ks, 1, 1));
}

static void a_member_that_came_during_a_push_is_part_of_it(void **state)
{
    struct ks *ks = *state;
    uint32_t generation = group_of(ks, 1)->record.generation;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(register_as(ks, 1, 1, generation, 0, 0));     /* offered before: the push is for it */
    assert_ok(register_as(ks, 1, 2, generation + 1, 1, 0)); /* offered after: it has those keys */
    assert_int_equal(member_of(ks, 1, 1)->seq_base, 0);
    assert_int_equal(member_of(ks, 1, 2)->seq_base, 1);
    struct identity silent = member_id(1);
    assert_ok(push_done(ks, 1, 1, &silent, 1));
    assert_int_equal(member_of(ks, 1, 1)->missed, 1);
    assert_int_equal(member_of(ks, 1, 2)->rekeys_sent, 0);
    assert_int_equal(group_of(ks, 1)->rekey.silent, 1);
    assert_int_equal(group_of(ks, 1)->rekey.acked, 0);
}

static void an_offer_two_generations_old_is_stale_even_during_a_push(void **state)
{
    struct ks *ks = *state;
    uint32_t generation = group_of(ks, 1)->record.generation;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_err(register_as(ks, 1, 1, generation, 0, 0), E_STALE);
}

static void an_offer_that_nobody_made_is_stale(void **state)
{
    struct ks *ks = *state;
    const struct group_record *r = &group_of(ks, 1)->record;
    assert_err(register_as(ks, 1, 1, r->generation + 1, r->seq, 0), E_STALE);
    assert_err(register_as(ks, 1, 1, r->generation, r->seq + 1, 0), E_STALE);
}

static void a_member_that_comes_again_keeps_its_counters_and_moves(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(rekey(ks, 1, REKEY_TEK));
    struct identity silent = member_id(1);
    assert_ok(push_done(ks, 1, 1, &silent, 1));
    assert_int_equal(member_of(ks, 1, 1)->missed_in_row, 1);
    ks->now_ms += 60000;
    struct command c = {.type = CMD_MEMBER_REGISTERED};
    const struct group_record *r = &group_of(ks, 1)->record;
    c.u.member_registered = (struct cmd_member_registered){
        .group_id = 1,
        .identity = member_id(1),
        .endpoint = {addr_v4(10, 7, 7, 7), 4848},
        .key_server = {4},
        .offered_generation = r->generation,
        .offered_seq = r->seq,
    };
    assert_ok(apply(ks, &c));
    assert_false(ks->result.created);
    const struct member_record *m = member_of(ks, 1, 1);
    assert_int_equal(m->registrations, 2);
    assert_int_equal(m->missed, 1);
    assert_int_equal(m->missed_in_row, 0);
    assert_int_equal(m->endpoint.port, 4848);
    assert_int_equal(m->key_server[0], 4);
    assert_int_equal(m->first_ms, start_ms);
    assert_int_equal(m->last_ms, start_ms + 60000);
    assert_int_equal(m->seq_base, 1);
}

static int setup_gcm(void **state)
{
    if (ks_setup_ready(state) != 0)
        return -1;
    struct ks *ks = *state;
    struct group_config config = test_config("gcm", 4444);
    config.suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    config.sid_bits = 8;
    return set_group(ks, &config) == E_OK && rekey(ks, 1, REKEY_INITIAL) == E_OK ? 0 : -1;
}

static err_t join_sids(struct ks *ks, uint8_t n, uint16_t sids)
{
    const struct group_record *r = &group_of(ks, 1)->record;
    return register_as(ks, 1, n, r->generation, r->seq, sids);
}

/* RFC 6054 4: no sender id twice, and not for a member that comes again either. */
static void sender_ids_are_never_given_twice(void **state)
{
    struct ks *ks = *state;
    bool given[256] = {false};
    for (uint8_t n = 0; n < 32; n++) {
        assert_ok(join_sids(ks, n % 20, 8));
        const struct member_record *m = &ks->result.member->record;
        assert_int_equal(m->sid_count, 8);
        for (uint32_t i = 0; i < m->sid_count; i++) {
            assert_true(m->first_sid + i < 256);
            assert_false(given[m->first_sid + i]);
            given[m->first_sid + i] = true;
        }
    }
    assert_err(join_sids(ks, 99, 1), E_FULL);
    assert_null(member_of(ks, 1, 99));
    assert_err(join_sids(ks, 99, 0), E_FULL);
}

/* RFC 6407 3.5: one for every member of a group with a counter mode; more on request. */
static void a_member_that_asks_for_no_sender_id_gets_one(void **state)
{
    struct ks *ks = *state;
    assert_ok(join_sids(ks, 1, 0));
    assert_int_equal(member_of(ks, 1, 1)->sid_count, 1);
    assert_ok(join_sids(ks, 2, 0));
    assert_int_not_equal(member_of(ks, 1, 2)->first_sid, member_of(ks, 1, 1)->first_sid);
}

static void a_request_beyond_the_bound_takes_nothing(void **state)
{
    struct ks *ks = *state;
    assert_err(join_sids(ks, 1, MEMBER_SID_MAX + 1), E_LIMIT);
    assert_int_equal(group_of(ks, 1)->record.next_sid, 0);
}

static void a_group_without_counter_mode_gives_no_sender_ids(void **state)
{
    struct ks *ks = *state;
    const struct group_record *r = &group_of(ks, 1)->record;
    assert_ok(register_as(ks, 1, 1, r->generation, r->seq, 4));
    assert_int_equal(member_of(ks, 1, 1)->sid_count, 0);
}

static void sender_ids_wait_for_the_rekey_that_changes_their_length(void **state)
{
    struct ks *ks = *state;
    struct group_config config = group_of(ks, 1)->record.config;
    config.sid_bits = 12;
    assert_ok(set_group(ks, &config));
    assert_err(join_sids(ks, 1, 1), E_STALE);
    struct command c;
    assert_ok(rekey_with_push(ks, 1, REKEY_POLICY, true, &c));
    assert_ok(join_sids(ks, 1, 1));
    assert_int_equal(member_of(ks, 1, 1)->first_sid, 0);
}

static void a_reset_starts_sender_ids_again_under_a_new_key_only(void **state)
{
    struct ks *ks = *state;
    assert_ok(join_sids(ks, 1, 4));
    struct command c;
    assert_ok(rekey_with_push(ks, 1, REKEY_TEK, true, &c));
    const struct ks_group *group = group_of(ks, 1);
    assert_int_equal(group->record.sid_epoch, 1);
    assert_int_equal(group->record.next_sid, 0);
    assert_ok(join_sids(ks, 2, 4));
    assert_int_equal(ks->result.member->record.first_sid, 0);
    /* The old key is still in use by member 1 under sender id 0: a newcomer must not get it. */
    struct group_policy policy;
    assert_ok(ks_group_policy(&ks->state, group, &ks->wrap, ks->result.member, ks->now_ms, &policy));
    assert_int_equal(policy.tek_count, 1);
    assert_int_equal(policy.teks[0].spi, c.u.rekey.tek.spi);
    assert_int_equal(policy.sid_count, 4);
    assert_int_equal(policy.sids[3], 3);
    assert_int_equal(policy.sid_bits, 8);
    group_policy_close(&policy);
}

static struct command quarantine_of(uint32_t group_id, uint8_t n, const char *reason)
{
    struct command c = {.type = CMD_MEMBER_QUARANTINED,
                        .u.member_quarantined = {.group_id = group_id, .identity = member_id(n)}};
    memcpy(c.u.member_quarantined.reason, reason, strlen(reason));
    return c;
}

static void a_quarantine_lasts_until_the_member_takes_the_policy(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    assert_ok(join(ks, 1, 2));
    struct command c = quarantine_of(1, 1, "no AES-GCM");
    assert_ok(apply(ks, &c));
    assert_string_equal(member_of(ks, 1, 1)->quarantine, "no AES-GCM");
    assert_int_equal(member_of(ks, 1, 2)->quarantined_ms, 0);
    compare_with_rows(ks);
    assert_ok(join(ks, 1, 1));
    assert_int_equal(member_of(ks, 1, 1)->quarantined_ms, 0);
    compare_with_rows(ks);
    /* Or until it acknowledges a rekey. */
    c = quarantine_of(1, 1, "no ESP");
    assert_ok(apply(ks, &c));
    c = quarantine_of(1, 2, "no ESP");
    assert_ok(apply(ks, &c));
    assert_ok(rekey(ks, 1, REKEY_TEK));
    struct identity silent[] = {member_id(2)};
    assert_ok(push_done(ks, 1, group_of(ks, 1)->record.seq, silent, 1));
    assert_int_equal(member_of(ks, 1, 1)->quarantined_ms, 0);
    assert_string_equal(member_of(ks, 1, 2)->quarantine, "no ESP");
    compare_with_rows(ks);
}

static void a_quarantine_that_makes_no_sense_changes_nothing(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    struct command c = quarantine_of(1, 2, "not a member");
    assert_err(apply(ks, &c), E_NOT_FOUND);
    c = quarantine_of(5, 1, "no such group");
    assert_err(apply(ks, &c), E_UNKNOWN_GROUP);
    c = quarantine_of(1, 1, "two\nlines");
    assert_err(apply(ks, &c), E_RANGE);
    assert_int_equal(member_of(ks, 1, 1)->quarantined_ms, 0);
}

/* Nothing that a member says of itself may be too long for its row: a server that cannot write one stops. */
static void the_longest_identity_with_the_longest_reason_has_room(void **state)
{
    struct ks *ks = *state;
    struct identity longest = {.type = ID_FQDN, .len = ID_DATA_MAX};
    memset(longest.data, 'm', longest.len);
    struct command c = {.type = CMD_MEMBER_REGISTERED,
                        .u.member_registered = {.group_id = 1,
                                                .identity = longest,
                                                .endpoint = {addr_v4(10, 2, 2, 1), 848},
                                                .offered_generation = group_of(ks, 1)->record.generation,
                                                .offered_seq = group_of(ks, 1)->record.seq}};
    assert_ok(apply(ks, &c));
    c = (struct command){.type = CMD_MEMBER_QUARANTINED,
                         .u.member_quarantined = {.group_id = 1, .identity = longest}};
    memset(c.u.member_quarantined.reason, 'r', QUARANTINE_REASON_MAX - 1);
    assert_ok(apply(ks, &c));
    assert_int_equal(strlen(ks_group_member(group_of(ks, 1), &longest)->record.quarantine),
                     QUARANTINE_REASON_MAX - 1);
    compare_with_rows(ks);
}

static void a_removed_member_is_gone(void **state)
{
    struct ks *ks = *state;
    assert_ok(join(ks, 1, 1));
    struct command c = {.type = CMD_MEMBER_REMOVED, .u.member_removed = {1, member_id(1)}};
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->removed, 1);
    assert_null(member_of(ks, 1, 1));
    assert_err(apply(ks, &c), E_NOT_FOUND);
    c.u.member_removed.group_id = 5;
    assert_err(apply(ks, &c), E_UNKNOWN_GROUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_longest_identity_with_the_longest_reason_has_room, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_is_registered_with_what_it_was_offered, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(an_unknown_group_is_told, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(nobody_registers_before_the_first_keys, ks_setup_ready, ks_teardown),
        cmocka_unit_test_setup_teardown(an_offer_from_before_a_finished_rekey_is_stale, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_that_came_during_a_push_is_part_of_it, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(an_offer_two_generations_old_is_stale_even_during_a_push,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(an_offer_that_nobody_made_is_stale, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_that_comes_again_keeps_its_counters_and_moves,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(sender_ids_are_never_given_twice, setup_gcm, ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_that_asks_for_no_sender_id_gets_one, setup_gcm, ks_teardown),
        cmocka_unit_test_setup_teardown(a_request_beyond_the_bound_takes_nothing, setup_gcm, ks_teardown),
        cmocka_unit_test_setup_teardown(a_group_without_counter_mode_gives_no_sender_ids, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(sender_ids_wait_for_the_rekey_that_changes_their_length, setup_gcm,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_reset_starts_sender_ids_again_under_a_new_key_only, setup_gcm,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_quarantine_lasts_until_the_member_takes_the_policy, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_quarantine_that_makes_no_sense_changes_nothing, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_removed_member_is_gone, ks_setup_group, ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

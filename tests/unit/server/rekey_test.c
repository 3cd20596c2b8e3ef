/* rekey_test.c - rekeys through the core: who gets them, acknowledgements, silence, restarts. */
#include "tests/unit/server/fleet.h"

static void every_member_gets_the_rekey_and_acknowledges(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    assert_int_equal(events_since(KS_SEND_UNICAST_REKEY), 1);
    assert_int_equal(f.rig->many_count, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    /* All have it: over at once, without a wait. */
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
    assert_int_equal(rig_g1(f.rig)->rekey.silent, 0);
    assert_int_equal(events_since(REKEY_DONE), 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), MEMBERS);
    fleet_close(&f);
}

static void a_tek_is_renewed_in_time(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rig_pass(f.rig, (7200 - TEK_LEAD_S - 5) * 1000);
    assert_int_equal(rig_g1(f.rig)->record.seq, 0);
    rig_pass(f.rig, 6000);
    assert_int_equal(rig_g1(f.rig)->record.seq, 1);
    assert_int_equal(f.rig->many_count, MEMBERS);
    fleet_close(&f);
}

static void a_new_kek_comes_under_the_old_one(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t old_spi[KEK_SPI_LEN];
    fleet_open(&f);
    f.rig->groups[0].kek_lifetime_s = 86400;
    memcpy(old_spi, rig_g1(f.rig)->record.kek.spi, KEK_SPI_LEN);
    for (uint64_t passed_s = 0; memcmp(rig_g1(f.rig)->record.kek.spi, old_spi, KEK_SPI_LEN) == 0;
         passed_s += 5) {
        assert_true(passed_s < 86400);
        rig_pass(f.rig, 5000);
        for (size_t i = 0; i < MEMBERS; i++)
            member_take_pushes(f.rig, &f.m[i], true);
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_memory_equal(f.m[i].push.kek.spi, rig_g1(f.rig)->record.kek.spi, KEK_SPI_LEN);
        assert_int_equal(record_of(&f, i)->record.missed, 0); /* ACKs under the old KEK were counted */
    }
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 0);
    uint32_t seq = rig_g1(f.rig)->record.seq;
    rekey_now(&f); /* and the next one under the new KEK */
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    assert_int_equal(rig_g1(f.rig)->record.seq, seq + 1);
    assert_false(rig_g1(f.rig)->pushing);
    fleet_close(&f);
}

static void the_silent_get_it_again_and_nobody_else(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    for (size_t i = 1; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    rig_wire_clear(f.rig); /* the first member's datagram is lost */
    rig_pass(f.rig, 10001);
    assert_int_equal(rig_waiting(f.rig, &f.m[0].at), 1);
    assert_int_equal(f.rig->wire_count, 1);
    assert_int_equal(member_take_pushes(f.rig, &f.m[0], true), 1);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.retransmits, 1);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
    fleet_close(&f);
}

static void a_lost_acknowledgement_brings_the_same_bytes_again(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t first[ISAKMP_MESSAGE_MAX];
    fleet_open(&f);
    rekey_now(&f);
    assert_true(member_get(f.rig, &f.m[0]));
    memcpy(first, f.m[0].got.data, f.m[0].got.len);
    size_t len = f.m[0].got.len;
    assert_ok(member_push(&f.m[0]));
    rig_pass(f.rig, 10001);
    assert_true(member_get(f.rig, &f.m[0]));
    assert_int_equal(f.m[0].got.len, len);
    assert_memory_equal(f.m[0].got.data, first, len);
    assert_err(member_push(&f.m[0]), E_REPLAY);
    member_send_ack(f.rig, &f.m[0], 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), 1);
    fleet_close(&f);
}

static void three_silences_in_a_row_remove_a_member(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    for (size_t i = 0; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true); /* it knows how to acknowledge */
    for (int n = 1; n <= 3; n++) {
        assert_non_null(record_of(&f, 0));
        rekey_now(&f);
        for (size_t i = 1; i < MEMBERS; i++)
            member_take_pushes(f.rig, &f.m[i], true);
        rig_pass(f.rig, 31000);
        assert_false(rig_g1(f.rig)->pushing);
        assert_int_equal(rig_g1(f.rig)->rekey.silent, 1);
        assert_int_equal(rig_g1(f.rig)->rekey.retransmits, 2);
        assert_int_equal(rig_waiting(f.rig, &f.m[0].at), 3 * n);
    }
    assert_null(record_of(&f, 0));
    assert_int_equal(events_since(KS_GM_REVOKED), 1);
    for (size_t i = 1; i < MEMBERS; i++)
        assert_non_null(record_of(&f, i));
    /* The next rekey is not for it. */
    rig_wire_clear(f.rig);
    rekey_now(&f);
    assert_int_equal(rig_waiting(f.rig, &f.m[0].at), 0);
    fleet_close(&f);
}

static void the_last_acknowledgements_are_waited_for(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    rig_pass(f.rig, 29000); /* two repeats, and 9 of the 10 seconds after */
    assert_true(rig_g1(f.rig)->pushing);
    for (size_t i = 0; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
    fleet_close(&f);
}

static void no_acknowledgements_asked_for_nobody_is_silent(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_member m;
    rig->groups[0].ack = KEK_ACK_NONE;
    core_ready(rig->core, true);
    rig_pass(rig, 1000);
    member_register(rig, &m, 13, 2);
    for (int n = 0; n < 4; n++) {
        rig_wire_clear(rig);
        assert_ok(core_rekey(rig->core, "G1", NULL, NULL));
        rig_pass(rig, 21000);
        assert_false(rig_g1(rig)->pushing);
        assert_int_equal(rig_waiting(rig, &m.at), 3); /* to everyone each time */
        assert_int_equal(rig_g1(rig)->rekey.silent, 0);
    }
    struct identity identity = identity_from_addr(&m.at.addr);
    assert_non_null(ks_group_member(rig_g1(rig), &identity));
    member_close(&m);
    rig_free(rig);
}

/* RFC 8263 7.1 and PROTOCOL 7 row 10: the KEK is a group key, so the source address is what is left to check.
 */
static void forged_acknowledgements_do_not_count(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t buf[PUSH_ACK_LEN_MAX];
    fleet_open(&f);
    rekey_now(&f);
    for (size_t i = 0; i < MEMBERS; i++) {
        assert_true(member_get(f.rig, &f.m[i]));
        assert_ok(member_push(&f.m[i]));
    }
    struct bytes of_0 = member_ack(&f.m[0], 1, buf, sizeof(buf));
    rig_in(f.rig, &f.m[1].at, of_0); /* member 1 speaks for member 0 */
    struct endpoint nowhere = {addr_v4(172, 16, 0, 1), 848};
    rig_in(f.rig, &nowhere, of_0); /* a stranger replays it */
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 2);
    uint8_t bad[PUSH_ACK_LEN_MAX];
    memcpy(bad, of_0.data, of_0.len);
    bad[40] ^= 1; /* in the HASH */
    rig_in(f.rig, &f.m[0].at, (struct bytes){bad, of_0.len});
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 3);
    rig_in(f.rig, &f.m[0].at, member_ack(&f.m[0], 2, bad, sizeof(bad))); /* of a rekey that is not yet */
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 4);
    rig_in(f.rig, &f.m[0].at, (struct bytes){of_0.data, of_0.len - 1});
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 4); /* no ISAKMP message at all */
    assert_int_equal(rig_metric(f.rig, METRIC_MALFORMED), 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), 0);
    rig_in(f.rig, &f.m[0].at, of_0);
    rig_in(f.rig, &f.m[0].at, of_0);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_DUPLICATE), 1);
    fleet_close(&f);
}

static void an_acknowledgement_under_another_key_is_refused(void **state)
{
    (void)state;
    struct fleet f;
    uint8_t buf[PUSH_ACK_LEN_MAX];
    fleet_open(&f);
    rekey_now(&f);
    f.m[0].ack_key.keys[0].data[0] ^= 1;
    rig_in(f.rig, &f.m[0].at, member_ack(&f.m[0], 1, buf, sizeof(buf)));
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_BAD), 1);
    f.m[0].ack_key.keys[0].data[0] ^= 1;
    f.m[0].ack_key.spi[3] ^= 1; /* of a KEK that we have not */
    rig_in(f.rig, &f.m[0].at, member_ack(&f.m[0], 1, buf, sizeof(buf)));
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_LATE), 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), 0);
    fleet_close(&f);
}

static void an_acknowledgement_after_the_end_is_late(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    for (size_t i = 1; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    rig_pass(f.rig, 31000);
    assert_false(rig_g1(f.rig)->pushing);
    member_take_pushes(f.rig, &f.m[0], true);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS), MEMBERS - 1);
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_LATE), 1);
    rekey_now(&f);
    member_send_ack(f.rig, &f.m[1], 1); /* of the rekey before */
    assert_int_equal(rig_metric(f.rig, METRIC_ACKS_LATE), 2);
    fleet_close(&f);
}

static void a_member_told_before_the_rekey_joins_its_push(void **state)
{
    (void)state;
    struct fleet f;
    struct rig_member late;
    fleet_open(&f);
    member_init(f.rig, &late, 13, 2, RIG_PSK);
    assert_ok(member_phase1(f.rig, &late));
    member_pull_start(f.rig, &late, 3333);
    rekey_now(&f); /* commits between its messages 2 and 3 */
    assert_true(member_get(f.rig, &late));
    assert_ok(member_pull_step(f.rig, &late)); /* 2 in, 3 out */
    assert_true(member_get(f.rig, &late));
    assert_ok(member_pull_step(f.rig, &late)); /* 4: as offered */
    member_take_keys(&late);
    assert_int_equal(late.pull.seq, 0);
    assert_int_equal(late.pull.policy.tek_count, 1);
    assert_int_equal(rig_waiting(f.rig, &late.at), 1); /* the push, behind message 4 */
    assert_int_equal(member_take_pushes(f.rig, &late, true), 1);
    for (size_t i = 0; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS + 1);
    member_close(&late);
    fleet_close(&f);
}

static void a_member_that_registers_again_needs_no_push(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    for (size_t i = 1; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    assert_true(rig_g1(f.rig)->pushing);
    rig_wire_clear(f.rig);
    assert_ok(member_pull(f.rig, &f.m[0], 3333));
    assert_int_equal(f.m[0].pull.seq, 1);
    assert_int_equal(f.m[0].pull.policy.tek_count, 2);
    rig_pass(f.rig, 100);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.silent, 0);
    fleet_close(&f);
}

static void a_full_socket_is_tried_again(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->many_limit = 1;
    rekey_now(&f);
    assert_int_equal(f.rig->many_count, 1);
    rig_pass(f.rig, 100);
    assert_int_equal(f.rig->many_count, MEMBERS);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(rig_waiting(f.rig, &f.m[i].at), 1);
    fleet_close(&f);
}

static void counter_modes_give_every_member_its_own_sender_ids(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_member a, b;
    rig->groups[0].suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    rig->groups[0].sid_bits = 8;
    core_ready(rig->core, true);
    rig_pass(rig, 1000);
    member_register(rig, &a, 13, 2);
    member_register(rig, &b, 14, 2);
    assert_int_equal(a.pull.policy.sid_count, 1);
    assert_int_equal(b.pull.policy.sid_count, 1);
    assert_int_not_equal(a.pull.policy.sids[0], b.pull.policy.sids[0]);
    member_close(&a);
    member_close(&b);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_gets_the_rekey_and_acknowledges),
        cmocka_unit_test(a_tek_is_renewed_in_time),
        cmocka_unit_test(a_new_kek_comes_under_the_old_one),
        cmocka_unit_test(the_silent_get_it_again_and_nobody_else),
        cmocka_unit_test(a_lost_acknowledgement_brings_the_same_bytes_again),
        cmocka_unit_test(three_silences_in_a_row_remove_a_member),
        cmocka_unit_test(the_last_acknowledgements_are_waited_for),
        cmocka_unit_test(no_acknowledgements_asked_for_nobody_is_silent),
        cmocka_unit_test(forged_acknowledgements_do_not_count),
        cmocka_unit_test(an_acknowledgement_under_another_key_is_refused),
        cmocka_unit_test(an_acknowledgement_after_the_end_is_late),
        cmocka_unit_test(a_member_told_before_the_rekey_joins_its_push),
        cmocka_unit_test(a_member_that_registers_again_needs_no_push),
        cmocka_unit_test(a_full_socket_is_tried_again),
        cmocka_unit_test(counter_modes_give_every_member_its_own_sender_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

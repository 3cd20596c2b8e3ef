/* rekey_test.c - rekeys through the core: who gets them, acknowledgements, silence, restarts. */
#include "tests/unit/server/rig.h"

static uint64_t event_base[EVENT_COUNT];

static void events_mark(void)
{
    for (int i = 0; i < EVENT_COUNT; i++)
        event_base[i] = event_count((enum event_id)i);
}
#define events_since(name) (event_count(EV_##name) - event_base[EV_##name])

enum { MEMBERS = 5, TEK_LEAD_S = 115 /* 90 + 2 * 10 + 5 */ };

struct fleet {
    struct rig *rig;
    struct rig_member m[MEMBERS];
};

static void fleet_open(struct fleet *f)
{
    memset(f, 0, sizeof(*f));
    f->rig = rig_ready();
    for (size_t i = 0; i < MEMBERS; i++)
        member_register(f->rig, &f->m[i], 14, (uint8_t)(10 + i));
    events_mark();
}

static void fleet_close(struct fleet *f)
{
    for (size_t i = 0; i < MEMBERS; i++)
        member_close(&f->m[i]);
    rig_free(f->rig);
}

static void rekey_now(struct fleet *f)
{
    assert_ok(core_rekey(f->rig->core, "G1", NULL, NULL));
    rig_settle(f->rig);
}

static const struct ks_member *record_of(const struct fleet *f, size_t i)
{
    struct identity identity = identity_from_addr(&f->m[i].at.addr);
    return ks_group_member(rig_g1(f->rig), &identity);
}

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

static void a_restart_sends_the_same_bytes_again(void **state)
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
    rig_kill_core(f.rig);
    assert_true(rig_g1(f.rig)->pushing);
    uint32_t seq = rig_g1(f.rig)->record.seq;
    rig_open_core(f.rig);
    core_ready(f.rig->core, true);
    rig_settle(f.rig);
    assert_true(member_get(f.rig, &f.m[0]));
    assert_int_equal(f.m[0].got.len, len);
    assert_memory_equal(f.m[0].got.data, first, len);
    assert_err(member_push(&f.m[0]), E_REPLAY);
    member_send_ack(f.rig, &f.m[0], seq);
    for (size_t i = 1; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->record.seq, seq);
    assert_int_equal(f.rig->applied[CMD_REKEY], 2); /* the first keys, and this one: none was made anew */
    fleet_close(&f);
}

static void nothing_is_pushed_before_the_commit(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->commit = RIG_HOLD;
    rekey_now(&f);
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->many_count, 0);
    assert_int_equal(f.rig->proposal_count, 1);
    f.rig->commit = RIG_COMMIT;
    rig_settle(f.rig);
    assert_int_equal(f.rig->many_count, MEMBERS);
    fleet_close(&f);
}

static void a_rekey_that_was_not_committed_is_made_anew(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->commit = RIG_LOSE;
    rig_pass(f.rig, (7200 - TEK_LEAD_S + 10) * 1000);
    assert_int_equal(f.rig->many_count, 0);
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->many_count, MEMBERS);
    assert_int_equal(rig_g1(f.rig)->record.seq, 1);
    fleet_close(&f);
}

static void only_the_primary_makes_and_sends_rekeys(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->primary = false;
    assert_err(core_rekey(f.rig->core, "G1", NULL, NULL), E_NOT_PRIMARY);
    rig_pass(f.rig, 7300 * 1000);
    assert_int_equal(f.rig->many_count, 0);
    assert_int_equal(rig_g1(f.rig)->record.seq, 0);
    fleet_close(&f);
}

static void a_deposed_primary_stops_sending(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    size_t sent = f.rig->many_count;
    f.rig->primary = false;
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->many_count, sent);
    assert_true(rig_g1(f.rig)->pushing);
    f.rig->primary = true; /* and takes it up again */
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->many_count, sent + MEMBERS);
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

static void a_changed_policy_is_pushed(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->groups[0].selector_count = 2;
    assert_ok(prefix_parse(&f.rig->groups[0].selectors[1].src, "172.20.0.0/16"));
    assert_ok(prefix_parse(&f.rig->groups[0].selectors[1].dst, "172.20.0.0/16"));
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 10);
    assert_int_equal(events_since(GROUP_CHANGED), 1);
    assert_int_equal(rig_g1(f.rig)->rekey.kind, REKEY_POLICY);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void groups_and_keys_that_left_the_file_are_removed(void **state)
{
    (void)state;
    struct fleet f;
    struct rig_member m;
    fleet_open(&f);
    rekey_now(&f);
    f.rig->config.group_count = 0;
    f.rig->config.psk_count = 1;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->state.group_count, 0);
    assert_int_equal(f.rig->state.psks.count, 1);
    assert_int_equal(events_since(GROUP_REMOVED), 1);
    rig_wire_clear(f.rig);
    rig_pass(f.rig, 60000);
    assert_int_equal(f.rig->wire_count, 0); /* its push ended with it */
    member_init(f.rig, &m, 14, 200, RIG_PSK);
    assert_int_not_equal(member_phase1(f.rig, &m), E_OK);
    member_close(&m);
    fleet_close(&f);
}

static void a_changed_psk_is_taken_over(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    assert_ok(secret_set(&rig->psks[0].secret, bytes_of_text("another secret")));
    core_configure(rig->core, &rig->config);
    rig_pass(rig, 2000);
    member_init(rig, &m, 13, 2, "another secret");
    assert_ok(member_phase1(rig, &m));
    member_close(&m);
    rig_free(rig);
}

/* The push that brings the new signing key is signed by the old one. */
static void a_new_signing_key_reaches_the_members(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    f.rig->config.sign_alg = SIGN_RSA;
    f.rig->config.sign_bits = 2048;
    core_configure(f.rig->core, &f.rig->config);
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->state.signing.version, 2);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 2);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    rekey_now(&f); /* now signed by the new one */
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void without_a_signing_key_the_group_says_so(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    events_mark();
    rig->pool_full = true;
    core_ready(rig->core, true);
    rig_pass(rig, 4000); /* it may just be in the making */
    assert_int_equal(events_since(KS_NO_RSA_KEYS), 0);
    rig_pass(rig, 3000);
    assert_int_equal(events_since(KS_NO_RSA_KEYS), 1);
    assert_false(rig_g1(rig)->record.has_kek);
    rig->pool_full = false;
    rig_pass(rig, 2000);
    assert_true(rig_g1(rig)->record.has_kek);
    rig_free(rig);
}

static void asked_done(void *context, err_t err, uint32_t seq)
{
    uint32_t *out = context;
    assert_ok(err);
    *out = seq;
}

static void an_operator_hears_when_the_rekey_is_committed(void **state)
{
    (void)state;
    struct fleet f;
    uint32_t seq = 0;
    fleet_open(&f);
    f.rig->commit = RIG_HOLD;
    assert_ok(core_rekey(f.rig->core, "G1", asked_done, &seq));
    rig_settle(f.rig);
    assert_int_equal(seq, 0);
    assert_err(core_rekey(f.rig->core, "G1", asked_done, &seq), E_AGAIN);
    assert_err(core_rekey(f.rig->core, "G2", asked_done, &seq), E_NOT_FOUND);
    f.rig->commit = RIG_COMMIT;
    rig_settle(f.rig);
    assert_int_equal(seq, 1);
    assert_err(core_rekey(f.rig->core, "G1", asked_done, &seq), E_AGAIN); /* that one is on its way */
    fleet_close(&f);
}

static void a_push_done_that_was_lost_is_proposed_again(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    rekey_now(&f);
    f.rig->commit = RIG_LOSE;
    for (size_t i = 0; i < MEMBERS; i++)
        member_take_pushes(f.rig, &f.m[i], true);
    rig_pass(f.rig, 3000);
    assert_true(rig_g1(f.rig)->pushing);
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2000);
    assert_false(rig_g1(f.rig)->pushing);
    assert_int_equal(rig_g1(f.rig)->rekey.acked, MEMBERS);
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
        cmocka_unit_test(a_restart_sends_the_same_bytes_again),
        cmocka_unit_test(nothing_is_pushed_before_the_commit),
        cmocka_unit_test(a_rekey_that_was_not_committed_is_made_anew),
        cmocka_unit_test(only_the_primary_makes_and_sends_rekeys),
        cmocka_unit_test(a_deposed_primary_stops_sending),
        cmocka_unit_test(a_member_told_before_the_rekey_joins_its_push),
        cmocka_unit_test(a_member_that_registers_again_needs_no_push),
        cmocka_unit_test(a_full_socket_is_tried_again),
        cmocka_unit_test(a_changed_policy_is_pushed),
        cmocka_unit_test(groups_and_keys_that_left_the_file_are_removed),
        cmocka_unit_test(a_changed_psk_is_taken_over),
        cmocka_unit_test(a_new_signing_key_reaches_the_members),
        cmocka_unit_test(without_a_signing_key_the_group_says_so),
        cmocka_unit_test(an_operator_hears_when_the_rekey_is_committed),
        cmocka_unit_test(a_push_done_that_was_lost_is_proposed_again),
        cmocka_unit_test(counter_modes_give_every_member_its_own_sender_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Rekeys at the member: genuine, lost, doubled, reordered, replayed, forged; new KEKs, deletes,
 * acknowledgements, and when the new key is sent on. */
#include "world.h"

static uint8_t push_buffer[ISAKMP_MESSAGE_MAX];

static void a_rekey_is_received_on_at_once_and_sent_on_after_atd(void **state)
{
    (void)state;
    uint64_t taken = event_count(EV_GM_RECV_REKEY), tek = event_count(EV_SA_TEK_UPDATED);
    struct world *w = world_registered(1);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 100);
    assert_int_equal(event_count(EV_GM_RECV_REKEY), taken + 1);
    assert_int_equal(event_count(EV_SA_TEK_UPDATED), tek + 1);
    assert_true(world_receives(w, 0x1002));
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 14800);
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 200);
    assert_int_equal(w->out_spi, 0x1002);
    assert_true(world_receives(w, 0x1001)); /* its own life goes on */
    world_close(w);
}

static void the_old_key_is_kept_for_dtd_after_the_switch_though_its_life_ends_before(void **state)
{
    (void)state;
    struct world *w = world_open(2, 1);
    w->policy.teks[0].lifetime_s = 40;
    w->config.reregister_before_s = 5;
    world_start(w);
    world_run(w, 21000);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(
        w, world_rekey(w, &next, push_buffer)); /* switch at about 36 s, the old one ends at 40, DTD is 30 */
    world_run(w, 40000);
    assert_true(world_receives(w, 0x1001));
    assert_int_equal(w->out_spi, 0x1002);
    world_run(w, 6000);
    assert_false(world_receives(w, 0x1001));
    world_close(w);
}

static void a_key_that_ends_before_atd_gives_way_early(void **state)
{
    (void)state;
    struct world *w = world_open(3, 1);
    w->policy.teks[0].lifetime_s = 30;
    w->config.reregister_before_s = 1;
    world_start(w);
    world_run(w, 25000);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 4500);
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 1000); /* 5.5 s after the push, ATD is 15 */
    assert_int_equal(w->out_spi, 0x1002);
    world_close(w);
}

static void a_registration_with_several_keys_sends_on_the_second_longest_first(void **state)
{
    (void)state;
    struct world *w = world_open(4, 1);
    w->policy.teks[w->policy.tek_count++] = world_tek(w, 0x1002, 7200);
    w->policy.teks[w->policy.tek_count++] = world_tek(w, 0x1003, 600);
    world_start(w);
    world_run(w, 1000);
    assert_int_equal(w->in_count, 3);
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 15000);
    assert_int_equal(w->out_spi, 0x1002);
    world_close(w);
}

static void it_acknowledges_after_installing(void **state)
{
    (void)state;
    struct world *w = world_registered(5);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 100);
    assert_int_equal(w->acks.count, 1);
    assert_int_equal(w->acks.last_seq, 1);
    assert_int_equal(w->acks.bad, 0);
    assert_int_equal(w->agent.stats.acks, 1);
    world_close(w);
}

static void no_acknowledgement_before_the_data_path_has_it(void **state)
{
    (void)state;
    uint64_t errors = event_count(EV_DATAPATH_ERROR);
    struct world *w = world_registered(6);
    struct tek next = world_tek(w, 0x1002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    w->apply_err = E_IO;
    world_push(w, push);
    world_run(w, 1000);
    world_push(w, push); /* the server repeats it */
    world_run(w, 1000);
    assert_int_equal(w->acks.count, 0);
    assert_int_equal(event_count(EV_DATAPATH_ERROR), errors + 1);
    w->apply_err = E_OK;
    world_run(w, AGENT_APPLY_RETRY_MS);
    assert_true(world_receives(w, 0x1002));
    assert_int_equal(w->acks.count, 1);
    world_close(w);
}

static void a_repeat_of_the_same_bytes_is_acknowledged_again_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_registered(7);
    struct tek next = world_tek(w, 0x1002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    uint64_t failures = event_count(EV_GDOI_REKEY_SEQ_FAILURE), taken = event_count(EV_GM_RECV_REKEY);
    for (unsigned i = 0; i < 5; i++) {
        world_push(w, push);
        world_run(w, 100);
    }
    assert_int_equal(w->acks.count, 5);
    assert_int_equal(w->acks.bad, 0);
    assert_int_equal(w->agent.stats.rekeys, 1);
    assert_int_equal(w->agent.stats.repeated, 4);
    assert_int_equal(event_count(EV_GDOI_REKEY_SEQ_FAILURE), failures);
    assert_int_equal(event_count(EV_GM_RECV_REKEY), taken + 1);
    world_close(w);
}

static void a_new_primary_that_says_the_same_in_other_bytes_gets_its_acknowledgement(void **state)
{
    (void)state;
    struct world *w = world_registered(8);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 100);
    w->seq--;
    next.lifetime_s -= 3; /* the same sequence number, signed anew */
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 100);
    assert_int_equal(w->acks.count, 2);
    assert_int_equal(w->agent.stats.rekeys, 1);
    world_close(w);
}

static void a_rekey_whose_keys_came_by_registration_is_acknowledged(void **state)
{
    (void)state;
    struct world *w = world_open(38, 1);
    w->seq = 2;
    w->policy.teks[w->policy.tek_count++] = world_tek(w, 0x1002, 7200);
    struct bytes push = world_rekey(w, &w->policy.teks[1], push_buffer); /* number 3, pushed before we came */
    world_start(w);
    world_run(w, 1000);
    assert_int_equal(w->agent.listen.member.last_seq, 3);
    unsigned applies = w->applies;
    for (unsigned i = 0; i < 2; i++) { /* repeated, because somebody else is silent */
        world_push(w, push);
        world_run(w, 100);
    }
    assert_int_equal(w->acks.count, 2);
    assert_int_equal(w->acks.last_seq, 3);
    assert_int_equal(w->agent.stats.rekeys, 0);
    assert_int_equal(w->applies, applies);
    world_close(w);
}

static void an_older_sequence_number_is_a_replay(void **state)
{
    (void)state;
    struct world *w = world_registered(9);
    uint8_t old_buffer[ISAKMP_MESSAGE_MAX];
    struct tek a = world_tek(w, 0x1002, 3600), b = world_tek(w, 0x1003, 3600);
    struct bytes first = world_rekey(w, &a, old_buffer);
    world_push(w, first);
    world_run(w, 100);
    world_push(w, world_rekey(w, &b, push_buffer));
    world_run(w, 100);
    uint64_t failures = event_count(EV_GDOI_REKEY_SEQ_FAILURE);
    world_push(w, first);
    world_run(w, 100);
    assert_int_equal(event_count(EV_GDOI_REKEY_SEQ_FAILURE), failures + 1);
    assert_int_equal(w->agent.stats.replayed, 1);
    assert_int_equal(w->acks.count, 2);
    assert_int_equal(w->agent.listen.member.last_seq, 2);
    world_close(w);
}

static void a_damaged_or_forged_push_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_registered(10);
    struct tek next = world_tek(w, 0x1002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    unsigned applies = w->applies;
    for (size_t at = 0; at < push.len; at++) {
        push_buffer[at] ^= 0x40;
        world_event(w, &(struct agent_event){
                           .kind = AGENT_EVENT_DATAGRAM, .from = w->ks[0].address, .datagram = push});
        push_buffer[at] ^= 0x40;
    }
    struct bytes cut = push;
    for (cut.len = 0; cut.len < push.len; cut.len++)
        world_event(w, &(struct agent_event){
                           .kind = AGENT_EVENT_DATAGRAM, .from = w->ks[0].address, .datagram = cut});
    world_run(w, 100);
    assert_int_equal(w->applies, applies);
    assert_int_equal(w->agent.stats.rekeys, 0);
    assert_int_equal(w->acks.count, 0);
    assert_int_equal(w->agent.listen.member.last_seq, 0);
    assert_true(w->agent.stats.refused > push.len / 2);
    world_push(w, push);
    world_run(w, 100);
    assert_int_equal(w->agent.stats.rekeys, 1);
    world_close(w);
}

static void another_members_key_cannot_sign(void **state)
{
    (void)state;
    struct world *w = world_registered(11);
    struct sign_key *server_key = w->sign_key;
    uint8_t private_key[SIGN_PRIVATE_MAX], public_key[SIGN_PUBLIC_MAX];
    size_t private_len = 0, public_len = 0;
    uint64_t failures = event_count(EV_GDOI_REKEY_FAILURE);
    assert_ok(sign_key_make(SIGN_ECDSA_256, 0, private_key, &private_len, public_key, &public_len));
    assert_ok(sign_key_open((struct bytes){private_key, private_len}, &w->sign_key));
    struct tek next = world_tek(w, 0x6666, 3600);
    world_push(w, world_rekey(w, &next, push_buffer)); /* it has the KEK, as every member */
    world_run(w, 100);
    assert_int_equal(event_count(EV_GDOI_REKEY_FAILURE), failures + 1);
    assert_false(world_receives(w, 0x6666));
    sign_key_free(w->sign_key);
    w->sign_key = server_key;
    world_close(w);
}

static void refused_rekeys_write_a_few_lines_a_second_at_most(void **state)
{
    (void)state;
    struct world *w = world_registered(12);
    uint64_t failures = event_count(EV_GDOI_REKEY_FAILURE);
    struct tek next = world_tek(w, 0x1002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    push_buffer[push.len - 1] ^= 1;
    for (unsigned i = 0; i < 1000; i++)
        world_event(w, &(struct agent_event){
                           .kind = AGENT_EVENT_DATAGRAM, .from = w->ks[1].address, .datagram = push});
    assert_int_equal(event_count(EV_GDOI_REKEY_FAILURE), failures + AGENT_LOG_LINES_MAX);
    assert_int_equal(w->agent.stats.refused, 1000);
    world_close(w);
}

/* A push under the current KEK that brings a new one; the world's policy moves on to it. */
static struct bytes rekey_kek(struct world *w, uint8_t out[ISAKMP_MESSAGE_MAX])
{
    struct group_policy policy = {
        .has_kek = true, .rekey_dst = w->policy.rekey_dst, .rekey_src = w->policy.rekey_src};
    struct kek old = w->policy.kek;
    policy.kek = world_kek(w, 86400);
    policy.teks[policy.tek_count++] = w->policy.teks[0];
    memcpy(policy.selectors, w->policy.selectors, sizeof(policy.selectors));
    policy.selector_count = w->policy.selector_count;
    struct push_content content = {.seq = ++w->seq, .policy = &policy};
    struct writer writer = writer_over(out, ISAKMP_MESSAGE_MAX);
    world_push_content(w, &old, &content, &writer);
    w->policy.kek = policy.kek;
    return writer_bytes(&writer);
}

static void a_new_kek_comes_under_the_old_one_and_is_acknowledged_under_the_old_one(void **state)
{
    (void)state;
    uint64_t updated = event_count(EV_SA_KEK_UPDATED);
    struct world *w = world_registered(13);
    struct bytes push = rekey_kek(w, push_buffer);
    world_push(w, push);
    world_run(w, 100);
    assert_int_equal(event_count(EV_SA_KEK_UPDATED), updated + 1);
    assert_int_equal(w->acks.count, 1);
    world_push(w, push); /* our acknowledgement was lost */
    world_run(w, 100);
    assert_int_equal(w->acks.count, 2);
    assert_int_equal(w->acks.bad, 0);
    struct tek next = world_tek(w, 0x1002, 3600);
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    world_push(w, world_rekey(w, &next, buffer)); /* under the new one */
    world_run(w, 100);
    assert_true(world_receives(w, 0x1002));
    assert_int_equal(w->acks.count, 3);
    world_close(w);
}

static void pushes_under_an_unknown_kek_are_counted(void **state)
{
    (void)state;
    struct world *w = world_registered(14);
    struct tek next = world_tek(w, 0x1002, 3600);
    w->policy.kek = world_kek(w, 86400); /* this member missed that rekey */
    for (unsigned i = 0; i < 3; i++) {
        world_push(w, world_rekey(w, &next, push_buffer));
        world_run(w, 100);
    }
    assert_int_equal(w->agent.stats.unknown_kek, 3);
    assert_int_equal(w->acks.count, 0);
    world_close(w);
}

static void the_same_kek_told_again_does_not_take_the_sequence_back(void **state)
{
    (void)state;
    struct world *w = world_registered(35);
    struct tek next = world_tek(w, 0x1002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    world_push(w, push);
    world_run(w, 100);
    w->seq = 0; /* a server of an older state */
    assert_ok(rekey_listen_open(&w->agent.listen, &w->policy.kek, 0, false, w->now_ms));
    assert_int_equal(w->agent.listen.member.last_seq, 1);
    world_close(w);
}

static void jitter_delays_the_acknowledgement_and_a_newer_push_does_not_lose_it(void **state)
{
    (void)state;
    struct world *w = world_registered(36);
    w->config.ack_jitter_ms = 5000;
    struct tek a = world_tek(w, 0x1002, 3600), b = world_tek(w, 0x1003, 3600);
    uint64_t begun_ms = w->now_ms;
    world_push(w, world_rekey(w, &a, push_buffer));
    world_run(w, 20);
    assert_int_equal(w->acks.count, 0);
    world_push(w, world_rekey(w, &b, push_buffer));
    world_run(w, 20);
    assert_int_equal(w->acks.count, 1);
    world_run(w, 5100);
    assert_int_equal(w->acks.count, 2);
    assert_true(w->acks.last_ms - begun_ms <= 5000 + 100);
    world_close(w);
}

static void many_rekeys_over_a_bad_network_converge(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *w = world_registered(1000 + seed);
        w->lose_per_mille = 200;
        w->double_per_mille = 200;
        w->extra_latency_ms = 400;
        for (uint32_t i = 0; i < 30; i++) {
            struct tek next = world_tek(w, 0x2000 + i, 3600);
            struct bytes push = world_rekey(w, &next, push_buffer);
            unsigned before = w->acks.count;
            for (unsigned tries = 0; tries < 40 && (w->acks.count == before || w->acks.last_seq != w->seq);
                 tries++) {
                world_push(w, push);
                world_run(w, 500);
            }
            assert_int_equal(w->acks.last_seq, w->seq);
            assert_true(world_receives(w, 0x2000 + i));
            assert_true(w->has_out);
            world_run(w, 20000);
            assert_int_equal(w->out_spi, 0x2000 + i);
        }
        assert_int_equal(w->agent.stats.rekeys, 30);
        assert_int_equal(w->acks.bad, 0);
        assert_true(w->agent.teks.count <= TEK_TABLE_MAX);
        world_close(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rekey_is_received_on_at_once_and_sent_on_after_atd),
        cmocka_unit_test(the_old_key_is_kept_for_dtd_after_the_switch_though_its_life_ends_before),
        cmocka_unit_test(a_key_that_ends_before_atd_gives_way_early),
        cmocka_unit_test(a_registration_with_several_keys_sends_on_the_second_longest_first),
        cmocka_unit_test(it_acknowledges_after_installing),
        cmocka_unit_test(no_acknowledgement_before_the_data_path_has_it),
        cmocka_unit_test(a_repeat_of_the_same_bytes_is_acknowledged_again_and_changes_nothing),
        cmocka_unit_test(a_new_primary_that_says_the_same_in_other_bytes_gets_its_acknowledgement),
        cmocka_unit_test(a_rekey_whose_keys_came_by_registration_is_acknowledged),
        cmocka_unit_test(an_older_sequence_number_is_a_replay),
        cmocka_unit_test(a_damaged_or_forged_push_changes_nothing),
        cmocka_unit_test(another_members_key_cannot_sign),
        cmocka_unit_test(refused_rekeys_write_a_few_lines_a_second_at_most),
        cmocka_unit_test(a_new_kek_comes_under_the_old_one_and_is_acknowledged_under_the_old_one),
        cmocka_unit_test(pushes_under_an_unknown_kek_are_counted),
        cmocka_unit_test(the_same_kek_told_again_does_not_take_the_sequence_back),
        cmocka_unit_test(jitter_delays_the_acknowledgement_and_a_newer_push_does_not_lose_it),
        cmocka_unit_test(many_rekeys_over_a_bad_network_converge),
    };
    world_trace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

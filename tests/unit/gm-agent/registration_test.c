/* A member registers: with servers that answer, are dead, refuse, have another secret; over a lossy network.
 */
#include "world.h"

static void it_registers_and_gets_policy_and_keys(void **state)
{
    (void)state;
    uint64_t unicast = event_count(EV_GM_REKEY_TRANS_2_UNI);
    uint64_t complete = event_count(EV_GM_REGS_COMPL),
             installed = event_count(EV_GM_INSTALL_POLICIES_SUCCESS);
    struct world *w = world_open(1, 1);
    world_start(w);
    world_run(w, 1000);
    assert_true(w->agent.registered);
    assert_int_equal(w->ks[0].registered, 1);
    assert_int_equal(w->agent.stats.attempts, 1);
    assert_true(w->has_out);
    assert_int_equal(w->out_spi, 0x1001);
    assert_int_equal(w->selector_count, 2);
    assert_int_equal(event_count(EV_GM_REGS_COMPL), complete + 1);
    assert_int_equal(event_count(EV_GM_REKEY_TRANS_2_UNI), unicast + 1);
    assert_int_equal(event_count(EV_GM_INSTALL_POLICIES_SUCCESS), installed + 1);
    world_close(w);
}

static void it_goes_on_to_the_next_server_when_one_is_dead(void **state)
{
    (void)state;
    uint64_t dead = event_count(EV_GM_KS_DEAD);
    struct world *w = world_open(2, 3);
    w->ks[0].dead = w->ks[1].dead = true;
    world_start(w);
    world_run(w, 2 * 10000 + 1000);
    assert_true(w->agent.registered);
    assert_true(endpoint_equal(&w->agent.registered_with, &w->ks[2].address));
    assert_int_equal(event_count(EV_GM_KS_DEAD), dead + 2);
    assert_int_equal(w->agent.stats.attempts, 3);
    world_close(w);
}

static void a_wrong_secret_fails_and_names_the_secret(void **state)
{
    (void)state;
    uint64_t failed = event_count(EV_GM_REGISTRATION_FAILED), mode = event_count(EV_IKMP_MODE_FAILURE);
    struct world *w = world_open(3, 2);
    w->ks[0].wrong_psk = true;
    world_start(w);
    world_run(w, 12000);
    assert_int_equal(event_count(EV_GM_REGISTRATION_FAILED), failed + 1);
    assert_int_equal(event_count(EV_IKMP_MODE_FAILURE), mode + 1);
    assert_true(w->agent.registered);
    assert_true(endpoint_equal(&w->agent.registered_with, &w->ks[1].address));
    world_close(w);
}

static void a_server_that_refuses_is_left_at_once(void **state)
{
    (void)state;
    uint64_t failed = event_count(EV_GM_REGISTRATION_FAILED);
    struct world *w = world_open(4, 2);
    w->ks[0].refuses = true;
    world_start(w);
    world_run(w, 1000); /* long before any time-out */
    assert_int_equal(event_count(EV_GM_REGISTRATION_FAILED), failed + 1);
    assert_true(w->agent.registered);
    world_close(w);
}

static void a_clear_refusal_is_only_a_hint(void **state)
{
    (void)state;
    struct world *w = world_open(5, 2);
    w->ks[0].clear_refusal = true;
    world_start(w);
    world_run(w, REGISTRATION_HINT_MS - 100); /* the true answer could still come */
    assert_int_equal(w->agent.stats.failures, 0);
    world_run(w, 1000);
    assert_int_equal(w->agent.stats.failures, 1);
    assert_true(w->agent.registered);
    world_close(w);
}

static void lost_doubled_and_reordered_messages_do_no_harm(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world *w = world_open(seed * 100, 1);
        w->lose_per_mille = 250;
        w->double_per_mille = 250;
        w->extra_latency_ms = 300;
        world_start(w);
        for (unsigned i = 0; i < 60 && !w->agent.registered; i++)
            world_run(w, 10000);
        if (!w->agent.registered)
            fail_msg("seed %llu: not registered in 10 minutes", (unsigned long long)seed);
        assert_int_equal(w->out_spi, 0x1001);
        world_close(w);
    }
}

/* Starts of rounds: at least half of the wait that is due, at most all of it (and the time that a round
 * takes). */
static void it_backs_off_from_a_dead_list_with_jitter_and_a_bound(void **state)
{
    (void)state;
    struct world *w = world_open(6, 1);
    w->ks[0].dead = true;
    world_start(w);
    world_run(w, 3600 * 1000);
    assert_in_range(w->agent.stats.attempts, 3600 / 71, 3600 / 40 + 8);
    uint64_t wait_ms = 2000;
    uint64_t begun[64];
    size_t count = 0;
    for (unsigned i = 0; i < w->attempt_count && count < 64; i++)
        if (count == 0 || w->attempts_ms[i] - begun[count - 1] >= 10000) /* others are retransmissions */
            begun[count++] = w->attempts_ms[i];
    assert_true(count >= 10);
    for (size_t i = 1; i < count; i++) {
        uint64_t gap_ms = begun[i] - begun[i - 1] - 10000; /* the round itself ends by its time limit */
        assert_in_range(gap_ms, wait_ms / 2, wait_ms + 100);
        wait_ms = wait_ms * 2 > 60000 ? 60000 : wait_ms * 2;
    }
    world_close(w);
}

static void one_request_is_repeated_with_growing_waits_and_a_bound(void **state)
{
    (void)state;
    struct world *w = world_open(7, 1);
    w->ks[0].dead = true;
    w->config.request_timeout_s = 120;
    world_start(w);
    world_run(w, 119000);
    assert_int_equal(w->sent_by_agent, 1 + REGISTRATION_RESEND_MAX);
    world_close(w);
}

static void a_server_that_comes_back_is_found(void **state)
{
    (void)state;
    struct world *w = world_open(8, 2);
    w->ks[0].dead = w->ks[1].dead = true;
    world_start(w);
    world_run(w, 300000);
    assert_false(w->agent.registered);
    w->ks[1].dead = false;
    world_run(w, 75000 + 20000);
    assert_true(w->agent.registered);
    world_close(w);
}

static void it_registers_again_before_the_key_ends_and_keeps_sending(void **state)
{
    (void)state;
    uint64_t again = event_count(EV_GM_RE_REGISTER);
    struct world *w = world_registered(9);
    uint64_t begun_ms = w->now_ms;
    w->policy.teks[0] = world_tek(w, 0x1002, 3600); /* what it will get then */
    world_run(w, (3600 - 76) * 1000);
    assert_int_equal(w->ks[0].registered,
                     1); /* not yet: 60 s before, and up to a quarter of that as jitter */
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 17 * 1000);
    assert_int_equal(event_count(EV_GM_RE_REGISTER), again + 1);
    assert_int_equal(w->ks[0].registered, 2);
    assert_true(w->now_ms - begun_ms < 3600 * 1000);
    assert_true(world_receives(w, 0x1001)); /* its own life is not over */
    assert_int_equal(w->out_spi, 0x1002);   /* the only one that the server has */
    world_close(w);
}

static void short_lives_bound_the_lead_to_a_third(void **state)
{
    (void)state;
    struct world *w = world_open(10, 1);
    w->policy.teks[0].lifetime_s = 30;
    world_start(w);
    world_run(w, 1000);
    world_run(w, 15500); /* 30 s less 10 s less a quarter of that is 17.5 s at the earliest */
    assert_int_equal(w->ks[0].registered, 1);
    world_run(w, 5000);
    assert_int_equal(w->ks[0].registered, 2);
    world_close(w);
}

static void keys_stay_while_no_server_answers_and_then_it_fails_closed(void **state)
{
    (void)state;
    struct world *w = world_registered(11);
    w->ks[0].dead = true;
    world_run(w, 3595 * 1000);
    assert_true(w->agent.stats.failures > 0);
    assert_true(w->has_out);
    world_run(w, 10 * 1000);
    assert_false(w->has_out);
    assert_int_equal(w->in_count, 0);
    assert_int_equal(w->selector_count, 2); /* what is protected is still known */
    world_close(w);
}

static void the_kek_alone_running_out_is_reason_enough(void **state)
{
    (void)state;
    struct world *w = world_open(12, 1);
    w->policy.kek.lifetime_s = 600;
    world_start(w);
    world_run(w, 545 * 1000);
    assert_int_equal(w->ks[0].registered, 2);
    world_close(w);
}

static void selectors_that_we_cannot_do_refuse_the_whole_policy_and_keep_the_keys(void **state)
{
    (void)state;
    uint64_t failed = event_count(EV_GM_REGISTRATION_FAILED);
    struct world *w = world_registered(13);
    w->policy.selectors[1] = world_selector("2001:db8:1::/48", "ff05::/16");
    w->policy.teks[0] = world_tek(w, 0x1002, 3600);
    world_event(w, &(struct agent_event){.kind = AGENT_EVENT_TIMER});
    world_run(w, 3545 * 1000);
    assert_int_equal(event_count(EV_GM_REGISTRATION_FAILED), failed + 1);
    assert_int_equal(w->out_spi, 0x1001);
    assert_false(world_receives(w, 0x1002));
    uint32_t attempts = w->agent.stats.attempts;
    world_run(w, 290 * 1000); /* and it does not ask again every minute */
    assert_int_equal(w->agent.stats.attempts, attempts);
    world_close(w);
}

static void it_deletes_its_isakmp_sa_when_it_stops(void **state)
{
    (void)state;
    struct world *w = world_registered(14);
    world_event(w, &(struct agent_event){.kind = AGENT_EVENT_STOP});
    world_run(w, 100);
    assert_int_equal(w->ks[0].deletes, 1);
    assert_int_equal(w->effects.wake_at_ms, TIME_NEVER);
    world_close(w);
}

static void clear_drops_the_keys_and_registers_again_but_not_in_a_tight_loop(void **state)
{
    (void)state;
    uint64_t cleared = event_count(EV_GM_CLEAR_REGISTER);
    struct world *w = world_registered(15);
    for (unsigned i = 0; i < 100; i++)
        world_event(w, &(struct agent_event){.kind = AGENT_EVENT_CLEAR});
    assert_false(w->has_out);
    assert_int_equal(event_count(EV_GM_CLEAR_REGISTER), cleared + 100);
    world_run(w, 3000);
    assert_int_equal(w->ks[0].registered, 2);
    assert_true(w->has_out);
    world_close(w);
}

static void it_answers_dpd_under_the_sa_that_is_left(void **state)
{
    (void)state;
    struct world *w = world_registered(16);
    uint8_t buffer[512];
    struct writer request = writer_over(buffer, sizeof(buffer));
    assert_ok(informational_dpd(&w->ks[0].sa, 4711, false, 99, &request));
    unsigned sent = w->sent_by_agent;
    world_send(w, &w->ks[0].address, &w->config.local, writer_bytes(&request));
    world_run(w, 100);
    assert_int_equal(w->sent_by_agent, sent + 1);
    world_close(w);
}

static void noise_on_the_port_is_counted_and_changes_nothing(void **state)
{
    (void)state;
    struct world *w = world_registered(17);
    uint8_t noise[600];
    for (unsigned i = 0; i < 2000; i++) {
        size_t len = (size_t)world_random(w, sizeof(noise));
        assert_ok(rng_fill(&w->net_rng, noise, len));
        if (len > 28 && i % 2 == 0) { /* looks like a message: version, length */
            noise[17] = 0x10;
            noise[18] = (uint8_t[]){EXCHANGE_MAIN, EXCHANGE_INFORMATIONAL, EXCHANGE_PULL, EXCHANGE_PUSH,
                                    EXCHANGE_PUSH_ACK}[i % 5];
            noise[24] = noise[25] = 0;
            noise[26] = (uint8_t)(len >> 8);
            noise[27] = (uint8_t)len;
            if (i % 4 == 0)
                memcpy(noise, w->agent.idle_sa.cookie_i, COOKIE_LEN),
                    memcpy(noise + 8, w->agent.idle_sa.cookie_r, COOKIE_LEN);
            if (i % 6 == 0)
                memcpy(noise, w->policy.kek.spi, KEK_SPI_LEN);
        }
        world_event(w, &(struct agent_event){
                           .kind = AGENT_EVENT_DATAGRAM, .from = w->ks[1].address, .datagram = {noise, len}});
    }
    assert_true(w->agent.stats.strays > 500);
    assert_int_equal(w->out_spi, 0x1001);
    assert_true(w->agent.registered);
    world_close(w);
}

static void counter_mode_keys_come_with_a_sender_id(void **state)
{
    (void)state;
    struct world *w = world_open(18, 1);
    w->policy.teks[0] = world_gcm_tek(w, 0x2001, 3600);
    w->policy.sid_bits = 8;
    world_start(w);
    world_run(w, 1000);
    assert_true(w->agent.registered);
    assert_int_equal(w->sid_count, 1);
    uint32_t first = w->sid;
    world_event(w, &(struct agent_event){.kind = AGENT_EVENT_CLEAR});
    world_run(w, 3000);
    assert_int_equal(w->sid_count, 1);
    assert_int_not_equal(w->sid, first); /* a new one on each registration */
    world_close(w);
}

static void running_out_of_memory_at_any_point_only_costs_a_try(void **state)
{
    (void)state;
    unsigned hits = 0;
    for (unsigned step = 0; step < 14; step++) {
        for (long at = 0;; at++) {
            uint8_t buffer[ISAKMP_MESSAGE_MAX];
            struct world *w = world_open(100 + step, 1);
            w->fault = true;
            w->fault_step = step;
            w->fault_at = at;
            world_start(w);
            world_run(w, 30000);
            assert_true(w->agent.registered);
            struct tek next = world_tek(w, 0x1002, 3600);
            struct bytes push = world_rekey(w, &next, buffer);
            for (unsigned i = 0; i < 3; i++) { /* as a key server repeats it */
                world_push(w, push);
                world_run(w, 500);
            }
            assert_true(world_receives(w, 0x1002));
            bool hit = w->fault_hit;
            world_close(w);
            hits += hit;
            if (!hit)
                break;
        }
    }
    assert_true(hits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_registers_and_gets_policy_and_keys),
        cmocka_unit_test(it_goes_on_to_the_next_server_when_one_is_dead),
        cmocka_unit_test(a_wrong_secret_fails_and_names_the_secret),
        cmocka_unit_test(a_server_that_refuses_is_left_at_once),
        cmocka_unit_test(a_clear_refusal_is_only_a_hint),
        cmocka_unit_test(lost_doubled_and_reordered_messages_do_no_harm),
        cmocka_unit_test(it_backs_off_from_a_dead_list_with_jitter_and_a_bound),
        cmocka_unit_test(one_request_is_repeated_with_growing_waits_and_a_bound),
        cmocka_unit_test(a_server_that_comes_back_is_found),
        cmocka_unit_test(it_registers_again_before_the_key_ends_and_keeps_sending),
        cmocka_unit_test(short_lives_bound_the_lead_to_a_third),
        cmocka_unit_test(keys_stay_while_no_server_answers_and_then_it_fails_closed),
        cmocka_unit_test(the_kek_alone_running_out_is_reason_enough),
        cmocka_unit_test(selectors_that_we_cannot_do_refuse_the_whole_policy_and_keep_the_keys),
        cmocka_unit_test(it_deletes_its_isakmp_sa_when_it_stops),
        cmocka_unit_test(clear_drops_the_keys_and_registers_again_but_not_in_a_tight_loop),
        cmocka_unit_test(it_answers_dpd_under_the_sa_that_is_left),
        cmocka_unit_test(noise_on_the_port_is_counted_and_changes_nothing),
        cmocka_unit_test(counter_mode_keys_come_with_a_sender_id),
        cmocka_unit_test(running_out_of_memory_at_any_point_only_costs_a_try),
    };
    world_trace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A PULL that a PUSH overtakes: its message 4 was made before the rekey and arrives after it. What the push
 * brought stays. */
#include "tests/unit/gm-agent/world.h"

#include "tests/lib/test.h"

static uint8_t push_buffer[ISAKMP_MESSAGE_MAX];

/* Runs until the member's second registration has its message 4 in the air, which is then held back. */
static void hold_message_4(struct world *w)
{
    world_run(w, w->agent.reregister_ms - w->now_ms);
    for (unsigned i = 0; i < 10000 && w->ks[0].registered < 2; i++)
        world_run(w, 1);
    assert_int_equal(w->ks[0].registered, 2);
    for (size_t i = 0; i < WORLD_FLIGHT_MAX; i++)
        if (w->flights[i].used && endpoint_equal(&w->flights[i].to, &w->config.local))
            w->flights[i].due_ms += 300;
}

/* The group rekeys: a new TEK and, if asked, a new KEK. */
static struct bytes rekey(struct world *w, bool new_kek, uint32_t spi)
{
    struct group_policy policy = {.has_kek = new_kek,
                                  .rekey_dst = w->policy.rekey_dst,
                                  .rekey_src = w->policy.rekey_src,
                                  .has_delays = w->policy.has_delays,
                                  .activation_s = w->policy.activation_s,
                                  .deactivation_s = w->policy.deactivation_s};
    struct kek old = w->policy.kek;
    if (new_kek)
        policy.kek = w->policy.kek = world_kek(w, 86400);
    policy.teks[policy.tek_count++] = world_tek(w, spi, 3600);
    memcpy(policy.selectors, w->policy.selectors, sizeof(policy.selectors));
    policy.selector_count = w->policy.selector_count;
    struct push_content content = {.seq = ++w->seq, .policy = &policy};
    struct writer writer = writer_over(push_buffer, sizeof(push_buffer));
    world_push_content(w, &old, &content, &writer);
    return writer_bytes(&writer);
}

static void overtake(uint64_t seed, bool new_kek)
{
    struct world *w = world_registered(seed);
    uint8_t buffer[ISAKMP_MESSAGE_MAX];
    hold_message_4(w);
    world_push(w, rekey(w, new_kek, 0x2001));
    world_run(w, 100); /* the push is taken */
    assert_true(world_receives(w, 0x2001));
    world_run(w, 1000); /* now message 4 arrives */
    assert_int_equal(w->agent.reg.state, REGISTRATION_IDLE);
    assert_int_equal(w->agent.listen.member.last_seq, w->seq);
    assert_true(world_receives(w, 0x2001));
    struct tek next = world_tek(w, 0x2002, 3600);
    world_push(w, world_rekey(w, &next, buffer)); /* the next one is understood */
    world_run(w, 100);
    assert_true(world_receives(w, 0x2002));
    world_run(w, 60000); /* and what is sent on is the newest */
    assert_true(w->has_out);
    assert_int_equal(w->out_spi, 0x2002);
    world_close(w);
}

static void a_new_kek_that_overtakes_a_pull_is_not_undone_by_it(void **state)
{
    (void)state;
    overtake(51, true);
}

static void a_new_tek_that_overtakes_a_pull_is_not_undone_by_it(void **state)
{
    (void)state;
    overtake(52, false);
}

/* A server that lost its state and begins its numbers anew is believed: nothing overtook anything. */
static void a_server_that_begins_anew_is_followed(void **state)
{
    (void)state;
    struct world *w = world_registered(53);
    world_push(w, rekey(w, false, 0x2001));
    world_run(w, 100);
    w->policy.kek = world_kek(w, 86400);
    w->seq = 0;
    world_run(w, w->agent.reregister_ms - w->now_ms);
    world_run(w, 10000);
    assert_int_equal(w->ks[0].registered, 2);
    assert_memory_equal(w->agent.listen.member.kek.spi, w->policy.kek.spi, KEK_SPI_LEN);
    assert_int_equal(w->agent.listen.member.last_seq, 0);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_kek_that_overtakes_a_pull_is_not_undone_by_it),
        cmocka_unit_test(a_new_tek_that_overtakes_a_pull_is_not_undone_by_it),
        cmocka_unit_test(a_server_that_begins_anew_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

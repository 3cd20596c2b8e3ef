/* Rekeys that delete, replace or change what is protected, and the registrations that they make needful or
 * needless. */
#include "world.h"

static uint8_t push_buffer[ISAKMP_MESSAGE_MAX];

static struct bytes deletes_only(struct world *w, bool teks, bool kek, uint8_t out[ISAKMP_MESSAGE_MAX])
{
    struct push_content content = {.seq = ++w->seq};
    if (teks)
        content.deletes[content.delete_count++] = (struct push_delete){.protocol = SAT_ESP, .all = true};
    if (kek)
        content.deletes[content.delete_count++] = (struct push_delete){.protocol = 0, .all = true};
    struct writer writer = writer_over(out, ISAKMP_MESSAGE_MAX);
    world_push_content(w, &w->policy.kek, &content, &writer);
    return writer_bytes(&writer);
}

static void deleted_keys_are_dropped_and_asked_for_again_with_jitter(void **state)
{
    (void)state;
    uint64_t first_ms = TIME_NEVER, last_ms = 0;
    for (uint64_t seed = 20; seed < 30; seed++) {
        struct world *w = world_registered(seed);
        world_push(w, deletes_only(w, true, true, push_buffer));
        world_run(w, 7);
        assert_false(w->has_out);
        assert_int_equal(w->in_count, 0);
        assert_false(w->agent.listen.active);
        assert_int_equal(w->ks[0].registered, 1);
        uint64_t begun_ms = w->now_ms;
        world_run(w, AGENT_DELETE_JITTER_MS + 2000);
        assert_int_equal(w->acks.count, 1); /* also for the KEK that it deletes (RFC 8263) */
        assert_int_equal(w->ks[0].registered, 2);
        assert_true(w->has_out);
        uint64_t wait_ms = w->agent.registered_ms - begun_ms;
        first_ms = wait_ms < first_ms ? wait_ms : first_ms;
        last_ms = wait_ms > last_ms ? wait_ms : last_ms;
        world_close(w);
    }
    assert_true(last_ms - first_ms > AGENT_DELETE_JITTER_MS / 4); /* ten members do not come at once */
}

static void one_deleted_key_of_two_needs_no_registration(void **state)
{
    (void)state;
    struct world *w = world_registered(31);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 100);
    struct push_content content = {.seq = ++w->seq, .delete_count = 1};
    content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .tek_spi = 0x1001};
    struct writer writer = writer_over(push_buffer, sizeof(push_buffer));
    world_push_content(w, &w->policy.kek, &content, &writer);
    world_push(w, writer_bytes(&writer));
    world_run(w, 20000);
    assert_false(world_receives(w, 0x1001));
    assert_int_equal(w->out_spi, 0x1002); /* at once, not after ATD: there is no other */
    assert_int_equal(w->ks[0].registered, 1);
    world_close(w);
}

static void deletes_and_new_keys_in_one_push_replace(void **state)
{
    (void)state;
    struct world *w = world_registered(32);
    struct group_policy policy = {0};
    policy.teks[policy.tek_count++] = world_tek(w, 0x1002, 3600);
    policy.selectors[policy.selector_count++] = world_selector("10.0.0.0/8", "10.0.0.0/8");
    struct push_content content = {.seq = ++w->seq, .policy = &policy, .delete_count = 1};
    content.deletes[0] = (struct push_delete){.protocol = SAT_ESP, .all = true};
    struct writer writer = writer_over(push_buffer, sizeof(push_buffer));
    world_push_content(w, &w->policy.kek, &content, &writer);
    world_push(w, writer_bytes(&writer));
    world_run(w, 100);
    assert_int_equal(w->in_count, 1);
    assert_int_equal(w->out_spi, 0x1002);
    assert_int_equal(w->selector_count, 1); /* the policy changed too */
    assert_int_equal(w->ks[0].registered, 1);
    world_close(w);
}

static void a_policy_that_we_cannot_do_is_refused_whole(void **state)
{
    (void)state;
    struct world *w = world_registered(33);
    struct group_policy policy = {0};
    uint64_t failures = event_count(EV_GDOI_REKEY_FAILURE);
    policy.teks[policy.tek_count++] = world_tek(w, 0x1002, 3600);
    policy.selectors[policy.selector_count++] = world_selector("2001:db8:1::/48", "ff05::/16");
    struct push_content content = {.seq = ++w->seq, .policy = &policy};
    struct writer writer = writer_over(push_buffer, sizeof(push_buffer));
    world_push_content(w, &w->policy.kek, &content, &writer);
    world_push(w, writer_bytes(&writer));
    world_run(w, 100);
    assert_int_equal(event_count(EV_GDOI_REKEY_FAILURE), failures + 1);
    assert_int_equal(w->out_spi, 0x1001);
    assert_int_equal(w->selector_count, 2);
    assert_int_equal(w->acks.count, 0);
    assert_int_equal(w->ks[0].refusals, 1); /* it is told, under the SA of the registration */
    assert_string_equal(w->ks[0].refusal, "IPv6 multicast selectors are not supported by this data path");
    world_push(w, writer_bytes(&writer)); /* nobody acknowledged it, so it comes again */
    world_run(w, 100);
    assert_int_equal(w->ks[0].refusals, 1);
    world_run(w, AGENT_REFUSAL_GAP_MS);
    world_push(w, writer_bytes(&writer));
    world_run(w, 100);
    assert_int_equal(w->ks[0].refusals, 2);
    world_close(w);
}

/* A rekey to one selector, of which the world can do IPv4 only as it is. */
static void push_selector(struct world *w, uint32_t spi, const char *src, const char *dst)
{
    struct group_policy policy = {0};
    policy.teks[policy.tek_count++] = world_tek(w, spi, 3600);
    policy.selectors[policy.selector_count++] = world_selector(src, dst);
    struct push_content content = {.seq = ++w->seq, .policy = &policy};
    struct writer writer = writer_over(push_buffer, sizeof(push_buffer));
    world_push_content(w, &w->policy.kek, &content, &writer);
    world_push(w, writer_bytes(&writer));
    world_run(w, 100);
}

static void ipv6_of_a_refused_policy_is_closed_while_older_keys_hold(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct world *w = world_registered(35 + kind);
        w->config.datapath.fail_open = kind == 1;
        w->config.datapath.direction = kind == 2 ? DATAPATH_RECEIVE_ONLY : DATAPATH_BOTH;
        push_selector(w, 0x1002, "10.0.0.0/8", "255.255.255.255/32"); /* refused or not: nothing about IPv6 */
        assert_false(w->ipv6_closed);
        push_selector(w, 0x1003, "2001:db8:1::/48", "ff05::/16");
        assert_int_equal(w->selector_count == 0, false);
        assert_false(w->closed);
        assert_int_equal(w->ipv6_closed, kind == 0); /* open by choice, or meant to leave in clear */
        push_selector(w, 0x1004, "10.0.0.0/8", "10.0.0.0/8");
        assert_int_equal(w->selector_count, 1);
        assert_false(w->ipv6_closed);
        world_close(w);
    }
}

static void a_registration_with_a_policy_that_we_cannot_do_is_told_to_its_server(void **state)
{
    (void)state;
    struct world *w = world_open(34, 1);
    w->policy.selectors[0] = world_selector("2001:db8:1::/48", "ff05::/16");
    world_start(w);
    world_run(w, 3600000);
    assert_false(w->agent.registered);
    assert_true(w->closed && w->ipv6_closed);
    assert_int_equal(w->ks[0].refusals, w->ks[0].registered); /* each time, but never in a loop */
    assert_in_range(w->ks[0].refusals, 5, 14);
    w->policy.selectors[0] = world_selector("10.1.0.0/16", "10.2.0.0/16");
    world_run(w, AGENT_UNSUPPORTED_RETRY_MS);
    assert_true(w->agent.registered);
    world_close(w);
}

static void a_counter_mode_key_by_rekey_makes_it_register_for_a_sender_id(void **state)
{
    (void)state;
    struct world *w = world_registered(37);
    assert_int_equal(w->sid_count, 0);
    struct tek next = world_gcm_tek(w, 0x2002, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    w->policy.teks[w->policy.tek_count++] = next;
    w->policy.sid_bits = 8;
    world_push(w, push);
    world_run(w, 100);
    assert_int_equal(w->acks.count, 1);
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, AGENT_DELETE_JITTER_MS + 1000); /* before ATD has passed */
    assert_int_equal(w->ks[0].registered, 2);
    assert_int_equal(w->sid_count, 1);
    assert_int_equal(w->out_spi, 0x1001);
    world_run(w, 15000);
    assert_int_equal(w->out_spi, 0x2002);
    world_close(w);
}

static err_t wants_sender_ids(const struct group_policy *policy, const char **why)
{
    for (size_t i = 0; i < policy->tek_count; i++)
        if (tek_is_counter_mode(&policy->teks[i]) && policy->sid_bits == 0) {
            *why = "no sender ids";
            return E_UNSUPPORTED;
        }
    return E_OK;
}

/* As the kernel's data path asks for them; a rekey never has any. */
static void sender_ids_of_the_registration_hold_for_later_keys(void **state)
{
    (void)state;
    struct world *w = world_registered(38);
    struct tek next = world_gcm_tek(w, 0x2002, 3600), third = world_gcm_tek(w, 0x2003, 3600);
    struct bytes push = world_rekey(w, &next, push_buffer);
    w->policy.teks[w->policy.tek_count++] = next;
    w->policy.sid_bits = 8;
    world_push(w, push);
    world_run(w, AGENT_DELETE_JITTER_MS + 1000);
    assert_int_equal(w->ks[0].registered, 2);
    assert_int_equal(w->sid_count, 1);
    unsigned acks = w->acks.count;
    uint64_t failures = event_count(EV_GDOI_REKEY_FAILURE);
    w->agent.check = wants_sender_ids;
    world_push(w, world_rekey(w, &third, push_buffer));
    world_run(w, 100);
    assert_int_equal(event_count(EV_GDOI_REKEY_FAILURE), failures);
    assert_int_equal(w->acks.count, acks + 1);
    world_close(w);
}

static void a_rekey_in_time_puts_off_the_registration(void **state)
{
    (void)state;
    struct world *w = world_registered(34);
    world_run(w, 3400 * 1000);
    struct tek next = world_tek(w, 0x1002, 3600);
    world_push(w, world_rekey(w, &next, push_buffer));
    world_run(w, 3500 * 1000);
    assert_int_equal(w->ks[0].registered, 1);
    assert_int_equal(w->out_spi, 0x1002);
    assert_int_equal(w->in_count, 1);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleted_keys_are_dropped_and_asked_for_again_with_jitter),
        cmocka_unit_test(one_deleted_key_of_two_needs_no_registration),
        cmocka_unit_test(deletes_and_new_keys_in_one_push_replace),
        cmocka_unit_test(a_policy_that_we_cannot_do_is_refused_whole),
        cmocka_unit_test(ipv6_of_a_refused_policy_is_closed_while_older_keys_hold),
        cmocka_unit_test(a_registration_with_a_policy_that_we_cannot_do_is_told_to_its_server),
        cmocka_unit_test(a_counter_mode_key_by_rekey_makes_it_register_for_a_sender_id),
        cmocka_unit_test(sender_ids_of_the_registration_hold_for_later_keys),
        cmocka_unit_test(a_rekey_in_time_puts_off_the_registration),
    };
    world_trace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

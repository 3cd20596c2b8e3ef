/* What the kernel must have for a policy, and what a change of policy or keys does to it. */
#include "gm-agent/xfrm_plan.h"

#include <stdlib.h>

#include "tests/unit/gm-agent/xfrm_fixture.h"

static struct fixture f;
static struct xfrm_plan plan;
static struct xfrm_kernel kernel;
static struct xfrm_diff diff;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    kernel.policies = calloc(XFRM_KERNEL_POLICY_MAX, sizeof(*kernel.policies));
    return kernel.policies == NULL;
}

static int teardown(void **state)
{
    (void)state;
    xfrm_plan_close(&plan);
    free(kernel.policies);
    memset(&kernel, 0, sizeof(kernel));
    return 0;
}

static void make(void)
{
    xfrm_plan_close(&plan);
    assert_ok(xfrm_plan_make(&plan, &f.site, &f.state));
}

/* The kernel as it is when the plan has been carried out. */
static void carry_out(void)
{
    kernel.sa_count = plan.sa_count;
    kernel.policy_count = plan.policy_count;
    memcpy(kernel.sas, plan.sas, sizeof(plan.sas));
    memcpy(kernel.policies, plan.policies, plan.policy_count * sizeof(*plan.policies));
}

static const struct xfrm_policy *find(uint8_t dir, uint32_t ifindex)
{
    for (size_t i = 0; i < plan.policy_count; i++)
        if (plan.policies[i].dir == dir && plan.policies[i].ifindex == ifindex)
            return &plan.policies[i];
    return NULL;
}

static void one_key_makes_two_tunnels(void **state)
{
    (void)state;
    make();
    assert_int_equal(plan.sa_count, 2);
    const struct xfrm_sa *in = &plan.sas[0], *out = &plan.sas[1];
    assert_memory_equal(in->dst, f.site.wan_addr, 4);
    assert_memory_equal(in->src, "\0\0\0\0", 4);
    assert_int_equal(in->flags, 0);
    assert_memory_equal(out->src, f.site.wan_addr, 4);
    assert_memory_equal(out->dst, f.site.anchor, 4);
    assert_int_equal(out->flags, XFRM_STATE_NOPMTUDISC);
    assert_int_equal(out->extra_flags, XFRM_SA_XFLAG_OSEQ_MAY_WRAP);
    assert_int_not_equal(in->reqid, out->reqid);
    assert_int_not_equal(in->reqid, 0);
}

static void a_selector_is_guarded_in_three_directions(void **state)
{
    (void)state;
    make();
    assert_int_equal(plan.policy_count, 3);
    const struct xfrm_policy *out = find(XFRM_POLICY_OUT, 3), *fwd = find(XFRM_POLICY_FWD, 5),
                             *in = find(XFRM_POLICY_IN, 0);
    assert_non_null(out);
    assert_non_null(fwd);
    assert_non_null(in);
    assert_int_equal(out->action, XFRM_PROTECT);
    assert_int_equal(out->tmpl_spi, 0x1000); /* pinned */
    assert_false(out->optional);
    assert_false(fwd->optional);
    assert_true(in->optional);
    assert_int_equal(fwd->tmpl_spi, 0); /* any key that receives */
    assert_memory_equal(fwd->tmpl_dst, f.site.wan_addr, 4);
}

static void with_several_lans_clear_packets_pass_between_them(void **state)
{
    (void)state;
    f.site.lan_count = 2;
    make();
    assert_int_equal(plan.policy_count, 4);
    assert_true(find(XFRM_POLICY_FWD, 5)->optional);
    assert_true(find(XFRM_POLICY_FWD, 6)->optional);
}

static void second_uplink(void)
{
    f.site.wan[1] = (struct xfrm_uplink){
        .name = "wan2", .index = 4, .mtu = 1400, .ethernet = true, .up = true, .addr = {100, 64, 2, 1}};
    f.site.wan_count = 2;
}

static void each_uplink_has_its_way_out_and_all_share_the_tunnels(void **state)
{
    (void)state;
    second_uplink();
    make();
    assert_int_equal(plan.sa_count, 2);
    assert_int_equal(plan.policy_count, 4);
    assert_int_equal(find(XFRM_POLICY_OUT, 3)->tmpl_spi, 0x1000);
    assert_int_equal(find(XFRM_POLICY_OUT, 4)->tmpl_spi, 0x1000);
    assert_memory_equal(find(XFRM_POLICY_OUT, 4)->tmpl_src, f.site.wan_addr, 4);
    f.site.wan[1].index = 0; /* unplugged: a policy for device 0 would hold for all of them */
    make();
    assert_int_equal(plan.policy_count, 3);
    assert_null(find(XFRM_POLICY_OUT, 4));
}

static void control_traffic_leaves_by_every_uplink_with_every_address(void **state)
{
    (void)state;
    second_uplink();
    f.selectors[0] = fixture_selector("100.64.2.0/24", "10.0.0.0/8"); /* only the second one's address */
    make();
    size_t count = 0;
    for (size_t i = 0; i < plan.policy_count; i++)
        count += plan.policies[i].action == XFRM_PASS ? 1 : 0;
    assert_int_equal(count, 2 * 2 * 2 * XFRM_CONTROL_PORT_COUNT);
}

static void in_migration_clear_packets_are_taken_too(void **state)
{
    (void)state;
    f.state.direction = DATAPATH_INBOUND_OPTIONAL;
    make();
    assert_int_equal(plan.policy_count, 3);
    assert_int_equal(find(XFRM_POLICY_OUT, 3)->action, XFRM_PROTECT);
    assert_true(find(XFRM_POLICY_FWD, 5)->optional);
    f.state.direction = DATAPATH_RECEIVE_ONLY;
    make();
    assert_int_equal(plan.policy_count, 2);
    assert_null(find(XFRM_POLICY_OUT, 3)); /* it sends in clear */
    assert_true(find(XFRM_POLICY_FWD, 5)->optional);
}

static void without_a_key_that_sends_the_same_places_drop(void **state)
{
    (void)state;
    make();
    carry_out();
    f.state.out = NULL;
    make();
    const struct xfrm_policy *out = find(XFRM_POLICY_OUT, 3);
    assert_int_equal(out->action, XFRM_DROP);
    assert_int_equal(plan.sa_count, 1); /* it still receives */
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_int_equal(diff.put_policy_count, 1); /* replaced where it is: no moment without */
    assert_int_equal(diff.drop_policy_count, 0);
    assert_true(xfrm_policy_same_place(&plan.policies[diff.put_policies[0]], find(XFRM_POLICY_OUT, 3)));
    assert_int_equal(diff.drop_sa_count, 1);
}

static void what_is_there_already_is_left_alone(void **state)
{
    (void)state;
    make();
    carry_out();
    make();
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_true(xfrm_diff_empty(&diff));
}

static void a_new_key_receives_first_and_sends_later(void **state)
{
    (void)state;
    make();
    carry_out();
    f.state.in[1] = &f.teks[1];
    f.state.in_count = 2;
    make();
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_int_equal(diff.add_sa_count, 1);
    assert_int_equal(plan.sas[diff.add_sas[0]].reqid, xfrm_plan_reqid_in(&f.site));
    assert_int_equal(diff.put_policy_count + diff.drop_policy_count + diff.drop_sa_count, 0);

    carry_out();
    f.state.out = &f.teks[1]; /* the activation delay is over */
    make();
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_int_equal(diff.add_sa_count, 1);
    assert_int_equal(plan.sas[diff.add_sas[0]].reqid, xfrm_plan_reqid_out(&f.site));
    assert_int_equal(diff.put_policy_count, 1);
    assert_int_equal(plan.policies[diff.put_policies[0]].tmpl_spi, 0x1001);
    assert_int_equal(diff.drop_sa_count, 1); /* the old outbound; the old inbound stays */
    assert_int_equal(kernel.sas[diff.drop_sas[0]].reqid, xfrm_plan_reqid_out(&f.site));
    assert_int_equal(kernel.sas[diff.drop_sas[0]].spi, 0x1000);

    carry_out();
    f.state.in[0] = &f.teks[1]; /* the deactivation delay is over */
    f.state.in_count = 1;
    make();
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_int_equal(diff.drop_sa_count, 1);
    assert_int_equal(kernel.sas[diff.drop_sas[0]].reqid, xfrm_plan_reqid_in(&f.site));
    assert_int_equal(diff.add_sa_count + diff.put_policy_count, 0);
}

static void an_sa_with_another_key_under_the_same_spi_is_replaced(void **state)
{
    (void)state;
    make();
    carry_out();
    kernel.sas[0].key.data[5] ^= 1;
    xfrm_plan_diff(&diff, &plan, &kernel);
    assert_int_equal(diff.replace_sa_count, 1);
    assert_int_equal(diff.replace_sas[0], 0);
    assert_int_equal(diff.add_sa_count, 1);
    assert_int_equal(diff.drop_sa_count, 0);
}

static void multicast_is_also_asked_for_without_a_source(void **state)
{
    (void)state;
    f.selectors[0] = fixture_selector("10.0.0.0/8", "239.0.0.0/8");
    make();
    unsigned out = 0, any_source = 0;
    for (size_t i = 0; i < plan.policy_count; i++) {
        out += plan.policies[i].dir == XFRM_POLICY_OUT;
        any_source += plan.policies[i].dir == XFRM_POLICY_OUT && plan.policies[i].src.bits == 0;
    }
    assert_int_equal(out, 2);
    assert_int_equal(any_source, 1);
    assert_null(find(XFRM_POLICY_FWD, 5));
}

static void our_own_control_traffic_has_a_way_out(void **state)
{
    (void)state;
    make();
    assert_false(xfrm_plan_covers_us(&f.site, &f.state)); /* no exceptions where none are needed */
    f.selectors[0] = fixture_selector("0.0.0.0/0", "0.0.0.0/0");
    make();
    assert_int_equal(plan.policy_count, 3 + 2 * XFRM_CONTROL_PORT_COUNT);
    for (size_t i = 0; i < 2 * XFRM_CONTROL_PORT_COUNT; i++) {
        const struct xfrm_policy *pass = &plan.policies[i];
        assert_int_equal(pass->action, XFRM_PASS);
        assert_int_equal(pass->src.bits, 32); /* never a host behind us */
        assert_int_equal(pass->protocol, IPPROTO_UDP);
        assert_true(pass->priority < find(XFRM_POLICY_FWD, 5)->priority);
    }
}

static void a_local_exception_comes_before_the_selector(void **state)
{
    struct selector deny = fixture_selector("10.0.0.0/8", "10.0.0.0/8");
    (void)state;
    deny.protocol = IPPROTO_UDP;
    deny.dst_port = 5353;
    f.site.deny = &deny;
    f.site.deny_count = 1;
    make();
    assert_int_equal(plan.policy_count, 5);
    assert_int_equal(plan.policies[0].action, XFRM_PASS);
    assert_int_equal(plan.policies[0].dst_port, 5353);
    assert_true(plan.policies[0].priority < plan.policies[2].priority);
    assert_int_equal(plan.policies[2].action, XFRM_PROTECT);
}

static void agents_of_one_machine_do_not_touch_each_other(void **state)
{
    struct xfrm_site other = f.site;
    (void)state;
    memcpy(other.instance, "gdoi1", sizeof("gdoi1"));
    make();
    for (size_t i = 0; i < plan.sa_count; i++) {
        assert_true(xfrm_plan_owns_sa(&f.site, &plan.sas[i]));
        assert_false(xfrm_plan_owns_sa(&other, &plan.sas[i]));
    }
    for (size_t i = 0; i < plan.policy_count; i++) {
        assert_true(xfrm_plan_owns_policy(&f.site, &plan.policies[i]));
        assert_false(xfrm_plan_owns_policy(&other, &plan.policies[i]));
    }
}

static void the_largest_policy_fits(void **state)
{
    static struct selector many[POLICY_SELECTOR_MAX];
    (void)state;
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++) {
        many[i] = fixture_selector("10.0.0.0/8", "10.0.0.0/8");
        many[i].protocol = IPPROTO_TCP;
        many[i].dst_port = (uint16_t)(1 + i);
    }
    f.state.selectors = many;
    f.state.selector_count = POLICY_SELECTOR_MAX;
    f.site.lan_count = GM_LAN_MAX;
    for (size_t i = 0; i < GM_LAN_MAX; i++)
        f.site.lan_index[i] = (uint32_t)(10 + i);
    make();
    assert_int_equal(plan.policy_count, POLICY_SELECTOR_MAX * (2 + GM_LAN_MAX));
    uint32_t highest = 0;
    for (size_t i = 0; i < plan.policy_count; i++)
        if (plan.policies[i].priority > highest)
            highest = plan.policies[i].priority;
    assert_true((highest & ((1u << XFRM_PLAN_ORDER_BITS) - 1)) >= 2 * (POLICY_SELECTOR_MAX - 1));
    assert_true(xfrm_plan_owns_policy(&f.site, &plan.policies[plan.policy_count - 1]));
}

static void the_inner_mtu_leaves_room_for_esp(void **state)
{
    (void)state;
    uint32_t inner = xfrm_plan_inner_mtu(&f.site, &f.state);
    const struct esp_suite *suite = &f.teks[0].suite;
    assert_true(20 + esp_sealed_len(suite, inner) <= 1500);
    assert_true(20 + esp_sealed_len(suite, inner + 1) > 1500);
    f.site.inner_mtu = 1300;
    assert_int_equal(xfrm_plan_inner_mtu(&f.site, &f.state), 1300);
}

static void it_survives_having_no_memory(void **state)
{
    (void)state;
    struct xfrm_plan none;
    heap_fault_after(0);
    err_t err = xfrm_plan_make(&none, &f.site, &f.state);
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    xfrm_plan_close(&none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_key_makes_two_tunnels),
        TEST(a_selector_is_guarded_in_three_directions),
        TEST(with_several_lans_clear_packets_pass_between_them),
        TEST(each_uplink_has_its_way_out_and_all_share_the_tunnels),
        TEST(control_traffic_leaves_by_every_uplink_with_every_address),
        TEST(in_migration_clear_packets_are_taken_too),
        TEST(without_a_key_that_sends_the_same_places_drop),
        TEST(what_is_there_already_is_left_alone),
        TEST(a_new_key_receives_first_and_sends_later),
        TEST(an_sa_with_another_key_under_the_same_spi_is_replaced),
        TEST(multicast_is_also_asked_for_without_a_source),
        TEST(our_own_control_traffic_has_a_way_out),
        TEST(a_local_exception_comes_before_the_selector),
        TEST(agents_of_one_machine_do_not_touch_each_other),
        TEST(the_largest_policy_fits),
        TEST(the_inner_mtu_leaves_room_for_esp),
        TEST(it_survives_having_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

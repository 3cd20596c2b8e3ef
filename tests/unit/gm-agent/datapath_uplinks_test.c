/* Several uplinks of the XFRM back end on the real kernel: each is guarded, whether it is there or not, and
 * what goes and comes is noticed. */
#include "tests/unit/gm-agent/xfrm_kernel.h"

static void second_uplink_there(void)
{
    assert_int_equal(
        system("ip link add wan2 type veth peer name w2 && ip addr add 100.64.2.1/24 dev wan2 && "
               "ip link set wan2 up && ip link set w2 up"),
        0);
}

static void open_two(void)
{
    memcpy(config.more_wan[0], "wan2", 5);
    config.more_wan_count = 1;
    no_keys();
    open_it();
    apply_ok();
}

/* The kernel tells of a device, and the agent would apply anew. */
static bool becomes_stale(void)
{
    for (int waited = 0; waited < DEADLINE_MS && !dp->stale; waited += 50)
        becomes("true", "");
    bool stale = dp->stale;
    dp->stale = false;
    return stale;
}

static void each_uplink_drops_and_has_a_way_to_the_anchor(void **state)
{
    (void)state;
    second_uplink_there();
    open_two();
    assert_true(has("ip xfrm policy list dir out", "dev wan \n"));
    assert_true(has("ip xfrm policy list dir out", "dev wan2 \n"));
    assert_true(has("ip route show 100.127.0.1", "dev wan proto"));
    assert_true(has("ip route show 100.127.0.1", "dev wan2 proto 84 scope link metric 1"));
    assert_true(has("ip neigh show dev wan2", "100.127.0.1"));
    run("nft list ruleset");
    assert_non_null(strstr(output, "iifname \"wan2\" esp spi @spis ip daddr set 100.64.1.1 notrack"));
    assert_non_null(strstr(output, "iifname != \"wan\" iifname != \"wan2\" accept"));
    assert_non_null(strstr(output, "oifname \"wan2\" ip protocol != esp rt ipsec missing jump leaving"));
    assert_non_null(strstr(output, "hook egress device \"wan2\""));
    dp->ops->close(dp);
    dp = NULL;
    assert_string_equal(run("ip xfrm policy; nft list ruleset; ip route show 100.127.0.1; ip neigh"), "");
}

static void a_device_that_comes_and_goes_is_noticed(void **state)
{
    (void)state;
    open_two(); /* without the second one */
    assert_false(has("ip xfrm policy list dir out", "dev wan2"));
    assert_true(has("nft list ruleset", "oifname \"wan2\"")); /* guarded from its first packet on */
    second_uplink_there();
    assert_true(becomes_stale());
    apply_ok();
    assert_true(has("ip xfrm policy list dir out", "dev wan2 \n"));
    assert_true(has("nft list ruleset", "hook egress device \"wan2\""));
    run("ip link del wan2");
    assert_true(becomes_stale());
    apply_ok();
    assert_false(has("ip route show 100.127.0.1", "wan2"));
    assert_true(has("nft list ruleset", "oifname \"wan2\""));
    assert_true(has("ip xfrm policy list dir out", "dev wan \n"));
}

static void a_device_that_was_down_gets_its_route_back(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    run("ip link set wan down");
    assert_true(becomes_stale());
    apply_ok(); /* nothing can be sent there, but all the rest can be set */
    assert_true(has("ip xfrm policy list dir out", "dev wan \n"));
    assert_false(has("ip route show 100.127.0.1", "wan"));
    run("ip link set wan up");
    assert_true(becomes_stale());
    apply_ok();
    assert_true(has("ip route show 100.127.0.1", "dev wan"));
}

static void the_tunnels_end_at_an_uplink_that_is_up_or_where_configured(void **state)
{
    struct xfrm_site site;
    const char *why;
    (void)state;
    second_uplink_there();
    open_two();
    run("ip link set wan down");
    assert_ok(xfrm_site_read(&site, &config, &why));
    assert_memory_equal(site.wan_addr, "\x64\x40\x02\x01", 4);
    config.address = addr_v4(10, 9, 9, 9);
    assert_ok(xfrm_site_read(&site, &config, &why));
    assert_memory_equal(site.wan_addr, "\x0a\x09\x09\x09", 4);
    run("ip link del wan; ip link del wan2");
    assert_err(xfrm_site_read(&site, &config, &why), E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_uplink_drops_and_has_a_way_to_the_anchor),
        TEST(a_device_that_comes_and_goes_is_noticed),
        TEST(a_device_that_was_down_gets_its_route_back),
        TEST(the_tunnels_end_at_an_uplink_that_is_up_or_where_configured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The XFRM back end on the real kernel, in a network namespace of this process: policies and rules are really
 * there, change at once and go away again. ESP itself is not needed for that; where the kernel has none, keys
 * are refused and protected traffic is dropped. Skipped without the privileges. */
#include "tests/unit/gm-agent/xfrm_kernel.h"

static void without_keys_the_selectors_drop(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    assert_true(
        has("ip xfrm policy list dir out", "src 10.0.0.0/8 dst 10.0.0.0/8 dev wan \n\tdir out action block"));
    assert_true(has("ip xfrm policy list dir fwd", "dev lan"));
    assert_true(has("ip route show 100.127.0.1", "dev wan"));
    assert_true(has("ip neigh show dev wan", "100.127.0.1"));
}

/* nft(8) reads back what it could not have written. */
static void the_rules_are_as_meant(void **state)
{
    static const char *const rules[] = {
        "iifname \"wan\" esp spi @spis ip daddr set 100.64.1.1 notrack",
        "ip protocol esp ip daddr 100.127.0.1 meta mark != 0x00000000 meta mark & 0x000000f0 != 0x000000e0",
        "ip saddr set meta priority ip daddr set meta mark",
        "meta priority set ip saddr meta mark set ip daddr",
        "meta mark & 0x000000f0 == 0x000000e0 @nh,96,32 set meta priority @nh,128,32 set meta mark",
        "counter name \"not_ipsec\" drop",
        "counter name \"leak\" drop",
        "oifname \"wan\" ip protocol != esp rt ipsec missing jump leaving",
        "type route hook output priority -400",
        "hook egress device \"wan\"",
        "tcp option maxseg size set",
    };
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    run("nft list ruleset");
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strstr(output, rules[i]) == NULL)
            fail_msg("not found: %s\nin:\n%s", rules[i], output);
}

static void all_is_gone_after_the_end(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    dp->ops->close(dp);
    dp = NULL;
    assert_string_equal(
        run("ip xfrm policy; ip xfrm state; nft list ruleset; ip route show 100.127.0.1; ip neigh"), "");
}

static void if_asked_to_it_leaves_all_in_force(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    dp->keep = true;
    dp->ops->close(dp);
    dp = NULL;
    assert_true(has("ip xfrm policy list dir out", "action block"));
    assert_true(has("nft list ruleset", "counter name \"leak\" drop"));
    open_it(); /* without a policy of its own: what it took over goes with it */
    dp->ops->close(dp);
    dp = NULL;
    assert_string_equal(run("ip xfrm policy; nft list ruleset"), "");
}

static void be_closed(void)
{
    no_keys();
    f.state.selector_count = 0;
    f.state.closed = true;
}

static bool ipv6_shut(void)
{
    const char *lead = "iif \"lan\" oifname \"wan\" jump shut";
    return has("nft list chain ip6 quorate_gdoi0 closed", lead) &&
           has("nft list chain ip6 quorate_gdoi0 shut", "oifname \"wan\" counter name \"leak\" drop") &&
           has("nft list chain ip6 quorate_gdoi0 shut", "iifname \"wan\" counter name \"not_ipsec\" drop") &&
           has("nft list chain ip6 quorate_gdoi0 shut", "udp dport 848 accept");
}

static bool ipv6_open(void)
{
    return !has("nft list table ip6 quorate_gdoi0", "drop") && has("nft list table ip6 quorate_gdoi0", "chain closed");
}

static void ipv6_is_closed_and_open_with_ipv4(void **state)
{
    (void)state;
    be_closed();
    open_it();
    apply_ok();
    assert_true(ipv6_shut());
    f.state.selector_count = 1;
    f.state.closed = false;
    apply_ok();
    assert_true(ipv6_open()); /* this policy has none */
}

static void ipv6_of_a_refused_policy_is_closed_beside_the_older_one(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    assert_true(ipv6_open());
    f.state.ipv6_closed = true;
    apply_ok();
    assert_true(ipv6_shut());
    assert_false(has("nft list chain ip quorate_gdoi0 shut", "drop")); /* IPv4 goes on as it was */
    f.state.ipv6_closed = false;
    apply_ok();
    assert_true(ipv6_open());
}

static void without_a_policy_only_key_management_passes(void **state)
{
    (void)state;
    be_closed();
    open_it();
    apply_ok();
    assert_true(has("nft list chain ip quorate_gdoi0 closed", "iif \"lan\" oifname \"wan\" jump shut"));
    assert_true(has("nft list chain ip quorate_gdoi0 closed", "oif \"lan\" iifname \"wan\" jump shut"));
    const char *shut = run("nft list chain ip quorate_gdoi0 shut");
    const char *accept = strstr(shut, "accept"), *drop = strstr(shut, "drop");
    assert_true(accept != NULL && drop != NULL && accept < drop);
    assert_non_null(strstr(shut, "counter name \"leak\" drop"));
    assert_non_null(strstr(shut, "848"));
    assert_string_equal(run("ip xfrm policy"), ""); /* the machine's own packets are not touched */
    f.state.selector_count = 1;
    f.state.closed = false;
    apply_ok();
    assert_false(has("nft list chain ip quorate_gdoi0 shut", "drop"));
    assert_true(has("ip xfrm policy list dir out", "action block"));
}

/* A member that comes back is closed until it is registered, but what is in force is better than that. */
static void what_is_taken_over_is_not_closed(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    dp->keep = true;
    dp->ops->close(dp);
    be_closed();
    open_it();
    apply_ok();
    assert_true(has("ip xfrm policy list dir out", "action block"));
    assert_false(has("nft list chain ip quorate_gdoi0 shut", "drop"));
    assert_true(ipv6_open());
    f.state.ipv6_closed = true; /* the policy that it gets now is one that was refused */
    apply_ok();
    assert_true(ipv6_shut());
    assert_true(has("ip xfrm policy list dir out", "action block"));
    f.state.ipv6_closed = f.state.closed = false;
    f.state.selector_count = 1;
    apply_ok();
    assert_true(ipv6_open());
}

static void other_peoples_entries_stay(void **state)
{
    (void)state;
    run("ip xfrm policy add src 1.0.0.0/8 dst 2.0.0.0/8 dir out action block priority 7; nft add table ip "
        "mine");
    no_keys();
    open_it();
    apply_ok();
    dp->ops->close(dp);
    dp = NULL;
    assert_true(has("ip xfrm policy", "1.0.0.0/8"));
    assert_true(has("nft list ruleset", "table ip mine"));
}

static void a_changed_policy_replaces_the_old_one(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    f.selectors[0] = fixture_selector("172.16.0.0/12", "172.16.0.0/12");
    apply_ok();
    assert_false(has("ip xfrm policy; nft list ruleset", "10.0.0.0/8"));
    assert_true(has("ip xfrm policy", "172.16.0.0/12"));
    assert_true(has("nft list ruleset", "172.16.0.0/12"));
}

static void what_others_flush_is_put_back(void **state)
{
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    run("ip xfrm policy flush");
    assert_true(becomes("ip xfrm policy", "action block"));
    run("nft flush ruleset");
    assert_true(becomes("nft list ruleset", "counter name \"leak\" drop"));
    run("nft flush chain ip quorate_gdoi0 guard");
    assert_true(becomes("nft list ruleset", "jump leaving"));
}

/* As a killed agent leaves it: the next one finds it and changes nothing. */
static void a_restart_takes_over(void **state)
{
    char before[OUTPUT_MAX];
    (void)state;
    no_keys();
    open_it();
    apply_ok();
    memcpy(before, run("ip -o xfrm policy"), sizeof(before));
    struct datapath *killed = dp;
    open_it();
    apply_ok();
    assert_string_equal(run("ip -o xfrm policy"), before);
    assert_true(has("nft list ruleset", "counter name \"leak\" drop"));
    killed->ops->close(killed); /* only for its memory; it takes all away, which the other one notices */
    assert_true(becomes("ip xfrm policy; nft list ruleset", "counter name \"leak\" drop"));
}

/* Either the kernel has ESP and takes the keys, or it has none and everything protected is dropped. */
static void keys_are_taken_or_traffic_is_dropped(void **state)
{
    const char *why;
    (void)state;
    open_it();
    err_t err = apply(&why);
    if (err == E_OK) {
        assert_true(has("ip xfrm state", "spi 0x00001000"));
        assert_true(has("ip xfrm policy list dir out", "spi 0x00001000"));
    } else {
        assert_err(err, E_UNSUPPORTED);
        assert_non_null(why);
        assert_true(has("ip xfrm policy list dir out", "action block"));
        assert_true(has("nft list ruleset", "counter name \"leak\" drop"));
    }
}

static void a_protected_packet_is_dropped_and_counted(void **state)
{
    (void)state;
    no_keys();
    run("ip addr add 10.1.0.1/24 dev lan; ip link set lan_far up; ip route add 10.2.0.0/16 via 100.64.1.254");
    open_it();
    apply_ok();
    assert_int_equal(dp->ops->counters(dp)[DP_NO_KEY].count, 0);
    assert_true(has("ping -c 1 -W 1 -I 10.1.0.1 10.2.0.1 2>&1", " 0 received"));
    assert_true(dp->ops->counters(dp)[DP_NO_KEY].count > 0);
}

static void a_missing_device_is_named(void **state)
{
    const char *why = NULL;
    (void)state;
    memcpy(config.wan, "nope", 5);
    assert_err(datapath_open(&config, &dp, &why), E_NOT_FOUND);
    assert_non_null(strstr(why, "WAN"));
    assert_null(dp);
}

static void counter_mode_without_short_sender_ids_and_ipv6_are_refused(void **state)
{
    static struct group_policy policy;
    const char *why = NULL;
    (void)state;
    open_it();
    policy.tek_count = 1;
    policy.teks[0].suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    policy.selector_count = 1;
    policy.selectors[0] = fixture_selector("10.0.0.0/8", "10.0.0.0/8");
    assert_err(dp->ops->check(&policy, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why, "AES-GCM"));
    policy.sid_bits = 16;
    assert_err(dp->ops->check(&policy, &why), E_UNSUPPORTED); /* would take too long to draw */
    policy.sid_bits = 12;
    assert_ok(dp->ops->check(&policy, &why));
    policy.teks[0].suite = (struct esp_suite){ESP_AES_CBC, 256, AUTH_HMAC_SHA256};
    assert_ok(dp->ops->check(&policy, &why));
    policy.selectors[0] = fixture_selector("2001:db8::/32", "2001:db8::/32");
    assert_err(dp->ops->check(&policy, &why), E_UNSUPPORTED);
}

static void what_the_kernel_can_do_is_tried_and_leaves_nothing(void **state)
{
    struct datapath_ability abilities[DATAPATH_ABILITY_MAX];
    (void)state;
    open_it();
    size_t count = datapath_abilities(dp, abilities);
    assert_int_equal(count, 20);
    for (size_t i = 0; i < count; i++)
        if (strcmp(abilities[i].name, "nftables") == 0)
            assert_ok(abilities[i].err);
    assert_string_equal(
        run("ip xfrm state; ip xfrm policy; nft list ruleset; ip -o link show gdoi0t 2>/dev/null"), "");
}

static void xfrm_stat_is_summed_by_meaning(void **state)
{
    struct xfrm_stat stat;
    (void)state;
    xfrm_stat_parse(
        &stat,
        "XfrmInError                 \t1\nXfrmInNoPols            \t3\nXfrmInTmplMismatch      \t4\n"
        "XfrmOutPolBlock         \t5\nXfrmOutNoStates 6\nXfrmOutStateSeqError    \t7\nXfrmOutErrorX 9");
    assert_int_equal(stat.in_no_policy, 7);
    assert_int_equal(stat.out_blocked, 11);
    assert_int_equal(stat.out_error, 7);
    xfrm_stat_parse(&stat, "");
    assert_int_equal(stat.in_no_policy, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_keys_the_selectors_drop),
        TEST(the_rules_are_as_meant),
        TEST(all_is_gone_after_the_end),
        TEST(if_asked_to_it_leaves_all_in_force),
        TEST(without_a_policy_only_key_management_passes),
        TEST(ipv6_is_closed_and_open_with_ipv4),
        TEST(ipv6_of_a_refused_policy_is_closed_beside_the_older_one),
        TEST(what_is_taken_over_is_not_closed),
        TEST(other_peoples_entries_stay),
        TEST(a_changed_policy_replaces_the_old_one),
        TEST(what_others_flush_is_put_back),
        TEST(a_restart_takes_over),
        TEST(keys_are_taken_or_traffic_is_dropped),
        TEST(a_protected_packet_is_dropped_and_counted),
        TEST(a_missing_device_is_named),
        TEST(what_the_kernel_can_do_is_tried_and_leaves_nothing),
        TEST(counter_mode_without_short_sender_ids_and_ipv6_are_refused),
        cmocka_unit_test(xfrm_stat_is_summed_by_meaning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

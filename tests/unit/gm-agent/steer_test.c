/* Policy rules of a policy: which, how many, in which tables. */
#include <stdio.h>
#include <string.h>

#include "gm-agent/ip_packet.h"
#include "gm-agent/steer.h"
#include "tests/lib/test.h"

static struct route_rule rules[STEER_RULE_MAX];

static struct gm_datapath_config config(void)
{
    struct gm_datapath_config c = {.wan = "wan0", .tun = "gdoi0", .lan = {"lan0", "lan1"}, .lan_count = 2};
    return c;
}

static struct selector selector(const char *src, const char *dst, uint8_t protocol, uint16_t port)
{
    struct selector s = {.protocol = protocol, .dst_port = port};
    assert_ok(prefix_parse(&s.src, src));
    assert_ok(prefix_parse(&s.dst, dst));
    return s;
}

static void a_selector_becomes_one_rule_for_each_lan_and_two_for_the_wan(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    struct selector s = selector("10.1.0.0/16", "10.2.0.0/16", 0, 0);
    struct datapath_state wanted = {.selectors = &s, .selector_count = 1};
    assert_int_equal(steer_rules(&c, 100, &wanted, rules), 4);
    unsigned in = 0, guard = 0, out = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_true(prefix_equal(&rules[i].src, &s.src));
        assert_true(prefix_equal(&rules[i].dst, &s.dst));
        in += rules[i].table == 100 && strcmp(rules[i].iif, "wan0") == 0 &&
              rules[i].ip_protocol == IP_PROTOCOL_ESP;
        guard += rules[i].table == 101 && strcmp(rules[i].iif, "wan0") == 0 && rules[i].ip_protocol == 0;
        out += rules[i].table == 102 && strncmp(rules[i].iif, "lan", 3) == 0;
    }
    assert_int_equal(in, 1);
    assert_int_equal(guard, 1);
    assert_int_equal(out, 2);
    assert_true(STEER_PRIORITY_IN < STEER_PRIORITY_GUARD); /* ESP must not fall into the guard */
}

static void selectors_that_differ_in_ports_are_one_rule(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    struct selector s[3] = {selector("10.1.0.0/16", "10.2.0.0/16", 17, 53),
                            selector("10.1.0.0/16", "10.2.0.0/16", 17, 123),
                            selector("10.1.0.0/16", "10.2.0.0/16", 6, 80)};
    struct datapath_state wanted = {.selectors = s, .selector_count = 3};
    /* ESP once; guard for UDP and TCP; out for UDP and TCP on two devices */
    assert_int_equal(steer_rules(&c, 100, &wanted, rules), 1 + 2 + 4);
}

static void multicast_is_left_to_multicast_routes(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    struct selector s = selector("10.0.0.0/8", "239.0.0.0/8", 0, 0);
    struct datapath_state wanted = {.selectors = &s, .selector_count = 1};
    assert_int_equal(steer_rules(&c, 100, &wanted, rules), 0);
}

/* The kernel takes a rule that names no address, or no protocol, for any other of its priority. */
static void no_rule_can_be_taken_for_another(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    struct selector s[3] = {selector("0.0.0.0/0", "0.0.0.0/0", 0, 0),
                            selector("10.0.0.0/8", "0.0.0.0/0", 17, 0),
                            selector("10.0.0.0/8", "0.0.0.0/0", 0, 0)};
    struct datapath_state wanted = {.selectors = s, .selector_count = 3};
    size_t count = steer_rules(&c, 100, &wanted, rules);
    assert_int_equal(count, (4 + 2) * 4 + 2 * 3); /* ESP of UDP and of all is one */
    for (size_t i = 0; i < count; i++) {
        assert_in_range(rules[i].src.bits, 1, 32);
        assert_in_range(rules[i].dst.bits, 1, 32);
        for (size_t k = 0; k < count; k++)
            assert_false(rules[i].priority == rules[k].priority &&
                         (rules[i].ip_protocol == 0) != (rules[k].ip_protocol == 0));
    }
}

/* A protocol could hide behind more headers than the kernel looks through: the packet path decides it. */
static void ipv6_rules_name_no_protocol_but_esp(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    struct selector s[2] = {selector("2001:db8:1::/48", "2001:db8:2::/48", 17, 53),
                            selector("::/0", "2001:db8:2::/48", 6, 0)};
    struct datapath_state wanted = {.selectors = s, .selector_count = 2};
    size_t count = steer_rules(&c, 100, &wanted, rules);
    assert_int_equal(count, 4 + 2 * 4); /* one selector; two halves of the other */
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rules[i].src.addr.family, AF_INET6);
        assert_int_equal(rules[i].dst.addr.family, AF_INET6);
        assert_in_range(rules[i].src.bits, 1, 128);
        assert_int_equal(rules[i].ip_protocol, rules[i].table == 100 ? IP_PROTOCOL_ESP : 0);
        assert_in_range(rules[i].priority, STEER_PRIORITY_IN, STEER_PRIORITY_OUT);
    }
}

static void the_largest_policy_fits(void **state)
{
    (void)state;
    struct gm_datapath_config c = config();
    static struct selector s[POLICY_SELECTOR_MAX];
    char src[32];
    c.lan_count = GM_LAN_MAX;
    for (size_t i = 0; i < GM_LAN_MAX; i++)
        snprintf(c.lan[i], sizeof(c.lan[i]), "lan%zu", i);
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++) {
        snprintf(src, sizeof(src), "10.%zu.0.0/16", i);
        s[i] = selector(src, "0.0.0.0/0", 0, 0);
    }
    struct datapath_state wanted = {.selectors = s, .selector_count = POLICY_SELECTOR_MAX};
    assert_int_equal(steer_rules(&c, 100, &wanted, rules), STEER_RULE_MAX / 2);
}

static void tables_are_the_same_after_a_restart_and_others_for_another_device(void **state)
{
    (void)state;
    assert_int_equal(steer_first_table("gdoi0"), steer_first_table("gdoi0"));
    assert_int_not_equal(steer_first_table("gdoi0"), steer_first_table("gdoi1"));
    assert_int_equal(steer_first_table("gdoi0") & 3, 0);
    assert_true(steer_first_table("gdoi0") > 255); /* not one of the kernel's own */
}

static void policies_that_the_back_end_cannot_do_are_named(void **state)
{
    (void)state;
    const char *why = NULL;
    static struct group_policy p;
    p.selectors[p.selector_count++] = selector("10.1.0.0/16", "10.2.0.0/16", 0, 0);
    p.teks[p.tek_count++].suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    assert_ok(datapath_user_check(&p, &why));
    p.teks[0].suite = (struct esp_suite){ESP_3DES, 0, AUTH_HMAC_SHA1};
    assert_err(datapath_user_check(&p, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why, "transform"));
    p.tek_count = 0;
    p.selectors[p.selector_count++] = selector("2001:db8:1::/48", "2001:db8:2::/48", 0, 0);
    assert_ok(datapath_user_check(&p, &why));
    p.selectors[1] = selector("2001:db8:1::/48", "ff05::/16", 0, 0);
    assert_err(datapath_user_check(&p, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why, "IPv6 multicast"));
    p.selectors[1] = selector("10.1.0.0/16", "239.0.0.0/8", 0, 0);
    assert_ok(datapath_user_check(&p, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selector_becomes_one_rule_for_each_lan_and_two_for_the_wan),
        cmocka_unit_test(selectors_that_differ_in_ports_are_one_rule),
        cmocka_unit_test(multicast_is_left_to_multicast_routes),
        cmocka_unit_test(no_rule_can_be_taken_for_another),
        cmocka_unit_test(ipv6_rules_name_no_protocol_but_esp),
        cmocka_unit_test(the_largest_policy_fits),
        cmocka_unit_test(tables_are_the_same_after_a_restart_and_others_for_another_device),
        cmocka_unit_test(policies_that_the_back_end_cannot_do_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

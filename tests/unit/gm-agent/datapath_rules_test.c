/* The user back end on the real kernel: rules and routes, and what is left of them. */
#include "netns.h"

static unsigned rules_of_ours(struct net *net, enum node node)
{
    enter(net, node);
    FILE *f = popen("ip rule list", "r");
    char line[256];
    unsigned count = 0;
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        count += strncmp(line, "848", 3) == 0;
    pclose(f);
    return count;
}

/* Where the kernel of a node would send a packet. */
static void assert_route(struct net *net, enum node node, const char *query, const char *want)
{
    char command[160], line[256] = "";
    enter(net, node);
    snprintf(command, sizeof(command), "ip route get %s", query);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    char *got = fgets(line, sizeof(line), f);
    pclose(f);
    if (got == NULL || strstr(line, want) == NULL)
        fail_msg("ip route get %s: wanted \"%s\", got: %s", query, want, line);
}

static void the_kernel_is_told_exactly_what_to_lead_where(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    enter(net, GM1);
    run("ip link add lan1 type veth peer name lan1x && ip addr add 192.168.77.1/24 dev lan1 && ip link set "
        "lan1 up && "
        "ip link set lan1x up");
    strcpy(net->config.lan[1], "lan1");
    net->config.lan_count = 2;
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_route(net, GM1, "192.168.14.10 from 192.168.13.10 iif lan0", "dev gdoi0 ");
    assert_route(net, GM1, "192.168.77.10 from 192.168.13.10 iif lan0",
                 "dev lan1 "); /* never crosses the WAN */
    assert_route(net, GM1, "192.168.13.10 from 192.168.77.10 iif lan1", "dev lan0 ");
    assert_route(net, GM1, "10.1.13.1 from 192.168.13.10 iif lan0", "dev wan0 "); /* not of the policy */
    assert_route(net, GM1, "192.168.13.10 from 192.168.14.10 iif wan0 ipproto udp", "dev gdoi0g ");
    assert_route(net, GM1, "192.168.13.10 from 192.168.14.10 iif gdoi0", "dev lan0 "); /* decrypted */
    enter(net, GM1);
    run("ip addr del 192.168.77.1/24 dev lan1");
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_route(net, GM1, "192.168.77.10 from 192.168.13.10 iif lan0", "dev gdoi0 ");
    net_close(net);
}

static void rules_and_routes_go_with_the_agent(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    assert_int_equal(rules_of_ours(net, GM1), 3);
    net->gm1->ops->close(net->gm1);
    net->gm1 = NULL;
    assert_int_equal(rules_of_ours(net, GM1), 0);
    enter(net, GM1);
    FILE *f = popen("ip route list table all proto 84; ip link show gdoi0 2>/dev/null", "r");
    assert_non_null(f);
    assert_int_equal(fgetc(f), EOF);
    pclose(f);
    net_close(net);
}

static void leftovers_of_a_killed_agent_are_replaced(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    net->gm1->ops->close(net->gm1);
    enter(net, GM1);
    uint32_t table = steer_first_table("gdoi0");
    for (unsigned i = 0; i < 70; i++)
        run("ip rule add iif lan0 from 192.168.%u.0/24 to 192.168.200.0/24 pref 8482 lookup %u protocol 84",
            i, table + STEER_TABLE_OUT);
    run("ip rule add iif lan0 pref 8400 lookup 77"); /* somebody else's */
    run("ip route add local default dev lo table %u proto 84", table + STEER_TABLE_IN);
    net->gm1 = open_member(net, GM1);
    assert_route(net, GM1, "192.168.200.10 from 192.168.13.10 iif lan0", "dev gdoi0 "); /* dropped there */
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_int_equal(rules_of_ours(net, GM1), 3);
    enter(net, GM1);
    run("ip rule list | grep -q 'lookup 77'");
    exchange(net, 100);
    net_close(net);
}

static void a_changed_policy_changes_the_rules(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    assert_ok(prefix_parse(&net->selectors[0].src, "192.168.13.0/24"));
    assert_ok(prefix_parse(&net->selectors[0].dst, "192.168.14.0/24"));
    assert_ok(prefix_parse(&net->selectors[1].src, "192.168.14.0/24"));
    assert_ok(prefix_parse(&net->selectors[1].dst, "192.168.13.0/24"));
    net->selector_count = 2;
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_int_equal(rules_of_ours(net, GM1), 6);
    exchange(net, 100);
    net_close(net);
}

static void set_selector(struct net *net, size_t at, const char *src, const char *dst, uint8_t protocol)
{
    net->selectors[at] = (struct selector){.protocol = protocol};
    assert_ok(prefix_parse(&net->selectors[at].src, src));
    assert_ok(prefix_parse(&net->selectors[at].dst, dst));
    net->selector_count = at + 1;
}

/* The kernel takes what a rule does not name for "any": a rule of any address equals every other one when it
 * is added, and deletes whichever comes first. */
static void a_policy_of_any_address_is_added_and_taken_away_beside_others(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    static const char *const any[][2] = {
        {"0.0.0.0/0", "0.0.0.0/0"}, {"192.168.0.0/16", "0.0.0.0/0"}, {"0.0.0.0/0", "192.168.0.0/16"}};
    static const char far[] = "192.168.14.10 from 192.168.13.10 iif lan0";
    struct net *net = net_open();
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        set_selector(net, 0, any[i][0], any[i][1], 0);
        apply(net, net->gm1, 1, &net->teks[0]); /* in place of a narrow one */
        assert_route(net, GM1, far, "dev gdoi0 ");
        set_selector(net, 1, "192.168.13.0/24", "192.168.14.0/24", 0);
        apply(net, net->gm1, 1, &net->teks[0]); /* beside one */
        assert_route(net, GM1, far, "dev gdoi0 ");
        net->selectors[0] = net->selectors[1];
        net->selector_count = 1;
        apply(net, net->gm1, 1, &net->teks[0]); /* only the narrow one is left */
        assert_route(net, GM1, far, "dev gdoi0 ");
        assert_route(net, GM1, "198.51.100.7 from 192.168.13.10 iif lan0", "dev wan0 ");
        assert_int_equal(rules_of_ours(net, GM1), 3);
    }
    net_close(net);
}

static void a_policy_of_any_protocol_is_added_and_taken_away_beside_others(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    static const char prefix[] = "192.168.0.0/16";
    static const char tcp[] = "192.168.14.10 from 192.168.13.10 iif lan0 ipproto tcp";
    static const char udp[] = "192.168.14.10 from 192.168.13.10 iif lan0 ipproto udp";
    struct net *net = net_open();
    set_selector(net, 0, prefix, prefix, IPPROTO_TCP);
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_route(net, GM1, udp, "dev wan0 ");
    set_selector(net, 1, prefix, prefix, 0);
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_route(net, GM1, udp, "dev gdoi0 ");
    net->selector_count = 1;
    apply(net, net->gm1, 1, &net->teks[0]);
    assert_route(net, GM1, tcp, "dev gdoi0 ");
    assert_route(net, GM1, udp, "dev wan0 ");
    net_close(net);
}

static void a_device_that_is_not_there_is_named(void **state)
{
    (void)state;
    if (!can_do())
        skip();
    struct net *net = net_open();
    struct datapath *dp = NULL;
    const char *why = NULL;
    strcpy(net->config.wan, "nowhere0");
    strcpy(net->config.tun, "gdoi9");
    enter(net, GM1);
    assert_err(datapath_open(&net->config, &dp, &why), E_NOT_FOUND);
    assert_non_null(strstr(why, "WAN"));
    assert_null(dp);
    net_close(net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_is_told_exactly_what_to_lead_where),
        cmocka_unit_test(rules_and_routes_go_with_the_agent),
        cmocka_unit_test(leftovers_of_a_killed_agent_are_replaced),
        cmocka_unit_test(a_changed_policy_changes_the_rules),
        cmocka_unit_test(a_policy_of_any_address_is_added_and_taken_away_beside_others),
        cmocka_unit_test(a_policy_of_any_protocol_is_added_and_taken_away_beside_others),
        cmocka_unit_test(a_device_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

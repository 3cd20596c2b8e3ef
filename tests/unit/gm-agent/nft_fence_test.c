/* The user back end's last barrier: its rules, byte for byte where they are its own, and by number elsewhere. */
#include "gm-agent/nft_fence.h"

#include <linux/netfilter.h>

#include "tests/unit/gm-agent/nft_batch.h"
#include "tests/unit/gm-agent/xfrm_fixture.h"

static uint8_t buffer[NFT_FENCE_MAX];

struct fence {
    struct gm_datapath_config config;
    struct selector selectors[POLICY_SELECTOR_MAX];
    struct datapath_state state;
    bool ipv6;
};

static void fence_init(struct fence *f)
{
    memset(f, 0, sizeof(*f));
    strcpy(f->config.wan, "wan");
    strcpy(f->config.tun, "gdoi0");
    strcpy(f->config.lan[0], "lan");
    f->config.lan_count = 1;
    f->selectors[0] = fixture_selector("192.168.0.0/16", "239.0.0.0/8");
    f->state.selectors = f->selectors;
    f->state.selector_count = 1;
}

static struct bytes built(const struct fence *f, bool fresh)
{
    struct bytes batch;
    uint32_t last_seq;
    assert_ok(nft_fence_build(&f->config, &f->state, f->ipv6, fresh, 1, buffer, sizeof(buffer), &batch, &last_seq));
    assert_true(last_seq != 0);
    return batch;
}

static size_t rules_of(struct bytes batch, const char *chain)
{
    size_t count = 0;
    while (rule_at(batch, chain, count) != NULL)
        count++;
    return count;
}

enum { CONTROL = 6 }; /* three ports at either end */

/* "ip saddr 192.168.0.0/16 ip daddr 239.0.0.0/8 counter name leak drop" */
static void a_protected_packet_on_its_way_out_is_counted_and_dropped(void **state)
{
    struct fence f;
    (void)state;
    fence_init(&f);
    struct bytes batch = built(&f, true);
    assert_int_equal(rules_of(batch, "fence"), 2);
    assert_int_equal(rules_of(batch, "leaving"), CONTROL + 1);
    assert_int_equal(rules_of(batch, "entering"), CONTROL + 1);
    assert_true(chain_has_hook(batch, "fence"));
    assert_false(chain_has_hook(batch, "leaving"));
#define LOAD(offset_hex)                                                                                               \
    "3400 0180 0c00 0100 7061796c6f616400" /* "payload", network header, 4 octets */                                  \
    "2400 0280 0800 0100 00000001 0800 0200 00000001 0800 0300 000000" offset_hex " 0800 0400 00000004"
#define MASK(mask_hex)                                                                                                 \
    "4c00 0180 0c00 0100 62697477 69736500"                                                                            \
    "3c00 0280 0800 0100 00000001 0800 0200 00000001 0800 0600 00000000 0800 0300 00000004"                            \
    "0c00 0480 0800 0100 " mask_hex " 0c00 0580 0800 0100 00000000"
#define IS(value_hex)                                                                                                  \
    "2c00 0180 0800 0100 636d7000"                                                                                     \
    "2000 0280 0800 0100 00000001 0800 0200 00000000 0c00 0380 0800 0100 " value_hex
    const struct nlmsghdr *rule = rule_at(batch, "leaving", CONTROL);
    assert_bytes(body(rule), "02 00 0000 1200 0100 71756f72 6174655f 67646f69 30000000" /* ipv4, "quorate_gdoi0" */
                             "0c00 0200 6c656176 696e6700 b001 0480"                     /* "leaving" */
                             LOAD("0c") MASK("ffff0000") IS("c0a80000")
                             LOAD("10") MASK("ff000000") IS("ef000000")
                             "2400 0180 0b00 0100 6f626a72 65660000"                     /* "objref" */
                             "1400 0280 0800 0100 00000001 0800 0200 6c65616b"           /* counter "leak" */
                             "3000 0180 0e00 0100 696d6d65 64696174 65000000"            /* "immediate" */
                             "1c00 0280 0800 0100 00000000 1000 0280 0c00 0280 0800 0100 00000000"); /* drop */
    assert_true(has_bytes(rule_at(batch, "entering", CONTROL), "0d00 0200 6e6f745f 69707365 63"));   /* "not_ipsec" */
}

static void a_fragment_without_ports_counts_as_protected(void **state)
{
    struct fence f;
    (void)state;
    fence_init(&f);
    f.selectors[0].protocol = IPPROTO_UDP;
    f.selectors[0].dst_port = 5000;
    struct bytes batch = built(&f, true);
    assert_int_equal(rules_of(batch, "leaving"), CONTROL + 2);
    assert_true(has_bytes(rule_at(batch, "leaving", CONTROL), "0600 0100 13880000"));
    const struct nlmsghdr *rule = rule_at(batch, "leaving", CONTROL + 1);
    assert_false(has_bytes(rule, "0600 0100 13880000"));
    assert_true(has_bytes(rule, "0800 0300 00000006 0800 0400 00000002")); /* flags and offset */
    assert_true(has_bytes(rule, "0600 0100 1fff0000"));
}

static void what_is_let_pass_in_clear_comes_first(void **state)
{
    struct fence f;
    struct selector denies[2] = {fixture_selector("192.168.0.0/16", "239.1.0.0/16"),
                                 fixture_selector("2001:db8::/32", "2001:db8::/32")};
    (void)state;
    fence_init(&f);
    f.state.denies = denies;
    f.state.deny_count = 2;
    struct bytes batch = built(&f, true);
    assert_int_equal(rules_of(batch, "leaving"), CONTROL + 2);
    assert_true(has_bytes(rule_at(batch, "leaving", CONTROL), "0800 0100 ef010000"));
}

static void ipv6_has_a_table_of_its_own_and_looks_at_prefixes_alone(void **state)
{
    struct fence f;
    (void)state;
    fence_init(&f);
    f.selectors[1] = fixture_selector("2001:db8::/32", "::/0");
    f.selectors[1].protocol = IPPROTO_TCP;
    f.selectors[1].dst_port = 443;
    f.state.selector_count = 2;
    assert_int_equal(of_family(built(&f, true), NFT_MSG_NEWRULE, NFPROTO_IPV6), 0);
    f.ipv6 = true;
    struct bytes batch = built(&f, true);
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV4), 2 + 2 * (CONTROL + 1));
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV6), 2 + 2 * (CONTROL + 1));
    const struct nlmsghdr *rule = rule_at(batch, "leaving", 2 * CONTROL + 1);
    assert_true(has_bytes(rule, "0800 0300 00000008 0800 0400 00000010")); /* source, 16 octets */
    assert_true(has_bytes(rule, "1400 0100 20010db8 00000000 00000000 00000000"));
    assert_false(has_bytes(rule, "0800 0300 00000018")); /* any destination */
    assert_false(has_bytes(rule, "01bb0000"));
}

static void what_is_meant_to_pass_in_clear_does(void **state)
{
    struct fence f;
    (void)state;
    fence_init(&f);
    f.state.direction = DATAPATH_INBOUND_OPTIONAL;
    struct bytes batch = built(&f, true);
    assert_int_equal(rules_of(batch, "leaving"), CONTROL + 1);
    assert_int_equal(rules_of(batch, "entering"), 0);
    f.state.direction = DATAPATH_RECEIVE_ONLY;
    assert_int_equal(rules_of(built(&f, true), "leaving"), 0);
    f.state.closed = true; /* but nothing is without a policy */
    batch = built(&f, true);
    assert_int_equal(rules_of(batch, "leaving"), CONTROL + 1);
    assert_int_equal(rules_of(batch, "entering"), CONTROL + 1);
}

static void counters_go_on_unless_it_is_made_anew(void **state)
{
    struct fence f;
    (void)state;
    fence_init(&f);
    assert_int_equal(of_family(built(&f, true), NFT_MSG_DELTABLE, NFPROTO_IPV4), 1);
    assert_int_equal(of_family(built(&f, false), NFT_MSG_DELTABLE, NFPROTO_IPV4), 0);
    assert_int_equal(of_family(built(&f, false), NFT_MSG_DELRULE, NFPROTO_IPV4), 1);
}

static void the_largest_policy_fits_and_less_room_is_an_error(void **state)
{
    static struct selector denies[GM_DENY_MAX];
    static struct fence f;
    struct bytes batch;
    uint32_t last_seq;
    (void)state;
    fence_init(&f);
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++) {
        f.selectors[i] = fixture_selector("10.0.0.0/9", "239.0.0.0/9");
        f.selectors[i].protocol = IPPROTO_UDP;
        f.selectors[i].src_port = f.selectors[i].dst_port = (uint16_t)(i + 1);
    }
    for (size_t i = 0; i < GM_DENY_MAX; i++)
        denies[i] = f.selectors[i];
    for (size_t i = 0; i < GM_LAN_MAX; i++)
        strcpy(f.config.lan[i], "lan");
    f.config.lan_count = GM_LAN_MAX;
    f.state.selector_count = POLICY_SELECTOR_MAX;
    f.state.denies = denies;
    f.state.deny_count = GM_DENY_MAX;
    f.ipv6 = true;
    assert_int_equal(rules_of(built(&f, true), "leaving"), 2 * CONTROL + GM_DENY_MAX + 2 * POLICY_SELECTOR_MAX);
    assert_err(nft_fence_build(&f.config, &f.state, true, true, 1, buffer, NFT_BATCH_MIN, &batch, &last_seq), E_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_protected_packet_on_its_way_out_is_counted_and_dropped),
        cmocka_unit_test(a_fragment_without_ports_counts_as_protected),
        cmocka_unit_test(what_is_let_pass_in_clear_comes_first),
        cmocka_unit_test(ipv6_has_a_table_of_its_own_and_looks_at_prefixes_alone),
        cmocka_unit_test(what_is_meant_to_pass_in_clear_does),
        cmocka_unit_test(counters_go_on_unless_it_is_made_anew),
        cmocka_unit_test(the_largest_policy_fits_and_less_room_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

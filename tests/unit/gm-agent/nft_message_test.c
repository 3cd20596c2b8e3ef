/* nftables messages: the restore rule byte for byte, the batch around it, and what does not fit. */
#include "gm-agent/nft_message.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "gm-agent/nft_ruleset.h"
#include "gm-agent/nft_tally.h"
#include "tests/unit/gm-agent/nft_batch.h"
#include "tests/unit/gm-agent/xfrm_fixture.h"

static uint8_t buffer[NFT_RULESET_MAX];

/* "ip daddr set meta mark", which nft(8) 1.0.6 refuses to write ("datatype mismatch"). Counted by hand from
 * linux/netfilter/nf_tables.h. */
static void a_destination_is_set_from_the_mark(void **state)
{
    struct nft_batch b;
    (void)state;
    nft_batch_begin(&b, buffer, sizeof(buffer), 1);
    nft_table_use(&b, NFPROTO_IPV4, "t");
    nft_rule_begin(&b, "c");
    nft_load_meta(&b, NFT_META_MARK, NFT_REG_1);
    nft_store_payload(&b, NFT_PAYLOAD_NETWORK_HEADER, 16, 4, NFT_REG_1, true);
    nft_rule_end(&b);
    assert_ok(nft_batch_end(&b));
    const struct nlmsghdr *rule = message_at((struct bytes){buffer, b.len}, 1);
    assert_int_equal(rule->nlmsg_type, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWRULE);
    assert_bytes(body(rule), "02 00 0000"                                      /* nfgenmsg: ipv4 */
                             "0600 0100 7400 0000"                             /* table "t" */
                             "0600 0200 6300 0000"                             /* chain "c" */
                             "6c00 0480"                                       /* expressions */
                             "2400 0180 0900 0100 6d657461 00000000"           /* "meta" */
                             "1400 0280 0800 0200 00000003 0800 0100 00000001" /* key mark, to register 1 */
                             "4400 0180 0c00 0100 7061796c6f616400"            /* "payload" */
                             "3400 0280"
                             "0800 0500 00000001"   /* from register 1 */
                             "0800 0200 00000001"   /* network header */
                             "0800 0300 00000010"   /* offset 16 */
                             "0800 0400 00000004"   /* length 4 */
                             "0800 0600 00000001"   /* checksum as of IP, */
                             "0800 0700 0000000a"); /* at 10 */
}

static void a_batch_is_framed_and_asks_for_one_answer(void **state)
{
    struct nft_batch b;
    (void)state;
    nft_batch_begin(&b, buffer, sizeof(buffer), 10);
    nft_table_use(&b, NFPROTO_IPV4, "t");
    nft_table_new(&b);
    nft_table_delete(&b);
    assert_ok(nft_batch_end(&b));
    struct bytes batch = {buffer, b.len};
    assert_int_equal(message_count(batch), 4);
    assert_int_equal(message_at(batch, 0)->nlmsg_type, NFNL_MSG_BATCH_BEGIN);
    assert_int_equal(message_at(batch, 3)->nlmsg_type, NFNL_MSG_BATCH_END);
    assert_false(message_at(batch, 1)->nlmsg_flags & NLM_F_ACK);
    assert_true(message_at(batch, 2)->nlmsg_flags & NLM_F_ACK);
    assert_int_equal(message_at(batch, 2)->nlmsg_seq, b.last_seq);
    assert_bytes(body(message_at(batch, 1)), "02 00 0000 0600 0100 7400 0000");
}

static void what_does_not_fit_is_an_error(void **state)
{
    struct fixture f;
    struct bytes batch;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    assert_err(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, NFT_BATCH_MIN - 1, &batch, &last),
               E_FULL);
    assert_err(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, NFT_BATCH_MIN, &batch, &last), E_FULL);
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    struct nft_batch b;
    uint32_t keys[NFT_SET_ELEM_MAX + 1] = {0};
    nft_batch_begin(&b, buffer, sizeof(buffer), 1);
    nft_table_use(&b, NFPROTO_IPV4, "t");
    nft_set_add(&b, "s", keys, NFT_SET_ELEM_MAX + 1);
    assert_err(nft_batch_end(&b), E_LIMIT);
}

static void the_largest_policy_fits(void **state)
{
    static struct selector many[POLICY_SELECTOR_MAX], deny[XFRM_PLAN_DENY_MAX];
    struct fixture f;
    struct bytes batch;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++) {
        many[i] = fixture_selector("0.0.0.0/1", "0.0.0.0/1");
        many[i].protocol = IPPROTO_TCP;
        many[i].src_port = many[i].dst_port = (uint16_t)(1 + i);
    }
    memcpy(deny, many, sizeof(deny));
    f.site.wan_addr[0] = 1; /* covered, so that there are exceptions too */
    f.site.deny = deny;
    f.site.deny_count = XFRM_PLAN_DENY_MAX;
    f.state.selectors = many;
    f.state.selector_count = POLICY_SELECTOR_MAX;
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_true(message_count(batch) > 6 * POLICY_SELECTOR_MAX - POLICY_SELECTOR_MAX);
}

/* "iifname != wan iifname != wan2 accept": from neither. */
static void what_comes_in_by_no_uplink_is_let_alone(void **state)
{
    struct fixture f;
    struct bytes batch;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    f.site.wan_count = 2;
    f.site.wan[1] = (struct xfrm_uplink){.name = "wan2", .index = 4, .addr = {100, 64, 2, 1}};
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
#define NOT_FROM(name_hex)                                                                                   \
    "2400 0180 0900 0100 6d657461 00000000"           /* "meta" */                                           \
    "1400 0280 0800 0200 00000006 0800 0100 00000001" /* iifname, to register 1 */                           \
    "3800 0180 0800 0100 636d7000"                    /* "cmp": register 1 is not */                         \
    "2c00 0280 0800 0100 00000001 0800 0200 00000001"                                                        \
    "1800 0380 1400 0100" name_hex "00000000 00000000 00000000"
    assert_true(has_bytes(rule_at(batch, "clear", 1), NOT_FROM("77616e00") NOT_FROM("77616e32")));
    assert_non_null(rule_at(batch, "inward", 1));
    assert_null(rule_at(batch, "inward", 2));
    assert_non_null(rule_at(batch, "egress1", 0));
    f.site.wan[1].index = 0; /* unplugged: no chain can hang at it, but it is guarded by its name */
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_null(rule_at(batch, "egress1", 0));
    assert_non_null(rule_at(batch, "guard", 2));
}

/* Registers a proxy at a port that is 0, in a chain that has no hook: only that it is there matters. */
static void fragments_are_put_together_without_tracking(void **state)
{
    struct fixture f;
    struct bytes batch;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_true(has_bytes(rule_at(batch, "defrag", 0),
                          "2c00 0180 0e00 0100 696d6d65 64696174 6500 0000" /* "immediate" */
                          "1800 0280 0800 0100 00000001 0c00 0280 0600 0100 0000 0000"
                          "2400 0180 0b00 0100 7470726f 78790000" /* "tproxy" */
                          "1400 0280 0800 0100 00000002 0800 0300 00000001"));
    assert_null(rule_at(batch, "defrag", 1));
    assert_false(chain_has_hook(batch, "defrag"));
    assert_true(chain_has_hook(batch, "inward"));
    f.site.track = true; /* "ct state invalid", where every packet comes by */
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_true(has_bytes(rule_at(batch, "defrag", 0), "0700 0100 63740000")); /* "ct" */
    assert_true(chain_has_hook(batch, "defrag"));
}

#define LOAD_META(key_hex)                                                                                             \
    "2400 0180 0900 0100 6d657461 00000000"                                                                            \
    "1400 0280 0800 0200 000000" key_hex " 0800 0100 00000001"

/* "iif 5 oifname wan jump shut", back, then six ports, then nothing. */
static void ipv6_is_closed_with_the_same_rules_but_for_where_the_protocol_stands(void **state)
{
    struct fixture f;
    struct bytes batch;
    struct selector deny = fixture_selector("10.9.0.0/16", "10.0.0.0/8");
    uint32_t last;
    (void)state;
    fixture_init(&f);
    f.site.deny = &deny;
    f.site.deny_count = 1; /* IPv4: of no use here */
    assert_ok(nft_ruleset_close_ipv6(&f.site, 1, buffer, sizeof(buffer), &batch, &last));
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV6), 2 + 6 + 2);
    assert_int_equal(of_family(batch, NFT_MSG_NEWTABLE, NFPROTO_IPV4), 0);
    assert_true(chain_has_hook(batch, "closed"));
    assert_false(chain_has_hook(batch, "shut"));
    assert_bytes(body(rule_at(batch, "shut", 0)),
                 "0a 00 0000"                                                                /* nfgenmsg: ipv6 */
                 "1200 0100 71756f72 6174655f 67646f69 30000000"                             /* "quorate_gdoi0" */
                 "0900 0200 73687574 00000000"                                               /* "shut" */
                 "e400 0480" LOAD_META("10")                                                 /* l4proto */
                 "2c00 0180 0800 0100 636d7000"                                              /* "cmp": is */
                 "2000 0280 0800 0100 00000001 0800 0200 00000000 0c00 0380 0500 0100 11000000" /* UDP */
                 "3400 0180 0c00 0100 7061796c6f616400"                                      /* "payload" */
                 "2400 0280 0800 0100 00000001 0800 0200 00000002 0800 0300 00000000 0800 0400 00000002"
                 "2c00 0180 0800 0100 636d7000"
                 "2000 0280 0800 0100 00000001 0800 0200 00000000 0c00 0380 0600 0100 03500000" /* 848 */
                 "3000 0180 0e00 0100 696d6d65 64696174 65000000"                            /* "immediate" */
                 "1c00 0280 0800 0100 00000000 1000 0280 0c00 0280 0800 0100 00000001");     /* accept */
    f.site.ipv6 = true;
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_int_equal(of_family(batch, NFT_MSG_NEWTABLE, NFPROTO_IPV6), 2);
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV6), 0); /* a policy without IPv6 leaves it alone */
    f.state.ipv6_closed = true;
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV6), 2 + 6 + 2);
    f.site.ipv6 = false; /* the kernel would refuse all of it */
    f.state.closed = true;
    assert_ok(nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last));
    assert_int_equal(of_family(batch, NFT_MSG_NEWTABLE, NFPROTO_IPV6), 0);
    assert_int_equal(of_family(batch, NFT_MSG_NEWRULE, NFPROTO_IPV6), 0);
}

static void the_same_state_gives_the_same_batch(void **state)
{
    static uint8_t again[NFT_RULESET_MAX];
    struct fixture f;
    struct bytes first, second;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    assert_ok(nft_ruleset_build(&f.site, &f.state, false, 1, buffer, sizeof(buffer), &first, &last));
    assert_ok(nft_ruleset_build(&f.site, &f.state, false, 1, again, sizeof(again), &second, &last));
    assert_true(bytes_equal(first, second));
    f.state.in[1] = &f.teks[1];
    f.state.in_count = 2;
    assert_ok(nft_ruleset_build(&f.site, &f.state, false, 1, again, sizeof(again), &second, &last));
    assert_false(bytes_equal(first, second)); /* a new SPI */
}

static void failing_memory_is_reported(void **state)
{
    struct fixture f;
    struct bytes batch;
    uint32_t last;
    (void)state;
    fixture_init(&f);
    for (long n = 0;; n++) {
        heap_fault_after(n);
        err_t err = nft_ruleset_build(&f.site, &f.state, true, 1, buffer, sizeof(buffer), &batch, &last);
        int hit = heap_fault_hit();
        heap_fault_after(-1);
        if (!hit) {
            assert_ok(err);
            return;
        }
        assert_err(err, E_NO_MEMORY);
    }
}

static void a_counter_is_read(void **state)
{
    struct nft_counter counter;
    (void)state;
    memset(buffer, 0, NFT_MESSAGE_MAX);
    struct nlmsghdr *message = nft_build_counter_dump(buffer, 5, NFPROTO_IPV4);
    assert_int_equal(message->nlmsg_type, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETOBJ);
    message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWOBJ;
    mnl_attr_put_strz(message, NFTA_OBJ_TABLE, "t");
    mnl_attr_put_strz(message, NFTA_OBJ_NAME, "a name that is longer than any that we give to a counter");
    struct nlattr *data = mnl_attr_nest_start(message, NFTA_OBJ_DATA);
    mnl_attr_put_u64(message, NFTA_COUNTER_PACKETS, htobe64(0x0102030405060708));
    mnl_attr_nest_end(message, data);
    assert_err(nft_parse_counter(&counter, message), E_UNEXPECTED); /* of which kind? */
    mnl_attr_put_u32(message, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
    assert_ok(nft_parse_counter(&counter, message));
    assert_string_equal(counter.table, "t");
    assert_int_equal(strlen(counter.name), NFT_NAME_MAX - 1);
    assert_int_equal(counter.packets, 0x0102030405060708);
    message->nlmsg_len = NLMSG_HDRLEN;
    assert_err(nft_parse_counter(&counter, message), E_TRUNCATED);
}

/* "add @s { <register 1> counter }" and the set that it needs, counted by hand as above. */
static void a_rule_counts_by_what_is_in_a_register(void **state)
{
    struct nft_batch b;
    (void)state;
    nft_batch_begin(&b, buffer, sizeof(buffer), 1);
    nft_table_use(&b, NFPROTO_IPV4, "t");
    nft_counting_set_new(&b, "s", 2, 13, 1, 64);
    nft_rule_begin(&b, "c");
    nft_count_by(&b, NFT_REG_1, "s");
    nft_rule_end(&b);
    assert_ok(nft_batch_end(&b));
    const struct nlmsghdr *set = message_at((struct bytes){buffer, b.len}, 1);
    assert_int_equal(set->nlmsg_type, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSET);
    assert_bytes(body(set), "02 00 0000"
                            "0600 0100 7400 0000"            /* table "t" */
                            "0600 0200 7300 0000"            /* set "s" */
                            "0800 0400 0000000d"             /* type of key */
                            "0800 0500 00000001"             /* its length */
                            "0800 0a00 00000002"             /* id */
                            "0800 0300 00000020"             /* flags: rules add to it */
                            "0c00 0980 0800 0100 00000040"); /* at most 64 */
    const struct nlmsghdr *rule = message_at((struct bytes){buffer, b.len}, 2);
    assert_bytes(body(rule), "02 00 0000"
                             "0600 0100 7400 0000"
                             "0600 0200 6300 0000"
                             "4400 0480"                             /* expressions */
                             "4000 0180 0b00 0100 64796e736574 0000" /* "dynset" */
                             "3000 0280"
                             "0800 0400 00000001"         /* key from register 1 */
                             "0800 0300 00000000"         /* add */
                             "0600 0100 7300 0000"        /* set "s" */
                             "1400 0780"                  /* with the expression */
                             "0c00 0100 636f756e74657200" /* "counter" */
                             "0400 0280" /* from 0 on */);
}

/* An element as the kernel tells it. */
static void put_element(struct nlmsghdr *message, const void *key, size_t key_len, const char *expression,
                        uint64_t packets)
{
    struct nlattr *element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    struct nlattr *nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);
    mnl_attr_put(message, NFTA_DATA_VALUE, key_len, key);
    mnl_attr_nest_end(message, nest);
    nest = mnl_attr_nest_start(message, NFTA_SET_ELEM_EXPR);
    mnl_attr_put_strz(message, NFTA_EXPR_NAME, expression);
    struct nlattr *data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
    mnl_attr_put_u64(message, NFTA_COUNTER_BYTES, htobe64(packets * 100));
    mnl_attr_put_u64(message, NFTA_COUNTER_PACKETS, htobe64(packets));
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, nest);
    mnl_attr_nest_end(message, element);
}

static void classes_are_read(void **state)
{
    static const struct dscp_table none;
    struct dscp_table sum = {0};
    (void)state;
    struct nlmsghdr *message = nft_tally_dump(buffer, 5, "t", true);
    assert_int_equal(message->nlmsg_type, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM);
    assert_bytes(body(message), "02 00 0000 0600 0100 7400 0000 0d00 0200 647363705f6f757400 000000");
    assert_err(nft_tally_parse(&sum, "t", message), E_UNEXPECTED); /* a request */
    message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSETELEM;
    assert_ok(nft_tally_parse(&sum, "t", message)); /* no elements */
    struct nlattr *list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
    put_element(message, "\xb8", 1, "counter", 3);
    put_element(message, "\xff", 1, "counter", 4);
    put_element(message, "\x00", 1, "quota", 5);
    put_element(message, "\x20\x00\x00\x00", 4, "counter", 6);
    mnl_attr_nest_end(message, list);
    assert_err(nft_tally_parse(&sum, "another", message), E_UNEXPECTED);
    assert_memory_equal(&sum, &none, sizeof(sum));
    assert_ok(nft_tally_parse(&sum, "t", message));
    assert_ok(nft_tally_parse(&sum, "t", message)); /* a dump may have several */
    struct dscp_table want = {.out = {[46] = {6, 600}, [63] = {8, 800}}};
    assert_memory_equal(&sum, &want, sizeof(sum));
    message->nlmsg_len = NLMSG_HDRLEN;
    assert_err(nft_tally_parse(&sum, "t", message), E_TRUNCATED);
    message->nlmsg_len = NLMSG_HDRLEN + 33;
    assert_err(nft_tally_parse(&sum, "t", message), E_BAD_LENGTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destination_is_set_from_the_mark),
        cmocka_unit_test(a_batch_is_framed_and_asks_for_one_answer),
        cmocka_unit_test(what_does_not_fit_is_an_error),
        cmocka_unit_test(the_largest_policy_fits),
        cmocka_unit_test(what_comes_in_by_no_uplink_is_let_alone),
        cmocka_unit_test(fragments_are_put_together_without_tracking),
        cmocka_unit_test(ipv6_is_closed_with_the_same_rules_but_for_where_the_protocol_stands),
        cmocka_unit_test(the_same_state_gives_the_same_batch),
        cmocka_unit_test(failing_memory_is_reported),
        cmocka_unit_test(a_counter_is_read),
        cmocka_unit_test(a_rule_counts_by_what_is_in_a_register),
        cmocka_unit_test(classes_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

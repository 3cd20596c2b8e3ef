/* What "show" prints: the labels that people's parsers read, never a key, never more than fits. */
#include <jansson.h>

#include "gm-agent/status.h"
#include "world.h"

static char answer[STATUS_ANSWER_MAX];

static struct status_view view_of(const struct world *w)
{
    static const struct datapath_counter counters[DP_COUNTER_COUNT] = {
        [DP_ENCAPS] = {.count = 7},
        [DP_INVALID_SPI] = {.count = 2, .first_src = {AF_INET, {192, 168, 14, 10}}}};
    return (struct status_view){
        .agent = &w->agent, .counters = counters, .backend = "user", .now_ms = w->now_ms};
}

static void assert_has(const char *text)
{
    if (strstr(answer, text) == NULL)
        fail_msg("not found: %s\nin:\n%s", text, answer);
}

static void commands_are_read_with_any_blanks_and_case(void **state)
{
    (void)state;
    bool json = true;
    assert_int_equal(status_parse("show crypto gdoi", &json), STATUS_SHOW_GDOI);
    assert_false(json);
    assert_int_equal(status_parse("  Show   crypto gdoi\tgm  \r", &json), STATUS_SHOW_GM);
    assert_int_equal(status_parse("show crypto gdoi gm rekey json", &json), STATUS_SHOW_REKEY);
    assert_true(json);
    assert_int_equal(status_parse("show crypto gdoi gm replay", &json), STATUS_SHOW_REPLAY);
    assert_int_equal(status_parse("show crypto ipsec sa", &json), STATUS_SHOW_IPSEC);
    assert_int_equal(status_parse("show crypto gdoi gm dataplane counters", &json), STATUS_SHOW_DATAPLANE);
    assert_int_equal(status_parse("clear crypto gdoi", &json), STATUS_CLEAR);
    assert_int_equal(status_parse("", &json), STATUS_UNKNOWN);
    assert_int_equal(status_parse("json", &json), STATUS_UNKNOWN);
    assert_int_equal(
        status_parse("show crypto gdoi gm rekey and then some more words that are far too long for anybody "
                     "to type them in earnest, are they not? I think that they are",
                     &json),
        STATUS_UNKNOWN);
}

static void show_crypto_gdoi_has_the_labels_of_a_router(void **state)
{
    (void)state;
    struct world *w = world_registered(1);
    struct status_view view = view_of(w);
    status_text(&view, STATUS_SHOW_GDOI, answer, sizeof(answer));
    assert_has("GROUP INFORMATION\n\n    Group Name               : G1\n    Group Identity           : 3333\n"
               "    Group Type               : GDOI (ISAKMP)\n    Crypto Path              : ipv4\n");
    assert_has("     Group Server list       : 10.1.11.2\n");
    assert_has("Group Member Information For Group G1:\n    IPSec SA Direction       : Both\n");
    assert_has("    Group member             : 10.1.20.2       vrf: None\n       Local addr/port       : "
               "10.1.20.2/848\n");
    assert_has("       Registration status   : Registered\n       Registered with       : 10.1.11.2\n");
    assert_has("       Succeeded registration: 1\n       Attempted registration: 1\n");
    assert_has("       Active TEK Number     : 1\n");
    assert_has("   access-list   permit ip 192.168.13.0 0.0.0.255 192.168.14.0 0.0.0.255\n");
    assert_has("KEK POLICY:\n    Rekey Transport Type     : Unicast\n    Lifetime (secs)          : 863");
    assert_has("    Encrypt Algorithm        : AES\n    Key Size                 : 256\n");
    assert_has("        spi: 0x00001001(4097)\n        transform: esp-256-aes esp-sha256-hmac\n"
               "        sa timing:remaining key lifetime (sec): (3599)\n");
    world_close(w);
}

static void show_before_any_registration_is_fine(void **state)
{
    (void)state;
    struct world *w = world_open(2, 3);
    struct status_view view = view_of(w);
    for (int c = STATUS_UNKNOWN; c <= STATUS_CLEAR; c++) {
        assert_true(status_text(&view, (enum status_command)c, answer, sizeof(answer)) > 0);
        assert_true(status_json(&view, (enum status_command)c, answer, sizeof(answer)) > 0);
    }
    status_text(&view, STATUS_SHOW_GM, answer, sizeof(answer));
    assert_has("Registration status   : Not registered\n");
    world_close(w);
}

static void ipsec_sa_shows_counters_with_their_peers(void **state)
{
    (void)state;
    struct world *w = world_registered(3);
    struct status_view view = view_of(w);
    status_text(&view, STATUS_SHOW_IPSEC, answer, sizeof(answer));
    assert_has("   local  ident (addr/mask/prot/port): (192.168.13.0/255.255.255.0/0/0)\n");
    assert_has("    #pkts encaps: 7, #pkts encrypt: 0, #pkts digest: 0\n");
    assert_has("invalid sa (rcv)            : 2 first 192.168.14.10 -> ");
    assert_has("     current outbound spi: 0x00001001(4097)\n");
    world_close(w);
}

static void json_says_the_same(void **state)
{
    (void)state;
    struct world *w = world_registered(4);
    struct status_view view = view_of(w);
    size_t len = status_json(&view, STATUS_SHOW_GDOI, answer, sizeof(answer));
    json_t *root = json_loadb(answer, len, 0, NULL);
    assert_non_null(root);
    json_t *member = json_object_get(root, "member");
    assert_true(json_is_true(json_object_get(member, "registered")));
    assert_string_equal(json_string_value(json_object_get(member, "registered_with")), "10.1.11.2");
    assert_int_equal(json_array_size(json_object_get(root, "teks")), 1);
    json_decref(root);
    len = status_json(&view, STATUS_SHOW_IPSEC, answer, sizeof(answer));
    root = json_loadb(answer, len, 0, NULL);
    json_t *counter = json_object_get(json_object_get(root, "counters"), "encaps");
    assert_int_equal(json_integer_value(json_object_get(counter, "count")), 7);
    json_decref(root);
    world_close(w);
}

/* Any eight octets of a secret, raw or as hex. */
static void assert_hides(const struct secret *secret, size_t len)
{
    char text[17];
    for (size_t i = 0; i < 8; i++)
        snprintf(text + 2 * i, 3, "%02x", secret->data[i]);
    assert_null(memmem(answer, len, secret->data, 8));
    assert_null(strstr(answer, text));
}

static void no_answer_holds_a_key(void **state)
{
    (void)state;
    struct world *w = world_registered(5);
    struct status_view view = view_of(w);
    for (int c = STATUS_UNKNOWN; c <= STATUS_CLEAR; c++) {
        for (int json = 0; json < 2; json++) {
            size_t len = json ? status_json(&view, (enum status_command)c, answer, sizeof(answer))
                              : status_text(&view, (enum status_command)c, answer, sizeof(answer));
            assert_hides(&w->policy.teks[0].key, len);
            assert_hides(&w->policy.teks[0].integrity, len);
            assert_hides(&w->policy.kek.iv_key, len);
            assert_hides(&w->config.psk, len);
        }
    }
    world_close(w);
}

static void the_largest_policy_fits_and_a_small_buffer_is_not_overrun(void **state)
{
    (void)state;
    struct world *w = world_registered(6);
    struct status_view view = view_of(w);
    w->agent.selector_count = POLICY_SELECTOR_MAX;
    for (size_t i = 0; i < POLICY_SELECTOR_MAX; i++)
        w->agent.selectors[i] = w->agent.selectors[0];
    size_t len = status_json(&view, STATUS_SHOW_GDOI, answer, sizeof(answer));
    assert_true(len > 1000 && len < sizeof(answer) / 2);
    assert_true(status_text(&view, STATUS_SHOW_GDOI, answer, sizeof(answer)) < sizeof(answer) / 2);
    for (size_t cap = 0; cap < 700; cap++) {
        char *small = malloc(cap != 0 ? cap : 1);
        assert_non_null(small);
        assert_true(status_text(&view, STATUS_SHOW_GDOI, small, cap) <= cap);
        assert_true(status_json(&view, STATUS_SHOW_REKEY, small, cap) <= cap);
        free(small);
    }
    world_close(w);
}

static void show_replay_has_the_lines_of_a_router(void **state)
{
    (void)state;
    struct world *w = world_registered(9);
    static struct time_check check = {.window_ms = 4000};
    struct status_view view = view_of(w);
    status_text(&view, STATUS_SHOW_REPLAY, answer, sizeof(answer));
    assert_string_equal(answer, "Anti-replay Information For Group G1:\nTimebased Replay:\n"
                                "         is not enabled\n");
    w->agent.time_window_ms = check.window_ms;
    group_clock_pull(&check.clock, 620051840000, w->now_ms, w->now_ms);
    w->agent.clock = check.clock;
    view.has_replay = true;
    view.replay = (struct datapath_replay){.time = &check, .window = 64, .senders = 3, .evicted = 1};
    struct time_reject old = {
        .wall_ms = 1384371572081, .peer_us = 619767090000, .sid = 7, .src = {AF_INET, {192, 168, 13, 2}}};
    struct time_reject good = {
        .peer_us = 620051840000 + 1500000, .sid = 8, .src = {AF_INET, {192, 168, 14, 2}}};
    bool sampled;
    assert_false(time_check_accept(&check, &old, w->now_ms, &sampled));
    assert_true(time_check_accept(&check, &good, w->now_ms, &sampled));
    status_text(&view, STATUS_SHOW_REPLAY, answer, sizeof(answer));
    assert_has(
        "Replay Value : 620051.84 secs\nInput Packets : 1 Output Packets : 0\nInput Error Packets : 1 Output "
        "Error Packets : 0\nTime Sync Error : 0 Max time delta : 1.50 secs\nReplay Window : 4 secs\n\n"
        "TBAR Error History (sampled at 10pak/min):\n");
    assert_has(
        "    19:39:32.081 UTC Wed Nov 13 2013: src=192.168.13.2; my_pst=620051.84 secs; peer_pst=619767.09 "
        "secs; win=4\n");
    assert_has("    sid 0x8 192.168.14.2: 1500.0, 1500.0, 1500.0; packets 1, errors 0\n");
    assert_has("Counter Replay:\nWindow : 64 packets\nSenders known : 3, forgotten : 1\n");
    size_t len = status_json(&view, STATUS_SHOW_REPLAY, answer, sizeof(answer));
    json_t *root = json_loadb(answer, len, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "rejected")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "history")), 1);
    assert_int_equal(json_array_size(json_object_get(root, "peers")), 2);
    json_decref(root);
    world_close(w);
}

static void dataplane_shows_the_classes_that_were_seen_and_the_threads(void **state)
{
    (void)state;
    struct world *w = world_registered(1);
    struct status_view view = view_of(w);
    status_text(&view, STATUS_SHOW_DATAPLANE, answer, sizeof(answer));
    assert_has("Data-plane statistics for group G1:\nData path : user\n#pkts encaps : 7, #pkts decaps : 0\n");
    assert_has("    are not counted by this data path\n");
    assert_null(strstr(answer, "Threads"));
    view.has_dscp = true;
    status_text(&view, STATUS_SHOW_DATAPLANE, answer, sizeof(answer));
    assert_has("    none seen\n");
    view.dscp.out[46] = (struct dscp_count){3, 300};
    view.dscp.in[0] = (struct dscp_count){4, 4000000000000};
    view.lane_count = 2;
    view.lanes[0] = (struct datapath_lane){5, 6, true};
    view.lanes[1] = (struct datapath_lane){0, 9, false};
    status_text(&view, STATUS_SHOW_DATAPLANE, answer, sizeof(answer));
    assert_has(
        "Classes (DSCP) of clear packets:\n"
        "    DF    ( 0): #pkts encaps 0, #bytes encaps 0, #pkts decaps 4, #bytes decaps 4000000000000\n"
        "    EF    (46): #pkts encaps 3, #bytes encaps 300, #pkts decaps 0, #bytes decaps 0\n"
        "Threads : 2\n"
        "     1: #pkts encaps 5, #pkts decaps 6, sends and receives\n"
        "     2: #pkts encaps 0, #pkts decaps 9, receives\n");
    size_t len = status_json(&view, STATUS_SHOW_DATAPLANE, answer, sizeof(answer));
    json_t *root = json_loadb(answer, len, 0, NULL);
    json_t *encaps = json_object_get(json_object_get(root, "dscp"), "encaps");
    assert_int_equal(json_array_size(encaps), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(encaps, 0), "name")), "EF");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(encaps, 0), "octets")), 300);
    assert_int_equal(json_array_size(json_object_get(root, "threads")), 2);
    json_decref(root);
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_read_with_any_blanks_and_case),
        cmocka_unit_test(show_crypto_gdoi_has_the_labels_of_a_router),
        cmocka_unit_test(show_before_any_registration_is_fine),
        cmocka_unit_test(ipsec_sa_shows_counters_with_their_peers),
        cmocka_unit_test(json_says_the_same),
        cmocka_unit_test(no_answer_holds_a_key),
        cmocka_unit_test(the_largest_policy_fits_and_a_small_buffer_is_not_overrun),
        cmocka_unit_test(show_replay_has_the_lines_of_a_router),
        cmocka_unit_test(dataplane_shows_the_classes_that_were_seen_and_the_threads),
    };
    world_trace();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

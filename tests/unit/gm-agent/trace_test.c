/* "gm-agent trace": words are read strictly, every step is told, and the verdict is the one that the packet
 * path itself gives to the same packet. */
#include <jansson.h>

#include "esp_side.h"
#include "gm-agent/status.h"
#include "gm-agent/trace.h"
#include "world.h"

enum { RANDOM_PACKETS = 20000 };

static char answer[STATUS_ANSWER_MAX];

static struct trace_result traced(const struct world *w, const char *words)
{
    struct trace_request request;
    struct trace_result result;
    const char *why = NULL;
    if (trace_parse(words, &request, &why) != E_OK)
        fail_msg("%s: %s", words, why);
    trace_run(&w->agent, &request, w->now_ms, &result);
    return result;
}

static void assert_step(const struct trace_result *result, size_t step, const char *name, const char *text)
{
    assert_true(step < result->count);
    assert_string_equal(result->steps[step].name, name);
    assert_string_equal(result->steps[step].text, text);
}

static void words_are_read_strictly(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "lan",
                                        "loo tcp 10.1.1.1 1 10.2.2.2 2",
                                        "lan tcp 10.1.1.1 10.2.2.2",
                                        "lan icmp 10.1.1.1 5 10.2.2.2",
                                        "lan tcp 10.1.1.1 1 10.2.2.2",
                                        "lan tcp 10.1.1.1 65536 10.2.2.2 1",
                                        "lan 256 10.1.1.1 10.2.2.2",
                                        "lan icmp fd00::1 10.2.2.2",
                                        "lan icmp 10.1.1.1 10.2.2.2 size",
                                        "lan icmp 10.1.1.1 10.2.2.2 size 19",
                                        "lan icmp 10.1.1.1 10.2.2.2 size 65536",
                                        "lan icmp 10.1.1.1 10.2.2.2 length 100",
                                        "lan icmp 10.1.1.1 10.2.2.2 size 100 more",
                                        "esp icmp 10.1.1.1 10.2.2.2",
                                        "esp 0 icmp 10.1.1.1 10.2.2.2",
                                        "esp 0x1ffffffff icmp 10.1.1.1 10.2.2.2",
                                        "lan icmp 10.1.1.1 10.2.2.x",
                                        "lan -1 10.1.1.1 10.2.2.2",
                                        "lan tcp 10.1.1.1 0x 10.2.2.2 1",
                                        "a b c d e f g h i j k l m n o p"};
    struct trace_request request;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *why = NULL;
        assert_int_equal(trace_parse(wrong[i], &request, &why), E_RANGE);
        assert_non_null(why);
    }
    const char *why = NULL;
    assert_ok(trace_parse("esp 0x1001 udp 10.1.1.1 53 10.2.2.2 4000 size 1400", &request, &why));
    assert_int_equal(request.from, TRACE_ESP);
    assert_int_equal(request.spi, 0x1001);
    assert_int_equal(request.packet.protocol, 17);
    assert_int_equal(request.packet.src_port, 53);
    assert_int_equal(request.packet.dst_port, 4000);
    assert_int_equal(request.size, 1400);
    assert_ok(trace_parse("lan tcp 2001:db8::1 1024 2001:db8:1::2 443", &request, &why));
    assert_int_equal(request.packet.dst.bytes[5], 1);
    assert_int_equal(request.packet.dst_port, 443);
    assert_ok(trace_parse("wan icmp6 fd00::1 fd00::2", &request, &why));
    assert_int_equal(request.packet.protocol, 58);
}

static void a_protected_packet_is_followed_to_the_wan(void **state)
{
    (void)state;
    struct world *w = world_registered(21);
    struct trace_result r = traced(w, "lan tcp 192.168.13.9 1234 192.168.14.7 443 size 1400");
    assert_int_equal(r.verdict, TRACE_PROTECT);
    assert_step(&r, 0, "registration", "policy of group G1 from key server 10.1.11.2, 1 keys");
    assert_step(&r, 1, "policy",
                "entry 7 of 8, group: permit ip 192.168.13.0 0.0.0.255 192.168.14.0 0.0.0.255");
    assert_step(&r, 2, "direction", "both: sends protected, takes protected only");
    assert_step(&r, 3, "key", "SPI 0x00001001, esp-256-aes esp-sha256-hmac, 3599 s left");
    /* 20 + 8 + 16 + 1402 up to 1408 + 16 */
    assert_step(&r, 4, "size", "1400 octets become 1468 on the WAN: its MTU must be that or more");
    assert_int_equal(traced(w, "wan tcp 192.168.14.7 443 192.168.13.9 1234").verdict, TRACE_DROP);
    assert_int_equal(traced(w, "wan tcp 192.168.14.7 443 192.168.13.9 1234").counter, DP_NOT_IPSEC);
    assert_int_equal(traced(w, "esp 0x1001 tcp 192.168.14.7 443 192.168.13.9 1234").verdict, TRACE_OPEN);
    world_close(w);
}

static void ipv6_packets_are_followed_alike(void **state)
{
    (void)state;
    struct world *w = world_registered(27);
    w->agent.selectors[0] = selector("2001:db8:13::/48", "2001:db8:14::/48");
    struct trace_result r = traced(w, "lan tcp 2001:db8:13::9 1234 2001:db8:14::7 443 size 1400");
    assert_int_equal(r.verdict, TRACE_PROTECT);
    assert_step(&r, 4, "size", "1400 octets become 1488 on the WAN: its MTU must be that or more");
    r = traced(w, "lan tcp 2001:db8:14::7 1234 2001:db8:13::9 443");
    assert_int_equal(r.verdict, TRACE_CLEAR);
    r = traced(w, "lan icmp6 fe80::1 ff02::1");
    assert_int_equal(r.verdict, TRACE_CLEAR);
    assert_non_null(strstr(r.why, "link"));
    world_close(w);
}

static void what_would_be_dropped_names_its_counter(void **state)
{
    (void)state;
    struct world *w = world_registered(22);
    struct trace_result r = traced(w, "esp 0x9999 icmp 192.168.14.7 192.168.13.9");
    assert_int_equal(r.verdict, TRACE_DROP);
    assert_int_equal(r.counter, DP_INVALID_SPI);
    r = traced(w, "esp 0x1001 icmp 172.16.0.1 192.168.13.9");
    assert_int_equal(r.counter, DP_NO_POLICY);
    tek_table_clear(&w->agent.teks);
    r = traced(w, "lan icmp 192.168.13.9 192.168.14.7");
    assert_int_equal(r.verdict, TRACE_DROP);
    assert_int_equal(r.counter, DP_NO_KEY);
    assert_step(&r, 3, "key", "none to send on");
    world_close(w);
}

static void before_the_first_registration_the_door_is_closed_or_open_by_choice(void **state)
{
    (void)state;
    struct world *w = world_open(23, 1);
    struct trace_result r = traced(w, "lan icmp 192.168.13.9 192.168.14.7");
    assert_int_equal(r.verdict, TRACE_DROP);
    assert_step(&r, 0, "registration", "none: closed (fail-close)");
    assert_step(&r, 1, "policy", "no policy is known: only key management and local entries pass");
    assert_int_equal(traced(w, "wan icmp 192.168.14.7 192.168.13.9").verdict, TRACE_DROP);
    assert_int_equal(traced(w, "lan udp 192.168.13.9 848 192.168.14.7 848").verdict, TRACE_CLEAR);
    w->config.datapath.direction = DATAPATH_RECEIVE_ONLY;
    assert_int_equal(traced(w, "lan icmp 192.168.13.9 192.168.14.7").verdict, TRACE_DROP);
    assert_int_equal(traced(w, "wan icmp 192.168.14.7 192.168.13.9").verdict, TRACE_DROP);
    w->config.datapath.direction = DATAPATH_BOTH;
    w->config.datapath.fail_open = true;
    r = traced(w, "lan icmp 192.168.13.9 192.168.14.7");
    assert_int_equal(r.verdict, TRACE_CLEAR);
    assert_step(&r, 0, "registration", "none: open (fail_open)");
    world_close(w);
}

static void local_entries_and_the_direction_are_told(void **state)
{
    (void)state;
    struct world *w = world_registered(24);
    w->config.datapath.deny[0] = selector("192.168.13.0/24", "192.168.14.7/32");
    w->config.datapath.deny_count = 1;
    struct trace_result r = traced(w, "lan icmp 192.168.13.9 192.168.14.7");
    assert_int_equal(r.verdict, TRACE_CLEAR);
    assert_step(&r, 1, "policy",
                "entry 7 of 9, local entry: deny ip 192.168.13.0 0.0.0.255 host 192.168.14.7");
    w->config.datapath.direction = DATAPATH_RECEIVE_ONLY;
    assert_int_equal(traced(w, "lan icmp 192.168.13.9 192.168.14.8").verdict, TRACE_CLEAR);
    assert_int_equal(traced(w, "wan icmp 192.168.14.8 192.168.13.9").verdict, TRACE_CLEAR);
    w->config.datapath.direction = DATAPATH_INBOUND_OPTIONAL;
    assert_int_equal(traced(w, "lan icmp 192.168.13.9 192.168.14.8").verdict, TRACE_PROTECT);
    assert_int_equal(traced(w, "wan icmp 192.168.14.8 192.168.13.9").verdict, TRACE_CLEAR);
    world_close(w);
}

/* Few addresses and ports, so that entries are met and missed alike. */
static void random_packet(struct world *w, uint8_t *raw, struct bytes *packet_out, char *words, size_t cap)
{
    static const char *const addresses[] = {"192.168.13.9",   "192.168.13.77", "192.168.14.7",
                                            "192.168.14.200", "10.9.9.9",      "224.1.1.1"};
    static const uint8_t protocols[] = {1, 6, 17, 89};
    static const uint16_t ports[] = {22, 443, 500, 848, 4500, 40000};
    const char *src = addresses[world_random(w, ARRAY_LEN(addresses))];
    const char *dst = addresses[world_random(w, ARRAY_LEN(addresses))];
    uint8_t protocol = protocols[world_random(w, ARRAY_LEN(protocols))];
    uint16_t from = ports[world_random(w, ARRAY_LEN(ports))], to = ports[world_random(w, ARRAY_LEN(ports))];
    size_t size = 60 + world_random(w, 1000);
    *packet_out = packet(raw, src, dst, protocol, from, to, size);
    if (protocol == 6 || protocol == 17)
        snprintf(words, cap, "%u %s %u %s %u size %zu", protocol, src, from, dst, to, size);
    else
        snprintf(words, cap, "%u %s %s size %zu", protocol, src, dst, size);
}

static enum trace_verdict verdict_of(enum esp_verdict verdict)
{
    return verdict == ESP_TO_WAN ? TRACE_PROTECT : verdict == ESP_DROP ? TRACE_DROP : TRACE_CLEAR;
}

static void the_verdict_is_that_of_the_packet_path(void **state)
{
    (void)state;
    static uint8_t raw[CAP], out[CAP];
    struct world *w = world_registered(25);
    w->config.datapath.deny[0] = selector("192.168.13.77/32", "192.168.14.0/24");
    w->config.datapath.deny_count = 1;
    struct datapath_state wanted;
    agent_datapath_state(&w->agent, &wanted);
    struct esp_path path;
    esp_path_init(&path, &w->rng, &fake_clock);
    assert_ok(esp_path_apply(&path, &wanted));
    unsigned seen[4] = {0};
    for (unsigned i = 0; i < RANDOM_PACKETS; i++) {
        char words[96], line[112];
        struct bytes p;
        struct esp_note note;
        size_t len = 0;
        random_packet(w, raw, &p, words, sizeof(words));
        enum esp_verdict real = esp_path_encapsulate(&path, p, out, sizeof(out), &len, &note);
        snprintf(line, sizeof(line), "lan %s", words);
        struct trace_result r = traced(w, line);
        /* What no entry names is not led to the packet path at all: it passes, and would be dropped there. */
        bool foreign = real == ESP_DROP && note.why == DP_NO_POLICY;
        if (r.verdict != (foreign ? TRACE_CLEAR : verdict_of(real)))
            fail_msg("%s: %s, and the path says %d", line, trace_verdict_name(r.verdict), real);
        char size[64];
        snprintf(size, sizeof(size), "%zu octets become %zu on", p.len, len);
        if (real == ESP_TO_WAN)
            assert_non_null(strstr(r.steps[4].text, size));
        seen[r.verdict]++;
        real = esp_path_guard(&path, p, &note);
        snprintf(line, sizeof(line), "wan %s", words);
        r = traced(w, line);
        if (r.verdict != verdict_of(real) || (r.verdict == TRACE_DROP && r.counter != note.why))
            fail_msg("%s: %s, and the guard says %d", line, trace_verdict_name(r.verdict), real);
        seen[r.verdict]++;
    }
    assert_true(seen[TRACE_PROTECT] > 100 && seen[TRACE_CLEAR] > 100 && seen[TRACE_DROP] > 100);
    esp_path_close(&path);
    world_close(w);
}

static void the_answer_is_text_or_json_and_never_has_a_key(void **state)
{
    (void)state;
    struct world *w = world_registered(26);
    static const struct datapath_counter counters[DP_COUNTER_COUNT];
    struct status_view view = {
        .agent = &w->agent, .counters = counters, .backend = "user", .now_ms = w->now_ms};
    bool json = true;
    view.line = " trace  lan icmp 192.168.13.9 192.168.14.7 ";
    assert_int_equal(status_parse(view.line, &json), STATUS_TRACE);
    assert_false(json);
    status_text(&view, STATUS_TRACE, answer, sizeof(answer));
    assert_non_null(strstr(answer,
                           "Packet : icmp 192.168.13.9 -> 192.168.14.7, 100 octets, clear, from the LAN\n"
                           "  1. registration : "));
    assert_non_null(strstr(answer, "Verdict: protected, leaves "));
    view.line = "trace wan icmp 192.168.14.7 192.168.13.9 json";
    assert_int_equal(status_parse(view.line, &json), STATUS_TRACE);
    assert_true(json);
    status_json(&view, STATUS_TRACE, answer, sizeof(answer));
    json_t *root = json_loads(answer, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "dropped");
    assert_string_equal(json_string_value(json_object_get(root, "counter")),
                        datapath_counter_name(DP_NOT_IPSEC));
    assert_true(json_array_size(json_object_get(root, "steps")) >= 3);
    json_decref(root);
    view.line = "trace wan icmp";
    status_text(&view, STATUS_TRACE, answer, sizeof(answer));
    assert_string_equal(answer, "% trace: source and destination are addresses of one family\n");
    world_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_strictly),
        cmocka_unit_test(a_protected_packet_is_followed_to_the_wan),
        cmocka_unit_test(ipv6_packets_are_followed_alike),
        cmocka_unit_test(what_would_be_dropped_names_its_counter),
        cmocka_unit_test(before_the_first_registration_the_door_is_closed_or_open_by_choice),
        cmocka_unit_test(local_entries_and_the_direction_are_told),
        cmocka_unit_test(the_verdict_is_that_of_the_packet_path),
        cmocka_unit_test(the_answer_is_text_or_json_and_never_has_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

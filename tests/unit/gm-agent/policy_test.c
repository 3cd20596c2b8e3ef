/* Policy: what an ordered list says, and that the compiled form says the same. */
#include "esp_side.h"
#include "gm-agent/policy.h"

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
enum { LISTS = 1000, PACKETS = 2000 };
#else
enum { LISTS = 200, PACKETS = 5000 }; /* 10^6 either way */
#endif

static struct ip_packet decoded(uint8_t *raw, const char *src, const char *dst, uint8_t protocol,
                                uint16_t from, uint16_t to)
{
    struct ip_packet p;
    assert_ok(ip_packet_decode(&p, packet(raw, src, dst, protocol, from, to, 60)));
    return p;
}

static struct policy_list list_of(const struct selector *denies, size_t deny_count,
                                  const struct selector *selectors, size_t count)
{
    struct policy_list list;
    assert_ok(policy_list_build(&list, denies, deny_count, selectors, count));
    return list;
}

static void the_first_entry_that_matches_decides(void **state)
{
    (void)state;
    struct selector protect[] = {selector("10.0.0.0/8", "10.0.0.0/8")};
    struct selector deny[] = {selector("10.0.0.0/8", "10.9.0.0/16")};
    struct policy_list list = list_of(deny, 1, protect, 1);
    uint8_t raw[CAP];
    const struct {
        const char *src, *dst;
        enum policy_action action;
    } cases[] = {
        {"10.1.1.1", "10.2.2.2", POLICY_PROTECT},
        {"10.1.1.1", "10.9.2.2", POLICY_CLEAR},
        {"10.9.1.1", "10.2.2.2", POLICY_PROTECT},
        {"11.1.1.1", "10.2.2.2", POLICY_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_packet p = decoded(raw, cases[i].src, cases[i].dst, 6, 1, 2);
        assert_int_equal(policy_interpret(&list, &p).action, cases[i].action);
    }
}

static void families_are_told_apart(void **state)
{
    (void)state;
    struct selector protect[] = {selector("2001:db8::/32", "2001:db8::/32"),
                                 selector("0.0.0.0/0", "0.0.0.0/0")};
    struct selector deny[] = {selector("::/0", "2001:db8:9::/48")};
    struct policy_list list = list_of(deny, 1, protect, 2);
    static struct policy_program program;
    uint8_t raw[CAP];
    const struct {
        const char *src, *dst;
        enum policy_action action;
    } cases[] = {
        {"2001:db8:1::1", "2001:db8:2::2", POLICY_PROTECT}, {"2001:db8:1::1", "2001:db8:9::2", POLICY_CLEAR},
        {"2001:db9:1::1", "2001:db8:2::2", POLICY_NONE},    {"10.1.1.1", "10.2.2.2", POLICY_PROTECT},
        {"::0a01:0101", "::0a02:0202", POLICY_NONE}, /* the octets of the one before */
    };
    policy_compile(&list, &program);
    assert_int_equal(program.unreachable, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_packet p = decoded(raw, cases[i].src, cases[i].dst, 6, 1, 2);
        assert_int_equal(policy_interpret(&list, &p).action, cases[i].action);
        assert_int_equal(policy_run(&program, &p).action, cases[i].action);
    }
}

static void key_management_always_passes(void **state)
{
    (void)state;
    struct selector all[] = {selector("0.0.0.0/0", "0.0.0.0/0")};
    struct policy_list list = list_of(NULL, 0, all, 1);
    struct policy_program program;
    uint8_t raw[CAP];
    static const uint16_t ports[] = {848, 500, 4500};
    policy_compile(&list, &program);
    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct ip_packet to = decoded(raw, "10.1.1.1", "10.2.2.2", 17, 5555, ports[i]);
        assert_int_equal(policy_run(&program, &to).action, POLICY_CLEAR);
        struct ip_packet from = decoded(raw, "10.1.1.1", "10.2.2.2", 17, ports[i], 5555);
        assert_int_equal(policy_run(&program, &from).action, POLICY_CLEAR);
        struct ip_packet tcp = decoded(raw, "10.1.1.1", "10.2.2.2", 6, 5555, ports[i]);
        assert_int_equal(policy_run(&program, &tcp).action, POLICY_PROTECT);
    }
}

static void a_later_fragment_is_rather_protected_than_in_clear(void **state)
{
    (void)state;
    struct selector protect[] = {selector("10.0.0.0/8", "10.0.0.0/8")};
    struct selector deny[] = {selector("10.0.0.0/8", "10.0.0.0/8")};
    uint8_t raw[CAP];
    deny[0].protocol = 17;
    deny[0].dst_port = 53;
    struct policy_list list = list_of(deny, 1, protect, 1);
    struct ip_packet p = decoded(raw, "10.1.1.1", "10.2.2.2", 17, 1, 53);
    assert_int_equal(policy_interpret(&list, &p).action, POLICY_CLEAR);
    p.first_fragment = p.has_ports = false;
    assert_int_equal(policy_interpret(&list, &p).action, POLICY_PROTECT);
}

static void what_a_peer_protects_is_understood_behind_a_local_deny(void **state)
{
    (void)state;
    struct selector protect[] = {selector("10.0.0.0/8", "10.0.0.0/8")};
    struct policy_list list = list_of(protect, 1, protect, 1);
    struct policy_program program;
    uint8_t raw[CAP];
    policy_compile(&list, &program);
    struct ip_packet p = decoded(raw, "10.1.1.1", "10.2.2.2", 6, 1, 2);
    assert_int_equal(policy_run(&program, &p).action, POLICY_CLEAR);
    assert_true(policy_may_protect(&program, &p));
}

static void a_back_end_says_what_it_cannot_do(void **state)
{
    (void)state;
    struct selector six = {0}, multicast = selector("10.0.0.0/8", "239.1.1.0/24");
    assert_ok(prefix_parse(&six.src, "2001:db8::/32"));
    assert_ok(prefix_parse(&six.dst, "2001:db8::/32"));
    const char *why = NULL;
    size_t entry = 0;
    struct policy_ability none = {.entries_max = POLICY_ENTRY_MAX};
    struct policy_list list = list_of(NULL, 0, &six, 1);
    assert_err(policy_check(&list, &none, &why, &entry), E_UNSUPPORTED);
    assert_non_null(strstr(why, "IPv6"));
    assert_int_equal(entry, POLICY_CONTROL_MAX);
    none.ipv6 = true;
    assert_ok(policy_check(&list, &none, &why, &entry));
    assert_ok(prefix_parse(&six.dst, "ff05::/16"));
    none.multicast = true;
    list = list_of(NULL, 0, &six, 1);
    assert_err(policy_check(&list, &none, &why, &entry), E_UNSUPPORTED);
    assert_non_null(strstr(why, "IPv6 multicast"));
    none.multicast = false;
    list = list_of(NULL, 0, &multicast, 1);
    assert_err(policy_check(&list, &none, &why, &entry), E_UNSUPPORTED);
    assert_non_null(strstr(why, "multicast"));
    none.multicast = true;
    none.entries_max = POLICY_CONTROL_MAX;
    assert_err(policy_check(&list, &none, &why, &entry), E_UNSUPPORTED);
    assert_err(policy_list_build(&list, &six, POLICY_LOCAL_MAX + 1, NULL, 0), E_LIMIT);
}

static uint32_t draw_state = 1;

static uint32_t draw(uint32_t bound)
{
    draw_state ^= draw_state << 13;
    draw_state ^= draw_state >> 17;
    draw_state ^= draw_state << 5;
    return draw_state % bound;
}

/* Few different values, so that entries meet each other and the packets. */
static struct addr draw_addr(bool six)
{
    if (!six)
        return addr_v4(10, (uint8_t)draw(3), (uint8_t)draw(3), (uint8_t)draw(4));
    struct addr addr = {.family = AF_INET6, .bytes = {0x20, 0x01, 0x0d, 0xb8}};
    addr.bytes[5] = (uint8_t)draw(3);
    addr.bytes[7] = (uint8_t)draw(2);
    addr.bytes[8] = (uint8_t)(draw(2) << 7);
    addr.bytes[15] = (uint8_t)draw(4);
    return addr;
}

static struct prefix draw_prefix(bool six)
{
    static const uint8_t lengths[] = {0, 8, 15, 16, 23, 24, 31, 32};
    static const uint8_t lengths6[] = {0, 16, 32, 47, 48, 63, 64, 65, 96, 127, 128};
    struct prefix p = {.addr = draw_addr(six)};
    p.bits = six ? lengths6[draw(ARRAY_LEN(lengths6))] : lengths[draw(ARRAY_LEN(lengths))];
    uint8_t mask[16];
    prefix_mask(&p, mask);
    for (unsigned i = 0; i < 16; i++)
        p.addr.bytes[i] &= mask[i];
    return p;
}

static uint16_t draw_port(void)
{
    static const uint16_t ports[] = {0, 53, 80, 848, 4500};
    return ports[draw(ARRAY_LEN(ports))];
}

static struct policy_list draw_list(void)
{
    static const uint8_t protocols[] = {0, 1, 6, 17, 132};
    struct selector none = {0};
    struct policy_list list = list_of(&none, 0, NULL, 0);
    size_t count = draw(40);
    if (draw(4) == 0)
        list.count = 0; /* also without the control entries */
    for (size_t i = 0; i < count; i++) {
        struct policy_entry *e = &list.entries[list.count++];
        memset(e, 0, sizeof(*e));
        bool six = draw(2) != 0;
        e->match.src = draw_prefix(six);
        e->match.dst = draw_prefix(six);
        if (draw(16) == 0)
            e->match.src = (struct prefix){0}; /* any address, of the other end's family */
        e->match.protocol = protocols[draw(ARRAY_LEN(protocols))];
        if (e->match.protocol > 1) {
            e->match.src_port = draw_port();
            e->match.dst_port = draw_port();
        }
        e->action = draw(2) ? POLICY_PROTECT : POLICY_CLEAR;
        e->origin = POLICY_OF_GROUP;
    }
    return list;
}

static struct ip_packet draw_packet(void)
{
    static const uint8_t protocols[] = {1, 6, 17, 47, 132};
    struct ip_packet p = {.protocol = protocols[draw(ARRAY_LEN(protocols))], .first_fragment = draw(8) != 0};
    bool six = draw(2) != 0;
    p.src = draw_addr(six);
    p.dst = draw_addr(six);
    p.has_ports = p.first_fragment && p.protocol != 1 && p.protocol != 47 && draw(16) != 0;
    p.src_port = p.has_ports ? draw_port() : 0;
    p.dst_port = p.has_ports ? draw_port() : 0;
    return p;
}

static bool any_protects(const struct policy_list *list, const struct ip_packet *p)
{
    struct policy_list one = {.count = 1};
    for (size_t i = 0; i < list->count; i++) {
        one.entries[0] = list->entries[i];
        if (policy_interpret(&one, p).action == POLICY_PROTECT)
            return true;
    }
    return false;
}

static void the_compiled_policy_and_the_plain_reading_agree_on_a_million_packets(void **state)
{
    (void)state;
    static struct policy_program program;
    size_t unreachable = 0, seen[3] = {0};
    for (unsigned n = 0; n < LISTS; n++) {
        struct policy_list list = draw_list();
        policy_compile(&list, &program);
        unreachable += program.unreachable;
        for (unsigned i = 0; i < PACKETS; i++) {
            struct ip_packet p = draw_packet();
            struct policy_verdict plain = policy_interpret(&list, &p), fast = policy_run(&program, &p);
            if (plain.action != fast.action || plain.entry != fast.entry)
                fail_msg("list %u, packet %u: entry %u, compiled %u", n, i, plain.entry, fast.entry);
            assert_int_equal(policy_may_protect(&program, &p), any_protects(&list, &p));
            seen[plain.action]++;
        }
    }
    assert_true(unreachable > LISTS); /* the lists were not trivial, and every verdict was there */
    assert_true(seen[POLICY_NONE] > 1000 && seen[POLICY_PROTECT] > 1000 && seen[POLICY_CLEAR] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_entry_that_matches_decides),
        cmocka_unit_test(families_are_told_apart),
        cmocka_unit_test(key_management_always_passes),
        cmocka_unit_test(a_later_fragment_is_rather_protected_than_in_clear),
        cmocka_unit_test(what_a_peer_protects_is_understood_behind_a_local_deny),
        cmocka_unit_test(a_back_end_says_what_it_cannot_do),
        cmocka_unit_test(the_compiled_policy_and_the_plain_reading_agree_on_a_million_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

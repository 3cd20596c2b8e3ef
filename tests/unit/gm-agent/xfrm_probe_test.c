/* Which probes are ours and what they show, and that no sender id is used twice with a key. */
#include "gm-agent/xfrm_probe.h"

#include "tests/unit/gm-agent/xfrm_fixture.h"

enum { PACKET_LEN = 20 + 8 + 8 + 4 };

static struct fixture f;
static struct xfrm_ledger ledger;
static uint8_t packet[PACKET_LEN];

static int setup(void **state)
{
    /* IPv4, ESP; SPI 0x1000, number 1, IV 5a b1 23 45 ... */
    static const uint8_t head[] = {0x45, 0,   0,  PACKET_LEN, 0, 0,   0,    0,    64,   50,  0,
                                   0,    100, 64, 1,          1, 100, 127,  0,    2,    0,   0,
                                   0x10, 0,   0,  0,          0, 1,   0x5a, 0xb1, 0x23, 0x45};
    (void)state;
    fixture_init(&f);
    memset(&ledger, 0, sizeof(ledger));
    memset(packet, 0, sizeof(packet));
    memcpy(packet, head, sizeof(head));
    return 0;
}

static bool read_it(size_t len, uint32_t spi, uint16_t bits, uint32_t *sid)
{
    return xfrm_probe_read((struct bytes){packet, len}, spi, bits, sid);
}

static void the_first_bits_of_the_iv_are_the_sender_id(void **state)
{
    uint32_t sid;
    (void)state;
    assert_true(read_it(PACKET_LEN, 0x1000, 8, &sid));
    assert_int_equal(sid, 0x5a);
    assert_true(read_it(PACKET_LEN, 0x1000, 12, &sid));
    assert_int_equal(sid, 0x5ab);
    assert_true(read_it(PACKET_LEN, 0x1000, 16, &sid));
    assert_int_equal(sid, 0x5ab1);
}

static void packets_of_others_are_passed_over(void **state)
{
    uint32_t sid;
    (void)state;
    assert_false(read_it(PACKET_LEN, 0x1001, 8, &sid)); /* another key */
    assert_false(read_it(PACKET_LEN, 0x1000, 0, &sid));
    assert_false(read_it(PACKET_LEN, 0x1000, 33, &sid));
    packet[9] = 17;
    assert_false(read_it(PACKET_LEN, 0x1000, 8, &sid));
    packet[9] = 50;
    packet[0] = 0x60; /* IPv6 */
    assert_false(read_it(PACKET_LEN, 0x1000, 8, &sid));
    packet[0] = 0x44; /* a header shorter than one */
    assert_false(read_it(PACKET_LEN, 0x1000, 8, &sid));
    packet[0] = 0x4f; /* and one longer than the packet */
    assert_false(read_it(PACKET_LEN, 0x1000, 8, &sid));
}

static void a_short_packet_shows_nothing(void **state)
{
    uint32_t sid;
    (void)state;
    for (size_t len = 0; len < 20 + 8 + 8; len++)
        assert_false(read_it(len, 0x1000, 8, &sid));
    assert_true(read_it(20 + 8 + 8, 0x1000, 8, &sid));
}

static void options_of_the_header_are_stepped_over(void **state)
{
    uint32_t sid;
    (void)state;
    memmove(packet + 24, packet + 20, 16);
    packet[0] = 0x46;
    assert_true(read_it(PACKET_LEN, 0x1000, 8, &sid));
    assert_int_equal(sid, 0x5a);
}

static void the_probe_address_follows_the_anchor(void **state)
{
    uint8_t address[4];
    (void)state;
    xfrm_probe_address(&f.site, address);
    assert_memory_equal(address, ((uint8_t[]){100, 127, 0, 2}), 4);
    memcpy(f.site.anchor, (uint8_t[]){100, 127, 255, 255}, 4);
    xfrm_probe_address(&f.site, address);
    assert_memory_equal(address, ((uint8_t[]){100, 128, 0, 0}), 4);
}

static void the_probe_policy_is_ours_and_comes_first(void **state)
{
    struct xfrm_plan plan;
    (void)state;
    struct xfrm_policy policy = xfrm_probe_policy(&f.site, 0x1000);
    assert_true(xfrm_plan_owns_policy(&f.site, &policy)); /* so the next start removes what was left */
    assert_true(xfrm_probe_is_policy(&f.site, &policy));
    assert_int_equal(policy.tmpl_spi, 0x1000);
    assert_ok(xfrm_plan_make(&plan, &f.site, &f.state));
    for (size_t i = 0; i < plan.policy_count; i++) {
        assert_true(policy.priority < plan.policies[i].priority);
        assert_false(xfrm_probe_is_policy(&f.site, &plan.policies[i]));
    }
    xfrm_plan_close(&plan);
}

static void a_sender_id_is_used_once_with_a_key(void **state)
{
    static const uint32_t sids[] = {7, 9};
    (void)state;
    assert_int_equal(xfrm_ledger_left(&ledger, 0x1000, sids, 2), 2);
    assert_false(xfrm_ledger_has_key(&ledger, 0x1000));
    assert_ok(xfrm_ledger_add(&ledger, 0x1000, 7));
    assert_ok(xfrm_ledger_add(&ledger, 0x1000, 7)); /* the same fact again */
    assert_true(xfrm_ledger_has(&ledger, 0x1000, 7));
    assert_true(xfrm_ledger_has_key(&ledger, 0x1000));
    assert_false(xfrm_ledger_has(&ledger, 0x1001, 7)); /* another key: the id may come again */
    assert_int_equal(xfrm_ledger_left(&ledger, 0x1000, sids, 2), 1);
    assert_ok(xfrm_ledger_add(&ledger, 0x1000, 9));
    assert_int_equal(xfrm_ledger_left(&ledger, 0x1000, sids, 2), 0);
    assert_int_equal(xfrm_ledger_left(&ledger, 0x1001, sids, 2), 2);
}

static void the_ledger_forgets_keys_that_are_gone_and_no_others(void **state)
{
    (void)state;
    assert_ok(xfrm_ledger_add(&ledger, 0x0fff, 7));
    assert_ok(xfrm_ledger_add(&ledger, 0x1000, 7));
    xfrm_ledger_prune(&ledger, &f.state);
    assert_false(xfrm_ledger_has_key(&ledger, 0x0fff));
    assert_true(xfrm_ledger_has(&ledger, 0x1000, 7));
}

static void a_full_ledger_lets_nobody_send(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < XFRM_LEDGER_MAX; i++)
        assert_ok(xfrm_ledger_add(&ledger, 0x1000, i));
    assert_err(xfrm_ledger_add(&ledger, 0x1000, XFRM_LEDGER_MAX), E_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_bits_of_the_iv_are_the_sender_id, setup),
        cmocka_unit_test_setup(packets_of_others_are_passed_over, setup),
        cmocka_unit_test_setup(a_short_packet_shows_nothing, setup),
        cmocka_unit_test_setup(options_of_the_header_are_stepped_over, setup),
        cmocka_unit_test_setup(the_probe_address_follows_the_anchor, setup),
        cmocka_unit_test_setup(the_probe_policy_is_ours_and_comes_first, setup),
        cmocka_unit_test_setup(a_sender_id_is_used_once_with_a_key, setup),
        cmocka_unit_test_setup(the_ledger_forgets_keys_that_are_gone_and_no_others, setup),
        cmocka_unit_test_setup(a_full_ledger_lets_nobody_send, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Packets shared out among sockets: each to one, and what must keep its order to the same. The filters run in
 * the kernel, here on a pair of local sockets, which show them the same octets as a raw one. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "esp_side.h"
#include "gm-agent/datapath_user_lane.h"
#include "gm-agent/shard.h"

enum { COUNT = 4, LEN = 60, SID_BITS = 12 };

static bool six; /* sockets of IPv6 */

static size_t taken_by(enum shard_key key, const uint8_t *packet_octets)
{
    size_t by = COUNT;
    for (size_t i = 0; i < COUNT; i++) {
        int pair[2];
        uint8_t got[LEN];
        assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
        struct shard shard = {key, SID_BITS, i, COUNT};
        assert_ok(shard_attach(pair[1], six ? AF_INET6 : AF_INET, &shard));
        (void)!send(pair[0], packet_octets, LEN, 0); /* refused by the filter is an error or nothing */
        if (recv(pair[1], got, sizeof(got), 0) == LEN) {
            assert_int_equal(by, COUNT); /* one alone */
            by = i;
        }
        close(pair[0]);
        close(pair[1]);
    }
    assert_true(by < COUNT);
    return by;
}

static void fill(uint8_t *out, uint8_t src, uint8_t dst, uint32_t sid, uint8_t rest)
{
    memset(out, rest, LEN);
    out[0] = 0x45;
    out[12] = out[16] = 192;
    out[13] = out[17] = 168;
    out[14] = out[18] = 1;
    out[15] = src;
    out[19] = dst;
    out[28] = (uint8_t)(sid >> 4);
    out[29] = (uint8_t)(sid << 4 | (rest & 15));
}

static void each_packet_goes_to_one_and_flows_spread(void **state)
{
    (void)state;
    uint8_t p[LEN];
    bool seen[3][COUNT] = {{false}};
    for (unsigned i = 0; i < 24; i++) {
        fill(p, (uint8_t)i, (uint8_t)(100 - i), i, 7);
        for (unsigned key = SHARD_HOSTS; key <= SHARD_SID; key++)
            seen[key][taken_by((enum shard_key)key, p)] = true;
    }
    for (unsigned key = 0; key < 3; key++)
        for (size_t i = 0; i < COUNT; i++)
            assert_true(seen[key][i]);
}

static void what_keeps_its_order_goes_the_same_way(void **state)
{
    (void)state;
    uint8_t p[LEN];
    for (unsigned i = 0; i < 8; i++) {
        fill(p, 10, 20, 0xabc, (uint8_t)i);
        size_t hosts = taken_by(SHARD_HOSTS, p), source = taken_by(SHARD_SOURCE, p),
               sid = taken_by(SHARD_SID, p);
        fill(p, 10, 20, 0xabc, (uint8_t)(i + 100)); /* another payload, sequence number and time */
        assert_int_equal(taken_by(SHARD_HOSTS, p), hosts);
        fill(p, 10, (uint8_t)(i + 30), i, 3);
        assert_int_equal(taken_by(SHARD_SOURCE, p), source);
        fill(p, (uint8_t)(i + 50), (uint8_t)(i + 30), 0xabc, 4);
        assert_int_equal(taken_by(SHARD_SID, p), sid);
        assert_int_equal(sid, 0xabc % COUNT);
    }
}

static void options_in_front_of_esp_are_stepped_over(void **state)
{
    (void)state;
    uint8_t p[LEN] = {0x46};
    p[32] = 0x12; /* IP header of 24 octets, ESP header of 8, then the IV */
    p[33] = 0x30;
    assert_int_equal(taken_by(SHARD_SID, p), 0x123 % COUNT);
}

static void ipv6_is_shared_out_too(void **state)
{
    (void)state;
    uint8_t p[LEN] = {0x60};
    bool seen[2][COUNT] = {{false}};
    six = true;
    for (unsigned i = 0; i < 48; i++) { /* two sites, several hosts: subnet and host differ */
        p[8] = p[24] = 0xfd;
        p[8 + 7] = (uint8_t)(i % 3);
        p[8 + 15] = (uint8_t)(i / 3);
        p[24 + 15] = 9;
        seen[0][taken_by(SHARD_HOSTS, p)] = true;
        size_t source = taken_by(SHARD_SOURCE, p);
        seen[1][source] = true;
        p[24 + 15] = 77;
        assert_int_equal(taken_by(SHARD_SOURCE, p), source);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_true(seen[0][i] && seen[1][i]);
    memset(p, 0, sizeof(p)); /* a raw socket of IPv6 gives ESP alone */
    p[8] = 0x12;
    p[9] = 0x3f;
    assert_int_equal(taken_by(SHARD_SID, p), 0x123 % COUNT);
    six = false;
}

static void before_there_is_a_key_nothing_is_taken(void **state)
{
    (void)state;
    int pair[2];
    uint8_t p[LEN] = {0x45}, got[LEN];
    struct shard none = {.key = SHARD_NOTHING, .count = 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_ok(shard_attach(pair[1], AF_INET, &none));
    (void)!send(pair[0], p, LEN, 0);
    assert_int_equal(recv(pair[1], got, sizeof(got), 0), -1);
    close(pair[0]);
    close(pair[1]);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const struct shard wrong[] = {
        {SHARD_SID, 0, 0, 2}, {SHARD_SID, 33, 0, 2}, {SHARD_HOSTS, 0, 2, 2}, {SHARD_HOSTS, 0, 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(shard_attach(-1, AF_INET, &wrong[i]), E_RANGE);
    struct shard fine = {SHARD_HOSTS, 0, 0, 2};
    assert_int_equal(shard_attach(-1, AF_INET, &fine), E_IO);
}

static void lanes_send_by_sender_ids_of_their_own(void **state)
{
    (void)state;
    struct group g = group_gcm();
    static const uint32_t sids[] = {7, 3, 7, 9, 12, 3, 1}; /* 7 and 3 named twice */
    struct datapath_state whole = {
        .out = &g.teks[0], .in = {&g.teks[0]}, .in_count = 1, .sid_bits = 12, .sids = sids, .sid_count = 7};
    unsigned times[16] = {0};
    assert_int_equal(user_lane_senders(&whole, 2), 2);
    assert_int_equal(user_lane_senders(&whole, 8), 5);
    for (size_t lane = 0; lane < 8; lane++) {
        struct datapath_state part;
        uint32_t own[POLICY_SID_MAX];
        user_lane_part(&whole, lane, 3, &part, own);
        assert_int_equal(part.out != NULL, lane < 3);
        assert_int_equal(part.sid_count != 0, lane < 3);
        assert_int_equal(part.in_count, 1);
        assert_int_equal(part.sid_bits, 12);
        for (size_t i = 0; i < part.sid_count; i++)
            times[part.sids[i]]++;
    }
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(times[i], i == 7 || i == 3 || i == 9 || i == 12 || i == 1);
}

static void keys_without_sender_ids_have_one_sender(void **state)
{
    (void)state;
    struct group g = group_cbc();
    struct datapath_state whole = {.out = &g.teks[0], .in = {&g.teks[0]}, .in_count = 1}, part;
    uint32_t own[POLICY_SID_MAX];
    assert_int_equal(user_lane_senders(&whole, 8), 1);
    user_lane_part(&whole, 0, 1, &part, own);
    assert_non_null(part.out);
    user_lane_part(&whole, 1, 1, &part, own);
    assert_null(part.out);
    whole.out = NULL;
    assert_int_equal(user_lane_senders(&whole, 8), 1);
    struct group counts = group_gcm();
    whole.out = &counts.teks[0]; /* and no sender id: nobody can, the first says so */
    assert_int_equal(user_lane_senders(&whole, 8), 1);
}

static void received_packets_keep_the_order_of_their_sender(void **state)
{
    (void)state;
    struct group gcm = group_gcm(), cbc = group_cbc();
    uint16_t bits = 0;
    struct datapath_state whole = {.in = {&gcm.teks[0], &cbc.teks[0]}, .in_count = 1, .sid_bits = 12};
    assert_int_equal(user_lane_key(&whole, 0, &bits), SHARD_HOSTS);
    assert_int_equal(user_lane_key(&whole, 64, &bits), SHARD_SID);
    assert_int_equal(bits, 12);
    whole.in_count = 2;
    assert_int_equal(user_lane_key(&whole, 64, &bits), SHARD_SOURCE);
    whole.in_count = 1;
    whole.sid_bits = 0;
    assert_int_equal(user_lane_key(&whole, 64, &bits), SHARD_SOURCE);
    whole.in_count = 0;
    whole.sid_bits = 12;
    assert_int_equal(user_lane_key(&whole, 64, &bits), SHARD_SOURCE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_goes_to_one_and_flows_spread),
        cmocka_unit_test(what_keeps_its_order_goes_the_same_way),
        cmocka_unit_test(options_in_front_of_esp_are_stepped_over),
        cmocka_unit_test(ipv6_is_shared_out_too),
        cmocka_unit_test(before_there_is_a_key_nothing_is_taken),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(lanes_send_by_sender_ids_of_their_own),
        cmocka_unit_test(keys_without_sender_ids_have_one_sender),
        cmocka_unit_test(received_packets_keep_the_order_of_their_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

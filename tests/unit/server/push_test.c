/* push_test.c - one rekey to many: pacing, loss, silence, joiners; the run alone, without the core around it.
 */
#include "server/rekey_push.h"
#include "tests/unit/server/member.h"

enum { MANY = 3000 };

static const uint64_t seed[2] = {9, 10};

/* A group that is pushing to 'count' members at 10.2.0.0/16. */
struct many {
    struct rig *rig;
    struct push_run *run;
    struct push_ack_key key;
    struct rng_seeded dice_state;
    struct rng dice;
    size_t limit; /* of one send_many */
    size_t datagrams[MANY];
    size_t calls;
    size_t largest;
};

static struct endpoint at(size_t i)
{
    return (struct endpoint){addr_v4(10, 2, (uint8_t)(i >> 8), (uint8_t)i), 848};
}

static size_t take(void *context, const struct addr *local, struct bytes datagram, const struct endpoint *to,
                   size_t count)
{
    struct many *m = context;
    assert_int_equal(local->bytes[0], 10);
    assert_true(datagram.len > ISAKMP_HEADER_LEN);
    if (m->limit != 0 && count > m->limit)
        count = m->limit;
    for (size_t i = 0; i < count; i++) {
        size_t n = (size_t)to[i].addr.bytes[2] << 8 | to[i].addr.bytes[3];
        assert_true(n < MANY);
        m->datagrams[n]++;
    }
    m->calls++;
    if (count > m->largest)
        m->largest = count;
    return count;
}

static void register_one(struct rig *rig, size_t i, uint32_t seq)
{
    struct endpoint endpoint = at(i);
    struct command command = {.type = CMD_MEMBER_REGISTERED,
                              .time_ms = rig_wall(rig),
                              .u.member_registered = {.group_id = rig_g1(rig)->record.id,
                                                      .identity = identity_from_addr(&endpoint.addr),
                                                      .endpoint = endpoint,
                                                      .offered_generation = rig_g1(rig)->record.generation,
                                                      .offered_seq = seq}};
    size_t before = rig->applied[CMD_MEMBER_REGISTERED];
    rig_apply(rig, &command, NULL, NULL);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], before + 1);
}

static void many_open(struct many *m, size_t count)
{
    struct kek under;
    memset(m, 0, sizeof(*m));
    m->rig = rig_ready();
    m->dice = rng_seeded_init(&m->dice_state, 77);
    for (size_t i = 0; i < count; i++)
        register_one(m->rig, i, 0);
    m->rig->many_limit = 1; /* the core's own run gets nowhere: this test has one of its own */
    assert_ok(core_rekey(m->rig->core, "G1", NULL, NULL));
    rig_settle(m->rig);
    assert_true(rig_g1(m->rig)->pushing);
    assert_ok(ks_kek_open(&m->rig->state, rig_g1(m->rig), &rig_g1(m->rig)->record.kek, &m->rig->wrap,
                          rig_wall(m->rig), &under));
    assert_ok(push_ack_key_derive(&m->key, &under));
    assert_ok(push_run_open(&m->run, rig_g1(m->rig), &under, seed, m->rig->mono_ms));
    secret_close(&under.iv_key);
    assert_int_equal(m->run->count, count);
}

static void many_close(struct many *m)
{
    push_run_free(m->run);
    push_ack_key_close(&m->key);
    rig_free(m->rig);
}

static void step(struct many *m)
{
    struct push_sink sink = {m, take};
    push_run_step(m->run, &sink, m->rig->mono_ms);
}

/* Until the run says over, or the time is up. */
static void steps(struct many *m, uint64_t ms)
{
    uint64_t end = m->rig->mono_ms + ms;
    step(m);
    while (m->run->phase != PUSH_OVER && m->run->next_ms <= end) {
        if (m->run->next_ms > m->rig->mono_ms)
            m->rig->mono_ms = m->run->next_ms;
        step(m);
    }
    m->rig->mono_ms = m->run->phase == PUSH_OVER ? m->rig->mono_ms : end;
}

static err_t ack(struct many *m, size_t i)
{
    uint8_t buf[PUSH_ACK_LEN_MAX];
    struct push_ack decoded;
    struct endpoint from = at(i);
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(push_ack_build(&m->key, m->run->seq, &from.addr, false, &w));
    assert_ok(push_ack_decode(&decoded, writer_bytes(&w)));
    return push_run_ack(m->run, &from, &decoded, writer_bytes(&w), m->rig->mono_ms);
}

static bool lost(struct many *m, unsigned percent)
{
    uint8_t dice[2];
    assert_ok(rng_fill(&m->dice, dice, sizeof(dice)));
    return (unsigned)(dice[0] << 8 | dice[1]) % 100 < percent;
}

static void everyone_gets_one_datagram_in_paced_batches(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, MANY);
    uint64_t begun = m.rig->mono_ms;
    steps(&m, 100);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(m.datagrams[i], 1);
    assert_int_equal(m.calls, (MANY + PUSH_BATCH - 1) / PUSH_BATCH);
    assert_true(m.largest <= PUSH_BATCH);
    assert_true(m.run->last_wait_ms >= PUSH_WAIT_MS);
    assert_true(m.rig->mono_ms - begun <= 100);
    many_close(&m);
}

static void loss_both_ways_is_made_good_by_repeats(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, MANY);
    for (int round = 0; round <= 2 && m.run->phase != PUSH_OVER; round++) {
        size_t before[MANY];
        memcpy(before, m.datagrams, sizeof(before));
        steps(&m, round == 0 ? 100 : 10000);
        for (size_t i = 0; i < MANY; i++) {
            assert_true(m.datagrams[i] - before[i] <= 1);
            if (m.datagrams[i] == before[i] || lost(&m, 5) || lost(&m, 5))
                continue; /* not sent; it, or its acknowledgement, lost */
            assert_ok(ack(&m, i));
        }
    }
    struct identity *silent;
    size_t count;
    steps(&m, 15000);
    assert_int_equal(m.run->phase, PUSH_OVER);
    assert_ok(push_run_silent(m.run, &silent, &count));
    assert_int_equal(m.run->acked + count, MANY);
    assert_true(count < MANY / 100); /* 0.1 cubed of 3000 is 3 */
    for (size_t i = 0; i < count; i++)
        assert_int_equal(silent[i].type, ID_IPV4_ADDR);
    assert_true(m.run->retransmits > 0);
    free(silent);
    many_close(&m);
}

static void all_acknowledged_is_over_at_once(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, 50);
    steps(&m, 10);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(m.run->phase == PUSH_OVER, false);
        assert_ok(ack(&m, i));
    }
    assert_int_equal(m.run->phase, PUSH_OVER);
    assert_err(ack(&m, 7), E_DUPLICATE);
    many_close(&m);
}

static void a_slow_socket_misses_nobody(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, MANY);
    m.limit = 17;
    steps(&m, 9000);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(m.datagrams[i], 1);
    many_close(&m);
}

static void who_registers_meanwhile_gets_it_if_told_before_and_not_else(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, 10);
    steps(&m, 10);
    struct endpoint five = at(5), new = at(2000);
    struct ks_member member = {
        .record = {.identity = identity_from_addr(&five.addr), .endpoint = five, .seq_base = m.run->seq}};
    assert_ok(push_run_member(m.run, &member, m.rig->mono_ms)); /* knows the new keys from its PULL */
    member.record.identity = identity_from_addr(&new.addr);
    member.record.endpoint = new;
    member.record.seq_base = m.run->seq - 1;
    assert_ok(push_run_member(m.run, &member, m.rig->mono_ms));
    steps(&m, 10);
    assert_int_equal(m.datagrams[2000], 1);
    steps(&m, 10001);
    assert_int_equal(m.datagrams[5], 1);
    assert_int_equal(m.datagrams[6], 2);
    assert_int_equal(m.datagrams[2000], 2);
    struct identity *silent;
    size_t count;
    steps(&m, 60000);
    assert_ok(push_run_silent(m.run, &silent, &count));
    assert_int_equal(count, 10); /* the ten less the fifth, and the new one */
    free(silent);
    many_close(&m);
}

static void a_member_that_moved_is_reached_where_it_is(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, 10);
    steps(&m, 10);
    struct endpoint five = at(5), moved = at(2500);
    struct ks_member member = {.record = {.identity = identity_from_addr(&five.addr), .endpoint = moved}};
    assert_ok(push_run_member(m.run, &member, m.rig->mono_ms));
    steps(&m, 10);
    assert_int_equal(m.datagrams[2500], 1);
    assert_err(ack(&m, 5), E_NOT_FOUND); /* nobody is there any more */
    steps(&m, 10001);
    assert_int_equal(m.datagrams[5], 1);
    many_close(&m);
}

static void members_behind_one_address_are_told_apart_by_identity(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, 2);
    struct endpoint nat = {addr_v4(10, 2, 7, 7), 4001};
    struct ks_member inner = {.record = {.endpoint = nat}};
    for (uint8_t i = 1; i <= 3; i++) {
        struct addr private = addr_v4(192, 168, 0, i);
        inner.record.identity = identity_from_addr(&private);
        inner.record.endpoint.port = (uint16_t)(4000 + i);
        assert_ok(push_run_member(m.run, &inner, m.rig->mono_ms));
    }
    steps(&m, 10);
    for (uint8_t i = 1; i <= 3; i++) {
        uint8_t buf[PUSH_ACK_LEN_MAX];
        struct push_ack decoded;
        struct addr private = addr_v4(192, 168, 0, i);
        struct writer w = writer_over(buf, sizeof(buf));
        assert_ok(push_ack_build(&m.key, m.run->seq, &private, false, &w));
        assert_ok(push_ack_decode(&decoded, writer_bytes(&w)));
        nat.port = (uint16_t)(4000 + i);
        assert_ok(push_run_ack(m.run, &nat, &decoded, writer_bytes(&w), m.rig->mono_ms));
        assert_err(push_run_ack(m.run, &nat, &decoded, writer_bytes(&w), m.rig->mono_ms), E_DUPLICATE);
    }
    assert_int_equal(m.run->acked, 3);
    many_close(&m);
}

static void both_lengths_of_the_ack_key_are_taken(void **state)
{
    (void)state;
    static struct many m;
    uint8_t buf[PUSH_ACK_LEN_MAX];
    struct push_ack decoded;
    many_open(&m, 2);
    steps(&m, 10);
    for (int i = 0; i < 2; i++) { /* trap 6: L is 512 or 256 */
        struct endpoint from = at((size_t)i);
        struct writer w = writer_over(buf, sizeof(buf));
        assert_ok(push_ack_build(&m.key, m.run->seq, &from.addr, i == 1, &w));
        assert_ok(push_ack_decode(&decoded, writer_bytes(&w)));
        assert_ok(push_run_ack(m.run, &from, &decoded, writer_bytes(&w), m.rig->mono_ms));
    }
    many_close(&m);
}

static void every_allocation_failure_is_reported(void **state)
{
    (void)state;
    static struct many m;
    many_open(&m, 40);
    for (long n = 0;; n++) {
        struct push_run *run = NULL;
        struct endpoint new = at(2000);
        struct ks_member member = {.record = {.identity = identity_from_addr(&new.addr), .endpoint = new}};
        heap_fault_after(n);
        err_t err = push_run_open(&run, rig_g1(m.rig), NULL, seed, 0);
        for (int i = 0; err == E_OK && i < 100; i++) {
            member.record.identity.data[0] = (uint8_t)i;
            err = push_run_member(run, &member, 0);
        }
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        push_run_free(run);
        if (!hit) {
            assert_ok(err);
            break;
        }
        assert_err(err, E_NO_MEMORY);
    }
    many_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everyone_gets_one_datagram_in_paced_batches),
        cmocka_unit_test(loss_both_ways_is_made_good_by_repeats),
        cmocka_unit_test(all_acknowledged_is_over_at_once),
        cmocka_unit_test(a_slow_socket_misses_nobody),
        cmocka_unit_test(who_registers_meanwhile_gets_it_if_told_before_and_not_else),
        cmocka_unit_test(a_member_that_moved_is_reached_where_it_is),
        cmocka_unit_test(members_behind_one_address_are_told_apart_by_identity),
        cmocka_unit_test(both_lengths_of_the_ack_key_are_taken),
        cmocka_unit_test(every_allocation_failure_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

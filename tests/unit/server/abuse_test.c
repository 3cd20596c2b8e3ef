/* abuse_test.c - what strangers and broken peers send: floods, garbage, refused exchanges, disorder, and our
 * own lack of memory. */
#include "proto/ike/informational.h"
#include "tests/unit/server/member.h"

/* Message 1 of a peer at 10.2.a.b, whose range has a key. */
static void hello_from(struct rig *rig, uint8_t a, uint8_t b, uint8_t *buf, size_t cap, struct bytes *out)
{
    struct rig_member m;
    struct mm_effects effects;
    struct writer w = writer_over(buf, cap);
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(main_mode_step(&m.mm, &(struct mm_event){.kind = MM_EVENT_START}, &w, &effects));
    *out = writer_bytes(&w);
    struct endpoint from = {addr_v4(10, 2, a, b), 848};
    rig_in(rig, &from, *out);
    member_close(&m);
}

static void half_open_negotiations_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct bytes hello;
    events_mark();
    for (int i = 0; i < 300; i++)
        hello_from(rig, (uint8_t)(i >> 8), (uint8_t)i, buf, sizeof(buf), &hello);
    assert_int_equal(core_half_open(rig->core), rig->config.half_open_max);
    assert_int_equal(rig_metric(rig, METRIC_HALF_OPEN_REFUSED), 300 - rig->config.half_open_max);
    assert_true(events_since(IKMP_HALF_OPEN_LIMIT) > 0);
    assert_true(events_since(IKMP_HALF_OPEN_LIMIT) <= 20); /* and the log is bounded, too */
    assert_true(rig_metric(rig, METRIC_EVENTS_HELD_BACK) > 0);
    /* An honest member comes through a little later: the flood never gets beyond message 1. */
    rig_pass(rig, HALF_OPEN_YOUNG_MS + 1);
    struct rig_member m;
    rig_wire_clear(rig);
    member_register(rig, &m, 13, 2);
    member_close(&m);
    rig_pass(rig, HALF_OPEN_MS + 1000);
    assert_int_equal(core_half_open(rig->core), 0);
    rig_free(rig);
}

static void one_source_is_rate_limited_and_others_are_not(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    struct bytes hello;
    events_mark();
    rig->config.half_open_max = 1000;
    for (int i = 0; i < 100; i++)
        hello_from(rig, 9, 9, buf, sizeof(buf), &hello);
    assert_int_equal(rig_metric(rig, METRIC_RATE_LIMITED), 100 - rig->config.rate_burst);
    assert_true(events_since(IKMP_RATE_LIMIT) > 0);
    rig_wire_clear(rig);
    member_register(rig, &m, 13, 2);
    member_close(&m);
    rig_pass(rig, 1000);
    size_t before = rig_metric(rig, METRIC_RATE_LIMITED);
    for (int i = 0; i < 20; i++) /* a second later there are tokens again */
        hello_from(rig, 9, 9, buf, sizeof(buf), &hello);
    assert_int_equal(rig_metric(rig, METRIC_RATE_LIMITED), before);
    rig_free(rig);
}

static void strangers_all_get_the_same_answer(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    uint8_t first[ISAKMP_MESSAGE_MAX];
    size_t first_len = 0;
    struct rig_member m;
    struct mm_effects effects;
    struct writer w = writer_over(buf, sizeof(buf));
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(main_mode_step(&m.mm, &(struct mm_event){.kind = MM_EVENT_START}, &w, &effects));
    for (uint8_t i = 1; i < 5; i++) {
        uint8_t answer[ISAKMP_MESSAGE_MAX];
        struct bytes got;
        struct endpoint from = {addr_v4(172, 16, i, i), 848};
        rig_in(rig, &from, writer_bytes(&w));
        assert_true(rig_out(rig, &from, answer, &got));
        assert_true(got.len <= w.len); /* no amplifier */
        if (first_len == 0) {
            memcpy(first, answer, got.len);
            first_len = got.len;
        }
        assert_int_equal(got.len, first_len);
        assert_memory_equal(answer, first, first_len);
    }
    member_close(&m);
    rig_free(rig);
}

static void other_exchanges_are_refused_by_a_clear_notify(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    static const uint8_t exchanges[] = {EXCHANGE_AGGRESSIVE, EXCHANGE_AUTH_ONLY, EXCHANGE_PUSH, 6, 34, 240};
    struct endpoint from = {addr_v4(10, 1, 13, 2), 500};
    events_mark();
    for (size_t i = 0; i < ARRAY_LEN(exchanges); i++) {
        uint8_t buf[128] = {0};
        uint8_t answer[ISAKMP_MESSAGE_MAX];
        struct bytes got;
        struct isakmp_header header;
        struct informational info;
        struct bytes body;
        struct writer w = writer_over(buf, sizeof(buf));
        isakmp_header_encode(&w, &(struct isakmp_header){.cookie_i = {1, 2, 3, 4, 5, 6, 7, 8},
                                                         .version = ISAKMP_VERSION,
                                                         .exchange = exchanges[i]});
        write_zeros(&w, 60);
        isakmp_message_end(&w, 0);
        rig_in(rig, &from, writer_bytes(&w));
        assert_true(rig_out(rig, &from, answer, &got));
        assert_ok(isakmp_header_decode(&header, &body, got));
        assert_int_equal(header.exchange, EXCHANGE_INFORMATIONAL);
        assert_ok(informational_open(NULL, &header, body, buf, &info));
        assert_int_equal(info.notify_type, NOTIFY_INVALID_EXCHANGE_TYPE);
    }
    assert_int_equal(events_since(IKMP_MODE_FAILURE), ARRAY_LEN(exchanges));
    assert_int_equal(rig_metric(rig, METRIC_EXCHANGE_REFUSED), ARRAY_LEN(exchanges));
    assert_int_equal(core_half_open(rig->core), 0);
    for (int i = 0; i < 200; i++) { /* and they are rate-limited */
        uint8_t buf[64] = {0};
        struct writer w = writer_over(buf, sizeof(buf));
        isakmp_header_encode(
            &w, &(struct isakmp_header){.cookie_i = {9}, .version = ISAKMP_VERSION, .exchange = 4});
        write_zeros(&w, 30);
        isakmp_message_end(&w, 0);
        rig_in(rig, &from, writer_bytes(&w));
    }
    assert_true(rig->wire_count <= rig->config.rate_burst);
    rig_free(rig);
}

static void a_clear_informational_is_counted_and_never_answered(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[256];
    struct isakmp_header header = {.version = ISAKMP_VERSION, .length = 200};
    member_register(rig, &m, 13, 2);
    memcpy(header.cookie_i, m.sa.cookie_i, COOKIE_LEN);
    memcpy(header.cookie_r, m.sa.cookie_r, COOKIE_LEN);
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(informational_clear_notify(&header, DOI_GDOI, NOTIFY_INVALID_COOKIE, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_int_equal(rig_metric(rig, METRIC_INFORMATIONAL_CLEAR), 1);
    assert_int_equal(rig->wire_count, 0);
    assert_int_equal(core_sa_count(rig->core), 1);
    member_close(&m);
    rig_free(rig);
}

static void a_forged_delete_ends_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[256];
    member_register(rig, &m, 13, 2);
    struct isakmp_sa forger = m.sa;
    forger.skeyid_a.data[0] ^= 1;
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(informational_delete_sa(&forger, 5, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_int_equal(core_sa_count(rig->core), 1);
    w = writer_over(buf, sizeof(buf));
    assert_ok(informational_delete_sa(&m.sa, 6, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_int_equal(core_sa_count(rig->core), 0);
    isakmp_sa_close(&forger);
    member_close(&m);
    rig_free(rig);
}

/* Every message of a registration with each octet damaged in turn, and cut at each length: nothing falls
 * over, nothing is registered but by the whole message, and the member gets through in the end. */
static void damaged_messages_change_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t bad[ISAKMP_MESSAGE_MAX];
    rig->config.rate_burst = rig->config.rate_per_s = 100000;
    rig->config.half_open_max = 60000;
    core_configure(rig->core, &rig->config);
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_mm(rig, &m, MM_EVENT_START, NULL));
    while (m.pull.state != PULL_M_DONE) {
        assert_true(member_get(rig, &m));
        size_t registered = rig->applied[CMD_MEMBER_REGISTERED];
        bool good = m.sa.established;
        rig->hold_jobs = true; /* damaged KE values are worth no computing here */
        for (size_t i = COOKIE_LEN * 2; i < m.out_len; i++) {
            memcpy(bad, m.out, m.out_len);
            bad[i] ^= (uint8_t)(1u << (i % 8));
            rig_in(rig, &m.at, (struct bytes){bad, m.out_len});
            rig_in(rig, &m.at, (struct bytes){m.out, i});
        }
        rig->hold_jobs = false;
        rig_settle(rig);
        assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], registered);
        rig_wire_clear(rig);
        if (good)
            assert_ok(member_pull_step(rig, &m));
        else
            assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
        if (m.sa.established && m.pull.state == PULL_M_IDLE)
            member_pull_start(rig, &m, 3333);
    }
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 1);
    member_close(&m);
    rig_free(rig);
}

static void garbage_is_counted_and_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct endpoint from = {addr_v4(10, 1, 13, 2), 848};
    uint8_t buf[600];
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)i % sizeof(buf);
        assert_ok(rng_fill(&rig->rng, buf, sizeof(buf)));
        if (i % 2 == 0 && len >= ISAKMP_HEADER_LEN) { /* a header that passes */
            static const uint8_t types[] = {2, 4, 5, 32, 33, 35};
            buf[17] = ISAKMP_VERSION;
            buf[18] = types[i / 2 % 6];
            memset(buf + 24, 0, 2);
            buf[26] = (uint8_t)(len >> 8);
            buf[27] = (uint8_t)len;
            if (i % 4 == 0)
                memset(buf + COOKIE_LEN, 0, COOKIE_LEN);
        }
        rig_in(rig, &from, (struct bytes){buf, len});
        rig_wire_clear(rig);
        if (i % 50 == 0)
            rig_pass(rig, 1000);
    }
    assert_true(rig_metric(rig, METRIC_MALFORMED) > 1000);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    struct rig_member m;
    rig_pass(rig, 5000);
    rig_wire_clear(rig);
    member_register(rig, &m, 13, 2);
    member_close(&m);
    rig_free(rig);
}

static void old_messages_in_any_order_change_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    enum { KEPT = 8 };
    uint8_t kept[KEPT][2048];
    size_t len[KEPT];
    size_t count = 0;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_mm(rig, &m, MM_EVENT_START, NULL));
    while (m.pull.state != PULL_M_DONE) {
        assert_true(count < KEPT && m.out_len <= sizeof(kept[0]));
        memcpy(kept[count], m.out, m.out_len);
        len[count++] = m.out_len;
        assert_true(member_get(rig, &m));
        if (m.sa.established)
            assert_ok(member_pull_step(rig, &m));
        else
            assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
        if (m.sa.established && m.pull.state == PULL_M_IDLE)
            member_pull_start(rig, &m, 3333);
    }
    for (size_t round = 0; round < 5; round++)
        for (size_t i = 0; i < count; i++) {
            size_t at = (i * 3 + round) % count;
            rig_in(rig, &m.at, (struct bytes){kept[at], len[at]});
            rig_settle(rig);
        }
    rig_pass(rig, WORK_IDLE_MS + 2000); /* what was remembered for repeats is gone */
    for (size_t i = 0; i < count; i++) {
        rig_in(rig, &m.at, (struct bytes){kept[i], len[i]});
        rig_settle(rig);
    }
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 1);
    rig_wire_clear(rig);
    assert_ok(member_pull(rig, &m, 3333));
    member_close(&m);
    rig_free(rig);
}

static void the_newer_address_of_an_identity_wins_and_it_is_said(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member a, b;
    events_mark();
    member_init(rig, &a, 13, 2, RIG_PSK);
    assert_ok(identity_from_text(&a.mm.sa.local_id, ID_FQDN, "branch7.example.net"));
    member_init(rig, &b, 14, 9, RIG_PSK);
    assert_ok(identity_from_text(&b.mm.sa.local_id, ID_FQDN, "branch7.example.net"));
    assert_ok(member_phase1(rig, &a));
    assert_ok(member_pull(rig, &a, 3333));
    assert_int_equal(events_since(KS_GM_MOVED), 0);
    assert_ok(member_phase1(rig, &b));
    assert_ok(member_pull(rig, &b, 3333));
    assert_int_equal(events_since(KS_GM_MOVED), 1);
    assert_int_equal(rig_g1(rig)->members.count, 1);
    assert_ok(core_rekey(rig->core, "G1", NULL, NULL));
    rig_settle(rig);
    assert_int_equal(rig_waiting(rig, &a.at), 0);
    assert_int_equal(rig_waiting(rig, &b.at), 1);
    member_close(&a);
    member_close(&b);
    rig_free(rig);
}

static void an_identity_that_makes_no_sense_ends_the_negotiation(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    events_mark();
    member_init(rig, &m, 13, 2, RIG_PSK);
    m.mm.sa.local_id.len = 3; /* of an IPv4 address */
    assert_int_not_equal(member_phase1(rig, &m), E_OK);
    assert_int_equal(events_since(IKMP_MODE_FAILURE), 1);
    assert_int_equal(core_half_open(rig->core), 0);
    assert_int_equal(core_sa_count(rig->core), 0);
    member_close(&m);
    rig_free(rig);
}

static void a_public_value_off_the_curve_is_refused_and_the_next_one_taken(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t good[ISAKMP_MESSAGE_MAX];
    events_mark();
    member_init(rig, &m, 13, 2, RIG_PSK);
    rig->hold_jobs = true;
    assert_err(member_phase1(rig, &m), E_TIMEOUT); /* message 3 is out */
    assert_int_equal(rig->job_count, 1);
    memcpy(good, m.out, m.out_len);
    rig->jobs[0]->dh.peer.data[5] ^= 1;
    rig->hold_jobs = false;
    rig_settle(rig);
    assert_int_equal(events_since(IKMP_MODE_FAILURE), 1);
    assert_int_equal(rig->wire_count, 0);
    member_repeat(rig, &m);
    assert_true(member_get(rig, &m));
    assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
    assert_true(member_get(rig, &m));
    assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
    assert_true(m.sa.established);
    member_close(&m);
    rig_free(rig);
}

static void a_notify_under_the_sa_is_logged_by_name(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[256];
    member_register(rig, &m, 13, 2);
    events_mark();
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(informational_notify(&m.sa, 9, NOTIFY_PAYLOAD_MALFORMED, (struct bytes){0}, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_int_equal(events_since(IKMP_MODE_FAILURE), 1);
    assert_int_equal(rig->wire_count, 0);
    member_close(&m);
    rig_free(rig);
}

static void pulls_under_one_sa_are_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    struct pull_member first;
    uint8_t kept[ISAKMP_MESSAGE_MAX];
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    member_pull_start(rig, &m, 3333);
    first = m.pull;
    assert_true(member_get(rig, &m));
    struct bytes message_2 = {kept, m.got.len};
    memcpy(kept, m.got.data, m.got.len);
    for (int i = 0; i < PULL_PER_SA_MAX; i++) { /* begun, and left lying */
        rig_pass(rig, 10);
        m.pull = (struct pull_member){0};
        member_pull_start(rig, &m, 3333);
    }
    rig_wire_clear(rig);
    pull_member_close(&m.pull);
    m.pull = first;
    m.got = message_2;
    assert_ok(member_pull_step(rig, &m)); /* its message 3 finds nothing, and is no good message 1 */
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    rig_wire_clear(rig);
    assert_ok(member_pull(rig, &m, 3333));
    member_close(&m);
    rig_free(rig);
}

static void every_metric_has_a_name_and_a_meaning(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_COUNT; i++) {
        assert_true(strlen(metric_name((enum metric)i)) > 0);
        assert_true(strlen(metric_help((enum metric)i)) > 0);
    }
    assert_null(metric_name(METRIC_COUNT));
    assert_null(metric_help(METRIC_COUNT));
}

/* The n-th allocation inside the core fails, for every n, while a member registers and is rekeyed: it may
 * have to repeat, it never breaks anything. */
static void every_allocation_failure_is_survived(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct rig *rig = rig_ready();
        struct rig_member m;
        bool hit = false;
        member_init(rig, &m, 13, 2, RIG_PSK);
        rig->fault = n;
        assert_ok(member_mm(rig, &m, MM_EVENT_START, NULL));
        int tries = 0;
        while (m.pull.state != PULL_M_DONE) {
            assert_true(tries++ < 60);
            if (tries % 15 == 0) { /* what a member does whose SA the server has lost */
                member_close(&m);
                member_init(rig, &m, 13, 2, RIG_PSK);
                rig_wire_clear(rig);
                assert_ok(member_mm(rig, &m, MM_EVENT_START, NULL));
            } else if (!member_get(rig, &m)) {
                rig_pass(rig, 1100);
                member_repeat(rig, &m);
            } else {
                err_t err = m.sa.established ? member_pull_step(rig, &m)
                                             : member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL);
                (void)err; /* a clear notify is not for the machine */
                if (m.sa.established && m.pull.state == PULL_M_IDLE)
                    member_pull_start(rig, &m, 3333);
            }
        }
        member_take_keys(&m);
        err_t err = core_rekey(rig->core, "G1", NULL, NULL);
        assert_true(err == E_OK);
        rig_pass(rig, 3000);
        if (!rig_g1(rig)->pushing && rig_g1(rig)->record.seq == 0)
            assert_ok(core_rekey(rig->core, "G1", NULL, NULL));
        rig_pass(rig, 3000);
        assert_true(member_take_pushes(rig, &m, true) >= 1);
        hit = rig->fault_hit;
        member_close(&m);
        rig_free(rig);
        if (!hit) {
            assert_true(n > 10); /* or nothing was tried */
            break;
        }
        assert_true(n < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_open_negotiations_are_bounded),
        cmocka_unit_test(one_source_is_rate_limited_and_others_are_not),
        cmocka_unit_test(strangers_all_get_the_same_answer),
        cmocka_unit_test(other_exchanges_are_refused_by_a_clear_notify),
        cmocka_unit_test(a_clear_informational_is_counted_and_never_answered),
        cmocka_unit_test(a_forged_delete_ends_nothing),
        cmocka_unit_test(damaged_messages_change_nothing),
        cmocka_unit_test(garbage_is_counted_and_dropped),
        cmocka_unit_test(old_messages_in_any_order_change_nothing),
        cmocka_unit_test(the_newer_address_of_an_identity_wins_and_it_is_said),
        cmocka_unit_test(an_identity_that_makes_no_sense_ends_the_negotiation),
        cmocka_unit_test(a_public_value_off_the_curve_is_refused_and_the_next_one_taken),
        cmocka_unit_test(a_notify_under_the_sa_is_logged_by_name),
        cmocka_unit_test(pulls_under_one_sa_are_bounded),
        cmocka_unit_test(every_metric_has_a_name_and_a_meaning),
        cmocka_unit_test(every_allocation_failure_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* registration_test.c - phase 1 and PULL through the core, both ends in one process. */
#include "proto/ike/informational.h"
#include "tests/unit/server/member.h"

static const struct endpoint stranger = {.addr = {AF_INET, {172, 16, 0, 9}}, .port = GDOI_PORT};

static void the_configuration_becomes_committed_state(void **state)
{
    (void)state;
    events_mark();
    struct rig *rig = rig_ready();
    assert_int_equal(rig->state.group_count, 1);
    assert_int_equal(rig->state.psks.count, 3);
    assert_int_equal(rig->state.signing.version, 1);
    assert_int_equal(rig_g1(rig)->record.tek_count, 1);
    assert_int_equal(events_since(SIGNING_KEY_CREATED), 1);
    assert_int_equal(events_since(GROUP_CHANGED), 1);
    rig_free(rig);
}

static void a_member_registers(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    events_mark();
    member_register(rig, &m, 13, 2);
    assert_int_equal(events_since(IKMP_SA_UP), 1);
    assert_int_equal(events_since(KS_GM_REGISTERED), 1);
    assert_int_equal(rig_metric(rig, METRIC_REGISTRATIONS), 1);
    assert_int_equal(m.pull.policy.tek_count, 1);
    assert_int_equal(m.pull.seq, 0);
    assert_int_equal(m.pull.policy.teks[0].spi, rig_g1(rig)->record.teks[0].spi);
    struct identity identity = identity_from_addr(&m.at.addr);
    const struct ks_member *member = ks_group_member(rig_g1(rig), &identity);
    assert_non_null(member);
    assert_true(endpoint_equal(&member->record.endpoint, &m.at));
    assert_memory_equal(member->record.key_server, rig->node_id, NODE_ID_LEN);
    member_close(&m);
    rig_free(rig);
}

static void an_idle_member_costs_little(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_register(rig, &m, 13, 2);
    assert_int_equal(core_sa_count(rig->core), 1);
    rig_pass(rig, WORK_IDLE_MS + 1000);
    assert_int_equal(core_sa_count(rig->core), 1);
    /* and it can pull again under the same SA */
    assert_ok(member_pull(rig, &m, 3333));
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 2);
    member_close(&m);
    rig_free(rig);
}

static void an_sa_ends_with_its_lifetime(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_register(rig, &m, 13, 2);
    rig_pass(rig, 1200 * 1000 + 2000);
    assert_int_equal(core_sa_count(rig->core), 0);
    assert_err(member_pull(rig, &m, 3333), E_BAD_EXCHANGE); /* the clear hint is not believed */
    assert_int_equal(rig_metric(rig, METRIC_NO_SUCH_SA), 1);
    member_close(&m);
    rig_free(rig);
}

static void answers_go_to_the_source_port_and_behind_a_marker(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[ISAKMP_MESSAGE_MAX + 4] = {0};
    struct mm_effects effects;
    member_init(rig, &m, 13, 2, RIG_PSK);
    m.at.port = 33445;
    struct writer w = writer_over(buf + 4, sizeof(buf) - 4);
    assert_ok(main_mode_step(&m.mm, &(struct mm_event){.kind = MM_EVENT_START}, &w, &effects));
    rig_in(rig, &m.at, (struct bytes){buf, w.len + 4});
    assert_int_equal(rig->wire_count, 1);
    assert_int_equal(rig->wire[0].path.peer.port, 33445);
    assert_true(rig->wire[0].path.marker);
    member_close(&m);
    rig_free(rig);
}

static void a_wrong_psk_is_reported_and_times_out(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    events_mark();
    member_init(rig, &m, 13, 2, "not the secret");
    assert_err(member_phase1(rig, &m), E_TIMEOUT);
    assert_int_equal(events_since(IKMP_MODE_FAILURE), 1);
    member_repeat(rig, &m);
    assert_int_equal(events_since(IKMP_MODE_FAILURE), 1); /* once per negotiation */
    assert_int_equal(core_half_open(rig->core), 1);
    rig_pass(rig, HALF_OPEN_MS + 1000);
    assert_int_equal(core_half_open(rig->core), 0);
    assert_int_equal(core_sa_count(rig->core), 0);
    assert_int_equal(rig_metric(rig, METRIC_PHASE1_FAILED), 1);
    member_close(&m);
    rig_free(rig);
}

static void a_peer_without_a_key_is_refused_and_nothing_is_kept(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    events_mark();
    member_init(rig, &m, 13, 2, RIG_PSK);
    m.at = stranger;
    assert_err(member_phase1(rig, &m), E_BAD_EXCHANGE); /* a clear notify came */
    assert_int_equal(events_since(KS_UNAUTHORIZED), 1);
    assert_int_equal(core_half_open(rig->core), 0);
    assert_int_equal(rig->wire_count, 0);
    member_close(&m);
    rig_free(rig);
}

static void an_unknown_group_is_refused_under_the_sa(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct isakmp_header header;
    struct informational info;
    struct bytes body;
    events_mark();
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    member_pull_start(rig, &m, 4444);
    assert_true(member_get(rig, &m));
    assert_ok(isakmp_header_decode(&header, &body, m.got));
    assert_ok(informational_open(&m.sa, &header, body, plain, &info));
    assert_true(info.protected);
    assert_int_equal(info.notify_type, NOTIFY_INVALID_ID_INFORMATION);
    assert_int_equal(events_since(KS_UNKNOWN_GROUP), 1);
    /* a repeat gets the same bytes, and no second line */
    size_t len = m.got.len;
    member_repeat(rig, &m);
    assert_true(member_get(rig, &m));
    assert_int_equal(m.got.len, len);
    assert_int_equal(events_since(KS_UNKNOWN_GROUP), 1);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    member_close(&m);
    rig_free(rig);
}

static void only_those_of_the_member_list_may_register(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_member m;
    rig->groups[0].rule_count = 1;
    rig->groups[0].rules[0].is_prefix = true;
    assert_ok(prefix_parse(&rig->groups[0].rules[0].prefix, "10.1.13.2"));
    core_ready(rig->core, true);
    rig_pass(rig, 1000);
    events_mark();
    member_init(rig, &m, 14, 7, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    assert_int_not_equal(member_pull(rig, &m, 3333), E_OK);
    assert_int_equal(events_since(UNAUTHORIZED_IPADDR), 1);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    member_close(&m);
    member_register(rig, &m, 13, 2);
    member_close(&m);
    rig_free(rig);
}

static void an_identity_that_is_not_listed_is_named(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_member m;
    rig->groups[0].rule_count = 1;
    assert_ok(identity_from_text(&rig->groups[0].rules[0].identity, ID_FQDN, "branch7.example.net"));
    core_ready(rig->core, true);
    rig_pass(rig, 1000);
    events_mark();
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    assert_int_not_equal(member_pull(rig, &m, 3333), E_OK);
    assert_int_equal(events_since(UNAUTHORIZED_IDENTITY), 1);
    member_close(&m);
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(identity_from_text(&m.mm.sa.local_id, ID_FQDN, "branch7.example.net"));
    assert_ok(member_phase1(rig, &m));
    assert_ok(member_pull(rig, &m, 3333));
    member_close(&m);
    rig_free(rig);
}

static void nobody_registers_as_another_address(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    struct addr other = addr_v4(10, 1, 14, 8);
    events_mark();
    member_init(rig, &m, 14, 7, RIG_PSK); /* the same key as 10.1.14.8: one range */
    m.mm.sa.local_id = identity_from_addr(&other);
    assert_ok(member_phase1(rig, &m));
    assert_int_not_equal(member_pull(rig, &m, 3333), E_OK);
    assert_int_equal(events_since(UNAUTHORIZED_IPADDR), 1);
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 0);
    member_close(&m);
    rig_free(rig);
}

/* Every message of the member comes three times; every answer is the same, and all happens once. */
static void repeated_messages_change_nothing(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t answer[ISAKMP_MESSAGE_MAX];
    struct mm_effects effects;
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    member_init(rig, &m, 13, 2, RIG_PSK);
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(main_mode_step(&m.mm, &(struct mm_event){.kind = MM_EVENT_START}, &w, &effects));
    member_send(rig, &m, writer_bytes(&w));
    while (!m.registered) {
        member_repeat(rig, &m);
        member_repeat(rig, &m);
        assert_int_equal(rig_waiting(rig, &m.at), 3);
        assert_true(member_get(rig, &m));
        memcpy(answer, m.got.data, m.got.len);
        size_t len = m.got.len;
        for (int i = 0; i < 2; i++) {
            assert_true(member_get(rig, &m));
            assert_int_equal(m.got.len, len);
            assert_memory_equal(m.got.data, answer, len);
        }
        if (!m.sa.established)
            assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
        else
            assert_ok(member_pull_step(rig, &m));
        if (m.sa.established && m.pull.state == PULL_M_IDLE)
            member_pull_start(rig, &m, 3333);
        if (m.pull.state == PULL_M_DONE)
            member_take_keys(&m);
    }
    assert_int_equal(rig->applied[CMD_MEMBER_REGISTERED], 1);
    assert_int_equal(rig_metric(rig, METRIC_PHASE1_STARTED), 1);
    assert_int_equal(rig_metric(rig, METRIC_PULL_STARTED), 1);
    member_close(&m);
    rig_free(rig);
}

static void the_same_answer_is_not_given_for_ever(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_mm(rig, &m, MM_EVENT_START, NULL));
    for (int i = 0; i < 100; i++)
        member_repeat(rig, &m);
    assert_true(rig->wire_count <= 1 + ANSWER_RESEND_MAX);
    member_close(&m);
    rig_free(rig);
}

static void message_3_of_main_mode_waits_for_the_pool_once(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    rig->hold_jobs = true;
    assert_err(member_phase1(rig, &m), E_TIMEOUT);
    assert_int_equal(rig->job_count, 1);
    member_repeat(rig, &m);
    member_repeat(rig, &m);
    assert_int_equal(rig->job_count, 1);
    rig->hold_jobs = false;
    rig_settle(rig);
    assert_int_equal(rig_waiting(rig, &m.at), 1);
    assert_true(member_get(rig, &m));
    assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
    assert_true(member_get(rig, &m));
    assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
    assert_true(m.sa.established);
    member_close(&m);
    rig_free(rig);
}

static void a_full_pool_lets_the_member_ask_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    rig->pool_full = true;
    assert_err(member_phase1(rig, &m), E_TIMEOUT);
    assert_int_equal(rig_metric(rig, METRIC_JOBS_REFUSED), 1);
    rig->pool_full = false;
    member_repeat(rig, &m);
    assert_true(member_get(rig, &m));
    assert_ok(member_mm(rig, &m, MM_EVENT_DATAGRAM, NULL));
    member_close(&m);
    rig_free(rig);
}

static void a_job_whose_negotiation_is_gone_is_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    rig->hold_jobs = true;
    assert_err(member_phase1(rig, &m), E_TIMEOUT);
    rig_pass(rig, HALF_OPEN_MS + 1000);
    assert_int_equal(core_half_open(rig->core), 0);
    rig->hold_jobs = false;
    rig_settle(rig);
    assert_int_equal(rig->wire_count, 0);
    member_close(&m);
    rig_free(rig);
}

/* I1: no key before the commit. */
static void messages_under_an_sa_from_another_address_are_dropped(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    m.at.addr = addr_v4(10, 1, 14, 9);
    assert_err(member_pull(rig, &m, 3333), E_TIMEOUT);
    assert_int_equal(rig_metric(rig, METRIC_NO_SUCH_SA), 1);
    member_close(&m);
    rig_free(rig);
}

static void a_server_that_is_not_ready_is_silent(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    core_ready(rig->core, false);
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_err(member_phase1(rig, &m), E_TIMEOUT);
    assert_int_equal(rig_metric(rig, METRIC_NOT_READY), 1);
    core_ready(rig->core, true);
    member_repeat(rig, &m);
    assert_int_equal(rig->wire_count, 1);
    member_close(&m);
    rig_free(rig);
}

static void dead_peer_detection_is_answered(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    uint8_t buf[ISAKMP_MESSAGE_MAX];
    uint8_t plain[ISAKMP_MESSAGE_MAX];
    struct isakmp_header header;
    struct informational info;
    struct bytes body;
    member_init(rig, &m, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &m));
    struct writer w = writer_over(buf, sizeof(buf));
    assert_ok(informational_dpd(&m.sa, 77, false, 1234, &w));
    rig_in(rig, &m.at, writer_bytes(&w));
    assert_true(member_get(rig, &m));
    assert_ok(isakmp_header_decode(&header, &body, m.got));
    assert_ok(informational_open(&m.sa, &header, body, plain, &info));
    assert_int_equal(info.kind, INFO_DPD_ACK);
    assert_int_equal(info.dpd_seq, 1234);
    member_close(&m);
    rig_free(rig);
}

static void initial_contact_ends_what_was_before(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member a, b;
    member_init(rig, &a, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &a));
    member_init(rig, &b, 13, 2, RIG_PSK);
    assert_ok(member_phase1(rig, &b));
    assert_int_equal(core_sa_count(rig->core), 2);
    member_close(&b);
    member_init(rig, &b, 13, 2, RIG_PSK);
    b.mm.send_initial_contact = true;
    assert_ok(member_phase1(rig, &b));
    assert_int_equal(core_sa_count(rig->core), 1);
    assert_ok(member_pull(rig, &b, 3333));
    member_close(&a);
    member_close(&b);
    rig_free(rig);
}

static void one_address_has_a_bounded_number_of_sas(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    for (int i = 0; i < 3 * SA_PER_PEER_MAX; i++) {
        member_init(rig, &m, 13, 2, RIG_PSK);
        assert_ok(member_phase1(rig, &m));
        member_close(&m);
    }
    assert_int_equal(core_sa_count(rig->core), SA_PER_PEER_MAX);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_becomes_committed_state),
        cmocka_unit_test(a_member_registers),
        cmocka_unit_test(an_idle_member_costs_little),
        cmocka_unit_test(an_sa_ends_with_its_lifetime),
        cmocka_unit_test(answers_go_to_the_source_port_and_behind_a_marker),
        cmocka_unit_test(a_wrong_psk_is_reported_and_times_out),
        cmocka_unit_test(a_peer_without_a_key_is_refused_and_nothing_is_kept),
        cmocka_unit_test(an_unknown_group_is_refused_under_the_sa),
        cmocka_unit_test(only_those_of_the_member_list_may_register),
        cmocka_unit_test(an_identity_that_is_not_listed_is_named),
        cmocka_unit_test(nobody_registers_as_another_address),
        cmocka_unit_test(repeated_messages_change_nothing),
        cmocka_unit_test(the_same_answer_is_not_given_for_ever),
        cmocka_unit_test(message_3_of_main_mode_waits_for_the_pool_once),
        cmocka_unit_test(a_full_pool_lets_the_member_ask_again),
        cmocka_unit_test(a_job_whose_negotiation_is_gone_is_dropped),
        cmocka_unit_test(messages_under_an_sa_from_another_address_are_dropped),
        cmocka_unit_test(a_server_that_is_not_ready_is_silent),
        cmocka_unit_test(dead_peer_detection_is_answered),
        cmocka_unit_test(initial_contact_ends_what_was_before),
        cmocka_unit_test(one_address_has_a_bounded_number_of_sas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

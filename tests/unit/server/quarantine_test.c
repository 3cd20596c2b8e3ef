/* A member that says under its SA that it cannot do the policy is shown so, until it comes without complaint.
 */
#include "proto/gdoi/quarantine.h"
#include "proto/ike/informational.h"
#include "server/core_parts.h"
#include "tests/unit/server/member.h"

static void say(struct rig *rig, const struct rig_member *m, const struct isakmp_sa *sa, uint32_t group,
                const char *reason)
{
    static uint32_t message_id = 1000;
    uint8_t word[QUARANTINE_LEN_MAX], buf[ISAKMP_MESSAGE_MAX];
    struct identity identity = identity_from_number(group);
    struct writer body = writer_over(word, sizeof(word)), w = writer_over(buf, sizeof(buf));
    quarantine_encode(&body, &identity, reason);
    assert_ok(informational_notify(sa, ++message_id, NOTIFY_POLICY_REFUSED, writer_bytes(&body), &w));
    rig_in(rig, &m->at, writer_bytes(&w));
    rig_settle(rig);
}

static const struct member_record *record_of(const struct rig *rig, const struct rig_member *m)
{
    struct identity identity = identity_from_addr(&m->at.addr);
    const struct ks_member *member = ks_group_member(rig_g1(rig), &identity);
    assert_non_null(member);
    return &member->record;
}

static void its_reason_is_kept_until_it_registers_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_register(rig, &m, 13, 2);
    assert_int_equal(record_of(rig, &m)->quarantined_ms, 0);
    events_mark();
    say(rig, &m, &m.sa, 3333, "no AES-GCM");
    assert_string_equal(record_of(rig, &m)->quarantine, "no AES-GCM");
    assert_int_not_equal(record_of(rig, &m)->quarantined_ms, 0);
    assert_int_equal(events_since(KS_GM_QUARANTINED), 1);
    assert_false(rig_waiting(rig, &m.at) > 0); /* a notify is never answered */
    say(rig, &m, &m.sa, 3333, "no AES-GCM");
    assert_int_equal(rig->applied[CMD_MEMBER_QUARANTINED], 1); /* nothing new */
    assert_ok(member_pull(rig, &m, 3333));
    assert_int_equal(record_of(rig, &m)->quarantined_ms, 0);
    assert_null(record_of(rig, &m)->quarantine);
    member_close(&m);
    rig_free(rig);
}

static void nobody_can_say_it_for_another(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member a, b;
    member_register(rig, &a, 13, 2);
    member_register(rig, &b, 14, 2);
    say(rig, &a, &b.sa, 3333, "b's keys from a's address");
    assert_int_equal(record_of(rig, &a)->quarantined_ms, 0);
    assert_int_equal(record_of(rig, &b)->quarantined_ms, 0);
    struct isakmp_sa forged = b.sa;
    forged.skeyid_a.data[0] ^= 1; /* its cookies, but not its keys */
    say(rig, &b, &forged, 3333, "not authenticated");
    assert_int_equal(record_of(rig, &b)->quarantined_ms, 0);
    say(rig, &b, &b.sa, 4444, "a group that it is not of");
    assert_int_equal(rig->applied[CMD_MEMBER_QUARANTINED], 0);
    member_close(&a);
    member_close(&b);
    rig_free(rig);
}

static void a_flood_of_reasons_reaches_the_log_in_part_only(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    char reason[] = "reason 0000";
    member_register(rig, &m, 13, 2);
    for (unsigned i = 0; i < 3 * QUARANTINE_PER_SECOND_MAX; i++) {
        snprintf(reason, sizeof(reason), "reason %u", i % 1000);
        say(rig, &m, &m.sa, 3333, reason);
    }
    assert_in_range(rig->applied[CMD_MEMBER_QUARANTINED], 1, QUARANTINE_PER_SECOND_MAX);
    member_close(&m);
    rig_free(rig);
}

static void a_lost_commit_is_said_again(void **state)
{
    (void)state;
    struct rig *rig = rig_ready();
    struct rig_member m;
    member_register(rig, &m, 13, 2);
    rig->propose_error = E_FULL;
    say(rig, &m, &m.sa, 3333, "no ESP");
    assert_int_equal(record_of(rig, &m)->quarantined_ms, 0);
    assert_int_equal(rig_metric(rig, METRIC_QUARANTINES_LOST), 1);
    rig->propose_error = E_OK;
    say(rig, &m, &m.sa, 3333, "no ESP");
    assert_string_equal(record_of(rig, &m)->quarantine, "no ESP");
    member_close(&m);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_reason_is_kept_until_it_registers_again),
        cmocka_unit_test(nobody_can_say_it_for_another),
        cmocka_unit_test(a_flood_of_reasons_reaches_the_log_in_part_only),
        cmocka_unit_test(a_lost_commit_is_said_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

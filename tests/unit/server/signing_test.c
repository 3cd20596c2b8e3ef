/* signing_test.c - the signing key changes, and the primary dies before a KEK has brought the new one. */
#include "tests/unit/server/fleet.h"

/* The new key is committed; the rekey that would bring it is being signed when the process dies. */
static void change_and_die(struct fleet *f)
{
    f->rig->config.sign_alg = SIGN_RSA;
    f->rig->config.sign_bits = 2048;
    f->rig->commit = RIG_HOLD;
    core_configure(f->rig->core, &f->rig->config);
    rig_pass(f->rig, 10);
    assert_int_equal(f->rig->proposal_count, 1);
    f->rig->hold_jobs = true;
    rig_commit_all(f->rig, false);
    rig_settle(f->rig);
    assert_int_equal(f->rig->state.signing.version, 2);
    assert_int_equal(f->rig->job_count, 1);
    rig_kill_core(f->rig);
    f->rig->hold_jobs = false;
    f->rig->commit = RIG_COMMIT;
    assert_int_equal(rig_g1(f->rig)->record.kek.signing_version, 1);
}

static void restart(struct fleet *f)
{
    rig_open_core(f->rig);
    core_ready(f->rig->core, true);
    rig_pass(f->rig, 2000);
}

static void a_crash_after_the_change_loses_no_member(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    change_and_die(&f);
    restart(&f);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 2);
    assert_int_equal(f.rig->state.previous_signing.version, 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    assert_false(rig_g1(f.rig)->pushing);
    rekey_now(&f); /* and this one is signed by the new key */
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1);
    fleet_close(&f);
}

static void a_newcomer_in_between_takes_the_push_too(void **state)
{
    (void)state;
    struct fleet f;
    struct rig_member late;
    fleet_open(&f);
    change_and_die(&f);
    f.rig->primary = false; /* another server is: this one only answers */
    restart(&f);
    member_register(f.rig, &late, 13, 2);
    f.rig->primary = true;
    rig_pass(f.rig, 2000);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 2);
    assert_int_equal(member_take_pushes(f.rig, &late, true), 1);
    assert_int_equal(member_take_pushes(f.rig, &f.m[0], true), 1);
    member_close(&late);
    fleet_close(&f);
}

/* The file changes again while the first change has not reached the group: it waits for its turn. */
static void a_second_change_waits_for_the_first(void **state)
{
    (void)state;
    struct fleet f;
    fleet_open(&f);
    change_and_die(&f);
    f.rig->config.sign_alg = SIGN_ECDSA_256;
    rig_open_core(f.rig);
    f.rig->hold_jobs = true;
    core_ready(f.rig->core, true);
    rig_settle(f.rig);
    assert_int_equal(f.rig->job_count, 1); /* the rekey is being signed; no new key is being made */
    assert_int_equal(f.rig->state.previous_signing.version, 1);
    f.rig->hold_jobs = false;
    rig_pass(f.rig, 2000);
    assert_int_equal(f.rig->state.signing.version, 3);
    size_t taken[MEMBERS] = {0}; /* the second push leaves with the last acknowledgement of the first */
    for (size_t i = 0; i < MEMBERS; i++)
        taken[i] += member_take_pushes(f.rig, &f.m[i], true);
    rig_pass(f.rig, 2000);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 3);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(taken[i] + member_take_pushes(f.rig, &f.m[i], true), 2);
    assert_int_equal(f.rig->state.previous_signing.version, 0);
    fleet_close(&f);
}

struct rotated {
    unsigned count;
    err_t err;
    uint32_t version;
};

static void on_rotated(void *context, err_t err, uint32_t version)
{
    struct rotated *r = context;
    *r = (struct rotated){r->count + 1, err, version};
}

static void an_operators_new_key_reaches_the_members_and_only_then_comes_another(void **state)
{
    (void)state;
    struct fleet f;
    struct rotated r = {0};
    fleet_open(&f);
    assert_ok(core_signing_rotate(f.rig->core, on_rotated, &r));
    assert_err(core_signing_rotate(f.rig->core, on_rotated, &r), E_AGAIN); /* it is being made */
    f.rig->commit = RIG_HOLD;
    rig_settle(f.rig);
    assert_int_equal(r.count, 0); /* not before it is committed */
    f.rig->hold_jobs = true;
    rig_commit_all(f.rig, false);
    assert_int_equal(r.count, 1);
    assert_ok(r.err);
    assert_int_equal(r.version, 2);
    assert_err(core_signing_rotate(f.rig->core, on_rotated, &r), E_STATE); /* the group has the old one yet */
    f.rig->hold_jobs = false;
    f.rig->commit = RIG_COMMIT;
    rig_pass(f.rig, 2000);
    assert_int_equal(rig_g1(f.rig)->record.kek.signing_version, 2);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1); /* signed by the old one */
    rekey_now(&f);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(member_take_pushes(f.rig, &f.m[i], true), 1); /* and this by the new one */
    rig_pass(f.rig, 2000);
    assert_ok(core_signing_rotate(f.rig->core, on_rotated, &r));
    rig_pass(f.rig, 2000);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.version, 3);
    fleet_close(&f);
}

static void a_key_that_is_not_committed_is_no_new_key(void **state)
{
    (void)state;
    struct fleet f;
    struct rotated r = {0};
    fleet_open(&f);
    f.rig->commit = RIG_LOSE;
    assert_ok(core_signing_rotate(f.rig->core, on_rotated, &r));
    rig_settle(f.rig);
    assert_int_equal(r.count, 1);
    assert_err(r.err, E_NO_QUORUM);
    assert_int_equal(f.rig->state.signing.version, 1);
    f.rig->hold_jobs = true;
    f.rig->commit = RIG_COMMIT;
    assert_ok(core_signing_rotate(f.rig->core, on_rotated, &r));
    f.rig->primary = false;
    assert_err(core_signing_rotate(f.rig->core, on_rotated, &r), E_NOT_PRIMARY);
    fleet_close(&f); /* whoever waits hears of the end */
    assert_int_equal(r.count, 2);
    assert_err(r.err, E_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operators_new_key_reaches_the_members_and_only_then_comes_another),
        cmocka_unit_test(a_key_that_is_not_committed_is_no_new_key),
        cmocka_unit_test(a_crash_after_the_change_loses_no_member),
        cmocka_unit_test(a_newcomer_in_between_takes_the_push_too),
        cmocka_unit_test(a_second_change_waits_for_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

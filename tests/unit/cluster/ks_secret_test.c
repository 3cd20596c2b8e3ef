/* ks_secret_test.c - signing keys over a change: the one before is there until every KEK has moved on. */
#include "tests/unit/cluster/ks_fixture.h"

static err_t rotate(struct ks *ks, uint32_t version)
{
    struct command c = {.type = CMD_SIGNING_KEY};
    assert_ok(ks_signing_seal(&ks->state, &ks->wrap, &ks->rng, SIGN_RSA, 2048, bytes_of_text("private"),
                              (struct bytes){(const uint8_t[]){(uint8_t)version}, 1}, &c.u.signing_key.key));
    c.u.signing_key.key.version = version;
    return apply(ks, &c);
}

static err_t move_on(struct ks *ks, uint32_t id)
{
    err_t err = rekey(ks, id, REKEY_KEK);
    return err != E_OK ? err : push_done(ks, id, group_of(ks, id)->record.seq, NULL, 0);
}

static uint8_t told_key(struct ks *ks, uint32_t id)
{
    struct group_policy policy;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, id), &ks->wrap, NULL, ks->now_ms, &policy));
    assert_true(policy.kek.public_len > 0);
    uint8_t first = policy.kek.public_key[0];
    group_policy_close(&policy);
    return first;
}

static bool opens(struct ks *ks, uint32_t version)
{
    uint8_t pkcs8[SIGN_PRIVATE_MAX];
    size_t len;
    err_t err = ks_signing_open(&ks->state, &ks->wrap, version, pkcs8, &len);
    assert_true(err == E_OK || err == E_STATE);
    if (err == E_OK)
        assert_memory_equal(pkcs8, "private", len);
    return err == E_OK;
}

/* Groups 1 and 2 under signing key 2, which opens. */
static int setup_two_groups(void **state)
{
    if (ks_setup_group(state) != 0)
        return -1;
    struct ks *ks = *state;
    struct group_config config = test_config("red", 4444);
    if (rotate(ks, 2) != E_OK || move_on(ks, 1) != E_OK)
        return -1;
    return set_group(ks, &config) == E_OK && rekey(ks, 2, REKEY_INITIAL) == E_OK ? 0 : -1;
}

static void the_key_before_stays_until_every_kek_has_moved_on(void **state)
{
    struct ks *ks = *state;
    assert_int_equal(ks->state.previous_signing.version, 0);
    assert_ok(rotate(ks, 3)); /* apply() also loads the rows and compares */
    assert_int_equal(ks->state.previous_signing.version, 2);
    assert_true(opens(ks, 2) && opens(ks, 3));
    assert_ok(move_on(ks, 1));
    assert_true(opens(ks, 2));
    assert_ok(move_on(ks, 2));
    assert_int_equal(ks->state.previous_signing.version, 0);
    assert_false(opens(ks, 2));
    assert_true(opens(ks, 3));
}

static void a_newcomer_is_told_the_key_that_signs_its_next_push(void **state)
{
    struct ks *ks = *state;
    assert_ok(rotate(ks, 3));
    assert_int_equal(told_key(ks, 1), 2);
    assert_ok(move_on(ks, 1));
    assert_int_equal(told_key(ks, 1), 3);
    assert_int_equal(told_key(ks, 2), 2);
}

static void no_second_change_before_the_first_has_reached_all(void **state)
{
    struct ks *ks = *state;
    assert_ok(rotate(ks, 3));
    assert_err(rotate(ks, 4), E_STATE);
    assert_ok(move_on(ks, 1));
    assert_err(rotate(ks, 4), E_STATE);
    assert_int_equal(ks->state.signing.version, 3);
    assert_ok(move_on(ks, 2));
    assert_ok(rotate(ks, 4));
}

static void a_removed_group_needs_no_key(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_GROUP_DELETE, .u.group_delete.name = "red"};
    assert_ok(rotate(ks, 3));
    assert_ok(move_on(ks, 1));
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->state.previous_signing.version, 0);
}

static void a_kek_drawn_before_the_change_is_stale_after_it(void **state)
{
    struct ks *ks = *state;
    struct rekey_due due = {.group_id = 1, .kind = REKEY_KEK};
    struct rekey_draft *draft;
    struct command c;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
    rekey_draft_command(draft, ks->now_ms, &c);
    c.u.rekey.push = bytes_of_text("sealed");
    rekey_draft_free(draft);
    assert_ok(rotate(ks, 3));
    assert_err(apply(ks, &c), E_STALE);
    assert_int_equal(group_of(ks, 1)->record.kek.signing_version, 2);
}

static void a_row_of_a_key_that_is_not_the_one_before_is_refused(void **state)
{
    struct ks *ks = *state;
    static const uint64_t seed[2] = {1, 2};
    struct store_txn *txn;
    struct ks_state loaded;
    struct row_key row = previous_row_key();
    uint8_t buf[sizeof(struct signing_record) + 64];
    struct writer w = writer_over(buf, sizeof(buf));
    struct signing_record far = {.version = 7, .alg = SIGN_RSA, .bits = 2048};
    signing_record_encode(&w, &far);
    assert_ok(store_begin_write(ks->store, &txn));
    store_put(txn, TABLE_SIGNING, (struct bytes){row.data, row.len}, writer_bytes(&w));
    ks_state_init(&loaded, seed);
    assert_err(ks_state_load(&loaded, txn), E_CORRUPT);
    ks_state_close(&loaded);
    store_abort(txn);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_two_groups, ks_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_key_before_stays_until_every_kek_has_moved_on),
        T(a_newcomer_is_told_the_key_that_signs_its_next_push),
        T(no_second_change_before_the_first_has_reached_all),
        T(a_removed_group_needs_no_key),
        T(a_kek_drawn_before_the_change_is_stale_after_it),
        T(a_row_of_a_key_that_is_not_the_one_before_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

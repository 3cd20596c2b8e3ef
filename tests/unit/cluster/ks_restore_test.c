#include "cluster/ks_restore.h"

#include "cluster/ks_internal.h"
#include "cluster/ks_runway.h"
#include "tests/unit/cluster/ks_fixture.h"

static struct wrap_key other_key(void)
{
    struct wrap_key key = {.version = 3, .key.len = KEYWRAP_KEY_LEN};
    memset(key.key.data, 9, KEYWRAP_KEY_LEN);
    return key;
}

/* Group 1, "blue", as ks_setup_group has it, with a signing key that is sealed. */
static int setup(void **state)
{
    if (ks_setup(state) != 0)
        return -1;
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 3333);
    struct command c = {.type = CMD_CLUSTER_INIT, .u.cluster_init.cluster_id = {9, 9, 9}};
    if (apply(ks, &c) != E_OK || elect(ks, 1) != E_OK)
        return -1;
    c = (struct command){.type = CMD_SIGNING_KEY};
    if (ks_signing_seal(&ks->state, &ks->wrap, &ks->rng, SIGN_RSA, 2048, bytes_of_text("private"),
                        bytes_of_text("public"), &c.u.signing_key.key) != E_OK)
        return -1;
    return apply(ks, &c) == E_OK && set_group(ks, &config) == E_OK && rekey(ks, 1, REKEY_INITIAL) == E_OK
               ? 0
               : -1;
}

/* As the restore does: in memory, then all rows into an empty store, from which they must load alike. */
static void restore(struct ks *ks)
{
    struct wrap_key key = other_key();
    struct store_txn *txn;
    assert_ok(ks_restore(&ks->state, &ks->wrap, &key, &ks->rng));
    assert_ok(store_wipe(ks->store));
    assert_ok(store_begin_write(ks->store, &txn));
    ks_restore_rows(&ks->state, txn);
    assert_ok(store_commit(txn));
    compare_with_rows(ks);
    ks->wrap = key;
}

static void set_psk(struct ks *ks, const char *text)
{
    struct prefix peer = {addr_v4(10, 2, 0, 0), 16};
    struct command c = {.type = CMD_PSK_SET};
    assert_ok(ks_psk_seal(&ks->state, &ks->wrap, &ks->rng, &peer, bytes_of_text(text), &c.u.psk_set.psk));
    assert_ok(apply(ks, &c));
}

/* A token with a key, sealed as cluster_enrol.c does. */
static void set_token(struct ks *ks, uint8_t number, const char *key)
{
    struct command c = {.type = CMD_ENROL_SET};
    struct enrolment *e = &c.u.enrol_set.enrolment;
    struct secret clear = {0};
    uint8_t context[WRAP_CONTEXT_MAX];
    c.u.enrol_set.peer = (struct prefix){addr_v4(10, 1, 13, number), 32};
    *e = (struct enrolment){.is_set = true,
                            .group_id = ks->state.groups[0]->record.id,
                            .id = {number},
                            .expires_ms = ks->now_ms + 1000};
    assert_ok(secret_set(&clear, bytes_of_text(key)));
    assert_ok(keywrap_seal(&ks->wrap, &ks->rng,
                           wrap_context(&ks->state, 0, WRAP_ENROL, BYTES_OF(e->id), context),
                           secret_view(&clear), &e->key));
    secret_close(&clear);
    assert_ok(apply(ks, &c));
}

static void assert_token_opens(struct ks *ks, const struct addr *member, const char *key)
{
    uint8_t context[WRAP_CONTEXT_MAX];
    struct secret clear = {0};
    const struct psk_record *row = ks_state_enrolled(&ks->state, member);
    assert_non_null(row);
    assert_ok(keywrap_open(&ks->wrap,
                           wrap_context(&ks->state, 0, WRAP_ENROL, BYTES_OF(row->enrolment.id), context),
                           &row->enrolment.key, &clear));
    assert_true(bytes_equal(secret_view(&clear), bytes_of_text(key)));
    secret_close(&clear);
}

static void enrolled_members_stay_and_unused_tokens_are_over(void **state)
{
    struct ks *ks = *state;
    struct addr used = addr_v4(10, 1, 13, 2), unused = addr_v4(10, 1, 13, 3);
    static const uint8_t mac[ENROL_MAC_LEN] = {7}, another[ENROL_MAC_LEN] = {8};
    struct psk_record sealed = {0};
    struct secret psk = {0};
    struct prefix peer = {used, 32};
    set_token(ks, 2, "the key of a token that is used");
    set_token(ks, 3, "the key of one that is not used");
    struct command c = {.type = CMD_ENROL_USED};
    c.u.enrol_used = (struct cmd_enrol_used){.peer = peer, .token_id = {2}, .request_mac = {7}};
    assert_ok(ks_psk_seal(&ks->state, &ks->wrap, &ks->rng, &peer, bytes_of_text("what it got"), &sealed));
    c.u.enrol_used.psk = sealed.psk;
    assert_ok(apply(ks, &c));
    restore(ks);
    assert_ok(ks_psk_open(&ks->state, &ks->wrap, ks_state_psk(&ks->state, &used), &psk));
    assert_true(bytes_equal(secret_view(&psk), bytes_of_text("what it got")));
    secret_close(&psk);
    assert_token_opens(ks, &used, "the key of a token that is used");
    assert_token_opens(ks, &unused, "the key of one that is not used");
    const struct enrolment *e = &ks_state_enrolled(&ks->state, &used)->enrolment;
    assert_err(ks_enrolment_may_use(e, mac, ks->now_ms), E_EXISTS);
    assert_err(ks_enrolment_may_use(e, another, ks->now_ms), E_REPLAY);
    e = &ks_state_enrolled(&ks->state, &unused)->enrolment;
    assert_err(ks_enrolment_may_use(e, mac, ks->now_ms), E_EXPIRED);
}

static void secrets_open_under_the_new_id_and_key_and_under_no_old_one(void **state)
{
    struct ks *ks = *state;
    struct wrap_key old = ks->wrap;
    struct addr peer = addr_v4(10, 2, 7, 7);
    struct secret psk = {0};
    uint8_t private_key[SIGN_PRIVATE_MAX];
    size_t len;
    set_psk(ks, "a pre-shared secret");
    struct kek kek_before = {0}, kek_after = {0};
    assert_ok(ks_kek_open(&ks->state, group_of(ks, 1), &group_of(ks, 1)->record.kek, &ks->wrap, ks->now_ms,
                          &kek_before));
    restore(ks);
    assert_ok(ks_psk_open(&ks->state, &ks->wrap, ks_state_psk(&ks->state, &peer), &psk));
    assert_true(bytes_equal(secret_view(&psk), bytes_of_text("a pre-shared secret")));
    assert_err(ks_psk_open(&ks->state, &old, ks_state_psk(&ks->state, &peer), &psk), E_BAD_KEY);
    assert_ok(ks_signing_open(&ks->state, &ks->wrap, 1, private_key, &len));
    assert_memory_equal(private_key, "private", len);
    assert_ok(ks_kek_open(&ks->state, group_of(ks, 1), &group_of(ks, 1)->record.kek, &ks->wrap, ks->now_ms,
                          &kek_after));
    assert_true(secret_equal(secret_view(&kek_before.iv_key), secret_view(&kek_after.iv_key)));
    secret_close(&kek_before.iv_key);
    secret_close(&kek_after.iv_key);
}

static void members_and_policy_stay_and_the_old_cluster_is_gone(void **state)
{
    struct ks *ks = *state;
    uint8_t id[CLUSTER_ID_LEN], nobody[NODE_ID_LEN] = {0};
    struct command c = {.type = CMD_NODE_SET,
                        .u.node_set.node = {.id = {5}, .role = NODE_VOTER, .priority = 1}};
    assert_ok(apply(ks, &c));
    assert_ok(join(ks, 1, 1));
    assert_ok(join(ks, 1, 2));
    struct group_config config = group_of(ks, 1)->record.config;
    memcpy(id, ks->state.cluster.cluster_id, sizeof(id));
    restore(ks);
    assert_true(group_config_equal(&group_of(ks, 1)->record.config, &config));
    assert_non_null(member_of(ks, 1, 1));
    assert_non_null(member_of(ks, 1, 2));
    assert_memory_not_equal(ks->state.cluster.cluster_id, id, sizeof(id));
    assert_memory_equal(ks->state.cluster.primary_id, nobody, sizeof(nobody));
    assert_true(ks->state.cluster.coop_epoch > RESTORE_EPOCH_JUMP);
    assert_int_equal(ks->state.node_count, 0);
    assert_int_equal(ks->state.ca.cert_len, 0);
}

/* The lost cluster may have made this many rekeys after the backup; the next number is beyond them all. */
static void the_next_push_is_beyond_all_that_came_after_the_backup(void **state)
{
    struct ks *ks = *state;
    struct command c;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    restore(ks);
    assert_ok(elect(ks, ks->state.cluster.coop_epoch + 1));
    assert_ok(rekey_with_push(ks, 1, REKEY_KEK, false, &c));
    assert_int_equal(c.u.rekey.seq, 1 + RESTORE_SEQ_JUMP + 1);
    assert_true(c.u.rekey.generation > RESTORE_SEQ_JUMP);
}

/* It brings a new KEK: engine and plan go by the signing key that a KEK was made with. */
static void every_group_is_due_for_a_new_kek(void **state)
{
    struct ks *ks = *state;
    struct command c;
    assert_int_equal(group_of(ks, 1)->record.kek.signing_version, ks->state.signing.version);
    restore(ks);
    assert_int_not_equal(group_of(ks, 1)->record.kek.signing_version, ks->state.signing.version);
    assert_ok(elect(ks, ks->state.cluster.coop_epoch + 1));
    assert_ok(rekey_with_push(ks, 1, REKEY_KEK, false, &c));
    assert_int_equal(group_of(ks, 1)->record.kek.signing_version, ks->state.signing.version);
}

/* The signing key was changed just before the backup: members of the KEK verify with the one before. */
static void the_signing_key_before_is_kept_for_the_kek_that_needs_it(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_SIGNING_KEY};
    uint8_t private_key[SIGN_PRIVATE_MAX];
    size_t len;
    assert_ok(ks_signing_seal(&ks->state, &ks->wrap, &ks->rng, SIGN_RSA, 2048, bytes_of_text("another"),
                              bytes_of_text("public 2"), &c.u.signing_key.key));
    assert_ok(apply(ks, &c));
    assert_int_equal(ks->state.previous_signing.version, 1);
    restore(ks);
    assert_int_equal(group_of(ks, 1)->record.kek.signing_version, 1);
    assert_ok(ks_signing_open(&ks->state, &ks->wrap, 1, private_key, &len));
    assert_memory_equal(private_key, "private", len);
    assert_ok(ks_signing_open(&ks->state, &ks->wrap, 2, private_key, &len));
    assert_memory_equal(private_key, "another", len);
}

static void a_push_that_was_going_on_is_not_sent_again(void **state)
{
    struct ks *ks = *state;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_true(group_of(ks, 1)->pushing);
    restore(ks);
    assert_false(group_of(ks, 1)->pushing);
    assert_null(group_of(ks, 1)->push);
}

/* Minority servers may have told them to members as what they were. */
static void keys_that_lay_ahead_are_not_used_any_more(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("blue", 3333);
    struct command c;
    config.runway = 2;
    assert_ok(set_group(ks, &config));
    assert_ok(ks_runway_make(&ks->state, 1, &ks->wrap, &ks->rng, ks->now_ms, &c));
    assert_ok(apply(ks, &c));
    uint32_t ahead = group_of(ks, 1)->record.runway[0].spi;
    restore(ks);
    assert_int_equal(group_of(ks, 1)->record.runway_count, 0);
    assert_ok(elect(ks, ks->state.cluster.coop_epoch + 1));
    assert_ok(rekey_with_push(ks, 1, REKEY_KEK, false, &c));
    assert_int_not_equal(c.u.rekey.tek.spi, ahead);
}

/* Sender ids that the lost cluster gave out after the backup are unknown, so no key from before is told with
 * one. */
static void sender_ids_start_again_with_a_new_key(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("counter", 4444);
    struct group_policy policy;
    struct command c;
    config.suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    config.sid_bits = 8;
    assert_ok(set_group(ks, &config));
    assert_ok(rekey(ks, 2, REKEY_INITIAL));
    const struct group_record *r = &group_of(ks, 2)->record;
    assert_ok(register_as(ks, 2, 1, r->generation, r->seq, 1));
    assert_false(rekey_changes_sids(r));
    restore(ks);
    r = &group_of(ks, 2)->record;
    assert_true(rekey_changes_sids(r));
    assert_err(ks_group_policy(&ks->state, group_of(ks, 2), &ks->wrap, NULL, ks->now_ms, &policy), E_EXPIRED);
    assert_ok(elect(ks, ks->state.cluster.coop_epoch + 1));
    assert_ok(rekey_with_push(ks, 2, REKEY_KEK, true, &c));
    assert_false(rekey_changes_sids(&group_of(ks, 2)->record));
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 2), &ks->wrap, NULL, ks->now_ms, &policy));
    assert_int_equal(policy.tek_count, 1);
    assert_int_equal(policy.teks[0].spi, c.u.rekey.tek.spi);
    group_policy_close(&policy);
}

static uint32_t draw_spi(struct ks *ks)
{
    struct tek_record record;
    struct tek clear;
    assert_ok(ks_tek_draw(&ks->state, group_of(ks, 1), &ks->wrap, &ks->rng, &record, &clear));
    secret_close(&clear.key);
    secret_close(&clear.integrity);
    return record.spi;
}

/* Whatever the lost cluster drew after the backup. */
static void no_spi_of_the_lost_cluster_is_drawn_again(void **state)
{
    struct ks *ks = *state;
    uint32_t before = draw_spi(ks) & 0xf;
    for (int i = 0; i < 50; i++)
        assert_int_equal(draw_spi(ks) & 0xf, before);
    for (int again = 0; again < 40; again++) {
        uint32_t lane = ks_spi_lane(ks->state.cluster.cluster_id);
        restore(ks);
        assert_int_not_equal(ks_spi_lane(ks->state.cluster.cluster_id), lane);
        assert_int_equal(draw_spi(ks) & 0xf, ks_spi_lane(ks->state.cluster.cluster_id));
    }
}

static void the_wrong_data_key_restores_nothing(void **state)
{
    struct ks *ks = *state;
    struct wrap_key wrong = other_key(), key = other_key();
    wrong.version = ks->wrap.version;
    assert_err(ks_restore(&ks->state, &wrong, &key, &ks->rng), E_CORRUPT);
}

static void after_too_many_restores_a_group_says_so(void **state)
{
    struct ks *ks = *state;
    struct wrap_key key = ks->wrap;
    err_t err = E_OK;
    int count = 0;
    while ((err = ks_restore(&ks->state, &key, &key, &ks->rng)) == E_OK && count < 1000)
        count++;
    assert_err(err, E_LIMIT);
    assert_int_equal(count, 254);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(enrolled_members_stay_and_unused_tokens_are_over, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(secrets_open_under_the_new_id_and_key_and_under_no_old_one, setup,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(members_and_policy_stay_and_the_old_cluster_is_gone, setup,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(the_next_push_is_beyond_all_that_came_after_the_backup, setup,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(every_group_is_due_for_a_new_kek, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(the_signing_key_before_is_kept_for_the_kek_that_needs_it, setup,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_push_that_was_going_on_is_not_sent_again, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(keys_that_lay_ahead_are_not_used_any_more, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(sender_ids_start_again_with_a_new_key, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(no_spi_of_the_lost_cluster_is_drawn_again, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(the_wrong_data_key_restores_nothing, setup, ks_teardown),
        cmocka_unit_test_setup_teardown(after_too_many_restores_a_group_says_so, setup, ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "cluster/rekey_plan.h"

#include "proto/crypto/sign.h"
#include "tests/unit/cluster/ks_fixture.h"

enum { DUE_MAX = 8 };

struct plan {
    struct rekey_due due[DUE_MAX];
    size_t count;
    uint64_t next_ms;
};

static struct plan plan_at(const struct ks *ks, uint64_t now_ms)
{
    struct plan p;
    p.count = rekey_plan(&ks->state, now_ms, p.due, DUE_MAX, &p.next_ms);
    return p;
}

static void nothing_is_due_without_a_signing_key(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_CLUSTER_INIT};
    assert_ok(apply(ks, &c));
    struct group_config config = test_config("blue", 1);
    assert_ok(set_group(ks, &config));
    struct plan p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, UINT64_MAX);
    assert_ok(set_signing(ks, 1));
    p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.due[0].kind, REKEY_INITIAL);
    assert_int_equal(p.due[0].group_id, 1);
}

/* PROTOCOL 6: 90 s + 2 retransmits of 10 s + 5 s before the end; wake-ups to the millisecond. */
static void a_tek_is_due_its_lead_before_its_end_and_not_a_millisecond_earlier(void **state)
{
    struct ks *ks = *state;
    assert_int_equal(tek_lead_s(&group_of(ks, 1)->record.config), 115);
    uint64_t due_ms = start_ms + (3600 - 115) * 1000;
    struct plan p = plan_at(ks, start_ms);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, due_ms);
    p = plan_at(ks, due_ms - 1);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, due_ms);
    p = plan_at(ks, due_ms);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.due[0].kind, REKEY_TEK);
    assert_int_equal(p.next_ms, UINT64_MAX);
}

static void a_kek_is_due_its_lead_before_its_end(void **state)
{
    struct ks *ks = *state;
    assert_int_equal(kek_lead_s(&group_of(ks, 1)->record.config), 225);
    /* Fresh TEKs all along, so that only the KEK's time shows. */
    uint64_t due_ms = start_ms + (86400 - 225) * 1000;
    ks->now_ms = due_ms - 1000;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    struct plan p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, due_ms);
    p = plan_at(ks, due_ms);
    assert_int_equal(p.due[0].kind, REKEY_KEK);
}

static void a_short_life_is_halved(void **state)
{
    (void)state;
    struct group_config config = test_config("short", 1);
    config.tek_lifetime_s = 30;
    config.kek_lifetime_s = 60;
    assert_int_equal(tek_lead_s(&config), 15);
    assert_int_equal(kek_lead_s(&config), 30);
}

static void a_group_that_is_pushing_is_left_out(void **state)
{
    struct ks *ks = *state;
    assert_ok(rekey(ks, 1, REKEY_TEK));
    struct plan p = plan_at(ks, start_ms + (uint64_t)90000 * 1000);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, UINT64_MAX);
}

static void after_the_end_of_the_kek_keys_begin_anew(void **state)
{
    struct ks *ks = *state;
    struct plan p = plan_at(ks, start_ms + (uint64_t)86400 * 1000);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.due[0].kind, REKEY_INITIAL);
}

static void a_change_that_members_must_know_is_due_at_once(void **state)
{
    struct ks *ks = *state;
    struct group_config config = group_of(ks, 1)->record.config;
    config.selectors[0].protocol = 6;
    assert_ok(set_group(ks, &config));
    struct plan p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.due[0].kind, REKEY_POLICY);
    assert_false(p.due[0].sid_reset);
    assert_ok(rekey(ks, 1, REKEY_POLICY));
    assert_ok(push_done(ks, 1, 1, NULL, 0));
    assert_int_equal(plan_at(ks, ks->now_ms).count, 0);
}

static void another_lifetime_waits_for_the_next_keys(void **state)
{
    struct ks *ks = *state;
    struct group_config config = group_of(ks, 1)->record.config;
    config.tek_lifetime_s = 7200;
    assert_ok(set_group(ks, &config));
    struct plan p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, start_ms + (3600 - 115) * 1000); /* the key lives as long as it was told to */
}

static void sender_ids_are_renewed_when_seven_eighths_are_used(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("gcm", 4);
    config.suite = (struct esp_suite){ESP_AES_GCM_16, 128, AUTH_NONE};
    config.sid_bits = 8;
    assert_ok(set_group(ks, &config));
    uint32_t id = ks->result.group_id;
    assert_ok(rekey(ks, id, REKEY_INITIAL));
    struct group_record *r = &ks->state.groups[1]->record;
    r->next_sid = 223;
    uint64_t later = start_ms + 100000;
    assert_int_equal(plan_at(ks, later).count, 0);
    r->next_sid = 224;
    struct plan p = plan_at(ks, later);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.due[0].kind, REKEY_TEK);
    assert_true(p.due[0].sid_reset);
    /* Members that use them up as fast as they are renewed do not keep the group rekeying without pause. */
    p = plan_at(ks, start_ms + 59999);
    assert_int_equal(p.count, 0);
    assert_int_equal(p.next_ms, start_ms + 60000);
}

static void another_length_of_sender_ids_starts_them_again(void **state)
{
    struct ks *ks = *state;
    struct group_config config = group_of(ks, 1)->record.config;
    config.suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    config.sid_bits = 8;
    assert_ok(set_group(ks, &config));
    struct plan p = plan_at(ks, ks->now_ms);
    assert_int_equal(p.due[0].kind, REKEY_POLICY);
    assert_true(p.due[0].sid_reset);
}

static void what_does_not_fit_is_due_at_the_next_look(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("red", 2);
    assert_ok(set_group(ks, &config));
    config = test_config("green", 3);
    assert_ok(set_group(ks, &config));
    struct rekey_due due;
    uint64_t next_ms;
    assert_int_equal(rekey_plan(&ks->state, ks->now_ms, &due, 1, &next_ms), 1);
    assert_int_equal(next_ms, ks->now_ms);
}

/* With a real signing key: what the primary seals, a member opens. */
static int setup_signed(void **state)
{
    if (ks_setup(state) != 0)
        return -1;
    struct ks *ks = *state;
    uint8_t priv[SIGN_PRIVATE_MAX], pub[SIGN_PUBLIC_MAX];
    size_t priv_len, pub_len;
    struct command c = {.type = CMD_CLUSTER_INIT, .u.cluster_init.cluster_id = {8}};
    if (apply(ks, &c) != E_OK || elect(ks, 1) != E_OK)
        return -1;
    if (sign_key_make(SIGN_ECDSA_256, 0, priv, &priv_len, pub, &pub_len) != E_OK)
        return -1;
    c = (struct command){.type = CMD_SIGNING_KEY};
    if (ks_signing_seal(&ks->state, &ks->wrap, &ks->rng, SIGN_ECDSA_256, 256, (struct bytes){priv, priv_len},
                        (struct bytes){pub, pub_len}, &c.u.signing_key.key) != E_OK ||
        apply(ks, &c) != E_OK)
        return -1;
    struct group_config config = test_config("blue", 3333);
    return set_group(ks, &config) == E_OK && rekey(ks, 1, REKEY_INITIAL) == E_OK ? 0 : -1;
}

static struct sign_key *open_signing(const struct ks *ks)
{
    uint8_t pkcs8[SIGN_PRIVATE_MAX];
    size_t len;
    struct sign_key *key;
    assert_ok(ks_signing_open(&ks->state, &ks->wrap, ks->state.signing.version, pkcs8, &len));
    assert_ok(sign_key_open((struct bytes){pkcs8, len}, &key));
    return key;
}

static struct rekey_draft *sealed(struct ks *ks, enum rekey_kind kind, bool sid_reset)
{
    struct rekey_due due = {.group_id = 1, .kind = kind, .sid_reset = sid_reset};
    struct rekey_draft *draft;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
    struct sign_key *key = open_signing(ks);
    rekey_draft_seal(draft, key);
    sign_key_free(key);
    assert_ok(draft->err);
    return draft;
}

static void a_member_opens_the_push_and_finds_the_keys_of_the_command(void **state)
{
    struct ks *ks = *state;
    struct group_policy before, after;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &before));
    struct push_member member = {0};
    assert_ok(push_member_open(&member, &before.kek, 0, false));
    static const enum rekey_kind kinds[] = {REKEY_TEK, REKEY_KEK, REKEY_TEK};
    for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct rekey_draft *draft = sealed(ks, kinds[i], false);
        struct command c;
        rekey_draft_command(draft, ks->now_ms, &c);
        assert_ok(apply(ks, &c));
        static struct push_received got;
        static uint8_t plain[ISAKMP_MESSAGE_MAX];
        got = (struct push_received){0};
        assert_ok(push_member_open_message(&member, c.u.rekey.push, plain, &got));
        assert_int_equal(got.seq, i + 1);
        assert_int_equal(got.policy.has_kek, kinds[i] == REKEY_KEK);
        assert_ok(push_member_accept(&member, &got));
        /* What a newcomer is told now is what the push brought. */
        assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &after));
        const struct tek *newest = &after.teks[after.tek_count - 1];
        assert_int_equal(got.policy.teks[0].spi, newest->spi);
        assert_true(secret_equal(secret_view(&got.policy.teks[0].key), secret_view(&newest->key)));
        assert_true(
            secret_equal(secret_view(&got.policy.teks[0].integrity), secret_view(&newest->integrity)));
        assert_true(secret_equal(secret_view(&member.kek.iv_key), secret_view(&after.kek.iv_key)));
        push_received_close(&got);
        group_policy_close(&after);
        rekey_draft_free(draft);
        assert_ok(push_done(ks, 1, i + 1, NULL, 0));
    }
    push_member_close(&member);
    group_policy_close(&before);
}

static void a_reset_of_sender_ids_sends_members_back_to_register(void **state)
{
    struct ks *ks = *state;
    struct group_policy before;
    assert_ok(ks_group_policy(&ks->state, group_of(ks, 1), &ks->wrap, NULL, ks->now_ms, &before));
    struct push_member member = {0};
    assert_ok(push_member_open(&member, &before.kek, 0, false));
    struct rekey_draft *draft = sealed(ks, REKEY_TEK, true);
    static struct push_received got;
    static uint8_t plain[ISAKMP_MESSAGE_MAX];
    assert_ok(push_member_open_message(&member, (struct bytes){draft->push, draft->push_len}, plain, &got));
    assert_false(got.has_policy);
    assert_int_equal(got.delete_count, 1);
    assert_true(got.deletes[0].all);
    push_received_close(&got);
    rekey_draft_free(draft);
    push_member_close(&member);
    group_policy_close(&before);
}

static void spis_are_usable_and_unlike(void **state)
{
    struct ks *ks = *state;
    for (int i = 0; i < 200; i++) {
        struct rekey_due due = {.group_id = 1, .kind = REKEY_KEK};
        struct rekey_draft *draft;
        assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
        assert_true(draft->command.tek.spi >= 256); /* RFC 4303 2.1 */
        assert_int_not_equal(draft->command.tek.spi, group_of(ks, 1)->record.teks[0].spi);
        assert_false(cookie_is_zero(draft->command.kek.spi));
        rekey_draft_free(draft);
    }
}

static void every_failed_allocation_of_a_draft_is_survived(void **state)
{
    struct ks *ks = *state;
    struct rekey_due due = {.group_id = 1, .kind = REKEY_KEK};
    heap_fault_after(0);
    struct rekey_draft *draft;
    err_t err = rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft);
    assert_true(heap_fault_hit());
    heap_fault_after(-1);
    assert_err(err, E_NO_MEMORY);
    assert_null(draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_due_without_a_signing_key, ks_setup, ks_teardown),
        cmocka_unit_test_setup_teardown(a_tek_is_due_its_lead_before_its_end_and_not_a_millisecond_earlier,
                                        ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(a_kek_is_due_its_lead_before_its_end, ks_setup_group, ks_teardown),
        cmocka_unit_test(a_short_life_is_halved),
        cmocka_unit_test_setup_teardown(a_group_that_is_pushing_is_left_out, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(after_the_end_of_the_kek_keys_begin_anew, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_change_that_members_must_know_is_due_at_once, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(another_lifetime_waits_for_the_next_keys, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(sender_ids_are_renewed_when_seven_eighths_are_used, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(another_length_of_sender_ids_starts_them_again, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_due_at_the_next_look, ks_setup_group,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(a_member_opens_the_push_and_finds_the_keys_of_the_command,
                                        setup_signed, ks_teardown),
        cmocka_unit_test_setup_teardown(a_reset_of_sender_ids_sends_members_back_to_register, setup_signed,
                                        ks_teardown),
        cmocka_unit_test_setup_teardown(spis_are_usable_and_unlike, ks_setup_group, ks_teardown),
        cmocka_unit_test_setup_teardown(every_failed_allocation_of_a_draft_is_survived, ks_setup_group,
                                        ks_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

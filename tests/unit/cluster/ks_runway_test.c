#include "cluster/ks_runway.h"

#include "tests/unit/cluster/ks_fixture.h"

enum { LIFE_S = 3600, LEAD_S = 115, STEP_MS = (LIFE_S - LEAD_S) * 1000 };

static err_t make_runway(struct ks *ks, struct command *c)
{
    assert_ok(ks_runway_make(&ks->state, 1, &ks->wrap, &ks->rng, ks->now_ms, c));
    return apply(ks, c);
}

static const struct group_record *blue(const struct ks *ks)
{
    return &group_of(ks, 1)->record;
}

static void configure(struct ks *ks, uint8_t runway)
{
    struct group_config config = blue(ks)->config;
    config.runway = runway;
    assert_ok(set_group(ks, &config));
}

/* A group with its first TEK, from start_ms, and two keys ahead. */
static int setup_runway(void **state)
{
    struct command c;
    if (ks_setup_group(state) != 0)
        return -1;
    configure(*state, 2);
    return make_runway(*state, &c) == E_OK ? 0 : -1;
}

static err_t push_at(struct ks *ks, uint64_t now_ms, enum rekey_kind kind, bool split, struct command *out)
{
    static const uint8_t push[] = "sealed";
    struct rekey_due due = {.group_id = 1, .kind = kind, .split = split};
    struct rekey_draft *draft;
    ks->now_ms = now_ms;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, now_ms, &draft));
    rekey_draft_command(draft, now_ms, out);
    out->u.rekey.push = (struct bytes){push, sizeof(push)};
    rekey_draft_free(draft);
    err_t err = apply(ks, out);
    return err == E_OK ? push_done(ks, 1, blue(ks)->seq, NULL, 0) : err;
}

static void told(const struct ks *ks, const struct ks_group *group, enum ks_contact contact, uint64_t now_ms,
                 struct group_policy *out)
{
    assert_ok(ks_group_policy_in(&ks->state, group, &ks->wrap, NULL, contact, now_ms, out));
}

static void keys_ahead_are_committed_wrapped_and_under_spis_of_their_own(void **state)
{
    struct ks *ks = *state;
    const struct group_record *r = blue(ks);
    assert_int_equal(r->runway_count, 2);
    assert_false(ks_runway_due(r));
    assert_true(r->runway[0].spi != r->runway[1].spi && r->runway[0].spi != r->teks[0].spi);
    assert_int_equal(ks_runway_start_ms(r, 0), start_ms + STEP_MS);
    assert_int_equal(ks_runway_start_ms(r, 1), start_ms + 2 * (uint64_t)STEP_MS);
    struct tek clear;
    uint8_t context[WRAP_CONTEXT_MAX], row[RECORD_LEN_MAX];
    uint8_t name[4] = {(uint8_t)(r->runway[0].spi >> 24), (uint8_t)(r->runway[0].spi >> 16),
                       (uint8_t)(r->runway[0].spi >> 8), (uint8_t)r->runway[0].spi};
    assert_ok(keywrap_open(&ks->wrap, wrap_context(&ks->state, 1, WRAP_TEK_KEY, BYTES_OF(name), context),
                           &r->runway[0].key, &clear.key));
    struct writer w = writer_over(row, sizeof(row));
    group_record_encode(&w, r);
    assert_null(memmem(row, w.len, clear.key.data, clear.key.len));
    secret_close(&clear.key);
}

static void a_rekey_on_time_takes_the_first_key_from_its_start(void **state)
{
    struct ks *ks = *state;
    struct command c;
    uint32_t first = blue(ks)->runway[0].spi, second = blue(ks)->runway[1].spi;
    assert_ok(push_at(ks, start_ms + STEP_MS + 700, REKEY_TEK, false, &c));
    assert_int_equal(c.u.rekey.tek.spi, first);
    assert_int_equal(blue(ks)->teks[1].spi, first);
    assert_int_equal(blue(ks)->teks[1].created_ms, start_ms + STEP_MS);
    assert_int_equal(blue(ks)->runway_count, 1);
    assert_int_equal(blue(ks)->runway[0].spi, second);
    assert_true(ks_runway_due(blue(ks)));
    assert_ok(make_runway(ks, &c));
    assert_int_equal(blue(ks)->runway_count, 2);
    assert_int_equal(blue(ks)->runway[0].spi, second);
}

static void a_push_a_moment_after_the_turn_tells_the_whole_life_and_a_registration_whole_seconds(void **state)
{
    struct ks *ks = *state;
    struct rekey_due due = {.group_id = 1, .kind = REKEY_TEK};
    struct rekey_draft *draft;
    struct group_policy policy;
    struct command c;
    uint64_t now_ms = start_ms + STEP_MS + 57;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, now_ms, &draft));
    assert_int_equal(draft->policy.teks[0].lifetime_s, LIFE_S);
    rekey_draft_free(draft);
    assert_ok(push_at(ks, now_ms, REKEY_TEK, false, &c));
    told(ks, group_of(ks, 1), CONTACT_WHOLE, now_ms, &policy);
    assert_int_equal(policy.tek_count, 2);
    assert_int_equal(policy.teks[1].lifetime_s, LIFE_S - 1);
    group_policy_close(&policy);
}

/* The minority is the group as it was when contact was lost; the majority goes on. */
static void both_sides_of_a_split_roll_to_the_same_keys(void **state)
{
    struct ks *ks = *state;
    struct command c;
    struct ks_group minority = *group_of(ks, 1);
    for (int step = 1; step <= 2; step++) {
        uint64_t at_ms = start_ms + (uint64_t)step * STEP_MS;
        struct group_policy before, ours, theirs;
        told(ks, &minority, CONTACT_MINORITY, at_ms - 1, &before);
        assert_int_equal(before.tek_count, 1);
        group_policy_close(&before);
        assert_ok(push_at(ks, at_ms + 300, REKEY_TEK, true, &c));
        assert_ok(make_runway(ks, &c));
        told(ks, &minority, CONTACT_MINORITY, ks->now_ms, &ours);
        told(ks, group_of(ks, 1), CONTACT_SPLIT, ks->now_ms, &theirs);
        assert_int_equal(ours.tek_count, 2);
        assert_int_equal(theirs.tek_count, 2);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ours.teks[i].spi, theirs.teks[i].spi);
            assert_int_equal(ours.teks[i].lifetime_s, theirs.teks[i].lifetime_s);
            assert_true(secret_equal(secret_view(&ours.teks[i].key), secret_view(&theirs.teks[i].key)));
        }
        assert_int_equal(ours.activation_s, theirs.activation_s);
        group_policy_close(&ours);
        group_policy_close(&theirs);
    }
    struct group_policy end;
    uint64_t over_ms = start_ms + 2 * (uint64_t)STEP_MS + LIFE_S * 1000;
    assert_err(ks_group_policy_in(&ks->state, &minority, &ks->wrap, NULL, CONTACT_MINORITY, over_ms, &end),
               E_EXPIRED);
}

static void nobody_but_the_minority_is_told_a_key_ahead(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    told(ks, group_of(ks, 1), CONTACT_SPLIT, start_ms + STEP_MS + 5000, &p);
    assert_int_equal(p.tek_count, 1);
    group_policy_close(&p);
}

/* Members of the other side have until then to fetch it. */
static void in_a_split_the_new_key_takes_over_just_before_the_end_of_the_old_one(void **state)
{
    struct ks *ks = *state;
    struct group_policy p;
    uint64_t now_ms = start_ms + STEP_MS + 20000;
    told(ks, group_of(ks, 1), CONTACT_MINORITY, now_ms, &p);
    assert_int_equal(p.activation_s, LEAD_S - 20 - LATE_MARGIN_MAX_S);
    assert_true(p.deactivation_s >= p.activation_s);
    group_policy_close(&p);
    const struct group_config *config = &blue(ks)->config;
    assert_int_equal(ks_activation_s(config, now_ms + 60000, now_ms, false), config->activation_s);
    assert_int_equal(ks_activation_s(config, now_ms + 60000, now_ms, true), 50);
    assert_int_equal(ks_activation_s(config, now_ms + 11000, now_ms, true), config->activation_s);
    assert_int_equal(ks_activation_s(config, 0, now_ms, true), config->activation_s);
}

static void an_early_rekey_moves_the_schedule_but_not_in_a_split(void **state)
{
    struct ks *ks = *state;
    struct command c;
    assert_ok(push_at(ks, start_ms + 60000, REKEY_KEK, true, &c));
    assert_int_equal(blue(ks)->teks[1].created_ms, start_ms + STEP_MS);
    assert_int_equal(ks_runway_start_ms(blue(ks), 0), start_ms + 2 * (uint64_t)STEP_MS);
    assert_ok(push_at(ks, start_ms + 120000, REKEY_TEK, false, &c));
    assert_int_equal(blue(ks)->teks[2].created_ms, start_ms + 120000);
}

static void a_key_whose_turn_is_over_is_passed_over(void **state)
{
    struct ks *ks = *state;
    struct command c;
    uint32_t second = blue(ks)->runway[1].spi;
    assert_ok(push_at(ks, start_ms + 2 * (uint64_t)STEP_MS + 10, REKEY_TEK, false, &c));
    assert_int_equal(c.u.rekey.tek.spi, second);
    assert_int_equal(blue(ks)->runway_count, 0);
    assert_ok(make_runway(ks, &c));
    uint64_t created_ms;
    assert_null(ks_runway_take(blue(ks), start_ms + 10 * (uint64_t)STEP_MS, false, &created_ms));
}

static void keys_of_another_policy_are_replaced(void **state)
{
    struct ks *ks = *state;
    struct command c;
    uint32_t old[2] = {blue(ks)->runway[0].spi, blue(ks)->runway[1].spi};
    struct group_config config = blue(ks)->config;
    config.suite = (struct esp_suite){ESP_AES_CBC, 128, AUTH_HMAC_SHA256};
    assert_ok(set_group(ks, &config));
    assert_int_equal(ks_runway_usable(blue(ks)), 0);
    assert_ok(push_at(ks, start_ms + 1000, REKEY_POLICY, false, &c));
    assert_true(c.u.rekey.tek.spi != old[0] && c.u.rekey.tek.spi != old[1]);
    assert_int_equal(blue(ks)->runway_count, 0);
    assert_ok(make_runway(ks, &c));
    for (int i = 0; i < 2; i++) {
        assert_true(blue(ks)->runway[i].spi != old[0] && blue(ks)->runway[i].spi != old[1]);
        assert_int_equal(blue(ks)->runway[i].suite.key_bits, 128);
    }
    config.runway = 0;
    assert_ok(set_group(ks, &config));
    assert_ok(make_runway(ks, &c));
    assert_int_equal(blue(ks)->runway_count, 0);
}

static void counter_modes_have_no_runway_and_are_refused_in_the_minority(void **state)
{
    struct ks *ks = *state;
    struct group_config config = test_config("red", 4444);
    struct group_policy p;
    config.suite = (struct esp_suite){ESP_AES_GCM_16, 256, AUTH_NONE};
    config.sid_bits = 8;
    config.runway = 2;
    assert_ok(set_group(ks, &config));
    assert_ok(rekey(ks, 2, REKEY_INITIAL));
    assert_false(ks_runway_due(&group_of(ks, 2)->record));
    assert_err(
        ks_group_policy_in(&ks->state, group_of(ks, 2), &ks->wrap, NULL, CONTACT_MINORITY, ks->now_ms, &p),
        E_NO_QUORUM);
}

static void an_ended_kek_is_left_out_by_the_minority_only(void **state)
{
    struct ks *ks = *state;
    struct group_config config = blue(ks)->config;
    struct group_policy p;
    config.kek_lifetime_s = 900;
    assert_ok(set_group(ks, &config));
    struct command c;
    assert_ok(push_at(ks, ks->now_ms, REKEY_KEK, false, &c));
    uint64_t later_ms = ks->now_ms + 901000;
    told(ks, group_of(ks, 1), CONTACT_MINORITY, later_ms, &p);
    assert_false(p.has_kek);
    assert_int_not_equal(p.tek_count, 0);
    group_policy_close(&p);
    assert_err(ks_group_policy_in(&ks->state, group_of(ks, 1), &ks->wrap, NULL, CONTACT_SPLIT, later_ms, &p),
               E_EXPIRED);
}

static void a_runway_made_for_another_state_is_refused(void **state)
{
    struct ks *ks = *state;
    struct command made, c;
    configure(ks, 3);
    assert_ok(ks_runway_make(&ks->state, 1, &ks->wrap, &ks->rng, ks->now_ms, &made));
    c = made;
    c.u.runway_set.epoch++;
    assert_err(apply(ks, &c), E_STALE);
    c = made;
    c.u.runway_set.generation++;
    assert_err(apply(ks, &c), E_STALE);
    c = made;
    c.u.runway_set.policy_version--;
    assert_err(apply(ks, &c), E_STALE);
    c = made;
    c.u.runway_set.group_id = 9;
    assert_err(apply(ks, &c), E_UNKNOWN_GROUP);
    c = made;
    c.u.runway_set.teks[2].spi = c.u.runway_set.teks[0].spi;
    assert_err(apply(ks, &c), E_EXISTS);
    c = made;
    c.u.runway_set.teks[2].spi = blue(ks)->teks[0].spi;
    assert_err(apply(ks, &c), E_EXISTS);
    assert_int_equal(blue(ks)->runway_count, 2);
    assert_ok(apply(ks, &made));
    assert_int_equal(blue(ks)->runway_count, 3);
    assert_err(ks_runway_make(&ks->state, 1, &ks->wrap, &ks->rng, ks->now_ms, &c), E_STATE);
}

static void a_rekey_with_another_key_under_a_spi_of_the_runway_is_refused(void **state)
{
    struct ks *ks = *state;
    struct command c;
    struct rekey_due due = {.group_id = 1, .kind = REKEY_TEK};
    struct rekey_draft *draft;
    assert_ok(rekey_draft_make(&ks->state, &due, &ks->wrap, &ks->rng, ks->now_ms, &draft));
    rekey_draft_command(draft, ks->now_ms, &c);
    c.u.rekey.push = (struct bytes){(const uint8_t *)"x", 1};
    c.u.rekey.tek.key.data[9] ^= 1;
    assert_err(apply(ks, &c), E_EXISTS);
    rekey_draft_free(draft);
}

static err_t served(struct ks *ks, uint8_t n, uint64_t served_ms)
{
    struct command c = {.type = CMD_MEMBER_SERVED};
    c.u.member_served = (struct cmd_member_served){.group_id = 1,
                                                   .identity = member_id(n),
                                                   .endpoint = {addr_v4(10, 2, 2, n), 848},
                                                   .served_ms = served_ms};
    memcpy(c.u.member_served.key_server, this_node, NODE_ID_LEN);
    return apply(ks, &c);
}

static void who_was_served_by_the_minority_becomes_a_member_after_healing(void **state)
{
    struct ks *ks = *state;
    assert_ok(served(ks, 7, ks->now_ms));
    assert_true(ks->result.created);
    assert_int_equal(member_of(ks, 1, 7)->registrations, 1);
    assert_int_equal(member_of(ks, 1, 7)->seq_base, blue(ks)->seq);
    assert_err(served(ks, 7, ks->now_ms), E_STALE);
    ks->now_ms += 5000;
    assert_ok(join(ks, 1, 7));
    assert_err(served(ks, 7, ks->now_ms - 1), E_STALE); /* the registration with a quorum came later */
    assert_ok(rekey(ks, 1, REKEY_TEK));
    assert_ok(served(ks, 8, ks->now_ms)); /* and the push that is going on is for it */
    assert_int_equal(member_of(ks, 1, 8)->seq_base, blue(ks)->seq - 1);
}

static void a_member_that_was_revoked_meanwhile_stays_out(void **state)
{
    struct ks *ks = *state;
    struct group_config config = blue(ks)->config;
    config.rules[0] = (struct member_rule){.identity = member_id(1)};
    config.rule_count = 1;
    assert_ok(set_group(ks, &config));
    assert_int_not_equal(served(ks, 7, ks->now_ms), E_OK);
    assert_null(member_of(ks, 1, 7));
}

#define WITH_RUNWAY(test) cmocka_unit_test_setup_teardown(test, setup_runway, ks_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RUNWAY(keys_ahead_are_committed_wrapped_and_under_spis_of_their_own),
        WITH_RUNWAY(a_rekey_on_time_takes_the_first_key_from_its_start),
        WITH_RUNWAY(a_push_a_moment_after_the_turn_tells_the_whole_life_and_a_registration_whole_seconds),
        WITH_RUNWAY(both_sides_of_a_split_roll_to_the_same_keys),
        WITH_RUNWAY(nobody_but_the_minority_is_told_a_key_ahead),
        WITH_RUNWAY(in_a_split_the_new_key_takes_over_just_before_the_end_of_the_old_one),
        WITH_RUNWAY(an_early_rekey_moves_the_schedule_but_not_in_a_split),
        WITH_RUNWAY(a_key_whose_turn_is_over_is_passed_over),
        WITH_RUNWAY(keys_of_another_policy_are_replaced),
        WITH_RUNWAY(counter_modes_have_no_runway_and_are_refused_in_the_minority),
        WITH_RUNWAY(an_ended_kek_is_left_out_by_the_minority_only),
        WITH_RUNWAY(a_runway_made_for_another_state_is_refused),
        WITH_RUNWAY(a_rekey_with_another_key_under_a_spi_of_the_runway_is_refused),
        WITH_RUNWAY(who_was_served_by_the_minority_becomes_a_member_after_healing),
        WITH_RUNWAY(a_member_that_was_revoked_meanwhile_stays_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

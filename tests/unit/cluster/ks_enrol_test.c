/* Members that enrol, as replicated state: apply() of the fixture compares each step with what the rows would
 * bring back. */
#include "tests/unit/cluster/ks_fixture.h"

static const struct prefix branch = {{AF_INET, {10, 1, 13, 2}}, 32};

static err_t set_token(struct ks *ks, uint8_t first)
{
    struct command c = {.type = CMD_ENROL_SET};
    c.u.enrol_set = (struct cmd_enrol_set){.peer = branch,
                                           .enrolment = {.is_set = true,
                                                         .group_id = ks->state.groups[0]->record.id,
                                                         .id = {first},
                                                         .key = {.len = 40, .data = {first}},
                                                         .expires_ms = ks->now_ms + 1000}};
    return apply(ks, &c);
}

static err_t use_token(struct ks *ks, uint8_t first, uint8_t mac, uint8_t psk)
{
    struct command c = {.type = CMD_ENROL_USED};
    c.u.enrol_used = (struct cmd_enrol_used){
        .peer = branch, .token_id = {first}, .request_mac = {mac}, .psk = {.len = 40, .data = {psk}}};
    return apply(ks, &c);
}

static uint8_t psk_now(struct ks *ks)
{
    const struct psk_record *psk = ks_state_psk(&ks->state, &branch.addr);
    return psk != NULL ? psk->psk.data[0] : 0;
}

static err_t set_range(struct ks *ks, uint8_t bits, uint8_t psk)
{
    struct command c = {.type = CMD_PSK_SET};
    c.u.psk_set.psk =
        (struct psk_record){.peer = {addr_v4(10, 1, bits == 32 ? 13 : 0, bits == 32 ? 2 : 0), bits},
                            .psk = {.len = 40, .data = {psk}}};
    return apply(ks, &c);
}

static void a_token_brings_one_key(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_token(ks, 3));
    assert_int_equal(psk_now(ks), 0);
    assert_err(use_token(ks, 4, 7, 77), E_AUTH);
    assert_ok(use_token(ks, 3, 7, 77));
    assert_int_equal(psk_now(ks), 77);
    assert_ok(use_token(ks, 3, 7, 88)); /* the same request: it gets the key that there is */
    assert_int_equal(psk_now(ks), 77);
    assert_err(use_token(ks, 3, 8, 88), E_REPLAY);
    assert_int_equal(psk_now(ks), 77);
}

static void an_expired_token_brings_none(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_token(ks, 3));
    ks->now_ms += 1000;
    assert_err(use_token(ks, 3, 7, 77), E_EXPIRED);
    assert_int_equal(psk_now(ks), 0);
}

static void until_a_token_is_used_the_key_before_it_counts(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_range(ks, 16, 5));
    assert_ok(set_token(ks, 3));
    assert_int_equal(psk_now(ks), 5);
    assert_ok(use_token(ks, 3, 7, 77));
    assert_ok(set_token(ks, 4));
    assert_int_equal(psk_now(ks), 77);
    assert_err(use_token(ks, 3, 9, 99), E_AUTH); /* the token before it is no more */
    assert_ok(use_token(ks, 4, 9, 99));
    assert_int_equal(psk_now(ks), 99);
}

static void a_key_of_the_configuration_is_not_replaced(void **state)
{
    struct ks *ks = *state;
    assert_ok(set_range(ks, 32, 5));
    assert_err(set_token(ks, 3), E_EXISTS);
    assert_int_equal(psk_now(ks), 5);
    assert_null(ks_state_enrolled(&ks->state, &branch.addr));
}

static void a_token_is_for_one_address_and_a_group_that_there_is(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_ENROL_SET};
    c.u.enrol_set = (struct cmd_enrol_set){.peer = {addr_v4(10, 1, 0, 0), 16}, .enrolment = {.is_set = true}};
    assert_err(apply(ks, &c), E_RANGE);
    c.u.enrol_set.peer = branch;
    c.u.enrol_set.enrolment.group_id = 9999;
    assert_err(apply(ks, &c), E_UNKNOWN_GROUP);
}

static void a_revoked_member_has_neither_key_nor_token(void **state)
{
    struct ks *ks = *state;
    struct command c = {.type = CMD_PSK_DELETE, .u.psk_delete.peer = branch};
    assert_ok(set_token(ks, 3));
    assert_ok(use_token(ks, 3, 7, 77));
    assert_ok(apply(ks, &c));
    assert_int_equal(psk_now(ks), 0);
    assert_err(use_token(ks, 3, 7, 77), E_AUTH);
}

int main(void)
{
#define READY(test) cmocka_unit_test_setup_teardown(test, ks_setup_group, ks_teardown)
    const struct CMUnitTest tests[] = {
        READY(a_token_brings_one_key),
        READY(an_expired_token_brings_none),
        READY(until_a_token_is_used_the_key_before_it_counts),
        READY(a_key_of_the_configuration_is_not_replaced),
        READY(a_token_is_for_one_address_and_a_group_that_there_is),
        READY(a_revoked_member_has_neither_key_nor_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include <string.h>

#include "proto/wire/numbers.h"

static void numbers_are_those_of_the_registries(void **state)
{
    (void)state;
    assert_int_equal(GDOI_PORT, 848);
    assert_int_equal(EXCHANGE_PULL, 32);
    assert_int_equal(EXCHANGE_PUSH, 33);
    assert_int_equal(EXCHANGE_PUSH_ACK, 35); /* RFC 8263 8; 34 is "known unregistered use" */
    assert_int_equal(PAYLOAD_SAK, 15);
    assert_int_equal(PAYLOAD_SAT, 16);
    assert_int_equal(PAYLOAD_KD, 17);
    assert_int_equal(PAYLOAD_SEQ, 18);
    assert_int_equal(PAYLOAD_GAP, 22);
    assert_int_equal(KD_SID, 4); /* the RFC's table says "Unassigned 4-127" too: a misprint */
}

static void numbers_have_names(void **state)
{
    (void)state;
    assert_string_equal(exchange_name(EXCHANGE_PULL), "GROUPKEY-PULL");
    assert_string_equal(payload_name(PAYLOAD_KD), "KD");
    assert_string_equal(payload_name(PAYLOAD_FRAGMENT), "fragment");
    assert_string_equal(notify_name(NOTIFY_INITIAL_CONTACT), "INITIAL-CONTACT");
    assert_string_equal(id_type_name(ID_KEY_ID), "KEY_ID");
}

static void numbers_without_a_name_are_a_question_mark(void **state)
{
    (void)state;
    assert_string_equal(exchange_name(34), "?");
    assert_string_equal(payload_name(14), "?");
    assert_string_equal(notify_name(UINT16_MAX), "?");
    assert_string_equal(id_type_name(0), "?");
}

static void no_two_payloads_share_a_name(void **state)
{
    (void)state;
    for (unsigned a = 0; a <= UINT8_MAX; a++)
        for (unsigned b = 0; b < a; b++)
            if (strcmp(payload_name((uint8_t)a), payload_name((uint8_t)b)) == 0)
                assert_string_equal(payload_name((uint8_t)a), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_the_registries),
        cmocka_unit_test(numbers_have_names),
        cmocka_unit_test(numbers_without_a_name_are_a_question_mark),
        cmocka_unit_test(no_two_payloads_share_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

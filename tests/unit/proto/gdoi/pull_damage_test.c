/* A GROUPKEY-PULL under attack by those who have no keys: nothing changes, and the good message is still
 * taken. */
#include "tests/unit/proto/gdoi/pull_ends.h"

static void a_message_cut_anywhere_is_refused(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        for (size_t len = 0; len < ends.sent[n].len; len++) {
            uint8_t *cut =
                malloc(len != 0 ? len : 1); /* its own size, so that AddressSanitizer sees the end */
            assert_non_null(cut);
            memcpy(cut, ends.sent[n].data, len);
            assert_err(take(n, (struct bytes){cut, len}), E_TRUNCATED);
            if (len >= ISAKMP_HEADER_LEN) { /* the same with a length that fits */
                cut[24] = 0;
                cut[25] = 0;
                cut[26] = (uint8_t)(len >> 8);
                cut[27] = (uint8_t)len;
                err_t err = take(n, (struct bytes){cut, len});
                assert_true(err == E_BAD_LENGTH || err == E_BAD_PADDING || err == E_BAD_HASH);
            }
            free(cut);
            assert_unchanged(n);
        }
        assert_taken(n);
    }
}

static void a_message_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    enum { MINOR_VERSION_BITS = 4 };
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        uint8_t *raw = ends.messages[n];
        for (size_t bit = 0; bit < 8 * ends.sent[n].len; bit++) {
            if (bit / 8 == 17 && bit % 8 < MINOR_VERSION_BITS)
                continue; /* RFC 2408 3.1: a minor version is not looked at */
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(take(n, ends.sent[n]), E_OK);
            raw[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_unchanged(n);
        }
        assert_taken(n);
    }
}

static void bytes_behind_the_message_are_ignored(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        ends.sent[n].len += 5;
        assert_taken(n);
    }
}

static void another_key_opens_nothing(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        struct isakmp_sa *sa = n % 2 == 1 ? &ends.server_sa : &ends.member_sa;
        struct isakmp_sa good = *sa;
        fixture_fill(&sa->key, 0x99, 32);
        assert_err(take(n, ends.sent[n]), E_BAD_PADDING);
        *sa = good;
        fixture_fill(&sa->skeyid_a, 0x99, 32);
        assert_err(take(n, ends.sent[n]), E_BAD_HASH);
        *sa = good;
        assert_unchanged(n);
        assert_taken(n);
    }
}

static void headers_of_other_exchanges_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
        err_t err;
    } cases[] = {
        {0, 'X', E_BAD_COOKIE},   {15, 'X', E_BAD_COOKIE}, {17, 0x20, E_BAD_VERSION},
        {18, 33, E_BAD_EXCHANGE}, {18, 5, E_BAD_EXCHANGE}, {19, 0, E_UNEXPECTED},
        {19, 3, E_UNEXPECTED},    {16, 0, E_BAD_PADDING},  {16, PAYLOAD_NONCE, E_BAD_PADDING},
        {16, 200, E_BAD_PADDING}, {24, 1, E_BAD_LENGTH},
    };
    for (int n = 1; n <= 4; n++) {
        wait_for(n);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            uint8_t *at = &ends.messages[n][cases[i].at];
            uint8_t old = *at;
            *at = cases[i].value;
            assert_err(take(n, ends.sent[n]), cases[i].err);
            *at = old;
        }
        assert_unchanged(n);
        memset(ends.messages[n] + 20, 0, 4);
        assert_err(take(n, ends.sent[n]), E_BAD_MESSAGE_ID);
        assert_unchanged(n);
        teardown(NULL);
    }
}

static void a_message_id_of_another_exchange_is_refused(void **state)
{
    (void)state;
    for (int n = 2; n <= 4; n++) {
        wait_for(n);
        ends.messages[n][23] ^= 1;
        assert_err(take(n, ends.sent[n]), E_BAD_MESSAGE_ID);
        ends.messages[n][23] ^= 1;
        assert_taken(n);
    }
    wait_for(1); /* message 1 opens an exchange of any id, but not one sealed for another */
    ends.messages[1][23] ^= 1;
    assert_err(take(1, ends.sent[1]), E_BAD_PADDING);
    teardown(NULL);
}

static void repeated_messages_change_nothing(void **state)
{
    (void)state;
    wait_for(4);
    err_t err = take(2, ends.sent[2]); /* message 2 again, unasked: as the reference implementation does */
    assert_true(err == E_BAD_PADDING || err == E_BAD_HASH);
    assert_unchanged(4);
    assert_ok(take(4, ends.sent[4]));
    assert_err(take(4, ends.sent[4]), E_STATE);
    assert_err(take(2, ends.sent[2]), E_STATE);
    assert_err(take(1, ends.sent[1]), E_STATE);
    assert_err(take(3, ends.sent[3]), E_STATE);
    teardown(NULL);
}

static void messages_are_not_taken_for_one_another(void **state)
{
    (void)state;
    wait_for(3);
    assert_int_not_equal(take(3, ends.sent[1]), E_OK);
    assert_int_not_equal(take(3, ends.sent[2]), E_OK);
    assert_unchanged(3);
    assert_ok(take(3, ends.sent[3]));
    teardown(NULL);
    wait_for(2);
    assert_int_not_equal(take(2, ends.sent[1]), E_OK); /* reflected */
    assert_unchanged(2);
    teardown(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_cut_anywhere_is_refused),
        cmocka_unit_test(a_message_with_any_bit_flipped_is_refused),
        cmocka_unit_test(bytes_behind_the_message_are_ignored),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(headers_of_other_exchanges_are_refused),
        cmocka_unit_test(a_message_id_of_another_exchange_is_refused),
        cmocka_unit_test(repeated_messages_change_nothing),
        cmocka_unit_test(messages_are_not_taken_for_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

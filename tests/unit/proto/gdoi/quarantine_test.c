/* A member's word that it cannot do the policy: to the octet, and what is none. */
#include <string.h>

#include "proto/gdoi/quarantine.h"
#include "tests/lib/test.h"

static uint8_t buffer[QUARANTINE_LEN_MAX];

static struct bytes encoded(const char *reason)
{
    struct identity group = identity_from_number(3333);
    struct writer w = writer_over(buffer, sizeof(buffer));
    quarantine_encode(&w, &group, reason);
    assert_ok(writer_end(&w));
    return writer_bytes(&w);
}

static void a_word_names_group_and_reason(void **state)
{
    struct quarantine said;
    struct identity group = identity_from_number(3333);
    (void)state;
    struct bytes data = encoded("no ESP");
    assert_bytes(data, "71756f7261746531 0b 04 00000d05 6e6f20455350");
    assert_ok(quarantine_decode(&said, data));
    assert_true(identity_equal(&said.group, &group));
    assert_string_equal(said.reason, "no ESP");
}

static void a_reason_is_always_one_line_of_text(void **state)
{
    struct quarantine said;
    char longer[2 * QUARANTINE_REASON_MAX];
    (void)state;
    assert_ok(quarantine_decode(&said, encoded("a\nb\x01\xff")));
    assert_string_equal(said.reason, "a?b??");
    assert_ok(quarantine_decode(&said, encoded("")));
    assert_string_equal(said.reason, "?");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_ok(quarantine_decode(&said, encoded(longer)));
    assert_int_equal(strlen(said.reason), QUARANTINE_REASON_MAX - 1);
}

static void what_is_no_such_word_is_refused(void **state)
{
    struct quarantine said;
    (void)state;
    struct bytes data = encoded("no ESP");
    for (size_t len = 0; len <= 14; len++)
        assert_int_not_equal(quarantine_decode(&said, (struct bytes){data.data, len}), E_OK);
    buffer[0] = 'Q';
    assert_err(quarantine_decode(&said, data), E_UNSUPPORTED); /* somebody else's use of the number */
    data = encoded("no ESP");
    buffer[data.len - 1] = '\n'; /* would be a line of its own in a log */
    assert_err(quarantine_decode(&said, data), E_RANGE);
    buffer[data.len - 1] = '\0';
    assert_err(quarantine_decode(&said, data), E_RANGE);
    data = encoded("no ESP");
    buffer[9] = 200; /* an identity longer than all */
    assert_err(quarantine_decode(&said, data), E_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_names_group_and_reason),
        cmocka_unit_test(a_reason_is_always_one_line_of_text),
        cmocka_unit_test(what_is_no_such_word_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

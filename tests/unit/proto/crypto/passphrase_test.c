#include "proto/crypto/passphrase.h"

#include "tests/lib/test.h"

/* RFC 7914 12, the third vector, of which the first half is taken: r = 8, p = 1, N = 2^14. */
static void a_passphrase_gives_the_key_of_the_rfc(void **state)
{
    struct secret key;
    (void)state;
    assert_ok(passphrase_key(bytes_of_text("pleaseletmein"), bytes_of_text("SodiumChloride"), 14, &key));
    assert_bytes(secret_view(&key), "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2");
    secret_close(&key);
}

static void another_salt_or_cost_gives_another_key(void **state)
{
    struct secret a, b;
    (void)state;
    assert_ok(passphrase_key(bytes_of_text("pleaseletmein"), bytes_of_text("one"), 4, &a));
    assert_ok(passphrase_key(bytes_of_text("pleaseletmein"), bytes_of_text("two"), 4, &b));
    assert_false(secret_equal(secret_view(&a), secret_view(&b)));
    assert_ok(passphrase_key(bytes_of_text("pleaseletmein"), bytes_of_text("one"), 5, &b));
    assert_false(secret_equal(secret_view(&a), secret_view(&b)));
    secret_close(&a);
    secret_close(&b);
}

static void a_cost_that_nobody_should_pay_is_refused(void **state)
{
    struct secret key;
    (void)state;
    assert_err(passphrase_key(bytes_of_text("x"), bytes_of_text("y"), 0, &key), E_RANGE);
    assert_err(passphrase_key(bytes_of_text("x"), bytes_of_text("y"), PASSPHRASE_COST_MAX + 1, &key),
               E_RANGE);
    assert_int_equal(key.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_passphrase_gives_the_key_of_the_rfc),
        cmocka_unit_test(another_salt_or_cost_gives_another_key),
        cmocka_unit_test(a_cost_that_nobody_should_pay_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

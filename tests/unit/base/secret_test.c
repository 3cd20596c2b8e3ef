#include "base/secret.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"

static bool all_zero(const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0 && *at == 0) {
        at++;
        len--;
    }
    return len == 0;
}

static void a_secret_holds_a_copy(void **state)
{
    (void)state;
    uint8_t key[] = {1, 2, 3, 4};
    struct secret secret = {0};
    assert_ok(secret_set(&secret, BYTES_OF(key)));
    key[0] = 9;
    assert_bytes(secret_view(&secret), "01020304");
    secret_close(&secret);
}

static void the_longest_secret_fits_and_one_more_byte_does_not(void **state)
{
    (void)state;
    uint8_t key[SECRET_LEN_MAX + 1];
    memset(key, 0x5a, sizeof(key));
    struct secret secret = {0};
    assert_ok(secret_set(&secret, (struct bytes){key, SECRET_LEN_MAX}));
    assert_int_equal(secret_view(&secret).len, SECRET_LEN_MAX);
    assert_err(secret_set(&secret, BYTES_OF(key)), E_BAD_KEY);
    assert_int_equal(secret_view(&secret).len, SECRET_LEN_MAX); /* as before */
    secret_close(&secret);
}

static void a_shorter_key_leaves_nothing_of_the_longer_one(void **state)
{
    (void)state;
    struct secret secret = {0};
    assert_ok(secret_set(&secret, bytes_of_text("a long old key")));
    assert_ok(secret_set(&secret, bytes_of_text("new")));
    assert_true(bytes_equal(secret_view(&secret), bytes_of_text("new")));
    assert_true(all_zero(secret.data + 3, SECRET_LEN_MAX - 3));
    assert_ok(secret_set(&secret, (struct bytes){NULL, 0}));
    assert_int_equal(secret.len, 0);
    assert_true(all_zero(&secret, sizeof(secret)));
}

static void a_secret_may_be_set_from_a_part_of_itself(void **state)
{
    (void)state;
    struct secret secret = {0};
    assert_ok(secret_set(&secret, bytes_of_text("0123456789")));
    assert_ok(secret_set(&secret, bytes_slice(secret_view(&secret), 4, 6)));
    assert_true(bytes_equal(secret_view(&secret), bytes_of_text("456789")));
    secret_close(&secret);
}

static void closing_wipes_and_may_be_done_twice(void **state)
{
    (void)state;
    struct secret secret = {0};
    secret_close(&secret);
    assert_ok(secret_set(&secret, bytes_of_text("key")));
    secret_close(&secret);
    assert_true(all_zero(&secret, sizeof(secret)));
    secret_close(&secret);
    assert_int_equal(secret_view(&secret).len, 0);
}

static void a_copy_equals_and_is_independent(void **state)
{
    (void)state;
    struct secret one = {0};
    struct secret two = {0};
    assert_ok(secret_set(&one, bytes_of_text("key")));
    secret_copy(&two, &one);
    secret_copy(&two, &two);
    secret_close(&one);
    assert_true(bytes_equal(secret_view(&two), bytes_of_text("key")));
    secret_close(&two);
}

static void comparison_sees_every_byte_and_the_length(void **state)
{
    (void)state;
    uint8_t a[33] = {0};
    uint8_t b[33] = {0};
    assert_true(secret_equal(BYTES_OF(a), BYTES_OF(b)));
    assert_true(secret_equal((struct bytes){NULL, 0}, (struct bytes){NULL, 0}));
    assert_false(secret_equal((struct bytes){a, 32}, BYTES_OF(b)));
    for (size_t i = 0; i < sizeof(a); i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b[i] = (uint8_t)(1u << bit);
            assert_false(secret_equal(BYTES_OF(a), BYTES_OF(b)));
        }
        b[i] = 0;
    }
}

static void wiping_zeroes_exactly_the_given_bytes(void **state)
{
    (void)state;
    uint8_t buf[8];
    memset(buf, 0xff, sizeof(buf));
    secret_wipe(buf + 1, 6);
    assert_bytes(BYTES_OF(buf), "ff000000000000ff");
    secret_wipe(NULL, 0);
}

/* In a child, as limits and flags cannot be taken back. */
static int harden_in_child(void)
{
    err_t err = secret_harden_process();
    struct rlimit core;
    if (err != E_OK && err != E_PERMISSION)
        return 1;
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        return 2;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 3;
#endif
    return secret_harden_process() == err ? 0 : 4; /* twice is fine */
}

static void a_hardened_process_leaves_no_core(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(harden_in_child());
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_holds_a_copy),
        cmocka_unit_test(the_longest_secret_fits_and_one_more_byte_does_not),
        cmocka_unit_test(a_shorter_key_leaves_nothing_of_the_longer_one),
        cmocka_unit_test(a_secret_may_be_set_from_a_part_of_itself),
        cmocka_unit_test(closing_wipes_and_may_be_done_twice),
        cmocka_unit_test(a_copy_equals_and_is_independent),
        cmocka_unit_test(comparison_sees_every_byte_and_the_length),
        cmocka_unit_test(wiping_zeroes_exactly_the_given_bytes),
        cmocka_unit_test(a_hardened_process_leaves_no_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

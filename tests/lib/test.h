/* test.h - cmocka with the includes that it needs first, and what every test shares. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

/* clang-format off: cmocka.h needs these four before it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/err.h"
#include "base/wire.h"

/* Compare an err_t and print names, not numbers. */
#define assert_err(expression, wanted)                                                      \
    do {                                                                                    \
        err_t got_ = (expression);                                                          \
        if (got_ != (wanted))                                                               \
            fail_msg("%s gave E_%s, wanted E_%s", #expression, err_name(got_), err_name(wanted)); \
    } while (0)
#define assert_ok(expression) assert_err(expression, E_OK)

/* "0a 0b 0c" or "0a0b0c" -> bytes in out; fails the test on bad hex or overflow. Returns a view. */
struct bytes hex(const char *text, uint8_t *out, size_t cap);
#define assert_bytes(got, text_hex)                                                         \
    do {                                                                                    \
        uint8_t want_[8192];                                                                \
        struct bytes w_ = hex((text_hex), want_, sizeof(want_));                            \
        struct bytes g_ = (got);                                                            \
        assert_int_equal(g_.len, w_.len);                                                   \
        if (w_.len != 0)                                                                    \
            assert_memory_equal(g_.data, w_.data, w_.len);                                  \
    } while (0)

/* A directory with all that is in it; no program is started for it. Returns 0, or -1 with errno. */
int test_remove_tree(const char *dir);

/* Allocation failures by countdown: the n-th allocation from now fails (0 = the next), then all work
 * again; -1 switches it off. heap_fault_hit tells whether the failure happened. Loop n = 0, 1, 2 ...
 * until it was not hit to run every failure of an operation. */
void heap_fault_after(long n);
int heap_fault_hit(void);
long heap_fault_left(void); /* allocations that still work before the one that fails; -1: switched off, or it has failed */

#endif

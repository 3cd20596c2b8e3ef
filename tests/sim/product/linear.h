/* linear.h - is a recorded history of calls on one object linearizable? The search of Wing and Gong with the
 * memory of Lowe: some order of the calls must exist that each client and the wall clock could have seen, and
 * in which every answer is the right one. Calls whose outcome is unknown may have happened at any time after
 * they were made, or not at all.
 *
 * The object is a register that may be absent: set(value) tells whether it was absent before, remove tells
 * whether there was something, read tells the value. */
#ifndef TESTS_SIM_PRODUCT_LINEAR_H
#define TESTS_SIM_PRODUCT_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINEAR_CALL_MAX = 128,      /* of one history; the rest is not recorded */
    LINEAR_STATE_MAX = 1 << 16, /* (calls done, value) pairs looked at before giving up */
};

enum linear_kind { LINEAR_SET, LINEAR_REMOVE, LINEAR_READ };

struct linear_call {
    enum linear_kind kind;
    bool done;             /* an answer came; else the outcome is unknown */
    uint32_t value;        /* SET: what; READ: the answer; 0: absent */
    bool was_absent;       /* answer of SET and REMOVE */
    uint64_t began, ended; /* order numbers of the two moments, all different; ended only if done */
};

struct linear_history {
    size_t count;
    struct linear_call calls[LINEAR_CALL_MAX];
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_TOO_LONG };

/* initial: the value before the first call, 0: absent. */
enum linear_verdict linear_check(const struct linear_history *history, uint32_t initial);

#endif

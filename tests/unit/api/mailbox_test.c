#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "api/mailbox.h"

struct log {
    unsigned wakes;
    unsigned answers;
    struct mail_answer last;
};

static void on_wake(void *context)
{
    ((struct log *)context)->wakes++;
}

static void on_answer(void *context, const struct mail_answer *answer)
{
    struct log *log = context;
    log->answers++;
    log->last = *answer;
}

static uint64_t put(struct mailbox *box, struct log *log, const char *group)
{
    struct mail mail = {.kind = MAIL_REKEY};
    uint64_t id = 0;
    strncpy(mail.group, group, sizeof(mail.group) - 1);
    assert_ok(mailbox_put(box, &mail, on_answer, log, &id));
    assert_true(id != 0);
    return id;
}

static void mail_is_taken_in_order_and_answered_once(void **state)
{
    struct log log = {0};
    struct mailbox *box;
    struct mail mail;
    (void)state;
    assert_ok(mailbox_open(&box, on_wake, &log));
    assert_false(mailbox_take(box, &mail));
    uint64_t first = put(box, &log, "A"), second = put(box, &log, "B");
    assert_int_equal(log.wakes, 2);
    assert_true(mailbox_take(box, &mail));
    assert_int_equal(mail.id, first);
    assert_string_equal(mail.group, "A");
    assert_true(mailbox_take(box, &mail));
    assert_int_equal(mail.id, second);
    assert_false(mailbox_take(box, &mail));
    mailbox_answer(box, second, &(struct mail_answer){.err = E_OK, .seq = 7, .index = 9});
    mailbox_answer(box, second, &(struct mail_answer){.err = E_IO});
    assert_int_equal(log.answers, 1);
    assert_int_equal(log.last.seq, 7);
    mailbox_answer(box, 99, &(struct mail_answer){.err = E_IO});
    assert_int_equal(log.answers, 1);
    mailbox_answer(box, first, &(struct mail_answer){.err = E_STATE});
    assert_int_equal(log.last.err, E_STATE);
    mailbox_free(box);
}

static void order_holds_across_reused_slots(void **state)
{
    struct log log = {0};
    struct mailbox *box;
    struct mail mail;
    (void)state;
    assert_ok(mailbox_open(&box, on_wake, &log));
    uint64_t a = put(box, &log, "A"), b = put(box, &log, "B");
    assert_true(mailbox_cancel(box, a));
    uint64_t c = put(box, &log, "C"); /* where A was */
    assert_true(c > b);
    assert_true(mailbox_take(box, &mail));
    assert_int_equal(mail.id, b);
    assert_true(mailbox_take(box, &mail));
    assert_int_equal(mail.id, c);
    mailbox_free(box);
}

static void what_was_cancelled_is_never_answered(void **state)
{
    struct log log = {0};
    struct mailbox *box;
    struct mail mail;
    (void)state;
    assert_ok(mailbox_open(&box, on_wake, &log));
    uint64_t waiting = put(box, &log, "A");
    assert_true(mailbox_cancel(box, waiting));
    assert_false(mailbox_cancel(box, waiting));
    assert_false(mailbox_take(box, &mail));
    uint64_t taken = put(box, &log, "B");
    assert_true(mailbox_take(box, &mail));
    assert_true(mailbox_cancel(box, taken));
    mailbox_answer(box, taken, &(struct mail_answer){.err = E_OK, .octets = malloc(8), .octets_len = 8});
    assert_int_equal(log.answers, 0); /* and the octets are freed */
    uint64_t answered = put(box, &log, "C");
    mailbox_answer(box, answered, &(struct mail_answer){.err = E_OK});
    assert_false(mailbox_cancel(box, answered));
    assert_int_equal(log.answers, 1);
    mailbox_free(box);
}

static void it_holds_so_many_and_no_more(void **state)
{
    struct log log = {0};
    struct mailbox *box;
    struct mail mail = {.kind = MAIL_REKEY};
    uint64_t id = 0, last = 0;
    (void)state;
    assert_ok(mailbox_open(&box, on_wake, &log));
    for (unsigned i = 0; i < MAILBOX_MAX; i++)
        last = put(box, &log, "A");
    assert_err(mailbox_put(box, &mail, on_answer, &log, &id), E_FULL);
    assert_int_equal(log.wakes, MAILBOX_MAX);
    assert_true(mailbox_take(box, &mail)); /* being worked on counts as well */
    assert_err(mailbox_put(box, &mail, on_answer, &log, &id), E_FULL);
    mailbox_answer(box, mail.id, &(struct mail_answer){.err = E_OK});
    assert_ok(mailbox_put(box, &mail, on_answer, &log, &id));
    assert_true(id > last);
    mailbox_free(box);
    mailbox_free(NULL);
}

static void opening_without_memory_fails(void **state)
{
    struct mailbox *box;
    (void)state;
    heap_fault_after(0);
    assert_err(mailbox_open(&box, on_wake, NULL), E_NO_MEMORY);
    heap_fault_after(-1);
    assert_null(box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_is_taken_in_order_and_answered_once),
        cmocka_unit_test(order_holds_across_reused_slots),
        cmocka_unit_test(what_was_cancelled_is_never_answered),
        cmocka_unit_test(it_holds_so_many_and_no_more),
        cmocka_unit_test(opening_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "tests/lib/test.h"

#include "proto/ike/answer_cache.h"

static struct answer_cache cache;
static struct bytes reply;

static int teardown(void **state)
{
    (void)state;
    heap_fault_after(-1);
    answer_cache_close(&cache);
    return 0;
}

static struct bytes text(const char *s)
{
    return bytes_of_text(s);
}

static void a_new_request_is_new_until_it_is_begun(void **state)
{
    (void)state;
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_NEW);
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_NEW);
    answer_cache_begin(&cache, text("one"));
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_PENDING);
    assert_int_equal(reply.len, 0);
    assert_int_equal(answer_cache_look(&cache, text("one "), &reply), ANSWER_NEW); /* one octet more */
    answer_cache_forget(&cache, text("one"));
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_NEW);
    answer_cache_forget(&cache, text("never seen"));
}

static void a_repeated_request_gets_the_same_octets_a_bounded_number_of_times(void **state)
{
    (void)state;
    char answer[] = "answer";
    answer_cache_begin(&cache, text("one"));
    assert_ok(answer_cache_put(&cache, text("one"), text(answer)));
    answer[0] = 'x'; /* it was copied */
    for (int n = 0; n < ANSWER_RESEND_MAX; n++) {
        assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_RESEND);
        assert_true(bytes_equal(reply, text("answer")));
    }
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_SILENT);
    assert_int_equal(reply.len, 0);
    assert_ok(answer_cache_put(&cache, text("two"), text("not begun before")));
    assert_int_equal(answer_cache_look(&cache, text("two"), &reply), ANSWER_RESEND);
    assert_ok(answer_cache_put(&cache, text("two"), text("another answer")));
    assert_int_equal(answer_cache_look(&cache, text("two"), &reply), ANSWER_RESEND);
    assert_true(bytes_equal(reply, text("another answer")));
}

static void a_request_without_an_answer_is_silent(void **state)
{
    (void)state;
    assert_ok(answer_cache_put(&cache, text("delete"), (struct bytes){0}));
    assert_int_equal(answer_cache_look(&cache, text("delete"), &reply), ANSWER_SILENT);
    assert_ok(answer_cache_put(&cache, (struct bytes){0}, text("to nothing")));
    assert_int_equal(answer_cache_look(&cache, (struct bytes){0}, &reply), ANSWER_RESEND);
}

static void the_oldest_answer_gives_way_before_a_pending_one(void **state)
{
    (void)state;
    answer_cache_begin(&cache, text("pending"));
    assert_ok(answer_cache_put(&cache, text("b"), text("B")));
    assert_ok(answer_cache_put(&cache, text("c"), text("C")));
    assert_ok(answer_cache_put(&cache, text("d"), text("D")));
    assert_ok(answer_cache_put(&cache, text("e"), text("E"))); /* in the place of b */
    assert_int_equal(answer_cache_look(&cache, text("b"), &reply), ANSWER_NEW);
    assert_int_equal(answer_cache_look(&cache, text("pending"), &reply), ANSWER_PENDING);
    assert_int_equal(answer_cache_look(&cache, text("c"), &reply), ANSWER_RESEND);
    assert_int_equal(answer_cache_look(&cache, text("e"), &reply), ANSWER_RESEND);
}

static void when_all_are_pending_the_oldest_gives_way(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        answer_cache_begin(&cache, text(names[i]));
    assert_int_equal(answer_cache_look(&cache, text("a"), &reply), ANSWER_NEW);
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        assert_int_equal(answer_cache_look(&cache, text(names[i]), &reply), ANSWER_PENDING);
}

static void an_answer_that_cannot_be_kept_is_forgotten(void **state)
{
    (void)state;
    answer_cache_begin(&cache, text("one"));
    heap_fault_after(0);
    assert_err(answer_cache_put(&cache, text("one"), text("answer")), E_NO_MEMORY);
    assert_true(heap_fault_hit());
    assert_int_equal(answer_cache_look(&cache, text("one"), &reply), ANSWER_NEW);
}

/* A thousand requests: never more than its slots (a leak would be seen by the sanitizer). */
static void it_never_grows(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1000; n++) {
        uint8_t request[4];
        struct writer w = writer_over(request, sizeof(request));
        write_u32(&w, n);
        if (n % 3 == 0)
            answer_cache_begin(&cache, BYTES_OF(request));
        assert_ok(answer_cache_put(&cache, BYTES_OF(request), text("answer")));
        assert_int_equal(answer_cache_look(&cache, BYTES_OF(request), &reply), ANSWER_RESEND);
    }
    answer_cache_close(&cache);
    for (size_t i = 0; i < ANSWER_CACHE_SLOTS; i++)
        assert_null(cache.slots[i].reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_new_request_is_new_until_it_is_begun, teardown),
        cmocka_unit_test_teardown(a_repeated_request_gets_the_same_octets_a_bounded_number_of_times,
                                  teardown),
        cmocka_unit_test_teardown(a_request_without_an_answer_is_silent, teardown),
        cmocka_unit_test_teardown(the_oldest_answer_gives_way_before_a_pending_one, teardown),
        cmocka_unit_test_teardown(when_all_are_pending_the_oldest_gives_way, teardown),
        cmocka_unit_test_teardown(an_answer_that_cannot_be_kept_is_forgotten, teardown),
        cmocka_unit_test_teardown(it_never_grows, teardown),
    };
    return cmocka_run_group_tests_name("proto/ike/answer_cache", tests, NULL, NULL);
}

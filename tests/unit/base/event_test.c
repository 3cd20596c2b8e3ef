#include "base/event.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/test.h"

/* A sink that keeps the last record. */
struct catch
{
    unsigned count;
    struct event_record last;
};

static void catch_sink(void *context, const struct event_record *record)
{
    struct catch *catch = context;
    catch->count++;
    catch->last = *record;
}

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT_COUNT; i++) {
        const struct event_info *info = event_info((enum event_id)i);
        assert_non_null(info);
        assert_true(strlen(info->name) > 0);
        assert_true(info->severity <= 7);
        assert_true(strlen(info->meaning) > 0);
        assert_true(strlen(info->remedy) > 0);
        assert_true(strcmp(info->facility, "GDOI") == 0 || strcmp(info->facility, "CRYPTO") == 0 ||
                    strcmp(info->facility, "QUORATE") == 0);
    }
    assert_null(event_info(EVENT_COUNT));
    assert_int_equal(event_count(EVENT_COUNT), 0);
}

static void an_event_reaches_every_sink_with_its_text(void **state)
{
    (void)state;
    struct catch one = {0};
    struct catch two = {0};
    char line[EVENT_LINE_MAX];
    uint64_t before_ms = clock_wall_ms(&clock_system);
    uint64_t count = event_count(EV_GM_REGS_COMPL);
    assert_ok(event_add_sink(catch_sink, &one));
    assert_ok(event_add_sink(catch_sink, &two));
    event(GM_REGS_COMPL, "192.0.2.1", "blue", "192.0.2.9");
    event_remove_sink(catch_sink, &two);
    event(GM_REGS_COMPL, "192.0.2.2", "red", "192.0.2.9");
    event_remove_sink(catch_sink, &one);
    assert_int_equal(one.count, 2);
    assert_int_equal(two.count, 1);
    assert_string_equal(two.last.text,
                        "Registration to KS 192.0.2.1 complete for group blue using address 192.0.2.9");
    assert_string_equal(event_line(&one.last, line, sizeof(line)),
                        "%GDOI-5-GM_REGS_COMPL: Registration to KS 192.0.2.2 complete for group red using "
                        "address 192.0.2.9");
    assert_int_equal(one.last.seq, two.last.seq + 1);
    assert_int_equal(one.last.id, EV_GM_REGS_COMPL);
    assert_in_range(one.last.wall_ms, before_ms - 1000, before_ms + 60000);
    assert_int_equal(event_count(EV_GM_REGS_COMPL), count + 2);
}

static void an_event_may_have_no_arguments_and_no_sink(void **state)
{
    (void)state;
    struct catch sink = {0};
    uint64_t count = event_count(EV_SA_KEK_UPDATED);
    event(SA_KEK_UPDATED);
    assert_ok(event_add_sink(catch_sink, &sink));
    event(SA_KEK_UPDATED);
    event_remove_sink(catch_sink, &sink);
    assert_string_equal(sink.last.text, "SA KEK was updated");
    assert_int_equal(event_count(EV_SA_KEK_UPDATED), count + 2);
}

static void sinks_are_bounded_and_unknown_ones_are_not_removed(void **state)
{
    (void)state;
    struct catch sinks[EVENT_SINK_MAX + 1] = {{0}};
    for (int i = 0; i < EVENT_SINK_MAX; i++)
        assert_ok(event_add_sink(catch_sink, &sinks[i]));
    assert_err(event_add_sink(catch_sink, &sinks[EVENT_SINK_MAX]), E_FULL);
    event_remove_sink(catch_sink, &sinks[EVENT_SINK_MAX]);
    event_remove_sink(catch_sink, &sinks[1]);
    event(SA_TEK_UPDATED);
    for (int i = 0; i <= EVENT_SINK_MAX; i++)
        assert_int_equal(sinks[i].count, i != 1 && i != EVENT_SINK_MAX);
    for (int i = 0; i < EVENT_SINK_MAX; i++)
        event_remove_sink(catch_sink, &sinks[i]);
}

static void a_long_text_is_cut(void **state)
{
    (void)state;
    struct catch sink = {0};
    char line[EVENT_LINE_MAX];
    char name[2 * EVENT_TEXT_MAX];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_ok(event_add_sink(catch_sink, &sink));
    event(GROUP_REMOVED, name);
    event_remove_sink(catch_sink, &sink);
    assert_int_equal(strlen(sink.last.text), EVENT_TEXT_MAX - 1);
    assert_memory_equal(sink.last.text, "Group xxxx", 10);
    event_line(&sink.last, line, sizeof(line));
    assert_true(strlen(line) < sizeof(line) - 1);
    assert_string_equal(event_line(&sink.last, line, 12), "%QUORATE-5-");
}

static void the_longest_line_fits(void **state)
{
    (void)state;
    char line[EVENT_LINE_MAX];
    for (int i = 0; i < EVENT_COUNT; i++) {
        struct event_record record = {.id = (enum event_id)i};
        memset(record.text, 'y', sizeof(record.text) - 1);
        event_line(&record, line, sizeof(line));
        assert_memory_equal(line + strlen(line) - (EVENT_TEXT_MAX - 1), record.text, EVENT_TEXT_MAX);
    }
}

static void a_peers_name_cannot_forge_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *shown;
    } rows[] = {
        {"a\nNov 24 %GDOI-1-X: b", "a?Nov 24 %GDOI-1-X: b"},
        {"tab\tcr\resc\x1b[31mdel\x7f", "tab?cr?esc?[31mdel?"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91"},
        {"nel\xc2\x85 end", "nel?? end"}, /* U+0085 is a control character */
        {"\xff\xfe", "??"},               /* never in UTF-8 */
        {"\xc0\xaf", "??"},               /* overlong '/' */
        {"\xed\xa0\x80", "???"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "????"},     /* above U+10FFFF */
        {"\xe0\x80\xaf", "???"},          /* overlong */
        {"\xf0\x80\x80\xaf", "????"},     /* overlong */
        {"\xe2\x82", "??"},               /* cut short */
        {"\x80", "?"},                    /* a stray continuation */
        {"\xe2\x28\xa1", "?(?"},
    };
    struct catch sink = {0};
    assert_ok(event_add_sink(catch_sink, &sink));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[128];
        snprintf(want, sizeof(want), "Group %s removed", rows[i].shown);
        event(GROUP_REMOVED, rows[i].name);
        assert_string_equal(sink.last.text, want);
    }
    event_remove_sink(catch_sink, &sink);
}

/* What the sink writes to stderr, read back through a temporary file. */
static void the_stderr_line_has_a_time_stamp_in_milliseconds(void **state)
{
    (void)state;
    struct event_record record = {
        .id = EV_SA_KEK_UPDATED, .wall_ms = 1763991841123u, .text = "SA KEK was updated"};
    struct event_record early = {.id = EV_STOPPED, .wall_ms = 60007, .text = "x"};
    char got[256] = {0};
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int old = dup(STDERR_FILENO);
    assert_true(old >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    event_sink_stderr(NULL, &record);
    event_sink_stderr(NULL, &early);
    fflush(stderr);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    close(old);
    rewind(file);
    size_t len = fread(got, 1, sizeof(got) - 1, file);
    fclose(file);
    assert_true(len > 0);
    assert_string_equal(got, "Nov 24 13:44:01.123: %GDOI-5-SA_KEK_UPDATED: SA KEK was updated\n"
                             "Jan  1 00:01:00.007: %QUORATE-5-STOPPED: x\n");
}

enum { THREADS = 4, PER_THREAD = 500 };

static void *write_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < PER_THREAD; i++)
        event(SA_TEK_UPDATED);
    return NULL;
}

struct order {
    uint64_t last_seq;
    unsigned count;
    bool is_broken;
};

static void order_sink(void *context, const struct event_record *record)
{
    struct order *order = context;
    order->is_broken |= order->last_seq != 0 && record->seq != order->last_seq + 1;
    order->last_seq = record->seq;
    order->count++;
}

static void threads_write_without_losing_or_mixing(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct order order = {0};
    uint64_t count = event_count(EV_SA_TEK_UPDATED);
    assert_ok(event_add_sink(order_sink, &order));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    event_remove_sink(order_sink, &order);
    assert_int_equal(order.count, THREADS * PER_THREAD);
    assert_false(order.is_broken);
    assert_int_equal(event_count(EV_SA_TEK_UPDATED), count + THREADS * PER_THREAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(an_event_reaches_every_sink_with_its_text),
        cmocka_unit_test(an_event_may_have_no_arguments_and_no_sink),
        cmocka_unit_test(sinks_are_bounded_and_unknown_ones_are_not_removed),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(a_peers_name_cannot_forge_a_line),
        cmocka_unit_test(the_stderr_line_has_a_time_stamp_in_milliseconds),
        cmocka_unit_test(threads_write_without_losing_or_mixing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

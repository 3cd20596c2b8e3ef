/* Stands in for the C library's syslog, so that the test sees what the sink sends. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/event.h"
#include "tests/lib/test.h"

enum { FACILITY_DAEMON = 3 << 3 }; /* RFC 5424 6.2.1 */

static int last_priority;
static char last_line[1024];

void syslog(int priority, const char *format, ...) PRINTF_LIKE(2, 3);
void __syslog_chk(int priority, int flag, const char *format, ...) PRINTF_LIKE(3, 4);

void syslog(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    last_priority = priority;
    vsnprintf(last_line, sizeof(last_line), format, args);
    va_end(args);
}

/* The same, as a fortified build calls it. */
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    (void)flag;
    va_list args;
    va_start(args, format);
    last_priority = priority;
    vsnprintf(last_line, sizeof(last_line), format, args);
    va_end(args);
}

static void each_severity_of_the_table_is_the_severity_in_syslog(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT_COUNT; i++) {
        struct event_record record = {.id = (enum event_id)i, .text = "text"};
        event_sink_syslog(NULL, &record);
        assert_int_equal(last_priority, FACILITY_DAEMON | event_info((enum event_id)i)->severity);
    }
}

static void the_line_is_sent_as_it_is(void **state)
{
    (void)state;
    assert_ok(event_add_sink(event_sink_syslog, NULL));
    event(GROUP_REMOVED, "100%s%n");
    event_remove_sink(event_sink_syslog, NULL);
    assert_string_equal(last_line, "%QUORATE-5-GROUP_REMOVED: Group 100%s%n removed");
    assert_int_equal(last_priority, FACILITY_DAEMON | 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_severity_of_the_table_is_the_severity_in_syslog),
        cmocka_unit_test(the_line_is_sent_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What /metrics says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/http_server.h"
#include "server/metrics.h"
#include "tests/lib/test.h"

static struct api_health a_leader(void)
{
    return (struct api_health){.live = true,
                               .ready = true,
                               .raft_role = "leader",
                               .term = 7,
                               .voters = 3,
                               .started_ms = 1500,
                               .node_id = {0xab}};
}

static void assert_line(const char *text, const char *line)
{
    char whole[256];
    snprintf(whole, sizeof(whole), "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("'%s' is not a line of:\n%s", line, text);
}

static void counters_and_state_are_told(void **state)
{
    struct metrics metrics = {0};
    struct api_health health = a_leader();
    (void)state;
    metrics_add(&metrics, METRIC_REGISTRATIONS, 18446744073709551615u);
    char *text = metrics_text(&metrics, &health);
    assert_non_null(text);
    assert_line(text, "# TYPE quorate_registrations_total counter");
    assert_line(text, "quorate_registrations_total 18446744073709551615");
    assert_line(text, "quorate_acks_total 0");
    assert_line(text, "quorate_ready 1");
    assert_line(text, "quorate_primary 0");
    assert_line(text, "quorate_raft_leader 1");
    assert_line(text, "quorate_raft_term 7");
    assert_line(text, "quorate_cluster_voters 3");
    assert_line(text, "quorate_start_time_seconds 1.5");
    assert_line(text, "quorate_build_info{version=\"" QUORATE_VERSION
                      "\",node=\"ab000000000000000000000000000000\"} 1");
    free(text);
}

/* Every line is a comment or NAME[{LABELS}] VALUE, and each metric has its TYPE before its value. */
static void every_line_has_the_shape_that_prometheus_reads(void **state)
{
    struct metrics metrics = {0};
    struct api_health health = a_leader();
    char typed[128] = "", name[128], rest[512];
    size_t values = 0;
    (void)state;
    char *text = metrics_text(&metrics, &health), *save = NULL;
    assert_non_null(text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "# TYPE %127s %511s", typed, rest) == 2 || strncmp(line, "# HELP quorate_", 15) == 0)
            continue;
        assert_int_equal(sscanf(line, "%127[a-z0-9_]%511[^\n]", name, rest), 2);
        assert_string_equal(name, typed);
        assert_non_null(strrchr(rest, ' '));
        char *end;
        strtod(strrchr(rest, ' '), &end);
        assert_int_equal(*end, '\0');
        values++;
    }
    assert_true(values > METRIC_COUNT);
    free(text);
}

static void without_memory_there_is_no_text(void **state)
{
    struct metrics metrics = {0};
    struct api_health health = a_leader();
    (void)state;
    for (long n = 0; n < 4; n++) {
        heap_fault_after(n);
        char *text = metrics_text(&metrics, &health);
        heap_fault_after(-1);
        free(text); /* whole or not at all; the sanitizers watch */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_and_state_are_told),
        cmocka_unit_test(every_line_has_the_shape_that_prometheus_reads),
        cmocka_unit_test(without_memory_there_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

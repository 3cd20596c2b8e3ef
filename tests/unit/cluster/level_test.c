/* What a build knows, and what a cluster of mixed builds may have in its log. */
#include "cluster/level.h"

#include <string.h>

#include "tests/lib/test.h"

static void this_build_knows_all_its_commands_and_no_others(void **state)
{
    (void)state;
    for (unsigned number = 0; number < COMMAND_NUMBERS; number++) {
        bool has_name = strcmp(command_name(number), "?") != 0;
        assert_int_equal(level_knows(&level_own, number), has_name);
        assert_int_equal(level_of_command(&level_own, number) != 0, has_name);
    }
    assert_false(level_knows(&level_own, COMMAND_NUMBERS));
    assert_int_equal(level_own.level, CLUSTER_LEVEL);
}

static void a_command_of_a_higher_level_waits_for_the_cluster(void **state)
{
    (void)state;
    struct level_build next = level_own;
    next.level = CLUSTER_LEVEL + 1;
    next.of_command[CMD_NODE_PRIORITY] = CLUSTER_LEVEL + 1;
    assert_err(level_allows(&next, CLUSTER_LEVEL, CMD_NODE_PRIORITY), E_UNSUPPORTED);
    assert_ok(level_allows(&next, CLUSTER_LEVEL, CMD_NODE_SET));
    assert_ok(level_allows(&next, CLUSTER_LEVEL + 1, CMD_NODE_PRIORITY));
}

/* Else the states of mixed builds would differ where such a command got into the log all the same. */
static void a_build_that_does_not_know_a_command_answers_as_one_that_does(void **state)
{
    (void)state;
    struct level_build newer = level_own, older = level_own;
    newer.level = CLUSTER_LEVEL + 1;
    for (unsigned number = 0; number < COMMAND_NUMBERS; number++) {
        newer.of_command[number] = level_own.of_command[number];
        if (number >= 200)
            newer.of_command[number] = CLUSTER_LEVEL + 1;
        assert_int_equal(level_allows(&newer, CLUSTER_LEVEL, number),
                         level_allows(&older, CLUSTER_LEVEL, number));
    }
    assert_ok(level_allows(&newer, CLUSTER_LEVEL + 1, 200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_build_knows_all_its_commands_and_no_others),
        cmocka_unit_test(a_command_of_a_higher_level_waits_for_the_cluster),
        cmocka_unit_test(a_build_that_does_not_know_a_command_answers_as_one_that_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

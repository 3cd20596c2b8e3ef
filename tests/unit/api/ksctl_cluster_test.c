/* What ksctl shows and does where the key servers as a whole are concerned. */
#include "tests/unit/api/ksctl_run.h"

/* A server that runs since a moment; then one that is cut off. */
static void tell_young(void *context, struct api_cluster *out)
{
    const struct fixture *f = context;
    *out = (struct api_cluster){
        .coop_epoch = 1, .minority_ms = f->health.minority_ms, .level = 12, .node_count = 2};
    for (size_t i = 0; i < out->node_count; i++)
        out->nodes[i] =
            (struct api_node){.node = {.role = NODE_VOTER, .priority = 10}, .level = i == 0 ? 13 : 0};
    if (out->minority_ms == 0)
        return;
    out->hash_index = out->mark_index = 7;
    memset(out->state_hash, 0xab, sizeof(out->state_hash));
}

static int setup_young(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    fixture_open(f);
    f->options.cluster = tell_young;
    fixture_serve(f);
    *state = f;
    return 0;
}

static void a_hash_that_was_not_taken_yet_is_not_shown(void **state)
{
    struct run run = ksctl(*state, "cluster status");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "Compared   : not compared yet\nState hash : not taken yet"));
    assert_null(strstr(run.out, "Minority"));
    run_close(&run);
}

static void levels_of_cluster_and_builds_are_shown(void **state)
{
    struct run run = ksctl(*state, "cluster status");
    assert_int_equal(run.code, 0);
    assert_non_null(strstr(run.out, "Level      : 12\n"));
    assert_non_null(strstr(run.out, "Applied Level\n"));
    assert_non_null(strstr(run.out, " 0    13\n"));
    assert_non_null(strstr(run.out, " 0     -\n")); /* not heard */
    run_close(&run);
}

static void service_without_a_quorum_is_shown(void **state)
{
    ((struct fixture *)*state)->health.minority_ms = 1700000000000;
    struct run run = ksctl(*state, "cluster status");
    assert_int_equal(run.code, 0);
    assert_non_null(
        strstr(run.out, "Minority   : no quorum, serving committed keys until 2023-11-14T22:13:20.000Z\n"));
    assert_non_null(strstr(run.out, "State hash : abab"));
    assert_non_null(strstr(run.out, " at index 7\n"));
    run_close(&run);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_young, teardown_server)
    const struct CMUnitTest tests[] = {
        TEST(a_hash_that_was_not_taken_yet_is_not_shown),
        TEST(levels_of_cluster_and_builds_are_shown),
        TEST(service_without_a_quorum_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

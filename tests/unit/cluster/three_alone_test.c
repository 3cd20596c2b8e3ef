/* three_alone_test.c - a server that is started while the others are out of reach: does it hold a state that it may
 * serve from? */
#include "tests/unit/cluster/three_fixture.h"

/* All three stop; the first comes back alone. */
static void form_and_stop(struct three *t)
{
    struct group_config config = group_named("one", 1);
    three_form(t);
    set_group(&t->ks[0], &config);
    until(t, same_state(t));
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_WHOLE);
    for (size_t i = 0; i < SERVERS; i++)
        ks_close(&t->ks[i]);
}

static void damage(const struct ks *ks, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", ks->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    fclose(file);
}

static void a_process_that_is_started_alone_has_the_state_that_it_left(void **state)
{
    struct three *t = *state;
    form_and_stop(t);
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    assert_null(cluster_alone(t->ks[0].cluster));
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_MINORITY);
    assert_non_null(ks_state_group_by_name(cluster_state(t->ks[0].cluster), "one"));
    uint64_t behind_ms = cluster_now_ms(t->ks[0].cluster) - cluster_state(t->ks[0].cluster)->cluster.time_ms;
    assert_in_range(behind_ms, 0, DEADLINE_MS); /* its clock went on meanwhile */
    assert_false(t->ks[0].ready);
    assert_int_equal(primaries(t), 0);
    struct command command = {.type = CMD_GROUP_SET, .u.group_set.config = group_named("two", 2)};
    assert_err(cluster_propose(t->ks[0].cluster, &command, on_ending, &(struct ending){0}), E_STATE);
    assert_ok(ks_open(&t->ks[1], NULL, NULL));
    until(t, t->ks[0].ready && t->ks[1].ready);
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_SPLIT);
}

static void without_a_mark_of_this_boot_its_age_is_not_sure(void **state)
{
    struct three *t = *state;
    form_and_stop(t);
    damage(&t->ks[0], "clock", "");
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_NONE);
    assert_non_null(strstr(cluster_alone(t->ks[0].cluster), "another boot"));
    assert_ok(ks_open(&t->ks[1], NULL, NULL));
    until(t, t->ks[0].ready);
    assert_null(cluster_alone(t->ks[0].cluster));
    ks_close(&t->ks[1]);
    until(t, cluster_contact(t->ks[0].cluster) == CONTACT_MINORITY); /* now it knows */
}

static void a_store_of_another_boot_is_not_sure(void **state)
{
    struct three *t = *state;
    form_and_stop(t);
    damage(&t->ks[0], "store/open-in-boot", "another boot");
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    assert_int_equal(cluster_contact(t->ks[0].cluster), CONTACT_NONE);
    assert_non_null(cluster_alone(t->ks[0].cluster));
}

static void a_server_that_has_only_joined_has_nothing(void **state)
{
    struct three *t = *state;
    char token[JOIN_TOKEN_TEXT_MAX];
    assert_ok(ks_open(&t->ks[0], NULL, NULL));
    until(t, t->ks[0].ready && cluster_state(t->ks[0].cluster)->node_count == 1);
    make_token(&t->ks[0], token);
    assert_ok(ks_open(&t->ks[1], &t->ks[0], token));
    assert_int_equal(cluster_contact(t->ks[1].cluster), CONTACT_NONE);
    ks_close(&t->ks[1]);
    assert_ok(ks_open(&t->ks[1], NULL, NULL));
    assert_int_equal(cluster_contact(t->ks[1].cluster), CONTACT_NONE);
    assert_non_null(strstr(cluster_alone(t->ks[1].cluster), "no committed state"));
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const struct CMUnitTest tests[] = {
        THREE(a_process_that_is_started_alone_has_the_state_that_it_left),
        THREE(without_a_mark_of_this_boot_its_age_is_not_sure),
        THREE(a_store_of_another_boot_is_not_sure),
        THREE(a_server_that_has_only_joined_has_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

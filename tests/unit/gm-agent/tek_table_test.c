/* Which key receives and which one sends, over time. */
#include <string.h>

#include "gm-agent/tek_table.h"
#include "tests/lib/test.h"

static struct tek tek(uint32_t spi, uint32_t lifetime_s)
{
    struct tek t = {.spi = spi, .lifetime_s = lifetime_s, .suite = {ESP_AES_CBC, 256, AUTH_HMAC_SHA256}};
    uint8_t raw[32];
    memset(raw, (int)spi, sizeof(raw));
    assert_ok(secret_set(&t.key, BYTES_OF(raw)));
    assert_ok(secret_set(&t.integrity, BYTES_OF(raw)));
    return t;
}

static struct group_policy policy(uint16_t atd_s, uint16_t dtd_s)
{
    return (struct group_policy){.has_delays = true, .activation_s = atd_s, .deactivation_s = dtd_s};
}

static void add(struct group_policy *p, uint32_t spi, uint32_t lifetime_s)
{
    p->teks[p->tek_count++] = tek(spi, lifetime_s);
}

static bool has(const struct tek_table *table, uint32_t spi)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->entries[i].tek.spi == spi)
            return true;
    return false;
}

static uint32_t out_at(struct tek_table *table, uint64_t now_ms)
{
    tek_table_advance(table, now_ms);
    const struct tek_entry *out = tek_table_out(table);
    return out != NULL ? out->tek.spi : 0;
}

static void a_single_key_sends_at_once(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 100);
    tek_table_register(&t, &p, 0);
    assert_int_equal(out_at(&t, 0), 1);
    assert_int_equal(out_at(&t, 99999), 1);
    assert_int_equal(out_at(&t, 100000), 0);
    assert_int_equal(t.count, 0);
}

static void defaults_stand_in_for_a_policy_without_delays(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = {0};
    add(&p, 1, 100);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 100);
    tek_table_rekey(&t, &p, 1000);
    assert_int_equal(out_at(&t, 1000 + 1000 * TEK_ACTIVATION_DEFAULT_S - 1), 1);
    assert_int_equal(out_at(&t, 1000 + 1000 * TEK_ACTIVATION_DEFAULT_S), 2);
}

static void zero_delays_mean_at_once(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(0, 0);
    add(&p, 1, 100);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 50);
    tek_table_rekey(&t, &p, 1000);
    assert_int_equal(out_at(&t, 1000), 2);
    assert_true(has(&t, 1));
}

static void a_rekey_with_a_shorter_life_still_takes_over(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 7200);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 600);
    tek_table_rekey(&t, &p, 0);
    assert_int_equal(out_at(&t, 10000), 2);
    assert_int_equal(out_at(&t, 600000), 1); /* the old one lives longer, and is better than none */
}

/* Behind a split of the key servers a long delay is followed by a short one. */
static void an_older_key_that_waits_for_longer_never_comes_back(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(5, 10), late = policy(100, 100), soon = policy(5, 10);
    add(&p, 1, 1000);
    tek_table_register(&t, &p, 0);
    add(&late, 2, 1500);
    tek_table_rekey(&t, &late, 1000);
    add(&soon, 3, 1200);
    tek_table_rekey(&t, &soon, 50000);
    assert_int_equal(out_at(&t, 54999), 1);
    assert_int_equal(out_at(&t, 55000), 3);
    assert_int_equal(out_at(&t, 101000), 3);
    assert_int_equal(out_at(&t, 1200000), 3);
    assert_true(has(&t, 2));
    tek_table_clear(&t);
}

static void a_key_told_again_keeps_its_times_but_takes_the_new_life(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 3600);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 3600);
    tek_table_rekey(&t, &p, 1000);
    p.teks[0].lifetime_s = 90; /* the policy changed: what is left is shortened */
    tek_table_rekey(&t, &p, 5000);
    assert_int_equal(t.count, 2);
    assert_int_equal(out_at(&t, 11000), 2); /* 10 s after the first time */
    assert_int_equal(out_at(&t, 95000), 1);
}

static void one_spi_with_another_key_is_another_key(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 3600);
    tek_table_register(&t, &p, 0);
    p.teks[0].key.data[0] ^= 1;
    tek_table_rekey(&t, &p, 1000);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.entries[0].tek.key.data[0], p.teks[0].key.data[0]);
}

static void a_registration_keeps_what_it_does_not_list_for_receiving_only(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 3600);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 1000);
    tek_table_register(&t, &p, 5000);
    assert_int_equal(out_at(&t, 5000), 2);
    assert_true(has(&t, 1));
    assert_int_equal(out_at(&t, 1005000), 0); /* the first is not sent on again */
    assert_true(has(&t, 1));
}

static void a_registration_in_the_middle_of_a_rollover_keeps_its_pace(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 3600);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 3700);
    tek_table_rekey(&t, &p, 1000); /* takes over at 11 s */
    struct group_policy both = policy(10, 20);
    add(&both, 1, 3598);
    add(&both, 2, 3698);
    tek_table_register(&t, &both, 3000);
    assert_int_equal(out_at(&t, 3000), 1);
    assert_int_equal(out_at(&t, 10999), 1);
    assert_int_equal(out_at(&t, 11000), 2);
}

static void of_equal_lives_the_one_that_waits_still_waits(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 3600);
    tek_table_register(&t, &p, 0);
    p.tek_count = 0;
    add(&p, 2, 3600);
    tek_table_rekey(&t, &p, 1000);
    struct group_policy both = policy(10, 20);
    add(&both, 2, 3600);
    add(&both, 1, 3600);
    tek_table_register(&t, &both, 3000);
    assert_int_equal(out_at(&t, 10999), 1);
    assert_int_equal(out_at(&t, 11000), 2);
}

static void the_table_is_bounded_and_drops_what_ends_first(void **state)
{
    (void)state;
    struct tek_table t = {0};
    for (uint32_t i = 0; i < 3 * TEK_TABLE_MAX; i++) {
        struct group_policy p = policy(0, 0);
        add(&p, 100 + i, 1000 + i);
        tek_table_rekey(&t, &p, 0);
        assert_true(t.count <= TEK_TABLE_MAX);
        assert_int_equal(out_at(&t, 0), 100 + i);
    }
    assert_false(has(&t, 100));
}

static void the_next_change_is_never_in_the_past(void **state)
{
    (void)state;
    struct tek_table t = {0};
    struct group_policy p = policy(10, 20);
    add(&p, 1, 60);
    add(&p, 2, 120);
    tek_table_register(&t, &p, 0);
    uint64_t now_ms = 0;
    unsigned steps = 0;
    for (; tek_table_next_ms(&t, now_ms) != TIME_NEVER; steps++) {
        uint64_t next_ms = tek_table_next_ms(&t, now_ms);
        assert_true(next_ms > now_ms);
        now_ms = next_ms;
        tek_table_advance(&t, now_ms);
    }
    assert_in_range(steps, 3, 6);
    assert_int_equal(t.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_key_sends_at_once),
        cmocka_unit_test(defaults_stand_in_for_a_policy_without_delays),
        cmocka_unit_test(zero_delays_mean_at_once),
        cmocka_unit_test(a_rekey_with_a_shorter_life_still_takes_over),
        cmocka_unit_test(an_older_key_that_waits_for_longer_never_comes_back),
        cmocka_unit_test(a_key_told_again_keeps_its_times_but_takes_the_new_life),
        cmocka_unit_test(one_spi_with_another_key_is_another_key),
        cmocka_unit_test(a_registration_keeps_what_it_does_not_list_for_receiving_only),
        cmocka_unit_test(a_registration_in_the_middle_of_a_rollover_keeps_its_pace),
        cmocka_unit_test(of_equal_lives_the_one_that_waits_still_waits),
        cmocka_unit_test(the_table_is_bounded_and_drops_what_ends_first),
        cmocka_unit_test(the_next_change_is_never_in_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is put in to find out what the kernel can do. */
#include "gm-agent/xfrm_try.h"

#include "tests/unit/gm-agent/xfrm_fixture.h"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static void every_transform_is_known_and_named_once(void **state)
{
    char names[XFRM_TRY_MAX][DATAPATH_ABILITY_NAME_MAX];
    (void)state;
    assert_true(xfrm_try_count() <= DATAPATH_ABILITY_MAX - 2); /* two more are tried */
    for (size_t i = 0; i < xfrm_try_count(); i++) {
        struct esp_suite suite = xfrm_try_suite(i);
        assert_true(xfrm_suite_known(&suite));
        xfrm_try_name(&suite, names[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[k], names[i]);
    }
    assert_string_equal(names[2], "esp-aes 256 esp-sha256-hmac");
    assert_string_equal(names[15], "esp-gcm 128 icv 16");
}

static void the_sa_is_ours_but_in_nobodys_place(void **state)
{
    struct xfrm_plan plan;
    struct xfrm_sa sa;
    (void)state;
    assert_ok(xfrm_plan_make(&plan, &f.site, &f.state));
    for (size_t i = 0; i < xfrm_try_count(); i++) {
        struct esp_suite suite = xfrm_try_suite(i);
        assert_ok(xfrm_try_sa(&f.site, &suite, &sa));
        assert_true(xfrm_plan_owns_sa(&f.site, &sa)); /* what a crash leaves is cleared by the next start */
        assert_int_equal(sa.key.len, esp_key_len(&suite));
        for (size_t k = 0; k < plan.sa_count; k++)
            assert_false(xfrm_sa_same_place(&sa, &plan.sas[k]));
        xfrm_sa_close(&sa);
    }
    xfrm_plan_close(&plan);
}

static void the_sa_is_sent_as_the_groups_would_be(void **state)
{
    uint8_t buffer[XFRM_MESSAGE_MAX];
    struct xfrm_sa sa, back;
    struct xfrm_sa_usage usage;
    struct esp_suite suite = xfrm_try_suite(0);
    (void)state;
    assert_ok(xfrm_try_sa(&f.site, &suite, &sa));
    assert_ok(xfrm_parse_sa(&back, &usage, xfrm_build_sa(buffer, 1, &sa)));
    assert_true(xfrm_sa_equal(&sa, &back));
    assert_int_equal(back.spi, XFRM_TRY_SPI);
    assert_memory_equal(back.dst, ((uint8_t[]){100, 127, 0, 2}), 4);
    xfrm_sa_close(&sa);
    xfrm_sa_close(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_transform_is_known_and_named_once, setup),
        cmocka_unit_test_setup(the_sa_is_ours_but_in_nobodys_place, setup),
        cmocka_unit_test_setup(the_sa_is_sent_as_the_groups_would_be, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

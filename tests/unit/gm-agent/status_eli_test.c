/* "show crypto eli": what works, and what was refused and why. */
#include "gm-agent/status_eli.h"

#include <stdlib.h>
#include <string.h>

#include "gm-agent/datapath.h"
#include "tests/lib/test.h"

static const struct datapath_ability abilities[] = {
    {"esp-aes 256 esp-sha256-hmac", E_OK}, {"esp-gcm 128 icv 16", E_UNSUPPORTED}, {"nftables", E_OK}};
static const struct status_view view = {.backend = "xfrm", .abilities = abilities, .ability_count = 3};
static char answer[4096];

static void assert_has(const char *text)
{
    if (strstr(answer, text) == NULL)
        fail_msg("not found: %s\nin:\n%s", text, answer);
}

static void the_short_form_names_what_works(void **state)
{
    (void)state;
    size_t len = status_text(&view, STATUS_SHOW_ELI, answer, sizeof(answer));
    assert_int_equal(len, strlen(answer));
    assert_has("CryptoEngine Software Crypto Engine details: state = Active\n");
    assert_has(" Data path     : xfrm\n Capability    : esp-aes 256 esp-sha256-hmac, nftables\n");
    assert_has(" Tried now     : 3, working: 2\n");
    assert_null(strstr(answer, "refused"));
}

static void the_long_form_says_why_the_rest_does_not(void **state)
{
    (void)state;
    status_text(&view, STATUS_SHOW_ELI_DETAIL, answer, sizeof(answer));
    assert_has("  esp-aes 256 esp-sha256-hmac      works\n");
    assert_has(
        "  esp-gcm 128 icv 16               refused: not supported by this build, kernel or back end\n");
}

static void a_machine_that_can_do_nothing_is_failed(void **state)
{
    static const struct status_view none = {.backend = "xfrm"};
    (void)state;
    status_text(&none, STATUS_SHOW_ELI, answer, sizeof(answer));
    assert_has("state = Failed\n");
    assert_has("Capability    : none\n");
}

static void json_has_each_try(void **state)
{
    (void)state;
    status_json(&view, STATUS_SHOW_ELI, answer, sizeof(answer));
    json_t *root = json_loads(answer, 0, NULL);
    assert_non_null(root);
    const json_t *list = json_object_get(root, "abilities");
    assert_int_equal(json_array_size(list), 3);
    assert_true(json_is_false(json_object_get(json_array_get(list, 1), "works")));
    json_decref(root);
}

static void a_short_buffer_cuts_the_answer(void **state)
{
    (void)state;
    for (size_t cap = 1; cap < 64; cap++)
        assert_true(status_text(&view, STATUS_SHOW_ELI_DETAIL, answer, cap) < cap);
    assert_int_equal(status_text(&view, STATUS_SHOW_ELI_DETAIL, answer, 0), 0);
}

static void commands_are_read(void **state)
{
    bool json;
    (void)state;
    assert_int_equal(status_parse("show crypto eli", &json), STATUS_SHOW_ELI);
    assert_int_equal(status_parse("show crypto eli detail json", &json), STATUS_SHOW_ELI_DETAIL);
    assert_true(json);
}

static void the_cipher_library_is_tried_where_the_back_end_has_no_tries(void **state)
{
    static const struct gm_datapath_config config = {.backend = GM_BACKEND_NONE};
    struct datapath_ability out[DATAPATH_ABILITY_MAX];
    struct datapath *datapath;
    const char *why;
    (void)state;
    assert_ok(datapath_open(&config, &datapath, &why));
    size_t count = datapath_abilities(datapath, out);
    assert_int_equal(count, 18);
    for (size_t i = 0; i < count; i++)
        assert_ok(out[i].err);
    datapath->ops->close(datapath);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_form_names_what_works),
        cmocka_unit_test(the_long_form_says_why_the_rest_does_not),
        cmocka_unit_test(a_machine_that_can_do_nothing_is_failed),
        cmocka_unit_test(json_has_each_try),
        cmocka_unit_test(a_short_buffer_cuts_the_answer),
        cmocka_unit_test(commands_are_read),
        cmocka_unit_test(the_cipher_library_is_tried_where_the_back_end_has_no_tries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

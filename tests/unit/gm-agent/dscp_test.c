/* Classes by DSCP: their names, and what a packet path counts under them. */
#include "gm-agent/dscp.h"

#include "esp_side.h"

static void classes_have_the_names_that_iana_lists(void **state)
{
    static const struct {
        uint8_t dscp;
        const char *name;
    } rows[] = {
        {0, "DF"},    {1, "LE"},    {8, "CS1"},   {10, "AF11"}, {12, "AF12"}, {14, "AF13"}, {16, "CS2"},
        {22, "AF23"}, {26, "AF31"}, {34, "AF41"}, {38, "AF43"}, {40, "CS5"},  {42, "42"},   {44, "VA"},
        {46, "EF"},   {48, "CS6"},  {56, "CS7"},  {63, "63"},   {11, "11"},   {2, "2"},     {255, "255"},
    };
    char out[DSCP_NAME_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(dscp_name(rows[i].dscp, out), rows[i].name);
}

static void tables_add_up_each_way(void **state)
{
    struct dscp_table sum = {0}, part = {0};
    (void)state;
    dscp_count(part.out, 0xb8 | 3, 100); /* ECN is not looked at */
    dscp_count(part.out, 0xb8, 20);
    dscp_count(part.in, 0xff, 7);
    dscp_add(&sum, &part);
    dscp_add(&sum, &part);
    assert_int_equal(sum.out[46].packets, 4);
    assert_int_equal(sum.out[46].octets, 240);
    assert_int_equal(sum.in[63].packets, 2);
    assert_int_equal(sum.in[63].octets, 14);
    assert_int_equal(sum.in[46].packets, 0);
}

/* Both families, marked EF: counted once on each side, by the clear packet's length; also over a rekey. */
static void a_path_counts_what_it_seals_and_opens(const struct group *g, packet_fn make)
{
    struct side *a = side_open(g, 1), *b = side_open(g, 2);
    uint8_t clear[CAP], esp[CAP], out[CAP];
    size_t len = 0, out_len = 0;
    struct esp_note note;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(side_out(a, make(clear, 100), esp, &len, &note), ESP_TO_WAN);
        assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_TO_LAN);
        side_apply(a, g, &g->teks[0], 3);
        side_apply(b, g, &g->teks[0], 4);
    }
    esp[len - 1] ^= 1; /* does not open: not counted */
    assert_int_equal(side_in(b, (struct bytes){esp, len}, out, &out_len, &note), ESP_DROP);
    struct dscp_table want = {.out[46] = {2, 200}};
    assert_memory_equal(&a->path.dscp, &want, sizeof(want));
    want = (struct dscp_table){.in[46] = {2, 200}};
    assert_memory_equal(&b->path.dscp, &want, sizeof(want));
    side_close(a);
    side_close(b);
}

static void ipv4_is_counted_by_its_tos(void **state)
{
    struct group g = group_gcm();
    (void)state;
    a_path_counts_what_it_seals_and_opens(&g, good_packet);
}

static void ipv6_is_counted_by_its_traffic_class(void **state)
{
    struct group g = group_six();
    (void)state;
    a_path_counts_what_it_seals_and_opens(&g, six_packet);
}

static void what_has_no_key_is_not_counted(void **state)
{
    static const struct dscp_table none;
    struct group g = group_cbc();
    struct side *a = side_open(&g, 1);
    uint8_t clear[CAP], esp[CAP];
    size_t len = 0;
    struct esp_note note;
    (void)state;
    side_apply(a, &g, NULL, 1);
    assert_int_equal(side_out(a, good_packet(clear, 100), esp, &len, &note), ESP_DROP);
    assert_memory_equal(&a->path.dscp, &none, sizeof(none));
    side_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_have_the_names_that_iana_lists),
        cmocka_unit_test(tables_add_up_each_way),
        cmocka_unit_test(ipv4_is_counted_by_its_tos),
        cmocka_unit_test(ipv6_is_counted_by_its_traffic_class),
        cmocka_unit_test(what_has_no_key_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

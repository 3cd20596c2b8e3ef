#include "base/conf.h"

#include <string.h>

#include "tests/unit/base/conf_fixture.h"

static void values_of_every_kind_are_read(void **state)
{
    (void)state;
    struct conf_file *file = opened("port = 848;\n"
                                    "big = 5000000000;\n"
                                    "hex = 0xFFFFFFFF;\n"
                                    "long = 7L;\n"
                                    "on = true;\n"
                                    "name = \"blue\";\n"
                                    "address = \"2001:db8::1\";\n"
                                    "net = \"10.1.0.0/16\";\n"
                                    "mode = \"closed\";\n");
    static const char *const words[] = {"open", "closed", NULL};
    const struct conf_node *root = conf_root(file);
    struct conf_error error;
    uint32_t port = 0;
    uint64_t big = 0;
    uint64_t hex_value = 0;
    uint32_t long_value = 0;
    bool on = false;
    char name[CONF_TEXT_MAX];
    char text[ADDR_TEXT_MAX];
    struct addr address;
    struct prefix net;
    unsigned mode = 9;
    assert_ok(conf_u32(root, "port", true, 1, 65535, &port, &error));
    assert_ok(conf_u64(root, "big", true, 1, UINT64_MAX, &big, &error));
    assert_ok(conf_u64(root, "hex", true, 0, UINT32_MAX, &hex_value, &error));
    assert_ok(conf_u32(root, "long", true, 7, 7, &long_value, &error));
    assert_ok(conf_bool(root, "on", true, &on, &error));
    assert_ok(conf_text(root, "name", true, name, sizeof(name), &error));
    assert_ok(conf_addr(root, "address", true, &address, &error));
    assert_ok(conf_prefix(root, "net", true, &net, &error));
    assert_ok(conf_word(root, "mode", true, words, &mode, &error));
    assert_int_equal(port, 848);
    assert_true(big == 5000000000u);
    assert_int_equal(hex_value, 0xffffffffu);
    assert_int_equal(long_value, 7);
    assert_true(on);
    assert_string_equal(name, "blue");
    assert_string_equal(addr_format(&address, text), "2001:db8::1");
    assert_string_equal(prefix_format(&net, text), "10.1.0.0/16");
    assert_int_equal(mode, 1);
    conf_free(file);
}

static void an_absent_value_keeps_its_default(void **state)
{
    (void)state;
    struct conf_file *file = opened("# nothing\n");
    static const char *const words[] = {"open", NULL};
    const struct conf_node *root = conf_root(file);
    const struct conf_node *child = root;
    struct conf_error error;
    uint64_t wide = 5;
    uint32_t narrow = 6;
    bool flag = true;
    char text[8] = "same";
    struct addr addr = addr_v4(1, 2, 3, 4);
    struct prefix prefix = {addr_v4(10, 0, 0, 0), 8};
    unsigned word = 3;
    assert_ok(conf_u64(root, "a", false, 1, 2, &wide, &error));
    assert_ok(conf_u32(root, "a", false, 1, 2, &narrow, &error));
    assert_ok(conf_bool(root, "a", false, &flag, &error));
    assert_ok(conf_text(root, "a", false, text, sizeof(text), &error));
    assert_ok(conf_addr(root, "a", false, &addr, &error));
    assert_ok(conf_prefix(root, "a", false, &prefix, &error));
    assert_ok(conf_word(root, "a", false, words, &word, &error));
    assert_ok(conf_u64(NULL, "a", false, 1, 2, &wide, &error));
    assert_true(wide == 5 && narrow == 6 && flag && addr.bytes[3] == 4 && prefix.bits == 8 && word == 3);
    assert_string_equal(text, "same");
    assert_false(conf_has(root, "a"));
    assert_false(conf_has(NULL, "a"));
    assert_ok(conf_group(root, "a", &child, &error));
    assert_null(child);
    assert_ok(conf_list(root, "a", &child, &error));
    assert_null(child);
    assert_int_equal(conf_count(NULL), 0);
    assert_null(conf_item(NULL, 0));
    conf_free(file);
}

static void a_missing_required_value_names_its_group(void **state)
{
    (void)state;
    struct conf_file *file = opened("\n\nserver:\n{\n  name = \"a\";\n};\n");
    const struct conf_node *server = NULL;
    struct conf_error error;
    uint32_t port = 1;
    struct addr addr;
    assert_ok(conf_group(conf_root(file), "server", &server, &error));
    assert_err(conf_u32(server, "port", true, 1, 65535, &port, &error), E_CONFIG);
    assert_error(&error, 3, "server: \"port\" is missing, expected an integer from 1 to 65535");
    assert_err(conf_addr(conf_root(file), "address", true, &addr, &error), E_CONFIG);
    assert_error(&error, 0, "the file: \"address\" is missing, expected an IPv4 or IPv6 address as a string");
    assert_err(conf_u32(NULL, "port", true, 1, 2, &port, &error), E_CONFIG);
    assert_int_equal(port, 1);
    conf_free(file);
}

static void a_value_of_the_wrong_kind_says_what_was_expected_and_found(void **state)
{
    (void)state;
    struct conf_file *file = opened("a = \"text\";\nb = 1.5;\nc = 1;\nd = ( );\ne = { };\nf = true;\n");
    static const char *const words[] = {"open", "closed", NULL};
    const struct conf_node *root = conf_root(file);
    const struct conf_node *child = NULL;
    struct conf_error error;
    uint64_t number = 1;
    bool flag = false;
    char text[8] = "";
    struct prefix prefix;
    struct addr addr;
    unsigned word = 0;
    assert_err(conf_u64(root, "a", false, 1, 2, &number, &error), E_CONFIG);
    assert_error(&error, 1, "a: expected an integer from 1 to 2, found a string");
    assert_err(conf_u64(root, "b", false, 1, 2, &number, &error), E_CONFIG);
    assert_error(&error, 2, "b: expected an integer from 1 to 2, found a number with a fraction");
    assert_err(conf_bool(root, "c", false, &flag, &error), E_CONFIG);
    assert_error(&error, 3, "c: expected true or false, found an integer");
    assert_err(conf_text(root, "d", false, text, sizeof(text), &error), E_CONFIG);
    assert_error(&error, 4, "d: expected a string, found a list ( )");
    assert_err(conf_list(root, "e", &child, &error), E_CONFIG);
    assert_error(&error, 5, "e: expected a list ( ), found a group { }");
    assert_err(conf_group(root, "f", &child, &error), E_CONFIG);
    assert_error(&error, 6, "f: expected a group { }, found true or false");
    assert_err(conf_word(root, "f", false, words, &word, &error), E_CONFIG);
    assert_error(&error, 6, "f: expected one of the strings: open, closed, found true or false");
    assert_err(conf_prefix(root, "c", false, &prefix, &error), E_CONFIG);
    assert_error(&error, 3, "c: expected a prefix like \"10.1.0.0/16\" without host bits, found an integer");
    assert_err(conf_addr(root, "f", false, &addr, &error), E_CONFIG);
    assert_error(&error, 6, "f: expected an IPv4 or IPv6 address as a string, found true or false");
    conf_free(file);
}

static void an_integer_out_of_range_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct conf_file *file =
        opened("a = 0;\nb = 65536;\nc = -1;\nd = 4294967296;\ne = 999999999999999999;\n");
    const struct conf_node *root = conf_root(file);
    struct conf_error error;
    uint32_t got = 77;
    assert_err(conf_u32(root, "a", false, 1, 65535, &got, &error), E_CONFIG);
    assert_error(&error, 1, "a: expected an integer from 1 to 65535, found 0");
    assert_err(conf_u32(root, "b", false, 1, 65535, &got, &error), E_CONFIG);
    assert_error(&error, 2, "b: expected an integer from 1 to 65535, found 65536");
    assert_err(conf_u32(root, "c", false, 0, UINT32_MAX, &got, &error), E_CONFIG);
    assert_error(&error, 3, "c: expected an integer from 0 to 4294967295, found -1");
    assert_err(conf_u32(root, "d", false, 0, UINT32_MAX, &got, &error), E_CONFIG);
    assert_error(&error, 4, "d: expected an integer from 0 to 4294967295, found 4294967296");
    assert_int_equal(got, 77);
    uint64_t wide = 0;
    assert_ok(conf_u64(root, "e", false, 0, UINT64_MAX, &wide, &error));
    assert_true(wide == 999999999999999999u);
    conf_free(file);
}

static void wrong_words_addresses_and_prefixes_show_what_stood_there(void **state)
{
    (void)state;
    struct conf_file *file = opened("w = \"ajar\";\na = \"192.0.2\";\np = \"10.1.0.1/16\";\n");
    static const char *const words[] = {"open", "closed", NULL};
    const struct conf_node *root = conf_root(file);
    struct conf_error error;
    unsigned word = 5;
    struct addr addr = addr_v4(1, 2, 3, 4);
    struct prefix prefix = {addr_v4(9, 0, 0, 0), 8};
    assert_err(conf_word(root, "w", true, words, &word, &error), E_CONFIG);
    assert_error(&error, 1, "w: expected one of the strings: open, closed, found \"ajar\"");
    assert_err(conf_addr(root, "a", true, &addr, &error), E_CONFIG);
    assert_error(&error, 2, "a: expected an IPv4 or IPv6 address as a string, found \"192.0.2\"");
    assert_err(conf_prefix(root, "p", true, &prefix, &error), E_CONFIG);
    assert_error(&error, 3,
                 "p: expected a prefix like \"10.1.0.0/16\" without host bits, found \"10.1.0.1/16\"");
    assert_true(word == 5 && addr.bytes[0] == 1 && prefix.addr.bytes[0] == 9);
    conf_free(file);
}

static void a_text_must_fit_its_buffer(void **state)
{
    (void)state;
    struct conf_file *file = opened("a = \"1234567\";\nb = \"12345678\";\n");
    struct conf_error error;
    char text[8] = "old";
    assert_ok(conf_text(conf_root(file), "a", true, text, sizeof(text), &error));
    assert_string_equal(text, "1234567");
    assert_err(conf_text(conf_root(file), "b", true, text, sizeof(text), &error), E_CONFIG);
    assert_error(&error, 2, "b: expected a string of at most 7 bytes, found 8");
    assert_string_equal(text, "1234567");
    conf_free(file);
}

static void unknown_keys_are_refused_with_the_known_ones(void **state)
{
    (void)state;
    struct conf_file *file = opened("server:\n{\n  port = 1;\n  prot = 2;\n};\nlist = ( 5 );\n");
    static const char *const known[] = {"port", "name", NULL};
    static const char *const none[] = {NULL};
    const struct conf_node *server = NULL;
    const struct conf_node *list = NULL;
    struct conf_error error;
    assert_ok(conf_group(conf_root(file), "server", &server, &error));
    assert_err(conf_only(server, known, &error), E_CONFIG);
    assert_error(&error, 4, "server.prot: unknown key, expected one of: port, name");
    static const char *const top[] = {"server", "list", NULL};
    assert_ok(conf_only(conf_root(file), top, &error));
    assert_err(conf_only(conf_root(file), none, &error), E_CONFIG);
    assert_ok(conf_list(conf_root(file), "list", &list, &error));
    assert_err(conf_only(conf_item(list, 0), known, &error), E_CONFIG);
    assert_error(&error, 6, "list[0]: expected a group { }, found an integer");
    conf_free(file);
}

static void lists_give_their_items_in_order(void **state)
{
    (void)state;
    struct conf_file *file =
        opened("nets = [ \"10.0.0.0/8\", \"2001:db8::/32\" ];\n"
               "mixed = ( \"192.0.2.1\",\n"
               "          \"bad\",\n"
               "          7 );\n"
               "empty = ( );\n"
               "groups = ( { name = \"blue\"; }, { name = \"red\";\n rekey = { seconds = 0; }; } );\n");
    const struct conf_node *list = NULL;
    const struct conf_node *rekey = NULL;
    struct conf_error error;
    char text[CONF_TEXT_MAX];
    struct prefix net;
    struct addr addr;
    uint32_t seconds = 0;
    assert_ok(conf_list(conf_root(file), "nets", &list, &error));
    assert_int_equal(conf_count(list), 2);
    assert_ok(conf_item_prefix(conf_item(list, 1), &net, &error));
    assert_string_equal(prefix_format(&net, text), "2001:db8::/32");
    assert_null(conf_item(list, 2));
    assert_ok(conf_list(conf_root(file), "mixed", &list, &error));
    assert_ok(conf_item_addr(conf_item(list, 0), &addr, &error));
    assert_err(conf_item_addr(conf_item(list, 1), &addr, &error), E_CONFIG);
    assert_error(&error, 3, "mixed[1]: expected an IPv4 or IPv6 address as a string, found \"bad\"");
    assert_err(conf_item_text(conf_item(list, 2), text, sizeof(text), &error), E_CONFIG);
    assert_error(&error, 4, "mixed[2]: expected a string, found an integer");
    assert_ok(conf_item_text(conf_item(list, 1), text, sizeof(text), &error));
    assert_string_equal(text, "bad");
    assert_ok(conf_list(conf_root(file), "empty", &list, &error));
    assert_int_equal(conf_count(list), 0);
    assert_ok(conf_list(conf_root(file), "groups", &list, &error));
    assert_ok(conf_text(conf_item(list, 1), "name", true, text, sizeof(text), &error));
    assert_string_equal(text, "red");
    assert_ok(conf_group(conf_item(list, 1), "rekey", &rekey, &error));
    assert_err(conf_u32(rekey, "seconds", true, 60, 86400, &seconds, &error), E_CONFIG);
    assert_error(&error, 7, "groups[1].rekey.seconds: expected an integer from 60 to 86400, found 0");
    conf_free(file);
}

static void a_caller_can_place_its_own_message(void **state)
{
    (void)state;
    struct conf_file *file = opened("\n\na = 1;\n");
    static const char *const none[] = {NULL};
    struct conf_error error;
    assert_err(conf_only(conf_root(file), none, &error), E_CONFIG);
    assert_int_equal(error.line, 3);
    assert_err(conf_fail(conf_root(file), &error, "no %s", "group"), E_CONFIG);
    assert_error(&error, 0, "no group");
    assert_err(conf_fail(NULL, &error, "nowhere"), E_CONFIG);
    assert_int_equal(error.line, 0);
    assert_string_equal(error.file, "configuration");
    conf_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_kind_are_read),
        cmocka_unit_test(an_absent_value_keeps_its_default),
        cmocka_unit_test(a_missing_required_value_names_its_group),
        cmocka_unit_test(a_value_of_the_wrong_kind_says_what_was_expected_and_found),
        cmocka_unit_test(an_integer_out_of_range_is_refused_and_changes_nothing),
        cmocka_unit_test(wrong_words_addresses_and_prefixes_show_what_stood_there),
        cmocka_unit_test(a_text_must_fit_its_buffer),
        cmocka_unit_test(unknown_keys_are_refused_with_the_known_ones),
        cmocka_unit_test(lists_give_their_items_in_order),
        cmocka_unit_test(a_caller_can_place_its_own_message),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

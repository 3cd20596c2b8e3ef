#include "base/conf.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/base/conf_fixture.h"

/* Files that must be refused while reading, each with its line and message. */
static void a_file_that_cannot_be_parsed_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *message;
    } rows[] = {
        {"a = 1;\nb = ;\n", 2, "syntax error"},
        {"a = 1;\n\na = 2;\n", 3, "duplicate setting name"},
        {"g = {\n a = 1;\n b = 1;\n a = 2;\n};\n", 4, "duplicate setting name"},
        {"a = 1;\nb = \"open\n", 3, "a string does not end"},
        {"/* a\n b\n", 3, "a comment that begins with /* does not end"},
        {"a = 1;\n  @include \"other\"\n", 2, "@include is not allowed: settings stand in one file"},
        {"a = 1234567890123456789;\n", 1, "a number is too large"},
        {"a = 0x1234567890123456;\n", 1, "a number is too large"},
        {"a = 010;\n", 1, "a number begins with 0"},
        {"\na = [ 1, \"b\" ];\n", 2, "mismatched element type in array"},
        {"a = {\n", 2, "syntax error"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_file *file = NULL;
        struct conf_error error;
        write_file(rows[i].text, strlen(rows[i].text));
        assert_err(conf_open(&file, path, &error), E_CONFIG);
        assert_null(file);
        assert_error(&error, rows[i].line, rows[i].message);
    }
}

static void a_file_with_a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct conf_file *file = NULL;
    struct conf_error error;
    write_file("a = 1;\n\0b = 2;\n", 15);
    assert_err(conf_open(&file, path, &error), E_CONFIG);
    assert_error(&error, 2, "the file has a NUL byte: it is not text");
}

static void numbers_in_names_strings_and_comments_stay_as_they_are(void **state)
{
    (void)state;
    struct conf_file *file =
        opened("# 010 and 99999999999999999999\n"
               "// 010\n"
               "/* 010\n @include */ sha256 = \"010 /* # \\\" 5\";\n"
               "a-1_2 = 3; t1=true; b = [1,2L,0x3]; c = 1e3; d = .5; e = -1.25E+2; f = +4;\n"
               "a2 = 5");
    const struct conf_node *root = conf_root(file);
    const struct conf_node *list = NULL;
    struct conf_error error;
    char text[32];
    uint32_t number = 0;
    assert_ok(conf_text(root, "sha256", true, text, sizeof(text), &error));
    assert_string_equal(text, "010 /* # \" 5");
    assert_ok(conf_u32(root, "a-1_2", true, 3, 3, &number, &error));
    assert_ok(conf_u32(root, "f", true, 4, 4, &number, &error));
    assert_ok(conf_u32(root, "a2", true, 5, 5, &number, &error));
    assert_ok(conf_list(root, "b", &list, &error));
    assert_int_equal(conf_count(list), 3);
    assert_err(conf_u32(root, "c", true, 0, 9999, &number, &error), E_CONFIG);
    assert_err(conf_u32(root, "d", true, 0, 9999, &number, &error), E_CONFIG);
    assert_error(&error, 5, "d: expected an integer from 0 to 9999, found a number with a fraction");
    conf_free(file);
}

static void an_empty_file_is_an_empty_group(void **state)
{
    (void)state;
    struct conf_file *file = opened("");
    static const char *const none[] = {NULL};
    struct conf_error error;
    assert_ok(conf_only(conf_root(file), none, &error));
    conf_free(file);
    conf_free(NULL);
}

static void what_is_no_readable_file_is_refused(void **state)
{
    (void)state;
    struct conf_file *file = NULL;
    struct conf_error error;
    (void)unlink(path);
    assert_err(conf_open(&file, path, &error), E_CONFIG);
    assert_error(&error, 0, "cannot be opened: No such file or directory");
    assert_err(conf_open(&file, dir, &error), E_CONFIG);
    assert_string_equal(error.file, dir);
    assert_string_equal(error.message, "is not a regular file");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_err(conf_open(&file, path, &error), E_CONFIG); /* and does not wait for a writer */
    assert_error(&error, 0, "is not a regular file");
    assert_null(file);
}

static void a_file_that_others_may_read_or_change_is_refused(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        bool is_fine;
    } rows[] = {{0600, true},  {0400, true},  {0640, true},  {0440, true},
                {0644, false}, {0660, false}, {0602, false}, {0601, false}};
    write_file("a = 1;\n", 7);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_file *file = NULL;
        struct conf_error error;
        assert_int_equal(chmod(path, rows[i].mode), 0);
        assert_err(conf_open(&file, path, &error), rows[i].is_fine ? E_OK : E_CONFIG);
        if (!rows[i].is_fine)
            assert_non_null(strstr(error.message, "others"));
        conf_free(file);
    }
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    (void)state;
    struct conf_file *file = NULL;
    struct conf_error error;
    write_file("", 0);
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    assert_err(conf_open(&file, path, &error), E_CONFIG);
    assert_error(&error, 0, "is larger than 16777216 bytes");
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char text[] = "a = 1;\nb = \"x\";\n";
    write_file(text, sizeof(text) - 1);
    long n = 0;
    for (;; n++) {
        struct conf_file *file = NULL;
        struct conf_error error;
        heap_fault_after(n);
        err_t err = conf_open(&file, path, &error);
        bool hit = heap_fault_hit();
        heap_fault_after(-1);
        conf_free(file);
        assert_err(err, hit ? E_NO_MEMORY : E_OK);
        if (!hit)
            break;
        assert_null(file);
    }
    assert_int_equal(n, 3); /* the file, its text, the prepared text; libconfig's own are not ours to fail */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_cannot_be_parsed_says_where),
        cmocka_unit_test(a_file_with_a_nul_byte_is_refused),
        cmocka_unit_test(numbers_in_names_strings_and_comments_stay_as_they_are),
        cmocka_unit_test(an_empty_file_is_an_empty_group),
        cmocka_unit_test(what_is_no_readable_file_is_refused),
        cmocka_unit_test(a_file_that_others_may_read_or_change_is_refused),
        cmocka_unit_test(a_file_that_is_too_large_is_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

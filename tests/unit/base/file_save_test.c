/* Files written beside their place and renamed into it. */
#include "base/file_save.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/test.h"

/* Each test has a directory of its own, and is in it. */
static char dir[32];

static int enter_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/quorate_save_XXXXXX");
    return mkdtemp(dir) != NULL ? chdir(dir) : -1;
}

static int leave_dir(void **state)
{
    (void)state;
    static const char *const names[] = {"file", "file.new", "victim"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(names[i]);
    (void)rmdir("folder");
    return chdir("/") == 0 ? rmdir(dir) : -1;
}

static void assert_holds(const char *path, const char *text)
{
    char data[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, data, sizeof(data) - 1) >= 0);
    close(fd);
    assert_string_equal(data, text);
}

static void assert_none_beside(const char *beside)
{
    struct stat st;
    assert_int_equal(lstat(beside, &st), -1);
    assert_int_equal(errno, ENOENT);
}

static void a_file_is_there_whole_and_for_its_owner_alone(void **state)
{
    (void)state;
    struct stat st;
    umask(0);
    assert_ok(file_save("file", bytes_of_text("first"), NULL));
    assert_holds("file", "first");
    assert_int_equal(stat("file", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, geteuid());
    assert_none_beside("file.new");
}

static void an_old_one_is_replaced_by_a_shorter_or_an_empty_one(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof(path), "%s/file", dir);
    assert_ok(file_save(path, bytes_of_text("a long one"), NULL));
    assert_ok(file_save(path, bytes_of_text("short"), NULL));
    assert_holds(path, "short");
    assert_ok(file_save(path, (struct bytes){0}, NULL));
    assert_holds(path, "");
    assert_none_beside("file.new");
}

static void a_group_may_read_it(void **state)
{
    (void)state;
    struct stat st;
    gid_t readers = 4321;
    if (geteuid() != 0)
        skip();
    assert_ok(file_save("file", bytes_of_text("theirs"), &readers));
    assert_int_equal(stat("file", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_gid, readers);
}

static void what_an_interrupted_run_left_is_replaced_and_a_link_not_followed(void **state)
{
    (void)state;
    assert_ok(file_save("victim", bytes_of_text("of somebody else"), NULL));
    assert_ok(file_save("file.new", bytes_of_text("half"), NULL));
    assert_ok(file_save("file", bytes_of_text("one"), NULL));
    assert_int_equal(symlink("victim", "file.new"), 0);
    assert_ok(file_save("file", bytes_of_text("two"), NULL));
    assert_holds("file", "two");
    assert_holds("victim", "of somebody else");
    assert_none_beside("file.new");
}

static void no_room_leaves_the_old_one(void **state)
{
    (void)state;
    struct rlimit old, small = {8, 8};
    assert_ok(file_save("file", bytes_of_text("old"), NULL));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    err_t err = file_save("file", bytes_of_text("more than eight"), NULL);
    int why = errno;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_err(err, E_FULL);
    assert_int_equal(why, EFBIG);
    assert_holds("file", "old");
    assert_none_beside("file.new");
}

static void a_place_that_cannot_be_taken_is_an_error_and_leaves_nothing(void **state)
{
    (void)state;
    assert_err(file_save("nowhere/file", bytes_of_text("x"), NULL), E_IO);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_err(file_save("folder", bytes_of_text("x"), NULL), E_IO);
    assert_int_equal(errno, EISDIR);
    assert_none_beside("folder.new");
}

static void a_path_that_is_too_long_is_an_error(void **state)
{
    (void)state;
    char path[FILE_SAVE_PATH_MAX];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_err(file_save(path, bytes_of_text("x"), NULL), E_LIMIT);
    assert_int_equal(errno, ENAMETOOLONG);
    path[sizeof(path) - 1 - strlen(".new")] = '\0'; /* fits, but not what the system takes */
    assert_err(file_save(path, bytes_of_text("x"), NULL), E_IO);
    assert_int_equal(errno, ENAMETOOLONG);
}

static void in_two_steps_the_old_one_is_there_until_the_second(void **state)
{
    (void)state;
    char beside[FILE_SAVE_PATH_MAX];
    assert_ok(file_save("file", bytes_of_text("old"), NULL));
    assert_ok(file_save_beside("file", bytes_of_text("new"), NULL, beside));
    assert_string_equal(beside, "file.new");
    assert_holds("file", "old");
    assert_holds(beside, "new");
    assert_ok(file_save_rename(beside, "file"));
    assert_holds("file", "new");
    assert_none_beside(beside);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_dir, leave_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_there_whole_and_for_its_owner_alone),
        TEST(an_old_one_is_replaced_by_a_shorter_or_an_empty_one),
        TEST(a_group_may_read_it),
        TEST(what_an_interrupted_run_left_is_replaced_and_a_link_not_followed),
        TEST(no_room_leaves_the_old_one),
        TEST(a_place_that_cannot_be_taken_is_an_error_and_leaves_nothing),
        TEST(a_path_that_is_too_long_is_an_error),
        TEST(in_two_steps_the_old_one_is_there_until_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

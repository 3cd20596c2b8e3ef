/* What a daemon cannot do any more. Each case in a child, as it cannot be taken back. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/sandbox.h"
#include "tests/lib/test.h"

enum { UNSUPPORTED = 77 };

/* The status of a child that enters and then does it. */
static int in_child(enum sandbox_role role, int (*what)(void))
{
    int status = -1;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        err_t err = sandbox_enter(role);
        _exit(err == E_UNSUPPORTED ? UNSUPPORTED : err != E_OK ? 99 : what());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == UNSUPPORTED)
        skip(); /* no filters in this kernel */
    return status;
}

static void *answer(void *argument)
{
    return argument;
}

static int ordinary_work(void)
{
    pthread_t thread;
    void *got = NULL;
    int pipes[2];
    char c = 'x';
    if (pthread_create(&thread, NULL, answer, &c) != 0 || pthread_join(thread, &got) != 0 || got != &c)
        return 1;
    if (pipe2(pipes, O_CLOEXEC) != 0 || write(pipes[1], &c, 1) != 1 || read(pipes[0], &c, 1) != 1)
        return 2;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return 3;
    return open("/dev/null", O_RDONLY) < 0 ? 4 : 0;
}

static int start_a_program(void)
{
    char program[] = "/bin/true";
    char *const arguments[] = {program, NULL};
    execve(program, arguments, arguments + 1);
    return 1;
}

static int read_another_process(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) == 0 ? 1 : 2;
}

static int make_a_process(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return pid < 0 && errno == EPERM ? 0 : 1;
}

static int open_a_netlink_socket(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    return fd >= 0 ? 0 : errno == EPERM ? 1 : 2;
}

static int open_a_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_DGRAM, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int mount_something(void)
{
    return syscall(SYS_mount, "none", "/nowhere", "tmpfs", 0, NULL) < 0 && errno == EPERM ? 0 : 1;
}

static int has_new_privileges_closed(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1;
}

static void assert_exit(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_killed(int status)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void threads_files_and_sockets_work_on(void **state)
{
    (void)state;
    assert_exit(in_child(SANDBOX_SERVER, ordinary_work), 0);
    assert_exit(in_child(SANDBOX_MEMBER_NO_DATA, ordinary_work), 0);
}

static void starting_a_program_ends_the_process(void **state)
{
    (void)state;
    assert_killed(in_child(SANDBOX_SERVER, start_a_program));
    assert_killed(in_child(SANDBOX_MEMBER_NO_DATA, start_a_program));
}

static void reading_another_process_ends_the_process(void **state)
{
    (void)state;
    assert_killed(in_child(SANDBOX_SERVER, read_another_process));
}

static void a_thread_is_allowed_and_a_process_is_not(void **state)
{
    (void)state;
    if (QUORATE_SANITIZED)
        skip(); /* the leak sanitizer needs one */
    assert_exit(in_child(SANDBOX_SERVER, make_a_process), 0);
}

static void netlink_is_for_members_only(void **state)
{
    (void)state;
    assert_exit(in_child(SANDBOX_SERVER, open_a_netlink_socket), 1);
    assert_exit(in_child(SANDBOX_MEMBER_NO_DATA, open_a_netlink_socket), 0);
}

static void what_is_not_on_the_list_is_refused(void **state)
{
    (void)state;
    assert_exit(in_child(SANDBOX_MEMBER_NO_DATA, open_a_packet_socket), 0);
    assert_exit(in_child(SANDBOX_SERVER, mount_something), 0);
}

static void no_program_brings_new_privileges(void **state)
{
    (void)state;
    assert_exit(in_child(SANDBOX_SERVER, has_new_privileges_closed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_files_and_sockets_work_on),
        cmocka_unit_test(starting_a_program_ends_the_process),
        cmocka_unit_test(reading_another_process_ends_the_process),
        cmocka_unit_test(a_thread_is_allowed_and_a_process_is_not),
        cmocka_unit_test(netlink_is_for_members_only),
        cmocka_unit_test(what_is_not_on_the_list_is_refused),
        cmocka_unit_test(no_program_brings_new_privileges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
